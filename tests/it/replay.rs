//! Time, identity and rate: group R of the catalogue, over a socket. What needs no socket is tested beside the stages.

use std::time::Duration;

use data_encoding::HEXLOWER;
use futures_util::future::join_all;
use jiff::Timestamp;

use crate::support::{
    gateway::{Gateway, K1, K2, Setup, T, gateway},
    request::Request,
    senders::{ACME, BODY, HUB, STRIPE, hex, sha256, standard, together},
};

/// A request for [`ACME`] that is signed over this time, written like this.
fn at<'g>(gateway: &'g Gateway, id: &str, time: &str) -> Request<'g> {
    let signature = format!("v1,{}", standard(K1, id, time, BODY));
    let request = gateway.post("/in/acme").header("webhook-id", id).header("webhook-timestamp", time);
    request.header("webhook-signature", signature).body(BODY)
}

#[tokio::test]
async fn r_01_r_02_window_edges() {
    let gateway = gateway(ACME).await;
    for (time, verdict) in [
        (T - 300, None),
        (T - 301, Some("timestamp_stale")),
        (T - 4_000, Some("timestamp_stale")),
        (T + 300, None),
        (T + 301, Some("timestamp_future")),
        (0, Some("timestamp_stale")),
    ] {
        let reply = at(&gateway, &format!("evt{time}"), &time.to_string()).send().await;
        match verdict {
            Some(reason) => _ = reply.is_401(reason),
            None => _ = reply.is_forwarded(),
        }
    }
    // Also when the second is almost over.
    gateway.clock.advance(Duration::from_millis(999));
    at(&gateway, "edge", &(T - 300).to_string()).send().await.is_forwarded();
    gateway.clock.advance(Duration::from_millis(1));
    at(&gateway, "over", &(T - 300).to_string()).send().await.is_401("timestamp_stale");
}

#[tokio::test]
async fn r_03_r_04_r_07_timestamps_that_are_none() {
    let gateway = gateway(&together(&[ACME, STRIPE])).await;
    let signature = format!("v1,{}", standard(K1, "evt_1", "", BODY));
    let request = gateway.post("/in/acme").header("webhook-id", "evt_1").header("webhook-signature", signature);
    request.body(BODY).send().await.is_401("auth_missing");
    for time in ["", "+1767225600", "01767225600", "1767225600.0", "1.767e9", "0x6955", "-1", "1767225600 "] {
        let right = hex(K1, &[time.as_bytes(), b".", BODY.as_bytes()]);
        let request = gateway.post("/in/stripe").header("stripe-signature", format!("t={time},v1={right}"));
        println!("{time:?}");
        request.body(BODY).send().await.is_401("auth_malformed");
    }
    for time in ["+1767225600", "01767225600", "1.767e9", "-1", "١٧٦٧٢٢٥٦٠٠", "99999999999999999999"] {
        println!("{time:?}");
        at(&gateway, "evt_1", time).send().await.is_401("auth_malformed");
    }
    for (time, reason) in [
        (i64::MAX.to_string(), "timestamp_future"),
        (u64::MAX.to_string(), "auth_malformed"),
        (i64::MIN.to_string(), "auth_malformed"),
    ] {
        at(&gateway, "evt_1", &time).send().await.is_401(reason);
    }
}

#[tokio::test]
async fn r_05_milliseconds() {
    let millis = (T * 1000).to_string();
    let seconds = gateway(ACME).await;
    at(&seconds, "evt_1", &millis).send().await.is_401("timestamp_future");
    drop(seconds);
    let text = ACME.replace("\"header:webhook-timestamp\" }", "\"header:webhook-timestamp\", unit = \"ms\" }");
    let gateway = gateway(&text).await;
    at(&gateway, "evt_1", &millis).send().await.is_forwarded();
    at(&gateway, "evt_2", &T.to_string()).send().await.is_401("timestamp_stale");
}

