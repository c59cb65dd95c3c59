//! The keys that senders publish, kept for a while. However many requests want a document, and whatever they name, it is
//! fetched once at a time and seldom: a stranger must not be able to make the gateway hammer a sender's server.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use super::{Failure, Fetch};
use crate::stages::schemes::{
    key_set::KeySet,
    published::{Errand, Wanted},
};

/// A document younger than this is not asked for again, unless it lacks a key that is wanted.
pub const FRESH: Duration = Duration::from_mins(15);

/// A document is used for so long while its server is out of reach (W-53).
pub const KEPT: Duration = Duration::from_hours(24);

/// Between two looks at one document: for a key that it lacks, and for a server that does not answer.
pub const COOL_DOWN: Duration = Duration::from_secs(30);

/// Fetches of documents that were never good, for one source within a minute.
pub const FETCHES_MAX: usize = 20;
const MINUTE: Duration = Duration::from_mins(1);

/// Documents that are kept.
const DOCUMENTS_MAX: usize = 256;

/// Why there is no key for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The keys cannot be had now, so nobody can tell whether the request is right.
    Unavailable,
    /// The sender publishes no such key.
    Unknown,
}

/// Keys by the document they are in.
pub struct KeyStore {
    fetch: Arc<dyn Fetch>,
    documents: Mutex<HashMap<[u8; 32], Arc<Slot>>>,
    /// When documents were fetched for a source, within the last minute.
    fetches: Mutex<HashMap<Arc<str>, VecDeque<Instant>>>,
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyStore").field("documents", &lock(&self.documents).len()).finish_non_exhaustive()
    }
}

/// What is known of one document.
#[derive(Debug, Default)]
struct Slot {
    /// Held by the one who fetches.
    turn: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    /// The keys when they were last had, and when that was.
    good: Option<(Arc<KeySet>, Instant)>,
    /// When they were last asked for, and what went wrong.
    tried: Option<(Instant, Option<Missing>)>,
}

impl KeyStore {
    /// Knows nothing yet.
    pub fn new(fetch: Arc<dyn Fetch>) -> Self {
        Self { fetch, documents: Mutex::default(), fetches: Mutex::default() }
    }

    /// Visits an address of the sender's, where only the visit counts. It is no more often done than unknown keys are
    /// looked for: a captured request could be sent again and again.
    pub async fn visit(&self, source: &Arc<str>, errand: &Errand, now: Instant) -> Result<(), Failure> {
        if self.may_fetch(source, now) {
            self.fetch.fetch(errand).await.map(|_| ())
        } else {
            Err(Failure::Unavailable("too many visits within a minute".to_owned()))
        }
    }

    /// The document that a source's request wants: as it is known, or fetched now.
    pub async fn get(&self, source: &Arc<str>, wanted: &Wanted, now: Instant) -> Result<Arc<KeySet>, Missing> {
        let slot = self.slot(wanted);
        let key_id = wanted.key_id.as_deref();
        if let Some(answer) = slot.known().answer(key_id, now) {
            return answer;
        }
        let _turn = match slot.turn.try_lock() {
            Ok(turn) => turn,
            // Somebody is on the way: what is still good is good enough, and otherwise the answer is worth waiting for.
            Err(_) => match slot.known().usable(key_id, now) {
                Some(keys) => return Ok(keys),
                None => slot.turn.lock().await,
            },
        };
        if let Some(answer) = slot.known().answer(key_id, now) {
            return answer;
        }
        // A document that was good before is the sender's own; how often others are looked for is up to strangers.
        if slot.known().good.is_none() && !self.may_fetch(source, now) {
            return Err(Missing::Unavailable);
        }
        let outcome = self.read(source, wanted).await;
        let mut known = lock(&slot.known);
        known.note(outcome, now);
        known.usable(key_id, now).ok_or_else(|| known.missing())
    }

    async fn read(&self, source: &Arc<str>, wanted: &Wanted) -> Result<Arc<KeySet>, Missing> {
        let document = self.fetch.fetch(&wanted.errand).await;
        let keys = document.map_err(|failure| (failure.to_string(), failure.into())).and_then(|document| {
            KeySet::read(&document, &wanted.reading).map_err(|problem| (problem.to_owned(), Missing::Unavailable))
        });
        keys.map(Arc::new).map_err(|(problem, missing)| {
            tracing::warn!(source = &**source, from = ?wanted.errand.address, problem, "no keys of the sender");
            missing
        })
    }

    fn slot(&self, wanted: &Wanted) -> Arc<Slot> {
        let mut documents = lock(&self.documents);
        let identity = wanted.identity();
        if documents.len() >= DOCUMENTS_MAX && !documents.contains_key(&identity) {
            // The one that was good the longest ago, and first of all one that never was.
            let oldest = documents.iter().min_by_key(|(_, slot)| slot.known().good.map(|(_, at)| at));
            let oldest = oldest.map(|(identity, _)| *identity);
            oldest.map(|identity| documents.remove(&identity));
        }
        documents.entry(identity).or_default().clone()
    }

    fn may_fetch(&self, source: &Arc<str>, now: Instant) -> bool {
        let mut fetches = lock(&self.fetches);
        let recent = fetches.entry(source.clone()).or_default();
        while recent.front().is_some_and(|at| now.saturating_duration_since(*at) >= MINUTE) {
            recent.pop_front();
        }
        if recent.len() == FETCHES_MAX {
            return false;
        }
        recent.push_back(now);
        if recent.len() == FETCHES_MAX {
            tracing::warn!(source = &**source, "many unknown keys are looked for; no more are within this minute");
        }
        true
    }
}

impl Slot {
    fn known(&self) -> Known {
        lock(&self.known).clone()
    }
}

impl Known {
    /// The answer, where nothing has to be fetched for it.
    fn answer(&self, key_id: Option<&str>, now: Instant) -> Option<Result<Arc<KeySet>, Missing>> {
        let is_fresh = self.good.as_ref().is_some_and(|(_, at)| now.saturating_duration_since(*at) < FRESH);
        let usable = self.usable(key_id, now);
        let cools_down = self.tried.is_some_and(|(at, _)| now.saturating_duration_since(at) < COOL_DOWN);
        match usable {
            Some(keys) if is_fresh || cools_down => Some(Ok(keys)),
            None if cools_down => Some(Err(self.missing())),
            Some(_) | None => None,
        }
    }

    /// The document, if it is not too old and has the key.
    fn usable(&self, key_id: Option<&str>, now: Instant) -> Option<Arc<KeySet>> {
        let (keys, at) = self.good.as_ref()?;
        (now.saturating_duration_since(*at) < KEPT && keys.knows(key_id)).then(|| keys.clone())
    }

    /// Why a key is not there: because its document could not be had, or because it is not in it.
    fn missing(&self) -> Missing {
        self.tried.and_then(|(_, problem)| problem).unwrap_or(Missing::Unknown)
    }

    fn note(&mut self, outcome: Result<Arc<KeySet>, Missing>, now: Instant) {
        self.tried = Some((now, outcome.as_ref().err().copied()));
        if let Ok(keys) = outcome {
            self.good = Some((keys, now));
        }
    }
}

impl From<Failure> for Missing {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Absent(_) => Self::Unknown,
            Failure::Unavailable(_) => Self::Unavailable,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic while held")
}
