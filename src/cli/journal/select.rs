//! Which deliveries are meant.

use clap::Args;
use jiff::Timestamp;

use crate::{
    admin::query,
    clock::{Clock as _, SystemClock},
    state::{
        journal::{EntryId, Filter, Page, Row, State},
        sqlite::Glance,
    },
};

/// How many rows are read at once.
const STEP: usize = 1_000;

/// Filters; all that are given must fit.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Filters")]
pub(super) struct Selection {
    /// Of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Of this event type, exactly as it was sent
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// With this verdict, such as `queue` or `quarantine`
    #[arg(long, value_name = "WORD", value_parser = query::verdict)]
    verdict: Option<&'static str>,
    /// In this state: pending, dead, quarantined, delivered, discarded or noted
    #[arg(long, value_name = "WORD", value_parser = query::state)]
    state: Option<State>,
    /// Received at this time or later: `2026-11-26T02:00:00Z`, `2026-11-26 02:00` (UTC), or `2h` (ago)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Received before this time, written likewise
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// With this `webhook-id`
    #[arg(long, value_name = "ID")]
    id: Option<String>,
}

/// One delivery: by its number, or by what the application knows it as.
#[derive(Clone, Debug)]
pub(super) enum Name {
    /// Its number in the journal.
    Number(EntryId),
    /// Its `webhook-id`.
    Identity(String),
}

/// Deliveries to do something about, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Selected {
    pub(super) rows: Vec<Row>,
    /// Names of nothing.
    pub(super) missing: Vec<String>,
}

impl Selection {
    /// Whether no filter is given.
    pub(super) fn is_empty(&self) -> bool {
        let Self { source, event_type, verdict, state, since, until, id } = self;
        [source, event_type, id].iter().all(|filter| filter.is_none())
            && [since, until].iter().all(|filter| filter.is_none())
            && (verdict.is_none() && state.is_none())
    }

    /// As the journal is asked; `state` where none was given.
    pub(super) fn filter(&self, state: Option<State>) -> Filter {
        Filter {
            source: self.source.clone(),
            event_type: self.event_type.clone(),
            verdict: self.verdict.map(str::to_owned),
            state: self.state.or(state),
            webhook_id: self.id.clone(),
            since: self.since,
            until: self.until,
        }
    }

    /// Everything that fits; of what waits for an operator, where no state is given.
    pub(super) fn rows(&self, journal: &Glance) -> Result<Vec<Row>, String> {
        let states: &[_] = if self.state.is_some() { &[None] } else { &[Some(State::Dead), Some(State::Quarantined)] };
        let mut rows = Vec::new();
        for state in states {
            rows.extend(all(journal, &self.filter(*state))?);
        }
        rows.sort_by_key(|row| row.id);
        Ok(rows)
    }
}

impl Name {
    /// Reads it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("evt_") {
            return Ok(Self::Identity(text.to_owned()));
        }
        let number = text.parse().ok().filter(|number| *number > 0);
        number.map(|number| Self::Number(EntryId(number))).ok_or_else(|| {
            "a delivery is named by its number, such as 42, or by its `webhook-id`, such as evt_5f0c3a…".to_owned()
        })
    }

    /// The lines that have this name, the newest first.
    pub(super) fn rows(&self, journal: &Glance) -> Result<Vec<Row>, String> {
        match self {
            Self::Number(entry) => {
                let found = journal.show(*entry).map_err(|error| error.to_string())?;
                Ok(found.map(|detail| detail.row).into_iter().collect())
            }
            Self::Identity(id) => all(journal, &Filter { webhook_id: Some(id.clone()), ..Filter::default() }),
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(entry) => entry.0.fmt(f),
            Self::Identity(id) => id.fmt(f),
        }
    }
}

/// The deliveries of these names. Of several lines with one identity only those count that are more than a note.
pub(super) fn named(names: &[Name], journal: &Glance) -> Result<Selected, String> {
    let mut selected = Selected::default();
    for name in names {
        let mut rows = name.rows(journal)?;
        if rows.iter().any(|row| row.state != State::Noted) {
            rows.retain(|row| row.state != State::Noted);
        }
        if rows.is_empty() {
            selected.missing.push(name.to_string());
        }
        selected.rows.extend(rows);
    }
    selected.rows.sort_by_key(|row| row.id);
    selected.rows.dedup_by_key(|row| row.id);
    Ok(selected)
}

fn time(text: &str) -> Result<Timestamp, String> {
    query::time(text, SystemClock.now().wall)
}

fn all(journal: &Glance, filter: &Filter) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    loop {
        let page = Page { limit: STEP, offset: rows.len() };
        let found = journal.list(filter, page).map_err(|error| error.to_string())?;
        let is_last = found.len() < STEP;
        rows.extend(found);
        if is_last {
            return Ok(rows);
        }
    }
}
