//! What a credential is about, and who may send: the second half of group W of the catalogue, over a socket.

use std::time::Duration;

use serde_json::Value;

use crate::support::{
    gateway::{CANARY, Gateway, K1, K2, Setup, T, gateway},
    request::Reply,
    senders::{ACME, BODY, HUB, KEYED, hex, hub, right, standard, together},
};

#[tokio::test]
async fn w_31_re_serialised_body() {
    let pretty = "{\n  \"id\": \"evt_1\",\n  \"type\": \"a.b\",\n  \"note\": \"canary-in-a-body\"\n}";
    let gateway = gateway(ACME).await;
    for (signed, sent) in [(BODY, pretty), (pretty, BODY)] {
        let signature = format!("v1,{}", standard(K1, "evt_1", &T.to_string(), signed));
        gateway.acme_with("evt_1", signature, sent).send().await.is_401("auth_mismatch");
    }
}

#[tokio::test]
async fn w_32_w_35_exact_bytes() {
    let gateway = gateway(ACME).await;
    for (index, body) in [
        "{ \"a\":1.0,\"b\":\"\\u00e9\",\"c\":1E2 }\n",
        "\r\n\t {\"a\":\"\\u00e4\\/\",\"\\u0061b\":[ 1 ,2 ] }  \r\n",
        "{\"name\":\"\\u00e4\\u00f6 äö \\ud83d\\ude00 😀\"}",
    ]
    .iter()
    .enumerate()
    {
        gateway.acme(&format!("evt_{index}"), body).send().await.is_forwarded();
    }
}

#[tokio::test]
async fn w_33_w_34_bodies_that_are_authentic_and_unreadable() {
    let gateway = gateway(ACME).await;
    gateway.acme("evt_1", b"{\"a\":\"\xff\"}").send().await.is(400, "reject encoding").reaches_nobody();
    gateway.acme("evt_1", "").send().await.is(400, "reject not_json").reaches_nobody();
    let forged = gateway.acme_with("evt_1", format!("v1,{}", right()), "");
    forged.send().await.is_401("auth_mismatch");
}

#[tokio::test]
async fn w_36_w_37_a_signed_url() {
    let text = r#"
        [server]
        public_url = "https://hooks.example.com"
        [sources.url]
        path = "/in/url"
        secrets = [{ env = "K1" }]
        upstream = "app"
        [[sources.url.auth]]
        kind = "hmac"
        signature = { from = "header:x-signature", encoding = "hex" }
        message = "{url}\n{body}"
    "#;
    let gateway = gateway(text).await;
    let post = |target: &str, signed: &str, body: &str| {
        let signature = hex(K1, &[signed.as_bytes(), b"\n", body.as_bytes()]);
        gateway.post(target).header("x-signature", signature).body(body)
    };
    let url = "https://hooks.example.com/in/url?b=2&a=1";
    let forwarded = |host: &str| {
        post("/in/url?b=2&a=1", &format!("https://{host}/in/url?b=2&a=1"), BODY)
            .header("x-forwarded-host", "evil.test")
            .header("x-forwarded-proto", "http")
    };
    forwarded("hooks.example.com").send().await.is_forwarded();
    forwarded("evil.test").send().await.is_401("auth_mismatch");
    forwarded("gw.test").send().await.is_401("auth_mismatch");
    post("/in/url?a=1&b=2", url, BODY).send().await.is_401("auth_mismatch");
    post("/in/url?b=2&a=1", url, "{\"other\":1}").send().await.is_forwarded();
}

#[tokio::test]
async fn w_38_field_boundary_shift() {
    let gateway = gateway(ACME).await;
    // One signature, `msg.1.1767225600.{}`, read as two different requests.
    let now = T.to_string();
    let signature = format!("v1,{}", standard(K1, "msg.1", &now, "{}"));
    let shifted = gateway.acme_with("msg.1", &signature, "{}");
    shifted.send().await.is_401("auth_malformed");
    let shifted = gateway.post("/in/acme").header("webhook-id", "msg").header("webhook-timestamp", "1");
    let shifted = shifted.header("webhook-signature", &signature).body(format!("{now}.{{}}"));
    shifted.send().await.is_401("timestamp_stale");
}

