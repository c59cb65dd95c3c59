//! Handshakes: from words to rules.

use regex::bytes::Regex;

use super::{Context, auth::Secrets};
use crate::{
    config::{
        At,
        raw::auth::{Handshake, Proof, Subject},
    },
    stages::{
        greet::{self, Asker, ChoreRule, Guard, Reply, Scope},
        schemes::{hmac::EmptyKey, token::Fingerprint},
        selector::Place,
    },
};

/// What an echoed value may look like where the rule says nothing (H-01).
const GUARD_ECHO: &str = r"[A-Za-z0-9_.=-]{1,256}";

/// What a signed value may look like where the rule says nothing: never the bytes of an event (H-06).
const GUARD_SIGNED: &str = r"[A-Za-z0-9_=-]{1,128}";

impl Context<'_> {
    #[expect(clippy::option_option, reason = "nothing wrong, and then perhaps no rule")]
    /// A handshake rule; `Some(None)` when the operator has not switched it on.
    pub(super) fn handshake(&mut self, rule: &Handshake, secrets: &Secrets) -> Option<Option<greet::Handshake>> {
        if let Some(switch) = &rule.only_with
            && !self.switched_on(&switch.value)
        {
            return Some(None);
        }
        let method = rule.method.value.0.parse().ok()?;
        let when = self.conditions(&rule.when)?;
        let scope = match rule.on.value {
            Subject::Event => Scope::Event,
            Subject::Request => Scope::Request,
        };
        let auth = match (rule.auth.value, &rule.token) {
            (Proof::None, None) => Asker::Anybody,
            (Proof::Signature, None) => Asker::Sender,
            (Proof::Secret, Some(token)) => {
                let own = (!rule.secrets.is_empty()).then(|| self.secrets(&rule.secrets));
                let keys = own.as_ref().unwrap_or(secrets);
                if keys.is_empty() {
                    if !self.secrets_missing {
                        let help = "add `secrets` to it";
                        self.error(&rule.auth.key, "the handshake has no secret to compare with", help);
                    }
                    return None;
                }
                let keys = keys.iter().map(|named| named.map(|secret| Ok::<_, EmptyKey>(Fingerprint::of(secret))));
                Asker::Secret { token: self.selector(token)?, keys: keys.collect::<Result<_, _>>().ok()? }
            }
            (Proof::Secret, None) => {
                self.error(
                    &rule.auth.key,
                    "the handshake does not say where its secret is",
                    "add `token = \"query:NAME\"`",
                );
                return None;
            }
            (Proof::None | Proof::Signature, Some(token)) => {
                self.error(
                    &token.key,
                    "`token` is for `auth = \"secret\"` only",
                    "write `auth = \"secret\"`, or leave `token` out",
                );
                return None;
            }
        };
        let status = rule.reply.status.status();
        let body = self.template(&rule.reply.body)?;
        let mut headers = Vec::new();
        for (name, template) in &rule.reply.headers {
            headers.push((name.0.clone(), self.template(template)?));
        }
        let reply = Reply { status, headers, body };
        let guards = self.guards(rule, &reply)?;
        let chore = self.chore(rule)?;
        let require = self.conditions(&rule.require)?;
        let otherwise = rule.otherwise.as_ref().map(|status| status.status());
        Some(Some(greet::Handshake { method, scope, when, auth, require, guards, otherwise, chore, reply }))
    }

    #[expect(clippy::option_option, reason = "nothing wrong, and then perhaps nothing to do")]
    /// What is done before the answer is given, by whoever may ask for it.
    fn chore(&mut self, rule: &Handshake) -> Option<Option<ChoreRule>> {
        let of_request = rule.on.value == Subject::Request;
        match (&rule.confirm, &rule.learn) {
            (None, None) => Some(None),
            (Some(confirm), None) if of_request && rule.auth.value == Proof::Signature => {
                Some(Some(ChoreRule::Visit(self.confirmation(confirm)?)))
            }
            (None, Some(learn)) if of_request && rule.auth.value == Proof::None => {
                Some(Some(ChoreRule::Learn(self.selector(learn)?)))
            }
            (Some(confirm), _) => {
                let help = "write `auth = \"signature\"`, and leave `on` and `learn` out";
                self.error(&confirm.at, "strangers could have addresses visited", help);
                None
            }
            (None, Some(learn)) => {
                let help = "write `auth = \"none\"`, and leave `on` out";
                self.error(&learn.key, "who hands a secret over cannot prove anything yet", help);
                None
            }
        }
    }

    /// Everything that is sent back has a shape: the rule's, or a safe one.
    fn guards(&mut self, rule: &Handshake, reply: &Reply) -> Option<Vec<Guard>> {
        let mut guards: Vec<Guard> = Vec::new();
        for (selector, pattern) in &rule.guard {
            let at = At { value: selector.clone(), key: pattern.key.clone() };
            let shape = Regex::new(&pattern.value.0)
                .map_err(|error| {
                    self.error(
                        &pattern.key,
                        format!("this is not a regular expression: {error}"),
                        "look-around and back-references are not supported",
                    );
                })
                .ok()?;
            guards.push(Guard { value: self.selector(&at)?, shape, is_no_json: false });
        }
        let echoed = reply.headers.iter().flat_map(|(_, template)| template.selectors()).chain(reply.body.selectors());
        for selector in echoed {
            let plain = selector.plain();
            if matches!(plain.place, Place::Text(_)) || guards.iter().any(|guard| guard.value.place == plain.place) {
                continue;
            }
            let is_keyed = selector.is_keyed();
            let shape = Regex::new(if is_keyed { GUARD_SIGNED } else { GUARD_ECHO });
            let shape = shape.expect("a constant that tests compile");
            guards.push(Guard { value: plain, shape, is_no_json: is_keyed });
        }
        Some(guards)
    }
}
