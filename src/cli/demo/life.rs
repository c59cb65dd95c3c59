//! The gateway of the show, from a start to its end; and the folder that outlives it.

use std::{
    env,
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::time::{sleep, timeout};

use super::{super::wire::Door, load, sample};
use crate::{
    app::{Ground, Running},
    clock::SystemClock,
    config::Environment,
};

/// How long a queued event may take to arrive.
const QUEUED_MAX: Duration = Duration::from_secs(10);

/// A gateway that runs.
pub(super) struct Life {
    pub(super) running: Running,
    /// Where senders reach it.
    pub(super) door: Door,
    ground: Ground,
}

impl Life {
    pub(super) async fn begin(environment: &Environment) -> Result<Self, String> {
        let mut ground = Ground::new(Arc::new(SystemClock));
        let compiled = load(environment, &mut |name, settings| ground.connect(name, settings))?;
        ground.open(&compiled).await.map_err(|error| error.to_string())?;
        let running = Running::start(compiled, &ground).await.map_err(|error| error.to_string())?;
        let door = Door::of(running.listen.first().ok_or("the configuration listens nowhere")?);
        Ok(Self { running, door, ground })
    }

    /// Ends as `run` does when it is told to.
    pub(super) async fn end(self) {
        self.running.drain().await;
    }

    /// Waits until nothing is queued any more.
    pub(super) async fn settled(&self) {
        let pending = || self.ground.journal.as_ref().map_or(0, |journal| journal.store().stats().pending);
        self.until(|| pending() == 0).await;
    }

    /// Waits for something. What does not come in time is missing in the line that is shown.
    pub(super) async fn until(&self, holds: impl Fn() -> bool) {
        let waiting = async {
            while !holds() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        let _ = timeout(QUEUED_MAX, waiting).await;
    }
}

/// A folder of the show's own, which goes with it.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Result<Self, String> {
        let path = env::temp_dir().join(format!("hooksieve-demo-{}", sample::random()?));
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| format!("no folder for the journal: {}: {error}", path.display()))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Whoever cleans the place for temporary files finds what is left.
        let _ = fs::remove_dir_all(&self.0);
    }
}
