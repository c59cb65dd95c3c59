//! One attempt at a queued event, and its mark in the journal.

use std::{sync::Arc, time::Duration};

use super::{
    Shared,
    backoff::{Failure, Next, Retry, fraction},
};
use crate::{
    clock::Now,
    fault,
    gateway::{ledger::tried, source::Target},
    stages::vouch::Letter,
    state::journal::{EntryId, Leased, Mark},
    upstream::{Attempt, Outbound},
};

/// How long an event waits that found its upstream at its limit.
const FULL: Duration = Duration::from_secs(1);

/// Pauses between attempts to write a mark.
const MARK_PAUSE: Duration = Duration::from_millis(100);
const MARK_PAUSE_MAX: Duration = Duration::from_secs(5);

/// What an attempt says about the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// It answered, and took the event.
    Took,
    /// It answered, and did not want this event.
    Refused,
    /// It did not answer, or said that it cannot work.
    Unwell,
    /// It was not asked.
    Nothing,
}

impl Sign {
    fn of(attempt: &Attempt) -> Self {
        match attempt {
            Attempt::Delivered(_) => Self::Took,
            // 429 (RFC 6585, section 4) is about the application, not about the event.
            Attempt::Refused { status, .. } if status.is_server_error() || status.as_u16() == 429 => Self::Unwell,
            Attempt::Refused { .. } => Self::Refused,
            Attempt::Ambiguous { .. } | Attempt::NotSent { .. } => Self::Unwell,
            Attempt::Full => Self::Nothing,
        }
    }
}

impl Shared {
    /// Delivers an event and remembers what became of it.
    pub(super) async fn attempt(self: Arc<Self>, leased: Leased, target: Arc<Target>, retry: Arc<Retry>) -> Sign {
        let began = self.clock.now();
        let attempt = match &leased.entry.kept {
            Some(_) => {
                fault::point("dispatch.before_send");
                target.upstream.deliver(outbound(&leased, &target, began)).await
            }
            None => Attempt::Full,
        };
        let sign = Sign::of(&attempt);
        let mark = self.judge(&leased, &attempt, &retry, began);
        if let Mark::Dead(_, reason) = &mark {
            self.report_dead(&leased, &target, reason);
        }
        fault::point("dispatch.before_mark");
        self.mark(leased.id, mark).await;
        fault::point("dispatch.after_mark");
        if leased.entry.kept.is_some_and(|kept| kept.order.is_some()) {
            // The next of its order may be another upstream's, whose lane sleeps.
            self.journal.wake();
        }
        sign
    }

    /// What an attempt means for the event.
    fn judge(&self, leased: &Leased, attempt: &Attempt, retry: &Retry, began: Now) -> Mark {
        if leased.entry.kept.is_none() {
            return Mark::Dead(None, "its bytes are not kept".to_owned());
        }
        let now = self.clock.now();
        let took = now.steady.saturating_duration_since(began.steady);
        let random = (self.random)();
        let Some(tried) = tried(attempt, leased.attempts + 1, began.wall, took) else {
            return Mark::Postponed(fraction(FULL, random));
        };
        let wish = match attempt {
            Attempt::Delivered(_) => return Mark::Delivered(tried),
            Attempt::Refused { retry_after, .. } => retry_after.map(|wish| wish.wait(now.wall)),
            Attempt::Ambiguous { .. } | Attempt::Full | Attempt::NotSent { .. } => None,
        };
        let (attempts, age, status) = (leased.attempts_in_a_row + 1, leased.age + took, tried.status);
        match retry.next(Failure { attempts, age, status, wish }, random) {
            Next::Again(pause) => Mark::Retry(tried, pause),
            Next::GiveUp(reason) => Mark::Dead(Some(tried), reason),
        }
    }

    fn report_dead(&self, leased: &Leased, target: &Target, reason: &str) {
        self.telemetry.metrics.queue(&target.name).dead.inc();
        let (entry, attempts) = (&leased.entry, leased.attempts + 1);
        let event_type = entry.event_type.as_deref().map(crate::telemetry::printable);
        tracing::error!(
            entry = leased.id.0,
            source = &*entry.source,
            upstream = &*target.name,
            webhook_id = entry.key.webhook_id(),
            event_type = event_type.as_deref(),
            attempts,
            reason,
            "an event is given up; it stays in the journal as dead"
        );
    }

    /// Writes a mark, as often as it takes: until it is written nobody else takes up the event (D-51).
    pub(super) async fn mark(&self, entry: EntryId, mark: Mark) {
        let mut pause = MARK_PAUSE;
        while let Err(error) = self.journal.store().mark(entry, mark.clone(), self.clock.now()).await {
            if pause == MARK_PAUSE {
                tracing::warn!(entry = entry.0, %error, "what became of an event cannot be written yet");
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MARK_PAUSE_MAX);
        }
    }
}

/// The request to the application.
fn outbound(leased: &Leased, target: &Target, now: Now) -> Outbound {
    let entry = &leased.entry;
    let kept = entry.kept.as_ref().expect("it was asked for before");
    let letter = Letter {
        id: &entry.key.webhook_id(),
        source: &entry.source,
        event_type: entry.event_type.as_deref(),
        strength: kept.strength,
        key: &kept.secret,
        attempt: leased.attempts + 1,
        received_at: entry.received_at,
        batch: kept.batch,
        traceparent: &entry.traceparent,
        content_type: &kept.content_type,
        passing: &kept.headers,
    };
    let headers = target.voucher.headers(&letter, &kept.body, now.wall);
    Outbound { headers, body: kept.body.clone(), within: target.timeout, relay: false }
}
