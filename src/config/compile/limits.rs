//! Budgets.

use std::{num::NonZeroU32, sync::Arc};

use super::Context;
use crate::{
    config::{
        At, Rate,
        raw::{ClientLimit, events},
    },
    gateway::source,
    state::limits::{Limit, Period, SourceLimit},
};

/// The budget of failed requests per client, and whether private peers have it.
pub(super) fn client(written: &ClientLimit) -> (Limit, bool) {
    let burst = NonZeroU32::new(written.burst.value.0).unwrap_or(NonZeroU32::MIN);
    (Limit { rate: rate(&written.rate), burst }, written.apply_to_private.value)
}

impl Context<'_> {
    /// A source's own limit.
    pub(super) fn limit(&mut self, written: &events::Limit) -> Option<source::Limit> {
        let rate = rate(&written.rate);
        let burst = written.burst.as_ref().and_then(|burst| NonZeroU32::new(burst.value.0)).unwrap_or(rate.count);
        let by = self.selectors(&written.by)?;
        let buckets = Arc::new(SourceLimit::new(Limit { rate, burst }, self.surroundings.now));
        Some(source::Limit { buckets, by })
    }
}

fn rate(written: &At<Rate>) -> crate::state::limits::Rate {
    let per = match written.value.per.as_secs() {
        0 | 1 => Period::Second,
        2..=60 => Period::Minute,
        _ => Period::Hour,
    };
    crate::state::limits::Rate { count: NonZeroU32::new(written.value.count).unwrap_or(NonZeroU32::MIN), per }
}
