//! The operator's door.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use hooksieve::{
    admin::{Admin, Probe},
    server::{ListenOn, Listener, Shutdown},
    telemetry::Metrics,
};

use crate::support::wire::{Answer, Wire};

#[derive(Default)]
struct Draining(AtomicBool);

impl Probe for Draining {
    fn not_ready(&self) -> Vec<&'static str> {
        if self.0.load(Ordering::Relaxed) { vec!["draining"] } else { Vec::new() }
    }
}

async fn open(probe: Arc<Draining>, metrics: Arc<Metrics>) -> SocketAddr {
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
    let Ok(ListenOn::Tcp(address)) = listener.local() else { unreachable!("it was bound to TCP") };
    let admin = Admin::new(vec!["gw.internal".to_owned()], probe, metrics, Shutdown::new());
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
    ] {
        assert_eq!(ask(address, line, host).await.status, want, "{line} {host}");
    }
}
