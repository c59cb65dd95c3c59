//! What becomes of events. Sources and presets share these tables.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use crate::config::{
    diagnostics::Diagnostics,
    key::At,
    node::{Node, Value},
    table::{FromConfig, Many, Shape, table, words},
    values::{Glob, Header, Number, Plain, Pointer, Rate, Selector, Template},
};

table! {
    /// Where the events of a request are, and what is known of each.
    Events {
        /// Where the arrays of events are; `""`: the body is an array or one object. `*` stands for every element of an array,
        /// or for a run of characters of a key: `/entry/*/changes`. Absent: the body is one event.
        split: Option<Many<At<Pointer>>>,
        /// Where the event is in each element of the array; with `*` for the only member of an object.
        unwrap: At<Pointer> = r#""""#,
        /// How many events one request may bring; one with more is refused with 413.
        max_events: At<Number<1, 10_000>> = "1_000",
        /// Whether the body has one JSON value on each line.
        lines: At<bool> = "false",
        /// Whether a form is an event. Its fields are looked at as members of an object, and the form is forwarded as it is.
        forms: At<bool> = "false",
        /// The fields of a form that hold JSON: where there is one, the events are in it.
        form_json: Many<At<String>> = "[]",
        /// Its type: the first selector that finds something.
        r#type: Many<At<Selector>> = "[]",
        /// What makes it the same event when it comes again: all of these must be there. A list of lists: the first of which
        /// all are there.
        id: Identities = "[]",
        /// When it happened: `hooksieve explain` says how old events are. Nothing is decided by it.
        time: Option<At<Selector>>,
        /// Other names of event types: what is written, and what it is read as.
        aliases: BTreeMap<String, At<String>> = "{}",
        /// The event types that are wanted. Empty: all.
        allow: Many<At<Glob>> = "[]",
        /// The event types that are not wanted.
        deny: Many<At<Glob>> = "[]",
        /// The values that are wanted: a pointer into the event, and the list of values it may find.
        r#where: BTreeMap<Pointer, Many<At<Plain>>> = "{}",
        /// What becomes of an event that is not wanted.
        on_filtered: At<OnFiltered> = r#""drop""#,
    }

    /// Which events are sound.
    Schema {
        /// A directory with a schema for each type, `TYPE.json`, and `envelope.json` for all of them.
        directory: Option<At<PathBuf>>,
        /// The schema of a type, where it is not in the directory under its name.
        files: BTreeMap<String, At<PathBuf>> = "{}",
        /// What becomes of an event that breaks its schema.
        on_violation: At<OnViolation> = r#""reject""#,
        /// What becomes of an event whose type is not known.
        on_unknown: At<OnViolation> = r#""forward""#,
        /// The types that are known without a schema of their own.
        known: Many<At<String>> = "[]",
    }

    /// Which events have been here before.
    Dedup {
        /// Whether repeats are looked for.
        enabled: At<bool> = "true",
        /// How long a delivered event is remembered: at least twice the tolerance of the signed time and the lease. One
        /// that is queued is known for as long as it waits.
        window: At<Duration> = r#""24h""#,
        /// What becomes of an event that lacks a part of its identity.
        on_missing: At<OnMissing> = r#""digest""#,
        /// What becomes of a request when the store does not answer.
        on_store_error: At<OnStoreError> = r#""refuse""#,
        /// What becomes of an event that has the identity of another but other bytes.
        on_conflict: At<OnConflict> = r#""forward""#,
        /// How long an event may be on its way before another attempt may start. Absent: the upstream's timeout and 5 seconds.
        lease: Option<At<Duration>>,
        /// How long a repeat waits for the outcome of the first.
        join_timeout: At<Duration> = r#""2s""#,
    }

    /// How many authentic requests a source takes.
    Limit {
        /// How many, in how much time.
        rate: At<Rate>,
        /// How many at once. Absent: as many as `rate` says.
        burst: Option<At<Number<1, 1_000_000>>>,
        /// One limit for each value of these selectors; `type` is the event type. Empty: one for the source.
        by: Many<At<Selector>> = "[]",
    }

    /// How events get to the upstream.
    Delivery {
        /// Whether the sender waits.
        mode: At<DeliveryMode> = r#""sync""#,
        /// What is sent for a request with several events.
        batch: At<Batch> = r#""events""#,
        /// How many events of one request may be under way at once.
        concurrency: At<Number<1, 1024>> = "8",
        /// Other upstreams for some event types.
        routes: BTreeMap<Glob, At<String>> = "{}",
        /// Events with the same values of these selectors are delivered one after the other, and one that fails holds up those after it until it is delivered or given up. In `sync` mode the events of one request wait for each other, whatever their values.
        ordered: Many<At<Selector>> = "[]",
        /// Whether the sender gets the application's own 2xx body: single events in `sync` mode only.
        relay: At<bool> = "false",
        /// The pauses between the attempts at a queued event.
        backoff: Backoff = "{}",
        /// How long a queued event is tried before it is given up as dead, without the time that the gateway was down.
        give_up: At<Duration> = r#""24h""#,
        /// How often it is tried at most. Absent: as often as `give_up` leaves time for.
        attempts: Option<At<Number<1, 1_000>>>,
        /// Statuses of the application that end an event at once, because they will not change.
        give_up_on: Many<At<Number<300, 599>>> = "[410]",
    }

    /// The pauses between attempts: each is drawn from nothing to a length that doubles with every failure.
    Backoff {
        /// The length after the first failure.
        first: At<Duration> = r#""5s""#,
        /// The greatest length. A longer `Retry-After` of the application is cut to it.
        max: At<Duration> = r#""1h""#,
    }

    /// What the sender is told.
    Reply {
        /// What an accepted request is answered with. Absent: 200 and the number of events per verdict.
        success: Option<Success>,
        /// The status of a request that fails authentication.
        unauthenticated: At<Number<400, 499>> = "401",
        /// Whether refusals have no body, for senders that take one amiss.
        quiet: At<bool> = "false",
    }

    /// What an accepted request is answered with.
    Success {
        /// The status.
        status: At<Number<200, 299>> = "200",
        /// The headers.
        headers: BTreeMap<Header, At<Template>> = "{}",
        /// The body.
        body: At<Template> = r#""""#,
    }
}

