//! `hooksieve journal replay` and `hooksieve journal drop`

use std::io::{self, BufRead as _, IsTerminal as _};

use clap::Args;
use jiff::Timestamp;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::{
    list::table,
    outcome::{End, Outcome, complain_of_missing, deliveries},
    place::Place,
    select::{Name, Selected, Selection, named},
};
use crate::{
    admin::form::Delivery,
    cli::{ConfigFile, Format, NO, USAGE},
    config::{Leaf as _, Rate},
    state::journal::Row,
};

/// Deliveries that are shown before something is done about them.
const SHOWN_MAX: usize = 20;

/// What both can be told.
#[derive(Args, Clone, Debug)]
pub(super) struct Common {
    /// Numbers or `webhook-id`s of deliveries
    #[arg(value_name = "ID", value_parser = Name::parse, conflicts_with = "Selection")]
    names: Vec<Name>,
    #[command(flatten)]
    selection: Selection,
    /// Everything that is dead or quarantined
    #[arg(long, conflicts_with_all = ["Selection", "names"])]
    all: bool,
    /// Say which deliveries are meant, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    pub(super) file: ConfigFile,
    /// How the outcome is printed
    #[arg(long, value_enum, default_value = "text")]
    pub(super) format: Format,
}

/// What `replay` can be told.
#[derive(Args, Clone, Debug)]
pub(super) struct Replay {
    #[command(flatten)]
    pub(super) common: Common,
    /// How many are handed to the running gateway in a second, a minute or an hour
    #[arg(long, value_name = "RATE", default_value = "10/s", value_parser = rate)]
    rate: Rate,
    /// Also what was delivered already: the application gets it twice
    #[arg(long)]
    again: bool,
}

/// What `drop` can be told.
#[derive(Args, Clone, Debug)]
pub(super) struct Drop {
    #[command(flatten)]
    pub(super) common: Common,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Has deliveries made again.
pub(super) fn replay(place: &Place, options: &Replay) -> Result<u8, String> {
    let Some(selected) = choose(place, &options.common, "replay")? else { return Ok(USAGE) };
    if options.common.dry_run {
        return Ok(dry_run(place, &options.common, &selected, "replayed"));
    }
    let keeper = place.keeper()?;
    let outcome = place.runtime.block_on(async {
        let mut ticks = interval(options.rate.per / options.rate.count);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        each(selected, async |row| {
            if keeper.is_gateway() {
                ticks.tick().await;
            }
            keeper.replay(row, options.again).await
        })
        .await
    });
    Ok(outcome.report(place, options.common.format, keeper.is_gateway()))
}

/// Gives deliveries up.
pub(super) fn drop(place: &Place, options: &Drop) -> Result<u8, String> {
    let Some(selected) = choose(place, &options.common, "drop")? else { return Ok(USAGE) };
    if options.common.dry_run {
        return Ok(dry_run(place, &options.common, &selected, "dropped"));
    }
    if !options.yes && !selected.rows.is_empty() {
        print!("{}", first(&selected.rows, place.now));
        if !io::stdin().is_terminal() {
            eprintln!(
                "error: nobody can be asked whether to drop {}\n  help: say `--yes`",
                deliveries(selected.rows.len())
            );
            return Ok(USAGE);
        }
        eprint!("Drop {} for good? The bytes are deleted. [y/N] ", deliveries(selected.rows.len()));
        if !confirmed() {
            eprintln!("nothing was dropped");
            return Ok(NO);
        }
    }
    let keeper = place.keeper()?;
    let outcome = place.runtime.block_on(each(selected, async |row| keeper.drop(row).await));
    Ok(outcome.report(place, options.common.format, keeper.is_gateway()))
}

/// The deliveries that are meant; `None` when the command does not say which.
fn choose(place: &Place, common: &Common, verb: &str) -> Result<Option<Selected>, String> {
    if common.names.is_empty() && common.selection.is_empty() && !common.all {
        eprintln!(
            "error: say which deliveries to {verb}\n  help: their numbers, a filter such as `--state dead`, or `--all`"
        );
        return Ok(None);
    }
    let journal = place.look()?;
    if common.names.is_empty() {
        let rows = common.selection.rows(&journal)?;
        return Ok(Some(Selected { rows, missing: Vec::new() }));
    }
    named(&common.names, &journal).map(Some)
}

fn dry_run(place: &Place, common: &Common, selected: &Selected, done: &str) -> u8 {
    match common.format {
        Format::Json => {
            let ids: Vec<_> = selected.rows.iter().map(|row| row.id.0).collect();
            println!("{}", json!({ "dry_run": true, "matched": ids, "missing": selected.missing }));
        }
        Format::Text => {
            if !selected.rows.is_empty() {
                print!("{}", first(&selected.rows, place.now));
            }
            println!("{} would be {done}", deliveries(selected.rows.len()));
            complain_of_missing(&selected.missing);
        }
    }
    if selected.missing.is_empty() { 0 } else { NO }
}

/// The first of them, as a table.
fn first(rows: &[Row], now: Timestamp) -> String {
    let shown: Vec<_> = rows.iter().take(SHOWN_MAX).cloned().map(Delivery::from).collect();
    let more = rows.len() - shown.len();
    table(&shown, now) + &if more > 0 { format!("… and {more} more\n") } else { String::new() }
}

/// One after the other, the oldest first. The first error ends it: what is wrong with the gateway is wrong for all that
/// follow.
async fn each(selected: Selected, mut act: impl AsyncFnMut(&Row) -> Result<End, String>) -> Outcome {
    let mut outcome = Outcome::of_missing(selected.missing);
    let all = selected.rows.len();
    for (done, row) in selected.rows.iter().enumerate() {
        progress(done, all);
        match act(row).await {
            Ok(end) => outcome.add(end, row.id),
            Err(problem) => {
                outcome.stopped = Some((problem, all - done));
                break;
            }
        }
    }
    outcome
}

/// A sign of life on a terminal, for what takes its time.
fn progress(done: usize, all: usize) {
    if done > 0 && done.is_multiple_of(100) && io::stderr().is_terminal() {
        eprintln!("{done} of {all}");
    }
}

/// Whether somebody typed a yes.
fn confirmed() -> bool {
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

fn rate(text: &str) -> Result<Rate, String> {
    Rate::parse(text).ok_or_else(|| format!("{text:?} is no rate: write {}", Rate::help(text)))
}
