//! Mistakes with the credential: where it is, what stands around it, how it is written, and what made it.

use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode;

use super::{About, Hypothesis, Idea};
use crate::{
    cli::explain::case::{Case, Known, place},
    config::{
        At, Key, Selector,
        raw::auth::{Encoding, Form, Hash, JoseAlgorithm, Kind, Prefix, Rule, Signature},
    },
};

pub(super) const ALL: &[Hypothesis] = &[
    Hypothesis {
        name: "hash",
        about: About::Credential,
        mistake: "another hash than the sender uses, such as SHA-256 for SHA-1",
        remedy: "set `hash`",
        ideas: hashes,
    },
    Hypothesis {
        name: "encoding",
        about: About::Credential,
        mistake: "the signature read as hex where it is base64 or base64url, or the reverse",
        remedy: "set `signature.encoding`",
        ideas: encodings,
    },
    Hypothesis {
        name: "prefix_missing",
        about: About::Credential,
        mistake: "the prefix (`sha256=`, `Bearer `) is not there",
        remedy: "set `signature.prefix`",
        ideas: |case, _| {
            let other = with_signatures(case, |signature| match &signature.prefix.value {
                Prefix::Required(prefix) if !prefix.is_empty() => {
                    signature.prefix.value = Prefix::Optional(prefix.clone());
                    true
                }
                Prefix::Optional(_) | Prefix::Required(_) => false,
            });
            let wrong = "what the rule has as `prefix` does not stand before the credential";
            let remedy = format!("leave the prefix out, at {}", signature_place(case, |it| &it.prefix.key));
            other.map(|other| Idea::new(other, wrong, remedy)).into_iter().collect()
        },
    },
    Hypothesis {
        name: "prefix_doubled",
        about: About::Credential,
        mistake: "the prefix is there twice: sender and middleware both added it",
        remedy: "let only one of them add it",
        ideas: |case, _| {
            let prefixes: Vec<String> = signatures(case).filter_map(|it| prefix(it).map(str::to_owned)).collect();
            let changed = with_credential(case, |lines| {
                let [line] = lines else { return None };
                let once = |prefix: &String| {
                    line.as_bytes().strip_prefix(prefix.as_bytes()).filter(|rest| rest.starts_with(prefix.as_bytes()))
                };
                prefixes.iter().find_map(once).map(<[u8]>::to_vec)
            });
            let idea = |(case, name)| {
                let wrong = format!("the prefix stands twice in the header {name}");
                Idea::new(case, wrong, "two places add the prefix at the sender: let one of them do it")
            };
            changed.into_iter().map(idea).collect()
        },
    },
    Hypothesis {
        name: "prefix_unexpected",
        about: About::Credential,
        mistake: "a prefix that the rule does not know, or another one than it says",
        remedy: "set `signature.prefix`",
        ideas: unexpected_prefixes,
    },
    Hypothesis {
        name: "header_name",
        about: About::Credential,
        mistake: "the signature or token is in another header, or under another query parameter",
        remedy: "set `signature.from`",
        ideas: other_places,
    },
    Hypothesis {
        name: "credential_twice",
        about: About::Credential,
        mistake: "the header is there twice: a proxy or middleware added it again",
        remedy: "let nothing between sender and gateway add headers",
        ideas: |case, _| {
            let pick = |last: bool| {
                with_credential(case, |lines| {
                    let line = if last { lines.last() } else { lines.first() };
                    line.filter(|_| lines.len() > 1).map(|line| line.as_bytes().to_vec())
                })
            };
            let idea = |(case, name): (Case, HeaderName)| {
                let wrong = format!("the header {name} is there several times, and one of them is right");
                Idea::new(case, wrong, "find out what between sender and gateway adds it again, and take that away")
            };
            [pick(false), pick(true)].into_iter().flatten().map(idea).collect()
        },
    },
    Hypothesis {
        name: "credential_case",
        about: About::Credential,
        mistake: "upper-case hex digits where the case counts, as in tokens",
        remedy: "let the sender write them as they are",
        ideas: |case, _| {
            let idea = |name: &str, change: fn(&[u8]) -> Vec<u8>| {
                let (case, header) = with_credential(case, |lines| Some(change(lines.first()?.as_bytes())))?;
                let wrong = format!("the credential in the header {header} is right in {name} case only");
                Some(Idea::new(case, wrong, "let the sender write it so: here the case of letters counts"))
            };
            [idea("lower", <[u8]>::to_ascii_lowercase), idea("upper", <[u8]>::to_ascii_uppercase)]
                .into_iter()
                .flatten()
                .collect()
        },
    },
    Hypothesis {
        name: "credential_wrapped",
        about: About::Credential,
        mistake: "quotes, blanks or percent escapes around the credential",
        remedy: "let the sender write it without",
        ideas: |case, _| {
            let around = |letter: u8| b"\"' \t,;".contains(&letter);
            let bare = with_credential(case, |lines| {
                let text = lines.first()?.as_bytes();
                let start = text.iter().position(|byte| !around(*byte))?;
                let end = text.iter().rposition(|byte| !around(*byte))?;
                Some(text[start..=end].to_vec())
            });
            let decoded = with_credential(case, |lines| Some(percent_decode(lines.first()?.as_bytes()).collect()));
            let idea = |(case, name): (Case, HeaderName)| {
                let wrong = format!("the credential in the header {name} is in quotes, or is escaped");
                Idea::new(case, wrong, "let the sender write the credential alone, without quotes or escapes")
            };
            [bare, decoded].into_iter().flatten().map(idea).collect()
        },
    },
    Hypothesis {
        name: "items",
        about: About::Credential,
        mistake: "a header of several items (`t=…,v1=…`) read as one signature, or by the wrong name",
        remedy: "set `signature.split`, `pair` and `take`",
        ideas: items,
    },
    Hypothesis {
        name: "signature_form",
        about: About::Credential,
        mistake: "an ECDSA signature read as DER where it is the two numbers, PKCS #1 for PSS, or the reverse",
        remedy: "set `signature.form`",
        ideas: |case, _| {
            let idea = |(form, word)| {
                let other = with_signatures(case, |signature| {
                    let is_new = signature.form.as_ref().is_none_or(|written| written.value != form);
                    let key = form_key(signature).clone();
                    signature.form = Some(At { value: form, key });
                    is_new
                })?;
                let remedy = format!("write `form = \"{word}\"` at {}", signature_place(case, form_key));
                Some(Idea::new(other, format!("the signature is written as {word}"), remedy))
            };
            let forms = [(Form::Der, "der"), (Form::Raw, "raw"), (Form::Pkcs1, "pkcs1"), (Form::Pss, "pss")];
            forms.into_iter().filter_map(idea).collect()
        },
    },
    Hypothesis {
        name: "algorithm",
        about: About::Credential,
        mistake: "a token with another algorithm than the rule pins",
        remedy: "set `algorithms`",
        ideas: algorithms,
    },
    Hypothesis {
        name: "scheme",
        about: About::Credential,
        mistake: "another of the preset's schemes",
        remedy: "set `scheme`",
        ideas: |case, known| {
            let idea = |(name, other): &(String, Case)| {
                let mut other = other.clone();
                other.request = case.request.clone();
                other.now = case.now;
                let path = case.source().at.path();
                let remedy = format!("write `scheme = \"{name}\"` in `[{path}]`");
                Idea::new(other, format!("the sender uses the preset's scheme `{name}`"), remedy)
            };
            known.schemes.iter().map(idea).collect()
        },
    },
];

