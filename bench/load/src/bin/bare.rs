//! What SQLite itself can do: one table, one connection that commits events of 1 KiB in groups of a given size, and nothing
//! else. `bare FILE GROUP SECONDS` prints events per second.
#![allow(clippy::disallowed_methods, reason = "this program is no part of the gateway and may ask for the time")]

use std::{
    env,
    error::Error,
    time::{Duration, Instant},
};

use rusqlite::Connection;

const EVENT: &[u8] = include_bytes!("../../../order.json");

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [file, group, seconds] = &arguments[..] else { return Err("bare FILE GROUP SECONDS".into()) };
    let (group, seconds): (u64, u64) = (group.parse()?, seconds.parse()?);
    let db = Connection::open(file)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.execute_batch("CREATE TABLE event (id INTEGER PRIMARY KEY, body BLOB NOT NULL)")?;
    let (begun, mut events) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(seconds) {
        db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        for _ in 0..group {
            db.prepare_cached("INSERT INTO event (body) VALUES (?1)")?.execute([EVENT])?;
        }
        db.prepare_cached("COMMIT")?.execute([])?;
        events += group;
    }
    println!("{:.0}", events as f64 / begun.elapsed().as_secs_f64());
    Ok(())
}
