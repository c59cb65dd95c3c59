//! Forgeries, made by rule from every recorded request that must be accepted (`tests/vectors/`), of every scheme of
//! every preset. Each changes one thing, and each must be refused:
//!
//! - *body*: every byte another, where the whole body is bound. Where a part of it is, every byte that changes a signed
//!   text. One byte less and one more: at both ends and at every brace, bracket, quote, comma, colon and blank.
//! - *signature*: every byte of the credential another. Headers, items of headers, and further credentials that the
//!   proof does not need are taken away first.
//! - *truncation*: every beginning of the credential.
//! - *twice*: the credential again, or another header that is signed, which is ambiguous.
//! - *missing*: no credential.
//! - *signed*: every byte of every other header that is signed, and the URL, where that is.
//! - *secret*: another secret, in the same form.
//!
//! In bodies over 512 bytes, of those that are neither such a sign nor among the first or last 64 every fifth is played.
//! What does not apply to a scheme is listed with the reason, in `tests/pinned/forgeries-that-do-not-apply.txt`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "how much was proved is worth knowing")]

mod case;
mod recorded;
#[path = "../support/recorded.rs"]
mod request;
mod spot;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use hooksieve::{
    config::{self, raw::auth::Kind},
    presets,
    stages::{receive::Received, schemes::Strength, selector::Place, words::Refusal},
};
use http::HeaderValue;

use self::{
    case::{Case, refusal},
    recorded::Vector,
    spot::Spot,
};

/// Bodies up to this are changed at every byte.
const EVERY_BYTE: usize = 512;

/// How many forgeries of each kind were refused at least when this was written; fewer means that some fell out.
const FLOORS: [(&str, usize); 7] = [
    ("body", 42_000),
    ("missing", 170),
    ("secret", 165),
    ("signature", 13_500),
    ("signed", 950),
    ("truncation", 13_500),
    ("twice", 200),
];

/// What was played, and what was not.
#[derive(Default)]
struct Tally {
    /// By kind and scheme.
    played: BTreeMap<(&'static str, String), usize>,
    /// By scheme and kind, with the reason.
    left_out: BTreeSet<String>,
}

#[test]
fn w_11_w_14_w_25_forgeries_of_every_scheme() {
    let vectors = recorded::accepted();
    every_scheme_is_recorded(&vectors);
    let pool: BTreeSet<String> = vectors.iter().flat_map(Vector::secrets).collect();
    let mut tally = Tally::default();
    for vector in &vectors {
        let case = Case::of(vector);
        if case.strength == Strength::None {
            continue;
        }
        bodies(&case, &mut tally);
        credentials(&case, &mut tally);
        signed(&case, &mut tally);
        secrets(vector, &case, &pool, &mut tally);
    }
    for (kind, floor) in FLOORS {
        let count = tally.count(kind);
        println!("{kind}: {count} forgeries refused");
        assert!(count >= floor, "{kind}: {count} were played, and {floor} before");
    }
    tally.assert_complete();
    pinned(&tally.left_out);
}

impl Tally {
    /// One forgery, which must be refused.
    fn refused(&mut self, kind: &'static str, case: &Case, request: Received, what: impl Fn() -> String) -> Refusal {
        let refusal = case.refusal(request);
        self.play(kind, case);
        refusal.unwrap_or_else(|| panic!("{}: {kind}: {} is accepted", case.name, what()))
    }

    fn play(&mut self, kind: &'static str, case: &Case) {
        *self.played.entry((kind, case.scheme.clone())).or_default() += 1;
    }

    fn count(&self, kind: &str) -> usize {
        self.played.iter().filter(|((played, _), _)| *played == kind).map(|(_, count)| count).sum()
    }

    /// Every kind was played against every scheme, or it is said why not; there may be no other signed header.
    fn assert_complete(&self) {
        let schemes: BTreeSet<&String> = self.played.keys().map(|(_, scheme)| scheme).collect();
        for (kind, _) in FLOORS.iter().filter(|(kind, _)| *kind != "signed") {
            for scheme in &schemes {
                let is_left_out = || self.left_out.iter().any(|line| line.starts_with(&format!("{scheme}: {kind}: ")));
                let is_played = self.played.contains_key(&(*kind, (*scheme).clone()));
                assert!(is_played || is_left_out(), "{kind} was not played against {scheme}");
            }
        }
    }

