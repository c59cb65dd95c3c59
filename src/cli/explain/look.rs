//! What the rules of a source look at in a request: names, lengths and counts, never a value.

use std::sync::OnceLock;

use jiff::Timestamp;

use super::hypotheses::demand::apart;
use crate::{
    secret::Secret,
    stages::{
        authenticate::Rule,
        receive::Received,
        schemes::{Looked, Named, Scheme, jose::Payload, signature::Format, signed::Signed, window::Window},
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
    now: Timestamp,
) -> Vec<String> {
    let document = OnceLock::new();
    let facts = Facts::of(request, public_url, &document);
    let mut notes = Vec::new();
    for (index, (rule, _)) in rules.iter().enumerate() {
        let title = if rules.len() > 1 {
            format!("rule {}, {}: ", index + 1, kind(&rule.scheme))
        } else {
            format!("{}: ", kind(&rule.scheme))
        };
        if Condition::all(&rule.when, &facts) != Ok(true) {
            notes.push(title + "it does not apply, because its `when` does not hold");
            continue;
        }
        let first = notes.len();
        match &rule.scheme {
            Scheme::Basic(scheme) => {
                notes.push(credential(&scheme.from, &facts));
                notes.push(keys(&scheme.keys, now));
            }
            Scheme::Digest(scheme) => signed(&scheme.signed, &facts, now, &mut notes),
            Scheme::Hmac(scheme) => signed(scheme, &facts, now, &mut notes),
            Scheme::Jose(scheme) => {
                notes.push(credential(&scheme.from, &facts));
                if let Payload::Detached(message) = &scheme.payload {
                    notes.push(text(message, &facts));
                }
                notes.push(keys(&scheme.keys, now));
            }
            Scheme::None => notes.push("nothing is asked for".to_owned()),
            Scheme::PublicKey(scheme) => signed(scheme, &facts, now, &mut notes),
            Scheme::Token(scheme) => {
                notes.push(credential(&scheme.from, &facts));
                notes.push(keys(&scheme.keys, now));
            }
        }
        if let Some(note) = notes.get_mut(first) {
            *note = format!("{title}{note}");
        }
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
        Scheme::Jose(scheme) => millis(scheme.window.as_ref()?, &facts),
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
        let then = scheme.window.as_ref().map(|window| (window, millis(window, facts)));
        notes.extend(then.map(|(window, then)| {
            let age =
                then.map_or_else(|| "absent, or not written as the rule says".to_owned(), |then| apart(then, now));
            let after = window.future.map_or_else(|| "any time".to_owned(), |future| format!("{} s", future.as_secs()));
            format!("its time: {age}; {} s before and {after} after are taken", window.past.as_secs())
        }));
        notes
    });
    notes.extend(read);
    notes.push(keys(&scheme.keys, now));
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

fn keys<K>(keys: &[Named<K>], now: Timestamp) -> String {
    let name = |named: &Named<K>| match named.until {
        Some(until) if !named.is_current(now) => format!("{:?} (ended at {until})", named.name),
        Some(_) | None => format!("{:?}", named.name),
    };
    let mut names: Vec<_> = keys.iter().map(name).collect();
    names.dedup();
    format!("secrets: {}", names.join(", "))
}
