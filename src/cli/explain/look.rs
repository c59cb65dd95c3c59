//! What the rules of a source look at in a request: names, lengths and counts, never a value.

use std::sync::OnceLock;

use jiff::Timestamp;

use super::{hypotheses::demand::apart, keys::Fetched};
use crate::{
    secret::Secret,
    stages::{
        authenticate::{Keys, Rule},
        json::{Document, Pointer},
        receive::Received,
        schemes::{
            Looked, Named, Scheme,
            jose::{Jose, Payload},
            signature::Format,
            signed::Signed,
            window::Window,
        },
        selector::{Facts, Selector},
        template::{Condition, Template},
        words::Refusal,
    },
};

/// A description of what each rule finds.
pub(super) fn rules(
    rules: &[(Rule, Option<Secret>)],
    request: &Received,
    public_url: &str,
    fetched: &Fetched<'_>,
    now: Timestamp,
) -> Vec<String> {
    let document = OnceLock::new();
    let facts = Facts::of(request, public_url, &document);
    let (mut notes, mut idle) = (Vec::new(), Vec::new());
    for (index, (rule, _)) in rules.iter().enumerate() {
        let title = if rules.len() > 1 {
            format!("rule {}, {}: ", index + 1, kind(&rule.scheme))
        } else {
            format!("{}: ", kind(&rule.scheme))
        };
        if Condition::all(&rule.when, &facts) != Ok(true) {
            idle.push((index + 1).to_string());
            continue;
        }
        let first = notes.len();
        match &rule.scheme {
            Scheme::Basic(scheme) => {
                notes.push(credential(&scheme.from, &facts));
                notes.extend(keys(&scheme.keys, now));
            }
            Scheme::Digest(scheme) => signed(&scheme.signed, &facts, now, &mut notes),
            Scheme::Hmac(scheme) => signed(scheme, &facts, now, &mut notes),
            Scheme::Jose(scheme) => {
                notes.push(credential(&scheme.from, &facts));
                if let Payload::Detached(message) = &scheme.payload {
                    notes.push(text(message, &facts));
                }
                with_claims(scheme, &facts, |facts| {
                    notes.extend(scheme.window.as_ref().map(|window| age(window, facts, now)));
                    notes.extend(claimed(facts, "/exp").map(|end| format!("it expires {}", apart(end, now))));
                });
                notes.extend(keys(&scheme.keys, now));
            }
            Scheme::None => notes.push("nothing is asked for".to_owned()),
            Scheme::PublicKey(scheme) => signed(scheme, &facts, now, &mut notes),
            Scheme::Token(scheme) => {
                notes.push(credential(&scheme.from, &facts));
                notes.extend(keys(&scheme.keys, now));
            }
        }
        match &rule.keys {
            Keys::Awaited => notes.push("its secret was not handed over yet, or not confirmed".to_owned()),
            Keys::Pinned => {}
            Keys::Published(publisher) => notes.extend(fetched.notes(index, publisher, &facts)),
        }
        if let Some(note) = notes.get_mut(first) {
            *note = format!("{title}{note}");
        }
    }
    if !idle.is_empty() {
        notes.push(format!("rules that do not apply, because their `when` does not hold: {}", idle.join(", ")));
    }
    notes
}

/// When the request says it was signed, by the first rule that knows.
pub(super) fn signed_at(rules: &[(Rule, Option<Secret>)], request: &Received, public_url: &str) -> Option<Timestamp> {
    let document = OnceLock::new();
    let facts = Facts::of(request, public_url, &document);
    rules.iter().find_map(|(rule, _)| match &rule.scheme {
        Scheme::Digest(scheme) => time(&scheme.signed.signature, scheme.signed.window.as_ref(), &facts),
        Scheme::Hmac(scheme) => time(&scheme.signature, scheme.window.as_ref(), &facts),
        Scheme::PublicKey(scheme) => time(&scheme.signature, scheme.window.as_ref(), &facts),
        Scheme::Jose(scheme) => with_claims(scheme, &facts, |facts| {
            let time = scheme.window.as_ref().and_then(|window| millis(window, facts));
            time.or_else(|| claimed(facts, "/iat")).or_else(|| claimed(facts, "/nbf"))
        }),
        Scheme::Basic(_) | Scheme::None | Scheme::Token(_) => None,
    })
}

