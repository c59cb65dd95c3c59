//! What needs a journal, and how queued events are tried again.

use std::{path::PathBuf, time::Duration};

use super::{Context, Surroundings};
use crate::{
    config::{
        Diagnostics, Key,
        raw::{
            Bodies, Journal as Written,
            events::{Batch, DeliveryMode, OnConflict, OnFiltered, OnViolation},
            source::{Active, Source},
        },
    },
    gateway::dispatch::Retry,
    stages::selector::Selector,
};

/// The journal, as the operator wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// The file.
    pub path: PathBuf,
    /// How long finished entries are kept.
    pub retention: Duration,
    /// How large the file may grow, in bytes.
    pub max_size: u64,
    /// Whether the bytes of delivered events are kept.
    pub keeps_bodies: bool,
}

/// The smallest journal that is of any use.
const SIZE_MIN: u64 = 1 << 20;

/// The journal's settings; what cannot work is reported.
pub(super) fn journal(written: &Written, surroundings: &Surroundings<'_>, found: &mut Diagnostics) -> Journal {
    if written.max_size.value.0 < SIZE_MIN {
        found.error_at(&written.max_size.key, "the journal would be full before it began", "write at least \"1MiB\"");
    }
    if written.retention.value.is_zero() {
        found.error_at(&written.retention.key, "nothing would be kept at all", "write at least \"1h\"");
    }
    Journal {
        path: surroundings.root.join(&written.path.value),
        retention: written.retention.value,
        max_size: written.max_size.value.0,
        keeps_bodies: written.bodies.value == Bodies::All,
    }
}

impl Source {
    /// Whether its events go into the journal before they go anywhere else.
    pub(super) fn queues(&self) -> bool {
        self.delivery.mode.value == DeliveryMode::Queued || self.active.value == Active::Hold
    }
}

impl Context<'_> {
    /// What is written for queued delivery, as it runs.
    pub(super) fn retry(&mut self) -> Retry {
        let written = &self.written.delivery;
        let (first, max, give_up) = (&written.backoff.first, &written.backoff.max, &written.give_up);
        if first.value.is_zero() {
            self.error(&first.key, "a failing application would be asked again and again", "write at least \"100ms\"");
        }
        if max.value < first.value {
            self.error(&max.key, "the longest pause is shorter than the first", "write `first` or more");
        }
        if give_up.value < first.value {
            let help = "let `give_up` be longer than `backoff.first`, so that there is time for a second attempt";
            self.error(&give_up.key, "an event is given up before it is tried again", help);
        }
        Retry {
            first: first.value,
            max: max.value,
            give_up: give_up.value,
            attempts: written.attempts.as_ref().map(|most| most.value.0),
            give_up_on: written.give_up_on.iter().filter_map(|status| u16::try_from(status.value.0).ok()).collect(),
        }
    }

    /// What cannot be had together with queued delivery.
    pub(super) fn queued(&mut self, order: &[Selector]) {
        let written = &self.written.delivery;
        if written.relay.value {
            let help = "leave `relay` out, or write `mode = \"sync\"`";
            self.error(&written.relay.key, "a queued event is answered before the application is asked", help);
        }
        if written.batch.value == Batch::Array && !order.is_empty() {
            let help = "leave `ordered` out, or write `batch = \"events\"`";
            self.error(&written.batch.key, "an array of events has no place in the order of each of them", help);
        }
    }

    /// Promises that only a journal can keep.
    pub(super) fn journal_needs(&mut self) {
        let written = self.written;
        let pick = "\"reject\", \"drop\" or \"forward\"";
        if let Some(schema) = &written.schema {
            for (key, policy, name) in [
                (&schema.on_violation.key, schema.on_violation.value, "schema.on_violation"),
                (&schema.on_unknown.key, schema.on_unknown.value, "schema.on_unknown"),
            ] {
                match policy {
                    OnViolation::Quarantine => self.needs_journal(key, name, "quarantine", pick),
                    OnViolation::Reject => self.punished(key),
                    OnViolation::Drop | OnViolation::Forward => {}
                }
            }
        }
        if written.events.on_filtered.value == OnFiltered::Quarantine {
            let key = &written.events.on_filtered.key;
            self.needs_journal(key, "events.on_filtered", "quarantine", "\"drop\" or \"forward\"");
        }
        if written.dedup.on_conflict.value == OnConflict::Quarantine {
            let key = &written.dedup.on_conflict.key;
            self.needs_journal(key, "dedup.on_conflict", "quarantine", "\"forward\"");
        }
        if written.active.value == Active::Hold {
            self.needs_journal(&written.active.key, "active", "hold", "\"refuse\" (the sender then keeps its events)");
        }
        if written.delivery.mode.value == DeliveryMode::Queued {
            let instead = "\"sync\" (the sender then waits for the application)";
            self.needs_journal(&written.delivery.mode.key, "delivery.mode", "queued", instead);
        }
    }

    fn needs_journal(&mut self, key: &Key, name: &str, word: &str, instead: &str) {
        if self.raw.journal.is_some() {
            return;
        }
        let whose = key.preset().map_or_else(String::new, |preset| format!(" (from the preset `{preset}`)"));
        let message = format!("`{name} = \"{word}\"`{whose} needs a journal, and there is none");
        let help = format!(
            "add `[journal]` with `path = \"hooksieve.db\"`, or write {instead} for `{}.{name}`",
            self.written.at.path()
        );
        self.error(key, message, help);
    }

    /// A sender that takes errors amiss should not be told of every event that does not conform.
    fn punished(&mut self, key: &Key) {
        let punishes = self.preset.and_then(|preset| preset.punishes_errors.as_ref());
        if let Some(punishes) = punishes {
            let message = format!("this answers authentic requests with 422, and {}", punishes.value);
            self.warn(key, message, "write \"quarantine\", \"drop\" or \"forward\"");
        }
    }
}
