//! How often an event was tried before, and when it was first received (D-24). Only failures are remembered, so in
//! good times this is empty.

use std::time::Duration;

use jiff::Timestamp;
use moka::sync::Cache;

use crate::state::key::EventKey;

/// Events whose failed attempts are remembered.
const REMEMBERED_MAX: u64 = 100_000;

/// How long they are: longer than senders retry.
const REMEMBERED_FOR: Duration = Duration::from_hours(72);

/// The failed attempts of undelivered events.
#[derive(Debug)]
pub(crate) struct Attempts(Cache<EventKey, Earlier>);

/// What went before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Earlier {
    /// Failed attempts.
    pub(crate) count: u32,
    /// When the event was first received.
    pub(crate) first_received: Timestamp,
}

impl Default for Attempts {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(REMEMBERED_MAX).time_to_live(REMEMBERED_FOR).build())
    }
}

impl Attempts {
    /// What is known of an event that was received now.
    pub(crate) fn earlier(&self, key: &EventKey, received: Timestamp) -> Earlier {
        self.0.get(key).unwrap_or(Earlier { count: 0, first_received: received })
    }

    /// Notes how one more attempt ended. What others noted since it began still counts: one that comes late turns
    /// nothing back.
    pub(crate) fn note(&self, key: &EventKey, earlier: &Earlier, delivered: bool) {
        if !delivered {
            let known = self.earlier(key, earlier.first_received);
            let first_received = known.first_received.min(earlier.first_received);
            self.0.insert(*key, Earlier { count: known.count.saturating_add(1), first_received });
        } else if earlier.count > 0 {
            self.0.invalidate(key);
        }
    }
}
