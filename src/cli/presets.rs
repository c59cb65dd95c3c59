//! `hooksieve presets`: the senders that are known, and what is known of them.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Format, NO};
use crate::{config, presets};

/// What `presets` can be told.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Option<Action>,
    /// How the list is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Print one preset, ready to be copied and amended
    Show {
        /// Its id, as the list shows it
        id: String,
    },
}

/// Lists them, or shows one.
pub(super) fn presets(options: &Options) -> u8 {
    match &options.action {
        None => list(options.format),
        Some(Action::Show { id }) => show(id),
    }
}

fn list(format: Format) -> u8 {
    let rows: Vec<[String; 3]> = presets::all()
        .into_iter()
        .filter_map(|(id, text)| {
            let preset = config::read_preset(id, text).0?;
            let schemes: Vec<&str> = preset.schemes.entries.keys().map(String::as_str).collect();
            Some([id.to_owned(), preset.name.value.clone(), schemes.join(", ")])
        })
        .collect();
    match format {
        Format::Text => print!("{}", super::columns(["ID", "SENDER", "SCHEMES"], rows)),
        Format::Json => {
            let list: Vec<_> =
                rows.iter().map(|[id, name, schemes]| json!({ "id": id, "name": name, "schemes": schemes })).collect();
            println!("{}", json!(list));
        }
    }
    0
}

fn show(id: &str) -> u8 {
    if let Some(text) = presets::text(id) {
        print!("{text}");
        return 0;
    }
    eprintln!("error: there is no preset {id:?}\n  help: `hooksieve presets` lists them");
    NO
}
