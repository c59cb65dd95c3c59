//! An entry as a row: written here, read back here, and found damaged here.

use std::{ops::RangeFrom, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, types::FromSql};

use super::{names::Names, seal::Seal};
use crate::{
    stages::{
        schemes::Strength,
        words::{Cause, Refusal, Verdict},
    },
    state::{
        journal::{Entry, Fault, Kept, State},
        key::{Digest, EventKey, OrderKey},
    },
};

/// A row that does not say what was written into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged;

impl From<rusqlite::Error> for Damaged {
    fn from(_: rusqlite::Error) -> Self {
        Self
    }
}

/// An entry on its way into the journal. Made by whoever appends it, so that the writer need not hash.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) entry: Entry,
    pub(super) fixed: i64,
    pub(super) headers: Vec<u8>,
    pub(super) kept_seal: i64,
}

impl Record {
    pub(super) fn new(entry: Entry) -> Self {
        let kept = entry.kept.as_ref();
        let headers = kept.map(|kept| lines(&kept.headers)).unwrap_or_default();
        let kept_seal = kept.map_or(0, |kept| kept_seal(&entry.key, kept, &headers));
        let way = kept.map(|kept| (&*kept.upstream, kept.order.as_ref()));
        Self { fixed: fixed_seal(&entry, way), headers, kept_seal, entry }
    }
}

/// The part of a row that changes with what becomes of the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Course {
    pub(super) state: State,
    pub(super) due: Option<i64>,
    pub(super) since: i64,
    pub(super) attempts: i64,
    pub(super) in_a_row: i64,
}

impl Course {
    /// The checksum of row `id`, whose other columns have the checksum `fixed`.
    pub(super) fn seal(&self, id: i64, fixed: i64) -> i64 {
        Seal::of("course")
            .int(id)
            .int(fixed)
            .text(self.state.as_str())
            .option(self.due, Seal::int)
            .int(self.since)
            .int(self.attempts)
            .int(self.in_a_row)
            .finish()
    }

    /// Reads it, and checks it, from a row that begins with id, fixed, seal, state, due, since, attempts, `in_a_row`.
    pub(super) fn read(row: &Row<'_>) -> Result<Self, Damaged> {
        let (id, fixed, seal): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let course = Self {
            state: state(row.get_ref(3)?.as_str().map_err(|_| Damaged)?).ok_or(Damaged)?,
            due: row.get(4)?,
            since: row.get(5)?,
            attempts: row.get(6)?,
            in_a_row: row.get(7)?,
        };
        if course.seal(id, fixed) == seal { Ok(course) } else { Err(Damaged) }
    }
}

/// Reads an entry with all that is kept of it, and checks it.
pub(super) fn read(
    db: &Connection,
    names: &Names,
    id: i64,
) -> rusqlite::Result<Option<Result<(Course, Entry), Damaged>>> {
    let mut select = db.prepare_cached(
        "SELECT e.id, e.fixed, e.seal, e.state, e.due, e.since, e.attempts, e.in_a_row, e.received_at, e.source, \
         e.event_type, e.key, e.digest, e.bytes, e.verdict, e.reason, e.pointer, e.keyword, e.traceparent, e.upstream, \
         e.order_key, k.seal, k.content_type, k.headers, k.strength, k.secret, k.position, k.total, k.body \
         FROM entry e LEFT JOIN kept k ON k.entry = e.id WHERE e.id = ?1",
    )?;
    let read = |row: &Row<'_>| Ok((Course::read(row)?, whole(row, names)?));
    select.query_row([id], |row| Ok(read(row))).optional()
}

/// Reads an entry, and checks it, from a row that goes on, after what [`Course::read`] takes, with the entry's own
/// columns in their order, and those of what is kept, its seal first.
fn whole(row: &Row<'_>, names: &Names) -> Result<Entry, Damaged> {
    let fixed: i64 = row.get(1)?;
    let mut columns = Columns { row, next: 8.. };
    let received_at = Timestamp::from_microsecond(columns.take()?).map_err(|_| Damaged)?;
    let name = |number| names.text(number).cloned().ok_or(Damaged);
    let source = name(columns.take()?)?;
    let event_type = columns.take()?;
    let key = EventKey::from_bytes(columns.take()?);
    let digest = Digest::from_bytes(columns.take()?);
    let bytes = usize::try_from(columns.take::<i64>()?).map_err(|_| Damaged)?;
    let (word, reason): (String, Option<String>) = (columns.take()?, columns.take()?);
    let verdict = verdict(&word, reason.as_deref()).ok_or(Damaged)?;
    let (pointer, keyword): (Option<String>, Option<String>) = (columns.take()?, columns.take()?);
    let fault = pointer.zip(keyword).map(|(pointer, keyword)| Fault { pointer, keyword });
    let traceparent = columns.take()?;
    let upstream = columns.take::<Option<i64>>()?.map(name).transpose()?;
    let order = columns.take::<Option<[u8; 32]>>()?.map(OrderKey::from_bytes);
    let kept = kept(&mut columns, &key, upstream.as_ref(), order)?;
    let entry = Entry { received_at, source, event_type, key, digest, bytes, verdict, fault, traceparent, kept };
    let way = upstream.as_deref().map(|upstream| (upstream, order.as_ref()));
    if fixed_seal(&entry, way) == fixed { Ok(entry) } else { Err(Damaged) }
}