#[tokio::test]
async fn w_42_w_43_w_44_tokens() {
    let text = together(&[
        KEYED,
        r#"
        [sources.bearer]
        path = "/in/bearer"
        secrets = [{ env = "K2" }]
        upstream = "app"
        [[sources.bearer.auth]]
        kind = "token"
        signature = { from = "header:authorization", prefix = "Bearer " }
    "#,
    ]);
    let gateway = gateway(&text).await;
    let key = |value: &str| gateway.post("/in/keyed").header("x-key", value).body(BODY);
    let mut wrong = K1.to_owned().into_bytes();
    *wrong.last_mut().unwrap() ^= 1;
    for value in [
        std::str::from_utf8(&wrong).unwrap(),
        &K1[1..],
        &K1[..K1.len() - 1],
        &format!("wrong, {K1}"),
        &format!("{K1}, wrong"),
        &format!("{K1},{K1}"),
        &K1.to_uppercase(),
        "x",
    ] {
        key(value).send().await.is_401("auth_mismatch");
    }
    key(K1).header("X-Key", K1).send().await.is_401("auth_ambiguous");
    key("wrong").header("X-Key", K1).send().await.is_401("auth_ambiguous");
    let query = gateway.post(&format!("/in/keyed?x-key={K1}")).body(BODY);
    query.send().await.is_401("auth_missing");
    key(K1).send().await.is_forwarded();

    let bearer = |value: String| gateway.post("/in/bearer").header("authorization", value).body(BODY);
    for wrong in [format!("bearer {K2}"), format!("Bearer  {K2}"), K2.to_owned(), "Bearer ".to_owned()] {
        bearer(wrong).send().await.is_401("auth_mismatch");
    }
    bearer(format!("Bearer {K2}  ")).send().await.is_forwarded();
}

#[tokio::test]
async fn w_45_authentication_before_parsing() {
    let gateway = gateway(ACME).await;
    let wrong = format!("v1,{}", right());
    for body in [
        "[".repeat(100_000).as_bytes(),
        b"{\"a\":\"\xff\"}",
        "1".repeat(1 << 20).as_bytes(),
        br#"{"a":1,"a":2}"#,
        b"",
        &[0; 64],
    ] {
        gateway.acme_with("evt_1", &wrong, body).send().await.is_401("auth_mismatch");
        let record = gateway.record();
        assert!(record.get("split_us").is_none() && record.get("check_us").is_none(), "nothing was parsed");
    }
}

#[tokio::test]
async fn w_46_w_47_one_face_and_no_trace_of_a_credential() {
    let gateway = gateway(ACME).await;
    let now = T.to_string();
    let other = format!("v1,{}", standard(K2, "evt_1", &now, BODY));
    let at = |time: i64| {
        let signature = format!("v1,{}", standard(K1, "evt_1", &time.to_string(), BODY));
        let request = gateway.post("/in/acme").header("webhook-id", "evt_1").body(BODY);
        request.header("webhook-timestamp", time.to_string()).header("webhook-signature", signature)
    };
    let mut faces = Vec::new();
    for (request, reason) in [
        (gateway.acme_bare("evt_1", BODY), "auth_missing"),
        (gateway.acme_with("evt_1", "v1,canary", BODY), "auth_malformed"),
        (gateway.acme_with("evt_1", &other, BODY), "auth_mismatch"),
        (gateway.acme_with("evt_1", &other, BODY).header("webhook-signature", &other), "auth_ambiguous"),
        (at(T - 301), "timestamp_stale"),
        (at(T + 301), "timestamp_future"),
    ] {
        let reply = request.send().await;
        reply.is_401(reason);
        let head = reply.answer.head.lines().filter(|line| !line.starts_with("date: "));
        faces.push((head.collect::<Vec<_>>().join("\n"), reply.answer.body));
    }
    assert!(faces.windows(2).all(|pair| pair[0] == pair[1]), "{faces:?}");

    let log = gateway.log();
    let digest = standard(K1, "evt_1", &now, BODY);
    for trace in [&digest[..8], &other[3..11], "v1,", "canary", CANARY, "evt_1", now.as_str()] {
        assert!(!log.contains(trace), "{trace:?} is in the log:\n{log}");
    }
    let counts: Vec<_> = gateway.records().iter().map(|record| record["sig_len"].clone()).collect();
    let length = Value::from(other.len());
    assert_eq!(counts[..3], [Value::from(0), Value::from("v1,canary".len()), length]);
}

#[tokio::test]
async fn w_48_method_tricks() {
    let gateway = gateway(ACME).await;
    for method in ["HEAD", "GET", "PUT", "post", "PATCH", "OPTIONS", "DELETE"] {
        let request = gateway.request(method, "/in/acme").header("x-http-method-override", "POST");
        let reply = request.send().await;
        assert_eq!((reply.answer.status, reply.counted.as_str()), (405, "reject method"), "{method}");
        assert_eq!(reply.answer.header("allow"), Some("POST"));
        reply.reaches_nobody();
    }
    let passing = Setup::new(ACME).variable("HOOKSIEVE_UPSTREAMS__APP__FORWARD_HEADERS", "[\"user-agent\"]");
    let gateway = passing.start().await;
    let request = gateway.acme("evt_1", BODY).header("x-http-method-override", "DELETE");
    assert_eq!(request.send().await.is_forwarded().header("x-http-method-override"), None);
}

