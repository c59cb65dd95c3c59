//! `hooksieve secrets`: what senders have handed over, and what becomes of it.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{ConfigFile, Format, NO, USAGE, complain, usage};
use crate::{
    app,
    config::compile::Compiled,
    state::learned::{Keepsake, Kept, fingerprint},
};

/// The digits of a fingerprint that are shown.
const SHOWN: usize = 16;

/// The digits that an operator must at least compare.
const COMPARED_MIN: usize = 8;

/// What `secrets` can be told.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    file: ConfigFile,
    /// How the list is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Let the secret that waits be verified with, from the next reload on
    Confirm {
        /// The source
        source: String,
        /// The beginning of the secret's SHA-256 in hex, computed from what the sender showed you
        sha256: String,
    },
    /// Keep nothing, so that the next secret is learned
    Forget {
        /// The source
        source: String,
    },
}

/// Lists what was learned, or confirms or forgets it.
pub(super) fn secrets(options: &Options) -> u8 {
    let (compiled, found) = match options.file.load(false, &mut app::nowhere) {
        Ok(loaded) => loaded,
        Err(problem) => return usage(&problem),
    };
    let Some(compiled) = compiled else {
        complain(&found);
        return USAGE;
    };
    let outcome = match &options.action {
        None => list(&compiled, options.format),
        Some(Action::Confirm { source, sha256 }) => {
            keepsake(&compiled, source).and_then(|keepsake| confirm(source, keepsake, sha256))
        }
        Some(Action::Forget { source }) => keepsake(&compiled, source).and_then(|keepsake| forget(source, keepsake)),
    };
    outcome.map_or_else(
        |problem| {
            eprintln!("{problem}");
            NO
        },
        |()| 0,
    )
}

fn keepsake<'c>(compiled: &'c Compiled, name: &str) -> Result<&'c Keepsake, String> {
    let source = compiled.sources.iter().find(|source| &*source.name == name);
    let source = source.ok_or_else(|| format!("error: there is no source `{name}`"))?;
    source.learned.as_ref().ok_or_else(|| {
        format!("error: the source `{name}` learns no secret\n  help: `hooksieve secrets` lists those that do")
    })
}

fn list(compiled: &Compiled, format: Format) -> Result<(), String> {
    let mut rows = Vec::new();
    for source in &compiled.sources {
        let Some(keepsake) = &source.learned else { continue };
        let (state, secret, file) = match read(keepsake)? {
            Kept::Nothing => ("none yet", None, None),
            Kept::Pending(secret) => ("pending", Some(secret), Some(keepsake.pending())),
            Kept::Confirmed(secret) => ("confirmed", Some(secret), Some(keepsake.confirmed())),
        };
        let shown = secret.map_or_else(|| "-".to_owned(), |secret| fingerprint(&secret)[..SHOWN].to_owned());
        let file = file.map_or_else(|| "-".to_owned(), |file| file.display().to_string());
        rows.push([source.name.to_string(), state.to_owned(), shown, file]);
    }
    match format {
        Format::Text => print!("{}", super::columns(["SOURCE", "STATE", "SHA-256", "FILE"], rows)),
        Format::Json => {
            let row = |[source, state, sha256, file]: &[String; 4]| json!({ "source": source, "state": state, "sha256": sha256, "file": file });
            println!("{}", json!(rows.iter().map(row).collect::<Vec<_>>()));
        }
    }
    Ok(())
}

fn confirm(source: &str, keepsake: &Keepsake, sha256: &str) -> Result<(), String> {
    let secret = match read(keepsake)? {
        Kept::Pending(secret) => secret,
        Kept::Confirmed(_) => return Err(format!("error: the secret of `{source}` is confirmed already")),
        Kept::Nothing => return Err(format!("error: the sender of `{source}` has handed nothing over yet")),
    };
    let sha256 = sha256.to_ascii_lowercase();
    if sha256.len() < COMPARED_MIN {
        let help = "printf %s SECRET | sha256sum";
        return Err(format!("error: at least {COMPARED_MIN} digits are compared\n  help: {help}"));
    }
    if !fingerprint(&secret).starts_with(&sha256) {
        let help = format!(
            "a stranger may have been faster: `hooksieve secrets forget {source}`, then let the sender try again"
        );
        return Err(format!("error: this is not the secret that `{source}` was handed\n  help: {help}"));
    }
    keepsake.confirm().map_err(|error| format!("error: it cannot be confirmed: {error}"))?;
    println!("confirmed; the gateway takes it over with the next reload (SIGHUP)");
    Ok(())
}

fn forget(source: &str, keepsake: &Keepsake) -> Result<(), String> {
    match keepsake.forget() {
        Ok(true) => {
            println!("forgotten; the next secret is learned, and nothing is verified from the next reload on (SIGHUP)");
            Ok(())
        }
        Ok(false) => Err(format!("error: nothing is kept for `{source}`")),
        Err(error) => Err(format!("error: it cannot be forgotten: {error}")),
    }
}

fn read(keepsake: &Keepsake) -> Result<Kept, String> {
    keepsake.read().map_err(|error| format!("error: what is kept cannot be read: {error}"))
}
