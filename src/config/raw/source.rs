//! A source: the path a sender posts to, who that sender is, and what becomes of its events.

use std::{collections::BTreeMap, time::Duration};

use crate::config::{
    diagnostics::Diagnostics,
    key::At,
    node::{Node, Value},
    raw::{
        auth::{Handshake, Rule},
        events::{Dedup, Delivery, Events, Limit, Reply, Schema},
        secret::{SecretSource, SettingValue},
    },
    table::{FromConfig, Many, Shape, table, words},
    values::{Cidr, Header, MediaType, RequestPath, Size},
};

table! {
    /// A sender: the path it posts to, how it proves itself, and what becomes of its events.
    Source {
        /// The path, byte for byte as the sender must request it.
        path: At<RequestPath>,
        /// The preset that describes the sender; `hooksieve presets` lists them. Absent: this table describes it.
        provider: Option<At<String>>,
        /// Which of the preset's schemes, where it has several.
        scheme: Option<At<String>>,
        /// What the scheme verifies with: shared secrets, tokens or public keys. Any of them may match. At most 8.
        secrets: Many<SecretSource> = "[]",
        /// What the preset asks for; `hooksieve presets show ID` says what that is.
        settings: BTreeMap<String, At<SettingValue>> = "{}",
        /// The upstream that gets the events.
        upstream: At<String>,
        /// Whether requests are taken: `true`; `false` or `"refuse"` (503), `"hold"` (kept in the journal), `"drop"` (2xx, not kept).
        active: At<Active> = "true",
        /// How large a body may be.
        max_body: At<Size> = r#""1MiB""#,
        /// How long the sender may have to wait for the whole answer.
        deadline: At<Duration> = r#""9s""#,
        /// Whether findings are acted on.
        mode: At<Mode> = r#""enforce""#,
        /// The client addresses that may use this source. Empty: all.
        allow: Many<At<Cidr>> = "[]",
        /// Must be `true` for a source that has no authentication.
        allow_unauthenticated: At<bool> = "false",
        /// Takes secrets shorter than 16 bytes.
        allow_weak_secret: At<bool> = "false",
        /// Fixed headers demanded besides the signature: compared like secrets, and not forwarded.
        require_headers: BTreeMap<Header, SecretSource> = "{}",
        /// The media types that are taken.
        content_types: Many<At<MediaType>> = r#"["application/json", "application/*+json"]"#,
        /// How the sender proves itself. Every rule that applies must verify.
        auth: Vec<Rule> = "[]",
        /// The sender's challenges and tests, answered by the gateway.
        handshake: Vec<Handshake> = "[]",
        /// Where the events of a request are, and what is known of each.
        events: Events = "{}",
        /// Which events are sound.
        schema: Option<Schema>,
        /// Which events have been here before.
        dedup: Dedup = "{}",
        /// How many authentic requests the source takes.
        limit: Option<Limit>,
        /// How events get to the upstream.
        delivery: Delivery = "{}",
        /// What the sender is told.
        reply: Reply = "{}",
    }
}

words! {
    /// Whether findings are acted on.
    Mode {
        /// They are.
        Enforce = "enforce",
        /// Every check runs and is counted, but only failed authentication refuses a request.
        Observe = "observe",
    }
}

/// Whether a source takes requests, and what it does with them otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Active {
    /// It takes them.
    Yes,
    /// Authentic requests are kept in the journal until the source is active again.
    Hold,
    /// Authentic requests are answered with a 2xx and dropped.
    Drop,
    /// Requests are refused, so that the sender tries again.
    Refuse,
}

impl FromConfig for Active {
    fn read(node: &Node, found: &mut Diagnostics) -> Option<Self> {
        match &node.structured().value {
            Value::Boolean(true) => return Some(Self::Yes),
            Value::Boolean(false) => return Some(Self::Refuse),
            Value::Text(word) => match word.as_str() {
                "hold" => return Some(Self::Hold),
                "drop" => return Some(Self::Drop),
                "refuse" => return Some(Self::Refuse),
                _ => {}
            },
            Value::Integer(_) | Value::Float | Value::Datetime(_) | Value::List(_) | Value::Table(_) => {}
        }
        node.mistyped("true, false, \"hold\", \"drop\" or \"refuse\"", "", found);
        None
    }

    fn shape() -> Shape {
        Shape::Leaf("`true`, `false`, `\"hold\"`, `\"drop\"` or `\"refuse\"`".to_owned())
    }
}
