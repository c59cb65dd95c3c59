//! The operator's door.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::future::join_all;
use hooksieve::{
    admin::{Admin, Desk, Guard, Probe, form::Overview},
    clock::{Clock as _, SystemClock},
    secret::Secret,
    server::{ListenOn, Listener, Shutdown},
    stages::schemes::token::Fingerprint,
    state::{
        journal::{EntryId, JournalFuture, JournalStore, Replay},
        sqlite::SqliteJournal,
    },
    telemetry::Metrics,
};
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    gateway::CANARY,
    ledger::{a_bad_night, bury, open_journal, webhook_id},
    wire::{Answer, Wire},
};

#[derive(Default)]
struct Draining(AtomicBool);

impl Probe for Draining {
    fn not_ready(&self) -> Vec<&'static str> {
        if self.0.load(Ordering::Relaxed) { vec!["draining"] } else { Vec::new() }
    }
}

/// A desk with a journal on it, or without one.
struct Office(Option<Arc<SqliteJournal>>);

impl Desk for Office {
    fn now(&self) -> Timestamp {
        SystemClock.now().wall
    }

    fn sources(&self) -> Vec<Overview> {
        Vec::new()
    }

    fn journal(&self) -> Option<&dyn JournalStore> {
        self.0.as_deref().map(|journal| journal as &dyn JournalStore)
    }

    fn replay(&self, entry: EntryId, again: bool) -> JournalFuture<Replay> {
        self.0.as_ref().unwrap().replay(entry, again, SystemClock.now())
    }

    fn discard(&self, entry: EntryId) -> JournalFuture<bool> {
        self.0.as_ref().unwrap().discard(entry, SystemClock.now())
    }
}

async fn open(probe: Arc<Draining>, metrics: Arc<Metrics>) -> SocketAddr {
    let guard = Guard { hosts: vec!["gw.internal".to_owned()], token: None };
    serve(guard, probe, Office(None), metrics).await
}

async fn serve(guard: Guard, probe: Arc<Draining>, office: Office, metrics: Arc<Metrics>) -> SocketAddr {
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
    let Ok(ListenOn::Tcp(address)) = listener.local() else { unreachable!("it was bound to TCP") };
    let admin = Admin::new(guard, probe, Arc::new(office), metrics, Shutdown::new());
    tokio::spawn(async move { admin.serve(listener).await });
    address
}

async fn ask(address: SocketAddr, line: &str, host: &str) -> Answer {
    let mut wire = Wire::connect(address).await;
    wire.send(format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    wire.answer().await
}

/// A journal after a bad night, behind a door.
struct Desked {
    address: SocketAddr,
    journal: Arc<SqliteJournal>,
    _folder: TempDir,
}

impl Desked {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = Arc::new(open_journal(folder.path()));
        a_bad_night(&journal).await;
        let office = Office(Some(journal.clone()));
        let address = serve(Guard::default(), Arc::default(), office, Arc::default()).await;
        Self { address, journal, _folder: folder }
    }

    /// Status and document.
    async fn ask(&self, line: &str) -> (u16, Value) {
        let answer = ask(self.address, line, "localhost").await;
        (answer.status, serde_json::from_slice(&answer.body).unwrap())
    }

    /// The status, and the word for what was done or why not.
    async fn change(&self, line: &str) -> (u16, String) {
        let (status, document) = self.ask(line).await;
        let word = document.get("outcome").or(document.get("error")).unwrap();
        (status, word.as_str().unwrap().to_owned())
    }
}

