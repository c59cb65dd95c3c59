//! Statements that nearly every call of a group needs: taken from the connection's cache once for all of them.

use rusqlite::{CachedStatement, Connection, Params};

const ENTRY: &str = "INSERT INTO entry (id, received_at, source, event_type, key, digest, bytes, verdict, reason, \
     pointer, keyword, traceparent, upstream, order_key, fixed, state, due, since, attempts, in_a_row, seal, \
     last_status, answer) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, \
     ?19, ?20, ?21, ?22, ?23)";

const KEPT: &str = "INSERT INTO kept (entry, content_type, headers, strength, secret, position, total, body, seal) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

const SETTLED: &str = "INSERT INTO settled (key, digest, until, entry) VALUES (?1, ?2, ?3, ?4)";

const ATTEMPT: &str = "INSERT OR REPLACE INTO attempt (entry, number, at, class, status, took, error) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

const COURSE: &str = "UPDATE entry SET state = ?2, due = ?3, since = ?4, attempts = ?5, in_a_row = ?6, seal = ?7, \
     death = ?8, last_status = iif(?9, ?10, last_status) WHERE id = ?1";

const FORGET: &str = "DELETE FROM kept WHERE entry = ?1";

/// The statements of one transaction.
pub(super) struct Statements<'a> {
    /// A new entry.
    pub(super) entry: Held<'a>,
    /// What is kept of it.
    pub(super) kept: Held<'a>,
    /// An identity with evidence.
    pub(super) settled: Held<'a>,
    /// An attempt that was made.
    pub(super) attempt: Held<'a>,
    /// What becomes of an entry.
    pub(super) course: Held<'a>,
    /// Nothing is kept any more.
    pub(super) forget: Held<'a>,
}

/// One of them, and whether it was needed yet.
pub(super) struct Held<'a> {
    db: &'a Connection,
    sql: &'static str,
    statement: Option<CachedStatement<'a>>,
}

impl<'a> Statements<'a> {
    pub(super) fn of(db: &'a Connection) -> Self {
        let held = |sql| Held { db, sql, statement: None };
        Self {
            entry: held(ENTRY),
            kept: held(KEPT),
            settled: held(SETTLED),
            attempt: held(ATTEMPT),
            course: held(COURSE),
            forget: held(FORGET),
        }
    }
}

impl Held<'_> {
    /// Runs it with these values.
    pub(super) fn run(&mut self, values: impl Params) -> rusqlite::Result<()> {
        let statement = match &mut self.statement {
            Some(statement) => statement,
            none => none.insert(self.db.prepare_cached(self.sql)?),
        };
        statement.execute(values).map(drop)
    }
}
