//! Rules of authentication and handshakes: from words to schemes.

use std::sync::Arc;

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use http::HeaderName;
use regex::bytes::Regex;

use super::{Context, text::is_part_of};
use crate::{
    config::{
        At,
        raw::{
            auth::{
                Condition as RawCondition, Decode, Encoding, Handshake, Hash, Kind, Prefix, Proof, Rule, Subject, Unit,
            },
            secret::{SecretSource, SettingValue},
        },
    },
    secret::Secret,
    stages::{
        authenticate,
        greet::{self, Asker, Reply, Scope},
        schemes::{
            Named, Scheme, Strength,
            hmac::{self, EmptyKey, Hmac, Key},
            rsa::{PublicKey, Rsa},
            signature::{self, Format, Items},
            token::{Fingerprint, Token},
            window::{self, Window},
        },
        selector::{Place, Selector},
        template::{Condition, Piece, Template},
    },
};

/// A tolerance above this is worth a warning, in seconds: an hour.
const TOLERANCE_WARN_SECONDS: u64 = 3600;

/// What an echoed value may look like where the rule says nothing (H-01).
const GUARD_ECHO: &str = r"[A-Za-z0-9_.=-]{1,256}";

/// What a signed value may look like where the rule says nothing: never the bytes of an event (H-06).
const GUARD_SIGNED: &str = r"[A-Za-z0-9_=-]{1,128}";

/// A source's secrets with the operator's names.
pub(super) type Secrets = Vec<Named<Secret>>;

