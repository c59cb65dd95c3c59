//! Rules of authentication: from words to schemes.

use std::sync::Arc;

use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER_PERMISSIVE};
use http::HeaderName;
use unicode_normalization::UnicodeNormalization as _;

use super::Context;
use crate::{
    config::{
        At,
        raw::{
            auth::{Decode, Form, Hash, KeyForm, Kind, Normalize, Rule},
            secret::SecretSource,
        },
    },
    secret::Secret,
    stages::{
        authenticate::{self, Keys},
        json::Pointer,
        schemes::{
            Named, Scheme,
            basic::Basic,
            digest::Digest,
            hmac::{self, EmptyKey, Hmac, Key},
            jwk,
            public_key::{Algorithm, PublicKey, PublicKeyScheme},
            signature,
            signed::Signed,
            token::{Fingerprint, Token},
        },
        selector::Selector,
    },
};

/// A source's secrets with the operator's names.
pub(super) type Secrets = Vec<Named<Secret>>;

impl Context<'_> {
    /// One rule, and the first secret that satisfies it. `None` when there is something wrong with it.
    pub(super) fn rule(&mut self, rule: &Rule, secrets: &Secrets) -> Option<(authenticate::Rule, Option<Secret>)> {
        let when = self.conditions(&rule.when);
        let own = (!rule.secrets.is_empty()).then(|| self.secrets(&rule.secrets));
        let secrets = own.as_ref().unwrap_or(secrets);
        let keys = match &rule.keys {
            Some(published) if secrets.is_empty() && !self.secrets_missing => {
                Keys::Published(Box::new(self.publisher(rule, published)?))
            }
            Some(_) | None if secrets.is_empty() && self.awaited => self.awaits(rule)?,
            Some(_) | None => Keys::Pinned,
        };
        if secrets.is_empty() && rule.kind.value != Kind::None && matches!(keys, Keys::Pinned) {
            if !self.secrets_missing {
                let help = "add `secrets = [{ env = \"NAME\" }]` or `secrets = [{ file = \"PATH\" }]`";
                self.error(&rule.kind.key, "this rule has no secret to verify with", help);
            }
            return None;
        }
        let scheme = match rule.kind.value {
            Kind::None => Scheme::None,
            Kind::Token => Scheme::Token(self.token(rule, secrets)?),
            Kind::Basic => Scheme::Basic(self.basic(rule, secrets)?),
            Kind::Hmac => Scheme::Hmac(self.hmac(rule, secrets)?),
            Kind::Digest => Scheme::Digest(self.digest(rule, secrets)?),
            Kind::Ed25519 | Kind::Ecdsa | Kind::Rsa => Scheme::PublicKey(self.public_key(rule, secrets)?),
            Kind::Jwt | Kind::Jws => Scheme::Jose(self.jose(rule, secrets)?),
        };
        let each = match &rule.each {
            Some(pointer) => Some(self.each(pointer)?),
            None => None,
        };
        // What a token claims is known to its scheme alone, which looks at these conditions by itself.
        let require = if rule.kind.value == Kind::Jwt { Vec::new() } else { self.conditions(&rule.require)? };
        let mut when = when?;
        when.retain(|condition| condition.decided().is_none());
        let rule = authenticate::Rule { when, each, scheme, keys, require };
        Some((rule, secrets.first().map(|named| named.key.clone())))
    }

    /// Elements that are signed one by one must be the events: others would come through unsigned.
    fn each(&mut self, pointer: &At<crate::config::Pointer>) -> Option<Pointer> {
        let split = self.written.events.split.as_ref().map_or(&[][..], |split| split);
        if !matches!(split, [only] if only.value == pointer.value) {
            let help = format!("write `split = \"{}\"` in `events`", pointer.value.0);
            self.error(&pointer.key, "the events of this source are not what is signed", help);
            return None;
        }
        self.pointer(pointer)
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
        Some((authenticate::Rule::always(Scheme::Token(token)), Some(secret)))
    }

    fn token(&mut self, rule: &Rule, secrets: &Secrets) -> Option<Token> {
        let format = self.format(rule)?;
        let keys = secrets.iter().map(|named| named.map(|secret| Ok::<_, EmptyKey>(Fingerprint::of(secret)))).collect();
        Some(Token { from: format.from, prefix: format.prefix, keys: Result::ok(keys)? })
    }

    fn basic(&mut self, rule: &Rule, secrets: &Secrets) -> Option<Basic> {
        let from = match &rule.signature {
            Some(signature) if !signature.from.is_empty() => self.selectors(&signature.from)?,
            Some(_) | None => vec![Selector::header(http::header::AUTHORIZATION)],
        };
        let mut keys = Vec::with_capacity(secrets.len());
        for named in secrets {
            let key = named.map(|secret| match secret.expose().split(|byte| *byte == b':').next() {
                Some(user) if !user.is_empty() && user.len() < secret.expose().len() => Ok(Fingerprint::of(secret)),
                Some(_) | None => Err("it must be `user:password`".to_owned()),
            });
            keys.push(self.key(rule, named, key)?);
        }
        Some(Basic { from, keys })
    }

    fn hmac(&mut self, rule: &Rule, secrets: &Secrets) -> Option<Hmac> {
        let hash = hash(rule.hash.value);
        self.signed(rule, secrets, |secret| {
            let bytes = key_bytes(&rule.key, secret)?;
            Key::new(hash, &bytes).map_err(|EmptyKey| "nothing is left of it as a key".to_owned())
        })
    }

    fn digest(&mut self, rule: &Rule, secrets: &Secrets) -> Option<Digest> {
        let signed = self.signed(rule, secrets, |secret| match key_bytes(&rule.key, secret)? {
            key if key.expose().is_empty() => Err("nothing is left of it".to_owned()),
            key => Ok(key),
        })?;
        Some(Digest { hash: hash(rule.hash.value), signed })
    }

    fn public_key(&mut self, rule: &Rule, secrets: &Secrets) -> Option<PublicKeyScheme> {
        let Some(algorithm) = public_algorithm(rule) else {
            let form = rule.signature.as_ref().and_then(|signature| signature.form.as_ref());
            let key = form.map_or(&rule.kind.key, |form| &form.key);
            let help = "`der` and `raw` are for `ecdsa`, `pkcs1` and `pss` for `rsa`; leave `form` out for others";
            self.error(key, "this kind of signature has no such form", help);
            return None;
        };
        if rule.hash.value != Hash::Sha256 && rule.kind.value != Kind::Rsa {
            self.error(&rule.hash.key, "this kind of signature has no choice of hashes", "leave `hash` out");
            return None;
        }
        self.signed(rule, secrets, |secret| public_key(&rule.key, algorithm, secret))
    }

    /// What is signed, verified with keys that `read` makes of the secrets.
    fn signed<K>(
        &mut self,
        rule: &Rule,
        secrets: &Secrets,
        read: impl Fn(&Secret) -> Result<K, String>,
    ) -> Option<Signed<K>> {
        let mut keys = Vec::with_capacity(secrets.len());
        for named in secrets {
            keys.push(self.key(rule, named, named.map(&read))?);
        }
        let (signature, messages, window) = (self.format(rule)?, self.messages(rule)?, self.window(rule)?);
        let strength = self.strength(rule, &messages, window.as_ref())?;
        let chosen_by = match &rule.key.chosen_by {
            Some(selector) => Some(self.chosen_by(selector, secrets)?),
            None => None,
        };
        Some(Signed { signature, messages, window, keys, chosen_by, strength })
    }

    /// A secret that a request can name has a name that the sender knows.
    fn chosen_by(&mut self, written: &At<crate::config::Selector>, secrets: &Secrets) -> Option<Selector> {
        let is_counted =
            |named: &Named<Secret>| named.name.len() == 1 && named.name.bytes().all(|it| it.is_ascii_digit());
        if let Some(nameless) = secrets.iter().find(|named| is_counted(named)) {
            let message = format!("the secret {:?} has no name that a request could choose it by", nameless.name);
            let help = "write `{ name = …, env = … }`, with the name that the sender has for it";
            self.error(&written.key, message, help);
            return None;
        }
        self.selector(written)
    }

    pub(super) fn key<K>(
        &mut self,
        rule: &Rule,
        secret: &Named<Secret>,
        key: Result<Named<K>, String>,
    ) -> Option<Named<K>> {
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
}

