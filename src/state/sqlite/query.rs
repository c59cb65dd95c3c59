//! Looking into the journal, on a connection that cannot write.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{
    Connection, OptionalExtension as _, Row as SqlRow, ToSql, named_params,
    types::{FromSqlError, FromSqlResult, ValueRef},
};

use super::record;
use crate::state::{
    journal::{Class, Detail, EntryId, Fault, Filter, Page, Row, Settled, State, Totals, Tried},
    key::{Digest, EventKey},
};

/// What a [`Row`] is made from.
const ROW: &str = "SELECT e.id, e.received_at, s.text, e.event_type, e.key, e.verdict, coalesce(e.death, e.reason), \
     e.state, e.answer, u.text, e.attempts, e.last_status, e.bytes FROM entry e";

/// The names of a [`Row`].
const NAMES: &str = "LEFT JOIN name s ON s.id = e.source LEFT JOIN name u ON u.id = e.upstream";

/// See [`JournalStore::list`](crate::state::journal::JournalStore::list).
pub(super) fn list(db: &Connection, filter: &Filter, page: Page) -> rusqlite::Result<Vec<Row>> {
    let Some((sql, values)) = select(filter, page) else { return Ok(Vec::new()) };
    let values: Vec<(&str, &dyn ToSql)> = values.iter().map(|(name, value)| (*name, value.as_ref())).collect();
    db.prepare_cached(&sql)?.query_map(values.as_slice(), row)?.collect()
}

