//! `hooksieve journal list`

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::{
    place::Place,
    select::Selection,
    when::{age, moment},
};
use crate::{
    admin::form::Delivery,
    cli::{ConfigFile, Format, columns},
    state::journal::{Page, State},
    telemetry::printable,
};

/// The longest event type in a table, in characters.
const TYPE_MAX: usize = 40;

/// The longest reason, which nothing stands behind.
const REASON_MAX: usize = 100;

/// What `list` can be told.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) file: ConfigFile,
    #[command(flatten)]
    selection: Selection,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// How many of the newest are skipped
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: u32,
    /// How the list is printed
    #[arg(long, value_enum, default_value = "text")]
    pub(super) format: Format,
}

/// Prints a page of the delivery log.
pub(super) fn list(place: &Place, options: &Options, format: Format) -> Result<u8, String> {
    let filter = options.selection.filter(None);
    let (limit, offset) = (options.limit as usize, options.offset as usize);
    // One more than asked for tells whether there are more.
    let mut rows = place.look()?.list(&filter, Page { limit: limit + 1, offset }).map_err(|error| error.to_string())?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let rows: Vec<_> = rows.into_iter().map(Delivery::from).collect();
    match format {
        Format::Json => {
            println!("{}", json!({ "deliveries": rows, "limit": limit, "offset": offset, "more": more }));
        }
        Format::Text if rows.is_empty() => eprintln!("no delivery matches"),
        Format::Text => {
            print!("{}", table(&rows, place.now));
            if more {
                eprintln!("there are more: --offset {}", offset + limit);
            }
            advise(place, &rows);
        }
    }
    Ok(0)
}

/// The lines of the delivery log, aligned.
pub(in crate::cli) fn table(rows: &[Delivery], now: Timestamp) -> String {
    let headings = ["ID", "RECEIVED", "AGE", "SOURCE", "TYPE", "VERDICT", "STATE", "ANSWER", "TRIES", "LAST", "REASON"];
    let number = |number: Option<u16>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let lines = rows.iter().map(|row| {
        [
            row.id.to_string(),
            moment(row.received_at),
            age(row.received_at, now),
            row.source.clone(),
            row.event_type.as_deref().map_or_else(|| "-".to_owned(), |text| cell(text, TYPE_MAX)),
            row.verdict.clone(),
            row.state.clone(),
            number(row.answer),
            row.attempts.to_string(),
            number(row.last_status),
            row.reason.as_deref().map_or_else(|| "-".to_owned(), |text| cell(text, REASON_MAX)),
        ]
    });
    columns(headings, lines)
}

/// Fit for a terminal and for a column: a sender chose the words.
fn cell(text: &str, most: usize) -> String {
    let text = printable(text);
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

/// What somebody may want to do next.
fn advise(place: &Place, rows: &[Delivery]) {
    let first = |state: State| rows.iter().find(|row| row.state == state.as_str());
    if let Some(row) = first(State::Dead).or(first(State::Quarantined)) {
        let (id, state) = (row.id, &row.state);
        let [show, replay, drop] = ["show", "replay", "drop"].map(|verb| place.command(&format!("{verb} {id}")));
        eprintln!("next: {show}, then {replay} or {drop}");
        eprintln!("      all of them: {}", place.command(&format!("replay --state {state} --dry-run")));
    }
}