fn kind(scheme: &Scheme) -> &'static str {
    match scheme {
        Scheme::Basic(_) => "basic",
        Scheme::Digest(_) => "digest",
        Scheme::Hmac(_) => "hmac",
        Scheme::Jose(_) => "token or detached signature",
        Scheme::None => "none",
        Scheme::PublicKey(_) => "public key",
        Scheme::Token(_) => "token",
    }
}

fn signed<K>(scheme: &Signed<K>, facts: &Facts<'_>, now: Timestamp, notes: &mut Vec<String>) {
    notes.push(credential(&scheme.signature.from, facts));
    let read = with_fields(&scheme.signature, facts, |facts| {
        let mut notes: Vec<_> = scheme.messages.iter().map(|message| text(message, facts)).collect();
        notes.extend(scheme.window.as_ref().map(|window| age(window, facts, now)));
        notes
    });
    notes.extend(read);
    notes.extend(keys(&scheme.keys, now));
}

/// How old it says it is.
fn age(window: &Window, facts: &Facts<'_>, now: Timestamp) -> String {
    let then = millis(window, facts);
    let age = then.map_or_else(|| "absent, or not written as the rule says".to_owned(), |then| apart(then, now));
    let after = window.future.map_or_else(|| "any time".to_owned(), |future| format!("{} s", future.as_secs()));
    format!("its time: {age}; {} s before and {after} after are taken", window.past.as_secs())
}

/// Lets `look` see what a token claims, where it can be read.
fn with_claims<T>(scheme: &Jose, facts: &Facts<'_>, look: impl FnOnce(&Facts<'_>) -> T) -> T {
    let claims = scheme.claims(facts);
    look(&Facts { claims: claims.as_ref().map(Document::root), ..*facts })
}

/// A time among the claims (RFC 7519, section 4.1), in seconds since 1970.
fn claimed(facts: &Facts<'_>, pointer: &str) -> Option<Timestamp> {
    let value = facts.claims?.at(&Pointer::parse(pointer).ok()?)?;
    #[expect(clippy::cast_possible_truncation, reason = "a time that is no time is refused by `jiff`")]
    let seconds = value.number_text()?.parse::<f64>().ok()? as i64;
    Timestamp::from_second(seconds).ok()
}

/// Lets `look` see the fields of the signature header, or at least the rest when it cannot be read.
fn with_fields<T>(format: &Format, facts: &Facts<'_>, look: impl Fn(&Facts<'_>) -> T) -> T {
    let read = format.read(facts, &mut Looked::default(), |parsed, _| {
        Ok::<_, Refusal>(look(&Facts { fields: &parsed.fields, ..*facts }))
    });
    read.unwrap_or_else(|_| look(facts))
}

fn time(format: &Format, window: Option<&Window>, facts: &Facts<'_>) -> Option<Timestamp> {
    let window = window?;
    with_fields(format, facts, |facts| millis(window, facts))
}

fn millis(window: &Window, facts: &Facts<'_>) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(window.read(facts).ok()?).ok()?).ok()
}

/// Where the credential should be, and what is there.
fn credential(from: &[Selector], facts: &Facts<'_>) -> String {
    let found = from.iter().map(|selector| match selector.find_all(facts) {
        Ok(values) if values.is_empty() => format!("`{selector:?}` is absent"),
        Ok(values) => {
            let lengths: Vec<_> = values.iter().map(|value| format!("{} bytes", value.len())).collect();
            format!("`{selector:?}` has {}", lengths.join(" and "))
        }
        Err(_) => format!("`{selector:?}` is there more than once"),
    });
    found.collect::<Vec<_>>().join("; ")
}

/// What is signed, part by part.
fn text(message: &Template, facts: &Facts<'_>) -> String {
    let part = |selector: &Selector| match selector.find(facts) {
        _ if selector.place == crate::stages::selector::Place::Secret => "the secret".to_owned(),
        Ok(Some(value)) => format!("`{selector:?}` ({} bytes)", value.len()),
        Ok(None) => format!("`{selector:?}` (absent)"),
        Err(_) => format!("`{selector:?}` (more than once)"),
    };
    format!("signed: {}", message.selectors().map(part).collect::<Vec<_>>().join(", "))
}

fn keys<K>(keys: &[Named<K>], now: Timestamp) -> Option<String> {
    let name = |named: &Named<K>| match named.until {
        Some(until) if !named.is_current(now) => format!("{:?} (ended at {until})", named.name),
        Some(_) | None => format!("{:?}", named.name),
    };
    let mut names: Vec<_> = keys.iter().map(name).collect();
    names.dedup();
    (!names.is_empty()).then(|| format!("secrets: {}", names.join(", ")))
}
