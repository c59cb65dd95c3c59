//! Mistakes with what is signed: the body alone or with a time, an id, the URL.

use super::{About, Hypothesis, Idea, body::is_form};
use crate::{
    cli::explain::case::{Case, Known, place},
    config::{
        At, Template,
        raw::auth::{Kind, Rule},
    },
};

pub(super) const ALL: &[Hypothesis] = &[
    Hypothesis {
        name: "message",
        about: About::Message,
        mistake: "another text is signed: with the time or without, the URL in it, sorted form fields",
        remedy: "set `message`",
        ideas: messages,
    },
    Hypothesis {
        name: "kind",
        about: About::Message,
        mistake: "an HMAC taken for a plain hash of text and secret, or the reverse",
        remedy: "set `kind` and `message`",
        ideas: kinds,
    },
];

/// What is hashed where the secret is a part of the text.
const WITH_SECRET: [&str; 2] = ["{secret}{body}", "{body}{secret}"];

fn kinds(case: &Case, _: &Known) -> Vec<Idea> {
    let idea = |kind: Kind, word: &str, message: &str| {
        let other = case.with_rules(|rule| {
            let is_hash = matches!(rule.kind.value, Kind::Digest | Kind::Hmac);
            if is_hash {
                rule.kind.value = kind;
                rule.message.0 = vec![At { value: Template(message.to_owned()), key: rule.at.clone() }];
                rule.time = None;
                rule.allow_side_by_side.value = true;
            }
            is_hash
        })?;
        let key = case.source().auth.first().map(|rule| place(&rule.kind.key)).unwrap_or_default();
        let wrong = format!("the sender makes a {word} of `{message}`");
        Some(Idea::new(other, wrong, format!("write `kind = \"{word}\", message = \"{message}\"` at {key}")))
    };
    let digests = WITH_SECRET.into_iter().filter_map(|message| idea(Kind::Digest, "digest", message));
    digests.chain(idea(Kind::Hmac, "hmac", "{body}")).collect()
}

/// Headers with a time or an id, looked at for the signed text; more would make too many texts.
const HEADERS_MAX: usize = 4;

fn messages(case: &Case, _: &Known) -> Vec<Idea> {
    let idea = |message: String| {
        let other = case.with_rules(|rule| {
            let is_new = signs(rule) && !rule.message.iter().any(|known| known.value.0 == message);
            if is_new {
                let key = rule.at.clone();
                rule.message.0 = vec![At { value: Template(message.clone()), key }];
                rule.allow_side_by_side.value = true;
                rule.allow_unsigned_time.value = true;
                rule.require.0.clear();
            }
            is_new
        })?;
        let rule = case.source().auth.first()?;
        let key = rule.message.first().map_or(&rule.at, |message| &message.key);
        let wrong = format!("the sender signs `{message}`");
        Some(Idea::new(other, wrong, format!("write `message = \"{message}\"` at {}", place(key))))
    };
    candidates(case).into_iter().filter_map(idea).collect()
}

fn signs(rule: &Rule) -> bool {
    match rule.kind.value {
        Kind::Ecdsa | Kind::Ed25519 | Kind::Hmac | Kind::Jws | Kind::Rsa => true,
        Kind::Basic | Kind::Digest | Kind::Jwt | Kind::None | Kind::Token => false,
    }
}

/// What senders are known to sign, with the headers of this request.
fn candidates(case: &Case) -> Vec<String> {
    let headers =
        || case.request.head.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let times = headers().filter(|(_, value)| is_time(value)).map(|(name, _)| format!("{{header:{name}}}"));
    let times: Vec<String> = ["{sig.t}", "{sig.ts}", "{sig.timestamp}"]
        .map(str::to_owned)
        .into_iter()
        .chain(times.take(HEADERS_MAX))
        .collect();
    let ids: Vec<String> = headers()
        .filter(|(name, _)| name.ends_with("id"))
        .map(|(name, _)| format!("{{header:{name}}}"))
        .take(HEADERS_MAX)
        .collect();
    let fixed = ["{body}", "{url}{body}", "{method}{url}{body}", "{body}{url}", "{path}{body}"];
    let mut all: Vec<String> = fixed.map(str::to_owned).into();
    if std::str::from_utf8(&case.request.body).is_ok_and(is_form) {
        all.extend(["{body|sorted-form}", "{url}{body|sorted-form}"].map(str::to_owned));
    }
    for time in &times {
        all.extend([
            format!("{time}.{{body}}"),
            format!("{time}:{{body}}"),
            format!("{time}{{body}}"),
            format!("{{body}}{time}"),
            format!("{{body}}.{time}"),
            format!("v0:{time}:{{body}}"),
            format!("{{method}}{{url}}{{body}}{time}"),
        ]);
        all.extend(ids.iter().flat_map(|id| [format!("{id}.{time}.{{body}}"), format!("{id}{time}{{body}}")]));
    }
    all
}

/// Digits as many as a time since 1970 has, or something like a date.
fn is_time(value: &str) -> bool {
    let is_number = matches!(value.len(), 10 | 13) && value.bytes().all(|byte| byte.is_ascii_digit());
    is_number || value.parse::<jiff::Timestamp>().is_ok()
}
