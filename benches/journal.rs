//! The journal's engine beside SQLite alone, the time it takes to open a large journal, and the memory it needs
//! while that drains: `cargo bench --bench journal`. With `-- --test` each is done once, small, to see that it runs.

#![expect(
    clippy::cast_precision_loss,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program of its own, which prints figures and may fail loudly"
)]

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use hooksieve::{
    clock::{Clock, SystemClock},
    stages::{schemes::Strength, words::Verdict},
    state::{
        journal::{Class, Entry, Group, JournalStore, Kept, Lane, Leased, Mark, Settled, Tried},
        key::{Digest, EventKey},
        sqlite::{Settings, SqliteJournal},
    },
};
use http::{HeaderName, HeaderValue};
use rusqlite::{Connection, params};
use tokio::{runtime::Runtime, sync::oneshot};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const PRODUCERS: u64 = 64;
const BODY: usize = 1024;
const COMMIT_MAX: usize = 256;

fn main() {
    let test = std::env::args().any(|argument| argument == "--test");
    let (rounds, each, pending) =
        if test { (1, Duration::from_millis(50), 2_000) } else { (5, Duration::from_secs(2), 1_000_000) };
    appends(rounds, each);
    large(pending);
}

/// The engine, SQLite with the same rows, and SQLite with nothing but bodies, in turns, so that all see the same disk.
fn appends(rounds: usize, each: Duration) {
    let (mut engine, mut rows, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        engine.push(append_engine(each));
        rows.push(append_plainly(each, "rows", include_str!("../src/state/sqlite/schema.sql"), insert_rows));
        bare.push(append_plainly(each, "bare", BARE, insert_body));
    }
    let engine = median(&mut engine);
    println!(
        "append, {PRODUCERS} producers, {BODY} bytes: events/s, events per commit, CPU time per event, engine's share:"
    );
    let line = |name: &str, rate: Rate| {
        let share = engine.events / rate.events * 100.0;
        println!("  {name:<17} {:>8.0}  {:>5.1}  {:>5.1} µs  {share:>4.0} %", rate.events, rate.group, rate.cpu);
    };
    line("engine", engine);
    line("SQLite, same rows", median(&mut rows));
    line("SQLite, bodies", median(&mut bare));
}

#[derive(Clone, Copy)]
struct Rate {
    /// Events per second.
    events: f64,
    group: f64,
    /// Of the whole process, producers and all, in microseconds per event. Other work on the machine hardly changes it.
    cpu: f64,
}

fn median(rates: &mut [Rate]) -> Rate {
    rates.sort_by(|one, other| one.events.total_cmp(&other.events));
    rates[rates.len() / 2]
}

fn append_engine(each: Duration) -> Rate {
    let place = Place::new("engine");
    let journal = Arc::new(place.open());
    let (events, cpu) = produce(each, {
        let journal = Arc::clone(&journal);
        move |number| {
            let now = SystemClock.now();
            let entry = event(number);
            let settled = vec![settled(&entry)];
            let appended = journal.append(Group { entries: vec![entry], settled }, now);
            async move { drop(appended.await.unwrap()) }
        }
    });
    let stats = journal.stats();
    Rate { events, group: stats.appended as f64 / stats.commits as f64, cpu }
}

/// Nothing but what must not be lost.
const BARE: &str = "CREATE TABLE event (id INTEGER PRIMARY KEY, body BLOB NOT NULL)";

fn insert_body(db: &Connection, _: u64, body: &[u8]) {
    db.prepare_cached("INSERT INTO event (body) VALUES (?1)").unwrap().execute([body]).unwrap();
}

