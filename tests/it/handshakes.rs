//! The senders' challenges: group H of the catalogue, over a socket.

use data_encoding::{BASE64, HEXLOWER};

use crate::support::{
    application::Act,
    gateway::{CANARY, K1, K2, Setup, T, gateway},
    request::Reply,
    senders::{ACME, BODY, hex, hub, sha256},
};

/// Meta: a `GET` with a token of the operator's own, and a challenge to send back.
const META: &str = r#"
[sources.meta]
path = "/in/meta"
secrets = [{ env = "K1" }]
upstream = "app"
[[sources.meta.auth]]
kind = "hmac"
signature = { from = "header:x-hub-signature-256", prefix = "sha256=", encoding = "hex" }
[[sources.meta.handshake]]
method = "GET"
when = [{ equal = ["query:hub.mode", "subscribe"] }]
auth = "secret"
token = "query:hub.verify_token"
secrets = [{ env = "K2" }]
reply = { headers = { "content-type" = "text/plain", "x-content-type-options" = "nosniff" }, body = "{query:hub.challenge}" }
"#;

/// Slack: an event of its own, signed like every other, whose challenge is sent back.
const SLACK: &str = r#"
[sources.slack]
path = "/in/slack"
secrets = [{ env = "K1" }]
upstream = "app"
[[sources.slack.auth]]
kind = "hmac"
signature = { from = "header:x-slack-signature", prefix = "v0=", encoding = "hex" }
message = "v0:{header:x-slack-request-timestamp}:{body}"
time = { from = "header:x-slack-request-timestamp" }
[[sources.slack.handshake]]
when = [{ equal = ["json:/type", "url_verification"] }]
reply = { headers = { "content-type" = "application/json" }, body = '{{"challenge":"{json:/challenge|json}"}}' }
[sources.slack.events]
split = ""
type = "json:/type"
id = "json:/event_id"
"#;

/// Microsoft Graph: whoever asks gets the token back, decoded once; events carry a secret in the body.
const GRAPH: &str = r#"
[sources.graph]
path = "/in/graph"
secrets = [{ env = "K1" }]
upstream = "app"
[[sources.graph.auth]]
kind = "token"
signature = { from = "json:/value/0/clientState" }
[[sources.graph.handshake]]
when = [{ present = "query:validationToken" }]
auth = "none"
guard = { "query:validationToken" = "[A-Za-z0-9 :._+/=-]{1,256}" }
reply = { headers = { "content-type" = "text/plain" }, body = "{query:validationToken}" }
[sources.graph.events]
split = "/value"
"#;

/// X, and Zoom after authentication: a digest over what was sent, with the key that signs events.
const KEYED_REPLIES: &str = r#"
[sources.crc]
path = "/in/crc"
secrets = [{ env = "K1" }]
upstream = "app"
[[sources.crc.auth]]
kind = "hmac"
signature = { from = "header:x-signature", prefix = "sha256=", encoding = "base64" }
[[sources.crc.handshake]]
method = "GET"
when = [{ present = "query:crc_token" }]
auth = "none"
reply = { headers = { "content-type" = "application/json" }, body = '{{"response_token":"sha256={query:crc_token|hmac-sha256|base64}"}}' }
[[sources.crc.handshake]]
when = [{ equal = ["json:/event", "endpoint.url_validation"] }]
reply = { body = '{{"plainToken":"{json:/payload/plainToken}","encryptedToken":"{json:/payload/plainToken|hmac-sha256|hex}"}}' }
"#;

fn challenge(token: &str, challenge: &str) -> String {
    format!("/in/meta?hub.mode=subscribe&hub.verify_token={token}&hub.challenge={challenge}")
}

impl Reply {
    /// Answered here: not forwarded, not remembered, no cookie, and the length is known.
    #[track_caller]
    fn is_greeted(&self, body: &str) -> &Self {
        self.is(200, "handshake").reaches_nobody();
        assert_eq!(self.answer.text(), body);
        assert_eq!(self.answer.header("content-length"), Some(body.len().to_string().as_str()));
        assert_eq!(self.answer.header("set-cookie"), None);
        self
    }
}

