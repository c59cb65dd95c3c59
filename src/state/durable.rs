//! Claims that survive a restart: in memory, and settled ones in the journal, too.
//!
//! A repeat that comes after a crash is a duplicate if, and only if, there is evidence of its event in the journal (I1,
//! I2). What was queued has it there before anybody was told; what was delivered at once has it written behind the
//! answer. A crash within that moment costs one delivery more, never one less (I6).
//!
//! What is to be delivered from the journal is known there for as long as that takes, also beyond its window (D-40).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    clock::Now,
    stages::words::Refusal,
    state::{
        StoreFuture, at_once,
        claims::{ClaimStats, ClaimStore, Claimed, Evidence, Standing, Token},
        journal::{JournalError, JournalStore, Settled},
        key::{Digest, EventKey},
        memory::MemoryClaims,
    },
};

/// A [`ClaimStore`] in the memory of this process that remembers through a journal.
#[derive(Debug)]
pub struct DurableClaims {
    memory: MemoryClaims,
    journal: Arc<dyn JournalStore>,
}

impl DurableClaims {
    /// A store of at most `capacity` settled keys, with those that the journal has, the newest if there are more.
    pub async fn load(journal: Arc<dyn JournalStore>, capacity: u64, now: Now) -> Result<Self, JournalError> {
        let memory = MemoryClaims::new(capacity);
        let remembered = journal.remembered(usize::try_from(capacity).unwrap_or(usize::MAX), now).await?;
        memory.restore(remembered.into_iter().rev(), now);
        Ok(Self { memory, journal })
    }
}

impl ClaimStore for DurableClaims {
    fn claim(&self, key: EventKey, digest: Digest, lease: Duration, now: Instant) -> StoreFuture<'_, Claimed<Token>> {
        if let Some(pending) = self.journal.pending(&key) {
            return at_once(self.memory.met(pending, digest));
        }
        if self.journal.is_void(&key) {
            self.memory.forget(&key);
        }
        self.memory.claim(key, digest, lease, now)
    }

    fn settle(
        &self,
        key: EventKey,
        token: Token,
        evidence: Evidence,
        window: Duration,
        now: Now,
    ) -> StoreFuture<'_, Standing> {
        at_once(self.memory.conclude(key, token, window, now, |digest| match evidence {
            Evidence::Delivered => self.journal.remember(Settled { key, digest, until: now.wall + window }),
            // It was written with the event.
            Evidence::Journaled => {}
        }))
    }

    fn give_back(&self, key: EventKey, token: Token, failure: Option<Refusal>) -> Standing {
        self.memory.give_back(key, token, failure)
    }

    fn stats(&self) -> ClaimStats {
        self.memory.stats()
    }
}
