//! The journal as the gateway, the dispatcher and the operator's commands share it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time::timeout};
use tokio_util::task::TaskTracker;

use crate::{
    clock::Now,
    state::journal::{Appended, EntryId, Group, JournalError, JournalStore, Replay},
};

/// A journal, and whoever waits for news of it. Clones share both.
#[derive(Clone, Debug)]
pub struct Journal {
    store: Arc<dyn JournalStore>,
    keeps_bodies: bool,
    tasks: TaskTracker,
    news: Arc<watch::Sender<()>>,
    troubled: Arc<AtomicBool>,
}

impl Journal {
    /// Puts an engine to use. `keeps_bodies` says whether the bytes of delivered events are kept, too; what nobody
    /// waits for any more ends in `tasks`.
    #[must_use]
    pub fn new(store: Arc<dyn JournalStore>, keeps_bodies: bool, tasks: TaskTracker) -> Self {
        Self { store, keeps_bodies, tasks, news: Arc::new(watch::Sender::new(())), troubled: Arc::default() }
    }

    /// Waits for `work`, but no longer than `patience`: then it goes on without anybody waiting for it.
    pub(super) async fn within<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let mut work = Box::pin(work);
        let done = timeout(patience, &mut work).await.ok();
        if done.is_none() {
            self.tasks.spawn(work);
        }
        done
    }

    /// The engine, for everything that brings no new work.
    #[must_use]
    pub fn store(&self) -> &dyn JournalStore {
        &*self.store
    }

    /// Whether the bytes of delivered events are kept (`journal.bodies = "all"`).
    #[must_use]
    pub const fn keeps_bodies(&self) -> bool {
        self.keeps_bodies
    }

    /// Writes a group, and wakes the dispatcher once it is safe. Trouble is logged when it begins and when it ends.
    pub async fn append(&self, group: Group, now: Now) -> Result<Vec<Appended>, JournalError> {
        let appended = self.store.append(group, now).await;
        match &appended {
            Ok(_) => {
                if self.troubled.swap(false, Ordering::Relaxed) {
                    tracing::info!("the journal takes events again");
                }
                self.wake();
            }
            Err(error) => {
                if !self.troubled.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "the journal takes no events: senders are answered 503");
                }
            }
        }
        appended
    }

    /// Makes an entry pending again, and wakes the dispatcher. `again`: also one that was delivered.
    pub async fn replay(&self, entry: EntryId, again: bool, now: Now) -> Result<Replay, JournalError> {
        let replay = self.store.replay(entry, again, now).await?;
        self.wake();
        Ok(replay)
    }

    /// Gives an entry up, and wakes the dispatcher: what had to come after it may be due.
    pub async fn discard(&self, entry: EntryId, now: Now) -> Result<bool, JournalError> {
        let discarded = self.store.discard(entry, now).await?;
        self.wake();
        Ok(discarded)
    }

    /// Tells those who wait that there may be something to deliver.
    pub fn wake(&self) {
        self.news.send_replace(());
    }

    /// Where to wait for that.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }
}