/// What is kept of an entry, if anything is.
fn kept(
    columns: &mut Columns<'_>,
    key: &EventKey,
    upstream: Option<&Arc<str>>,
    order: Option<OrderKey>,
) -> Result<Option<Kept>, Damaged> {
    let Some(seal) = columns.take::<Option<i64>>()? else { return Ok(None) };
    let content_type = HeaderValue::from_bytes(&columns.take::<Vec<u8>>()?).map_err(|_| Damaged)?;
    let headers: Vec<u8> = columns.take()?;
    let strength = strength(&columns.take::<String>()?).ok_or(Damaged)?;
    let secret: String = columns.take()?;
    let (position, total): (Option<i64>, Option<i64>) = (columns.take()?, columns.take()?);
    let size = |number: i64| usize::try_from(number).map_err(|_| Damaged);
    let kept = Kept {
        body: Bytes::from(columns.take::<Vec<u8>>()?),
        content_type,
        headers: parse_lines(&headers).ok_or(Damaged)?,
        strength,
        secret: secret.into(),
        batch: match (position, total) {
            (Some(position), Some(total)) => Some((size(position)?, size(total)?)),
            _ => None,
        },
        upstream: Arc::clone(upstream.ok_or(Damaged)?),
        order,
    };
    if kept_seal(key, &kept, &headers) == seal { Ok(Some(kept)) } else { Err(Damaged) }
}

/// Columns, one after the other.
struct Columns<'a> {
    row: &'a Row<'a>,
    next: RangeFrom<usize>,
}

impl Columns<'_> {
    fn take<T: FromSql>(&mut self) -> Result<T, Damaged> {
        let index = self.next.next().ok_or(Damaged)?;
        Ok(self.row.get(index)?)
    }
}

/// The checksum of what never changes of an entry. Its way, upstream and order, outlives what else is kept.
fn fixed_seal(entry: &Entry, way: Option<(&str, Option<&OrderKey>)>) -> i64 {
    Seal::of("entry")
        .int(entry.received_at.as_microsecond())
        .text(&entry.source)
        .option(entry.event_type.as_deref(), Seal::text)
        .bytes(entry.key.as_bytes())
        .bytes(entry.digest.as_bytes())
        .int(count(entry.bytes))
        .text(entry.verdict.as_str())
        .option(entry.verdict.reason(), Seal::text)
        .option(entry.fault.as_ref(), |seal, fault| seal.text(&fault.pointer).text(&fault.keyword))
        .text(&entry.traceparent)
        .option(way, |seal, (upstream, order)| {
            seal.text(upstream).option(order, |seal, order| seal.bytes(order.as_bytes()))
        })
        .finish()
}

fn kept_seal(key: &EventKey, kept: &Kept, headers: &[u8]) -> i64 {
    Seal::of("kept")
        .bytes(key.as_bytes())
        .bytes(kept.content_type.as_bytes())
        .bytes(headers)
        .text(kept.strength.as_str())
        .text(&kept.secret)
        .option(kept.batch, |seal, (position, total)| seal.int(count(position)).int(count(total)))
        .bytes(&kept.body)
        .finish()
}

/// Headers as one value: a header's value has no line feed in it (RFC 9110, section 5.5).
fn lines(headers: &[(HeaderName, HeaderValue)]) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in headers {
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value.as_bytes());
        lines.push(b'\n');
    }
    lines
}

fn parse_lines(lines: &[u8]) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let Some(lines) = lines.strip_suffix(b"\n") else { return lines.is_empty().then(Vec::new) };
    let parse = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let value = line[colon..].strip_prefix(b": ")?;
        Some((HeaderName::from_bytes(&line[..colon]).ok()?, HeaderValue::from_bytes(value).ok()?))
    };
    lines.split(|byte| *byte == b'\n').map(parse).collect()
}

/// The state with this word.
pub(super) fn state(word: &str) -> Option<State> {
    State::ALL.iter().copied().find(|state| state.as_str() == word)
}

fn strength(word: &str) -> Option<Strength> {
    [Strength::None, Strength::Token, Strength::Partial, Strength::Verified]
        .into_iter()
        .find(|strength| strength.as_str() == word)
}

fn verdict(word: &str, reason: Option<&str>) -> Option<Verdict> {
    let plain = [Verdict::Forward, Verdict::Queue, Verdict::Duplicate, Verdict::Handshake];
    let Some(reason) = reason else { return plain.into_iter().find(|verdict| verdict.as_str() == word) };
    let causes = Cause::ALL
        .iter()
        .flat_map(|cause| [Verdict::Drop(*cause), Verdict::Quarantine(*cause), Verdict::Reject(*cause)]);
    let refusals = Refusal::ALL.iter().map(|refusal| Verdict::Fail(*refusal));
    causes.chain(refusals).find(|verdict| verdict.as_str() == word && verdict.reason() == Some(reason))
}

/// A size as SQLite keeps numbers.
pub(super) fn count(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
