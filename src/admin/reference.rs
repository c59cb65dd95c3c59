//! Writes `docs/admin.md` from what the pages are made of.

use std::fmt::Write as _;

use super::{
    form::{DELIVERY, SOURCE, WHOLE, meaning},
    pages::REQUESTS,
    query::{CHANGE, LIST, SHOW},
};
use crate::state::journal::State;

/// The page about the admin listener, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    for (method, path, about) in REQUESTS {
        row(&mut page, &[&format!("`{method} {path}`"), about]);
    }
    page += WHO;
    table(&mut page, "Parameters of `GET /deliveries`", "parameter", LIST);
    table(&mut page, "Parameters of `GET /deliveries/{id}`", "parameter", SHOW);
    table(&mut page, "Parameters of a replay, and of a drop", "parameter", CHANGE);
    table(&mut page, "A delivery", "member", DELIVERY);
    table(&mut page, "A delivery, whole", "member", WHOLE);
    let states: Vec<_> = State::ALL.iter().map(|state| (state.as_str(), meaning(*state))).collect();
    table(&mut page, "States", "state", &states);
    table(&mut page, "A source", "member", SOURCE);
    page + ANSWERS
}

fn table(page: &mut String, title: &str, of: &str, rows: &[(&str, &str)]) {
    let _ = write!(page, "\n## {title}\n\n| {of} | meaning |\n|---|---|\n");
    for (name, about) in rows {
        row(page, &[&format!("`{name}`"), about]);
    }
}

fn row(page: &mut String, cells: &[&str]) {
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}

const HEAD: &str = "\
<!-- Written by tests/docs.rs from src/admin; do not edit. -->

# The admin listener

`[admin] listen` opens a door for operators, by default on loopback and apart from the one that senders use. It speaks
HTTP/1.1; paths and methods are exactly these. Every answer is JSON but the metrics, and none is to be cached.

    curl -s http://127.0.0.1:9464/deliveries?state=dead
    curl -s -X POST http://127.0.0.1:9464/deliveries/42/replay
    curl -s --unix-socket /run/hooksieve/admin.sock http://localhost/sources

The commands `hooksieve journal list`, `show`, `replay`, `drop` and `stats` do the same from a shell, and also while the
gateway does not run.

| request | what it is for |
|---|---|
";

const WHO: &str = "
## Who may ask

- On loopback and on a Unix socket: whoever reaches it, unless `[admin] token` is set. A socket's directory says who that is.
- Anywhere else a token is demanded, and a configuration without one is refused. Clients send it as
  `Authorization: Bearer TOKEN`; Prometheus does with `authorization: { credentials_file: … }`. The listener has no TLS of
  its own: off this machine let a proxy end TLS in front of it.
- `/live` and `/ready` need no token: they tell no names, and probes have none. `/metrics` needs it like everything else.
- `Host` must be an address, `localhost` or one of `[admin] hosts`: otherwise 421, so that no page on the web can reach the
  listener under a name of its own (DNS rebinding).
- A replay or a drop that a browser sends for another site's page (`Origin`, `Sec-Fetch-Site`) is refused with 403. No
  answer allows another site to read it (CORS).
- A token that changed in the file holds from the next reload (SIGHUP) on; another address, from the next start.
";

const ANSWERS: &str = "
## Problems

A request that is not granted is answered with `{\"error\":\"<word>\",\"message\":\"<what to do>\"}`: 400 for a parameter
that is unknown, doubled or no value of its kind; 401, 403 and 421 as above; 404 for an unknown page or delivery, or where
there is no journal (`no_journal`); 405 with `Allow`; 503 when the journal cannot answer. 409 says that the delivery is not
in a state for it: `no_body`, `delivered`, `not_dropped`, or `other_delivery` where `id` names another one.

A replay is answered with 202 and `\"outcome\":\"queued\"`, or with 200 and `\"waiting\"` if it was to be delivered anyway: two
operators who replay the same delivery at the same time deliver it once. A replay makes no new identity: an application
that honours `webhook-id` or `idempotency-key` recognises what it got before.
";
