//! `hooksieve journal stats`

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;

use super::{place::Place, when::size};
use crate::{
    cli::{ConfigFile, Format, columns},
    state::journal::{State, Totals},
};

/// What `stats` can be told.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) file: ConfigFile,
    /// How it is printed
    #[arg(long, value_enum, default_value = "text")]
    pub(super) format: Format,
}

/// Prints how full the journal is.
pub(super) fn stats(place: &Place, format: Format) -> Result<u8, String> {
    let totals = place.look()?.totals().map_err(|error| error.to_string())?;
    let sources = by_source(&totals);
    match format {
        Format::Json => {
            let upstreams: BTreeMap<_, _> = totals.pending.iter().cloned().collect();
            println!(
                "{}",
                json!({
                    "path": place.path(),
                    "bytes": totals.bytes,
                    "settled": totals.settled,
                    "sources": sources,
                    "pending_by_upstream": upstreams,
                })
            );
        }
        Format::Text => {
            print!("{}", table(&sources));
            for (upstream, count) in &totals.pending {
                println!("{count} to be delivered to {upstream}");
            }
            println!(
                "{} identities are remembered; {} in {}",
                totals.settled,
                size(totals.bytes),
                place.path().display()
            );
            advise(place, &totals);
        }
    }
    Ok(0)
}

type BySource = BTreeMap<String, BTreeMap<&'static str, u64>>;

fn by_source(totals: &Totals) -> BySource {
    let mut sources = BySource::new();
    for (source, state, count) in &totals.entries {
        sources.entry(source.clone()).or_default().insert(state.as_str(), *count);
    }
    sources
}

fn table(sources: &BySource) -> String {
    let states = [State::Pending, State::Dead, State::Quarantined, State::Delivered, State::Discarded, State::Noted];
    let line = |(source, counts): (&String, &BTreeMap<&str, u64>)| {
        let count = |state: State| counts.get(state.as_str()).copied().unwrap_or(0).to_string();
        let mut cells = states.map(count).into_iter();
        std::array::from_fn(|column| if column == 0 { source.clone() } else { cells.next().unwrap_or_default() })
    };
    columns(["SOURCE", "PENDING", "DEAD", "QUARANTINED", "DELIVERED", "DROPPED", "NOTED"], sources.iter().map(line))
}

/// What somebody may want to do next.
fn advise(place: &Place, totals: &Totals) {
    for state in [State::Dead, State::Quarantined] {
        if totals.entries.iter().any(|(_, of, count)| *of == state && *count > 0) {
            eprintln!("next: {}", place.command(&format!("list --state {}", state.as_str())));
        }
    }
}
