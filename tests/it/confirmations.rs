//! Endpoints that are confirmed by visiting an address of the sender's: only where the operator switched that on, only
//! for who has proved itself, and only where the address is on the list.

use serde_json::json;

use crate::support::{
    gateway::{Gateway, K1, Setup},
    publisher::{Page, Publisher},
    request::{Reply, Request},
    senders::hex,
};

const HOST: &str = "sns.us-east-1.amazonaws.com";

const URL: &str =
    "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:us-east-1:1:T&Token=2336";

/// A sender that has its endpoints confirmed as Amazon SNS does, with a signature that a test can make.
const SUBSCRIBER: &str = r#"
[sources.sns]
path = "/in/sns"
secrets = [{ env = "K1" }]
upstream = "app"
settings = { SETTINGS }
auth = [{ kind = "hmac", signature = { from = "header:x-signature" } }]
[sources.sns.events]
id = "json:/MessageId"
[[sources.sns.handshake]]
only_with = "confirm_topics"
when = [
    { equal = ["json:/Type", "SubscriptionConfirmation"] },
    { in_list = ["json:/TopicArn", "confirm_topics"] },
]
auth = "signature"
[sources.sns.handshake.confirm]
url = "{json:/SubscribeURL}"
hosts = ["sns.us-east-1.amazonaws.com", "sns.*.amazonaws.com"]
path = "/"
query = 'Action=ConfirmSubscription&TopicArn=[A-Za-z0-9:._-]+&Token=[A-Za-z0-9]+'
"#;

async fn subscriber(settings: &str, page: Page) -> (Publisher, Gateway) {
    let publisher = Publisher::of(&[HOST]).await;
    publisher.put("/", page);
    let text = SUBSCRIBER.replace("SETTINGS", settings);
    let gateway = Setup::new(&text).fetching(&publisher).start().await;
    (publisher, gateway)
}

fn confirmation<'g>(gateway: &'g Gateway, topic: &str, url: &str) -> Request<'g> {
    let id = gateway.sent.get().to_string();
    let body = json!({ "Type": "SubscriptionConfirmation", "MessageId": id, "TopicArn": topic, "SubscribeURL": url });
    let body = body.to_string();
    gateway.post("/in/sns").header("x-signature", hex(K1, &[body.as_bytes()])).body(body)
}

const SWITCHED_ON: &str = r#"confirm_topics = ["arn:aws:sns:us-east-1:1:T"]"#;
const TOPIC: &str = "arn:aws:sns:us-east-1:1:T";

fn found() -> Page {
    Page::Found("<ConfirmSubscriptionResponse/>".to_owned())
}

#[track_caller]
fn is_confirmed(reply: &Reply) {
    reply.is(200, "handshake").reaches_nobody();
}

#[tokio::test]
async fn h_05_off_by_default() {
    for settings in ["", "confirm_topics = []"] {
        let (publisher, gateway) = subscriber(settings, found()).await;
        confirmation(&gateway, TOPIC, URL).send().await.is_forwarded();
        publisher.is_untouched();
    }
}

#[tokio::test]
async fn h_05_the_subscribe_url_is_visited_for_topics_of_the_operators() {
    let (publisher, gateway) = subscriber(SWITCHED_ON, found()).await;
    is_confirmed(&confirmation(&gateway, TOPIC, URL).send().await);
    let target = URL.strip_prefix("https://sns.us-east-1.amazonaws.com").unwrap();
    assert_eq!(publisher.requests(), [format!("GET {HOST} {target}")]);
    confirmation(&gateway, "arn:aws:sns:us-east-1:2:Other", URL).send().await.is_forwarded();
    assert!(publisher.requests().is_empty(), "another account's topic is left to the application");
    let unsigned = confirmation(&gateway, TOPIC, URL).header("x-signature", hex(K1, &[b"another"]));
    unsigned.send().await.is_401("auth_ambiguous");
    let body = json!({ "Type": "SubscriptionConfirmation", "TopicArn": TOPIC, "SubscribeURL": URL }).to_string();
    gateway.post("/in/sns").body(body).send().await.is_401("auth_missing");
    assert!(publisher.requests().is_empty(), "strangers have nothing visited");
}

#[tokio::test]
async fn h_05_urls_that_are_not_on_the_list() {
    let (publisher, gateway) = subscriber(SWITCHED_ON, found()).await;
    for url in [
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.169.254/?Action=ConfirmSubscription&TopicArn=a&Token=1",
        "http://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=a&Token=1",
        "https://sns.us-east-1.amazonaws.com.evil.test/?Action=ConfirmSubscription&TopicArn=a&Token=1",
        "https://sns.us-east-1.amazonaws.com@evil.test/?Action=ConfirmSubscription&TopicArn=a&Token=1",
        "https://sns.us-east-1.amazonaws.com/?Action=DeleteTopic&TopicArn=a&Token=1",
        "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=a&Token=1&Action=DeleteTopic",
        "https://sns.us-east-1.amazonaws.com/",
        "",
    ] {
        confirmation(&gateway, TOPIC, url).send().await.is(400, "reject target").reaches_nobody();
        publisher.is_untouched();
    }
}

#[tokio::test]
async fn h_05_no_redirect_and_no_private_address() {
    let redirect = "302 Found\r\nLocation: http://169.254.169.254/latest/meta-data/";
    for page in [Page::Empty(redirect.to_owned()), Page::Empty("403 Forbidden".to_owned()), Page::Hang] {
        let (publisher, gateway) = subscriber(SWITCHED_ON, page).await;
        confirmation(&gateway, TOPIC, URL).send().await.is(502, "fail upstream_error").reaches_nobody();
        assert_eq!(publisher.connections().len(), 1, "nothing is followed, and nothing tried twice");
    }
    let (publisher, gateway) = subscriber(SWITCHED_ON, found()).await;
    for address in ["169.254.169.254", "127.0.0.1", "10.0.0.1", "::1", "fd00::1"] {
        publisher.point(HOST, &[address]);
        confirmation(&gateway, TOPIC, URL).send().await.is(502, "fail upstream_error").reaches_nobody();
    }
    assert!(publisher.connections().is_empty());
}

#[tokio::test]
async fn h_05_a_captured_confirmation_cannot_be_used_to_hammer() {
    let (publisher, gateway) = subscriber(SWITCHED_ON, found()).await;
    for number in 0..25 {
        let status = confirmation(&gateway, TOPIC, URL).send().await.answer.status;
        assert_eq!(status, if number < 20 { 200 } else { 502 }, "{number}");
    }
    assert_eq!(publisher.requests().len(), 20);
}

#[test]
fn h_05_strangers_have_nothing_visited() {
    for auth in ["none", "secret"] {
        let token = if auth == "secret" { "token = \"header:x-token\"" } else { "" };
        let text = SUBSCRIBER.replace("auth = \"signature\"", &format!("auth = \"{auth}\"\n{token}"));
        let (runs, found) = Setup::new(&text.replace("SETTINGS", SWITCHED_ON)).judge();
        assert!(!runs && found.iter().any(|it| it.message.contains("strangers could have addresses visited")));
    }
}
