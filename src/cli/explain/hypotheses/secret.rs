//! Mistakes with the secret: what is in the variable or file, how it becomes a key, and whose it is.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::Value;

use super::{About, Hypothesis, Idea};
use crate::{
    cli::explain::case::{Case, Known, place},
    config::raw::auth::{Decode, Kind, Prefix, Rule},
    secret::Secret,
};

pub(super) const ALL: &[Hypothesis] = &[
    Hypothesis {
        name: "secret_newline",
        about: About::Secret,
        mistake: "a newline or blank at the end (or beginning) of the secret",
        remedy: "write it without: `printf %s` instead of `echo`",
        ideas: |case, _| {
            let remedy = "write <secret> without it: with `printf %s` instead of `echo`, or with `tr -d '\\n'`";
            changed(case, "the secret begins or ends with a newline or blank", remedy, |text| {
                Some(text.trim_ascii().to_vec())
            })
        },
    },
    Hypothesis {
        name: "secret_quotes",
        about: About::Secret,
        mistake: "the secret in quotes, which an env file or a Compose file takes as they are",
        remedy: "take the quotes away",
        ideas: |case, _| changed(case, "the secret is in quotes", "take the quotes away from <secret>", unquoted),
    },
    Hypothesis {
        name: "secret_assignment",
        about: About::Secret,
        mistake: "a whole line `NAME=secret` where the secret alone belongs",
        remedy: "keep what comes after the `=`",
        ideas: |case, _| {
            let remedy = "keep only what comes after the `=` in <secret>";
            changed(case, "the secret is a whole line `NAME=…`", remedy, |text| {
                let at = text.iter().position(|byte| *byte == b'=')?;
                let is_name = text[..at].iter().all(|byte| byte.is_ascii_alphanumeric() || b"_ ".contains(byte));
                let value = text[at + 1..].trim_ascii();
                is_name.then(|| unquoted(value).unwrap_or_else(|| value.to_vec()))
            })
        },
    },
    Hypothesis {
        name: "secret_newline_at_sender",
        about: About::Secret,
        mistake: "a newline at the end of the secret as the sender has it",
        remedy: "enter it again at the sender, or say `key.suffix = \"\\n\"`",
        ideas: |case, _| {
            let remedy = "enter the secret at the sender again, without a newline at its end; until then, \
                          `key = { suffix = \"\\n\" }` in the rule makes both sides agree";
            changed(case, "the secret that the sender has ends with a newline, and yours does not", remedy, |text| {
                Some([text, b"\n"].concat())
            })
        },
    },
    Hypothesis {
        name: "secret_decoding",
        about: About::Secret,
        mistake: "the secret taken for text where it is base64 or hex of the key, or the reverse",
        remedy: "set `key.decode`",
        ideas: decodings,
    },
    Hypothesis {
        name: "secret_prefix",
        about: About::Secret,
        mistake: "a prefix such as `whsec_` taken for a part of the key, or the reverse",
        remedy: "set `key.strip` and `key.decode`",
        ideas: prefixes,
    },
    Hypothesis {
        name: "secret_base64url",
        about: About::Secret,
        mistake: "the secret in base64url, or without padding, where base64 is decoded",
        remedy: "write it in standard base64 with padding",
        ideas: |case, _| {
            let remedy =
                "write <secret> in standard base64 (`+`, `/`, `=` at the end), with `key = { decode = \"base64\" }`";
            let wrong = "the secret is base64url, or base64 without padding";
            let decoded = case.with_rules(|rule| is_shared(rule) && set(&mut rule.key.decode.value, Decode::Base64));
            let case = decoded.as_ref().unwrap_or(case);
            changed(case, wrong, remedy, |text| {
                let bytes: Vec<u8> = text
                    .iter()
                    .map(|byte| match byte {
                        b'+' => b'-',
                        b'/' => b'_',
                        byte => *byte,
                    })
                    .collect();
                let end = bytes.iter().rposition(|byte| *byte != b'=')? + 1;
                Some(BASE64.encode(&BASE64URL_NOPAD.decode(&bytes[..end]).ok()?).into_bytes())
            })
        },
    },
    Hypothesis {
        name: "secret_case",
        about: About::Secret,
        mistake: "the secret in the other case: hex digits that were meant as text",
        remedy: "copy it again, letter by letter",
        ideas: |case, _| {
            if !case.source().auth.iter().any(is_shared) {
                return Vec::new();
            }
            let idea = |name: &str, change: fn(&[u8]) -> Vec<u8>| {
                let wrong = format!("the sender has the secret in {name} case");
                changed(case, &wrong, "copy <secret> again from the sender, with its letters as they are", |text| {
                    Some(change(text))
                })
            };
            let mut ideas = idea("lower", <[u8]>::to_ascii_lowercase);
            ideas.extend(idea("upper", <[u8]>::to_ascii_uppercase));
            ideas
        },
    },
    Hypothesis {
        name: "secret_with_prefix",
        about: About::Secret,
        mistake: "the prefix of the header (`Bearer `) in the secret as well",
        remedy: "take it away from the secret",
        ideas: |case, _| {
            let prefixes: Vec<Vec<u8>> = case.source().auth.iter().filter_map(header_prefix).collect();
            let remedy = "take the prefix away from <secret>: the rule adds it by itself";
            changed(case, "the secret begins with what the rule has as `prefix`", remedy, |text| {
                prefixes.iter().find_map(|prefix| text.strip_prefix(prefix.as_slice())).map(<[u8]>::to_vec)
            })
        },
    },
    Hypothesis {
        name: "secret_expired",
        about: About::Secret,
        mistake: "a secret that has ended (`until`)",
        remedy: "let the sender use the new one, or set a later `until`",
        ideas: expired,
    },
    Hypothesis {
        name: "secret_of_other_source",
        about: About::Secret,
        mistake: "the secret of another source",
        remedy: "exchange the secrets, or let the sender post to the other path",
        ideas: |case, known| {
            let ideas = known.others.iter().filter_map(|(of, other)| {
                let mut case = case.clone();
                case.secrets_mut().next()?;
                case.secrets_mut().for_each(|secret| *secret = other.clone());
                let wrong = format!("the request is signed with the secret of the source `{of}`");
                let remedy = format!(
                    "let the sender post to the path of `{of}`, or, if it is this source's, exchange <secret> and the secret of `{of}`"
                );
                Some(Idea::new(case, wrong, remedy))
            });
            ideas.collect()
        },
    },
    Hypothesis {
        name: "key_id",
        about: About::Secret,
        mistake: "a token that names another key (`kid`) than the one that verifies it",
        remedy: "copy the sender's key again, or leave `kid` out of it",
        ideas: |case, _| {
            let remedy = "copy the key again from the sender's key set into <secret>, or leave `kid` out of it";
            changed(case, "the token names another `kid` than the key that verifies it has", remedy, |text| {
                let mut key: Value = serde_json::from_slice(text).ok()?;
                key.as_object_mut()?.remove("kid")?;
                Some(key.to_string().into_bytes())
            })
        },
    },
];