#[tokio::test]
async fn h_01_reflected_script() {
    let gateway = gateway(META).await;
    for script in ["<script>alert(1)</script>", "%3Cscript%3E", "a%0d%0ab", "%00", "", &"x".repeat(257), "a%20b"] {
        let target = challenge(K2, script);
        let target = if script.starts_with('<') { challenge(K2, "x%3Cscript%3E") } else { target };
        gateway.request("GET", &target).send().await.is(400, "reject target").reaches_nobody();
    }
    let reply = gateway.request("GET", &challenge(K2, "1158201444")).send().await;
    reply.is_greeted("1158201444");
    assert_eq!(reply.answer.header("content-type"), Some("text/plain"));
    assert_eq!(reply.answer.header("x-content-type-options"), Some("nosniff"));
}

#[tokio::test]
async fn h_02_verify_token() {
    let gateway = gateway(META).await;
    let get = |target: &str| gateway.request("GET", target).send();
    get(&challenge("wrong", "1")).await.is_401("auth_mismatch");
    get(&challenge(K1, "1")).await.is_401("auth_mismatch");
    get(&challenge("", "1")).await.is_401("auth_missing");
    get("/in/meta?hub.mode=subscribe&hub.challenge=1").await.is_401("auth_missing");
    for (first, second) in [(K2, K2), (K2, "wrong"), ("wrong", K2)] {
        get(&format!("{}&hub.verify_token={second}", challenge(first, "1"))).await.is_401("auth_ambiguous");
    }
    get("/in/meta").await.is_401("auth_missing");
    // The token opens the handshake, and nothing else.
    let event = gateway.post(&format!("/in/meta?hub.mode=subscribe&hub.verify_token={K2}")).body(BODY);
    event.send().await.is_401("auth_missing");
    let event = gateway.post("/in/meta").header("x-hub-signature-256", hub(K2, BODY)).body(BODY);
    event.send().await.is_401("auth_mismatch");
    drop(gateway);

    let (runs, found) = Setup::new(META).variable("K2", "").judge();
    assert!(!runs && found.iter().any(|it| it.message == "the secret is empty"), "{}", found.render(false));
}

