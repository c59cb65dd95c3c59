//! What signatures have in common: where they are, what they sign, and when.

use super::{Context, text::is_part_of};
use crate::{
    config::{
        At,
        raw::auth::{Encoding, Kind, Prefix, Rule, Unit},
    },
    stages::{
        schemes::{
            Strength,
            signature::{self, Format, Items},
            window::{self, Window},
        },
        selector::{Place, Selector},
        template::{Condition, Piece, Template},
    },
};

/// A tolerance above this is worth a warning, in seconds: an hour.
const TOLERANCE_WARN_SECONDS: u64 = 3600;

impl Context<'_> {
    pub(super) fn format(&mut self, rule: &Rule) -> Option<Format> {
        let Some(signature) = &rule.signature else {
            let help = "add `signature = { from = \"header:NAME\" }`";
            self.error(&rule.kind.key, "the rule does not say where the signature or token is", help);
            return None;
        };
        if signature.from.is_empty() {
            self.error(&signature.at, "it does not say where it is", "add `from = \"header:NAME\"`");
            return None;
        }
        let from = self.selectors(&signature.from)?;
        let items = match (&signature.split, &signature.pair) {
            (None, None) if signature.groups.is_none() => None,
            (Some(split), Some(pair)) if !split.is_empty() && !pair.is_empty() && !signature.take.is_empty() => {
                let take = signature.take.iter().map(|name| name.value.clone()).collect();
                let groups = signature.groups.as_ref().map(|groups| groups.value.clone()).filter(|it| !it.is_empty());
                let (split, pair) = (split.value.clone(), pair.value.clone());
                Some(Items { split, pair, take, trim: signature.trim.value.clone(), groups })
            }
            _ => {
                let help = "write all three: `split = \",\", pair = \"=\", take = [\"v1\"]`";
                self.error(
                    &signature.at,
                    "`split`, `pair` and `take` belong together, and `groups` goes with them",
                    help,
                );
                return None;
            }
        };
        let prefix = match &signature.prefix.value {
            Prefix::Required(text) => signature::Prefix::Fixed(text.clone()),
            Prefix::Optional(text) => signature::Prefix::Optional(text.clone()),
        };
        let encoding = match signature.encoding.value {
            Encoding::Hex => signature::Encoding::Hex,
            Encoding::Base64 => signature::Encoding::Base64,
            Encoding::Base64url => signature::Encoding::Base64Url,
            Encoding::Auto => signature::Encoding::Auto,
        };
        Some(Format { from, any_of: signature.any_of.value, items, prefix, encoding })
    }

    pub(super) fn messages(&mut self, rule: &Rule) -> Option<Vec<Template>> {
        if rule.message.is_empty() {
            self.error(&rule.kind.key, "the rule does not say what is signed", "add `message = \"{body}\"`");
            return None;
        }
        let messages: Vec<_> = rule.message.iter().map(|message| self.message(rule, message)).collect();
        messages.into_iter().collect()
    }

    /// A signed text whose parts cannot run into each other (W-39).
    fn message(&mut self, rule: &Rule, written: &At<crate::config::Template>) -> Option<Template> {
        let keyed = rule.kind.value == Kind::Digest;
        let template = if keyed { self.template_with_secret(written)? } else { self.template(written)? };
        if keyed && !template.selectors().any(|part| part.place == Place::Secret) {
            self.error(&written.key, "anybody can compute this: there is no secret in it", "put `{secret}` into it");
            return None;
        }
        if self.surroundings.strict
            && keyed
            && matches!(template.pieces().first(), Some(Piece::Value(first)) if first.place == Place::Secret)
        {
            let help = "where the sender has an `hmac`, or puts the secret at the end, prefer that";
            self.warn(&written.key, "who has seen one digest can compute others, of longer texts", help);
        }
        let times = rule.time.as_ref().map_or(Some(Vec::new()), |time| self.selectors(&time.from))?;
        for pair in template.pieces().windows(2) {
            if let [Piece::Value(first), Piece::Value(second)] = pair
                && !rule.allow_side_by_side.value
                && !has_an_edge(first, second, &times)
            {
                let message =
                    format!("`{first:?}` and `{second:?}` stand side by side: two requests could have one signed text");
                let help = "put a character between them that the first cannot contain; if the sender signs without \
                            one, write `allow_side_by_side = true`";
                self.error(&written.key, message, help);
                return None;
            }
        }
        Some(template)
    }

    #[expect(clippy::option_option, reason = "nothing wrong, and then perhaps no window")]
    pub(super) fn window(&mut self, rule: &Rule) -> Option<Option<Window>> {
        let Some(time) = &rule.time else { return Some(None) };
        let future = time.future.value.0;
        for (key, tolerance) in [(&time.past.key, Some(time.past.value)), (&time.future.key, future)] {
            let Some(tolerance) = tolerance else { continue };
            if tolerance.is_zero() {
                let help =
                    "write how far the clocks may differ, for example \"5m\"; to check no time, leave `time` out";
                self.error(key, "a tolerance of nothing refuses everything", help);
                return None;
            }
            if tolerance.as_secs() > TOLERANCE_WARN_SECONDS {
                self.warn(
                    key,
                    "this is longer than an hour",
                    "a captured request can be replayed for that long, but for the dedup window",
                );
            }
        }
        let unit = match time.unit.value {
            Unit::Seconds => window::Unit::Seconds,
            Unit::Milliseconds => window::Unit::Milliseconds,
            Unit::Rfc3339 => window::Unit::Rfc3339,
        };
        let from = self.selectors(&time.from)?;
        self.tolerance = self.tolerance.max(time.past.value.max(future.unwrap_or_default()));
        Some(Some(Window { from, unit, past: time.past.value, future }))
    }

    /// What a right signature binds; a time that is checked must be bound too (W-40).
    pub(super) fn strength(&mut self, rule: &Rule, messages: &[Template], window: Option<&Window>) -> Option<Strength> {
        if let (Some(window), Some(written)) = (window, rule.time.as_ref().and_then(|time| time.from.first()))
            && !rule.allow_unsigned_time.value
            && !messages.iter().all(|message| has_signed_time(window, message))
        {
            let help = "put it into `message`, or leave `time` out: anybody could set a fresh time on an old request";
            self.error(&written.key, "this time is not part of what is signed", help);
            return None;
        }
        for message in messages {
            let parts = message.selectors().map(|part| (part.clone(), rule.each.is_some()));
            self.signed.extend(parts);
        }
        let require = self.conditions(&rule.require)?;
        let whole = messages.iter().all(|message| binds_body(message, &require));
        let part = messages.iter().all(|message| message.selectors().any(Selector::is_in_body));
        Some(match (whole, part) {
            (true, _) if rule.each.is_none() => Strength::Verified,
            (true, _) | (false, true) => Strength::Partial,
            (false, false) => Strength::Token,
        })
    }
}