/// The rows that the engine writes for an event: itself, what it takes to deliver it, and that it was here.
fn insert_rows(db: &Connection, number: u64, body: &[u8]) {
    let (key, at) = (hash(number), 1_700_000_000_000_000_i64 + number.cast_signed());
    let mut entry = db
        .prepare_cached(
            "INSERT INTO entry (id, received_at, source, event_type, key, digest, bytes, verdict, reason, pointer, \
             keyword, traceparent, upstream, order_key, fixed, state, due, since, attempts, in_a_row, seal, last_status, \
             answer) VALUES (NULL, ?1, 1, 'order.created', ?2, ?2, ?3, 'queue', NULL, NULL, NULL, ?4, 2, NULL, ?5, \
             'pending', ?6, ?6, 0, 0, ?5, NULL, NULL)",
        )
        .unwrap();
    entry.execute(params![at, key, body.len().cast_signed(), TRACEPARENT, at ^ 0x5a5a, at >> 10]).unwrap();
    let id = db.last_insert_rowid();
    let mut kept = db
        .prepare_cached(
            "INSERT INTO kept (entry, content_type, headers, strength, secret, position, total, body, seal) \
             VALUES (?1, ?2, ?3, 'verified', '2026-11', NULL, NULL, ?4, ?5)",
        )
        .unwrap();
    let headers = b"user-agent: shop-webhooks/1.0\n".as_slice();
    kept.execute(params![id, b"application/json".as_slice(), headers, body, at ^ 0x5a5a]).unwrap();
    let mut settled =
        db.prepare_cached("INSERT INTO settled (key, digest, until, entry) VALUES (?1, ?1, ?2, ?3)").unwrap();
    settled.execute(params![key, at, id]).unwrap();
}

/// What SQLite itself can do: one thread that commits what came while the commit before ran, and keeps nothing in mind.
fn append_plainly(each: Duration, name: &str, schema: &str, insert: fn(&Connection, u64, &[u8])) -> Rate {
    let place = Place::new(name);
    let db = Connection::open(place.file()).unwrap();
    db.pragma_update(None, "journal_mode", "WAL").unwrap();
    db.pragma_update(None, "synchronous", "FULL").unwrap();
    db.execute_batch(schema).unwrap();
    let (sender, inbox) = mpsc::channel::<(u64, Bytes, oneshot::Sender<()>)>();
    let writer = thread::spawn(move || {
        let (mut events, mut commits) = (0_u64, 0_u64);
        while let Ok(first) = inbox.recv() {
            let mut group = vec![first];
            group.extend(inbox.try_iter().take(COMMIT_MAX - 1));
            db.prepare_cached("BEGIN IMMEDIATE").unwrap().execute([]).unwrap();
            for (number, body, _) in &group {
                insert(&db, *number, body);
            }
            db.prepare_cached("COMMIT").unwrap().execute([]).unwrap();
            (events, commits) = (events + group.len() as u64, commits + 1);
            for (_, _, reply) in group {
                reply.send(()).unwrap();
            }
        }
        events as f64 / commits as f64
    });
    let (events, cpu) = produce(each, move |number| {
        let (reply, answer) = oneshot::channel();
        sender.send((number, body(number), reply)).unwrap();
        async move { answer.await.unwrap() }
    });
    Rate { events, group: writer.join().unwrap(), cpu }
}