/// The same with a change to every rule's signature for which `change` makes one.
fn with_signatures(case: &Case, mut change: impl FnMut(&mut Signature) -> bool) -> Option<Case> {
    case.with_rules(|rule| rule.signature.as_mut().is_some_and(&mut change))
}

fn signatures(case: &Case) -> impl Iterator<Item = &Signature> {
    case.source().auth.iter().filter_map(|rule| rule.signature.as_ref())
}

fn prefix(signature: &Signature) -> Option<&str> {
    match &signature.prefix.value {
        Prefix::Optional(prefix) | Prefix::Required(prefix) => Some(prefix.as_str()).filter(|it| !it.is_empty()),
    }
}

/// Where something of the first signature is said.
fn form_key(signature: &Signature) -> &Key {
    signature.form.as_ref().map_or(&signature.at, |form| &form.key)
}

fn signature_place(case: &Case, key: impl Fn(&Signature) -> &Key) -> String {
    signatures(case).next().map(|signature| place(key(signature))).unwrap_or_default()
}

/// The headers that rules take their credentials from.
fn credential_headers(case: &Case) -> impl Iterator<Item = HeaderName> {
    let from = signatures(case).flat_map(|signature| signature.from.iter());
    from.filter_map(|from| from.value.0.split('|').next()?.strip_prefix("header:")?.parse().ok())
}

