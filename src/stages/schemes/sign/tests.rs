//! Whatever is signed is admitted, and whatever is changed afterwards is not.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method};
use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::stages::{
    authenticate::Authenticator,
    receive::{Client, Head},
    schemes::{
        Named, Strength,
        hmac::{Hash, Hmac, Key},
        public_key::PublicKeyScheme,
        signature::{Format, Items},
        token::Fingerprint,
        window::{Unit, Window},
    },
    words::Refusal,
};

const PUBLIC_URL: &str = "https://hooks.example.com";
const SECRET: &[u8] = b"correct horse battery staple";

fn pen(forge: bool) -> Pen<'static> {
    Pen { public_url: PUBLIC_URL, id: "msg_01", forge, signer: None }
}

fn now() -> Timestamp {
    "2026-11-21T12:00:00.765Z".parse().unwrap()
}

fn unsigned(body: &[u8]) -> Received {
    let client = Client { address: None, known: false };
    let path = "/in/acme".to_owned();
    let head = Head { method: Method::POST, path, query: None, headers: HeaderMap::new(), client };
    Received { head, body: Bytes::copy_from_slice(body), at: now() }
}

fn selector(text: &str) -> Selector {
    Selector::parse(text, &|_| None).unwrap()
}

fn named<K>(key: K) -> Vec<Named<K>> {
    vec![Named { name: Arc::from("1"), until: None, key }]
}

fn hmac(hash: Hash, signature: Format, message: &str, time: Option<(&str, Unit)>) -> Scheme {
    let minutes = Duration::from_mins(5);
    let window = |(from, unit)| Window { from: vec![selector(from)], unit, past: minutes, future: Some(minutes) };
    Scheme::Hmac(Hmac {
        signature,
        messages: vec![Template::parse(message, &|_| None).unwrap()],
        window: time.map(window),
        keys: named(Key::new(hash, &Secret::new(SECRET)).unwrap()),
        chosen_by: None,
        strength: Strength::Verified,
    })
}

fn token(from: &str, prefix: Prefix) -> Scheme {
    let keys = named(Fingerprint::of(&Secret::new(SECRET)));
    Scheme::Token(Token { from: vec![selector(from)], prefix, keys })
}

fn rule(scheme: Scheme, when: Vec<Condition>) -> (Rule, Option<Secret>) {
    (Rule { when, ..Rule::always(scheme) }, Some(Secret::new(SECRET)))
}

fn judge(rules: &[(Rule, Option<Secret>)], request: Received) -> Result<(), Refusal> {
    let rules = rules.iter().map(|(rule, _)| rule.clone()).collect();
    let authenticator = Authenticator::new(rules, Arc::from(PUBLIC_URL)).unwrap();
    authenticator.admit(request.into(), now()).map(|_| ()).map_err(|rejection| rejection.refusal)
}

fn prefixes() -> impl Strategy<Value = Prefix> {
    let optional = Prefix::Optional("sha256=".to_owned());
    prop_oneof![Just(Prefix::NONE), Just(Prefix::Fixed("v0:".to_owned())), Just(optional)]
}

fn encodings() -> impl Strategy<Value = Encoding> {
    prop_oneof![Just(Encoding::Auto), Just(Encoding::Base64), Just(Encoding::Base64Url), Just(Encoding::Hex)]
}

fn hashes() -> impl Strategy<Value = Hash> {
    prop_oneof![Just(Hash::Sha1), Just(Hash::Sha256), Just(Hash::Sha384), Just(Hash::Sha512)]
}

fn units() -> impl Strategy<Value = Unit> {
    prop_oneof![Just(Unit::Seconds), Just(Unit::Milliseconds), Just(Unit::Rfc3339)]
}

/// Where a credential lies, what is signed, and where its time is.
fn layouts() -> impl Strategy<Value = (&'static str, Option<Items>, &'static str, Option<&'static str>)> {
    let items = |split: &str, pair: &str| {
        Some(Items {
            split: split.to_owned(),
            pair: pair.to_owned(),
            take: vec!["v1".to_owned()],
            trim: String::new(),
            groups: None,
        })
    };
    prop_oneof![
        Just(("header:x-signature", None, "{body}", None)),
        Just(("query:sig", None, "{body}", None)),
        Just(("header:x-signature", items(",", "="), "{sig.t}.{body}", Some("sig.t"))),
        Just(("header:x-signature", items(";", ":"), "{sig.n}/{sig.t}/{body}", Some("sig.t"))),
        Just((
            "header:webhook-signature",
            None,
            "{header:webhook-id}.{header:webhook-timestamp}.{body}",
            Some("header:webhook-timestamp"),
        )),
        Just(("header:x-signature", None, "{method}\n{url}\n{query:at}\n{body}", Some("query:at"))),
        Just(("header:x-signature", None, "{body|sha256|hex}", None)),
    ]
}