#[tokio::test]
async fn r_08_a_clock_that_was_never_set() {
    for now in [0, -315_619_200] {
        let refused = Setup::new(ACME).at(now).try_start().await.err().expect("it must not start");
        assert!(refused.to_string().starts_with("the clock of this machine says 19"), "{refused}");
    }
}

#[tokio::test]
async fn r_09_a_clock_that_jumps() {
    let gateway = gateway(ACME).await;
    let age_is = |seconds: &str| {
        let text = gateway.metrics();
        let age =
            text.lines().find_map(|line| line.strip_prefix("hooksieve_signed_time_age_seconds{source=\"acme\"} "));
        assert_eq!(age, Some(seconds));
    };
    let set = |second| gateway.clock.set(Timestamp::from_second(second).unwrap());
    at(&gateway, "evt_1", &T.to_string()).send().await.is_forwarded();
    age_is("0.0");
    set(T + 600);
    at(&gateway, "evt_2", &T.to_string()).send().await.is_401("timestamp_stale");
    age_is("600.0");
    // What is remembered is neither forgotten at once nor kept for ever.
    at(&gateway, "evt_1", &(T + 600).to_string()).send().await.is(200, "duplicate");
    set(T - 600);
    at(&gateway, "evt_2", &T.to_string()).send().await.is_401("timestamp_future");
    age_is("-600.0");
    at(&gateway, "evt_1", &(T - 600).to_string()).send().await.is(200, "duplicate");
    set(T);
    at(&gateway, "evt_2", &T.to_string()).send().await.is_forwarded();
    // A credential that is wrong says nothing of its sender's clock.
    let wrong =
        gateway.post("/in/acme").header("webhook-id", "evt_3").header("webhook-timestamp", (T - 60).to_string());
    wrong.header("webhook-signature", "v1,AAAA").body(BODY).send().await.is_401("auth_malformed");
    age_is("0.0");
}

