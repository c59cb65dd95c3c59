//! The names under which the stores remember things. Each is a SHA-256, so it has the same size whatever a sender puts
//! into an identifier, and nothing is ever cut off, folded or trimmed.

use std::{collections::HashMap, fmt, iter, net::IpAddr};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

/// The SHA-256 of an event's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Hashes the bytes of one event.
    #[must_use]
    pub fn of(event: &[u8]) -> Self {
        Self(Sha256::digest(event).into())
    }

    /// As it was read back from a journal.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The identity of an event within the whole gateway.
///
/// It is the SHA-256 of the source's name and the parts of the identity, each after its length: two keys are equal only
/// if the source and every part are equal, byte for byte, and parts cannot run into each other.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventKey([u8; 32]);

impl EventKey {
    /// The identity that the sender gave an event. `parts` are the values of `events.id`, in the order of the
    /// configuration; there is at least one.
    #[must_use]
    pub fn new<'a>(source: &'a str, parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut parts = parts.into_iter().peekable();
        debug_assert!(parts.peek().is_some(), "an identity without parts would be shared by all events of the source");
        Self(hash("event", iter::once(source.as_bytes()).chain(parts)))
    }

    /// The identity of an event that has none of its own: its bytes (`dedup.on_missing = "digest"`, R-17).
    #[must_use]
    pub fn of_bytes(source: &str, digest: &Digest) -> Self {
        Self(hash("event bytes", [source.as_bytes(), digest.as_bytes()]))
    }

    /// The identity of an event whose own identity was taken by other bytes.
    #[must_use]
    pub fn with_digest(&self, digest: &Digest) -> Self {
        Self(hash("event conflict", [self.as_bytes().as_slice(), digest.as_bytes()]))
    }

    /// As it was read back from a journal.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The identity as the application gets to see it in `webhook-id`: the same on every attempt, across restarts and
    /// replicas (D-24). Letters, digits and one underscore; no dot, because Standard Webhooks joins with dots.
    #[must_use]
    pub fn webhook_id(&self) -> String {
        let mut id = String::with_capacity(4 + 40);
        id.push_str("evt_");
        HEXLOWER.encode_append(&self.0[..20], &mut id);
        id
    }

    /// The bytes of the identity that a [`webhook_id`](Self::webhook_id) shows, if it is one.
    #[must_use]
    pub fn shown(webhook_id: &str) -> Option<[u8; 20]> {
        let bytes = HEXLOWER.decode(webhook_id.strip_prefix("evt_")?.as_bytes()).ok()?;
        bytes.try_into().ok()
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Something for each of many identities. They are SHA-256 already, so a quick hash with a seed of the process's own spreads
/// them well enough.
pub type KeyMap<T> = HashMap<EventKey, T, foldhash::quality::RandomState>;

/// What events must not overtake each other for: the values of `delivery.ordered`, within one source.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OrderKey([u8; 32]);

impl OrderKey {
    /// The order of a source's events that have these values. `parts` are in the order of the configuration; an absent
    /// value counts as an empty one.
    #[must_use]
    pub fn new<'a>(source: &'a str, parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self(hash("order", iter::once(source.as_bytes()).chain(parts)))
    }

    /// As it was read back from a journal.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The name of one bucket within a limit.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BucketKey([u8; 32]);

impl BucketKey {
    /// The one bucket of a limit that is not divided (`limit.by = []`).
    pub const WHOLE: Self = Self([0; 32]);

    /// The bucket for these values of the selectors in `limit.by`, in the order of the configuration.
    #[must_use]
    pub fn new<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self(hash("bucket", parts))
    }

    /// The bucket for a client's failures: its IPv4 address, however that is spelled, or the /64 of its IPv6 address,
    /// because a whole /64 is what one customer gets.
    #[must_use]
    pub fn of_client(address: IpAddr) -> Self {
        let mut key = [0; 32];
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                key[0] = 4;
                key[1..5].copy_from_slice(&v4.octets());
            }
            IpAddr::V6(v6) => {
                key[0] = 6;
                key[1..9].copy_from_slice(&v6.octets()[..8]);
            }
        }
        Self(key)
    }
}

/// SHA-256 over `tag` and `parts`, each after its length. No two different lists make the same string of bytes.
fn hash<'a>(tag: &'a str, parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in iter::once(tag.as_bytes()).chain(parts) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.webhook_id())
    }
}