/// Selectors that identify an event together, or several such lists, of which the first that is complete counts.
#[derive(Clone, Debug)]
pub struct Identities(pub Vec<Many<At<Selector>>>);

impl FromConfig for Identities {
    fn read(node: &Node, found: &mut Diagnostics) -> Option<Self> {
        let structured = node.structured();
        let Value::List(items) = &structured.value else { return Many::read(node, found).map(|it| Self(vec![it])) };
        if items.iter().any(|item| matches!(item.value, Value::List(_))) {
            return Vec::read(&structured, found).map(Self);
        }
        if items.is_empty() { Some(Self(Vec::new())) } else { Many::read(node, found).map(|it| Self(vec![it])) }
    }

    fn shape() -> Shape {
        Shape::Leaf("a selector, a list of them, or a list of such lists".to_owned())
    }
}

words! {
    /// What becomes of an event that is not wanted.
    OnFiltered {
        /// It is acknowledged and forgotten.
        Drop = "drop",
        /// It is acknowledged and set aside.
        Quarantine = "quarantine",
        /// It is forwarded all the same, and counted.
        Forward = "forward",
    }

    /// What becomes of an event that breaks a rule.
    OnViolation {
        /// The whole request is refused with 422, and nothing of it is forwarded.
        Reject = "reject",
        /// It is acknowledged and set aside.
        Quarantine = "quarantine",
        /// It is acknowledged and forgotten.
        Drop = "drop",
        /// It is forwarded all the same, and counted.
        Forward = "forward",
    }

    /// What becomes of an event without identity.
    OnMissing {
        /// The SHA-256 of its bytes is its identity.
        Digest = "digest",
        /// It is forwarded and not remembered.
        Forward = "forward",
        /// It is rejected.
        Reject = "reject",
    }

    /// What becomes of a request when the dedup store does not answer.
    OnStoreError {
        /// It is refused with 503, so that the sender tries again.
        Refuse = "refuse",
        /// It is forwarded, though it may have been here before.
        Forward = "forward",
    }

    /// What becomes of an event that has the identity of another but other bytes.
    OnConflict {
        /// It is forwarded as an event of its own, and counted.
        Forward = "forward",
        /// It is acknowledged and set aside.
        Quarantine = "quarantine",
    }

    /// Whether the sender waits for the delivery.
    DeliveryMode {
        /// It waits, and its status follows the application.
        Sync = "sync",
        /// It does not: the event is in the journal and delivered in the background.
        Queued = "queued",
    }

    /// What is sent for a request with several events.
    Batch {
        /// One request for each event.
        Events = "events",
        /// One request with an array of the clean ones.
        Array = "array",
    }
}
