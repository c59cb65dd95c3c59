//! The history of a run with real processes, as far as those outside of them can know it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, OnceLock},
    time::{Duration, Instant},
};

use crate::history::{Attempt, Event, History, Kept, Step};

/// What senders, application and the one who kills write down.
pub(crate) struct Chronicle {
    begun: Instant,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    steps: Vec<(Duration, Step)>,
    requests: Vec<Vec<Event>>,
    /// The first request with an event, by the event's bytes.
    first: BTreeMap<String, usize>,
    /// Events that are known to be in the journal.
    kept: BTreeSet<String>,
    /// Events that may have come in while this process lives, without anybody having heard what became of them.
    unknown: BTreeSet<String>,
    attempts: usize,
    /// Bodies by the identity that the application saw.
    named: BTreeMap<String, String>,
    /// How many processes there have been.
    life: usize,
}

/// How a request was answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    /// How many events have this verdict.
    fn count(&self, verdict: &str) -> usize {
        let value = self.body.split(&format!("\"{verdict}\":")).nth(1).unwrap_or("0");
        value.split([',', '}']).next().unwrap().parse().unwrap()
    }
}

impl Chronicle {
    pub(crate) fn new() -> Self {
        Self { begun: Instant::now(), inner: Mutex::default() }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inner, Duration) -> T) -> T {
        let mut inner = self.inner.lock().unwrap();
        let now = self.begun.elapsed();
        change(&mut inner, now)
    }

    /// A sender begins with a request; its number.
    pub(crate) fn sends(&self, events: &[Event]) -> usize {
        self.with(|inner, now| {
            let request = inner.requests.len();
            inner.requests.push(events.to_vec());
            for event in events {
                inner.first.entry(event.bytes.clone()).or_insert(request);
            }
            inner.steps.push((now, Step::Received { request, events: events.to_vec(), rejected: false }));
            request
        })
    }

    /// A sender heard.
    pub(crate) fn hears(&self, request: usize, answer: &Answer) {
        self.with(|inner, now| {
            match answer.status {
                ..300 => inner.accepted(request, answer, now),
                // It may be there all the same: where the disk is slow, and the sender was not to wait (D-57).
                _ => inner.unheard(request),
            }
            inner.steps.push((now, Step::Answered { request, status: answer.status }));
        });
    }

    /// A sender will never know.
    pub(crate) fn hears_nothing(&self, request: usize) {
        self.with(|inner, _| inner.unheard(request));
    }

    /// The application got something; the number of the attempt and of the process that made it.
    pub(crate) fn arrives(&self, head: &dyn Fn(&str) -> String, body: String) -> (usize, usize) {
        self.with(|inner, now| {
            let attempt = Attempt {
                request: inner.first.get(&body).copied().unwrap_or(usize::MAX),
                body,
                webhook_id: head("webhook-id"),
                idempotency_key: head("idempotency-key"),
                number: head("hooksieve-attempt").parse().unwrap(),
                received_at: head("hooksieve-received-at"),
            };
            inner.named.insert(attempt.webhook_id.clone(), attempt.body.clone());
            inner.steps.push((now, Step::Sent(attempt)));
            inner.attempts += 1;
            (inner.attempts - 1, inner.life)
        })
    }

    /// The application has answered, unless whoever asked is gone.
    pub(crate) fn ended(&self, (attempt, life): (usize, usize), delivered: bool) {
        self.with(|inner, now| {
            if inner.life == life {
                inner.steps.push((now, Step::Ended { attempt, delivered }));
            }
        });
    }

    /// The process was killed, and left these bodies in the journal.
    pub(crate) fn killed(&self, found: impl IntoIterator<Item = String>) {
        self.with(|inner, now| {
            let new: Vec<_> = found.into_iter().filter(|body| !inner.kept.contains(body)).collect();
            inner.keep(new, now);
            inner.unknown.clear();
            inner.life += 1;
            inner.steps.push((now, Step::Crashed));
        });
    }

    /// The body with the identity that the application saw.
    pub(crate) fn named(&self, webhook_id: &str) -> Option<String> {
        self.with(|inner, _| inner.named.get(webhook_id).cloned())
    }

    /// How many events were accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.with(|inner, _| inner.kept.len())
    }

    /// Everything, when nothing is left to be done.
    pub(crate) fn history(&self) -> History {
        History {
            lease: Duration::from_mins(1),
            window: Duration::from_hours(24),
            is_queued: true,
            is_ordered: false,
            is_over: true,
            steps: self.with(|inner, _| inner.steps.clone()),
            index: OnceLock::new(),
        }
    }
}

impl Inner {
    /// All events of a request are safe, it says: those that it calls queued are in the journal from now on. What it calls
    /// duplicates was there before; of these some may come from a request of which nobody heard.
    fn accepted(&mut self, request: usize, answer: &Answer, now: Duration) {
        let events: Vec<_> = self.requests[request].iter().map(|event| event.bytes.clone()).collect();
        let (unheard, new): (Vec<_>, Vec<_>) =
            events.into_iter().filter(|it| !self.kept.contains(it)).partition(|it| self.unknown.contains(it));
        if new.len() <= answer.count("queue") {
            self.keep(new, now);
        }
        self.keep(unheard, now);
    }

    fn unheard(&mut self, request: usize) {
        let bodies: Vec<_> = self.requests[request].iter().map(|event| event.bytes.clone()).collect();
        self.unknown.extend(bodies);
    }

    fn keep(&mut self, bodies: Vec<String>, now: Duration) {
        self.kept.extend(bodies.iter().cloned());
        let kept = |body| Kept { body, is_aside: false, is_new: true, is_late: false };
        let kept: Vec<_> = bodies.into_iter().map(kept).collect();
        if !kept.is_empty() {
            self.steps.push((now, Step::Kept(kept)));
        }
    }
}
