//! Does the time of a refusal tell how much of a credential was right (W-41)? After dudect (Reparaz, Balasch, Verbauwhede:
//! "Dude, is my code constant time?", 2017): a million measurements in two classes of inputs, in random order, and Welch's
//! t-test on their times. `docs/timing.md` has the method in words, and the figures.
//!
//! `cargo bench --bench timing`; a number after `--` is for fewer measurements, and `-- --test` makes so few that
//! only the program itself is tried.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up should stop")]
#![expect(clippy::print_stdout, reason = "the figures are the result")]
#![expect(clippy::disallowed_methods, reason = "nanoseconds are what this is about")]
#![expect(clippy::cast_precision_loss, reason = "statistics are made in floating point")]

use std::{env, hint::black_box, path::Path, time::Instant};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use hooksieve::{
    app,
    config::Environment,
    gateway::source::Source,
    secret::Secret,
    stages::{
        receive::{Client, Head, Received},
        schemes::{
            hmac::{Hash, Key},
            signed::Verifier as _,
        },
    },
};
use http::{HeaderMap, HeaderValue, Method};
use jiff::Timestamp;
use subtle::ConstantTimeEq as _;

const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const BODY: &[u8] = include_bytes!("../bench/order.json");
const SAMPLES: usize = 1_000_000;
/// Beyond this, times of two classes differ for a reason (dudect's own bound for "maybe not constant time").
const BOUND: f64 = 4.5;
/// Credentials of each class; any is as good as another.
const POOL: usize = 256;

/// Two classes of credentials, 32 bytes each.
struct Contrast {
    name: &'static str,
    classes: [Vec<[u8; 32]>; 2],
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let number = arguments.iter().find_map(|argument| argument.parse().ok());
    let samples = if arguments.iter().any(|argument| argument == "--test") { 100 } else { number.unwrap_or(SAMPLES) };
    let (github, token) = (source("github", ""), source("gitlab", "scheme = \"static-token\"\n"));
    let key = Key::new(Hash::Sha256, &Secret::new(SECRET)).unwrap();
    let right: [u8; 32] = key.sign(&[BODY]).try_into().unwrap();

    println!("{samples} measurements each; |t| over {BOUND} is a difference\n");
    println!("{:<34} {:<28} {:>10} {:>8}", "what is timed", "classes", "median ns", "|t|");
    for contrast in contrasts(right, |byte| byte) {
        let naive = |sent: [u8; 32]| sent.iter().zip(&right).all(|(one, other)| one == other);
        report("byte by byte, which must show", &contrast, samples, |sent| *sent, naive);
        report("the comparison", &contrast, samples, |sent| *sent, |sent| sent.ct_eq(&right).into());
        let key = |sent: Vec<Vec<u8>>| key.verifies(&[BODY], &sent);
        report("a key, with the digest", &contrast, samples, |sent| vec![sent.to_vec()], key);
        let signed = |sent: &[u8; 32]| request("x-hub-signature-256", &format!("sha256={}", HEXLOWER.encode(sent)));
        report("the preset `github`, whole", &contrast, samples, signed, |sent| admits(&github, sent));
    }
    let secret: [u8; 32] = SECRET.as_bytes().try_into().unwrap();
    for contrast in contrasts(secret, |byte| b'!' + byte % 94) {
        let sent = |sent: &[u8; 32]| request("x-gitlab-token", str::from_utf8(sent).unwrap());
        report("the preset `gitlab`, a token", &contrast, samples, sent, |sent| admits(&token, sent));
    }
}

/// Fixed against random, and wrong at the first byte against wrong at the last. `letter` makes a random byte one that the
/// credential may have.
fn contrasts(right: [u8; 32], letter: fn(u8) -> u8) -> [Contrast; 2] {
    let wrong_at = |at: usize| {
        let mut wrong = right;
        wrong[at] ^= 1;
        vec![wrong; POOL]
    };
    let random = (0..POOL).map(|_| {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).unwrap();
        bytes.map(letter)
    });
    [
        Contrast { name: "wrong last byte, random", classes: [wrong_at(31), random.collect()] },
        Contrast { name: "wrong first byte, wrong last", classes: [wrong_at(0), wrong_at(31)] },
    ]
}

/// Measures one thing in both classes and prints what it came to. Whatever is no part of it is done before.
fn report<T>(
    what: &str,
    contrast: &Contrast,
    samples: usize,
    prepare: impl Fn(&[u8; 32]) -> T,
    judge: impl Fn(T) -> bool,
) {
    let mut order = vec![0; samples];
    getrandom::fill(&mut order).unwrap();
    let mut times = [Vec::with_capacity(samples), Vec::with_capacity(samples)];
    for (index, random) in order.iter().enumerate() {
        let class = usize::from(random & 1);
        // Made anew each time, so that both classes lie in the same memory: where else they lie takes time, too.
        let input = prepare(&contrast.classes[class][index % POOL]);
        let start = Instant::now();
        let verdict = black_box(judge(black_box(input)));
        let nanoseconds = start.elapsed().as_nanos() as f64;
        assert!(!verdict, "a wrong credential is accepted");
        times[class].push(nanoseconds);
    }
    let (median, t) = strongest(&times);
    let verdict = if t > BOUND { "differs" } else { "" };
    println!("{what:<34} {:<28} {median:>10.0} {t:>8.2} {verdict}", contrast.name);
}

/// The median of all times, and the largest |t| over several crops: the slowest measurements are interrupts, and nobody
/// knows in advance where they begin (dudect, section 3).
fn strongest(times: &[Vec<f64>; 2]) -> (f64, f64) {
    let mut all = times.concat();
    all.sort_by(f64::total_cmp);
    let at = |share: usize| all[(all.len() - 1) * share / 100];
    let cropped = |share: usize| {
        let limit = at(share);
        welch(&times.each_ref().map(|class| class.iter().copied().filter(|time| *time <= limit).collect::<Vec<_>>()))
    };
    (at(50), [100, 99, 95, 90, 75].into_iter().map(cropped).fold(0.0, f64::max))
}

/// |t| of Welch's test for two samples of unequal variances.
fn welch(samples: &[Vec<f64>; 2]) -> f64 {
    let [one, other] = samples.each_ref().map(|sample| {
        let count = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / count;
        let variance = sample.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    });
    let spread = (one.1 + other.1).sqrt();
    if spread > 0.0 { (one.0 - other.0).abs() / spread } else { 0.0 }
}

fn admits(source: &Source, request: Received) -> bool {
    let at = request.at;
    source.authenticator.admit(request.into(), at).is_ok()
}

fn source(preset: &str, more: &str) -> Source {
    let text = format!(
        "[upstreams.app]\nurl = \"http://127.0.0.1:9/\"\n[sources.it]\npath = \"/in\"\nprovider = \"{preset}\"\n{more}\
         upstream = \"app\"\nsecrets = [{{ value = \"{SECRET}\" }}]\n"
    );
    let (compiled, found) =
        app::load(Path::new("timing.toml"), &text, &Environment::default(), false, &mut app::nowhere);
    compiled.unwrap_or_else(|| panic!("{}", found.render(false))).sources.remove(0)
}

fn request(header: &'static str, value: &str) -> Received {
    let headers =
        HeaderMap::from_iter([(http::HeaderName::from_static(header), HeaderValue::from_str(value).unwrap())]);
    let client = Client { address: None, known: false };
    let head = Head { method: Method::POST, path: "/in".into(), query: None, headers, client };
    Received { head, body: Bytes::from_static(BODY), at: Timestamp::UNIX_EPOCH }
}
