//! What one event of 1 KiB costs, step by step and as a whole journey without sockets.
//!
//! `cargo bench --bench journey`; with `-- --test` each runs once, so that none can rot.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up should stop")]

use std::{
    fs,
    hint::black_box,
    io,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use data_encoding::HEXLOWER;
use futures_util::FutureExt;
use hmac::{Hmac as BareHmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use sha2::Sha256;

use hooksieve::{
    app,
    clock::{Clock, SystemClock},
    fetch::{Https, keys::KeyStore},
    gateway::Gateway,
    secret::Secret,
    server::Handler as _,
    stages::{
        json::{Document, Limits, Path as JsonPath},
        receive::{Client, Head, Received},
        schema::Schema,
        schemes::{
            Looked, Named, Scheme, Strength,
            hmac::{Hash, Hmac, Key},
            signature::{Encoding, Format, Items, Prefix},
            window::{Unit, Window},
        },
        selector::{Facts, Selector},
        split::{Envelope, split},
        template::Template,
    },
    state::{
        claims::{Claimed, Claims, Evidence},
        key::{Digest, EventKey},
        limits::ClientLimit,
        memory::MemoryClaims,
    },
    telemetry::{Metrics, Telemetry},
    upstream::{Attempt, BoxFuture, Delivered, Outbound, Upstream},
};

const EVENT: &[u8] = include_bytes!("../bench/order.json");
const SCHEMA: &str = include_str!("../bench/schemas/order.paid.json");
const SECRET: &[u8] = b"0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const SENT_AT: i64 = 1_767_225_600;
/// Settled events in the store.
const CAPACITY: u64 = 1_000_000;

criterion_group!(benches, verify, cut, check, claim, journey);
criterion_main!(benches);

/// The HMAC scheme against the bare digest with the key prepared: what finding, parsing and comparing add.
fn verify(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("verify 1 KiB");
    group.throughput(Throughput::Bytes(EVENT.len() as u64));
    let prepared = BareHmac::<Sha256>::new_from_slice(SECRET).unwrap();
    let time = SENT_AT.to_string();
    group.bench_function("bare hmac", |bencher| {
        bencher.iter(|| {
            let mut mac = prepared.clone();
            mac.update(time.as_bytes());
            mac.update(b".");
            mac.update(black_box(EVENT));
            mac.finalize().into_bytes()
        });
    });
    let now = Timestamp::from_second(SENT_AT).unwrap();
    let (scheme, received) = (scheme(), received(Bytes::from_static(EVENT), now));
    group.bench_function("scheme", |bencher| {
        bencher.iter(|| {
            let document = OnceLock::new();
            let facts = Facts::of(black_box(&received), "", &document);
            scheme.judge(&facts, now, &mut Looked::default()).unwrap()
        });
    });
    group.finish();
}

/// Strict JSON and the cut into events: one event, and a batch of a hundred.
fn cut(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("split");
    let batch = [b"[", vec![EVENT; 100].join(b",".as_slice()).as_slice(), b"]"].concat();
    let envelope = Envelope { split: vec![JsonPath::default()], ..Envelope::default() };
    for (name, body) in [("1 event", EVENT.to_vec()), ("100 events", batch)] {
        group.throughput(Throughput::Bytes(body.len() as u64));
        let body = Bytes::from(body);
        group.bench_function(name, |bencher| {
            bencher.iter(|| split(Document::parse(body.clone(), &Limits::default()).unwrap(), &envelope).unwrap());
        });
    }
    group.finish();
}

/// The schema of one event, on the tape.
fn check(criterion: &mut Criterion) {
    let (schema, _) = Schema::compile("order.paid.json", SCHEMA).unwrap();
    let document = Document::parse(Bytes::from_static(EVENT), &Limits::default()).unwrap();
    schema.check(document.root()).unwrap();
    criterion.bench_function("schema check", |bencher| bencher.iter(|| schema.check(black_box(document.root()))));
}

/// Claiming a new event and settling it, and meeting it again.
fn claim(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("claims");
    let claims = Claims::new(Arc::new(MemoryClaims::new(CAPACITY)));
    let (digest, now) = (Digest::of(EVENT), SystemClock.now());
    let (lease, window) = (Duration::from_secs(13), Duration::from_hours(24));
    let take =
        |key| claims.claim(key, digest, lease, now.steady).now_or_never().expect("memory answers at once").unwrap();
    let mut next = 0_u64;
    group.bench_function("claim and settle", |bencher| {
        bencher.iter_batched(
            || {
                next += 1;
                EventKey::new("bench", [next.to_be_bytes().as_slice()])
            },
            |key| match take(key) {
                Claimed::Ours(claim) => {
                    let settled = claim.settle(Evidence::Delivered, window, now);
                    settled.now_or_never().expect("memory answers at once")
                }
                Claimed::Conflict | Claimed::InFlight(_) | Claimed::Settled => panic!("every key is new"),
            },
            BatchSize::SmallInput,
        );
    });
    let known = EventKey::new("bench", [1_u64.to_be_bytes().as_slice()]);
    group.bench_function("duplicate", |bencher| bencher.iter(|| take(black_box(known))));
    group.finish();
}

/// From a whole request to its answer, with the settings of `bench/`, an application that answers at once, and the
/// access record written to nowhere.
fn journey(criterion: &mut Criterion) {
    let log = tracing_subscriber::fmt().json().with_writer(io::sink).finish();
    let _guard = tracing::subscriber::set_default(log);
    let (gateway, mut next) = (Arc::new(gateway()), 0_u64);
    criterion.bench_function("journey", |bencher| {
        bencher.iter_batched(
            || {
                next += 1;
                let mut body = EVENT.to_vec();
                let id = EVENT.windows(16).position(|window| window == b"0000000000000000").unwrap();
                HEXLOWER.encode_mut(&next.to_be_bytes(), &mut body[id..id + 16]);
                received(body.into(), SystemClock.now().wall)
            },
            |received| {
                let allowance = gateway.open(&received.head).unwrap();
                let answer = gateway.clone().handle(allowance.route, received.into()).now_or_never();
                assert!(answer.expect("nothing waits").status.is_success());
            },
            BatchSize::SmallInput,
        );
    });
}

fn gateway() -> Gateway {
    let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/bench/hooksieve.toml"));
    let text = fs::read_to_string(file).unwrap();
    let environment = [("BENCH_SECRET", str::from_utf8(SECRET).unwrap())].into_iter().collect();
    let mut connect = |_: &str, _| Ok(Arc::new(Ready) as Arc<dyn Upstream>);
    let (compiled, found) = app::load(file, &text, &environment, false, &mut connect);
    let compiled = compiled.unwrap_or_else(|| panic!("{}", found.render(false)));
    let clients = ClientLimit::new(compiled.client_limit.0, compiled.client_limit.1, SystemClock.now().steady);
    let telemetry = Arc::new(Telemetry::new(Arc::new(Metrics::new())));
    let claims = Claims::new(Arc::new(MemoryClaims::new(CAPACITY)));
    let keys = Arc::new(KeyStore::new(Arc::new(Https::of_system())));
    Gateway::new(compiled.sources, claims, None, clients, keys, Arc::new(SystemClock), telemetry)
}

/// An application that answers before it is asked.
struct Ready;

impl Upstream for Ready {
    fn deliver(&self, outbound: Outbound) -> BoxFuture<'_, Attempt> {
        black_box(outbound);
        Box::pin(async { Attempt::Delivered(Delivered { status: StatusCode::OK, relay: None }) })
    }
}

/// `t=…,v1=…` over `{t}.{body}`, as many senders do it.
fn scheme() -> Scheme {
    let selector = |text| Selector::parse(text, &|_| None).unwrap();
    let minutes = Duration::from_mins(5);
    Scheme::Hmac(Hmac {
        signature: Format {
            from: vec![selector("header:x-signature")],
            any_of: false,
            items: Some(Items {
                split: ",".into(),
                pair: "=".into(),
                take: vec!["v1".into()],
                trim: String::new(),
                groups: None,
            }),
            prefix: Prefix::NONE,
            encoding: Encoding::Hex,
        },
        messages: vec![Template::parse("{sig.t}.{body}", &|_| None).unwrap()],
        window: Some(Window {
            from: vec![selector("sig.t")],
            unit: Unit::Seconds,
            past: minutes,
            future: Some(minutes),
        }),
        keys: vec![Named {
            name: "bench".into(),
            until: None,
            key: Key::new(Hash::Sha256, &Secret::new(SECRET)).unwrap(),
        }],
        chosen_by: None,
        strength: Strength::Verified,
    })
}

/// A request with this body, signed at this time.
fn received(body: Bytes, at: Timestamp) -> Received {
    let time = at.as_second().to_string();
    let tag = Key::new(Hash::Sha256, &Secret::new(SECRET)).unwrap().sign(&[time.as_bytes(), b".", &body]);
    let signature = format!("t={time},v1={}", HEXLOWER.encode(&tag));
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("hooks.example.com"));
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("user-agent", HeaderValue::from_static("bench"));
    headers.insert("x-signature", HeaderValue::from_str(&signature).unwrap());
    Received {
        head: Head {
            method: Method::POST,
            path: "/in/bench".into(),
            query: None,
            headers,
            client: Client { address: None, known: false },
        },
        body,
        at,
    }
}
