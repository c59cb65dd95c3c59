//! W3C trace context for what is forwarded: version 00, a trace id, a parent id, sampled.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

/// Makes trace ids that do not repeat within a process and are not to be guessed from outside. They identify; they
/// protect nothing.
#[derive(Debug, Default)]
pub(super) struct TraceIds {
    high: RandomState,
    low: RandomState,
    next: AtomicU64,
}

impl TraceIds {
    /// The next `traceparent`.
    pub(super) fn next(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (high, low) = (self.high.hash_one(number), self.low.hash_one(number));
        format!("00-{high:016x}{low:016x}-{:016x}-01", high ^ low.rotate_left(32) | 1)
    }
}
