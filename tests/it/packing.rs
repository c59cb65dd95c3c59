//! How events come: in forms, on lines, in arrays within arrays. What is forwarded is always bytes of the body, but for
//! what a form escapes.

use data_encoding::HEXLOWER;

use crate::support::{
    gateway::{Gateway, K1, gateway},
    request::{Reply, Request},
    senders::sha256,
};

const FORM: &str = "application/x-www-form-urlencoded";

/// A source that signs its body, with these `events`.
fn source(events: &str) -> String {
    format!(
        r#"
        [sources.it]
        path = "/in/it"
        secrets = [{{ env = "K1" }}]
        upstream = "app"
        content_types = ["application/json", "application/x-www-form-urlencoded", "application/x-ndjson"]
        auth = [{{ kind = "hmac", signature = {{ from = "header:x-signature" }} }}]
        [sources.it.events]
        {events}
        "#
    )
}

fn signed<'g>(gateway: &'g Gateway, content_type: &str, body: &str) -> Request<'g> {
    let signature = HEXLOWER.encode(&sha256(K1.as_bytes(), &[body.as_bytes()]));
    gateway.post("/in/it").header("x-signature", signature).header("content-type", content_type).body(body)
}

/// What the application got, in some order, sorted.
fn bodies(reply: &Reply) -> Vec<String> {
    let mut bodies: Vec<_> = reply.events.iter().map(|seen| String::from_utf8(seen.body.clone()).unwrap()).collect();
    bodies.sort();
    bodies
}

