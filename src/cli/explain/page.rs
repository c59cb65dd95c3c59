//! The page about all this, with the mistakes that are looked for.

use std::fmt::Write as _;

use super::hypotheses;

const BEFORE: &str = r"# When a request is refused

<!-- Written by tests/docs.rs from src/cli/explain/. Change it there. -->

`hooksieve explain` takes a captured request, walks it through your configuration step by step, and finds out which
mistake made it fail. It works offline: it sends nothing, asks nobody, and changes nothing.

    hooksieve explain acme --request captured.http
    hooksieve explain acme --request session.har --entry 3 --format json
    hooksieve explain acme --request captured.http --now 2026-11-21T12:00:00Z
    hooksieve explain acme --request captured.http --keys keys.json --client 203.0.113.9

It ends with 0 when the request is accepted, 1 when it is refused or its signature cannot be judged, 2 when it cannot be read or the configuration is wrong.
What it prints are names, lengths and counts, event types, and what to change: never a secret, never a computed signature
or a part of one, never a body, so that the output may be pasted into a ticket.

## Capture the request

A signature is over bytes, so the capture must have the bytes that were sent.

- **Raw HTTP/1.1**, the best: request line, headers, an empty line, then the body as it is, for example written by
  `nc -l 8080 > captured.http` or by a proxy. Chunked bodies are put together; white space behind `Content-Length` bytes
  is left out, and it is said.
- **An HTTP Archive** (`.har`) from a debugging proxy. It holds the body as text, so line ends and bytes that are no UTF-8
  may have changed; `encoding: base64` keeps them. Of several requests the one that was posted to the source's path is
  taken; `--entry` picks another.
- **A vector** in the form of `tests/vectors/`: `request` with `method`, `url`, `headers` and `body` or `body_base64`,
  `now`, and the keys that the sender publishes, if they are recorded (`jwks`, `certs` in `settings`).

The time it is judged at is `--now`, or the time of the capture where it has one, or now. A request that was captured an
hour ago is stale; `explain` says so, and whether the signature is right apart from that.

Where the sender publishes its keys, `explain` says which document the gateway would fetch and which key of it the request
names, and fetches nothing itself. Fetch it, as the line that is printed does, and say `--keys FILE`; several files are
several documents. Without them everything but the signature is judged, and it is said that the signature was not.

A capture does not say where it came from. `--client ADDRESS` does, for sources with a list of addresses (`allow`).

## Read what it says

Each step says what it looked at. The first that refuses ends the journey; after it, in brackets, is what the later steps
would have said, so that all that is wrong shows at once. What only the running gateway knows (its limits, the events it
has seen) is marked `-`.

If the request is not authentic, the mistake is looked for: the settings, the secrets, or the request are changed as each
line of the table below says, and the real authenticator is asked again. So a cause that is named is no guess: with that
change the request *is* authentic. When no single change does it, pairs are tried.

| name | what was done wrong | what to do |
|---|---|---|
";

const AFTER: &str = r"
## When nothing explains it

- The secret is that of another endpoint, account or mode (test or live) at the sender. Copy it again.
- The body was changed in a way that nobody can undo: values rounded, fields dropped, characters replaced. Capture closer
  to the sender, before proxies, body parsers and logging.
- The sender signs something else than its documentation says. Sign a request by hand, with `openssl dgst -sha256 -hmac`,
  and compare with what it sends; then describe it in the source (`message`, `key`, `signature` of
  [docs/config-reference.md](config-reference.md)).
- `hooksieve send SOURCE` sends a request that is right by your configuration: if that is accepted, gateway and
  configuration agree, and the difference is at the sender.
";

/// The page `docs/debugging.md`.
#[must_use]
pub fn reference() -> String {
    let mut page = BEFORE.to_owned();
    for hypothesis in hypotheses::all() {
        let cell = |text: &str| text.replace('|', "\\|");
        let (mistake, remedy) = (cell(hypothesis.mistake), cell(hypothesis.remedy));
        let _ = writeln!(page, "| `{}` | {mistake} | {remedy} |", hypothesis.name);
    }
    page + AFTER
}