fn hash(written: Hash) -> hmac::Hash {
    match written {
        Hash::Sha1 => hmac::Hash::Sha1,
        Hash::Sha256 => hmac::Hash::Sha256,
        Hash::Sha384 => hmac::Hash::Sha384,
        Hash::Sha512 => hmac::Hash::Sha512,
    }
}

/// What a public key is used for, in a rule that is no token.
pub(super) fn public_algorithm(rule: &Rule) -> Option<Algorithm> {
    let form = rule.signature.as_ref().and_then(|signature| signature.form.as_ref());
    match (rule.kind.value, form.map(|form| form.value)) {
        (Kind::Rsa, None | Some(Form::Pkcs1)) => Some(Algorithm::Rsa(hash(rule.hash.value))),
        (Kind::Rsa, Some(Form::Pss)) => Some(Algorithm::RsaPss(hash(rule.hash.value))),
        (Kind::Ed25519, None) => Some(Algorithm::Ed25519),
        (Kind::Ecdsa, None | Some(Form::Der)) => Some(Algorithm::EcdsaDer),
        (Kind::Ecdsa, Some(Form::Raw)) => Some(Algorithm::EcdsaRaw),
        (_, _) => None,
    }
}

/// The key that a secret stands for.
pub(super) fn key_bytes(form: &KeyForm, secret: &Secret) -> Result<Secret, String> {
    let (bytes, decode) = stripped(form, secret);
    let mut key = match decode {
        Decode::Utf8 => match &form.normalize {
            Some(At { value: Normalize::Nfkd, .. }) => {
                let text = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?;
                text.nfkd().collect::<String>().into_bytes()
            }
            None => bytes.to_vec(),
        },
        Decode::Base64 => {
            // Standard Webhooks leaves padding to the sender's taste.
            let decoded = BASE64.decode(bytes).or_else(|_| BASE64_NOPAD.decode(bytes));
            decoded.map_err(|_| "it is not base64".to_owned())?
        }
        Decode::Hex => HEXLOWER_PERMISSIVE.decode(bytes).map_err(|_| "it is not hex".to_owned())?,
        Decode::Jwk | Decode::Pem | Decode::Spki => return Err("a shared key is no public key".to_owned()),
    };
    key.extend_from_slice(form.suffix.value.as_bytes());
    if let Some(derive) = &form.derive {
        key = hash(derive.value).digest([key.as_slice()]);
    }
    Ok(Secret::new(key))
}