impl fmt::Debug for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for BucketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn key(source: &str, parts: &[&[u8]]) -> EventKey {
        EventKey::new(source, parts.iter().copied())
    }

    /// All of these are different events.
    fn check_distinct(identities: &[(&str, &[&[u8]])]) {
        let keys: HashSet<_> = identities.iter().map(|(source, parts)| key(source, parts)).collect();
        assert_eq!(keys.len(), identities.len(), "{identities:?}");
        let ids: HashSet<_> = keys.iter().map(EventKey::webhook_id).collect();
        assert_eq!(ids.len(), identities.len(), "{identities:?}");
    }

    #[test]
    fn r_18_same_id_two_sources() {
        check_distinct(&[("a", &[b"evt_1"]), ("b", &[b"evt_1"]), ("ae", &[b"vt_1"]), ("", &[b"aevt_1"])]);
    }

    #[test]
    fn r_21_huge_ids_are_not_cut_off() {
        let long = |last: u8| [vec![b'x'; 256], vec![last]].concat();
        let huge = |last: u8| [vec![b'x'; 64 * 1024], vec![last]].concat();
        check_distinct(&[
            ("s", &[&long(b'1')]),
            ("s", &[&long(b'2')]),
            ("s", &[&[b'x'; 256]]),
            ("s", &[&huge(b'1')]),
            ("s", &[&huge(b'2')]),
        ]);
    }

    #[test]
    fn r_22_near_equal_ids() {
        check_distinct(&[
            ("s", &[b"evt_1"]),
            ("s", &[b"EVT_1"]),
            ("s", &[b"evt_1 "]),
            ("s", &[b"evt_1\0"]),
            ("s", &["é".as_bytes()]),
            ("s", &["e\u{301}".as_bytes()]),
        ]);
    }

    #[test]
    fn r_22_parts_do_not_run_into_each_other() {
        check_distinct(&[
            ("s", &[b"ab", b"c"]),
            ("s", &[b"a", b"bc"]),
            ("s", &[b"abc"]),
            ("s", &[b"abc", b""]),
            ("s", &[b"", b"abc"]),
            ("s", &[b"a", b"b", b"c"]),
            ("s", &[b"c", b"ab"]),
            ("s", &[b"\0\0\0\0\0\0\0\x01a"]),
        ]);
    }

    #[test]
    fn r_25_a_conflict_has_an_identity_of_its_own() {
        let (first, second) = (Digest::of(b"{\"a\":1}"), Digest::of(b"{\"a\":2}"));
        let plain = key("s", &[b"evt_1"]);
        let keys = HashSet::from([
            plain,
            plain.with_digest(&first),
            plain.with_digest(&second),
            key("s", &[plain.as_bytes(), first.as_bytes()]),
            EventKey::of_bytes("s", &first),
            key("s", &[first.as_bytes()]),
        ]);
        assert_eq!(keys.len(), 6);
        assert_eq!(plain.with_digest(&first), plain.with_digest(&Digest::of(b"{\"a\":1}")));
    }

    #[test]
    fn d_24_the_application_sees_a_stable_identity() {
        // A change of these values makes every application see every event once more after an upgrade.
        let cases = [
            (key("shop", &[b"evt_1"]), "evt_bf33e74b2edab8324a0162ddd23cd8e230a4365d"),
            (EventKey::of_bytes("shop", &Digest::of(b"{}")), "evt_70262e9add5ca041c7c9927d8aeb37274f72c42a"),
            (key("shop", &[b"evt_1"]).with_digest(&Digest::of(b"{}")), "evt_525a977c13ef3a6b0e144c8e5343b1010e5a8b9e"),
        ];
        for (key, id) in cases {
            assert_eq!(key.webhook_id(), id);
            assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
        }
    }

    #[test]
    fn buckets_are_as_distinct_as_events() {
        let bucket = |parts: &[&[u8]]| BucketKey::new(parts.iter().copied());
        let keys = HashSet::from([
            BucketKey::WHOLE,
            bucket(&[]),
            bucket(&[b""]),
            bucket(&[b"ab", b"c"]),
            bucket(&[b"a", b"bc"]),
            bucket(&[b"abc"]),
        ]);
        assert_eq!(keys.len(), 6);
    }
}
