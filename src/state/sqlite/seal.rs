//! Checksums of rows, so that a damaged one is found before it is delivered, and affects only itself (D-31, I8). They tell
//! of accidents, not of people: whoever may write to the file could write a checksum, too, whatever that is.

use smallvec::SmallVec;
use twox_hash::XxHash3_64;

/// Bytes of a value from which on its hash stands for it, so that a body is not copied.
const LONG: usize = 128;

/// A checksum in the making: the XXH3 of tagged values, each with its length
/// (<https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>).
pub(super) struct Seal(SmallVec<[u8; 512]>);

impl Seal {
    /// Starts one. `table` sets the checksums of different tables apart.
    pub(super) fn of(table: &str) -> Self {
        Self(SmallVec::new()).text(table)
    }

    /// A number.
    pub(super) fn int(mut self, value: i64) -> Self {
        self.add(1, &value.to_be_bytes());
        self
    }

    /// Bytes.
    pub(super) fn bytes(mut self, value: &[u8]) -> Self {
        let length = (value.len() as u64).to_be_bytes();
        if value.len() < LONG {
            self.add(2, &length);
            self.0.extend_from_slice(value);
        } else {
            self.add(3, &length);
            self.0.extend_from_slice(&XxHash3_64::oneshot(value).to_be_bytes());
        }
        self
    }

    /// A text.
    pub(super) fn text(self, value: &str) -> Self {
        self.bytes(value.as_bytes())
    }

    /// A value that may be absent.
    pub(super) fn option<T>(mut self, value: Option<T>, seal: impl FnOnce(Self, T) -> Self) -> Self {
        let Some(value) = value else {
            self.0.push(0);
            return self;
        };
        seal(self, value)
    }

    /// The checksum, as SQLite keeps numbers.
    pub(super) fn finish(self) -> i64 {
        XxHash3_64::oneshot(&self.0).cast_signed()
    }

    fn add(&mut self, tag: u8, value: &[u8]) {
        self.0.push(tag);
        self.0.extend_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn row(values: &[&[u8]]) -> i64 {
        values.iter().fold(Seal::of("row"), |seal, value| seal.bytes(value)).finish()
    }

    #[test]
    fn values_do_not_run_into_each_other() {
        let absent = Seal::of("row").option(None, Seal::int).finish();
        let zero = Seal::of("row").option(Some(0), Seal::int).finish();
        let seals = [row(&[]), row(&[b""]), row(&[b"ab", b"c"]), row(&[b"a", b"bc"]), row(&[b"abc"]), absent, zero];
        assert_eq!(HashSet::from(seals).len(), seals.len());
    }

    #[test]
    fn d_31_any_flipped_bit_is_found() {
        for length in [1, LONG - 1, LONG, 1024] {
            let body = vec![0x5a; length];
            let right = row(&[&body]);
            for bit in 0..length * 8 {
                let mut damaged = body.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert_ne!(row(&[&damaged]), right, "bit {bit} of {length} bytes");
            }
        }
    }

    /// The number is that of another implementation, over the same bytes.
    #[test]
    fn what_was_written_once_can_be_read_for_good() {
        assert_eq!(row(&[b"abc", &[0x5a; 1024]]), 3_877_406_091_006_022_785);
    }
}
