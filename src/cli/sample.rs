//! Bodies to send: the samples of a preset, or the least that a source takes for an event.

use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use http::{HeaderName, header::CONTENT_TYPE};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::{
    gateway::source::Source,
    presets,
    secret::Secret,
    stages::{
        authenticate::Rule,
        json::{Path, Pointer},
        recognize::{Pattern, Recognizer},
        schemes::{Scheme, signed::Signed},
        selector::{Place, Selector, Transform},
        template::Template,
    },
};

/// A body to be filled in, and the headers that belong to it.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) body: String,
    pub(super) headers: Vec<(HeaderName, String)>,
}

impl Sample {
    /// The preset's sample for an event type, or its first. A type without one takes the first, with its name in it.
    pub(super) fn of_preset(preset: &str, event_type: Option<&str>) -> Option<Self> {
        let samples = presets::samples(preset);
        let (first, body) = samples.first()?;
        let body = match event_type {
            None => (*body).to_owned(),
            Some(wanted) => match samples.iter().find(|(known, _)| known == wanted) {
                Some((_, body)) => (*body).to_owned(),
                None => body.replace(&format!("{first:?}"), &Value::from(wanted).to_string()),
            },
        };
        Some(Self { body: compact(&body), headers: Vec::new() })
    }

    /// The least that the source can recognise: a type and an identity, where it looks for them. Where its rules look
    /// into a form, it is a form.
    pub(super) fn least(
        source: &Source,
        rules: &[(Rule, Option<Secret>)],
        event_type: Option<&str>,
    ) -> Result<Self, String> {
        let is_form = rules.iter().any(|(rule, _)| wants_form(&rule.scheme));
        let recognizer = &source.recognizer;
        // What is signed is made up by whoever signs, and what has a default need not be there.
        let is_signed = |selector: &Selector| {
            let has_default = selector.transforms.iter().any(|it| matches!(it, Transform::Default(_)));
            let mut signed = rules.iter().flat_map(|(rule, _)| selectors(&rule.scheme));
            let is_listed = |part: &Selector| matches!(&selector.place, Place::Header(name) if part.lists_header(name));
            has_default || signed.any(|part| part.place == selector.place || is_listed(part))
        };
        let mut sample = Self { body: String::new(), headers: Vec::new() };
        let mut event = Value::Object(Map::new());
        for selector in recognizer.identity.iter().take(1).flatten().chain(recognizer.types.first()) {
            let is_type = recognizer.types.contains(selector);
            let value = if is_type { some_type(source, event_type) } else { "evt_${hex}".to_owned() };
            match &selector.place {
                Place::Header(name)
                    if !is_signed(selector) && !sample.headers.iter().any(|(known, _)| known == name) =>
                {
                    sample.headers.push((name.clone(), value));
                }
                Place::Json(pointer) => put(&mut event, pointer, Value::from(value))?,
                Place::Form(name) if is_form && !is_signed(selector) => event[name.as_str()] = Value::from(value),
                // A digest of the event differs when anything in it does.
                Place::Raw(_) => put(&mut event, &Pointer::parse("/id").expect("a pointer"), Value::from(value))?,
                Place::Body
                | Place::Claim(_)
                | Place::Form(_)
                | Place::Header(_)
                | Place::Headers(_)
                | Place::Joined(_)
                | Place::KeyId
                | Place::Method
                | Place::Name(..)
                | Place::Path
                | Place::Query(_)
                | Place::RawQuery
                | Place::Secret
                | Place::Signature(_)
                | Place::Text(_)
                | Place::Type
                | Place::Url
                | Place::Whole(_) => {}
            }
        }
        if is_form {
            sample.headers.push((CONTENT_TYPE, "application/x-www-form-urlencoded".to_owned()));
            sample.body = form(&source.envelope.form_json, &event);
            return Ok(sample);
        }
        if let Some(path) = &source.envelope.unwrap {
            let inner = std::mem::replace(&mut event, Value::Object(Map::new()));
            put(&mut event, &path.example(), inner)?;
        }
        if let Some(path) = source.envelope.split.first().filter(|path| !path.is_root()) {
            let inner = std::mem::replace(&mut event, Value::Object(Map::new()));
            put(&mut event, &path.example(), Value::Array(vec![inner]))?;
        }
        let is_batch = source.envelope.split.iter().any(Path::is_root);
        if is_batch && rules.iter().any(|(rule, _)| wants_element(&rule.scheme)) {
            event = Value::Array(vec![event]);
        }
        sample.body = event.to_string();
        Ok(sample)
    }
}

/// An event as a form: as JSON in one of these fields, or with a field for each of its texts.
fn form(fields: &[String], event: &Value) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let texts =
        event.as_object().into_iter().flatten().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
    let pairs: Vec<_> = match fields.first() {
        Some(field) => vec![format!("{}={}", encode(field), encode(&event.to_string()))],
        None => texts.map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect(),
    };
    if pairs.is_empty() {
        return "sample=${hex}".to_owned();
    }
    // What is filled in at last is no text of the event's.
    pairs.join("&").replace(&encode("${hex}"), "${hex}")
}

