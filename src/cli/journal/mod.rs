//! `hooksieve journal`: what became of deliveries, and what an operator does about it.
//!
//! Looking reads the file, whether the gateway runs or not, and changes nothing in it. A change is made by the process
//! that has the journal: the running gateway, through its admin listener; else this one, which takes its lock.

mod change;
mod list;
mod outcome;
mod place;
mod select;
mod show;
mod stats;
mod when;

use clap::{Args, Subcommand};

pub(super) use self::list::table;
use self::place::Place;
use super::usage;

/// What `journal` can be told.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// List deliveries, the newest first
    #[command(after_help = "\
Examples:
  hooksieve journal list
  hooksieve journal list --state dead --source awork --since 2h
  hooksieve journal list --id evt_5f0c3a… --format json")]
    List(list::Options),
    /// Show one delivery, with its attempts and what was done to it
    #[command(after_help = "\
Examples:
  hooksieve journal show 42
  hooksieve journal show evt_5f0c3a…
  hooksieve journal show 42 --body | jq .

With --body only the bytes are printed: escaped on a terminal, as they are into a pipe or file.")]
    Show(show::Options),
    /// Deliver again: what is dead or was set aside, under the same identity
    #[command(after_help = "\
Examples:
  hooksieve journal replay 42
  hooksieve journal replay --state dead --source awork --dry-run
  hooksieve journal replay --state quarantined --since 2026-11-26T02:00:00Z --until 2026-11-26T03:00:00Z --rate 5/s

A replay passes deduplication on purpose, keeps `webhook-id` and `idempotency-key`, gets a new budget of attempts, and
leaves a line in the audit of the delivery. Without --state it takes what is dead or quarantined; what was delivered is
left alone without --again. The gateway delivers it at once, or, when it does not run, once it starts.")]
    Replay(change::Replay),
    /// Give up what is dead or was set aside: its bytes are deleted, its line stays
    #[command(after_help = "\
Examples:
  hooksieve journal drop 42
  hooksieve journal drop --state quarantined --source elan --dry-run
  hooksieve journal drop --state dead --until 30d --yes")]
    Drop(change::Drop),
    /// Count what is in the journal, by source and state
    #[command(after_help = "Example: hooksieve journal stats")]
    Stats(stats::Options),
}

/// Does what was asked for, and says whether the answer is yes.
pub(super) fn journal(options: &Options) -> u8 {
    let (file, format) = match &options.action {
        Action::List(options) => (&options.file, options.format),
        Action::Show(options) => (&options.file, options.format),
        Action::Replay(options) => (&options.common.file, options.common.format),
        Action::Drop(options) => (&options.common.file, options.common.format),
        Action::Stats(options) => (&options.file, options.format),
    };
    let place = match Place::find(file) {
        Ok(place) => place,
        Err(problem) => return usage(&problem),
    };
    let done = match &options.action {
        Action::List(options) => list::list(&place, options, format),
        Action::Show(options) => show::show(&place, options, format),
        Action::Replay(options) => change::replay(&place, options),
        Action::Drop(options) => change::drop(&place, options),
        Action::Stats(_) => stats::stats(&place, format),
    };
    done.unwrap_or_else(|problem| {
        eprintln!("error: {problem}");
        super::NO
    })
}