#[tokio::test]
async fn w_49_content_type_tricks() {
    let gateway = gateway(ACME).await;
    let wrong = format!("v1,{}", standard(K2, "evt_1", &T.to_string(), BODY));
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""] {
        let request = gateway.acme("evt_1", BODY).header("content-type", content_type);
        request.send().await.is(415, "reject media_type").reaches_nobody();
        let request = gateway.acme_with("evt_1", &wrong, BODY).header("content-type", content_type);
        request.send().await.is_401("auth_mismatch");
    }
    for (index, content_type) in ["application/JSON; charset=utf-8", "application/cloudevents+json"].iter().enumerate()
    {
        let request = gateway.acme(&format!("evt_{index}"), BODY).header("content-type", content_type);
        assert_eq!(request.send().await.is_forwarded().header("content-type"), Some(*content_type));
    }
}

#[tokio::test]
async fn w_50_rotation() {
    let text = HUB.replace(
        "[{ env = \"K1\" }]",
        "[{ name = \"new\", env = \"K2\" }, { name = \"old\", env = \"K1\", until = \"2026-01-01T00:05:00Z\" }]",
    );
    let gateway = gateway(&text).await;
    let send = |secret: &str, number: usize| {
        let body = format!("{{\"number\":{number}}}");
        gateway.post("/in/hub").header("x-hub-signature-256", hub(secret, &body)).body(body).send()
    };
    for number in 0..20 {
        let (secret, name) = if number % 2 == 0 { (K1, "old") } else { (K2, "new") };
        let reply = send(secret, number).await;
        let verified = format!("verified; key={name}");
        assert_eq!(reply.is_forwarded().header("hooksieve-verified"), Some(verified.as_str()));
    }
    let used = gateway.counts("hooksieve_secret_used_total");
    assert_eq!(used.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [10, 10], "{used:?}");
    gateway.clock.advance(Duration::from_secs(299));
    send(K1, 20).await.is_forwarded();
    gateway.clock.advance(Duration::from_secs(1));
    send(K1, 21).await.is_401("auth_mismatch");
    send(K2, 22).await.is_forwarded();
}

#[tokio::test]
async fn w_51_across_sources() {
    let other = ACME.replace("acme", "other").replace("K1", "K2");
    let gateway = gateway(&together(&[ACME, &other])).await;
    let right = format!("v1,{}", right());
    let request = |path: &str| {
        let request = gateway.post(path).header("webhook-id", "evt_1").header("webhook-timestamp", T.to_string());
        request.header("webhook-signature", &right).body(BODY).send()
    };
    request("/in/other").await.is_401("auth_mismatch");
    request("/in/acme").await.is_forwarded();
}

async fn forwarded(gateway: &Gateway, hops: &str, id: &str) -> Reply {
    gateway.acme(id, BODY).header("x-forwarded-for", hops).send().await
}

#[tokio::test]
async fn w_54_allowed_addresses() {
    let allow = |text: &str| ACME.replace("upstream = \"app\"", &format!("upstream = \"app\"\nallow = [{text:?}]"));

    // Nobody trusts the peer, so what it says of others is worth nothing.
    let alone = gateway(&allow("203.0.113.0/24")).await;
    forwarded(&alone, "203.0.113.7", "evt_1").await.is(403, "reject address").reaches_nobody();
    drop(alone);

    let proxies = "[server]\ntrusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\n";
    let behind = gateway(&format!("{proxies}{}", allow("203.0.113.0/24"))).await;
    forwarded(&behind, "203.0.113.7, 198.51.100.1, 10.0.0.1", "evt_1").await.is(403, "reject address");
    forwarded(&behind, "198.51.100.1, 203.0.113.7, 10.0.0.1", "evt_1").await.is_forwarded();
    behind.acme("evt_2", BODY).send().await.is(403, "reject address");
}

#[tokio::test]
async fn w_55_a_redelivery_without_signature() {
    let gateway = gateway(HUB).await;
    let request = gateway.post("/in/hub").header("x-github-delivery", "d1").header("x-github-redelivery", "true");
    request.body(BODY).send().await.is_401("auth_missing");
    let counted = gateway.counts("hooksieve_requests_total");
    assert!(counted[0].0.contains("reason=\"auth_missing\""), "{counted:?}");
}
