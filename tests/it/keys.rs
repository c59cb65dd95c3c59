//! Keys that senders publish: fetched over HTTPS, kept, and never fetched from where they should not be.

use data_encoding::BASE64URL_NOPAD;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::{Value, json};

use crate::support::{
    gateway::{Gateway, Setup},
    publisher::{Page, Publisher},
    request::{Reply, Request},
    soon,
};

const HOST: &str = "keys.example.com";
const KEYS: &str = "/jwks.json";

/// A sender with a token over the body, whose keys lie at a fixed address.
const ISSUER: &str = r#"
[sources.issuer]
path = "/in/issuer"
upstream = "app"
[[sources.issuer.auth]]
kind = "jws"
algorithms = "ES256"
signature = { from = "header:x-signature" }
message = "{body}"
keys = { url = "https://keys.example.com/jwks.json", form = "jwks" }
"#;

const BODY: &str = r#"{"id":1}"#;

/// A key of a sender.
struct Signer {
    id: &'static str,
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl Signer {
    fn new(id: &'static str) -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
        Self { id, pair, random }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let [x, y] = [&point[1..33], &point[33..]].map(|half| BASE64URL_NOPAD.encode(half));
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id, "x": x, "y": y })
    }

    /// A detached signature over the body.
    fn sign(&self, body: &str) -> String {
        let header = BASE64URL_NOPAD.encode(json!({ "alg": "ES256", "kid": self.id }).to_string().as_bytes());
        let text = format!("{header}.{}", BASE64URL_NOPAD.encode(body.as_bytes()));
        let signature = self.pair.sign(&self.random, text.as_bytes()).unwrap();
        format!("{header}..{}", BASE64URL_NOPAD.encode(signature.as_ref()))
    }

    fn request<'g>(&self, gateway: &'g Gateway) -> Request<'g> {
        gateway.post("/in/issuer").header("x-signature", self.sign(BODY)).body(BODY)
    }

    async fn send(&self, gateway: &Gateway) -> Reply {
        // Each time another event, so that none is a repeat.
        let body = format!(r#"{{"id":{}}}"#, gateway.sent.get());
        gateway.post("/in/issuer").header("x-signature", self.sign(&body)).body(&body).send().await
    }
}