    fn leave_out(&mut self, case: &Case, kind: &str, reason: &str) {
        self.left_out.insert(format!("{}: {kind}: {reason}", case.scheme));
    }
}

/// Every scheme that asks for something has a recorded request.
fn every_scheme_is_recorded(vectors: &[Vector]) {
    let recorded: BTreeSet<String> = vectors.iter().map(Vector::scheme).collect();
    let mut missing = Vec::new();
    for (id, text) in presets::all() {
        let preset = config::read_preset(id, text).0.unwrap();
        let default = preset.default_scheme.as_ref().map(|name| name.value.as_str());
        let asks = |rules: &[config::raw::auth::Rule]| rules.iter().any(|rule| rule.kind.value != Kind::None);
        let schemes = preset.schemes.entries.iter().filter(|(_, it)| asks(&it.auth)).map(|(name, _)| name.as_str());
        let mut names: Vec<&str> = schemes.collect();
        if asks(&preset.auth) {
            names.push("-");
        }
        let is_recorded = |name: &str| {
            recorded.contains(&format!("{id} {name}")) || Some(name) == default && recorded.contains(&format!("{id} -"))
        };
        missing.extend(names.into_iter().filter(|name| !is_recorded(name)).map(|name| format!("{id} {name}")));
    }
    assert!(missing.is_empty(), "no recorded request that must be accepted: {missing:?}");
}

fn bodies(case: &Case, tally: &mut Tally) {
    let right = &case.right;
    let texts = match case.strength {
        Strength::Verified => None,
        Strength::Partial => Some(case.texts(right)),
        Strength::None | Strength::Token => {
            return tally.leave_out(case, "body", "nothing of it is bound to the credential");
        }
    };
    // Where a part is bound, a change that leaves all signed texts as they are says nothing.
    let matters = |request: &Received| texts.as_ref().is_none_or(|texts| case.texts(request) != *texts);
    let (mut bound, mut free) = (0, 0);
    for (body, what) in other_bodies(&right.body) {
        let request = Received { body: body.into(), ..right.clone() };
        if matters(&request) {
            tally.refused("body", case, request, || what.clone());
            bound += 1;
        } else {
            free += 1;
        }
    }
    assert!(bound > 0, "{}: no change of the body matters", case.name);
    if free > 0 {
        tally.leave_out(case, "body", "of changes that leave what is signed as it is");
    }
}

/// The bodies that differ in one byte, and in what.
fn other_bodies(body: &[u8]) -> Vec<(Vec<u8>, String)> {
    let mut bodies = vec![([body, b" "].concat(), "a byte more at the end".to_owned())];
    for (at, byte) in body.iter().enumerate() {
        let is_sign = b"{}[]\",: \n&=".contains(byte);
        let is_edge = at < 64 || at + 64 >= body.len();
        if !(is_sign || is_edge || body.len() <= EVERY_BYTE || at.is_multiple_of(5)) {
            continue;
        }
        let mut other = body.to_vec();
        other[at] ^= 1;
        bodies.push((other, format!("another byte {at}")));
        if is_sign || at == 0 || at + 1 == body.len() {
            bodies.push(([&body[..at], &body[at + 1..]].concat(), format!("no byte {at}")));
            bodies.push(([&body[..at], b" ", &body[at..]].concat(), format!("a blank before byte {at}")));
        }
    }
    bodies
}

fn credentials(case: &Case, tally: &mut Tally) {
    let spots = Spot::all(case);
    assert!(!spots.is_empty(), "{}: no credential is found", case.name);
    for spot in &spots {
        let text = spot.text(&case.right);
        for (at, other) in other_texts(&text) {
            let request = spot.with(&case.right, &other);
            tally.refused("signature", case, request, || format!("another byte {at} of {spot:?}"));
        }
        for end in 0..text.len() {
            let cut = &text[..end];
            if case.may_be_unpadded() && cut == text.trim_end_matches('=') {
                tally.leave_out(case, "truncation", "of the padding, which may be left out");
                continue;
            }
            let request = spot.with(&case.right, cut);
            tally.refused("truncation", case, request, || format!("{spot:?} cut at {end}"));
        }
        tally.refused("missing", case, spot.without(&case.right), || format!("no {spot:?}"));
        match spot.twice(&case.right) {
            None => tally.leave_out(case, "twice", "it lies in the body"),
            Some(_) if case.takes_any_line() => tally.leave_out(case, "twice", "each line may hold one"),
            Some(request) => {
                let refusal = tally.refused("twice", case, request, || format!("{spot:?} twice"));
                assert_eq!(refusal, Refusal::AuthAmbiguous, "{}: {spot:?} twice", case.name);
            }
        }
    }
}

/// The texts that differ in one byte, and can stand in a header or in a query.
fn other_texts(text: &str) -> impl Iterator<Item = (usize, String)> {
    (0..text.len()).map(|at| {
        let other = if text.as_bytes()[at] == b'0' { "1" } else { "0" };
        (at, format!("{}{other}{}", &text[..at], &text[at + 1..]))
    })
}

fn signed(case: &Case, tally: &mut Tally) {
    let credentials: Vec<_> = case.credentials().map(|selector| selector.place.clone()).collect();
    let mut places: Vec<&Place> = case.signed().map(|selector| &selector.place).collect();
    places.retain(|place| !credentials.contains(place));
    places.dedup();
    for place in places {
        match place {
            Place::Header(name) => {
                let Some(value) = case.right.head.headers.get(name) else { continue };
                let mut twice = case.right.clone();
                twice.head.headers.append(name, value.clone());
                tally.refused("twice", case, twice, || format!("{name} twice"));
                for (at, other) in other_texts(value.to_str().unwrap()) {
                    let mut request = case.right.clone();
                    request.head.headers.insert(name, HeaderValue::from_str(&other).unwrap());
                    tally.refused("signed", case, request, || format!("another byte {at} of {name}"));
                }
            }
            Place::Url | Place::Path | Place::RawQuery => {
                let mut request = case.right.clone();
                let query = request.head.query.take().map(|query| format!("{query}&")).unwrap_or_default();
                request.head.query = Some(format!("{query}another=1"));
                tally.refused("signed", case, request, || "a longer query".to_owned());
            }
            Place::Method => {
                let mut request = case.right.clone();
                request.head.method = http::Method::PUT;
                tally.refused("signed", case, request, || "another method".to_owned());
            }
            _ => {}
        }
    }
}

/// The right request against another secret of the same form.
fn secrets(vector: &Vector, case: &Case, pool: &BTreeSet<String>, tally: &mut Tally) {
    let own = vector.secrets();
    let others: Option<Vec<String>> = own.iter().map(|secret| other_secret(vector, secret, &own, pool)).collect();
    let Some(others) = others else { return tally.leave_out(case, "secret", "no other key of this form is at hand") };
    let source = vector.compile(&others).unwrap().sources.into_iter().next().unwrap();
    tally.play("secret", case);
    assert!(refusal(&source, case.right.clone()).is_some(), "{}: another secret opens it", case.name);
}

/// The secret with one character changed, in the middle of its longest word, or a whole one of somebody else's.
fn other_secret(vector: &Vector, secret: &str, own: &[String], pool: &BTreeSet<String>) -> Option<String> {
    let words = secret.split(|letter: char| !letter.is_ascii_alphanumeric());
    let word = words.max_by_key(|word| word.len()).unwrap();
    let at = secret.find(word).unwrap() + word.len() / 2;
    let other = match secret.as_bytes()[at] {
        b'0' => '1',
        b'1'..=b'9' => '0',
        b'a' => 'b',
        b'b'..=b'z' => 'a',
        b'A' => 'B',
        _ => 'A',
    };
    let changed = format!("{}{other}{}", &secret[..at], &secret[at + 1..]);
    // A changed certificate may well hold the same key.
    let changed = Some(changed).filter(|_| !secret.contains("CERTIFICATE"));
    let strangers = pool.iter().filter(|other| !own.contains(other)).cloned();
    changed.into_iter().chain(strangers).find(|other| vector.compile(std::slice::from_ref(other)).is_some())
}

/// Compares what does not apply with what was reviewed and committed.
fn pinned(left_out: &BTreeSet<String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pinned/forgeries-that-do-not-apply.txt");
    let introduction = "# Written by tests/forged: what is not played against a scheme of a preset, and why.\n";
    let want = left_out.iter().fold(introduction.to_owned(), |text, line| text + line + "\n");
    if fs::read_to_string(&path).ok().as_deref() != Some(&want) {
        fs::write(&path, want).unwrap();
        panic!("{} was written anew: look at the difference and commit it", path.display());
    }
}
