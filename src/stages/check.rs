//! Does the event conform? First to the envelope that all events of the source share, then to its type's own schema.

use std::{collections::HashMap, sync::Arc};

use crate::stages::{
    schema::{Schema, Violation},
    split::Event,
    words::{Cause, Verdict},
};

/// The schemas of a source and what happens to events that break them.
#[derive(Clone, Debug, Default)]
pub struct Checker {
    /// For every event.
    pub envelope: Option<Arc<Schema>>,
    /// By event type.
    pub types: HashMap<String, Arc<Schema>>,
    /// For events that break a schema.
    pub on_violation: Policy,
    /// For events of a type the source does not know.
    pub on_unknown: Policy,
}

/// What happens to an event that is not as it should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Acknowledged and gone.
    Drop,
    /// Forwarded all the same.
    #[default]
    Forward,
    /// Acknowledged and set aside.
    Quarantine,
    /// Refused, and the whole request with it.
    Reject,
}

/// An event that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offence {
    /// In which way.
    pub cause: Cause,
    /// Which rule of which schema, where one was broken. Never the value.
    pub violation: Option<Violation>,
}

impl Checker {
    /// Checks one event. `names` are the type's name and the name as sent; `known` says whether the source knows it.
    pub fn check(&self, names: Option<(&str, &str)>, known: bool, event: Event<'_>) -> Result<(), Offence> {
        let shape = if self.types.is_empty() { Cause::Schema } else { Cause::Envelope };
        if event.is_hollow() {
            return Err(Offence { cause: shape, violation: None });
        }
        if let Some(envelope) = &self.envelope {
            envelope.check(event.value()).map_err(|violation| Offence { cause: shape, violation: Some(violation) })?;
        }
        if !known {
            return Err(Offence { cause: Cause::UnknownEventType, violation: None });
        }
        let schema = names.and_then(|(name, sent)| self.types.get(sent).or_else(|| self.types.get(name)));
        schema.map_or(Ok(()), |schema| {
            let broken = |violation| Offence { cause: Cause::Schema, violation: Some(violation) };
            schema.check(event.value()).map_err(broken)
        })
    }

    /// The rule for this kind of offence.
    pub fn policy(&self, cause: Cause) -> Policy {
        match cause {
            Cause::UnknownEventType => self.on_unknown,
            Cause::Conflict
            | Cause::Envelope
            | Cause::IdentityMissing
            | Cause::Inactive
            | Cause::Schema
            | Cause::Tenant
            | Cause::Unwanted => self.on_violation,
        }
    }
}

impl Policy {
    /// The verdict, or nothing when the event goes on.
    pub fn verdict(self, cause: Cause) -> Option<Verdict> {
        match self {
            Self::Drop => Some(Verdict::Drop(cause)),
            Self::Forward => None,
            Self::Quarantine => Some(Verdict::Quarantine(cause)),
            Self::Reject => Some(Verdict::Reject(cause)),
        }
    }
}
