//! Names of sources and upstreams, and their numbers in rows. Each is in the file twice: a damaged one would make
//! damaged entries of all that have it.

use std::{collections::HashMap, sync::Arc};

use rusqlite::{Connection, params};

use super::seal::Seal;

/// Names and numbers, both ways.
#[derive(Debug, Default)]
pub(super) struct Names {
    numbers: HashMap<Arc<str>, i64>,
    texts: HashMap<i64, Arc<str>>,
}

impl Names {
    pub(super) fn load(db: &Connection) -> rusqlite::Result<Self> {
        let mut names = Self::default();
        let mut select = db.prepare("SELECT id, text, again, seal FROM name")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (id, sealed): (i64, i64) = (row.get(0)?, row.get(3)?);
            let copies = [1, 2].into_iter().filter_map(|column| row.get::<_, Arc<str>>(column).ok());
            if let Some(text) = copies.into_iter().find(|text| seal(id, text) == sealed) {
                names.insert(text, id);
            }
        }
        Ok(names)
    }

    pub(super) fn number(&self, text: &str) -> Option<i64> {
        self.numbers.get(text).copied()
    }

    pub(super) fn text(&self, number: i64) -> Option<&Arc<str>> {
        self.texts.get(&number)
    }

    pub(super) fn insert(&mut self, text: Arc<str>, id: i64) {
        self.texts.insert(id, Arc::clone(&text));
        self.numbers.insert(text, id);
    }

    pub(super) fn extend(&mut self, others: Self) {
        self.numbers.extend(others.numbers);
        self.texts.extend(others.texts);
    }
}

/// Writes a name that is new. Its number.
pub(super) fn store(db: &Connection, text: &str) -> rusqlite::Result<i64> {
    let id: i64 = db.query_row("SELECT ifnull(max(id), 0) + 1 FROM name", [], |row| row.get(0))?;
    db.execute("INSERT INTO name VALUES (?1, ?2, ?2, ?3)", params![id, text, seal(id, text)])?;
    Ok(id)
}

fn seal(id: i64, text: &str) -> i64 {
    Seal::of("name").int(id).text(text).finish()
}
