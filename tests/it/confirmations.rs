//! Endpoints that are confirmed by visiting an address of the sender's: only where the operator switched that on, only
//! for who has proved itself, and only where the address is on the list.

use data_encoding::BASE64;
use rcgen::{CertificateParams, KeyPair};
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
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

#[tokio::test]
async fn h_05_amazon_sns_with_a_key_that_is_fetched() {
    let publisher = Publisher::of(&[HOST]).await;
    publisher.put("/", found());
    // A key of these tests, and of nobody else: this library makes none for RSA.
    let key = KeyPair::from_pem(include_str!("support/rsa.pem")).unwrap();
    let certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
    publisher.put("/key.pem", Page::Found(certificate.pem()));
    let text = format!(
        "[sources.sns]\npath = \"/in/sns\"\nprovider = \"aws-sns\"\nupstream = \"app\"\nsettings = {{ {SWITCHED_ON} }}\n"
    );
    let gateway = Setup::new(&text).fetching(&publisher).start().await;
    let pair = RsaKeyPair::from_pkcs8(&key.serialize_der()).unwrap();
    let sign = |kind: &str, topic: &str| {
        let members = [
            ("Message", "You have chosen to subscribe"),
            ("MessageId", "165545c9"),
            ("SubscribeURL", URL),
            ("Timestamp", "2026-01-01T00:00:00.000Z"),
            ("Token", "2336"),
            ("TopicArn", topic),
            ("Type", kind),
        ];
        let text = members.iter().flat_map(|(name, value)| [*name, "\n", value, "\n"]).collect::<String>();
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
        let mut body = serde_json::Map::from_iter(members.map(|(name, value)| (name.to_owned(), value.into())));
        body.insert("SignatureVersion".to_owned(), "2".into());
        body.insert("Signature".to_owned(), BASE64.encode(&signature).into());
        body.insert("SigningCertURL".to_owned(), format!("https://{HOST}/key.pem").into());
        gateway.post("/in/sns").body(serde_json::Value::from(body).to_string())
    };
    is_confirmed(&sign("SubscriptionConfirmation", TOPIC).send().await);
    let target = URL.strip_prefix("https://sns.us-east-1.amazonaws.com").unwrap();
    assert_eq!(publisher.requests(), [format!("GET {HOST} /key.pem"), format!("GET {HOST} {target}")]);
    // It looks alike, and visiting it would undo the subscription.
    sign("UnsubscribeConfirmation", TOPIC).send().await.is_forwarded();
    assert!(publisher.requests().is_empty());
}

#[tokio::test]
async fn h_05_event_grid_only_where_it_is_switched_on() {
    let url = "https://rp-eastus2.eventgrid.azure.net:553/eventsubscriptions/s/validate?id=1&t=2022-10-28T04:23:35.1Z&token=1A";
    let body = json!([{ "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "id": "1", "topic": "/t",
        "data": { "validationCode": "512d38b6-c7b8", "validationUrl": url } }]);
    for (switch, visits) in [("false", 0), ("true", 1)] {
        let publisher = Publisher::of(&["rp-eastus2.eventgrid.azure.net"]).await;
        publisher.put("/eventsubscriptions/s/validate", Page::Found(String::new()));
        let text = format!(
            "[sources.grid]\npath = \"/in/grid\"\nprovider = \"azure-event-grid\"\nupstream = \"app\"\n\
             secrets = [{{ env = \"K1\" }}]\nsettings = {{ confirm_by_url = {switch} }}\n"
        );
        let gateway = Setup::new(&text).fetching(&publisher).start().await;
        let post = |target: &str| gateway.post(target).header("aeg-event-type", "SubscriptionValidation");
        let reply = post(&format!("/in/grid?code={K1}")).body(body.to_string()).send().await;
        is_confirmed(&reply);
        assert_eq!(reply.answer.text(), r#"{"validationResponse":"512d38b6-c7b8"}"#);
        assert_eq!(publisher.requests().len(), visits, "{switch}");
        post("/in/grid").body(body.to_string()).send().await.is_401("auth_missing");
        assert!(publisher.requests().is_empty());
    }
}
