//! `hooksieve check`: everything `run` would refuse, and what it would put up with.

use clap::Args;
use serde_json::json;

use super::{ConfigFile, Format, NO, USAGE, complain, usage};
use crate::{app, config::compile::Compiled, gateway::source::Source};

/// What `check` can be told.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    file: ConfigFile,
    /// Treat warnings as errors, and warn of costly schemas too
    #[arg(long)]
    strict: bool,
    /// How the result is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Prints the diagnostics and the sources.
pub(super) fn check(options: &Options) -> u8 {
    let (compiled, found) = match options.file.load(options.strict, &mut app::nowhere) {
        Ok(loaded) => loaded,
        Err(problem) => return usage(&problem),
    };
    let journal = compiled.as_ref().map_or(Ok(()), app::inspect);
    match options.format {
        Format::Text => {
            complain(&found);
            if let Err(unusable) = &journal {
                eprintln!("error: {unusable}");
            }
            if let Some(compiled) = &compiled {
                print!("{}", table(compiled));
            }
        }
        Format::Json => {
            let sources = compiled.as_ref().map(|compiled| compiled.sources.iter().map(row).collect::<Vec<_>>());
            println!("{}", json!({ "diagnostics": found, "journal": journal.as_ref().err(), "sources": sources }));
        }
    }
    match compiled {
        None => USAGE,
        Some(_) if journal.is_err() => USAGE,
        Some(_) if options.strict && !found.is_empty() => NO,
        Some(_) => 0,
    }
}

fn row(source: &Source) -> serde_json::Value {
    json!({
        "name": &*source.name,
        "path": source.path,
        "upstream": &*source.delivery.target.name,
        "methods": source.methods(),
    })
}

fn table(compiled: &Compiled) -> String {
    let rows = compiled.sources.iter().map(|source| {
        let sender = compiled.senders.get(&*source.name);
        let provider = sender.and_then(|sender| sender.provider.as_deref()).unwrap_or("-");
        [&*source.name, source.path.as_str(), provider, &*source.delivery.target.name].map(str::to_owned)
    });
    super::columns(["SOURCE", "PATH", "PRESET", "UPSTREAM"], rows)
}
