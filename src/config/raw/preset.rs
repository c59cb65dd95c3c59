//! A preset: what is known of a sender, in the language of a source.

use std::{collections::BTreeMap, time::Duration};

use crate::config::{
    key::At,
    raw::{
        auth::{Handshake, Rule},
        events::{Dedup, Delivery, Events, Limit, Reply, Schema},
        secret::SettingValue,
    },
    table::{Many, Named, table},
    values::{MediaType, Plain, Size},
};

table! {
    /// A preset. What it shares with a source is taken over by every source that names it, unless the source says otherwise.
    Preset {
        /// The sender's name.
        name: At<String>,
        /// The sender's documentation.
        documentation: Many<At<String>> = "[]",
        /// What the sender does when authentic requests are answered with errors, where that is drastic: said by `check`.
        punishes_errors: Option<At<String>>,
        /// The scheme of a source that names none. Absent: the only one.
        default_scheme: Option<At<String>>,
        /// The ways the sender can prove itself, where there are several or where they need settings.
        schemes: Named<Scheme> = "{}",
        /// What the operator has to say, whatever the scheme.
        settings: BTreeMap<String, Declaration> = "{}",
        /// As in a source, like all that follows.
        max_body: Option<At<Size>>,
        /// As in a source.
        deadline: Option<At<Duration>>,
        /// As in a source.
        content_types: Option<Many<At<MediaType>>>,
        /// As in a source.
        auth: Vec<Rule> = "[]",
        /// As in a source.
        handshake: Vec<Handshake> = "[]",
        /// As in a source.
        events: Events = "{}",
        /// As in a source.
        schema: Option<Schema>,
        /// As in a source.
        dedup: Dedup = "{}",
        /// As in a source.
        limit: Option<Limit>,
        /// As in a source.
        delivery: Delivery = "{}",
        /// As in a source.
        reply: Reply = "{}",
    }

    /// One way the sender can prove itself.
    Scheme {
        /// What it is, and when the sender uses it.
        about: Option<At<String>>,
        /// As in a source.
        auth: Vec<Rule>,
        /// What the operator has to say for this scheme.
        settings: BTreeMap<String, Declaration> = "{}",
    }

    /// Something the operator has to say.
    Declaration {
        /// What it is, and where to find it at the sender.
        about: At<String>,
        /// Whether it must be said.
        required: At<bool> = "false",
        /// What it is when nothing is said.
        default: Option<At<SettingValue>>,
        /// The values it may have. Empty: any.
        values: Vec<At<Plain>> = "[]",
        /// Whether it is a secret.
        secret: At<bool> = "false",
    }
}