/// Whether one sees where the first value ends and the second begins: one of them is always the same, or a time whose
/// window leaves it one length, or the first is a method, which holds no character of the URL's scheme.
fn has_an_edge(first: &Selector, second: &Selector, times: &[Selector]) -> bool {
    let is_known = |part: &Selector| part.is_fixed() || times.contains(part);
    is_known(first) || is_known(second) || (first.place == Place::Method && second.place == Place::Url)
}

/// Whether every time that may be taken is signed, or is absent from requests of this message: of several names for
/// one time, a message has one.
fn has_signed_time(window: &Window, message: &Template) -> bool {
    let covers = |wanted: &Selector| message.selectors().any(|part| is_part_of(wanted, part));
    match window.from.as_slice() {
        [only] => covers(only),
        several => several.iter().any(covers),
    }
}

/// Whether the whole body is signed, by itself or by a digest that is, or can only be one text.
fn binds_body(message: &Template, require: &[Condition]) -> bool {
    let is_signed = |wanted: &Selector| message.selectors().any(|part| is_part_of(wanted, part));
    let bound = |condition: &Condition| match condition {
        Condition::Same(one, other) => (other.binds_body() && is_signed(one)) || (one.binds_body() && is_signed(other)),
        Condition::Equal(one, _) => one.place == Place::Body && one.transforms.is_empty(),
        Condition::Absent(_)
        | Condition::Any(_)
        | Condition::Matches(..)
        | Condition::OneOf(..)
        | Condition::Present(_) => false,
    };
    message.selectors().any(Selector::binds_body) || require.iter().any(bound)
}
