//! Mistakes with where a credential is, and what stands around it.

use http::HeaderName;
use percent_encoding::percent_decode;

use super::{
    About, Hypothesis, Idea,
    signature::{
        PREFIX_MAX, credential_headers, credentials, prefix, signature_place, signatures, with_credential,
        with_signatures,
    },
};
use crate::{
    cli::explain::case::{Case, Known},
    config::{At, Selector, raw::auth::Prefix},
};

pub(super) const ALL: &[Hypothesis] = &[
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
];

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
