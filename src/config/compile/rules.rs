//! The rules of a source, together.

use super::{Context, auth::Secrets};
use crate::{
    config::{Key, raw::auth::Kind},
    secret::Secret,
    stages::{authenticate::Rule, template::Condition},
};

/// A rule and the secret that satisfies it.
type Satisfied = (Rule, Option<Secret>);

impl Context<'_> {
    /// The rules of authentication, each with the secret that satisfies it.
    pub(super) fn rules(&mut self, secrets: &Secrets) -> Option<Vec<Satisfied>> {
        let written = self.written;
        if written.auth.is_empty() {
            let help = "name a preset with `provider = …`, or describe the sender with `[[sources.NAME.auth]]`";
            self.error(&written.at, "the source does not say how its sender proves itself", help);
            return None;
        }
        let (mut rules, mut keys) = (Vec::new(), Vec::new());
        for rule in &written.auth {
            // A condition on settings alone chooses between rules now, and no request can change that.
            if self.conditions(&rule.when)?.iter().any(|condition| condition.decided() == Some(false)) {
                continue;
            }
            rules.push(self.rule(rule, secrets)?);
            keys.push(rule.kind.key.clone());
        }
        if rules.is_empty() {
            self.error(&written.at, "with these settings no rule of the source applies", "look at their `when`");
            return None;
        }
        let open = written.auth.iter().find(|rule| rule.kind.value == Kind::None);
        if let Some(rule) = open {
            if written.auth.len() > 1 {
                self.error(&rule.kind.key, "`none` stands beside other rules", "leave it out: all rules must verify");
            } else if !written.allow_unauthenticated.value {
                let help = "give it a scheme and secrets, or write `allow_unauthenticated = true` if anybody may send";
                self.error(&rule.kind.key.clone(), "the source has no authentication", help);
            } else {
                self.warn(
                    &written.allow_unauthenticated.key,
                    "anybody can send events to this source",
                    "restrict it with `allow`, at least",
                );
            }
        }
        self.weaker_choice(&rules, &keys)?;
        for (name, source) in &written.require_headers {
            rules.push(self.required_header(&name.0, source)?);
        }
        Some(rules)
    }

    /// Where no rule always applies, the sender chooses among them: then it must be one of them that applies, and none
    /// may bind less than another (W-18).
    fn weaker_choice(&mut self, rules: &[Satisfied], keys: &[Key]) -> Option<()> {
        if rules.iter().any(|(rule, _)| rule.when.is_empty()) {
            return Some(());
        }
        for (index, ((second, _), key)) in rules.iter().zip(keys).enumerate() {
            for (first, _) in &rules[..index] {
                let apart =
                    first.when.iter().any(|one| second.when.iter().any(|other: &Condition| one.excludes(other)));
                if !apart {
                    let help = "make their `when` exclude each other, or keep the stronger rule only";
                    self.error(
                        key,
                        "a sender could choose between this rule and another, or satisfy one of them",
                        help,
                    );
                    return None;
                }
                let (one, other) = (&first.scheme, &second.scheme);
                if one.strength() != other.strength() || one.window().is_some() != other.window().is_some() {
                    let help = "keep the stronger rule only: a forger would ask for the weaker one";
                    self.error(key, "this rule and another do not protect the same, and the sender could choose", help);
                    return None;
                }
            }
        }
        Some(())
    }
}