/// What a scheme looks at: the places of its credential, and the parts of its messages.
fn selectors(scheme: &Scheme) -> Vec<&Selector> {
    fn of<K>(scheme: &Signed<K>) -> Vec<&Selector> {
        scheme.signature.from.iter().chain(scheme.messages.iter().flat_map(Template::selectors)).collect()
    }
    match scheme {
        Scheme::Digest(scheme) => of(&scheme.signed),
        Scheme::Hmac(scheme) => of(scheme),
        Scheme::PublicKey(scheme) => of(scheme),
        Scheme::Basic(_) | Scheme::Jose(_) | Scheme::None | Scheme::Token(_) => Vec::new(),
    }
}

/// Whether it looks into a form, and into nothing else of the body.
fn wants_form(scheme: &Scheme) -> bool {
    let selectors = selectors(scheme);
    let is_transformed = |selector: &&Selector| {
        selector.transforms.iter().any(|it| matches!(it, Transform::PhpForm(_) | Transform::SortedForm))
    };
    selectors.iter().any(|selector| matches!(selector.place, Place::Form(_)) || is_transformed(selector))
        && !selectors.iter().any(|it| matches!(it.place, Place::Json(_)))
}

/// Whether it looks at the first element of a body that is an array.
fn wants_element(scheme: &Scheme) -> bool {
    let is_first = |place: &Place| matches!(place, Place::Raw(pointer) if pointer.tokens().next() == Some("0"));
    selectors(scheme).iter().any(|selector| is_first(&selector.place))
}

/// JSON without the white space between its values, as programs send it: one line, and the order of keys as it was.
fn compact(json: &str) -> String {
    let (mut is_string, mut is_escaped) = (false, false);
    let keep = |character: &char| {
        let is_kept = is_string || !character.is_ascii_whitespace();
        is_string ^= *character == '"' && !is_escaped;
        is_escaped = is_string && *character == '\\' && !is_escaped;
        is_kept
    };
    json.chars().filter(keep).collect()
}

/// A type that the source knows and wants, or any.
fn some_type(source: &Source, wanted: Option<&str>) -> String {
    let Recognizer { known, allow, .. } = &source.recognizer;
    let is_wanted = |name: &&String| allow.is_empty() || allow.iter().any(|pattern: &Pattern| pattern.matches(name));
    let known = || known.iter().filter(is_wanted).min().map(String::as_str);
    wanted.or_else(known).unwrap_or("test").to_owned()
}

/// Puts a value at a pointer; objects are made on the way.
fn put(event: &mut Value, pointer: &Pointer, value: Value) -> Result<(), String> {
    let mut place = event;
    for token in pointer.tokens() {
        let Value::Object(members) = place else {
            return Err(format!("no sample can be made: `{pointer}` leads into another value"));
        };
        place = members.entry(token).or_insert_with(|| Value::Object(Map::new()));
    }
    *place = value;
    Ok(())
}

/// The text with everything in its place that is different in every event: `${now}` is the time to the second, as
/// `2026-11-21T12:00:00`, `${uuid}` a random UUID, `${hex}` 32 random hex digits, each the same throughout one text.
pub(super) fn fill(text: &str, now: Timestamp) -> Result<String, String> {
    let [first, second] = [random()?, random()?];
    let uuid = format!("{}-{}-4{}-8{}-{}", &first[..8], &first[8..12], &first[13..16], &first[17..20], &first[20..]);
    let time = now.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    Ok(text.replace("${now}", &time).replace("${uuid}", &uuid).replace("${hex}", &second))
}

/// 32 random hex digits.
pub(super) fn random() -> Result<String, String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| format!("error: there is no randomness: {error}"))?;
    Ok(HEXLOWER.encode(&bytes))
}

/// The selectors, for a message.
pub(super) fn names(selectors: &[Selector]) -> String {
    let mut names = String::new();
    for selector in selectors {
        let _ = write!(names, "{}`{selector:?}`", if names.is_empty() { "" } else { ", " });
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_one_line_of_json() {
        let check = |json: &str, want: &str| assert_eq!(compact(json), want);
        check("{\n  \"b\": [1, 2],\n  \"a\": null\n}\n", r#"{"b":[1,2],"a":null}"#);
        check(r#"{ "a b\" c \\": "  " }"#, r#"{"a b\" c \\":"  "}"#);
        for (id, _) in presets::all() {
            for (event_type, text) in presets::samples(id) {
                let same = |text: &str| serde_json::from_str::<Value>(text).unwrap();
                assert_eq!(same(&compact(text)), same(text), "{id} {event_type}");
                assert!(text.contains(&format!("{event_type:?}")), "the name is what tells the types apart");
            }
        }
    }

    #[test]
    fn what_is_filled_in_is_new_each_time() {
        let now = "2026-11-21T12:00:00.765Z".parse().unwrap();
        let filled = || fill("${uuid} ${uuid} ${hex} ${now}.765Z $x ${y}", now).unwrap();
        let [first, second] = [filled(), filled()];
        assert_ne!(first, second);
        let words: Vec<_> = first.split(' ').collect();
        assert_eq!((words[0].len(), words[2].len()), (36, 32));
        assert_eq!(words[0], words[1]);
        assert_eq!(words[3..], ["2026-11-21T12:00:00.765Z", "$x", "${y}"]);
    }
}