#[tokio::test]
async fn r_10_r_11_replay() {
    let gateway = gateway(ACME).await;
    gateway.acme("evt_1", BODY).send().await.is_forwarded();
    gateway.advance(1);
    let again = gateway.acme("evt_1", BODY).send().await;
    assert_eq!(again.is(200, "duplicate").answer.text(), r#"{"duplicate":1}"#);
    again.reaches_nobody();
    gateway.advance(300);
    gateway.acme("evt_1", BODY).send().await.is_401("timestamp_stale");
}

#[tokio::test]
async fn r_15_another_spelling_is_the_same_event() {
    let gateway = gateway(&together(&[ACME, HUB])).await;
    gateway.acme("evt_1", BODY).send().await.is_forwarded();
    let signature = format!("v1,AAAA v1,{}", standard(K1, "evt_1", &T.to_string(), BODY));
    let request = gateway.post("/in/acme?x=1").header("WEBHOOK-SIGNATURE", signature);
    let request = request.header("X-Other", "1").header("Webhook-Timestamp", T.to_string());
    request.header("Webhook-Id", "evt_1").body(BODY).send().await.is(200, "duplicate").reaches_nobody();

    gateway.hub(BODY).send().await.is_forwarded();
    let upper = format!("sha256={}", HEXLOWER.encode(&sha256(K1.as_bytes(), &[BODY.as_bytes()])).to_uppercase());
    let request = gateway.post("/in/hub").header("x-hub-signature-256", upper).body(BODY);
    request.send().await.is(200, "duplicate").reaches_nobody();
}

#[tokio::test]
async fn r_16_an_identity_that_is_not_signed() {
    let text = format!("{HUB}[sources.hub.events]\nid = \"body|sha256\"\n");
    let gateway = gateway(&text).await;
    gateway.hub(BODY).header("x-github-delivery", "d1").send().await.is_forwarded();
    let replayed = gateway.hub(BODY).header("x-github-delivery", "d2");
    replayed.send().await.is(200, "duplicate").reaches_nobody();
}

#[tokio::test]
async fn r_17_r_23_a_missing_identity() {
    let text =
        STRIPE.replace("id = \"json:/id\"", "id = \"json:/id\"\n[sources.stripe.dedup]\non_missing = \"MISSING\"");
    let body = r#"{"type":"no id"}"#;
    for (rule, first, second) in [
        ("digest", (200, "forward"), (200, "duplicate")),
        ("forward", (200, "forward"), (200, "forward")),
        ("reject", (400, "reject identity_missing"), (400, "reject identity_missing")),
    ] {
        println!("{rule}");
        let gateway = gateway(&text.replace("MISSING", rule)).await;
        let right = hex(K1, &[T.to_string().as_bytes(), b".", body.as_bytes()]);
        for (status, counted) in [first, second] {
            let request = gateway.post("/in/stripe").header("stripe-signature", format!("t={T},v1={right}"));
            request.body(body).send().await.is(status, counted);
        }
    }
}

#[tokio::test]
async fn r_18_same_id_two_sources() {
    let other = ACME.replace("acme", "other").replace("K1", "K2");
    let gateway = gateway(&together(&[ACME, &other])).await;
    gateway.acme("evt_1", BODY).send().await.is_forwarded();
    let signature = format!("v1,{}", standard(K2, "evt_1", &T.to_string(), BODY));
    let request = gateway.post("/in/other").header("webhook-id", "evt_1").header("webhook-timestamp", T.to_string());
    request.header("webhook-signature", signature).body(BODY).send().await.is_forwarded();
}

#[tokio::test]
async fn r_19_the_unauthenticated_poison_nothing() {
    let gateway = gateway(ACME).await;
    let forged = format!("v1,{}", standard(K2, "evt_1", &T.to_string(), BODY));
    gateway.acme_with("evt_1", forged, BODY).send().await.is_401("auth_mismatch");
    gateway.acme("evt_1", BODY).send().await.is_forwarded();
}

#[tokio::test]
async fn r_21_r_22_ids_that_are_long_or_alike() {
    let gateway = gateway(ACME).await;
    let long = "x".repeat(256);
    for id in [
        "evt_1",
        "EVT_1",
        "evt_1x",
        "evt_1\u{e9}",
        "evt_1e\u{301}",
        "1",
        "01",
        &format!("{long}a"),
        &format!("{long}b"),
        &"y".repeat(8_000),
    ] {
        gateway.acme(id, BODY).send().await.is_forwarded();
        gateway.acme(id, BODY).send().await.is(200, "duplicate");
    }
}

#[tokio::test]
async fn r_24_the_delivery_id_changes_on_a_retry() {
    let gateway = gateway(STRIPE).await;
    for (delivery, counted) in [("d1", "forward"), ("d2", "duplicate")] {
        let right = hex(K1, &[T.to_string().as_bytes(), b".", BODY.as_bytes()]);
        let request = gateway.post("/in/stripe").header("stripe-signature", format!("t={T},v1={right}"));
        request.header("x-delivery-id", delivery).body(BODY).send().await.is(200, counted);
    }
}

#[tokio::test]
async fn r_25_same_id_other_body() {
    let gateway = gateway(ACME).await;
    let first = gateway.acme("evt_1", BODY).send().await;
    let first = first.is_forwarded().header("webhook-id").unwrap().to_owned();
    let other = gateway.acme("evt_1", r#"{"type":"other"}"#).send().await;
    assert_ne!(other.is_forwarded().header("webhook-id"), Some(first.as_str()), "it is an event of its own");
    gateway.acme("evt_1", r#"{"type":"other"}"#).send().await.is(200, "duplicate");
    gateway.acme("evt_1", BODY).send().await.is(200, "duplicate");
    assert!(gateway.total("hooksieve_dedup_conflicts_total") > 0);
}

/// Behind a proxy that says who its clients are, and with a small budget of failures for each of them.
fn behind_a_proxy(more: &str) -> String {
    let server = "[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\nclient_limit = { rate = \"1/s\", burst = 5 }\n";
    format!("{server}{ACME}{more}")
}

fn wrong<'g>(gateway: &'g Gateway, client: &str) -> Request<'g> {
    let forged = format!("v1,{}", standard(K2, "evt_1", &T.to_string(), BODY));
    gateway.acme_with("evt_1", forged, BODY).header("x-forwarded-for", client)
}

#[tokio::test]
async fn r_26_brute_force() {
    let gateway = gateway(&behind_a_proxy("")).await;
    for _ in 0..5 {
        wrong(&gateway, "203.0.113.7").send().await.is_401("auth_mismatch");
    }
    let refused = wrong(&gateway, "203.0.113.7").send().await;
    assert_eq!(refused.is(429, "reject rate_ip").answer.header("retry-after"), Some("1"));
    // The guess that is right comes too late, from there; from elsewhere it does not.
    let right = |client: &str| gateway.acme("evt_1", BODY).header("x-forwarded-for", client).send();
    right("203.0.113.7").await.is(429, "reject rate_ip").reaches_nobody();
    right("203.0.113.8").await.is_forwarded();
    gateway.advance(1);
    wrong(&gateway, "203.0.113.7").send().await.is_401("auth_mismatch");
    wrong(&gateway, "203.0.113.7").send().await.is(429, "reject rate_ip");
    gateway.advance(1);
    right("203.0.113.7").await.is(200, "duplicate");
}

#[tokio::test]
async fn r_27_starvation_by_junk() {
    let gateway = gateway(&behind_a_proxy("[sources.acme.limit]\nrate = \"1/s\"\nburst = 3\n")).await;
    let junk = (0..200).map(|number| wrong(&gateway, &format!("198.51.100.{}", number % 50)).fire());
    let statuses: Vec<_> = join_all(junk).await.into_iter().map(|answer| answer.status).collect();
    assert!(statuses.iter().all(|status| [401, 429].contains(status)), "{statuses:?}");
    for number in 0..3 {
        let right = gateway.acme(&format!("evt_{number}"), BODY).header("x-forwarded-for", "203.0.113.8");
        right.send().await.is_forwarded();
    }
    let right = gateway.acme("evt_3", BODY).header("x-forwarded-for", "203.0.113.8").send().await;
    assert_eq!(right.is(429, "reject rate_source").answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn r_28_rotating_addresses() {
    let gateway = gateway(&behind_a_proxy("")).await;
    for host in 1..=5 {
        // What stands to the left of the proxy's own word is the client's invention.
        let hops = format!("192.0.2.{host}, 2001:db8:1:2::{host}");
        wrong(&gateway, &hops).send().await.is_401("auth_mismatch");
    }
    wrong(&gateway, "2001:db8:1:2:ffff::1").send().await.is(429, "reject rate_ip");
    wrong(&gateway, "2001:db8:1:3::1").send().await.is_401("auth_mismatch");
    drop(gateway);

    // The peer itself is not a proxy that is trusted: what it says counts for nothing, and as it is at loopback, it has
    // no budget unless the operator wants it.
    let text = behind_a_proxy("")
        .replace("127.0.0.0/8", "10.0.0.0/8")
        .replace("burst = 5", "burst = 5, apply_to_private = true");
    let gateway = self::gateway(&text).await;
    for host in 1..=5 {
        wrong(&gateway, &format!("192.0.2.{host}")).send().await.is_401("auth_mismatch");
    }
    wrong(&gateway, "192.0.2.77").send().await.is(429, "reject rate_ip");
}

#[tokio::test]
async fn j_23_twins_in_one_body() {
    let text = format!("{HUB}[sources.hub.events]\nsplit = \"\"\nid = \"json:/id\"\n");
    let gateway = gateway(&text).await;
    let equal = r#"[{"id":1,"a":1},{"id":1,"a":1},{"id":"1","a":1}]"#;
    let reply = gateway.hub(equal).send().await;
    assert_eq!(reply.is(200, "mixed").answer.text(), r#"{"forward":2,"duplicate":1}"#);
    let unequal = r#"[{"id":2,"a":1},{"id":2,"a":2}]"#;
    let reply = gateway.hub(unequal).send().await;
    assert_eq!(reply.is(200, "forward").events.len(), 2, "by rule, other bytes are another event");
}
