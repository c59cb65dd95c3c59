//! Deliveries and sources as JSON, here and in the output of commands.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::state::journal::{Detail, Row, State, Totals, Tried};

/// One line of the delivery log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delivery {
    /// Its number in the journal.
    pub id: i64,
    /// When its request was received.
    pub received_at: Timestamp,
    /// The source it came to.
    pub source: String,
    /// Its event type, as sent.
    #[serde(rename = "type")]
    pub event_type: Option<String>,
    /// Its identity.
    pub webhook_id: String,
    /// What became of it when it came.
    pub verdict: String,
    /// Why.
    pub reason: Option<String>,
    /// Where it stands.
    pub state: String,
    /// What its sender was told.
    pub answer: Option<u16>,
    /// Where it goes.
    pub upstream: Option<String>,
    /// Attempts so far.
    pub attempts: u32,
    /// The status of the last one.
    pub last_status: Option<u16>,
    /// Its size.
    pub bytes: usize,
}

/// The members of [`Delivery`], and what they mean.
pub(super) const DELIVERY: &[(&str, &str)] = &[
    ("id", "Its number in the journal. None is used twice."),
    ("received_at", "When its request was received."),
    ("source", "The source it came to."),
    ("type", "Its event type, as sent."),
    ("webhook_id", "Its identity, which the application sees as `webhook-id`."),
    ("verdict", "What became of it when it came: a word of docs/answers.md."),
    ("reason", "Why, where there is something to explain; of a dead one, why nothing more is tried."),
    ("state", "Where it stands now, as below."),
    ("answer", "The status that its sender was told."),
    ("upstream", "The upstream it goes to."),
    ("attempts", "How many attempts were made."),
    ("last_status", "The status that the application gave last."),
    ("bytes", "How many bytes it has."),
];

/// What the states mean.
pub(super) const fn meaning(state: State) -> &'static str {
    match state {
        State::Dead => "Nothing more is tried. Replay it or drop it.",
        State::Delivered => "The application took it.",
        State::Discarded => "An operator dropped it.",
        State::Noted => "A line of the log: delivered while its sender waited, a repeat, or refused.",
        State::Pending => "It is to be delivered, now or when it is due again.",
        State::Quarantined => "It broke a rule and was set aside. Replay it or drop it.",
    }
}

/// One delivery, whole.
#[derive(Clone, Debug, Serialize)]
pub struct Whole {
    #[serde(flatten)]
    line: Delivery,
    sha256: String,
    fault: Option<Fault>,
    traceparent: String,
    tries: Vec<Try>,
    audit: Vec<Audit>,
    content_type: Option<String>,
    body_kept: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// The members that [`Whole`] has besides those of [`Delivery`].
pub(super) const WHOLE: &[(&str, &str)] = &[
    ("sha256", "The SHA-256 of its bytes, in hex."),
    ("fault", "Which rule of its schema it breaks: `pointer` to the value, and `keyword`."),
    ("traceparent", "The trace context of its request."),
    ("tries", "The attempts in their order: `number`, `at`, `class`, `status`, `took_ms`, `error`."),
    ("audit", "What operators did to it, in order: `at`, `what`."),
    ("content_type", "The content type of its bytes, where they are kept."),
    ("body_kept", "Whether its bytes are kept: without them it cannot be replayed."),
    ("body", "With `?body=1`: its bytes, if they are UTF-8."),
    ("body_base64", "With `?body=1`: its bytes, if they are not."),
];

#[derive(Clone, Debug, Serialize)]
struct Fault {
    pointer: String,
    keyword: String,
}

#[derive(Clone, Debug, Serialize)]
struct Try {
    number: u32,
    at: Timestamp,
    class: &'static str,
    status: Option<u16>,
    took_ms: u64,
    error: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Audit {
    at: Timestamp,
    what: String,
}

/// A source as it runs.
#[derive(Clone, Debug, Serialize)]
pub struct Overview {
    /// Its name.
    pub name: String,
    /// Where its sender posts to.
    pub path: String,
    /// The preset it is described by.
    pub provider: Option<String>,
    /// How its sender proves itself: the kind of each rule.
    pub schemes: Vec<&'static str>,
    /// Whether it is switched on.
    pub active: &'static str,
    /// Whether its checks decide or only count.
    pub mode: &'static str,
    /// Whether its sender waits for the application.
    pub delivery: &'static str,
    /// The upstream it has for events without a route of their own.
    pub upstream: String,
    /// The name of the secret that matched last.
    pub last_secret: Option<String>,
    /// Events since the start, by verdict.
    pub events: BTreeMap<&'static str, u64>,
    /// What waits in the journal; nothing is known where there is none, or where it cannot be read.
    #[serde(flatten)]
    pub waiting: Waiting,
}

/// What of a source waits in the journal.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Waiting {
    /// Events that are to be delivered.
    pub pending: Option<u64>,
    /// Events that nothing more is tried for.
    pub dead: Option<u64>,
    /// Events that were set aside.
    pub quarantined: Option<u64>,
}

/// The members of [`Overview`], and what they mean.
pub(super) const SOURCE: &[(&str, &str)] = &[
    ("name", "Its name."),
    ("path", "Where its sender posts to."),
    ("provider", "The preset it is described by."),
    ("schemes", "How its sender proves itself: the kind of each rule."),
    ("active", "Whether it is switched on: `yes`, `hold`, `drop` or `refuse`."),
    ("mode", "Whether its checks decide (`enforce`) or only count (`observe`)."),
    ("delivery", "Whether its sender waits for the application (`sync`) or not (`queued`)."),
    ("upstream", "The upstream it has for events without a route of their own."),
    ("last_secret", "The name of the secret that matched last, since the start."),
    ("events", "How many events came since the start, by verdict."),
    ("pending", "How many events in the journal are to be delivered; `null` without a journal that can be read."),
    ("dead", "How many events nothing more is tried for."),
    ("quarantined", "How many events were set aside."),
];

impl From<Row> for Delivery {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.0,
            received_at: row.received_at,
            source: row.source,
            event_type: row.event_type,
            webhook_id: row.webhook_id,
            verdict: row.verdict,
            reason: row.reason,
            state: row.state.as_str().to_owned(),
            answer: row.answer,
            upstream: row.upstream,
            attempts: row.attempts,
            last_status: row.last_status,
            bytes: row.bytes,
        }
    }
}

