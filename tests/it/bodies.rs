//! Bodies, batches and schemas: group J of the catalogue, as far as it shows at a socket. The parser, the splitter and
//! the schema engine have tests of their own, and the public corpora run against them in `tests/corpora.rs`.

use serde_json::value::RawValue;

use crate::support::{
    gateway::{CANARY, Gateway, Setup, gateway},
    request::{Reply, label},
    senders::{HUB, hub, together},
};

/// [`HUB`] with batches, ids, and schemas for two types.
fn batches(on_violation: &str) -> String {
    let rest = r#"
        [sources.hub.events]
        split = ""
        type = "json:/type"
        id = "json:/id"
        [sources.hub.schema]
        directory = "schemas"
        on_violation = "RULE"
        on_unknown = "drop"
    "#;
    together(&[HUB, &rest.replace("RULE", on_violation)])
}

/// A gateway with such batches, and a directory with its schemas.
async fn with_schemas(text: &str) -> (Gateway, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let schemas = directory.path().join("schemas");
    std::fs::create_dir(&schemas).unwrap();
    let envelope = r#"{"type":"object","required":["type","id"],"properties":{"type":{"type":"string"}}}"#;
    let paid = r#"{"required":["amount"],"properties":{"amount":{"type":"integer","minimum":1}}}"#;
    std::fs::write(schemas.join("envelope.json"), envelope).unwrap();
    std::fs::write(schemas.join("paid.json"), paid).unwrap();
    std::fs::write(schemas.join("sent.json"), r#"{"properties":{"at":{"type":"string","format":"date-time"}}}"#)
        .unwrap();
    (Setup::new(text).directory(directory.path()).start().await, directory)
}

async fn refused(bodies: &[&[u8]], reason: &str) {
    let gateway = gateway(HUB).await;
    for body in bodies {
        println!("{}", String::from_utf8_lossy(&body[..body.len().min(60)]));
        let reply = gateway.hub(body).send().await;
        reply.is(400, &format!("reject {reason}")).reaches_nobody();
        assert_eq!(reply.answer.text(), r#"{"error":"bad_request"}"#, "nothing is echoed");
    }
    assert_eq!(gateway.total("hooksieve_dedup_settled"), 0);
}

async fn forwarded(bodies: &[&str]) {
    let gateway = gateway(HUB).await;
    for body in bodies {
        gateway.hub(body).send().await.is_forwarded();
    }
}

#[tokio::test]
async fn j_04_j_05_duplicate_keys() {
    let bodies: [&[u8]; 5] = [
        br#"{"type":"paid","type":"refunded"}"#,
        br#"{"a":{"b":1,"b":1}}"#,
        br#"[{"id":1},{"type":"paid","type":"refunded"}]"#,
        br#"{"a":1,"\u0061":2}"#,
        br#"{"":1,"":2}"#,
    ];
    refused(&bodies, "duplicate_key").await;
}

#[tokio::test]
async fn j_06_depth() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let deep: Vec<_> = [65, 128, 10_000].into_iter().flat_map(|depth| [nested(depth), objects(depth)]).collect();
    refused(&deep.iter().map(String::as_bytes).collect::<Vec<_>>(), "depth").await;
    forwarded(&[&nested(64), &objects(64)]).await;
}

#[tokio::test]
async fn j_07_j_13_j_37_forwarded_as_sent() {
    forwarded(&[
        "123456789012345678901234567890",
        r#"{"a":9007199254740993,"b":1E2,"c":-0,"d":1.0,"e":0.1e1,"f":-0.0}"#,
        r#"{"__proto__":{"x":1},"constructor":1,"":2,"\u0000":3}"#,
        &format!("{{\"{}\":1}}", "k".repeat(65_536)),
        "1.0",
        "null",
        "\"\"",
        "{\"a\" :\t[ 1 , 2 ]\r\n}",
    ])
    .await;
}

#[tokio::test]
async fn j_08_to_j_12_what_is_not_json() {
    let digits = "1".repeat(900_000);
    let huge = format!("1e{digits}");
    let bodies: [&[u8]; 18] = [
        b"1e400",
        b"-1e400",
        huge.as_bytes(),
        br#""\ud800""#,
        br#""\udc00\ud800""#,
        br#"{"\ud800":1}"#,
        b"NaN",
        b"[Infinity]",
        b"{} // x",
        b"[1,]",
        b"{'a':1}",
        b"{a:1}",
        b"{}{}",
        b"{} x",
        b"{}\n{}\n",
        b"{}\0",
        b"",
        b"[1 2]",
    ];
    refused(&bodies, "not_json").await;
    let bodies: [&[u8]; 6] =
        [b"\xef\xbb\xbf{}", b"{\0}\0", b"\xff\xfe{\0}\0", b"\"\xc0\xaf\"", b"\"\xe2\x82\"", b"\"\xed\xa0\x80\""];
    let gateway = gateway(HUB).await;
    for body in bodies {
        let reply = gateway.hub(body).send().await;
        assert_eq!(reply.reaches_nobody().answer.status, 400, "{body:?}");
        assert!(
            ["reject encoding", "reject not_json"].contains(&reply.counted.as_str()),
            "{body:?}: {}",
            reply.counted
        );
    }
}

#[tokio::test]
async fn j_14_j_15_ids_of_every_kind() {
    let (gateway, _directory) = with_schemas(&batches("forward")).await;
    let mut ids = Vec::new();
    for id in [
        "\"evt\"",
        "\"evt\\u0000x\"",
        "\"evt\\u0000y\"",
        "1",
        "\"1\"",
        "1.0",
        "1e300",
        "true",
        "null",
        "{}",
        "[]",
        "{\"a\":1}",
    ] {
        let reply = gateway.hub(format!(r#"{{"type":"paid","amount":7,"id":{id}}}"#)).send().await;
        ids.push(reply.is_forwarded().header("webhook-id").unwrap().to_owned());
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "all are different events");
}

#[tokio::test]
async fn j_16_j_24_scalars_and_nested_arrays() {
    let (gateway, _directory) = with_schemas(&batches("drop")).await;
    for body in ["1", "\"x\"", "null", "\"\"", "[[{\"type\":\"paid\"}]]", "[1]", "[null]", "[[]]"] {
        let reply = gateway.hub(body).send().await;
        reply.is(200, "drop envelope").reaches_nobody();
        assert_eq!(gateway.record()["keyword"], "type");
    }
}

#[tokio::test]
async fn j_17_j_18_none_and_one() {
    let (gateway, _directory) = with_schemas(&batches("reject")).await;
    for body in ["[]", " [ ] "] {
        let reply = gateway.hub(body).send().await;
        assert_eq!(reply.is(200, "accept-empty").reaches_nobody().answer.text(), "{}");
    }
    let event = r#"{"id":1,"type":"paid","amount":7}"#;
    let bare = gateway.hub(event).send().await;
    let bare = bare.is_forwarded();
    assert_eq!(bare.header("hooksieve-batch"), None);
    gateway.hub(format!("[{event}]")).send().await.is(200, "duplicate").reaches_nobody();
    let other = event.replace(":1,", ":2,");
    let one = gateway.hub(format!("[ {other} ]")).send().await;
    assert_eq!(one.is(200, "forward").events[0].body, other.as_bytes());
    assert_eq!(one.events[0].header("hooksieve-batch"), Some("1/1"));
}

#[tokio::test]
async fn j_19_element_cap() {
    let text = format!("{HUB}[sources.hub.events]\nsplit = \"\"\n[sources.hub.delivery]\nbatch = \"array\"\n");
    let gateway = gateway(&text).await;
    let body = |count: usize| format!("[{}]", (0..count).map(|it| it.to_string()).collect::<Vec<_>>().join(","));
    gateway.hub(body(1_001)).send().await.is(413, "reject too_large").reaches_nobody();
    let reply = gateway.hub(body(1_000)).send().await;
    assert_eq!(reply.is(200, "forward").answer.text(), r#"{"forward":1000}"#);
    assert_eq!(reply.events[0].body, body(1_000).as_bytes());
}

#[tokio::test]
async fn j_20_j_26_each_element_is_its_own_bytes() {
    let (gateway, _directory) = with_schemas(&batches("reject")).await;
    let body = "[ {\"type\":\"paid\" , \"amount\":1E2,\"id\":\"\\u00e9\"},\r\n{ \"id\":2,\"type\":\"\\u0070aid\",\"amount\":1.0 }\t]\n";
    let elements: Vec<&RawValue> = serde_json::from_str(body).unwrap();
    let reply = gateway.hub(body).send().await;
    reply.is(200, "forward");
    for (index, element) in elements.iter().enumerate() {
        let batch = format!("{}/2", index + 1);
        let event = reply.events.iter().find(|event| event.header("hooksieve-batch") == Some(&batch)).unwrap();
        assert_eq!(event.body, element.get().as_bytes());
        assert_eq!(event.header("hooksieve-event-type"), Some("paid"));
        assert_eq!(event.header("hooksieve-verified"), Some("verified; key=1"));
    }
    assert_eq!(gateway.record()["secrets_tried"], 1, "verified once, before it was split");
    // A signature over one element is none over the batch.
    let request =
        gateway.post("/in/hub").header("x-hub-signature-256", hub(crate::support::gateway::K1, elements[0].get()));
    request.body(body).send().await.is_401("auth_mismatch");
}

#[tokio::test]
async fn j_21_j_22_mixed_batches() {
    let body = r#"[{"id":1,"type":"paid","amount":7},{"id":2,"type":"paid","amount":0},{"id":1,"type":"paid","amount":7},{"id":3,"type":"sent"},{"id":4,"type":"else"}]"#;
    let (lenient, _directory) = with_schemas(&batches("drop")).await;
    let reply = lenient.hub(body).send().await;
    assert_eq!(reply.is(200, "mixed schema").answer.text(), r#"{"forward":2,"drop":2,"duplicate":1}"#);
    assert_eq!(reply.events.len(), 2);
    let counts = lenient.counts("hooksieve_events_total");
    let mut counts: Vec<_> =
        counts.iter().map(|(it, count)| (label(it, "verdict"), label(it, "reason"), *count)).collect();
    counts.sort_unstable();
    assert_eq!(
        counts,
        [("drop", "schema", 1), ("drop", "unknown_event_type", 1), ("duplicate", "", 1), ("forward", "", 2)]
    );
    drop(lenient);

    let (strict, _directory) = with_schemas(&batches("reject")).await;
    strict.hub(body).send().await.is(422, "reject schema").reaches_nobody();
    assert_eq!(strict.total("hooksieve_dedup_settled"), 0, "nothing of it is remembered");
    let rest = r#"[{"id":1,"type":"paid","amount":7},{"id":3,"type":"sent"}]"#;
    assert_eq!(strict.hub(rest).send().await.is(200, "forward").events.len(), 2);
}

#[tokio::test]
async fn j_25_a_batch_by_pointer() {
    let text = format!("{HUB}[sources.hub.events]\nsplit = \"/value\"\n");
    let gateway = gateway(&text).await;
    let reply = gateway.hub(r#"{"x":1,"value":[{"a":1},{"a":2}]}"#).send().await;
    assert_eq!(reply.is(200, "forward").events.len(), 2);
    for body in ["{}", r#"{"value":{"a":1}}"#, r#"{"value":null}"#, r#"[{"a":1}]"#, "1"] {
        gateway.hub(body).send().await.is(400, "reject not_json").reaches_nobody();
    }
    gateway.hub(r#"{"value":[]}"#).send().await.is(200, "accept-empty").reaches_nobody();
}

#[tokio::test]
async fn j_35_j_36_errors_name_places_and_never_values() {
    let (gateway, _directory) = with_schemas(&batches("reject")).await;
    let check = |reply: Reply, pointer: &str, keyword: &str| {
        assert_eq!(reply.is(422, "reject schema").reaches_nobody().answer.text(), r#"{"error":"schema"}"#);
        let record = gateway.record();
        assert_eq!((record["pointer"].as_str(), record["keyword"].as_str()), (Some(pointer), Some(keyword)));
        assert!(!gateway.log().contains(CANARY) && !gateway.log().contains("4111111111111111"));
    };
    let card = format!(r#"{{"id":1,"type":"paid","amount":"4111111111111111 {CANARY}"}}"#);
    check(gateway.hub(card).send().await, "/amount", "type");
    let when = format!(r#"{{"id":1,"type":"sent","at":"yesterday {CANARY}"}}"#);
    check(gateway.hub(when).send().await, "/at", "format");
}

#[tokio::test]
async fn j_40_unknown_event_types() {
    let body = r#"{"id":1,"type":"never.heard.of"}"#;
    for (rule, status, counted) in [
        ("forward", 200, "forward"),
        ("drop", 200, "drop unknown_event_type"),
        ("reject", 422, "reject unknown_event_type"),
    ] {
        let text = batches("reject").replace("on_unknown = \"drop\"", &format!("on_unknown = {rule:?}"));
        let (gateway, _directory) = with_schemas(&text).await;
        let reply = gateway.hub(body).send().await;
        reply.is(status, counted);
        assert_eq!(reply.events.len(), usize::from(rule == "forward"));
    }
}