/// The same with another value in the first of these headers for whose lines `change` makes another one.
fn with_credential(case: &Case, change: impl Fn(&[HeaderValue]) -> Option<Vec<u8>>) -> Option<(Case, HeaderName)> {
    credential_headers(case).find_map(|name| {
        let lines: Vec<_> = case.request.head.headers.get_all(&name).iter().cloned().collect();
        let value =
            change(&lines).filter(|value| lines.len() > 1 || lines.first().is_none_or(|it| it.as_bytes() != value))?;
        let mut other = case.clone();
        other.request.head.headers.insert(name.clone(), HeaderValue::from_bytes(&value).ok()?);
        Some((other, name))
    })
}

/// The credentials as text.
fn credentials(case: &Case) -> Vec<String> {
    let value = |name| case.request.head.headers.get(name).and_then(|value| value.to_str().ok());
    credential_headers(case).filter_map(value).map(str::to_owned).collect()
}

fn hashes(case: &Case, _: &Known) -> Vec<Idea> {
    let known = [(Hash::Sha1, "sha1"), (Hash::Sha256, "sha256"), (Hash::Sha384, "sha384"), (Hash::Sha512, "sha512")];
    let has_choice = |rule: &Rule| matches!(rule.kind.value, Kind::Digest | Kind::Hmac | Kind::Rsa);
    let idea = |(hash, word)| {
        let other = case.with_rules(|rule| {
            let is_new = has_choice(rule) && rule.hash.value != hash;
            rule.hash.value = if has_choice(rule) { hash } else { rule.hash.value };
            is_new
        })?;
        let key = case.source().auth.first().map(|rule| place(&rule.hash.key)).unwrap_or_default();
        Some(Idea::new(other, format!("the sender signs with {word}"), format!("write `hash = \"{word}\"` at {key}")))
    };
    known.into_iter().filter_map(idea).collect()
}

fn encodings(case: &Case, _: &Known) -> Vec<Idea> {
    let known = [(Encoding::Hex, "hex"), (Encoding::Base64, "base64"), (Encoding::Base64url, "base64url")];
    let idea = |(encoding, word)| {
        let other = with_signatures(case, |signature| {
            let is_new = signature.encoding.value != encoding;
            signature.encoding.value = encoding;
            is_new
        })?;
        let remedy = format!("write `encoding = \"{word}\"` at {}", signature_place(case, |it| &it.encoding.key));
        Some(Idea::new(other, format!("the signature is written in {word}"), remedy))
    };
    known.into_iter().filter_map(idea).collect()
}

/// No prefix is longer, in bytes.
const PREFIX_MAX: usize = 24;

fn unexpected_prefixes(case: &Case, _: &Known) -> Vec<Idea> {
    let mut ideas = Vec::new();
    let doubled: Vec<String> = signatures(case).filter_map(prefix).map(|prefix| prefix.repeat(2)).collect();
    for text in credentials(case) {
        let ends =
            text.char_indices().take_while(|(at, _)| *at < PREFIX_MAX).filter(|(_, it)| "= :,|.-_".contains(*it));
        for (end, _) in ends {
            let start = &text[..=end];
            // Several items are no prefix, and what stands there twice has a hypothesis of its own.
            if start[..end].contains([',', ';', '&']) || doubled.iter().any(|twice| twice == start) {
                continue;
            }
            let other = with_signatures(case, |signature| {
                signature.prefix.value = Prefix::Required(start.to_owned());
                true
            });
            let wrong = format!("`{start}` stands before the credential, and the rule does not say so");
            let remedy = format!("write `prefix = \"{start}\"` at {}", signature_place(case, |it| &it.prefix.key));
            ideas.extend(other.map(|other| Idea::new(other, wrong, remedy)));
        }
    }
    ideas
}