impl Whole {
    /// Everything, and the bytes where they are wanted.
    #[must_use]
    pub fn new(detail: Detail, with_body: bool) -> Self {
        let body = detail.body.as_deref().filter(|_| with_body).map(|bytes| {
            let text = std::str::from_utf8(bytes);
            text.map(str::to_owned).map_err(|_| data_encoding::BASE64.encode(bytes))
        });
        let (text, base64) = body.map_or((None, None), |body| (body.clone().ok(), body.err()));
        Self {
            line: detail.row.into(),
            sha256: detail.digest,
            fault: detail.fault.map(|fault| Fault { pointer: fault.pointer, keyword: fault.keyword }),
            traceparent: detail.traceparent,
            tries: detail.attempts.into_iter().map(Try::from).collect(),
            audit: detail.audit.into_iter().map(|(at, what)| Audit { at, what }).collect(),
            content_type: detail.content_type,
            body_kept: detail.body.is_some(),
            body: text,
            body_base64: base64,
        }
    }
}

impl From<Tried> for Try {
    fn from(tried: Tried) -> Self {
        Self {
            number: tried.number,
            at: tried.at,
            class: tried.class.as_str(),
            status: tried.status,
            took_ms: u64::try_from(tried.took.as_millis()).unwrap_or(u64::MAX),
            error: tried.error,
        }
    }
}

impl Overview {
    /// Adds what the journal counts.
    pub(super) fn count(&mut self, totals: &Totals) {
        let count = |state: State| {
            let counted = totals.entries.iter().find(|(source, of, _)| *source == self.name && *of == state);
            Some(counted.map_or(0, |(_, _, count)| *count))
        };
        let [pending, dead, quarantined] = [State::Pending, State::Dead, State::Quarantined].map(count);
        self.waiting = Waiting { pending, dead, quarantined };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::state::journal::{Class, EntryId, Fault as Broken};

    fn detail(body: &'static [u8]) -> Detail {
        let (at, number, class) = (Timestamp::UNIX_EPOCH, 1, Class::NotSent);
        let row = Row {
            id: EntryId(42),
            received_at: at,
            source: "acme".to_owned(),
            event_type: None,
            webhook_id: "evt_1".to_owned(),
            verdict: "queue".to_owned(),
            reason: None,
            state: State::Dead,
            answer: Some(202),
            upstream: Some("app".to_owned()),
            attempts: 1,
            last_status: None,
            bytes: body.len(),
        };
        Detail {
            row,
            digest: "00".to_owned(),
            fault: Some(Broken { pointer: "/a".to_owned(), keyword: "type".to_owned() }),
            traceparent: "00-1-2-01".to_owned(),
            attempts: vec![Tried { at, number, class, status: None, took: Duration::from_millis(1), error: None }],
            audit: vec![(at, "replayed".to_owned())],
            body: Some(Bytes::from_static(body)),
            content_type: None,
        }
    }

    fn members(document: &impl Serialize) -> Vec<String> {
        let document = serde_json::to_value(document).unwrap();
        let mut names: Vec<_> = document.as_object().unwrap().keys().cloned().collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_is_documented_is_what_is_sent() {
        let check = |mut sent: Vec<String>, documented: &[&[(&str, &str)]]| {
            let mut names: Vec<_> = documented.concat().iter().map(|(name, _)| (*name).to_owned()).collect();
            names.sort_unstable();
            sent.dedup();
            assert_eq!(sent, names);
        };
        check(members(&Delivery::from(detail(b"").row)), &[DELIVERY]);
        let overview = Overview {
            name: "acme".to_owned(),
            path: "/in/acme".to_owned(),
            provider: None,
            schemes: vec!["hmac"],
            active: "yes",
            mode: "enforce",
            delivery: "sync",
            upstream: "app".to_owned(),
            last_secret: None,
            events: BTreeMap::new(),
            waiting: Waiting::default(),
        };
        check(members(&overview), &[SOURCE]);
        let mut whole =
            [members(&Whole::new(detail(b"{}"), true)), members(&Whole::new(detail(b"\xff"), true))].concat();
        whole.sort_unstable();
        check(whole, &[DELIVERY, WHOLE]);
    }

    #[test]
    fn a_body_is_text_or_base64_and_only_on_demand() {
        let check = |body: &'static [u8], with_body: bool, want: [Option<&str>; 2]| {
            let whole = serde_json::to_value(Whole::new(detail(body), with_body)).unwrap();
            assert_eq!([whole.get("body"), whole.get("body_base64")].map(|it| it.and_then(|it| it.as_str())), want);
        };
        check(b"{\"a\":1}", true, [Some("{\"a\":1}"), None]);
        check(b"\xff\x00", true, [None, Some("/wA=")]);
        check(b"{\"a\":1}", false, [None, None]);
    }
}
