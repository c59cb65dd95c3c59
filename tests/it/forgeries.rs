//! Whatever a source demands, a credential that is not exactly right opens nothing, and all failures look the same.

use std::path::Path;

use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config, TestRunner},
};
use serde_json::Value;

use crate::support::{
    gateway::{Gateway, K1, K2, Setup, T},
    request::{Request, label},
    senders::{ACME, BODY, HUB, KEYED, hex, hub, standard, together},
};

/// The other kinds of credentials: hex or base64, a token in the query, a public key, two rules at once.
const OTHERS: &str = r#"
[sources.auto]
path = "/in/auto"
secrets = [{ env = "K1" }]
upstream = "app"
[[sources.auto.auth]]
kind = "hmac"
signature = { from = "header:x-signature", prefix = { optional = "sha256=" }, encoding = "auto" }
[sources.query]
path = "/in/query"
secrets = [{ env = "K1" }]
upstream = "app"
[[sources.query.auth]]
kind = "token"
signature = { from = "query:key" }
[sources.rsa]
path = "/in/rsa"
secrets = [{ file = "vectors/test-key.pub.pem" }]
upstream = "app"
[[sources.rsa.auth]]
kind = "rsa"
signature = { from = "header:x-signature", encoding = "base64" }
key = { decode = "pem" }
[sources.both]
path = "/in/both"
secrets = [{ env = "K1" }]
upstream = "app"
require_headers = { x-env = { env = "K2" } }
[[sources.both.auth]]
kind = "hmac"
signature = { from = "header:x-signature", encoding = "hex" }
"#;

/// What is wrong with a credential.
#[derive(Clone, Debug)]
enum Wrong {
    /// One byte is another one.
    Byte(Index, u8),
    /// It ends early.
    Cut(Index),
    /// It goes on.
    Longer(u8),
    /// It was made with another secret.
    OtherSecret,
    /// It is there twice: both right, or one of them wrong.
    Twice(bool),
    /// It is not there.
    Missing,
}

fn wrong() -> impl Strategy<Value = Wrong> {
    // Bytes that are no white space, for that is taken away at the ends of a header.
    let byte = prop_oneof![4 => 0x21..0x7f_u8, 1 => 0x80..=0xff_u8];
    prop_oneof![
        6 => (any::<Index>(), byte.clone()).prop_map(|(at, byte)| Wrong::Byte(at, byte)),
        3 => any::<Index>().prop_map(Wrong::Cut),
        1 => byte.prop_map(Wrong::Longer),
        1 => Just(Wrong::OtherSecret),
        1 => any::<bool>().prop_map(Wrong::Twice),
        1 => Just(Wrong::Missing),
    ]
}

/// Where a right credential lies, its value, and one made with another secret.
struct Credential {
    source: &'static str,
    /// A header; `None` is the query.
    header: Option<&'static str>,
    right: String,
    other: String,
}

fn credentials() -> Vec<Credential> {
    let vectors = include_str!("../seeds/cakewalk/vectors/rsa-pkcs1v15-sha256.json");
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    let signature = |index: usize| vectors["vectors"][index]["signature"].as_str().unwrap().to_owned();
    let digest = |secret: &str| hex(secret, &[BODY.as_bytes()]);
    let acme = |secret: &str| format!("v1,{}", standard(secret, "evt_1", &T.to_string(), BODY));
    let of = |source, header, right, other| Credential { source, header, right, other };
    vec![
        of("hub", Some("x-hub-signature-256"), hub(K1, BODY), hub(K2, BODY)),
        of("acme", Some("webhook-signature"), acme(K1), acme(K2)),
        of("auto", Some("x-signature"), digest(K1), digest(K2)),
        of("keyed", Some("x-key"), K1.to_owned(), K2.to_owned()),
        of("query", None, K1.to_owned(), K2.to_owned()),
        of("rsa", Some("x-signature"), signature(1), signature(3)),
        of("both", Some("x-signature"), digest(K1), digest(K2)),
        of("both", Some("x-env"), K2.to_owned(), K1.to_owned()),
    ]
}

