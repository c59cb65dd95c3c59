//! Mistakes with the URL, for senders that sign it: what they believe to post to, and what the gateway is told it is.

use http::Uri;

use super::{About, Hypothesis, Idea};
use crate::{
    cli::explain::case::{Case, Known, place},
    config::{At, Plain, Url, raw::secret::SettingValue},
};

pub(super) const ALL: &[Hypothesis] = &[
    Hypothesis {
        name: "public_url",
        about: About::Address,
        mistake: "another scheme or host than senders see (`http` for `https`, the name of a container)",
        remedy: "set `server.public_url`",
        ideas: |case, known| {
            let written = case.raw().server.public_url.as_ref();
            let key = written
                .map_or_else(|| "`server.public_url`, which is not written yet".to_owned(), |url| place(&url.key));
            let idea = |origin: String| {
                let mut other = case.clone();
                let url = Url(origin.parse::<Uri>().ok()?);
                let server = &mut other.raw_mut().server;
                match &mut server.public_url {
                    Some(known) => known.value = url,
                    absent => *absent = Some(At { value: url, key: server.at.clone() }),
                }
                let wrong = format!("the sender signs a URL that begins with {origin}");
                Some(Idea::new(other, wrong, format!("write `public_url = \"{origin}\"` at {key}")))
            };
            origins(case, known).into_iter().filter_map(idea).collect()
        },
    },
    Hypothesis {
        name: "url_setting",
        about: About::Address,
        mistake: "the URL in `settings` is not the one entered at the sender, to the last slash",
        remedy: "set it again",
        ideas: settings,
    },
    Hypothesis {
        name: "trailing_slash",
        about: About::Address,
        mistake: "a slash at the end of the path, on one side only",
        remedy: "enter the URL at the sender exactly as `path` says",
        ideas: |case, _| {
            let path = &case.request.head.path;
            let (toggled, said) = toggle_slash(path);
            let mut other = case.clone();
            other.request.head.path = toggled;
            let wrong =
                format!("the sender signs the path {said} a slash at its end, and the request has it otherwise");
            let remedy = "let nothing between sender and gateway add or take away the slash, and enter the URL at the \
                          sender exactly as `path` of the source says";
            vec![Idea::new(other, wrong, remedy)]
        },
    },
    Hypothesis {
        name: "path_rewritten",
        about: About::Address,
        mistake: "a proxy gives the request another path than the one that is signed",
        remedy: "let the proxy keep the path, or put what it takes away into `server.public_url`",
        ideas: rewritten,
    },
    Hypothesis {
        name: "query_dropped",
        about: About::Address,
        mistake: "the query is signed and was taken away or added on the way, or the reverse",
        remedy: "let proxies pass the query as it is",
        ideas: |case, _| {
            let mut other = case.clone();
            let had = other.request.head.query.take();
            let idea = |_| {
                let wrong = "the sender signs the URL without its query";
                Idea::new(
                    other,
                    wrong,
                    "let nothing on the way add to the URL, and compare `message` with the sender's documentation",
                )
            };
            had.map(idea).into_iter().collect()
        },
    },
];

/// Headers in which proxies keep the target that a client asked for.
const ORIGINAL: [&str; 5] =
    ["x-original-uri", "x-original-url", "x-forwarded-uri", "x-envoy-original-path", "x-replaced-path"];

fn rewritten(case: &Case, _: &Known) -> Vec<Idea> {
    let idea = |name: &&str| {
        let target = case.request.head.headers.get(*name)?.to_str().ok()?;
        let target =
            target.find("://").and_then(|at| Some(&target[at + 3 + target[at + 3..].find('/')?..])).unwrap_or(target);
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let mut other = case.clone();
        (other.request.head.path, other.request.head.query) = (path.to_owned(), query);
        let wrong = format!("the sender signs the path {path}, and a proxy made another one of it");
        let remedy = "let the proxy pass the path as it is, and give the source that path; where it only takes away the \
                      beginning, that may stand in `server.public_url`";
        Some(Idea::new(other, wrong, remedy))
    };
    ORIGINAL.iter().filter_map(idea).collect()
}

/// What may stand before the path, but for what is configured.
fn origins(case: &Case, known: &Known) -> Vec<String> {
    let header = |name: &str| case.request.head.headers.get(name).and_then(|value| value.to_str().ok());
    let configured = case.raw().server.public_url.as_ref().map(|url| url.value.0.to_string());
    let configured = configured.as_deref().unwrap_or_default().trim_end_matches('/');
    let mut hosts: Vec<&str> = ["host", "x-forwarded-host", "x-original-host"].into_iter().filter_map(header).collect();
    hosts.extend(
        [configured, known.origin.as_deref().unwrap_or_default()]
            .iter()
            .filter_map(|url| Some(url.split_once("://")?.1)),
    );
    let mut all = Vec::new();
    for host in hosts {
        let bare =
            host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|it| it.is_ascii_digit())).map(|(bare, _)| bare);
        for host in [Some(host), bare].into_iter().flatten() {
            for origin in ["https", "http"].map(|scheme| format!("{scheme}://{host}")) {
                if origin != configured && !all.contains(&origin) {
                    all.push(origin);
                }
            }
        }
    }
    all
}

fn toggle_slash(path: &str) -> (String, &'static str) {
    match path.strip_suffix('/') {
        Some(without) => (without.to_owned(), "without"),
        None => (format!("{path}/"), "with"),
    }
}

/// Settings that are URLs, with other beginnings and ends.
fn settings(case: &Case, known: &Known) -> Vec<Idea> {
    let mut ideas = Vec::new();
    for (name, setting) in &case.source().settings {
        let SettingValue::Plain(Plain::Text(text)) = &setting.value else { continue };
        let Some((_, rest)) = text.split_once("://") else { continue };
        let tail = rest.find('/').map_or("", |at| &rest[at..]);
        let mut others: Vec<String> =
            origins(case, known).into_iter().map(|origin| format!("{origin}{tail}")).collect();
        others.extend(["https", "http"].map(|scheme| format!("{scheme}://{rest}")));
        let ends: Vec<String> = others.iter().chain([text]).map(|url| toggle_slash(url).0).collect();
        let query = case.request.head.query.as_ref().map(|query| format!("{text}?{query}"));
        let path = origins(case, known).into_iter().map(|origin| format!("{origin}{}", case.request.head.path));
        for url in ends.iter().chain(&others).cloned().chain(query).chain(path).filter(|url| url != text) {
            let mut other = case.clone();
            if let Some(known) = other.source_mut().settings.get_mut(name) {
                known.value = SettingValue::Plain(Plain::Text(url.clone()));
            }
            replace_in_messages(&mut other, text, &url);
            let remedy = format!("write `{name} = \"{url}\"` at {}", place(&setting.key));
            ideas.push(Idea::new(other, format!("the sender signs the URL {url}"), remedy));
        }
    }
    ideas
}

/// A preset's `{setting:NAME}` was put into its words when they were read.
fn replace_in_messages(case: &mut Case, text: &str, with: &str) {
    let messages = case.source_mut().auth.iter_mut().flat_map(|rule| rule.message.0.iter_mut());
    messages.for_each(|message| message.value.0 = message.value.0.replace(text, with));
}