proptest! {
    #[test]
    fn what_is_signed_is_admitted_and_nothing_else(
        hash in hashes(),
        encoding in encodings(),
        prefix in prefixes(),
        (from, items, message, time) in layouts(),
        unit in units(),
        body in prop::collection::vec(any::<u8>(), 0..64),
        flipped in any::<prop::sample::Index>(),
    ) {
        // An item's separator may not occur in its time.
        prop_assume!(!(unit == Unit::Rfc3339 && items.as_ref().is_some_and(|items| items.pair == ":")));
        let format = Format { from: vec![selector(from)], any_of: false, items, prefix, encoding };
        let rules = [rule(hmac(hash, format, message, time.map(|from| (from, unit))), Vec::new())];
        let signed = pen(false).sign(&rules, unsigned(&body)).unwrap();
        prop_assert_eq!(judge(&rules, signed.clone()), Ok(()));

        let forged = pen(true).sign(&rules, unsigned(&body)).unwrap();
        prop_assert_eq!(judge(&rules, forged), Err(Refusal::AuthMismatch));

        let mut changed = body.clone();
        if changed.is_empty() { changed.push(b'x') } else { changed[flipped.index(body.len())] ^= 1 }
        let changed = Received { body: changed.into(), ..signed };
        prop_assert_eq!(judge(&rules, changed), Err(Refusal::AuthMismatch));

        if time.is_some() {
            let late = Received { at: now() - Duration::from_mins(10), ..unsigned(&body) };
            let late = pen(false).sign(&rules, late).unwrap();
            prop_assert_eq!(judge(&rules, late), Err(Refusal::TimestampStale));
        }
    }

    #[test]
    fn tokens_are_admitted_and_others_are_not(
        from in prop_oneof![Just("header:authorization"), Just("query:api key")],
        prefix in prefixes(),
    ) {
        let rules = [rule(token(from, prefix), Vec::new())];
        let signed = pen(false).sign(&rules, unsigned(b"{}")).unwrap();
        prop_assert_eq!(judge(&rules, signed), Ok(()));
        let forged = pen(true).sign(&rules, unsigned(b"{}")).unwrap();
        prop_assert_eq!(judge(&rules, forged), Err(Refusal::AuthMismatch));
        prop_assert_eq!(judge(&rules, unsigned(b"{}")), Err(Refusal::AuthMissing));
    }
}

#[test]
fn rules_with_conditions_are_followed_one_at_a_time() {
    let version = |text: &str| Condition::Equal(selector("header:x-version"), text.to_owned());
    let by = |name: &str| {
        let from = vec![selector(name)];
        let format = Format { from, any_of: false, items: None, prefix: Prefix::NONE, encoding: Encoding::Hex };
        hmac(Hash::Sha256, format, "{header:x-version}:{body}", None)
    };
    let all = [
        rule(by("header:x-one"), vec![version("1")]),
        rule(by("header:x-two"), vec![version("2")]),
        rule(by("header:x-three"), vec![Condition::Present(selector("header:x-three"))]),
        rule(token("header:x-token", Prefix::NONE), Vec::new()),
    ];
    let signed = pen(false).sign(&all, unsigned(b"{}")).unwrap();
    let mut headers: Vec<_> = signed.head.headers.keys().map(HeaderName::as_str).collect();
    headers.sort_unstable();
    assert_eq!(headers, ["x-one", "x-token", "x-version"]);
    assert_eq!(judge(&all, signed), Ok(()));
    let signed = pen(false).sign(&all[2..3], unsigned(b"{}")).unwrap();
    assert_eq!(judge(&all[2..3], signed), Ok(()), "the signature itself is what must be present");
}

#[test]
fn what_cannot_be_signed_says_why() {
    let check = |scheme: Scheme, forge: bool, expected: &str| {
        let unsignable = pen(forge).sign(&[rule(scheme, Vec::new())], unsigned(b"{}")).unwrap_err();
        assert_eq!(unsignable.to_string(), expected);
    };
    let format = |from: &str| Format {
        from: vec![selector(from)],
        any_of: false,
        items: None,
        prefix: Prefix::NONE,
        encoding: Encoding::Hex,
    };
    let (messages, keys) = (Vec::new(), Vec::new());
    let rsa = PublicKeyScheme {
        signature: format("header:x"),
        messages,
        window: None,
        keys,
        chosen_by: None,
        strength: Strength::Verified,
    };
    check(
        Scheme::PublicKey(rsa),
        false,
        "such a signature takes the sender's private key, and the gateway has the public one only",
    );
    check(Scheme::None, true, "the source has no authentication: there is no credential to forge");
    check(
        hmac(Hash::Sha256, format("json:/sig"), "{body}", None),
        false,
        "the credential lies in `json:/sig`, inside of what it signs, where it cannot be put",
    );
    check(
        hmac(Hash::Sha256, format("header:x"), "{raw:/id}.{body}", None),
        false,
        "the request lacks something that is signed: `raw:/id`",
    );
    let mut expired = hmac(Hash::Sha256, format("header:x"), "{body}", None);
    if let Scheme::Hmac(scheme) = &mut expired {
        scheme.keys[0].until = Some(now());
    }
    check(expired, false, "there is no secret in force to sign with");
    assert_eq!(pen(false).sign(&[rule(Scheme::None, Vec::new())], unsigned(b"{}")).unwrap().head.headers.len(), 0);
}
