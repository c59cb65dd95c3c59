//! Events in a journal, over real sockets: what is answered, what arrives, and what the operator can see of it.

use std::time::Duration;

use hooksieve::{
    clock::Clock as _,
    state::journal::{Class, Detail, Replay, Row, State},
};

use crate::support::{
    application::{Act, Application, OK},
    gateway::{Gateway, K1, Setup},
    senders::ACME,
};

const QUEUED: &str = "[sources.acme.delivery]\nmode = \"queued\"\n";
const FAIL: Act = Act::Answer("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");

fn event(id: &str) -> String {
    format!(r#"{{"id":"{id}","type":"a.b","note":"canary-in-a-body"}}"#)
}

async fn queued(more: &str) -> Gateway {
    Setup::new(&format!("{ACME}{QUEUED}{more}")).journal().start().await
}

impl Gateway {
    async fn detail(&self, row: &Row) -> Detail {
        let journal = self.journal();
        journal.store().show(row.id).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_queued_event_arrives_as_any_other() {
    let gateway = queued("").await;
    let reply = gateway.acme("evt_1", event("evt_1")).header("user-agent", "Acme/1").send().await;
    reply.is(202, "queue");
    assert_eq!(reply.answer.text(), r#"{"queue":1}"#);
    let mut late = gateway.emptied().await;
    late.extend(reply.events);
    let [seen] = &late[..] else { panic!("{late:?}") };
    assert_eq!(seen.body, event("evt_1").as_bytes());
    for (name, value) in [
        ("content-type", "application/json"),
        ("user-agent", "Acme/1"),
        ("hooksieve-source", "acme"),
        ("hooksieve-event-type", "a.b"),
        ("hooksieve-verified", "verified; key=first"),
        ("hooksieve-attempt", "1"),
        ("hooksieve-received-at", "2026-01-01T00:00:00Z"),
    ] {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    assert!(!seen.head.to_lowercase().contains("webhook-signature: v1"), "the sender's own is not passed on");
    gateway.acme("evt_1", event("evt_1")).send().await.is(200, "duplicate").reaches_nobody();
}

#[tokio::test]
async fn d_58_the_log_and_the_counters_tell_what_became_of_every_event() {
    let schema = "[sources.acme.schema]\nknown = [\"a.b\"]\non_unknown = \"quarantine\"\n";
    let gateway = queued(schema).await;
    gateway.application.then(FAIL);
    gateway.acme("evt_1", event("evt_1")).send().await.is(202, "queue");
    gateway.counted("hooksieve_upstream_attempts_total", 1).await;
    gateway.acme("evt_1", event("evt_1")).send().await.is(200, "duplicate");
    let odd = event("evt_2").replace("a.b", "odd");
    gateway.acme("evt_2", &odd).send().await.is(200, "quarantine unknown_event_type").reaches_nobody();

    let rows = gateway.kept().await;
    let [aside, duplicate, pending] = &rows[..] else { panic!("{rows:?}") };
    let of = |row: &Row| (row.state, row.verdict.clone(), row.reason.clone(), row.answer);
    assert_eq!(of(pending), (State::Pending, "queue".into(), None, Some(202)));
    assert_eq!(of(duplicate), (State::Noted, "duplicate".into(), None, Some(200)));
    let reason = Some("unknown_event_type".to_owned());
    assert_eq!(of(aside), (State::Quarantined, "quarantine".into(), reason, Some(200)));
    assert_eq!((aside.source.as_str(), aside.event_type.as_deref()), ("acme", Some("odd")));
    assert_eq!(pending.webhook_id, duplicate.webhook_id);
    let detail = gateway.detail(pending).await;
    let [attempt] = &detail.attempts[..] else { panic!("{detail:?}") };
    assert_eq!((attempt.number, attempt.class, attempt.status), (1, Class::Refused, Some(500)));
    assert!(detail.body.is_some() && gateway.detail(duplicate).await.body.is_none());
    for (metric, count) in [
        ("hooksieve_journal_pending", 1),
        ("hooksieve_journal_quarantined", 1),
        ("hooksieve_journal_appended_total", 2),
        ("hooksieve_journal_trouble", 0),
        ("hooksieve_queue_dead_total", 0),
    ] {
        assert_eq!(gateway.total(metric), count, "{metric}");
    }
}

#[tokio::test]
async fn d_59_no_credential_is_in_the_journal() {
    let headers = "[upstreams.app]\nforward_headers = [\"webhook-signature\", \"x-plain\"]\n";
    let refused = Setup::new(&format!("{ACME}{QUEUED}{headers}")).judge();
    assert!(!refused.0, "a header with a credential is on no list");
    let headers = "[upstreams.app]\nforward_headers = [\"x-key\", \"x-plain\"]\n";
    let keyed = crate::support::senders::KEYED;
    let text = format!("{keyed}delivery.mode = \"queued\"\n{headers}").replace("[[sources.keyed.auth]]", "");
    let text = text.replace(
        "kind = \"token\"\nsignature = { from = \"header:x-key\" }",
        "auth = [{ kind = \"token\", signature = { from = \"header:x-key\" } }]",
    );
    let gateway = Setup::new(&text).journal().start().await;
    let reply = gateway.post("/in/keyed").header("x-key", K1).header("x-plain", "passes").body("{}").send().await;
    reply.is(202, "queue");
    let file = std::fs::read(gateway.journal_file()).unwrap();
    let wal = std::fs::read(gateway.journal_file().with_extension("db-wal")).unwrap_or_default();
    let holds =
        |text: &str| [&file, &wal].iter().any(|bytes| bytes.windows(text.len()).any(|it| it == text.as_bytes()));
    assert!(holds("passes"), "what passes is kept");
    assert!(!holds(K1));
    gateway.emptied().await;
}

#[tokio::test]
async fn i_14_the_next_of_an_order_may_go_to_another_upstream() {
    let billing = Application::start().await;
    billing.then(OK);
    let more = format!(
        "ordered = [\"json:/note\"]\nroutes = {{ \"c.*\" = \"billing\" }}\nbackoff = {{ first = \"300ms\" }}\n\
         [upstreams.billing]\nurl = \"http://{}/\"\n",
        billing.address
    );
    let gateway = queued(&more).await;
    gateway.application.then(FAIL);
    assert_eq!(gateway.acme("evt_1", event("evt_1")).fire().await.status, 202);
    assert_eq!(gateway.acme("evt_2", event("evt_2").replace("a.b", "c.d")).fire().await.status, 202);
    // That lane has nothing to do when it hears of the second event, and it is the other lane that decides the first.
    let time_passes = async {
        loop {
            gateway.clock.advance(Duration::from_millis(100));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let seen = tokio::select! {
        seen = billing.seen() => seen,
        () = time_passes => unreachable!("it passes for ever"),
    };
    assert!(String::from_utf8_lossy(&seen.body).contains("evt_2"));
    gateway.delivered_elsewhere(1);
    gateway.emptied().await;
}

#[tokio::test]
async fn r_25_a_conflict_is_set_aside() {
    for queued in [false, true] {
        let mode = if queued { QUEUED } else { "" };
        let text = format!("{ACME}{mode}[sources.acme.dedup]\non_conflict = \"quarantine\"\n");
        let gateway = Setup::new(&text).journal().start().await;
        let first = gateway.acme("evt_1", event("evt_1")).send().await;
        first.is(if queued { 202 } else { 200 }, if queued { "queue" } else { "forward" });
        gateway.emptied().await;
        let other = event("evt_1").replace("note", "nota");
        gateway.acme("evt_1", &other).send().await.is(200, "quarantine conflict");
        gateway.acme("evt_1", &other).send().await.is(200, "duplicate").reaches_nobody();
        gateway.emptied().await;
        assert_eq!(gateway.total("hooksieve_journal_quarantined"), 1);
    }
}

#[tokio::test]
async fn j_22_what_does_not_conform_is_set_aside_and_the_rest_goes_on() {
    let text = ACME.replace("id = \"header:webhook-id\"", "split = \"\"\nid = \"json:/id\"");
    let schema = "[sources.acme.schema]\nknown = [\"a.b\"]\non_unknown = \"quarantine\"\n";
    let body = r#"[{"id":1,"type":"a.b"},{"id":2,"type":"odd"},{"id":3,"type":"a.b"}]"#;
    for (more, status, first, asides) in [
        ("", 200, "forward", 1),
        ("[sources.acme.delivery]\nbatch = \"array\"\n", 200, "forward", 1),
        (QUEUED, 202, "queue", 1),
        ("[sources.acme.delivery]\nmode = \"queued\"\nbatch = \"array\"\n", 202, "queue", 1),
    ] {
        let gateway = Setup::new(&format!("{text}{schema}{more}")).journal().start().await;
        let reply = gateway.acme("req_1", body).send().await;
        reply.is(status, "mixed unknown_event_type");
        assert_eq!(reply.answer.text(), format!(r#"{{"{first}":2,"quarantine":1}}"#));
        let mut arrived = reply.events;
        arrived.extend(gateway.emptied().await);
        let mut bodies: Vec<_> = arrived.iter().map(|seen| String::from_utf8_lossy(&seen.body)).collect();
        bodies.sort();
        let whole = r#"[{"id":1,"type":"a.b"},{"id":3,"type":"a.b"}]"#;
        let parts = [r#"{"id":1,"type":"a.b"}"#, r#"{"id":3,"type":"a.b"}"#];
        if more.contains("array") {
            assert_eq!(bodies, [whole]);
        } else {
            assert_eq!(bodies, parts);
        }
        assert_eq!(gateway.total("hooksieve_journal_quarantined"), asides);
        let again = gateway.acme("req_2", body).send().await;
        again.is(200, "duplicate").reaches_nobody();
    }
}

#[tokio::test]
async fn d_60_a_reload_changes_the_mode_of_later_requests_only() {
    let sync = format!("{ACME}[sources.acme.delivery]\nmode = \"sync\"\n");
    let patience = ("HOOKSIEVE_UPSTREAMS__APP__TIMEOUT", "500ms");
    let gateway = Setup::new(&sync).journal().variable(patience.0, patience.1).start().await;
    gateway.application.then(Act::Hang);
    let held = gateway.acme("evt_1", event("evt_1")).fire();
    let switched = async {
        gateway.arrived().await;
        gateway.reload(&format!("{ACME}{QUEUED}")).unwrap();
        gateway.acme("evt_2", event("evt_2")).fire().await
    };
    let (held, switched) = tokio::join!(held, switched);
    assert_eq!((held.status, switched.status), (504, 202), "each request keeps its mode");
    gateway.emptied().await;
}

#[tokio::test]
async fn events_of_a_source_that_left_wait_and_are_reported() {
    let hub = crate::support::senders::HUB.replace("K1", "K2");
    let hold = format!("{hub}{}", ACME.replace("upstream = \"app\"", "upstream = \"app\"\nactive = \"hold\""));
    let gateway = Setup::new(&hold).journal().start().await;
    gateway.acme("evt_1", event("evt_1")).send().await.is(202, "queue").reaches_nobody();
    gateway.reload(&hub).unwrap();
    crate::support::soon(async {
        while !gateway.log().contains("a source that is not in the configuration") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(gateway.total("hooksieve_journal_pending"), 1);
    // Back again, it is delivered with the configuration of the day.
    gateway.reload(&format!("{hub}{ACME}[upstreams.app]\nheaders = {{ \"x-day\" = \"today\" }}\n")).unwrap();
    let seen = gateway.emptied().await;
    assert_eq!(seen[0].header("x-day"), Some("today"));
}

#[tokio::test]
async fn a_journal_is_not_opened_by_a_reload() {
    let gateway = crate::support::gateway::gateway(ACME).await;
    let said = gateway.reload(&format!("{ACME}[journal]\npath = \"h.db\"\n")).unwrap_err();
    assert!(said.contains("restart it"), "{said}");
    gateway.acme("evt_1", event("evt_1")).send().await.is(200, "forward");
}

#[tokio::test]
async fn d_45_a_delivered_event_can_be_sent_again_where_bodies_are_kept() {
    for queued in [false, true] {
        let mode = if queued { QUEUED } else { "" };
        let setup = Setup::new(&format!("{ACME}{mode}")).journal().variable("HOOKSIEVE_JOURNAL__BODIES", "all");
        let gateway = setup.start().await;
        let mut seen = gateway.acme("evt_1", event("evt_1")).send().await.events;
        seen.extend(gateway.emptied().await);
        let [row] = &gateway.kept().await[..] else { panic!("one line") };
        assert_eq!(row.state, if queued { State::Delivered } else { State::Noted });
        let replay = gateway.journal().replay(row.id, true, gateway.clock.now()).await.unwrap();
        assert_eq!(replay, Replay::Queued);
        seen.extend(gateway.emptied().await);
        let [first, second] = &seen[..] else { panic!("{seen:?}") };
        assert_eq!(first.body, second.body);
        assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
        assert_eq!([first, second].map(|seen| seen.header("hooksieve-attempt")), [Some("1"), Some("2")]);
    }
}