#[tokio::test]
async fn h_03_slack_url_verification() {
    let gateway = gateway(SLACK).await;
    let body = r#"{"type":"url_verification","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}"#;
    let now = T.to_string();
    let signed = |body: &str, time: &str| {
        let signature = hex(K1, &[b"v0:", time.as_bytes(), b":", body.as_bytes()]);
        let request = gateway.post("/in/slack").header("x-slack-request-timestamp", time).body(body);
        request.header("x-slack-signature", format!("v0={signature}"))
    };
    gateway.post("/in/slack").body(body).send().await.is_401("auth_missing");
    signed(body, &(T - 301).to_string()).send().await.is_401("timestamp_stale");
    signed(body, &now)
        .send()
        .await
        .is_greeted(r#"{"challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}"#);
    let odd = r#"{"type":"url_verification","challenge":"\"}<script>"}"#;
    signed(odd, &now).send().await.is(400, "reject target").reaches_nobody();
}

#[tokio::test]
async fn h_04_graph_validation_token() {
    let gateway = gateway(GRAPH).await;
    let post = |query: &str| gateway.post(&format!("/in/graph?{query}")).send();
    let reply = post("validationToken=Validation%3A+Testing+client%20app").await;
    reply.is_greeted("Validation: Testing client app");
    assert_eq!(reply.answer.header("content-type"), Some("text/plain"));
    for wrong in ["validationToken=%3Cb%3E", "validationToken=%253Cb%253E", "validationToken=a&validationToken=a"] {
        post(wrong).await.is(400, "reject target").reaches_nobody();
    }
    post(&format!("validationToken={}", "x".repeat(4_096))).await.is(400, "reject target");
    // The switch is for the challenge alone; an event has to prove itself.
    let event = |state: &str| {
        let body = format!(r#"{{"value":[{{"clientState":"{state}","id":1}}]}}"#);
        gateway.post("/in/graph").body(body).send()
    };
    event("wrong").await.is_401("auth_mismatch");
    event(K1).await.is(200, "forward");
}

#[tokio::test]
async fn h_06_no_signing_oracle() {
    let gateway = gateway(KEYED_REPLIES).await;
    let token = "9ebfd9d7-9c8c_crc=token";
    let digest = BASE64.encode(&sha256(K1.as_bytes(), &[token.as_bytes()]));
    let reply = gateway.request("GET", &format!("/in/crc?crc_token={token}")).send().await;
    reply.is_greeted(&format!(r#"{{"response_token":"sha256={digest}"}}"#));
    let forged = "%7B%22type%22%3A%22paid%22%7D";
    let scalars = ["123", "-1e5", "true", "null"];
    for text in
        [forged, "v0%3A1767225600%3A%7B%7D", "a.b", "123%20", "a%0a", "", &"x".repeat(129)].into_iter().chain(scalars)
    {
        let reply = gateway.request("GET", &format!("/in/crc?crc_token={text}")).send().await;
        reply.is(400, "reject target").reaches_nobody();
        assert_eq!(reply.answer.text(), r#"{"error":"bad_request"}"#);
    }

    let signed = |body: String| {
        let signature = BASE64.encode(&sha256(K1.as_bytes(), &[body.as_bytes()]));
        gateway.post("/in/crc").header("x-signature", format!("sha256={signature}")).body(body)
    };
    let validation =
        |token: &str| format!(r#"{{"event":"endpoint.url_validation","payload":{{"plainToken":"{token}"}}}}"#);
    let digest = HEXLOWER.encode(&sha256(K1.as_bytes(), &[b"qgg8vlvZRS6UYooatFL8Aw"]));
    signed(validation("qgg8vlvZRS6UYooatFL8Aw"))
        .send()
        .await
        .is_greeted(&format!(r#"{{"plainToken":"qgg8vlvZRS6UYooatFL8Aw","encryptedToken":"{digest}"}}"#));
    signed(validation("v0:1767225600:x")).send().await.is(400, "reject target").reaches_nobody();
    let unsigned = gateway.post("/in/crc").body(validation("qgg8vlvZRS6UYooatFL8Aw"));
    unsigned.send().await.is_401("auth_missing");
}

#[tokio::test]
async fn h_07_h_09_no_event_and_no_upstream() {
    let gateway = gateway(META).await;
    gateway.application.then(Act::Hang);
    for _ in 0..3 {
        gateway.request("GET", &challenge(K2, "same")).send().await.is_greeted("same");
    }
    assert_eq!(gateway.total("hooksieve_events_total"), 0, "a challenge is no event");
    assert_eq!(gateway.total("hooksieve_dedup_settled"), 0);
    assert_eq!(gateway.total("hooksieve_upstream_attempts_total"), 0);
}

#[tokio::test]
async fn h_08_a_handshake_inside_a_batch_is_data() {
    let gateway = gateway(SLACK).await;
    let body = format!(r#"[{{"type":"url_verification","challenge":"{CANARY}"}},{{"type":"message","event_id":"1"}}]"#);
    let signature = hex(K1, &[b"v0:", T.to_string().as_bytes(), b":", body.as_bytes()]);
    let request = gateway.post("/in/slack").header("x-slack-request-timestamp", T.to_string()).body(body);
    let reply = request.header("x-slack-signature", format!("v0={signature}")).send().await;
    reply.is(200, "forward");
    assert_eq!(reply.events.len(), 2);
    assert!(!reply.answer.text().contains(CANARY), "no echo");
}

#[tokio::test]
async fn h_10_an_unsigned_challenge_needs_a_switch_and_a_token() {
    let text = r#"
        [sources.feishu]
        path = "/in/feishu"
        secrets = [{ env = "K1" }]
        upstream = "app"
        settings = { allow_challenge = SWITCH }
        [[sources.feishu.auth]]
        kind = "hmac"
        signature = { from = "header:x-signature", encoding = "hex" }
        [[sources.feishu.handshake]]
        only_with = "allow_challenge"
        when = [{ equal = ["json:/type", "url_verification"] }]
        auth = "secret"
        token = "json:/token"
        secrets = [{ env = "K2" }]
        reply = { body = '{{"challenge":"{json:/challenge|json}"}}' }
    "#;
    let body =
        |token: &str| format!(r#"{{"type":"url_verification","token":"{token}","challenge":"ajls384kdjx98XX"}}"#);
    let off = gateway(&text.replace("SWITCH", "false")).await;
    off.post("/in/feishu").body(body(K2)).send().await.is_401("auth_missing");
    drop(off);
    let on = gateway(&text.replace("SWITCH", "true")).await;
    on.post("/in/feishu").body(body(K2)).send().await.is_greeted(r#"{"challenge":"ajls384kdjx98XX"}"#);
    on.post("/in/feishu").body(body("wrong")).send().await.is_401("auth_mismatch");
    let event = format!(r#"{{"type":"message","token":"{K2}"}}"#);
    on.post("/in/feishu").body(&event).send().await.is_401("auth_missing");
    let signature = hex(K1, &[event.as_bytes()]);
    on.post("/in/feishu").header("x-signature", signature).body(&event).send().await.is_forwarded();
}

#[tokio::test]
async fn w_48_the_method_of_a_challenge_brings_no_event() {
    let gateway = gateway(&format!("{META}{ACME}")).await;
    gateway.request("HEAD", &challenge(K2, "1")).send().await.is(405, "reject method");
    let reply = gateway.request("GET", "/in/acme?hub.mode=subscribe&hub.challenge=1").send().await;
    reply.is(405, "reject method");
    let reply = gateway.request("PUT", &challenge(K2, "1")).send().await;
    assert_eq!(reply.is(405, "reject method").answer.header("allow"), Some("POST, GET"));
    gateway.request("GET", "/in/meta").header("x-hub-signature-256", hub(K1, "")).send().await.is(405, "reject method");
    let get = gateway.request("GET", "/in/meta").header("x-hub-signature-256", hub(K1, BODY)).body(BODY);
    get.send().await.is(405, "reject method").reaches_nobody();
}

/// Fitbit asks with a right code and with a wrong one, and wants two answers.
#[tokio::test]
async fn h_02_two_statuses_from_one_rule() {
    let text = r#"
        [sources.fitbit]
        path = "/in/fitbit"
        secrets = [{ env = "K1" }]
        upstream = "app"
        [[sources.fitbit.auth]]
        kind = "hmac"
        signature = { from = "header:x-signature" }
        [[sources.fitbit.handshake]]
        method = "GET"
        when = { present = "query:verify" }
        require = { equal = ["query:verify", "right"] }
        auth = "none"
        reply = { status = 201 }
        otherwise = 404
        [[sources.fitbit.handshake]]
        method = "OPTIONS"
        when = { present = "header:webhook-request-origin" }
        auth = "none"
        guard = { "header:webhook-request-origin" = "[a-z.]+" }
        otherwise = 405
        reply = { headers = { webhook-allowed-origin = "{header:webhook-request-origin}" } }
    "#;
    let gateway = gateway(text).await;
    let get = |target: &str| gateway.request("GET", target).send();
    get("/in/fitbit?verify=right").await.is(201, "handshake").reaches_nobody();
    let wrong = get("/in/fitbit?verify=wrong").await;
    wrong.is(404, "reject auth_mismatch").reaches_nobody();
    get("/in/fitbit?verify=right&verify=right").await.is(404, "reject target");
    get("/in/fitbit").await.is_401("auth_missing");
    let options =
        |origin: &str| gateway.request("OPTIONS", "/in/fitbit").header("webhook-request-origin", origin).send();
    options("events.example").await.is(200, "handshake");
    let denied = options("<b>").await;
    assert_eq!(denied.is(405, "reject target").answer.header("allow"), Some("POST, GET, OPTIONS"));
    assert_eq!(denied.answer.header("webhook-allowed-origin"), None);
}

/// Several apps may post to one path: the validation is answered with the key that it was signed with.
#[tokio::test]
async fn w_50_a_signed_challenge_is_answered_with_its_own_key() {
    let gateway = gateway(&KEYED_REPLIES.replace(r#"[{ env = "K1" }]"#, r#"[{ env = "K1" }, { env = "K2" }]"#)).await;
    let body = r#"{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}"#;
    for key in [K1, K2] {
        let signature = BASE64.encode(&sha256(key.as_bytes(), &[body.as_bytes()]));
        let digest = HEXLOWER.encode(&sha256(key.as_bytes(), &[b"qgg8vlvZRS6UYooatFL8Aw"]));
        let request = gateway.post("/in/crc").header("x-signature", format!("sha256={signature}")).body(body);
        let want = format!(r#"{{"plainToken":"qgg8vlvZRS6UYooatFL8Aw","encryptedToken":"{digest}"}}"#);
        request.send().await.is_greeted(&want);
    }
    // Where nothing is signed, the first secret answers.
    let reply = gateway.request("GET", "/in/crc?crc_token=abc").send().await;
    let digest = BASE64.encode(&sha256(K1.as_bytes(), &[b"abc"]));
    reply.is_greeted(&format!(r#"{{"response_token":"sha256={digest}"}}"#));
}
