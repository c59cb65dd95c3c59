//! Many events in one request, what the application gets of them, and the rules an operator can make.

use sha2::{Digest as _, Sha256};

use crate::support::{
    delivery::{
        Act::{Cut, Hold, Status},
        App, Gateway, TOKEN, request_with,
    },
    store::Store,
    wire::{Answer, Wire},
};

const ARRAY: &str = "sources.acme.delivery.batch = \"array\"";
const IMPATIENT: &str = "upstreams.app.timeout = \"150ms\"";

fn told(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.text())
}

fn event(id: usize) -> String {
    format!(r#"{{"id":{id}}}"#)
}

fn batch(ids: impl IntoIterator<Item = usize>) -> String {
    format!("[{}]", ids.into_iter().map(event).collect::<Vec<_>>().join(","))
}

#[tokio::test]
async fn d_16_i_15_a_partial_batch_and_its_retry() {
    for failure in [Status(500), Cut(""), Hold] {
        let failed = std::sync::atomic::AtomicBool::new(false);
        let status = if matches!(failure, Hold) { 504 } else { 502 };
        let app = App::start(move |_, seen| {
            let second = seen.text() == event(2) && !failed.swap(true, std::sync::atomic::Ordering::Relaxed);
            if second { failure.clone() } else { Status(200) }
        });
        let app = app.await;
        let gateway = Gateway::start(&app, &[IMPATIENT]).await;
        assert_eq!(gateway.post(&batch(1..=3)).await.status, status);
        app.seen(3).await;
        assert_eq!(told(&gateway.post(&batch(1..=3)).await), (200, r#"{"duplicate":2,"forward":1}"#));
        assert_eq!(told(&gateway.post(&batch(1..=3)).await), (200, r#"{"duplicate":3}"#));
        assert_eq!([1, 2, 3].map(|id| app.count_of(&event(id))), [1, 2, 1]);
    }
}

#[tokio::test]
async fn d_17_in_order_nothing_overtakes_what_failed() {
    let app = App::that([Status(200), Status(500)]).await;
    let gateway = Gateway::start(&app, &["sources.acme.delivery.ordered = [\"json:/type\"]"]).await;
    assert_eq!(gateway.post(&batch(1..=4)).await.status, 502);
    app.seen(2).await;
    assert_eq!(gateway.post(&batch(1..=4)).await.status, 200);
    let order: Vec<_> = app.seen(5).await.into_iter().map(|seen| seen.text().to_owned()).collect();
    assert_eq!(order, [1, 2, 2, 3, 4].map(event));
}

#[tokio::test]
async fn d_19_a_batch_stops_in_time_and_its_retries_get_further() {
    let app = App::start(|_, _| Hold).await;
    let amend = ["sources.acme.deadline = \"500ms\"", "sources.acme.delivery.concurrency = 1"];
    let gateway = Gateway::start(&app, &amend).await;
    app.release(3);
    let answer = gateway.post(&batch(0..20)).await;
    assert!([503, 504].contains(&answer.status), "{answer:?}");
    app.seen(4).await;
    app.release(1_000);
    while gateway.post(&batch(0..20)).await.status != 200 {}
    for id in 0..3 {
        assert_eq!(app.count_of(&event(id)), 1, "what was delivered is not delivered again");
    }
    assert!((0..20).all(|id| app.count_of(&event(id)) >= 1));
}

#[tokio::test]
async fn j_20_i_07_bytes_arrive_as_they_came() {
    let odd = [
        r#"{ "id" : 1,	"n": 123456789012345678901234567890 , "e":1E2, "z":-0.0}"#,
        "{\"id\":2,\r\n\"\\u0061\":\"\\u00e9\\/\",\"b\":[ ],\"c\":{ }}",
        r#"{"z":1,"id":3,"a":1.0,"big":9007199254740993,"😀":"\ud83d\ude00"}"#,
        r#"  {"id":4}  "#,
    ];
    let sha = |bytes: &[u8]| Sha256::digest(bytes).to_vec();
    for amend in [&[][..], &["sources.acme.delivery.ordered = [\"json:/type\"]"]] {
        let app = App::that([]).await;
        let gateway = Gateway::start(&app, amend).await;
        for body in odd {
            assert_eq!(gateway.post(body).await.status, 200);
        }
        let body = format!(" [ {} ]\n", odd.join(" ,\n").replace("\"id\"", "\"no\""));
        assert_eq!(gateway.post(&body).await.status, 200);
        let mut got: Vec<_> = app.seen(8).await.iter().map(|seen| sha(&seen.body)).collect();
        let mut want: Vec<_> = odd.iter().map(|body| sha(body.as_bytes())).collect();
        want.extend(odd.iter().map(|body| sha(body.replace("\"id\"", "\"no\"").trim().as_bytes())));
        got.sort();
        want.sort();
        assert_eq!(got, want);
    }
}

#[tokio::test]
async fn j_20_an_array_has_the_bytes_of_its_events() {
    let app = App::that([]).await;
    let gateway = Gateway::start(&app, &[ARRAY]).await;
    assert_eq!(told(&gateway.post("[ {\"id\":1, \"n\":1E2} ,\n{\"id\": 2}]").await), (200, r#"{"forward":2}"#));
    assert_eq!(told(&gateway.post(r#"[{"id": 2},{"id":3}]"#).await), (200, r#"{"duplicate":1,"forward":1}"#));
    assert_eq!(told(&gateway.post(r#"[{"id": 2},{"id":3}]"#).await), (200, r#"{"duplicate":2}"#));
    let seen = app.seen(2).await;
    assert_eq!(seen[0].text(), "[{\"id\":1, \"n\":1E2},{\"id\": 2}]");
    assert_eq!(seen[1].text(), r#"[{"id":3}]"#);
}

#[tokio::test]
async fn j_23_twins_in_one_batch_are_one_event() {
    let twins = r#"[{"id":1},{"id":2},{"id":1},{"id":1,"other":true},{"id":1}]"#;
    let amends =
        [&["sources.acme.delivery.concurrency = 1"][..], &["sources.acme.delivery.ordered = [\"json:/type\"]"], &[]];
    for amend in amends {
        let app = App::that([]).await;
        let gateway = Gateway::start(&app, amend).await;
        assert_eq!(gateway.post(twins).await.status, 200, "{amend:?}");
        assert_eq!(told(&gateway.post(twins).await), (200, r#"{"duplicate":5}"#), "{amend:?}");
        assert_eq!([r#"{"id":1}"#, r#"{"id":2}"#].map(|body| app.count_of(body)), [1, 1]);
        app.seen(3).await;
    }
    let app = App::that([Status(500)]).await;
    let gateway = Gateway::start(&app, &[ARRAY]).await;
    assert_eq!(gateway.post(twins).await.status, 502);
    assert_eq!(told(&gateway.post(twins).await), (200, r#"{"forward":3,"duplicate":2}"#));
    let seen = app.seen(2).await;
    assert_eq!(seen[1].text(), r#"[{"id":1},{"id":2},{"id":1,"other":true}]"#);
    assert_eq!(seen[0].header("webhook-id"), seen[1].header("webhook-id"));
}

#[tokio::test]
async fn i_09_arrays_with_other_events_have_other_identities() {
    let app = App::that([]).await;
    let gateway = Gateway::start(&app, &[ARRAY, "sources.acme.events.id = \"header:x-id\""]).await;
    for id in ["1", "2"] {
        let mut wire = Wire::connect(gateway.address).await;
        wire.send(request_with(TOKEN, r#"[{"ping":true}]"#).replace("Host", &format!("X-Id: {id}\r\nHost"))).await;
        assert_eq!(told(&wire.answer().await), (200, r#"{"forward":1}"#));
    }
    let seen = app.seen(2).await;
    assert_ne!(seen[0].header("webhook-id"), seen[1].header("webhook-id"));
}

#[tokio::test]
async fn arrays_that_share_events_do_not_wait_for_each_other() {
    let (app, store) = (App::that([Hold]).await, Store::new());
    let gateway = Gateway::with_claims(store.claims(), &app, &[ARRAY]).await;
    let mut first = gateway.send(&batch([1, 2])).await;
    app.seen(1).await;
    let mut second = gateway.send(&batch([2, 1, 3])).await;
    store.asked(3).await;
    app.release(1);
    assert_eq!(told(&first.answer().await), (200, r#"{"forward":2}"#));
    assert_eq!(told(&second.answer().await), (200, r#"{"duplicate":2,"forward":1}"#));
    assert_eq!(app.seen(2).await[1].text(), r#"[{"id":3}]"#);
}

#[tokio::test]
async fn an_array_whose_event_is_under_way_elsewhere_is_sent_away_whole() {
    let app = App::that([Hold]).await;
    let gateway = Gateway::start(&app, &[ARRAY, "sources.acme.dedup.join_timeout = \"50ms\""]).await;
    let mut first = gateway.send(&batch([2])).await;
    app.seen(1).await;
    assert_eq!(gateway.post(&batch(1..=3)).await.status, 503);
    assert_eq!(gateway.ground.claims.stats().in_flight, 1, "what it had claimed is given back");
    app.release(1);
    assert_eq!(first.answer().await.status, 200);
    assert_eq!(told(&gateway.post(&batch(1..=3)).await), (200, r#"{"forward":2,"duplicate":1}"#));
    assert_eq!(app.seen(2).await[1].text(), batch([1, 3]));
}

#[tokio::test]
async fn j_22_i_15_one_rejected_event_takes_the_batch_with_it() {
    for amend in
        [&["sources.acme.dedup.on_missing = \"reject\""][..], &["sources.acme.dedup.on_missing = \"reject\"", ARRAY]]
    {
        let app = App::that([]).await;
        let gateway = Gateway::start(&app, amend).await;
        let before = gateway.ground.claims.stats();
        assert_eq!(gateway.post(r#"[{"id":1},{"no":"id"},{"id":2}]"#).await.status, 400);
        assert_eq!((app.count(), gateway.ground.claims.stats()), (0, before));
        assert_eq!(gateway.post(&batch(1..=2)).await.status, 200);
    }
}

#[tokio::test]
async fn events_go_where_their_type_says() {
    let (app, billing) = (App::that([]).await, App::that([]).await);
    let url = format!("upstreams.billing.url = \"http://{}/bills\"", billing.address);
    let routes = "sources.acme.delivery.routes = { \"invoice.*\" = \"billing\" }";
    let gateway = Gateway::start(&app, &[&url, routes]).await;
    let answer = gateway.post(r#"[{"id":1,"type":"invoice.paid"},{"id":2,"type":"order.paid"},{"id":3}]"#).await;
    assert_eq!(told(&answer), (200, r#"{"forward":3}"#));
    app.seen(2).await;
    let bills = billing.seen(1).await;
    assert!(bills[0].head.starts_with("POST /bills HTTP/1.1\r\n") && bills[0].text().contains("invoice.paid"));
}

#[tokio::test]
async fn the_answer_of_the_application_is_relayed() {
    let relay = ["sources.acme.delivery.relay = true", "sources.acme.events.split = -"];
    let xml = "HTTP/1.1 201 Made\r\nContent-Type: text/xml\r\nSet-Cookie: a=b\r\nContent-Length: 4\r\n\r\n<r/>";
    let app = App::that([Status(500), Cut(xml)]).await;
    let gateway = Gateway::start(&app, &relay).await;
    assert_eq!(gateway.post(&event(1)).await.status, 502);
    let answer = gateway.post(&event(1)).await;
    assert_eq!((told(&answer), answer.header("content-type")), ((201, "<r/>"), Some("text/xml")));
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(told(&gateway.post(&event(1)).await), (200, r#"{"duplicate":1}"#));
    app.seen(2).await;
}

#[tokio::test]
async fn an_operator_chooses_the_answer_to_what_is_accepted_only() {
    let app = App::that([Status(500)]).await;
    let gateway = Gateway::start(&app, &["sources.acme.reply.success = { status = 202, body = \"thanks\" }"]).await;
    assert_eq!(gateway.post(&event(1)).await.status, 502);
    for _ in 0..2 {
        assert_eq!(told(&gateway.post(&event(1)).await), (202, "thanks"));
    }
}

#[tokio::test]
async fn who_only_observes_forwards_everything_authentic_and_counts() {
    let app = App::that([]).await;
    let amend = ["sources.acme.mode = \"observe\"", "sources.acme.events.deny = [\"no.*\"]"];
    let gateway = Gateway::start(&app, &amend).await;
    let bodies = ["not json", r#"{"id":1,"id":2}"#, r#"{"id":1,"type":"no.way"}"#, "[1,null]", ""];
    for (before, body) in bodies.iter().enumerate() {
        assert_eq!(gateway.post(body).await.status, 200, "{body}");
        assert!(app.count() > before, "{body}");
    }
    assert!(bodies.iter().filter(|body| !body.starts_with('[')).all(|body| app.count_of(body) == 1));
    assert!(gateway.metric("hooksieve_events_total{source=\"acme\",verdict=\"forward\",reason=\"\"}") >= 5);
    let mut forger = Wire::connect(gateway.address).await;
    let before = app.count();
    forger.send(request_with("a wrong token of the right length", &event(9))).await;
    assert_eq!((forger.answer().await.status, app.count()), (401, before));
}

#[tokio::test]
async fn a_source_that_is_switched_off() {
    let app = App::that([]).await;
    let gateway = Gateway::start(&app, &["sources.acme.active = \"drop\""]).await;
    assert_eq!(told(&gateway.post(&event(1)).await), (200, r#"{"drop":1}"#));
    let mut forger = Wire::connect(gateway.address).await;
    forger.send(request_with("a wrong token of the right length", &event(1))).await;
    assert_eq!(forger.answer().await.status, 401);
    let gateway = Gateway::start(&app, &["sources.acme.active = \"refuse\""]).await;
    let answer = gateway.post(&event(1)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    assert_eq!(app.count(), 0);
}