impl Context<'_> {
    /// One rule, and the first secret that satisfies it. `None` when there is something wrong with it.
    pub(super) fn rule(&mut self, rule: &Rule, secrets: &Secrets) -> Option<(authenticate::Rule, Option<Secret>)> {
        let when = self.conditions(&rule.when);
        let own = (!rule.secrets.is_empty()).then(|| self.secrets(&rule.secrets));
        let secrets = own.as_ref().unwrap_or(secrets);
        if secrets.is_empty() && rule.kind.value != Kind::None {
            if !self.secrets_missing {
                let help = "add `secrets = [{ env = \"NAME\" }]` or `secrets = [{ file = \"PATH\" }]`";
                self.error(&rule.kind.key, "this rule has no secret to verify with", help);
            }
            return None;
        }
        let scheme = match rule.kind.value {
            Kind::None => Scheme::None,
            Kind::Token => Scheme::Token(self.token(rule, secrets)?),
            Kind::Hmac => Scheme::Hmac(self.hmac(rule, secrets)?),
            Kind::Rsa => Scheme::Rsa(self.rsa(rule, secrets)?),
            Kind::Digest | Kind::Basic | Kind::Ed25519 | Kind::Ecdsa | Kind::Jwt | Kind::Jws => {
                let help = "this version verifies `hmac`, `token`, `rsa` and `none`";
                self.error(&rule.kind.key, "this kind is not supported yet", help);
                return None;
            }
        };
        Some((authenticate::Rule { when: when?, scheme }, secrets.first().map(|named| named.key.clone())))
    }

    /// A fixed header that is demanded besides the signature: a token of its own.
    pub(super) fn required_header(
        &mut self,
        name: &HeaderName,
        source: &SecretSource,
    ) -> Option<(authenticate::Rule, Option<Secret>)> {
        let secret = self.surroundings.vault(true).fixed(source, self.found)?;
        let from = vec![Selector::header(name.clone())];
        let until = source.until.as_ref().map(|until| until.value);
        let key = Named { name: Arc::from(name.as_str()), until, key: Fingerprint::of(&secret) };
        let token = Token { from, prefix: signature::Prefix::NONE, keys: vec![key] };
        Some((authenticate::Rule { when: Vec::new(), scheme: Scheme::Token(token) }, Some(secret)))
    }

    fn token(&mut self, rule: &Rule, secrets: &Secrets) -> Option<Token> {
        let format = self.format(rule)?;
        let keys = secrets.iter().map(|named| named.map(|secret| Ok::<_, EmptyKey>(Fingerprint::of(secret)))).collect();
        Some(Token { from: format.from, prefix: format.prefix, keys: Result::ok(keys)? })
    }

    fn hmac(&mut self, rule: &Rule, secrets: &Secrets) -> Option<Hmac> {
        let hash = match rule.hash.value {
            Hash::Sha1 => hmac::Hash::Sha1,
            Hash::Sha256 => hmac::Hash::Sha256,
            Hash::Sha384 => hmac::Hash::Sha384,
            Hash::Sha512 => hmac::Hash::Sha512,
        };
        let mut keys = Vec::with_capacity(secrets.len());
        for named in secrets {
            let key = named.map(|secret| {
                let bytes = key_bytes(rule, secret)?;
                Key::new(hash, &bytes).map_err(|EmptyKey| "nothing is left of it as a key".to_owned())
            });
            keys.push(self.key(rule, named, key)?);
        }
        let (signature, messages, window) = (self.format(rule)?, self.messages(rule)?, self.window(rule)?);
        let strength = self.signed(rule, &messages, window.as_ref())?;
        Some(Hmac { signature, messages, window, keys, strength })
    }

    fn rsa(&mut self, rule: &Rule, secrets: &Secrets) -> Option<Rsa> {
        if rule.hash.value != Hash::Sha256 {
            self.error(&rule.hash.key, "RSA signatures are verified with SHA-256 only", "write `hash = \"sha256\"`");
            return None;
        }
        let mut keys = Vec::with_capacity(secrets.len());
        for named in secrets {
            let key = named.map(|secret| {
                let text = std::str::from_utf8(secret.expose()).map_err(|_| "it is not text".to_owned())?;
                match rule.key.decode.value {
                    Decode::Spki | Decode::Base64 => {
                        let der = BASE64.decode(text.trim().as_bytes()).map_err(|_| "it is not base64".to_owned())?;
                        PublicKey::from_spki(&der)
                    }
                    Decode::Hex | Decode::Pem | Decode::Utf8 => PublicKey::from_pem(text),
                }
            });
            keys.push(self.key(rule, named, key)?);
        }
        let (signature, messages, window) = (self.format(rule)?, self.messages(rule)?, self.window(rule)?);
        let strength = self.signed(rule, &messages, window.as_ref())?;
        Some(Rsa { signature, messages, window, keys, strength })
    }

    fn key<K>(&mut self, rule: &Rule, secret: &Named<Secret>, key: Result<Named<K>, String>) -> Option<Named<K>> {
        key.map_err(|problem| {
            let message = format!("the secret {:?} cannot be used: {problem}", secret.name);
            self.error(
                &rule.kind.key,
                message,
                "copy it again from the sender, and compare `key.decode` and `key.strip`",
            );
        })
        .ok()
    }

    fn format(&mut self, rule: &Rule) -> Option<Format> {
        let Some(signature) = &rule.signature else {
            let help = "add `signature = { from = \"header:NAME\" }`";
            self.error(&rule.kind.key, "the rule does not say where the signature or token is", help);
            return None;
        };
        let from: Vec<_> = signature.from.iter().map(|selector| self.selector(selector)).collect();
        let from: Vec<Selector> = from.into_iter().collect::<Option<_>>()?;
        let items = match (&signature.split, &signature.pair) {
            (None, None) => None,
            (Some(split), Some(pair)) if !split.is_empty() && !pair.is_empty() && !signature.take.is_empty() => {
                let take = signature.take.iter().map(|name| name.value.clone()).collect();
                Some(Items { split: split.value.clone(), pair: pair.value.clone(), take })
            }
            _ => {
                let help = "write all three: `split = \",\", pair = \"=\", take = [\"v1\"]`";
                self.error(&signature.at, "`split`, `pair` and `take` belong together", help);
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
        Some(Format { from, items, prefix, encoding })
    }

    fn messages(&mut self, rule: &Rule) -> Option<Vec<Template>> {
        if rule.message.is_empty() {
            self.error(&rule.kind.key, "the rule does not say what is signed", "add `message = \"{body}\"`");
            return None;
        }
        let messages: Vec<_> = rule.message.iter().map(|message| self.message(rule, message)).collect();
        messages.into_iter().collect()
    }

    /// A signed text whose parts cannot run into each other (W-39).
    fn message(&mut self, rule: &Rule, written: &At<crate::config::Template>) -> Option<Template> {
        let template = self.template(written)?;
        let time = rule.time.as_ref().and_then(|time| self.selector(&time.from));
        for pair in template.pieces().windows(2) {
            if let [Piece::Value(first), Piece::Value(second)] = pair
                && Some(first) != time.as_ref()
            {
                let message =
                    format!("`{first:?}` and `{second:?}` stand side by side: two requests could have one signed text");
                self.error(&written.key, message, "put a character between them that the first cannot contain");
                return None;
            }
        }
        Some(template)
    }

    #[expect(clippy::option_option, reason = "nothing wrong, and then perhaps no window")]
    fn window(&mut self, rule: &Rule) -> Option<Option<Window>> {
        let Some(time) = &rule.time else { return Some(None) };
        for tolerance in [&time.past, &time.future] {
            if tolerance.value.is_zero() {
                let help =
                    "write how far the clocks may differ, for example \"5m\"; to check no time, leave `time` out";
                self.error(&tolerance.key, "a tolerance of nothing refuses everything", help);
                return None;
            }
            if tolerance.value.as_secs() > TOLERANCE_WARN_SECONDS {
                self.warn(
                    &tolerance.key,
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
        let from = vec![self.selector(&time.from)?];
        self.tolerance = self.tolerance.max(time.past.value.max(time.future.value));
        Some(Some(Window { from, unit, past: time.past.value, future: time.future.value }))
    }

    /// What a right signature binds; a time that is checked must be bound too (W-40).
    fn signed(&mut self, rule: &Rule, messages: &[Template], window: Option<&Window>) -> Option<Strength> {
        let covers =
            |wanted: &Selector| messages.iter().all(|message| message.selectors().any(|part| is_part_of(wanted, part)));
        if let (Some(window), Some(time)) = (window, &rule.time)
            && !rule.allow_unsigned_time.value
            && !window.from.iter().all(covers)
        {
            let help = "put it into `message`, or leave `time` out: anybody could set a fresh time on an old request";
            self.error(&time.from.key, "this time is not part of what is signed", help);
            return None;
        }
        for message in messages {
            self.signed.extend(message.selectors().cloned());
        }
        let whole = messages.iter().all(|message| message.selectors().any(|part| part.place == Place::Body));
        let part = messages.iter().all(|message| message.selectors().any(Selector::is_in_body));
        Some(match (whole, part) {
            (true, _) => Strength::Verified,
            (false, true) => Strength::Partial,
            (false, false) => Strength::Token,
        })
    }

    /// Conditions that must all hold.
    pub(super) fn conditions(&mut self, written: &[RawCondition]) -> Option<Vec<Condition>> {
        let conditions: Vec<_> = written.iter().map(|condition| self.condition(condition)).collect();
        conditions.into_iter().collect()
    }

    fn condition(&mut self, written: &RawCondition) -> Option<Condition> {
        Some(match written {
            RawCondition::Present(selector) => Condition::Present(self.selector(selector)?),
            RawCondition::Absent(selector) => Condition::Absent(self.selector(selector)?),
            RawCondition::Equal(selector, value) => Condition::Equal(self.selector(selector)?, value.value.to_string()),
            RawCondition::InList(selector, setting) => {
                let Some(SettingValue::List(values)) = self.settings.get(&setting.value).map(|at| &at.value) else {
                    self.error(
                        &setting.key,
                        format!("there is no list `{}` in `settings`", setting.value),
                        "add it there",
                    );
                    return None;
                };
                let values = values.iter().map(|value| value.value.to_string()).collect();
                Condition::OneOf(self.selector(selector)?, values)
            }
        })
    }

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
        Some(Some(greet::Handshake { method, scope, when, auth, guards, reply }))
    }

    /// Everything that is sent back has a shape: the rule's, or a safe one.
    fn guards(&mut self, rule: &Handshake, reply: &Reply) -> Option<Vec<(Selector, Regex)>> {
        let mut guards: Vec<(Selector, Regex)> = Vec::new();
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
            guards.push((self.selector(&at)?, shape));
        }
        let echoed = reply.headers.iter().flat_map(|(_, template)| template.selectors()).chain(reply.body.selectors());
        for selector in echoed {
            let plain = selector.plain();
            if matches!(plain.place, Place::Text(_)) || guards.iter().any(|(guarded, _)| guarded.place == plain.place) {
                continue;
            }
            let shape = if selector.is_keyed() { GUARD_SIGNED } else { GUARD_ECHO };
            guards.push((plain, Regex::new(shape).expect("a constant that tests compile")));
        }
        Some(guards)
    }
}

/// The key that a secret stands for.
fn key_bytes(rule: &Rule, secret: &Secret) -> Result<Secret, String> {
    let mut bytes = secret.expose();
    for prefix in rule.key.strip.iter() {
        bytes = bytes.strip_prefix(prefix.value.as_bytes()).unwrap_or(bytes);
    }
    Ok(Secret::new(match rule.key.decode.value {
        Decode::Utf8 => bytes.to_vec(),
        Decode::Base64 => BASE64.decode(bytes).map_err(|_| "it is not base64".to_owned())?,
        Decode::Hex => HEXLOWER_PERMISSIVE.decode(bytes).map_err(|_| "it is not hex".to_owned())?,
        Decode::Pem | Decode::Spki => return Err("an HMAC key is no public key".to_owned()),
    }))
}