/// One idea in which every secret is changed for which `change` makes another one of it.
fn changed(case: &Case, wrong: &str, remedy: &str, change: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Vec<Idea> {
    let mut case = case.clone();
    let mut is_changed = false;
    for secret in case.secrets_mut() {
        let other = change(secret.expose()).filter(|other| !other.is_empty() && other != secret.expose());
        is_changed |= other.is_some();
        *secret = other.map_or_else(|| secret.clone(), Secret::new);
    }
    if is_changed { vec![Idea::new(case, wrong, remedy)] } else { Vec::new() }
}

fn unquoted(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii();
    let inside = |quote: &[u8]| text.strip_prefix(quote)?.strip_suffix(quote);
    inside(b"\"").or_else(|| inside(b"'")).or_else(|| inside(b"`")).map(<[u8]>::to_vec)
}

/// Whether the rule's secret is a shared key that `key.decode` may change.
fn is_shared(rule: &Rule) -> bool {
    match rule.kind.value {
        Kind::Digest | Kind::Hmac => true,
        Kind::Jwt | Kind::Jws => matches!(rule.key.decode.value, Decode::Base64 | Decode::Hex | Decode::Utf8),
        Kind::Basic | Kind::Ecdsa | Kind::Ed25519 | Kind::None | Kind::Rsa | Kind::Token => false,
    }
}

/// Sets a value; whether it was another one before.
fn set<T: PartialEq>(place: &mut T, value: T) -> bool {
    let is_new = *place != value;
    *place = value;
    is_new
}

const DECODINGS: [(Decode, &str, &str); 3] = [
    (Decode::Utf8, "utf8", "text"),
    (Decode::Base64, "base64", "base64 of the key"),
    (Decode::Hex, "hex", "hex of the key"),
];

fn decode_place(case: &Case) -> String {
    case.source().auth.first().map(|rule| place(&rule.key.decode.key)).unwrap_or_default()
}

fn decodings(case: &Case, _: &Known) -> Vec<Idea> {
    let idea = |(decode, word, means): (Decode, &str, &str)| {
        let other = case.with_rules(|rule| {
            rule.key.bare = None;
            is_shared(rule) && set(&mut rule.key.decode.value, decode)
        })?;
        let wrong = format!("the sender takes the secret for {means}");
        Some(Idea::new(other, wrong, format!("write `key = {{ decode = \"{word}\" }}` at {}", decode_place(case))))
    };
    DECODINGS.into_iter().filter_map(idea).collect()
}

/// Beginnings of secrets that say what they are.
const PREFIXES: [&str; 2] = ["whsec_", "v1,whsec_"];

fn prefixes(case: &Case, _: &Known) -> Vec<Idea> {
    let mut ideas = Vec::new();
    let whole = case.with_rules(|rule| {
        rule.key.bare = None;
        let had = !rule.key.strip.0.is_empty();
        rule.key.strip.0.clear();
        is_shared(rule) && (set(&mut rule.key.decode.value, Decode::Utf8) || had)
    });
    if let Some(whole) = whole {
        let remedy = format!("write `key = {{ decode = \"utf8\" }}` without `strip` at {}", decode_place(case));
        ideas.push(Idea::new(whole, "the sender takes the whole secret, prefix included, for the key", remedy));
    }
    for (decode, word, means) in DECODINGS {
        let Some(read) = case.with_rules(|rule| {
            rule.key.bare = None;
            rule.key.strip.0.clear();
            rule.key.decode.value = decode;
            is_shared(rule)
        }) else {
            continue;
        };
        let wrong = format!("the secret without its prefix is {means}");
        let remedy = format!("write `key = {{ strip = \"whsec_\", decode = \"{word}\" }}` at {}", decode_place(case));
        ideas.extend(changed(&read, &wrong, &remedy, |text| {
            PREFIXES.iter().rev().find_map(|prefix| text.strip_prefix(prefix.as_bytes())).map(<[u8]>::to_vec)
        }));
    }
    ideas
}

fn header_prefix(rule: &Rule) -> Option<Vec<u8>> {
    match &rule.signature.as_ref()?.prefix.value {
        Prefix::Optional(prefix) | Prefix::Required(prefix) if !prefix.is_empty() => Some(prefix.clone().into_bytes()),
        Prefix::Optional(_) | Prefix::Required(_) => None,
    }
}

fn expired(case: &Case, _: &Known) -> Vec<Idea> {
    let mut other = case.clone();
    let now = case.now;
    let source = other.source_mut();
    let lists = source.auth.iter_mut().map(|rule| &mut rule.secrets.0);
    let mut ended = None;
    for secret in std::iter::once(&mut source.secrets.0).chain(lists).flatten() {
        if let Some(until) = secret.until.take_if(|until| until.value <= now) {
            ended = Some(until.value);
        }
    }
    let wrong = "the request is signed with a secret that is not accepted any more";
    let idea = |ended| {
        let remedy = format!(
            "<secret> ended at {ended}: let the sender sign with the new secret, or give this one a later `until`"
        );
        Idea::new(other, wrong, remedy)
    };
    ended.map(idea).into_iter().collect()
}
