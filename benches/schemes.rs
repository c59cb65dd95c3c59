//! What a preset's compiled rules cost beyond the digest itself: HMAC-SHA256 over an event of 1 KiB, by the bare crate with
//! its key prepared, and through the whole of a source's authentication, side by side.
//!
//! `cargo bench --bench schemes`; with `-- --test` each runs once, so that none can rot.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up should stop")]

use std::{hint::black_box, path::Path};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use hooksieve::{
    app,
    config::Environment,
    gateway::source::Source,
    stages::receive::{Client, Head, Received},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::Timestamp;
use sha2::Sha256;

const BODY: &[u8] = include_bytes!("../bench/order.json");
const KEY: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const SENT_AT: &str = "1767225600";

/// What a sender puts around the body, and where its signature goes.
struct Sender {
    preset: &'static str,
    /// What is signed before the body.
    before: Vec<&'static str>,
    headers: Vec<(&'static str, String)>,
}

criterion_group!(benches, presets);
criterion_main!(benches);

fn presets(criterion: &mut Criterion) {
    for sender in senders() {
        let mut group = criterion.benchmark_group(sender.preset);
        group.throughput(Throughput::Bytes(BODY.len() as u64));
        let (prepared, tag) = (mac(KEY), tag(&sender.before));
        group.bench_function("bare", |bencher| {
            bencher.iter(|| {
                let mut mac = prepared.clone();
                for part in &sender.before {
                    mac.update(part.as_bytes());
                }
                mac.update(black_box(BODY));
                mac.verify_slice(&tag).unwrap();
            });
        });
        let (source, request) = (source(sender.preset), request(&sender.headers));
        let now = request.at;
        group.bench_function("preset", |bencher| {
            let admit = |request| source.authenticator.admit(request, now).unwrap();
            bencher.iter_batched(|| request.clone(), admit, BatchSize::SmallInput);
        });
        group.finish();
    }
}

/// The four commonest ways to sign with HMAC-SHA256.
fn senders() -> [Sender; 4] {
    let hex = |before: &[&str]| HEXLOWER.encode(&tag(before));
    let header = |name, value: String| vec![(name, value)];
    let timed = format!("t={SENT_AT},v1={}", hex(&[SENT_AT, "."]));
    let slack = format!("v0={}", hex(&["v0:", SENT_AT, ":"]));
    let standard = format!("v1,{}", BASE64.encode(&tag(&["evt_1", ".", SENT_AT, "."])));
    [
        Sender {
            preset: "github",
            before: vec![],
            headers: header("x-hub-signature-256", format!("sha256={}", hex(&[]))),
        },
        Sender { preset: "stripe", before: vec![SENT_AT, "."], headers: header("stripe-signature", timed) },
        Sender {
            preset: "slack",
            before: vec!["v0:", SENT_AT, ":"],
            headers: vec![("x-slack-signature", slack), ("x-slack-request-timestamp", SENT_AT.to_owned())],
        },
        Sender {
            preset: "standard-webhooks",
            before: vec!["evt_1", ".", SENT_AT, "."],
            headers: vec![
                ("webhook-signature", standard),
                ("webhook-id", "evt_1".to_owned()),
                ("webhook-timestamp", SENT_AT.to_owned()),
            ],
        },
    ]
}

fn mac(key: &str) -> Hmac<Sha256> {
    Hmac::new_from_slice(key.as_bytes()).unwrap()
}

fn tag(before: &[&str]) -> Vec<u8> {
    let mut mac = mac(KEY);
    for part in before {
        mac.update(part.as_bytes());
    }
    mac.chain_update(BODY).finalize().into_bytes().to_vec()
}

/// The source that names the preset and nothing else.
fn source(preset: &str) -> Source {
    let secret =
        if preset == "standard-webhooks" { format!("whsec_{}", BASE64.encode(KEY.as_bytes())) } else { KEY.into() };
    let text = format!(
        "[upstreams.app]\nurl = \"http://127.0.0.1:9/\"\n[sources.it]\npath = \"/in\"\nprovider = \"{preset}\"\n\
         upstream = \"app\"\nsecrets = [{{ value = \"{secret}\" }}]\n"
    );
    let (compiled, found) =
        app::load(Path::new("bench.toml"), &text, &Environment::default(), false, &mut app::nowhere);
    compiled.unwrap_or_else(|| panic!("{}", found.render(false))).sources.remove(0)
}

fn request(signing: &[(&'static str, String)]) -> Received {
    let usual = [("host", "hooks.example.com"), ("content-type", "application/json"), ("user-agent", "bench")];
    let mut headers: HeaderMap = usual
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .into_iter()
        .collect();
    for (name, value) in signing {
        headers.insert(*name, HeaderValue::from_str(value).unwrap());
    }
    let client = Client { address: None, known: false };
    let head = Head { method: Method::POST, path: "/in".into(), query: None, headers, client };
    let at = Timestamp::from_second(SENT_AT.parse().unwrap()).unwrap();
    Received { head, body: Bytes::from_static(BODY), at }
}