fn set(signers: &[&Signer]) -> Page {
    Page::Found(json!({ "keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>() }).to_string())
}

async fn issuer(page: Page) -> (Publisher, Gateway) {
    let publisher = Publisher::of(&[HOST]).await;
    publisher.put(KEYS, page);
    let gateway = Setup::new(ISSUER).fetching(&publisher).start().await;
    (publisher, gateway)
}

/// The recorded requests of a sender with a preset.
fn recorded(sender: &str) -> Vec<Value> {
    let file = format!("{}/tests/vectors/{sender}.json", env!("CARGO_MANIFEST_DIR"));
    let file: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

/// Sends a recorded request to a source of its preset.
fn replay<'g>(gateway: &'g Gateway, vector: &Value) -> Request<'g> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let request = &vector["request"];
    let headers = request["headers"].as_object().unwrap();
    let all = headers.iter().fold(gateway.post("/in"), |post, (name, value)| post.header(name, text(value)));
    all.body(text(&request["body"]))
}

#[tokio::test]
async fn w_52_the_certificate_url_of_sns() {
    for vector in recorded("aws-sns") {
        let name = vector["name"].as_str().unwrap();
        println!("{name}");
        let publisher = Publisher::of(&["sns.us-east-1.amazonaws.com"]).await;
        for (url, certificate) in vector["settings"]["certs"].as_object().unwrap() {
            let path = &url[url.find("amazonaws.com/").map_or(0, |at| at + 13)..];
            publisher.put(path, Page::Found(certificate.as_str().unwrap().to_owned()));
        }
        let text = "[sources.sns]\npath = \"/in\"\nprovider = \"aws-sns\"\nupstream = \"app\"\n";
        let setup = Setup::new(text).at(vector["now"].as_i64().unwrap());
        let gateway = setup.fetching(&publisher).start().await;
        let reply = replay(&gateway, &vector).send().await;
        if vector["expect"] == "accept" {
            reply.is(200, "forward");
            assert_eq!(publisher.requests().len(), 1, "{name}");
        } else {
            assert_eq!(reply.answer.status, 401, "{name}");
            reply.reaches_nobody();
            publisher.is_untouched();
        }
    }
}

#[tokio::test]
async fn w_52_urls_are_refused_without_a_look() {
    let vector = &recorded("aws-sns")[0];
    let publisher = Publisher::of(&["sns.us-east-1.amazonaws.com"]).await;
    let text = "[sources.sns]\npath = \"/in\"\nprovider = \"aws-sns\"\nupstream = \"app\"\n";
    let gateway = Setup::new(text).at(vector["now"].as_i64().unwrap()).fetching(&publisher).start().await;
    for url in [
        "https://sns.eu-1.amazonaws.com.evil.test/x.pem",
        "https://sns.eu-1.amazonaws.com@evil.test/x.pem",
        "https://evil.test#@sns.eu-1.amazonaws.com/x.pem",
        "http://sns.eu-1.amazonaws.com/x.pem",
        "https://169.254.169.254/x.pem",
        "https://[::ffff:127.0.0.1]/x.pem",
        "https://sns.eu-1.amazonaws.com:8443/x.pem",
        "https://sns.s3.amazonaws.com/x.pem",
        "file:///etc/passwd",
        "",
    ] {
        let mut body: Value = serde_json::from_str(vector["request"]["body"].as_str().unwrap()).unwrap();
        body["SigningCertURL"] = Value::from(url);
        let reply = replay(&gateway, vector).body(body.to_string()).send().await;
        assert_eq!(reply.answer.status, 401, "{url}");
        publisher.is_untouched();
    }
    let mut body: Value = serde_json::from_str(vector["request"]["body"].as_str().unwrap()).unwrap();
    body.as_object_mut().unwrap().remove("Signature");
    replay(&gateway, vector).body(body.to_string()).send().await.is_401("auth_missing");
    publisher.is_untouched();
}

#[tokio::test]
async fn w_52_no_redirect_and_no_private_address() {
    let signer = Signer::new("k1");
    let elsewhere = "302 Found\r\nLocation: https://169.254.169.254/jwks.json";
    let (publisher, gateway) = issuer(Page::Empty(elsewhere.to_owned())).await;
    signer.send(&gateway).await.is(503, "fail state_store").reaches_nobody();
    assert_eq!(publisher.requests(), ["GET keys.example.com /jwks.json"]);
    assert_eq!(publisher.connections().len(), 1, "a redirect is not followed");
    drop(gateway);

    let (publisher, gateway) = issuer(set(&[&signer])).await;
    publisher.point(HOST, &["169.254.169.254", "127.0.0.1", "::1", "10.0.0.1", "::ffff:192.168.0.1"]);
    signer.send(&gateway).await.is(503, "fail state_store").reaches_nobody();
    assert!(publisher.connections().is_empty(), "the address is judged, not the name");
    gateway.advance(31);
    // The name points elsewhere a moment later; the one public address is taken, whatever stands beside it.
    publisher.point(HOST, &["10.0.0.1", "93.184.215.14"]);
    signer.send(&gateway).await.is_forwarded();
    assert_eq!(publisher.connections(), ["93.184.215.14:443".parse().unwrap()]);
}

#[tokio::test]
async fn networks_of_the_operators_own() {
    let signer = Signer::new("k1");
    let publisher = Publisher::of(&[HOST]).await;
    publisher.put(KEYS, set(&[&signer]));
    publisher.point(HOST, &["10.1.2.3"]);
    let text = ISSUER.replace("form = \"jwks\"", "form = \"jwks\", networks = \"10.1.0.0/16\"");
    let gateway = Setup::new(&text).fetching(&publisher).start().await;
    signer.send(&gateway).await.is_forwarded();
}

#[tokio::test]
async fn w_53_an_outage_with_and_without_keys() {
    let signer = Signer::new("k1");
    let (publisher, gateway) = issuer(set(&[&signer])).await;
    let seen = signer.send(&gateway).await;
    assert_eq!(seen.is_forwarded().header("hooksieve-verified"), Some("verified; key=published"));
    signer.send(&gateway).await.is_forwarded();
    assert_eq!(publisher.requests().len(), 1, "kept");

    publisher.put(KEYS, Page::Empty("500 Internal Server Error".to_owned()));
    gateway.advance(16 * 60);
    signer.send(&gateway).await.is_forwarded();
    signer.send(&gateway).await.is_forwarded();
    assert_eq!(publisher.requests().len(), 1, "asked again after 15 minutes, and not again at once");
    gateway.advance(23 * 3600);
    signer.send(&gateway).await.is_forwarded();
    gateway.advance(3600);
    let reply = signer.send(&gateway).await;
    reply.is(503, "fail state_store").reaches_nobody();
    assert!(reply.answer.header("retry-after").is_some());
    publisher.put(KEYS, set(&[&signer]));
    gateway.advance(31);
    signer.send(&gateway).await.is_forwarded();
    let counted = gateway.counts("hooksieve_fetches_total");
    assert!(counted.iter().any(|(labels, count)| labels.contains("\"found\"") && *count == 2), "{counted:?}");
    drop(gateway);

    for page in [
        Page::Empty("503 Service Unavailable".to_owned()),
        Page::Hang,
        Page::Endless,
        Page::Found("{".to_owned()),
        Page::Found(r#"{"keys":[]}"#.to_owned()),
        Page::Found(r#"{"keys":[{"kty":"oct","k":"AAAA","kid":"k1"}]}"#.to_owned()),
        Page::Found(r#"{"keys":[],"keys":[]}"#.to_owned()),
    ] {
        println!("{page:?}");
        let (publisher, gateway) = issuer(page).await;
        signer.send(&gateway).await.is(503, "fail state_store").reaches_nobody();
        signer.send(&gateway).await.is(503, "fail state_store").reaches_nobody();
        assert_eq!(publisher.requests().len(), 1, "a cold start is cold for a while");
    }
}

#[tokio::test]
async fn w_53_a_server_that_is_not_the_senders() {
    let signer = Signer::new("k1");
    let publisher = Publisher::of(&["other.example.com"]).await;
    publisher.put(KEYS, set(&[&signer]));
    let gateway = Setup::new(ISSUER).fetching(&publisher).start().await;
    signer.send(&gateway).await.is(503, "fail state_store").reaches_nobody();
    assert!(publisher.requests().is_empty(), "its certificate is for another name");
}

#[tokio::test]
async fn a_new_key_is_found_and_an_unknown_one_is_not_asked_for_twice() {
    let (old, new, stranger) = (Signer::new("old"), Signer::new("new"), Signer::new("stranger"));
    let (publisher, gateway) = issuer(set(&[&old])).await;
    old.send(&gateway).await.is_forwarded();
    publisher.put(KEYS, set(&[&new]));
    gateway.advance(60);
    new.send(&gateway).await.is_forwarded();
    assert_eq!(publisher.requests().len(), 2);
    old.send(&gateway).await.is_401("auth_mismatch");

    gateway.advance(31);
    for _ in 0..5 {
        stranger.send(&gateway).await.is_401("auth_mismatch");
    }
    assert_eq!(publisher.requests().len(), 1, "however many name a key that is not there");
    new.send(&gateway).await.is_forwarded();
    let forged = Signer::new("new");
    forged.send(&gateway).await.is_401("auth_mismatch");
    assert!(publisher.requests().is_empty());
}

#[tokio::test]
async fn many_requests_and_one_fetch() {
    let signer = Signer::new("k1");
    let (publisher, gateway) = issuer(set(&[&signer])).await;
    let requests = (0..20).map(|_| signer.request(&gateway).fire());
    let answers = soon(futures_util::future::join_all(requests)).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(publisher.requests().len(), 1);
    assert_eq!(gateway.events().len(), 1, "all of them are the same event");
}

#[tokio::test]
async fn strangers_cannot_make_it_hammer_a_server() {
    let vector = &recorded("aws-sns")[0];
    let publisher = Publisher::of(&["sns.us-east-1.amazonaws.com"]).await;
    let text = "[sources.sns]\npath = \"/in\"\nprovider = \"aws-sns\"\nupstream = \"app\"\n";
    let gateway = Setup::new(text).at(vector["now"].as_i64().unwrap()).fetching(&publisher).start().await;
    let body: Value = serde_json::from_str(vector["request"]["body"].as_str().unwrap()).unwrap();
    for number in 0..30 {
        let url = format!("https://sns.us-east-1.amazonaws.com/{number}.pem");
        let mut body = body.clone();
        body["SigningCertURL"] = Value::from(url);
        let reply = replay(&gateway, vector).body(body.to_string()).send().await;
        assert_eq!(reply.answer.status, if number < 20 { 401 } else { 503 }, "{number}");
    }
    assert_eq!(publisher.requests().len(), 20);
}

#[tokio::test]
async fn presets_fetch_the_keys_of_their_senders() {
    for (sender, host, settings) in [
        ("gcp-pubsub-push", "www.googleapis.com", ""),
        ("fireblocks", "keys.fireblocks.io", ""),
        ("neon-auth", "auth.example.com", r#"auth_url = "https://auth.example.com/neondb/auth""#),
        ("plaid", "production.plaid.com", r#"client_id = "c1", secret = { env = "K1" }"#),
    ] {
        let publisher = Publisher::of(&[host]).await;
        for vector in recorded(sender) {
            println!("{sender}: {}", vector["name"]);
            let keys = &vector["settings"]["jwks"];
            for path in ["/oauth2/v3/certs", "/.well-known/jwks.json", "/neondb/auth/.well-known/jwks.json"] {
                publisher.put(path, Page::Found(keys.to_string()));
            }
            let key = json!({ "key": keys["keys"][0], "request_id": "r1" }).to_string();
            publisher.put("/webhook_verification_key/get", Page::Found(key));
            let recorded = ["audience", "email"]
                .iter()
                .filter_map(|name| Some(format!("{name} = {}", vector["settings"].get(name)?)));
            let settings: Vec<String> = recorded.chain((!settings.is_empty()).then(|| settings.to_owned())).collect();
            let text = format!(
                "[sources.s]\npath = \"/in\"\nprovider = \"{sender}\"\nupstream = \"app\"\nsettings = {{ {} }}\n",
                settings.join(", ")
            );
            let setup = Setup::new(&text).at(vector["now"].as_i64().unwrap());
            let gateway = setup.fetching(&publisher).start().await;
            let reply = replay(&gateway, &vector).send().await;
            let wanted = if vector["expect"] == "accept" { 200 } else { 401 };
            assert_eq!(reply.answer.status, wanted, "{} {}", reply.counted, gateway.log());
            let requests = publisher.requests();
            assert!(requests.iter().all(|request| request.contains(host)), "{requests:?}");
            if sender == "plaid" {
                let post = &requests[0];
                assert!(post.starts_with("POST production.plaid.com /webhook_verification_key/get {"), "{post}");
                assert!(post.contains(r#""client_id":"c1""#) && post.contains(r#""key_id":"6c5516e1-"#), "{post}");
            }
        }
    }
}

#[tokio::test]
async fn a_certificate_is_for_the_sender_and_for_now() {
    let key = KeyPair::generate().unwrap();
    let pair = {
        let (random, algorithm) = (SystemRandom::new(), &ring::signature::ECDSA_P256_SHA256_ASN1_SIGNING);
        EcdsaKeyPair::from_pkcs8(algorithm, &key.serialize_der(), &random).unwrap()
    };
    let signature = data_encoding::BASE64.encode(pair.sign(&SystemRandom::new(), BODY.as_bytes()).unwrap().as_ref());
    let check = async |name: &str, from: i32, until: i32, status: u16| {
        println!("{name} {from} {until}");
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
        let publisher = Publisher::of(&[HOST]).await;
        publisher.put("/c/1.pem", Page::Found(params.self_signed(&key).unwrap().pem()));
        let text = r#"
            [sources.s]
            path = "/in"
            upstream = "app"
            [[sources.s.auth]]
            kind = "ecdsa"
            signature = { from = "header:x-signature", encoding = "base64" }
            [sources.s.auth.keys]
            url = "{header:x-certificate}"
            form = "x509"
            hosts = "keys.example.com"
            path = '/c/[0-9]+\.pem'
            names = "*.sender.example"
        "#;
        let gateway = Setup::new(text).fetching(&publisher).start().await;
        let url = "https://keys.example.com/c/1.pem";
        let post = gateway.post("/in").header("x-signature", &signature).header("x-certificate", url).body(BODY);
        assert_eq!(post.send().await.answer.status, status, "{name} {from} {until}");
        assert_eq!(publisher.requests(), ["GET keys.example.com /c/1.pem"]);
    };
    check("hooks.sender.example", 2025, 2027, 200).await;
    check("hooks.sender.example", 2024, 2025, 401).await;
    check("hooks.sender.example", 2027, 2028, 401).await;
    check("hooks.sender.example.evil.example", 2025, 2027, 401).await;
    check("sender.example", 2025, 2027, 401).await;
}

#[tokio::test]
async fn pinned_keys_are_not_fetched() {
    let signer = Signer::new("k1");
    let publisher = Publisher::of(&[HOST]).await;
    let text = ISSUER.replace("keys = {", "key = { decode = \"jwk\" }\nkeys = {");
    let text =
        text.replace("upstream = \"app\"", "upstream = \"app\"\nsecrets = [{ env = \"KEY\", name = \"pinned\" }]");
    let setup = Setup::new(&text).variable("KEY", &signer.jwk().to_string());
    let gateway = setup.fetching(&publisher).start().await;
    let reply = signer.send(&gateway).await;
    assert_eq!(reply.is_forwarded().header("hooksieve-verified"), Some("verified; key=pinned"));
    publisher.is_untouched();
}

#[test]
fn w_52_lists_that_are_open_are_refused() {
    let check = |keys: &str, complaint: &str| {
        let text = ISSUER.replace(r#"{ url = "https://keys.example.com/jwks.json", form = "jwks" }"#, keys);
        let (runs, found) = Setup::new(&text).judge();
        let messages: Vec<_> = found.iter().map(|it| format!("{} {:?}", it.message, it.help)).collect();
        assert!(!runs, "{keys}");
        assert!(messages.iter().any(|message| message.contains(complaint)), "{keys}: {messages:?}");
    };
    let listed =
        |hosts: &str| format!(r#"{{ url = "{{header:x-url}}", form = "jwks", hosts = {hosts}, path = "/[a-z]+" }}"#);
    check(r#"{ url = "http://keys.example.com/jwks.json", form = "jwks" }"#, "no `https` address");
    check(r#"{ url = "https://127.0.0.1/jwks.json", form = "jwks" }"#, "no `https` address");
    check(r#"{ url = "https://localhost/jwks.json", form = "jwks" }"#, "no `https` address");
    check(r#"{ url = "https://user@keys.example.com/jwks.json", form = "jwks" }"#, "no `https` address");
    check(r#"{ url = "{header:x-url}", form = "jwks" }"#, "no list says which are followed");
    check(
        r#"{ url = "{header:x-url}", form = "jwks", hosts = "keys.example.com" }"#,
        "no list says which are followed",
    );
    check(r#"{ url = "https://keys.example.com/{kid}", form = "jwk" }"#, "no list says which are followed");
    check(&listed(r#""*""#), "not the full name");
    check(&listed(r#""*.com""#), "strangers can register");
    check(&listed(r#"["keys.example.com", "*.co.uk"]"#), "strangers can register");
    check(&listed(r#""https://keys.example.com""#), "it is a URL");
    check(&listed(r#""keys.example.com", names = "a.example.com""#), "only certificates have names");
    check(&listed(r#""keys.example.com", typo = 1"#), "there is no key `typo`");
    let shared = ISSUER.replace("ES256", "HS256");
    let (runs, found) = Setup::new(&shared).judge();
    assert!(!runs && found.iter().any(|it| it.message.contains("only public keys can be published")));
}
