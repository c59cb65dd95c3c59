//! How a journal is kept, in the words of the operator.

use std::{path::PathBuf, time::Duration};

/// How a journal is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file.
    pub path: PathBuf,
    /// For how long what is done with is kept: delivered, given up, or only noted.
    pub retention: Duration,
    /// Whether the bodies of delivered events are kept as long, so that they can be replayed.
    pub keep_bodies: bool,
    /// Bytes of the file, at most. From nine tenths on, events are refused.
    pub max_size: u64,
    /// Entries that wait for the application or for an operator, at most. From nine tenths on, events are refused.
    pub max_entries: u64,
    /// Below so many hundredths of free space on the disk, events are refused.
    pub min_free_percent: u8,
    /// Settled identities, at most; beyond that the oldest are forgotten.
    pub max_settled: u64,
}

impl Settings {
    /// The defaults, for a file.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            retention: Duration::from_hours(30 * 24),
            keep_bodies: false,
            max_size: 1 << 30,
            max_entries: 1_000_000,
            min_free_percent: 10,
            max_settled: 1_000_000,
        }
    }
}
