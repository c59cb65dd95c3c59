//! A dedup store that can be told to fail, and that can be watched.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures_util::future::Either;
use hooksieve::{
    clock::Now,
    stages::words::Refusal,
    state::{
        StoreError, StoreFuture,
        claims::{ClaimStats, ClaimStore, Claimed, Claims, Evidence, Standing, Token},
        key::{Digest, EventKey},
        memory::MemoryClaims,
    },
};
use tokio::sync::watch;

use super::soon;

#[derive(Debug)]
pub(crate) struct Store {
    memory: MemoryClaims,
    asked: watch::Sender<usize>,
    /// Whether it cannot claim.
    pub(crate) down: AtomicBool,
    /// Whether it cannot settle.
    pub(crate) full: AtomicBool,
}

impl Store {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            memory: MemoryClaims::new(1_000),
            asked: watch::Sender::new(0),
            down: AtomicBool::new(false),
            full: AtomicBool::new(false),
        })
    }

    pub(crate) fn claims(self: &Arc<Self>) -> Claims {
        Claims::new(self.clone())
    }

    /// Waits until this many claims were asked for: whoever did not get one waits in line by then.
    pub(crate) async fn asked(&self, count: usize) {
        soon(self.asked.subscribe().wait_for(|asked| *asked >= count)).await.unwrap();
    }
}

fn fails<'a, T>() -> StoreFuture<'a, T> {
    Either::Right(Box::pin(async { Err(StoreError("out of order".into())) }))
}

impl ClaimStore for Store {
    fn claim(&self, key: EventKey, digest: Digest, lease: Duration, now: Instant) -> StoreFuture<'_, Claimed<Token>> {
        let claimed = self.memory.claim(key, digest, lease, now);
        self.asked.send_modify(|asked| *asked += 1);
        if self.down.load(Relaxed) { fails() } else { claimed }
    }

    fn settle(
        &self,
        key: EventKey,
        token: Token,
        evidence: Evidence,
        window: Duration,
        now: Now,
    ) -> StoreFuture<'_, Standing> {
        if self.full.load(Relaxed) { fails() } else { self.memory.settle(key, token, evidence, window, now) }
    }

    fn give_back(&self, key: EventKey, token: Token, failure: Option<Refusal>) -> Standing {
        self.memory.give_back(key, token, failure)
    }

    fn stats(&self) -> ClaimStats {
        self.memory.stats()
    }
}
