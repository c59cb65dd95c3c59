//! Checksums of rows, so that a damaged one is found before it is delivered, and affects only itself (D-31, I8).

use sha2::{Digest as _, Sha256};

/// A checksum in the making: the first eight bytes of a SHA-256 over tagged values, each after its length.
pub(super) struct Seal(Sha256);

impl Seal {
    /// Starts one. `table` sets the checksums of different tables apart.
    pub(super) fn of(table: &str) -> Self {
        Self(Sha256::new()).text(table)
    }

    /// A number.
    pub(super) fn int(mut self, value: i64) -> Self {
        self.0.update([1]);
        self.0.update(value.to_be_bytes());
        self
    }

    /// Bytes.
    pub(super) fn bytes(mut self, value: &[u8]) -> Self {
        self.0.update([2]);
        self.0.update((value.len() as u64).to_be_bytes());
        self.0.update(value);
        self
    }

    /// A text.
    pub(super) fn text(self, value: &str) -> Self {
        self.bytes(value.as_bytes())
    }

    /// A value that may be absent.
    pub(super) fn option<T>(mut self, value: Option<T>, seal: impl FnOnce(Self, T) -> Self) -> Self {
        let Some(value) = value else {
            self.0.update([0]);
            return self;
        };
        seal(self, value)
    }

    /// The checksum, as SQLite keeps numbers.
    pub(super) fn finish(self) -> i64 {
        let hash = self.0.finalize();
        i64::from_be_bytes(hash[..8].try_into().expect("a SHA-256 has 32 bytes"))
    }
}