impl Credential {
    /// A request with these values of the credential, and everything else right.
    fn request<'g>(&self, gateway: &'g Gateway, values: &[Vec<u8>]) -> Request<'g> {
        let pairs = values.iter().filter(|_| self.header.is_none());
        let query: Vec<_> = pairs.map(|value| format!("key={}", String::from_utf8_lossy(value))).collect();
        let mut request = gateway.post(&format!("/in/{}?{}", self.source, query.join("&"))).body(BODY);
        if self.source == "rsa" {
            let sample = include_bytes!("../seeds/cakewalk/samples/valid/actionable-grant-access.json");
            request = request.body(sample);
        }
        request = request.header("webhook-id", "evt_1").header("webhook-timestamp", T.to_string());
        if self.source == "both" {
            request = match self.header {
                Some("x-env") => request.header("x-signature", hex(K1, &[BODY.as_bytes()])),
                _ => request.header("x-env", K2),
            };
        }
        let headers = values.iter().filter_map(|value| Some((self.header?, value)));
        headers.fold(request, |request, (name, value)| request.header(name, value))
    }

    /// The values that are sent; `None` when nothing would be wrong with them.
    fn spoil(&self, wrong: &Wrong) -> Option<Vec<Vec<u8>>> {
        // What may stand in a query without a meaning of its own.
        let fit = |byte: u8| if self.header.is_none() { b'A' + byte % 26 } else { byte };
        let right = self.right.clone().into_bytes();
        let mut value = right.clone();
        match wrong {
            Wrong::Byte(at, byte) => value[at.index(right.len())] = fit(*byte),
            Wrong::Cut(at) => value.truncate(at.index(right.len())),
            Wrong::Longer(byte) => value.push(fit(*byte)),
            Wrong::OtherSecret => value = self.other.clone().into_bytes(),
            Wrong::Twice(true) => return Some(vec![right.clone(), right]),
            Wrong::Twice(false) => return Some(vec![self.other.clone().into_bytes(), right]),
            Wrong::Missing => return Some(Vec::new()),
        }
        // Hex has two spellings of its letters, and both are right; what is before it has one.
        let exact = match (self.source, right.len()) {
            ("hub", _) => "sha256=".len(),
            (_, 64) => 0,
            (_, all) => all,
        };
        let same = value.eq_ignore_ascii_case(&right) && value.starts_with(&right[..exact]);
        (!same).then_some(vec![value])
    }
}

#[test]
fn w_14_w_46_no_wrong_credential_opens_anything() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seeds/cakewalk");
    let setup = Setup::new(&together(&[HUB, ACME, KEYED, OTHERS])).directory(&directory);
    let gateway = runtime.block_on(setup.start());
    let credentials = credentials();
    let face = |answer: crate::support::wire::Answer| {
        let head = answer.head.lines().filter(|line| !line.starts_with("date: ")).collect::<Vec<_>>().join("\n");
        (head, answer.body)
    };
    let first = face(runtime.block_on(credentials[0].request(&gateway, &[]).fire()));
    assert!(first.0.starts_with("HTTP/1.1 401 "), "{}", first.0);

    let config = Config { cases: 1_000, failure_persistence: None, ..Config::default() };
    let check = |(which, wrong): (Index, Wrong)| {
        let credential = which.get(&credentials);
        let Some(values) = credential.spoil(&wrong) else { return Ok(()) };
        let answer = runtime.block_on(credential.request(&gateway, &values).fire());
        prop_assert_eq!(face(answer), first.clone(), "{} {:?}", credential.source, credential.header);
        Ok(())
    };
    TestRunner::new(config).run(&(any::<Index>(), wrong()), check).unwrap();

    assert!(gateway.events().is_empty(), "nothing reached the application");
    for (labels, _) in gateway.counts("hooksieve_requests_total") {
        assert!(label(&labels, "outcome") == "reject" && label(&labels, "reason").starts_with("auth_"), "{labels}");
    }
    // And the right ones do open it, so that the above means something.
    for credential in &credentials {
        let request = credential.request(&gateway, &[credential.right.clone().into_bytes()]);
        let reply = runtime.block_on(request.send());
        assert_eq!(reply.answer.status, 200, "{} {:?}", credential.source, credential.header);
    }
}