/// The values of a statement, by name.
type Values = Vec<(&'static str, Box<dyn ToSql>)>;

/// The statement for a list; `None` where nothing can be on it.
pub(super) fn select(filter: &Filter, page: Page) -> Option<(String, Values)> {
    let mut conditions = vec!["TRUE"];
    let mut values: Values = Vec::new();
    let mut and = |condition, name, value: Option<Box<dyn ToSql>>| {
        if let Some(value) = value {
            conditions.push(condition);
            values.push((name, value));
        }
    };
    let text = |text: &Option<String>| text.clone().map(|text| Box::new(text) as Box<dyn ToSql>);
    let time = |time: Option<Timestamp>| time.map(|time| Box::new(time.as_microsecond()) as Box<dyn ToSql>);
    and("e.source = (SELECT id FROM name WHERE text = :source)", ":source", text(&filter.source));
    and("e.event_type = :type", ":type", text(&filter.event_type));
    and("e.verdict = :verdict", ":verdict", text(&filter.verdict));
    and("e.received_at >= :since", ":since", time(filter.since));
    and("e.received_at < :until", ":until", time(filter.until));
    if let Some(id) = &filter.webhook_id {
        and("substr(e.key, 1, 20) = :key", ":key", Some(Box::new(EventKey::shown(id)?)));
    }
    let mut state = filter.state.map(|state| format!(" AND e.state = '{}'", state.as_str())).unwrap_or_default();
    let mut index = "";
    if filter.state.is_some_and(|state| matches!(state, State::Dead | State::Quarantined)) {
        // SQLite does not know how few these are, and wants to be told that the index has them.
        state.push_str(" AND e.state IN ('dead', 'quarantined')");
        index = " INDEXED BY entry_waiting";
    }
    values.push((":limit", Box::new(record::count(page.limit))));
    values.push((":offset", Box::new(record::count(page.offset))));
    let conditions = conditions.join(" AND ");
    let order = "ORDER BY e.received_at DESC, e.id DESC LIMIT :limit OFFSET :offset";
    Some((format!("{ROW}{index} {NAMES} WHERE {conditions}{state} {order}"), values))
}

/// See [`JournalStore::show`](crate::state::journal::JournalStore::show).
pub(super) fn show(db: &Connection, entry: EntryId) -> rusqlite::Result<Option<Detail>> {
    let id = entry.0;
    let Some(row) = db.query_row(&format!("{ROW} {NAMES} WHERE e.id = ?1"), [id], row).optional()? else {
        return Ok(None);
    };
    let (digest, pointer, keyword, traceparent): (Vec<u8>, Option<String>, Option<String>, String) =
        db.query_row("SELECT digest, pointer, keyword, traceparent FROM entry WHERE id = ?1", [id], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
    let kept: Option<(Vec<u8>, Vec<u8>)> = db
        .query_row("SELECT body, content_type FROM kept WHERE entry = ?1", [id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (body, content_type) = kept.unzip();
    Ok(Some(Detail {
        row,
        digest: data_encoding::HEXLOWER.encode(&digest),
        fault: pointer.zip(keyword).map(|(pointer, keyword)| Fault { pointer, keyword }),
        traceparent,
        attempts: attempts(db, id)?,
        audit: audit(db, id)?,
        body: body.map(Bytes::from),
        content_type: content_type.map(|value| String::from_utf8_lossy(&value).into_owned()),
    }))
}

/// See [`JournalStore::totals`](crate::state::journal::JournalStore::totals). `bytes` is what the files weigh.
pub(super) fn totals(db: &Connection, bytes: u64) -> rusqlite::Result<Totals> {
    let mut entries = db.prepare_cached(
        "SELECT n.text, t.state, sum(t.entries) FROM tally t JOIN name n ON n.id = t.source GROUP BY 1, 2 \
         HAVING sum(t.entries) > 0 ORDER BY 1, 2",
    )?;
    let entry = |row: &SqlRow<'_>| Ok((row.get(0)?, word(row.get_ref(1)?, record::state)?, number(row.get(2)?)));
    let mut pending = db.prepare_cached(
        "SELECT n.text, sum(t.entries) FROM tally t JOIN name n ON n.id = t.upstream WHERE t.state = 'pending' \
         GROUP BY 1 HAVING sum(t.entries) > 0 ORDER BY 1",
    )?;
    let settled: i64 = db.query_row("SELECT count(*) FROM settled", [], |row| row.get(0))?;
    Ok(Totals {
        entries: entries.query_map([], entry)?.collect::<Result<_, _>>()?,
        settled: number(settled),
        pending: pending.query_map([], |row| Ok((row.get(0)?, number(row.get(1)?))))?.collect::<Result<_, _>>()?,
        bytes,
    })
}

/// See [`JournalStore::remembered`](crate::state::journal::JournalStore::remembered).
pub(super) fn remembered(db: &Connection, max: usize, wall: Timestamp) -> rusqlite::Result<Vec<Settled>> {
    let mut select =
        db.prepare_cached("SELECT key, digest, until FROM settled WHERE until > :now ORDER BY id DESC LIMIT :max")?;
    let mut rows = select.query(named_params! { ":now": wall.as_microsecond(), ":max": record::count(max) })?;
    let mut settled = Vec::new();
    while let Some(row) = rows.next()? {
        // One that is damaged is no evidence any more.
        if let (Ok(key), Ok(digest), Ok(until)) = (row.get(0), row.get(1), time(row, 2)) {
            settled.push(Settled { key: EventKey::from_bytes(key), digest: Digest::from_bytes(digest), until });
        }
    }
    Ok(settled)
}

/// A line of the log. Damaged ones are lines, too: they must not hide the others.
fn row(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    let key = row.get::<_, [u8; 32]>(4).unwrap_or_default();
    let text = |column| row.get::<_, Option<String>>(column).unwrap_or_default();
    Ok(Row {
        id: EntryId(row.get(0)?),
        received_at: time(row, 1).unwrap_or_default(),
        source: text(2).unwrap_or_default(),
        event_type: text(3),
        webhook_id: EventKey::from_bytes(key).webhook_id(),
        verdict: text(5).unwrap_or_default(),
        reason: text(6),
        state: word(row.get_ref(7)?, record::state).unwrap_or(State::Quarantined),
        answer: row.get(8).unwrap_or_default(),
        upstream: text(9),
        attempts: row.get(10).unwrap_or_default(),
        last_status: row.get(11).unwrap_or_default(),
        bytes: row.get::<_, i64>(12).ok().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or_default(),
    })
}

fn attempts(db: &Connection, id: i64) -> rusqlite::Result<Vec<Tried>> {
    let class = |word: &str| Class::ALL.iter().copied().find(|class| class.as_str() == word);
    let tried = |row: &SqlRow<'_>| {
        Ok(Tried {
            number: row.get(0)?,
            at: time(row, 1)?,
            class: word(row.get_ref(2)?, class)?,
            status: row.get(3)?,
            took: Duration::from_micros(number(row.get(4)?)),
            error: row.get(5)?,
        })
    };
    db.prepare_cached("SELECT number, at, class, status, took, error FROM attempt WHERE entry = ?1 ORDER BY number")?
        .query_map([id], tried)?
        .collect()
}

fn audit(db: &Connection, id: i64) -> rusqlite::Result<Vec<(Timestamp, String)>> {
    db.prepare_cached("SELECT at, what FROM audit WHERE entry = ?1 ORDER BY id")?
        .query_map([id], |row| Ok((time(row, 0)?, row.get(1)?)))?
        .collect()
}

/// A count; none if it is negative.
fn number(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn time(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let micros: i64 = row.get(column)?;
    Ok(Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// The member of a closed list that has the word in this column.
fn word<T>(value: ValueRef<'_>, find: impl FnOnce(&str) -> Option<T>) -> FromSqlResult<T> {
    find(value.as_str()?).ok_or(FromSqlError::InvalidType)
}