#[tokio::test]
async fn i_07_a_form_arrives_as_it_came() {
    let gateway = gateway(&source(
        r#"forms = true
        type = ["json:/event/type", "json:/command"]
        id = [["json:/event_id"], ["json:/trigger_id"]]"#,
    ))
    .await;
    let form = "command=%2Fdeploy&text=a+b%2A*&trigger_id=1.2&users[]=a&users[]=b";
    let seen = signed(&gateway, FORM, form).send().await;
    let seen = seen.is_forwarded();
    assert_eq!(seen.header("content-type"), Some(FORM));
    assert_eq!(seen.header("hooksieve-event-type"), Some("/deploy"));
    let again = form.replace("a+b", "a%20b");
    signed(&gateway, FORM, &again).send().await.is(200, "forward");
    signed(&gateway, FORM, form).send().await.is(200, "duplicate");
    let json = signed(&gateway, "application/json", r#"{"event_id":"1.2","event":{"type":"message"}}"#).send().await;
    assert_eq!(json.is_forwarded().header("hooksieve-event-type"), Some("message"));
}

#[tokio::test]
async fn w_49_the_content_type_makes_no_other_event() {
    let gateway = gateway(&source(
        r#"forms = true
        form_json = "payload"
        id = "json:/id""#,
    ))
    .await;
    let json = r#"{"id":"1"}"#;
    signed(&gateway, "application/json", json).send().await.is_forwarded();
    for body in [json, r#"[{"id":"1"}]"#, " {}", "payload={\"id\":\"1\"}", "payload=%zz", "payload=%7B"] {
        signed(&gateway, FORM, body).send().await.is(400, "reject not_json").reaches_nobody();
    }
    let form = "payload=%7B%22id%22%3A%222%22%7D";
    signed(&gateway, "application/json", form).send().await.is(400, "reject not_json").reaches_nobody();
    signed(&gateway, FORM, &format!("{form}&{form}")).send().await.is(400, "reject duplicate_key").reaches_nobody();
    signed(&gateway, FORM, "payload=%7B%22a%22%3A1%2C%22a%22%3A2%7D").send().await.is(400, "reject duplicate_key");
    signed(&gateway, "text/plain", form).send().await.is(415, "reject media_type");
    assert_eq!(signed(&gateway, FORM, form).send().await.is_forwarded().header("content-type"), Some(FORM));
}

#[tokio::test]
async fn w_49_forms_are_refused_where_they_are_not_foreseen() {
    let gateway = gateway(&source(r#"id = "json:/id""#)).await;
    signed(&gateway, FORM, "id=1").send().await.is(400, "reject not_json").reaches_nobody();
    let only_json = gateway_with_json_field().await;
    signed(&only_json, FORM, "id=1").send().await.is(400, "reject not_json").reaches_nobody();
}

async fn gateway_with_json_field() -> Gateway {
    gateway(&source("form_json = [\"events\"]\nsplit = \"\"\ntype = \"json:/event\"\nid = \"json:/_id\"")).await
}

#[tokio::test]
async fn j_20_events_of_a_form_are_ranges_of_its_field() {
    let gateway = gateway_with_json_field().await;
    let reply = signed(&gateway, FORM, "events=%5B%7B%22_id%22%3A%20%221%22%7D%2C%7B%22_id%22%3A%222%22%7D%5D&x=1")
        .send()
        .await;
    reply.is(200, "forward");
    assert_eq!(bodies(&reply), [r#"{"_id": "1"}"#, r#"{"_id":"2"}"#]);
    assert!(reply.events.iter().all(|seen| seen.header("content-type") == Some("application/json")));
    let again =
        signed(&gateway, FORM, "events=%5B%7B%22_id%22%3A%222%22%7D%2C%7B%22_id%22%3A%223%22%7D%5D").send().await;
    assert_eq!(bodies(&again), [r#"{"_id":"3"}"#]);
    signed(&gateway, FORM, "events=%5B%5D").send().await.is(200, "accept-empty").reaches_nobody();
}

#[tokio::test]
async fn j_12_lines_only_where_they_are_foreseen() {
    let lines = "{\"id\": 1}\r\n\n{\"id\":2}\n[{\"id\":3},{\"id\":4}]";
    let strict = gateway(&source("split = \"\"\nid = \"json:/id\"")).await;
    signed(&strict, "application/x-ndjson", lines).send().await.is(400, "reject not_json").reaches_nobody();
    drop(strict);
    let gateway = gateway(&source("split = \"\"\nlines = true\nid = \"json:/id\"")).await;
    let reply = signed(&gateway, "application/x-ndjson", lines).send().await;
    assert_eq!(bodies(&reply), [r#"{"id": 1}"#, r#"{"id":2}"#, r#"{"id":3}"#, r#"{"id":4}"#]);
    assert_eq!(reply.events[0].header("hooksieve-batch").map(|batch| batch.ends_with("/4")), Some(true));
    for wrong in ["{\"id\":5}\n{", "{\"id\":5} {\"id\":6}", "{\"id\":5,\n\"a\":1}"] {
        signed(&gateway, "application/x-ndjson", wrong).send().await.is(400, "reject not_json").reaches_nobody();
    }
    signed(&gateway, "application/x-ndjson", "\n \n").send().await.is(200, "accept-empty").reaches_nobody();
}

#[tokio::test]
async fn j_25_arrays_within_an_array() {
    let gateway = gateway(&source(
        r#"split = ["/entry/*/changes", "/entry/*/messaging"]
        type = "{whole:/object}.{json:/field}"
        id = "json:/id""#,
    ))
    .await;
    let body = r#"{"object":"page","entry":[{"changes":[{"id":1,"field":"feed"},{"id": 2}]},{"messaging":[{"id":3}]},{"id":4}]}"#;
    let reply = signed(&gateway, "application/json", body).send().await;
    let want = [r#"{"id": 2}"#, r#"{"id":1,"field":"feed"}"#, r#"{"id":3}"#, r#"{"id":4}"#];
    assert_eq!(bodies(&reply), want, "an entry that was not foreseen is an event, and not lost");
    let typed: Vec<_> = reply.events.iter().filter_map(|seen| seen.header("hooksieve-event-type")).collect();
    assert_eq!(typed, ["page.feed"]);
    for nowhere in [r#"{"entries":[]}"#, "[]", r#"{"entry":1}"#] {
        signed(&gateway, "application/json", nowhere).send().await.is(400, "reject not_json").reaches_nobody();
    }
    signed(&gateway, "application/json", r#"{"entry":[]}"#).send().await.is(200, "accept-empty").reaches_nobody();
}

#[tokio::test]
async fn j_25_the_only_member_and_names_of_members() {
    let gateway = gateway(&source(
        r#"split = ""
        unwrap = "/msys/*"
        type = "name:/!id"
        id = "json:/id""#,
    ))
    .await;
    let body = r#"[{"msys":{"track":{"id":1,"open":{}}}},{"msys":{"a":{"id":2},"b":{"id":3}}}]"#;
    let reply = signed(&gateway, "application/json", body).send().await;
    assert_eq!(bodies(&reply), [r#"{"id":1,"open":{}}"#, r#"{"msys":{"a":{"id":2},"b":{"id":3}}}"#]);
    let typed: Vec<_> = reply.events.iter().filter_map(|seen| seen.header("hooksieve-event-type")).collect();
    assert!(typed.contains(&"open") && typed.contains(&"msys"), "{typed:?}");
}