/// A public key in one of its written forms.
pub(super) fn public_key(form: &KeyForm, algorithm: Algorithm, secret: &Secret) -> Result<PublicKey, String> {
    let (bytes, decode) = stripped(form, secret);
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?.trim();
    let base64 = || BASE64.decode(text.as_bytes()).map_err(|_| "it is not base64".to_owned());
    match decode {
        Decode::Jwk => jwk::read(algorithm, text),
        Decode::Utf8 | Decode::Pem => PublicKey::from_pem(algorithm, text),
        Decode::Spki => PublicKey::from_spki(algorithm, &base64()?),
        Decode::Base64 => PublicKey::from_raw(algorithm, &base64()?),
        Decode::Hex => {
            let key = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| "it is not hex".to_owned())?;
            PublicKey::from_raw(algorithm, &key)
        }
    }
}

/// A secret without its prefixes, and how to read the rest.
fn stripped<'s>(form: &KeyForm, secret: &'s Secret) -> (&'s [u8], Decode) {
    let mut bytes = secret.expose();
    for prefix in form.strip.iter() {
        bytes = bytes.strip_prefix(prefix.value.as_bytes()).unwrap_or(bytes);
    }
    let bare = form.bare.as_ref().filter(|_| bytes.len() == secret.expose().len());
    (bytes, bare.map_or(form.decode.value, |bare| bare.value))
}
