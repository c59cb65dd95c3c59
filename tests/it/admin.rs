//! The operator's door.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use hooksieve::{
    admin::{Admin, Desk, Guard, Probe, form::Overview},
    server::{ListenOn, Listener, Shutdown},
    state::journal::{EntryId, JournalError, JournalFuture, JournalStore, Replay},
    telemetry::Metrics,
};
use jiff::Timestamp;

use crate::support::wire::{Answer, Wire};

#[derive(Default)]
struct Draining(AtomicBool);

impl Probe for Draining {
    fn not_ready(&self) -> Vec<&'static str> {
        if self.0.load(Ordering::Relaxed) { vec!["draining"] } else { Vec::new() }
    }
}

/// The desk of a gateway without a journal.
struct Bare;

impl Desk for Bare {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn sources(&self) -> Vec<Overview> {
        Vec::new()
    }

    fn journal(&self) -> Option<&dyn JournalStore> {
        None
    }

    fn replay(&self, _: EntryId, _: bool) -> JournalFuture<Replay> {
        Box::pin(async { Err(JournalError::Failed(String::new())) })
    }

    fn discard(&self, _: EntryId) -> JournalFuture<bool> {
        Box::pin(async { Err(JournalError::Failed(String::new())) })
    }
}

async fn open(probe: Arc<Draining>, metrics: Arc<Metrics>) -> SocketAddr {
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
    let Ok(ListenOn::Tcp(address)) = listener.local() else { unreachable!("it was bound to TCP") };
    let guard = Guard { hosts: vec!["gw.internal".to_owned()], token: None };
    let admin = Admin::new(guard, probe, Arc::new(Bare), metrics, Shutdown::new());
    tokio::spawn(async move { admin.serve(listener).await });
    address
}

async fn ask(address: SocketAddr, line: &str, host: &str) -> Answer {
    let mut wire = Wire::connect(address).await;
    wire.send(format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    wire.answer().await
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