/// Headers in which nobody puts a credential.
const ORDINARY: [&str; 10] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "host",
    "transfer-encoding",
    "user-agent",
];

fn other_places(case: &Case, _: &Known) -> Vec<Idea> {
    let head = &case.request.head;
    let known: Vec<_> = credential_headers(case).collect();
    let names = head.headers.keys().filter(|name| !known.contains(name) && !ORDINARY.contains(&name.as_str()));
    let headers = names.map(|name| (format!("header:{name}"), format!("the header {name}")));
    let parameters = head.query.iter().flat_map(|query| query.split('&'));
    let parameters = parameters.filter_map(|pair| pair.split('=').next().filter(|name| !name.is_empty()));
    let parameters = parameters.map(|name| (format!("query:{name}"), format!("the query parameter {name}")));
    let idea = |(selector, said): (String, String)| {
        let other = with_signatures(case, |signature| {
            let key = signature.at.clone();
            signature.from.0 = vec![At { value: Selector(selector.clone()), key }];
            true
        })?;
        let remedy = format!("write `from = \"{selector}\"` at {}", signature_place(case, |it| &it.at));
        Some(Idea::new(other, format!("the credential is in {said}"), remedy))
    };
    headers.chain(parameters).filter_map(idea).collect()
}

/// What stands between the items of a header, and between an item's name and its value.
const SEPARATORS: [(&str, &str); 6] = [(",", "="), (", ", "="), (";", "="), (" ", ","), (" ", "="), ("&", "=")];

fn items(case: &Case, _: &Known) -> Vec<Idea> {
    let mut ideas = Vec::new();
    let set = |split: Option<&str>, pair: Option<&str>, take: Option<&str>| {
        with_signatures(case, |signature| {
            let at = |text: &str| At { value: text.to_owned(), key: signature.at.clone() };
            let (split, pair, take) = (split.map(at), pair.map(at), take.map(at).into_iter().collect());
            signature.prefix.value =
                if split.is_some() { Prefix::Required(String::new()) } else { signature.prefix.value.clone() };
            (signature.split, signature.pair, signature.take) = (split, pair, take);
            " ".clone_into(&mut signature.trim.value);
            true
        })
    };
    let place = signature_place(case, |it| &it.at);
    for text in credentials(case) {
        for (split, pair) in SEPARATORS {
            if !text.contains(split) {
                continue;
            }
            let names = text.split(split).filter_map(|item| item.trim().split_once(pair)).map(|(name, _)| name);
            for name in names.filter(|name| (1..=PREFIX_MAX).contains(&name.len())) {
                let wrong = format!("the header has several items, and the signature is the one named `{name}`");
                let remedy = format!("write `split = \"{split}\", pair = \"{pair}\", take = [\"{name}\"]` at {place}");
                ideas.extend(set(Some(split), Some(pair), Some(name)).map(|other| Idea::new(other, wrong, remedy)));
            }
        }
    }
    if signatures(case).any(|signature| signature.split.is_some()) {
        let remedy = format!("leave `split`, `pair` and `take` out, at {place}");
        let wrong = "the header is one signature, and not several items";
        ideas.extend(set(None, None, None).map(|other| Idea::new(other, wrong, remedy)));
    }
    ideas
}

fn algorithms(case: &Case, _: &Known) -> Vec<Idea> {
    let known = JoseAlgorithm::WORDS
        .iter()
        .filter_map(|(word, _)| Some((<JoseAlgorithm as crate::config::Leaf>::parse(word)?, *word)));
    let idea = |(algorithm, word): (JoseAlgorithm, &str)| {
        let other = case.with_rules(|rule| {
            let Some(first) = rule.algorithms.0.first().cloned() else { return false };
            let is_new = rule.algorithms.iter().all(|known| known.value != algorithm);
            rule.algorithms.0 = vec![At { value: algorithm, key: first.key }];
            is_new
        })?;
        let key = case.source().auth.iter().find_map(|rule| rule.algorithms.first());
        let key = key.map(|it| place(&it.key)).unwrap_or_default();
        let remedy = format!("if the sender's documentation says so, write `algorithms = \"{word}\"` at {key}");
        Some(Idea::new(other, format!("the token is signed with {word}"), remedy))
    };
    known.filter_map(idea).collect()
}
