//! How changes ended, and how that is told.

use std::collections::BTreeMap;

use serde_json::json;

use super::place::Place;
use crate::{
    cli::{Format, NO},
    state::journal::{EntryId, Replay},
};

/// How a change to one delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// It is pending now.
    Queued,
    /// It was pending anyway.
    Waiting,
    /// It is given up.
    Dropped,
    /// The application has it already.
    Delivered,
    /// There is nothing to send.
    NoBody,
    /// It is in no state to be given up.
    NotDropped,
    /// The running gateway has another delivery under this number.
    Other,
    /// It is gone.
    Missing,
}

/// How changes ended.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    ends: BTreeMap<End, Vec<i64>>,
    /// Names of nothing.
    missing: Vec<String>,
    /// What ended it early, and how many were left.
    pub(super) stopped: Option<(String, usize)>,
}

impl End {
    const ALL: [Self; 8] = [
        Self::Queued,
        Self::Waiting,
        Self::Dropped,
        Self::Delivered,
        Self::NoBody,
        Self::NotDropped,
        Self::Other,
        Self::Missing,
    ];

    /// The word of the admin listener for it.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Waiting => "waiting",
            Self::Dropped => "dropped",
            Self::Delivered => "delivered",
            Self::NoBody => "no_body",
            Self::NotDropped => "not_dropped",
            Self::Other => "other_delivery",
            Self::Missing => "not_found",
        }
    }

    pub(super) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.as_str() == word)
    }

    /// Whether it is as it was asked for.
    const fn is_good(self) -> bool {
        match self {
            Self::Queued | Self::Waiting | Self::Dropped => true,
            Self::Delivered | Self::NoBody | Self::NotDropped | Self::Other | Self::Missing => false,
        }
    }

    /// A sentence, to follow how many there are.
    const fn meaning(self) -> &'static str {
        match self {
            Self::Queued => "to be delivered again",
            Self::Waiting => "to be delivered anyway",
            Self::Dropped => "dropped",
            Self::Delivered => "left alone: delivered already, and `--again` would deliver twice",
            Self::NoBody => "left alone: the bytes are not kept, so there is nothing to send",
            Self::NotDropped => "left alone: only what is pending, dead or quarantined can be dropped",
            Self::Other => {
                "left alone: the running gateway has another delivery under this number. Does it run with this file?"
            }
            Self::Missing => "gone from the journal",
        }
    }
}

impl From<Replay> for End {
    fn from(replay: Replay) -> Self {
        match replay {
            Replay::Delivered => Self::Delivered,
            Replay::Missing => Self::Missing,
            Replay::NoBody => Self::NoBody,
            Replay::Queued => Self::Queued,
            Replay::Waiting => Self::Waiting,
        }
    }
}

impl Outcome {
    /// Nothing is done yet, and these were not found.
    pub(super) fn of_missing(missing: Vec<String>) -> Self {
        Self { missing, ..Self::default() }
    }

    pub(super) fn add(&mut self, end: End, entry: EntryId) {
        self.ends.entry(end).or_default().push(entry.0);
    }

    /// Tells it, and whether all went well. `is_running`: whether the gateway delivers at once.
    pub(super) fn report(&self, place: &Place, format: Format, is_running: bool) -> u8 {
        match format {
            Format::Json => println!("{}", self.json()),
            Format::Text => self.tell(place, is_running),
        }
        let is_good = self.ends.keys().all(|end| end.is_good()) && self.missing.is_empty() && self.stopped.is_none();
        if is_good { 0 } else { NO }
    }

    fn json(&self) -> serde_json::Value {
        let ends: BTreeMap<_, _> = self.ends.iter().map(|(end, ids)| (end.as_str(), ids)).collect();
        let stopped = self.stopped.as_ref().map(|(problem, _)| problem);
        json!({ "dry_run": false, "ends": ends, "missing": self.missing, "stopped": stopped })
    }

    fn tell(&self, place: &Place, is_running: bool) {
        if self.ends.is_empty() && self.missing.is_empty() && self.stopped.is_none() {
            println!("no delivery matches");
        }
        for (end, ids) in &self.ends {
            let which = if end.is_good() { String::new() } else { format!(" ({})", some(ids)) };
            println!("{}{which}: {}", deliveries(ids.len()), end.meaning());
        }
        if self.ends.contains_key(&End::Queued) {
            if is_running {
                eprintln!("next: {} shows what is still on its way", place.command("list --state pending"));
            } else {
                println!("the gateway does not run: what is pending is delivered when it starts");
            }
        }
        complain_of_missing(&self.missing);
        if let Some((problem, left)) = &self.stopped {
            eprintln!("error: {problem}\n  nothing was done to the other {}", deliveries(*left));
        }
    }
}

/// `1 delivery`, `2 deliveries`.
pub(super) fn deliveries(count: usize) -> String {
    format!("{count} {}", if count == 1 { "delivery" } else { "deliveries" })
}

/// Says which names are of nothing.
pub(super) fn complain_of_missing(missing: &[String]) {
    for name in missing {
        eprintln!("error: there is no delivery {name} in the journal");
    }
}

fn some(ids: &[i64]) -> String {
    let first: Vec<_> = ids.iter().take(10).map(ToString::to_string).collect();
    first.join(", ") + if ids.len() > 10 { " …" } else { "" }
}
