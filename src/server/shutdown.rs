//! The end of a process in two steps: stop taking work, then stop waiting for it.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long answers given at the very end may take to reach the wire.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Shared by everything that runs: the tasks to wait for, and the two signals.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Every task whose work must not be torn in half: connections, journeys, drained answers.
    pub tasks: TaskTracker,
    /// No new connections; requests under way are finished, with `connection: close`.
    pub stop: CancellationToken,
    /// What is still under way is answered 503 and given up.
    pub abandon: CancellationToken,
}

impl Shutdown {
    /// Nothing is stopping.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops, and waits for the work under way. Whether all of it ended within `within`.
    pub async fn drain(&self, within: Duration) -> bool {
        self.stop.cancel();
        self.tasks.close();
        if timeout(within, self.tasks.wait()).await.is_ok() {
            return true;
        }
        self.abandon.cancel();
        timeout(LAST_WORDS, self.tasks.wait()).await.is_ok()
    }
}