/// Lets 64 producers, each of which waits for its event to be safe, do so for a while. Events per second, and CPU time of
/// each.
fn produce<F: Future<Output = ()> + Send>(
    each: Duration,
    append: impl Fn(u64) -> F + Send + Sync + 'static,
) -> (f64, f64) {
    let runtime = Runtime::new().unwrap();
    let append = Arc::new(append);
    let (number, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (begun, before) = (SystemClock.now().steady, cpu());
    let tasks: Vec<_> = (0..PRODUCERS)
        .map(|_| {
            let (append, number, done) = (Arc::clone(&append), Arc::clone(&number), Arc::clone(&done));
            runtime.spawn(async move {
                while begun.elapsed() < each {
                    append(number.fetch_add(1, Relaxed)).await;
                    done.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    runtime.block_on(async {
        for task in tasks {
            task.await.unwrap();
        }
    });
    let done = done.load(Relaxed) as f64;
    (done / begun.elapsed().as_secs_f64(), (cpu() - before) / done)
}

/// How long it takes to open a journal with many pending events after a crash, and what memory it needs while it drains.
fn large(pending: u64) {
    let place = Place::new("large");
    let runtime = Runtime::new().unwrap();
    // Dropping a journal without threads is like a crash.
    let journal = SqliteJournal::inline(place.settings(), Arc::new(SystemClock)).unwrap();
    for from in (0..pending).step_by(1_000) {
        let entries: Vec<_> = (from..(from + 1_000).min(pending)).map(event).collect();
        let settled = entries.iter().map(settled).collect();
        drop(runtime.block_on(journal.append(Group { entries, settled }, SystemClock.now())).unwrap());
    }
    println!("journal with {pending} pending events, {} MiB:", journal.stats().bytes >> 20);
    drop(journal);
    let begun = SystemClock.now().steady;
    let journal = place.open();
    println!("  opened after a crash in  {:>7.2} s, {} MiB resident", begun.elapsed().as_secs_f64(), resident());
    let begun = SystemClock.now().steady;
    let mut left = pending;
    for quarter in 1..=4 {
        while left > pending - pending * quarter / 4 {
            left -= runtime.block_on(drain(&journal, 256));
        }
        println!(
            "  {quarter}/4 delivered after  {:>10.2} s, {} MiB resident",
            begun.elapsed().as_secs_f64(),
            resident()
        );
    }
}

/// Leases events and marks them as delivered, all at once, as a dispatcher with that many connections would.
async fn drain(journal: &SqliteJournal, count: usize) -> u64 {
    let lane = Lane { upstream: "app".into(), except: Vec::new(), fresh_only: false };
    let leased = journal.lease(lane, count, SystemClock.now()).await.unwrap().events;
    let mark = |event: &Leased| {
        let now = SystemClock.now();
        let took = Duration::from_millis(3);
        let tried = Tried { at: now.wall, number: 1, class: Class::Delivered, status: Some(200), took, error: None };
        journal.mark(event.id, Mark::Delivered(tried), now)
    };
    let marks: Vec<_> = leased.iter().map(mark).collect();
    for mark in marks {
        mark.await.unwrap();
    }
    leased.len() as u64
}

/// User and system time of this process, in microseconds (`/proc/self/stat`; a tick has ten milliseconds).
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(')').next().unwrap();
    fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap() * 10_000.0).sum()
}

fn resident() -> u64 {
    // A page has 4 KiB.
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() / 256
}

fn settled(entry: &Entry) -> Settled {
    Settled { key: entry.key, digest: entry.digest, until: entry.received_at + Duration::from_hours(24) }
}

fn body(number: u64) -> Bytes {
    let mut body = format!(r#"{{"id":{number},"text":""#).into_bytes();
    body.resize(BODY - 2, b'x');
    body.extend_from_slice(br#""}"#);
    body.into()
}

/// As different from others as a hash.
fn hash(number: u64) -> [u8; 32] {
    std::array::from_fn(|index| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[index % 8])
}

fn event(number: u64) -> Entry {
    let body = body(number);
    Entry {
        received_at: SystemClock.now().wall,
        source: "shop".into(),
        event_type: Some("order.created".into()),
        // Who an event is, and whether it was here before, is asked before there is a journal.
        key: EventKey::from_bytes(hash(number)),
        digest: Digest::from_bytes(hash(number)),
        bytes: body.len(),
        verdict: Verdict::Queue,
        fault: None,
        traceparent: TRACEPARENT.into(),
        kept: Some(Kept {
            body,
            content_type: HeaderValue::from_static("application/json"),
            headers: vec![(HeaderName::from_static("user-agent"), HeaderValue::from_static("shop-webhooks/1.0"))],
            strength: Strength::Verified,
            secret: "2026-11".into(),
            batch: None,
            upstream: "app".into(),
            order: None,
        }),
    }
}

/// A directory for one measurement, on the disk that the program was built on.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("journal-{name}"));
        let place = Self(path);
        place.clear();
        std::fs::create_dir(&place.0).unwrap();
        std::fs::set_permissions(&place.0, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        place
    }

    fn file(&self) -> PathBuf {
        self.0.join("journal.db")
    }

    fn settings(&self) -> Settings {
        let bounds = Settings { max_entries: 10_000_000, max_size: 1 << 40, min_free_percent: 0, ..Settings::new("") };
        Settings { path: self.file(), ..bounds }
    }

    fn open(&self) -> SqliteJournal {
        SqliteJournal::open(self.settings(), Arc::new(SystemClock)).unwrap()
    }

    fn clear(&self) {
        match std::fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.clear();
    }
}
