//! One event on its way: nothing is lost, nothing is hidden, and a 2xx is a promise (catalogue D-01 to D-24).

use std::{
    collections::HashSet,
    path::Path,
    sync::{Mutex, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use hooksieve::{
    app::{load, nowhere},
    config::Environment,
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};

use crate::support::{
    delivery::{
        Act::{self, Cut, Hold, HoldAndFail, Status},
        App, Gateway, TOKEN, configuration, request_with,
    },
    soon,
    store::Store,
    wire::{Answer, Wire},
};

const EVENT: &str = r#"{"id":"evt_1","type":"a.b"}"#;
const FORWARDED: (u16, &str) = (200, r#"{"forward":1}"#);
const DUPLICATE: (u16, &str) = (200, r#"{"duplicate":1}"#);
/// Short enough for tests in which an application never answers.
const IMPATIENT: &str = "upstreams.app.timeout = \"150ms\"";

fn told(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.text())
}

#[tokio::test]
async fn d_01_r_10_a_delivered_event_is_a_duplicate_from_then_on() {
    let app = App::that([]).await;
    let gateway = Gateway::start(&app, &[]).await;
    assert_eq!(told(&gateway.post(EVENT).await), FORWARDED);
    for _ in 0..3 {
        assert_eq!(told(&gateway.post(EVENT).await), DUPLICATE);
    }
    let seen = app.seen(1).await;
    assert_eq!(seen[0].text(), EVENT);
    assert!(seen[0].head.starts_with("POST /hook HTTP/1.1\r\n"));
    assert_eq!(seen[0].header("hooksieve-source"), "acme");
    assert_eq!(seen[0].header("hooksieve-event-type"), "a.b");
    assert_eq!(seen[0].header("hooksieve-verified"), "token; key=main");
    assert!(!seen[0].head.contains(TOKEN));
}

#[tokio::test]
async fn d_01_a_claim_is_no_evidence_before_the_head_of_the_answer() {
    let app = App::that([Hold]).await;
    let gateway = Gateway::start(&app, &["sources.acme.dedup.join_timeout = \"50ms\""]).await;
    let mut leader = gateway.send(EVENT).await;
    app.seen(1).await;
    assert_eq!(gateway.post(EVENT).await.status, 503);
    app.release(1);
    assert_eq!(told(&leader.answer().await), FORWARDED);
    assert_eq!(told(&gateway.post(EVENT).await), DUPLICATE);
    app.seen(1).await;
}

/// Every way to fail is answered without a 2xx, and the identical retry is forwarded, whoever failed before.
#[tokio::test]
async fn d_02_d_03_d_05_d_23_after_a_failure_the_retry_is_forwarded() {
    async fn check(act: Act, status: u16) {
        let shown = format!("{act:?}");
        let app = App::that([act.clone(), act]).await;
        let gateway = Gateway::start(&app, &[IMPATIENT]).await;
        for _ in 0..2 {
            let answer = gateway.post(EVENT).await;
            assert_eq!(answer.status, status, "{shown}");
            assert!(!answer.text().contains("duplicate"), "{shown}");
        }
        assert_eq!(told(&gateway.post(EVENT).await), FORWARDED, "{shown}");
        assert_eq!(told(&gateway.post(EVENT).await), DUPLICATE, "{shown}");
        app.seen(3).await;
        assert_eq!(gateway.ground.claims.stats().in_flight, 0);
    }
    check(Status(500), 502).await;
    check(Status(101), 502).await;
    check(Status(102), 504).await;
    check(Hold, 504).await;
    check(Cut(""), 502).await;
    check(Cut("HTTP/1.1 20"), 502).await;
    check(Cut("HTTP/1.1 099 Junk\r\n\r\n"), 502).await;
    check(Cut("junk\r\n\r\n"), 502).await;
    check(Cut("HTTP/1.1 302 Found\r\nLocation: /hook\r\nContent-Length: 0\r\n\r\n"), 502).await;
    check(Cut("HTTP/1.1 500 Oops\r\nContent-Length: 10\r\n\r\n200 OK"), 502).await;
}

#[tokio::test]
async fn d_05_no_status_but_2xx_is_a_success() {
    let before = Mutex::new(HashSet::new());
    let app = App::start(move |_, seen| {
        let first = before.lock().unwrap().insert(seen.body.clone());
        Status(if first { seen.text()[7..10].parse().unwrap() } else { 200 })
    });
    let app = app.await;
    let gateway = Gateway::start(&app, &[]).await;
    let mut wire = Wire::connect(gateway.address).await;
    for status in (200..=599).chain([101]) {
        let event = format!(r#"{{"id":"{status}"}}"#);
        wire.send(request_with(TOKEN, &event)).await;
        let answer = wire.answer().await;
        let is_success = (200..300).contains(&status);
        assert_eq!(answer.status, if is_success { 200 } else { 502 }, "{status}");
        wire.send(request_with(TOKEN, &event)).await;
        let retried = wire.answer().await;
        assert_eq!(told(&retried), if is_success { DUPLICATE } else { FORWARDED }, "{status}");
        assert_eq!(app.count_of(&event), if is_success { 1 } else { 2 }, "{status}");
    }
}

#[tokio::test]
async fn d_04_nothing_was_sent() {
    let app = App::that([]).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gateway = Gateway::start(&app, &[&format!("upstreams.app.url = \"http://{closed}/\"")]).await;
    for _ in 0..2 {
        assert_eq!(gateway.post(EVENT).await.status, 502);
    }
    assert_eq!(gateway.ground.claims.stats().in_flight, 0);
    assert_eq!(app.count(), 0);
}

#[tokio::test]
async fn d_06_a_sender_that_is_gone_changes_nothing() {
    async fn connect(gateway: &Gateway) -> TcpStream {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(request_with(TOKEN, EVENT).as_bytes()).await.unwrap();
        stream
    }
    for reset in [false, true] {
        for fails in [false, true] {
            let app = App::that([if fails { HoldAndFail } else { Hold }]).await;
            let gateway = Gateway::start(&app, &[]).await;
            let stream = connect(&gateway).await;
            app.seen(1).await;
            if reset {
                stream.set_zero_linger().unwrap();
            }
            drop(stream);
            app.release(1);
            if fails {
                // The retry may still share the failure of the first attempt; the next one is on its own.
                let first = gateway.post(EVENT).await;
                let second = gateway.post(EVENT).await;
                assert!([502, 200].contains(&first.status) && second.status == 200, "{first:?} {second:?}");
                app.seen(2).await;
            } else {
                assert_eq!(told(&gateway.post(EVENT).await), DUPLICATE);
                app.seen(1).await;
            }
        }
    }
}

#[tokio::test]
async fn d_06_a_sender_that_says_no_more_still_hears() {
    let app = App::that([Hold]).await;
    let gateway = Gateway::start(&app, &[]).await;
    let mut wire = gateway.send(EVENT).await;
    wire.finish().await;
    app.seen(1).await;
    app.release(1);
    assert_eq!(told(&wire.answer().await), FORWARDED);
}

/// A hundred identical requests, all of which have asked for the event before the application answers the first.
async fn hundred(app: &App, amend: &[&str]) -> (Gateway, Vec<Wire>) {
    let store = Store::new();
    let gateway = Gateway::with_claims(store.claims(), app, amend).await;
    let mut wires = Vec::new();
    for _ in 0..100 {
        wires.push(gateway.send(EVENT).await);
    }
    store.asked(100).await;
    app.seen(1).await;
    (gateway, wires)
}

#[tokio::test]
async fn d_10_a_hundred_at_once_are_one() {
    let app = App::that([Hold]).await;
    let (_gateway, wires) = hundred(&app, &["sources.acme.dedup.join_timeout = \"9s\""]).await;
    app.release(1);
    let mut answers = Vec::new();
    for mut wire in wires {
        answers.push(wire.answer().await);
    }
    assert_eq!(answers.iter().filter(|answer| told(answer) == FORWARDED).count(), 1);
    assert_eq!(answers.iter().filter(|answer| told(answer) == DUPLICATE).count(), 99);
    app.seen(1).await;
}

#[tokio::test]
async fn d_11_when_the_leader_fails_nobody_is_told_of_success() {
    let app = App::that([HoldAndFail]).await;
    let (gateway, wires) = hundred(&app, &["sources.acme.dedup.join_timeout = \"9s\""]).await;
    app.release(1);
    for mut wire in wires {
        assert_eq!(wire.answer().await.status, 502);
    }
    app.seen(1).await;
    assert_eq!(told(&gateway.post(EVENT).await), FORWARDED);
    app.seen(2).await;
}

#[tokio::test]
async fn d_12_when_the_leader_hangs_its_twins_are_sent_away() {
    let app = App::that([Hold]).await;
    let started = Instant::now();
    let (gateway, wires) = hundred(&app, &["sources.acme.dedup.join_timeout = \"100ms\""]).await;
    let mut wires = wires.into_iter();
    let mut leaders = Vec::new();
    for mut wire in wires.by_ref() {
        match tokio::time::timeout(Duration::from_secs(4), wire.answer()).await {
            Ok(answer) => {
                assert_eq!(told(&answer), (503, r#"{"error":"unavailable"}"#));
                assert_eq!(answer.header("retry-after"), Some("5"));
            }
            Err(_) => leaders.push(wire),
        }
    }
    assert!(started.elapsed() < Duration::from_secs(8), "twins waited for the application");
    let [leader] = &mut leaders[..] else { panic!("{} leaders", leaders.len()) };
    app.release(1);
    assert_eq!(told(&leader.answer().await), FORWARDED);
    assert_eq!(told(&gateway.post(EVENT).await), DUPLICATE);
    app.seen(1).await;
}

#[tokio::test]
async fn d_13_no_attempt_outlives_its_lease() {
    let app = App::that([]).await;
    let check = |amend: &[&str], want: Option<&str>| {
        let text = configuration(app.address, amend);
        let (compiled, found) = load(Path::new("h.toml"), &text, &Environment::default(), false, &mut nowhere);
        let text = found.render(false);
        assert_eq!(compiled.is_none(), want.is_some(), "{text}");
        assert!(want.is_none_or(|want| text.contains(want)), "{text}");
    };
    let lease = "sources.acme.dedup.lease = \"10s\"";
    check(&[lease, "upstreams.app.timeout = \"15s\""], Some("the lease ends while the upstream may still answer"));
    let (patient, long) = ("sources.acme.deadline = \"2m\"", "upstreams.app.timeout = \"90s\"");
    check(&[patient, long], Some("longer than any lease"));
    check(&[long], None);
    check(&[patient], None);
}

#[tokio::test]
async fn d_20_an_event_that_cannot_be_settled_is_delivered_all_the_same() {
    let (app, store) = (App::that([]).await, Store::new());
    let gateway = Gateway::with_claims(store.claims(), &app, &[]).await;
    store.full.store(true, Relaxed);
    assert_eq!(told(&gateway.post(EVENT).await), FORWARDED);
    assert_eq!(gateway.metric("hooksieve_dedup_commit_failed_total"), 1);
    store.full.store(false, Relaxed);
    assert_eq!(told(&gateway.post(EVENT).await), FORWARDED);
    assert_eq!(told(&gateway.post(EVENT).await), DUPLICATE);
    let seen = app.seen(2).await;
    assert_eq!(seen[0].header("webhook-id"), seen[1].header("webhook-id"));
}

#[tokio::test]
async fn d_21_a_store_that_is_down() {
    let (app, store) = (App::that([]).await, Store::new());
    store.down.store(true, Relaxed);
    let gateway = Gateway::with_claims(store.claims(), &app, &[]).await;
    let answer = gateway.post(EVENT).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    assert_eq!(app.count(), 0);
    let forward = "sources.acme.dedup.on_store_error = \"forward\"";
    let gateway = Gateway::with_claims(store.claims(), &app, &[forward]).await;
    for _ in 0..2 {
        assert_eq!(told(&gateway.post(EVENT).await), FORWARDED);
    }
    let seen = app.seen(2).await;
    assert_eq!(seen[0].header("webhook-id"), seen[1].header("webhook-id"));
}

#[tokio::test]
async fn d_22_the_status_decides_and_not_the_body() {
    for cut in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
    ] {
        for amend in [&["sources.acme.delivery.mode = \"sync\""][..], &RELAY] {
            let app = App::that([Cut(cut)]).await;
            let gateway = Gateway::start(&app, amend).await;
            assert_eq!(told(&gateway.post(EVENT).await), FORWARDED, "{cut}");
            assert_eq!(told(&gateway.post(EVENT).await), DUPLICATE, "{cut}");
            app.seen(1).await;
        }
    }
}

/// Events are single here: the body is one.
const RELAY: [&str; 2] = ["sources.acme.delivery.relay = true", "sources.acme.events.split = -"];

#[tokio::test]
async fn d_24_every_attempt_says_which_event_it_is() {
    let app = App::that([Status(500), Cut(""), Hold, Status(404)]).await;
    let gateway = Gateway::start(&app, &[IMPATIENT]).await;
    for status in [502, 502, 504, 502, 200] {
        assert_eq!(gateway.post(EVENT).await.status, status);
    }
    gateway.post(r#"{"id":"evt_2"}"#).await;
    let mut seen = app.seen(6).await;
    let other = seen.pop().unwrap();
    for (nth, attempt) in seen.iter().enumerate() {
        assert_eq!(attempt.header("hooksieve-attempt"), (nth + 1).to_string());
        for same in ["webhook-id", "idempotency-key", "hooksieve-received-at"] {
            assert_eq!(attempt.header(same), seen[0].header(same), "{same}");
        }
        assert_eq!(attempt.header("webhook-id"), attempt.header("idempotency-key"));
    }
    assert_eq!(other.header("hooksieve-attempt"), "1");
    assert_ne!(other.header("webhook-id"), seen[0].header("webhook-id"));
}

#[tokio::test]
async fn r_17_an_event_without_identity() {
    async fn check(on_missing: &str, want: [u16; 2], count: usize) {
        let app = App::that([]).await;
        let gateway = Gateway::start(&app, &[&format!("sources.acme.dedup.on_missing = \"{on_missing}\"")]).await;
        for status in want {
            assert_eq!(gateway.post(r#"{"no":"id"}"#).await.status, status, "{on_missing}");
        }
        let seen = app.seen(count).await;
        let ids: HashSet<_> = seen.iter().map(|seen| seen.header("webhook-id").to_owned()).collect();
        assert_eq!(ids.len(), count, "{on_missing}: no two events share an identity");
    }
    check("digest", [200, 200], 1).await;
    check("forward", [200, 200], 2).await;
    check("reject", [400, 400], 0).await;
}

#[tokio::test]
async fn r_25_the_same_identity_with_other_bytes_is_no_duplicate() {
    let app = App::that([]).await;
    let gateway = Gateway::start(&app, &[]).await;
    let other = r#"{"id":"evt_1","type":"a.c"}"#;
    for want in [FORWARDED, DUPLICATE] {
        assert_eq!(told(&gateway.post(EVENT).await), want);
        assert_eq!(told(&gateway.post(other).await), want);
    }
    let seen = app.seen(2).await;
    assert_ne!(seen[0].header("webhook-id"), seen[1].header("webhook-id"));
    assert!(gateway.ground.claims.stats().conflicts >= 1);
}

#[tokio::test]
async fn a_graceful_end_waits_for_what_is_under_way() {
    let app = App::that([Hold]).await;
    let gateway = Gateway::start(&app, &[]).await;
    let mut wire = gateway.send(EVENT).await;
    app.seen(1).await;
    let (drained, answer) = tokio::join!(soon(gateway.drain()), async {
        while TcpStream::connect(gateway.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        app.release(1);
        wire.answer().await
    });
    assert!(drained);
    assert_eq!(told(&answer), FORWARDED);
}

#[tokio::test]
async fn an_end_does_not_wait_for_ever() {
    let app = App::that([Hold]).await;
    let gateway = Gateway::start(&app, &["server.drain_timeout = \"100ms\""]).await;
    let mut wire = gateway.send(EVENT).await;
    app.seen(1).await;
    let (drained, answer) = tokio::join!(soon(gateway.drain()), wire.answer());
    assert!(!drained);
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
}