#[tokio::test]
async fn o_23_live_and_ready() {
    let probe = Arc::new(Draining::default());
    let address = open(probe.clone(), Arc::default()).await;
    let ready = ask(address, "GET /ready", "localhost").await;
    assert_eq!((ready.status, ready.text()), (200, r#"{"ready":true}"#));
    probe.0.store(true, Ordering::Relaxed);
    let ready = ask(address, "GET /ready", "localhost").await;
    assert_eq!((ready.status, ready.text()), (503, r#"{"ready":false,"reasons":["draining"]}"#));
    assert_eq!(ask(address, "GET /live", "localhost").await.status, 200);
}

#[tokio::test]
async fn metrics_are_scraped_as_text() {
    let metrics = Arc::new(Metrics::new());
    let address = open(Arc::default(), metrics.clone()).await;
    metrics.panics.inc();
    let answer = ask(address, "GET /metrics", "127.0.0.1:9464").await;
    assert!(answer.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert!(answer.text().contains("\nhooksieve_panics_total 1\n") && answer.text().ends_with("# EOF\n"));
}

#[tokio::test]
async fn o_22_only_for_those_who_mean_us() {
    let address = open(Arc::default(), Arc::default()).await;
    for (line, host, want) in [
        ("GET /live", "localhost:9464", 200),
        ("GET /live", "LOCALHOST", 200),
        ("GET /live", "127.0.0.1:9464", 200),
        ("GET /live", "[::1]:9464", 200),
        ("GET /live", "gw.internal", 200),
        ("GET /live", "evil.test", 421),
        ("GET /live", "localhost.evil.test", 421),
        ("GET /live", "127.0.0.1.evil.test", 421),
        ("GET /live", "a b", 421),
        ("GET /live", "localhost\r\nHost: evil.test", 421),
        ("GET http://evil.test/live", "evil.test", 421),
        ("GET /in/acme", "localhost", 404),
        ("GET /live/", "localhost", 404),
        ("POST /live", "localhost", 405),
        ("DELETE /metrics", "localhost", 405),
        ("POST /deliveries", "localhost", 405),
        ("GET /deliveries/1/replay", "localhost", 405),
        ("GET /deliveries/1/", "localhost", 404),
        ("POST /deliveries/1/replay", "evil.test", 421),
    ] {
        let answer = ask(address, line, host).await;
        assert_eq!(answer.status, want, "{line} {host}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn without_a_journal_there_is_no_delivery_log() {
    let address = open(Arc::default(), Arc::default()).await;
    for line in
        ["GET /deliveries", "GET /deliveries/1", "POST /deliveries/1/replay?id=evt_1", "DELETE /deliveries/1?id=x"]
    {
        let answer = ask(address, line, "localhost").await;
        assert_eq!(answer.status, 404, "{line}");
        assert!(answer.text().contains("add `[journal]`"), "{}", answer.text());
    }
    let answer = ask(address, "GET /sources", "localhost").await;
    assert_eq!((answer.status, answer.text()), (200, r#"{"sources":[]}"#));
}

#[tokio::test]
async fn the_log_is_told_in_pages_and_without_bodies() {
    let desk = Desked::open().await;
    let list = async |query: &str| {
        let (status, document) = desk.ask(&format!("GET /deliveries{query}")).await;
        assert_eq!(status, 200, "{query} {document}");
        assert!(!document.to_string().contains(CANARY));
        let ids: Vec<_> =
            document["deliveries"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect();
        (ids, document["more"].as_bool().unwrap())
    };
    assert_eq!(list("").await, (vec![5, 4, 3, 2, 1], false));
    assert_eq!(list("?limit=2").await, (vec![5, 4], true));
    assert_eq!(list("?limit=2&offset=3").await, (vec![2, 1], false));
    assert_eq!(list("?state=dead&source=shop").await, (vec![2, 1], false));
    assert_eq!(list("?verdict=quarantine&since=4h&until=3h").await, (vec![3], false));
    assert_eq!(list(&format!("?id={}", webhook_id("shop", "1"))).await, (vec![5, 1], false));
    for slip in ["?limit=1001", "?limit=0", "?offset=-1", "?state=deed", "?stat=dead", "?source=a&source=b"] {
        let (status, document) = desk.ask(&format!("GET /deliveries{slip}")).await;
        assert_eq!((status, &document["error"]), (400, &Value::from("bad_request")), "{slip}");
    }
}

#[tokio::test]
async fn a_body_is_told_only_on_demand() {
    let desk = Desked::open().await;
    let (status, whole) = desk.ask("GET /deliveries/2").await;
    assert_eq!((status, &whole["state"], &whole["body_kept"]), (200, &Value::from("dead"), &Value::from(true)));
    assert!(!whole.to_string().contains(CANARY));
    let (_, whole) = desk.ask("GET /deliveries/2?body=1").await;
    assert_eq!(whole["body"], format!("{{\"id\":\"2\",\"text\":\"{CANARY}\"}}"));
    assert_eq!(desk.ask("GET /deliveries/99").await.0, 404);
    assert_eq!(desk.ask("GET /deliveries/2?body=yes").await.0, 400);
}

#[tokio::test]
async fn o_34_changes_are_made_to_what_is_meant() {
    let desk = Desked::open().await;
    let done = |status: u16, word: &str| (status, word.to_owned());
    let (one, two) = (webhook_id("shop", "1"), webhook_id("shop", "2"));
    assert_eq!(desk.change(&format!("POST /deliveries/1/replay?id={two}")).await, done(409, "other_delivery"));
    assert_eq!(desk.change(&format!("DELETE /deliveries/1?id={two}")).await, done(409, "other_delivery"));
    assert_eq!(desk.ask("GET /deliveries/1").await.1["audit"], Value::Array(Vec::new()));
    assert_eq!(desk.change(&format!("POST /deliveries/1/replay?id={one}")).await, done(202, "queued"));
    assert_eq!(desk.change("POST /deliveries/1/replay").await, done(200, "waiting"));
    assert_eq!(desk.change("POST /deliveries/5/replay").await, done(409, "no_body"));
    assert_eq!(desk.change("POST /deliveries/99/replay").await, done(404, "not_found"));
    assert_eq!(desk.change("POST /deliveries/1/replay?agian=1").await, done(400, "bad_request"));
    assert_eq!(desk.change("DELETE /deliveries/2").await, done(200, "dropped"));
    assert_eq!(desk.change("DELETE /deliveries/2").await, done(409, "not_dropped"));
    assert_eq!(desk.change("DELETE /deliveries/99").await, done(404, "not_found"));
    let (_, whole) = desk.ask("GET /deliveries/1").await;
    assert_eq!((&whole["audit"][0]["what"], &whole["webhook_id"]), (&Value::from("replayed"), &Value::from(one)));
    bury(&desk.journal).await;
    assert_eq!(desk.change("POST /deliveries/1/replay").await, done(202, "queued"), "it died once more");
}

#[tokio::test]
async fn d_45_all_at_once_and_twice_is_once_each() {
    let desk = Desked::open().await;
    let asked: Vec<_> = [1, 2, 3, 1, 2, 3].iter().map(|id| format!("POST /deliveries/{id}/replay")).collect();
    let mut outcomes = join_all(asked.iter().map(|line| desk.change(line))).await;
    outcomes.sort_unstable();
    let words: Vec<_> = outcomes.iter().map(|(_, word)| word.as_str()).collect();
    assert_eq!(words, ["waiting", "waiting", "waiting", "queued", "queued", "queued"]);
    for id in [1, 2, 3] {
        assert_eq!(desk.ask(&format!("GET /deliveries/{id}")).await.1["audit"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn o_22_the_token_and_other_sites() {
    let token = Fingerprint::of(&Secret::new("correct-horse-battery-staple"));
    let guard = Guard { hosts: Vec::new(), token: Some(token) };
    let metrics = Arc::new(Metrics::new());
    let address = serve(guard, Arc::default(), Office(None), metrics.clone()).await;
    let ask = async |line: &str, header: &str| {
        let mut wire = Wire::connect(address).await;
        wire.send(format!("{line} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n")).await;
        wire.answer().await
    };
    let right = "Authorization: Bearer correct-horse-battery-staple\r\n";
    for page in ["GET /metrics", "GET /sources", "GET /deliveries", "POST /deliveries/1/replay", "GET /nothing"] {
        for wrong in ["", "Authorization: Bearer correct-horse-battery-stapl\r\n", "Authorization: Bearer\r\n"] {
            let answer = ask(page, wrong).await;
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{page} {wrong}");
        }
        assert_ne!(ask(page, right).await.status, 401, "{page}");
    }
    assert_eq!(metrics.admin_refused.get(), 15, "every one is counted");
    assert_eq!(ask("GET /live", "").await.status, 200);
    assert_eq!(ask("GET /ready", "").await.status, 200);
    let foreign = format!("{right}Origin: https://evil.test\r\n");
    assert_eq!(ask("POST /deliveries/1/replay", &foreign).await.status, 403);
    assert_eq!(ask("OPTIONS /deliveries/1/replay", &foreign).await.status, 405, "no other site is let in");
}
