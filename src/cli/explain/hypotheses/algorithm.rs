//! Mistakes with how a credential is made and written: hash, encoding, form, items.

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use http::HeaderName;

use super::{
    About, Hypothesis, Idea,
    signature::{PREFIX_MAX, credentials, prefix, signature_place, signatures, with_credential, with_signatures},
};
use crate::{
    cli::explain::case::{Case, Known, place},
    config::{
        At, Key, Leaf as _,
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
        name: "encoded_twice",
        about: About::Credential,
        mistake: "the signature in base64 of its hex digits, as PHP's `base64_encode(hash_hmac(…))` makes it",
        remedy: "let the sender encode the bytes (`hash_hmac(…, true)`), or send the hex digits as they are",
        ideas: encoded_twice,
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

fn form_key(signature: &Signature) -> &Key {
    signature.form.as_ref().map_or(&signature.at, |form| &form.key)
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

fn encoded_twice(case: &Case, _: &Known) -> Vec<Idea> {
    let prefixes: Vec<&str> = signatures(case).filter_map(prefix).chain([""]).collect();
    let changed = with_credential(case, |lines| {
        let [line] = lines else { return None };
        let decoded = |prefix: &&str| {
            let digits = BASE64.decode(line.as_bytes().strip_prefix(prefix.as_bytes())?).ok()?;
            HEXLOWER_PERMISSIVE.decode(&digits).ok()?;
            Some([prefix.as_bytes(), &digits].concat())
        };
        prefixes.iter().find_map(decoded)
    });
    let idea = |(case, name): (Case, HeaderName)| {
        let case = with_signatures(&case, |signature| {
            signature.encoding.value = Encoding::Hex;
            true
        })?;
        let wrong = format!("the header {name} has base64 of the signature's hex digits");
        let remedy = "let the sender encode the signature's bytes (in PHP `hash_hmac(…, true)`), or send the hex digits as \
                      they are, and set `encoding` so";
        Some(Idea::new(case, wrong, remedy))
    };
    changed.and_then(idea).into_iter().collect()
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
    let known = JoseAlgorithm::WORDS.iter().filter_map(|(word, _)| Some((JoseAlgorithm::parse(word)?, *word)));
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
