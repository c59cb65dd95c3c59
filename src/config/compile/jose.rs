//! Tokens and detached signatures: from words to schemes.

use super::{
    Context,
    auth::{Secrets, key_bytes, public_key},
};
use crate::{
    config::raw::auth::{Decode, JoseAlgorithm, KeyForm, Kind, Rule},
    secret::Secret,
    stages::{
        schemes::{
            Named, Strength,
            hmac::{Hash, Key as SharedKey},
            jose::{Jose, Key, Payload, Verifying},
            jwk,
            public_key::Algorithm,
        },
        selector::{Place, Selector},
        template::Condition,
    },
};

impl Context<'_> {
    pub(super) fn jose(&mut self, rule: &Rule, secrets: &Secrets) -> Option<Jose> {
        let keys = self.jose_keys(rule, secrets)?;
        let format = self.format(rule)?;
        let window = self.window(rule)?;
        let (payload, strength) = if rule.kind.value == Kind::Jwt {
            let is_claim = |selector: &Selector| matches!(selector.place, Place::Claim(_));
            let unsigned = window.iter().flat_map(|window| &window.from).any(|from| !is_claim(from));
            if let Some(time) = rule.time.as_ref().filter(|_| unsigned && !rule.allow_unsigned_time.value) {
                self.error(&time.at, "this time is not part of what is signed", "take one from `claim:/iat`");
                return None;
            }
            let require = self.conditions(&rule.require)?;
            let binds = |condition: &Condition| match condition {
                Condition::Same(one, other) => {
                    (is_claim(one) && other.binds_body()) || (is_claim(other) && one.binds_body())
                }
                Condition::Absent(_)
                | Condition::Any(_)
                | Condition::Equal(..)
                | Condition::Matches(..)
                | Condition::OneOf(..)
                | Condition::Present(_) => false,
            };
            let strength = if require.iter().any(binds) { Strength::Verified } else { Strength::Token };
            (Payload::Claims(require), strength)
        } else {
            let [message] = self.messages(rule)?.try_into().ok().or_else(|| {
                self.error(&rule.kind.key, "a detached signature has one message", "write one `message`");
                None
            })?;
            let strength = self.strength(rule, std::slice::from_ref(&message), window.as_ref())?;
            (Payload::Detached(message), strength)
        };
        Some(Jose { from: format.from, prefix: format.prefix, keys, payload, window, strength })
    }

    /// Each secret as a key of each algorithm. Shared and public keys in one rule would let a forger sign with a key that
    /// everybody knows (W-19).
    fn jose_keys(&mut self, rule: &Rule, secrets: &Secrets) -> Option<Vec<Named<Key>>> {
        self.algorithms(rule)?;
        let mut keys = Vec::with_capacity(secrets.len() * rule.algorithms.len());
        for algorithm in rule.algorithms.iter() {
            for named in secrets {
                let key = named.map(|secret| key(&rule.key, algorithm.value, secret));
                keys.push(self.key(rule, named, key)?);
            }
        }
        Some(keys)
    }

    /// Whether its algorithms are pinned, and go together.
    fn algorithms(&mut self, rule: &Rule) -> Option<()> {
        let is_shared = |algorithm: JoseAlgorithm| matches!(family(algorithm), Family::Shared(_));
        let Some(first) = rule.algorithms.first() else {
            let help = "add `algorithms = \"HS256\"`, or what the sender's documentation says";
            self.error(&rule.kind.key, "the rule does not pin its algorithm", help);
            return None;
        };
        if let Some(other) = rule.algorithms.iter().find(|it| is_shared(it.value) != is_shared(first.value)) {
            let help = "keep one: a public key would else be taken for a shared one";
            self.error(&other.key, "algorithms with shared and with public keys do not go together", help);
            return None;
        }
        Some(())
    }
}

/// What the public keys of a token are used for; nothing, where keys are shared.
pub(super) fn public_algorithms(rule: &Rule) -> Vec<(&'static str, Algorithm)> {
    let public = |algorithm: JoseAlgorithm| match family(algorithm) {
        Family::Shared(_) => None,
        Family::Public(public) => Some((name(algorithm), public)),
    };
    rule.algorithms.iter().filter_map(|algorithm| public(algorithm.value)).collect()
}

enum Family {
    Shared(Hash),
    Public(Algorithm),
}

fn family(algorithm: JoseAlgorithm) -> Family {
    match algorithm {
        JoseAlgorithm::Hs256 => Family::Shared(Hash::Sha256),
        JoseAlgorithm::Hs384 => Family::Shared(Hash::Sha384),
        JoseAlgorithm::Hs512 => Family::Shared(Hash::Sha512),
        JoseAlgorithm::Rs256 => Family::Public(Algorithm::Rsa(Hash::Sha256)),
        JoseAlgorithm::Rs384 => Family::Public(Algorithm::Rsa(Hash::Sha384)),
        JoseAlgorithm::Rs512 => Family::Public(Algorithm::Rsa(Hash::Sha512)),
        JoseAlgorithm::Ps256 => Family::Public(Algorithm::RsaPss(Hash::Sha256)),
        JoseAlgorithm::Ps384 => Family::Public(Algorithm::RsaPss(Hash::Sha384)),
        JoseAlgorithm::Ps512 => Family::Public(Algorithm::RsaPss(Hash::Sha512)),
        JoseAlgorithm::Es256 => Family::Public(Algorithm::EcdsaRaw),
        JoseAlgorithm::EdDsa => Family::Public(Algorithm::Ed25519),
    }
}

fn key(form: &KeyForm, algorithm: JoseAlgorithm, secret: &Secret) -> Result<Key, String> {
    let verifying = match family(algorithm) {
        Family::Shared(hash) => {
            let bytes = key_bytes(form, secret)?;
            let key = SharedKey::new(hash, &bytes).map_err(|_| "nothing is left of it as a key".to_owned())?;
            Verifying::Shared(Box::new(key))
        }
        Family::Public(algorithm) => Verifying::Public(public_key(form, algorithm, secret)?),
    };
    let id = if form.decode.value == Decode::Jwk { jwk::id(secret.expose()) } else { None };
    Ok(Key { algorithm: name(algorithm), id, verifying })
}

fn name(algorithm: JoseAlgorithm) -> &'static str {
    match algorithm {
        JoseAlgorithm::Hs256 => "HS256",
        JoseAlgorithm::Hs384 => "HS384",
        JoseAlgorithm::Hs512 => "HS512",
        JoseAlgorithm::Rs256 => "RS256",
        JoseAlgorithm::Rs384 => "RS384",
        JoseAlgorithm::Rs512 => "RS512",
        JoseAlgorithm::Ps256 => "PS256",
        JoseAlgorithm::Ps384 => "PS384",
        JoseAlgorithm::Ps512 => "PS512",
        JoseAlgorithm::Es256 => "ES256",
        JoseAlgorithm::EdDsa => "EdDSA",
    }
}
