//! The commands. Each ends with 0 when all is well, 1 when the answer is no, 2 for usage and configuration.
#![expect(clippy::print_stderr, reason = "printing is what commands are for")]

/// As in the standard library, but a reader that has seen enough (`hooksieve presets | head -1`) is no defect.
macro_rules! print {
    ($($words:tt)*) => {{
        let _ = std::io::Write::write_fmt(&mut std::io::stdout(), format_args!($($words)*));
    }};
}

/// As in the standard library, but a reader that has seen enough is no defect.
macro_rules! println {
    ($($words:tt)*) => {{
        print!($($words)*);
        print!("\n");
    }};
}

mod admin;
mod capture;
mod check;
mod demo;
mod documents;
pub mod explain;
mod journal;
mod presets;
mod private_key;
mod run;
mod sample;
mod secrets;
mod send;
mod sender;
mod test;
mod through;
mod vectors;
mod wire;

use std::{
    fs,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    app,
    config::{
        Diagnostics, Environment,
        compile::{Compiled, Connect},
    },
};

/// Where the configuration is, unless somebody says otherwise.
const DEFAULT_FILE: &str = "hooksieve.toml";

/// The answer is no.
const NO: u8 = 1;

/// The command line or the configuration is wrong.
const USAGE: u8 = 2;

#[derive(Debug, Parser)]
#[command(
    version,
    about = "A receiver-side webhook gateway: verify, split, check, deduplicate and forward, byte for byte"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM, which drains
    #[command(after_help = "Example: hooksieve run -c hooksieve.toml")]
    Run(ConfigFile),
    /// Read the configuration as `run` would, say what is wrong, and list the sources
    #[command(after_help = "Example: hooksieve check -c hooksieve.toml --strict")]
    Check(check::Options),
    /// List the senders that are known
    #[command(after_help = "Example: hooksieve presets show elan > elan.toml")]
    Presets(presets::Options),
    /// Show everything at work on loopback, with no files of your own
    #[command(after_help = "\
Examples:
  hooksieve demo
  hooksieve demo --keep

Starts a small application and the gateway, sends what four senders send, good and bad, and says of each request
what was answered, what the application got, and why. The exit code is 0 when all of it is as it should be.")]
    Demo(demo::Options),
    /// Play a source's sender: send a signed sample, or one that must be refused
    #[command(after_help = "\
Examples:
  hooksieve send elan
  hooksieve send cakewalk --event test --to http://gateway.internal:8080
  hooksieve send elan --break signature --count 3
  hooksieve send acme --body order.json --curl
  hooksieve send awork --through
  hooksieve send wise --make-key wise.key > wise.pub
  hooksieve send wise --key wise.key

A sender that signs with a private key takes one: --make-key makes a throw-away pair and prints the public half in the
form that the source's secrets have; put that into the configuration, and sign with --key.

The exit code is 0 when every answer is 2xx; with --break, when what was sent is refused as it should be. With
--through it is 1 when a delivery is dead.")]
    Send(send::Options),
    /// Walk a captured request through the configuration, and find the mistake that made it fail
    #[command(after_help = "\
Examples:
  hooksieve explain acme --request captured.http
  hooksieve explain acme --request session.har --entry 3
  hooksieve explain acme --request captured.http --now 2026-11-21T12:00:00Z --format json

Says of each step what it looked at and why it refused, what later steps would have said, and, by trying, which common
mistake (a newline in the secret, another encoding, a body that was written again) explains a signature that is wrong.
It sends nothing, and prints no secret, no computed signature and no body.
The exit code is 0 when the request is accepted, 1 when it is refused.")]
    Explain(explain::Options),
    /// List the secrets that senders handed over, and confirm or forget them
    #[command(after_help = "\
Examples:
  hooksieve secrets
  hooksieve secrets confirm asana 3f0a7c12
  hooksieve secrets forget asana

The digits are those of the secret's SHA-256, from what the sender itself showed you: printf %s SECRET | sha256sum")]
    Secrets(secrets::Options),
    /// Look into the journal of deliveries, replay some, or give them up
    #[command(after_help = "\
Examples:
  hooksieve journal list --state dead
  hooksieve journal show 42
  hooksieve journal replay --state dead --since 2h --dry-run

Works while the gateway runs and while it does not. The exit code is 1 when something is not as it was asked for.")]
    Journal(journal::Options),
    /// Run recorded requests through the configuration language, at the time they were recorded
    #[command(after_help = "Example: hooksieve test vectors/elan.json\n\nEnds with `N passed, M failed`.")]
    Test(test::Options),
}

/// Where the configuration is.
#[derive(Args, Clone, Debug)]
struct ConfigFile {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
}

/// How tables are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON document
    Json,
}

/// Runs the command that was typed.
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(file) => run::run(&file),
        Command::Check(options) => check::check(&options),
        Command::Presets(options) => presets::presets(&options),
        Command::Demo(options) => demo::demo(&options),
        Command::Explain(options) => explain::explain(&options),
        Command::Secrets(options) => secrets::secrets(&options),
        Command::Journal(options) => journal::journal(&options),
        Command::Send(options) => send::send(&options),
        Command::Test(options) => test::test(&options),
    };
    ExitCode::from(outcome)
}

impl ConfigFile {
    /// Reads and compiles it. What is wrong is in the diagnostics; `Err` when there is no file to find anything in.
    fn load(&self, strict: bool, connect: &mut Connect<'_>) -> Result<(Option<Compiled>, Diagnostics), String> {
        let text = read(&self.config)?;
        Ok(app::load(&self.config, &text, &Environment::of_process(), strict, connect))
    }
}

/// Reads a file, or says which one cannot be read and why.
fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| {
        let help = match error.kind() {
            io::ErrorKind::NotFound => "\n  help: start from config.example.toml, or name the file with `-c FILE`",
            _ => "",
        };
        format!("error: cannot read {}: {error}{help}", path.display())
    })
}

/// Prints what is wrong, to standard error.
fn complain(found: &Diagnostics) {
    if !found.is_empty() {
        eprintln!("{}", found.render(io::stderr().is_terminal()));
    }
}

/// Prints a problem with the command itself.
fn usage(problem: &str) -> u8 {
    eprintln!("{problem}");
    USAGE
}

/// Said of a source that is not in the configuration.
fn no_such_source(compiled: &Compiled, name: &str) -> String {
    let known: Vec<_> = compiled.senders.keys().map(String::as_str).collect();
    format!("there is no source {name:?}\n  help: there are {}", known.join(", "))
}

/// Rows under headings, as wide as they must be.
fn columns<const N: usize>(headings: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut lines = vec![headings.map(str::to_owned)];
    lines.extend(rows);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut out = String::new();
    for line in &lines {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}
