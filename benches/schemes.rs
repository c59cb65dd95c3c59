//! What a preset's compiled rules cost beyond the digest itself: HMAC-SHA256 over an event of 1 KiB, by the bare crate with
//! its key prepared, and through the whole of a source's authentication, side by side in one run.
//!
//! `cargo bench --bench schemes`. The two take turns in batches that are short beside a time slice, and the fastest batch
//! of each counts: what else the machine does makes a batch slower, never faster. With `-- --test` there is one batch, and
//! `-- github` measures that one only.
//!
//! The aim is 1.3 times the bare digest. docs/performance.md has the figures: about that for a signature in one header, more
//! for each header that is looked up besides.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up should stop")]
#![expect(clippy::print_stdout, reason = "the figures are the result")]
#![expect(clippy::disallowed_methods, reason = "nanoseconds are what this is about")]

use std::{
    env,
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
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
const BATCH: u32 = 16;
const BATCHES: u32 = 20_000;

/// What a sender puts around the body, and where its signature goes.
struct Sender {
    preset: &'static str,
    /// What is signed before the body.
    before: Vec<&'static str>,
    headers: Vec<(&'static str, String)>,
}

fn main() {
    let batches = if env::args().any(|argument| argument == "--test") { 1 } else { BATCHES };
    let only: Vec<_> = env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    println!("{:<20} {:>8} {:>10} {:>7}", "HMAC-SHA256, 1 KiB", "bare ns", "preset ns", "times");
    for sender in senders().into_iter().filter(|it| only.is_empty() || only.iter().any(|name| name == it.preset)) {
        let (bare, preset) = measure(&sender, batches);
        let nanoseconds = |batch: Duration| batch.as_secs_f64() * 1e9 / f64::from(BATCH);
        let times = preset.as_secs_f64() / bare.as_secs_f64();
        println!("{:<20} {:>8.0} {:>10.0} {times:>7.2}", sender.preset, nanoseconds(bare), nanoseconds(preset));
    }
}

/// The fastest batch of either.
fn measure(sender: &Sender, batches: u32) -> (Duration, Duration) {
    let (prepared, tag) = (mac(KEY), tag(&sender.before));
    let (source, request) = (source(sender.preset), request(&sender.headers));
    let now = request.at;
    let (mut bare, mut preset) = (Duration::MAX, Duration::MAX);
    for _ in 0..batches {
        let start = Instant::now();
        for _ in 0..BATCH {
            let mut mac = prepared.clone();
            for part in &sender.before {
                mac.update(part.as_bytes());
            }
            mac.update(black_box(BODY));
            black_box(mac.verify_slice(&tag)).unwrap();
        }
        bare = bare.min(start.elapsed());
        let requests: Vec<_> = (0..BATCH).map(|_| Box::new(request.clone())).collect();
        let mut admitted = Vec::with_capacity(requests.len());
        let start = Instant::now();
        for request in requests {
            admitted.push(source.authenticator.admit(request, now));
        }
        preset = preset.min(start.elapsed());
        assert!(admitted.iter().all(Result::is_ok), "a signature that is right is refused");
    }
    (bare, preset)
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
