//! JSON Web Tokens (RFC 7519) and detached signatures (RFC 7515, appendix F), written as a sender writes them.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde_json::json;

use super::{Pen, Unsignable, draft::Draft, missing};
use crate::stages::schemes::{
    Named,
    jose::{Jose, Key, Payload, Verifying},
};

/// How long a token is good.
pub const LIFE: Duration = Duration::from_hours(1);

impl Pen<'_> {
    /// Adds a token with the claims that are demanded, or a signature over the message.
    pub(super) fn token_or_detached(&self, scheme: &Jose, draft: &mut Draft<'_>) -> Result<(), Unsignable> {
        let key = self.usable(&scheme.keys, draft)?;
        let (payload, shown) = match &scheme.payload {
            Payload::Claims(require) => {
                draft.fill_time(scheme.window.as_ref());
                draft.meet(require);
                let claims = BASE64URL_NOPAD.encode(&with_lifetime(draft));
                (claims.clone(), claims)
            }
            Payload::Detached(message) => {
                draft.fill_time(scheme.window.as_ref());
                message.selectors().for_each(|selector| draft.fill(selector, self.id));
                let text = draft.text(message, None);
                let text = text.ok_or_else(|| Unsignable::Incomplete(missing(message, draft)))?;
                (BASE64URL_NOPAD.encode(&text), String::new())
            }
        };
        let mut header = json!({ "alg": key.algorithm, "typ": "JWT" });
        if let Some(id) = &key.id {
            header["kid"] = json!(id);
        }
        let header = BASE64URL_NOPAD.encode(header.to_string().as_bytes());
        let mut signature = self.sign_with(key, format!("{header}.{payload}").as_bytes())?;
        if let Some(last) = signature.last_mut() {
            *last ^= u8::from(self.forge);
        }
        let token = format!("{header}.{shown}.{}", BASE64URL_NOPAD.encode(&signature));
        draft.place(&scheme.from, &scheme.prefix.put(&token))
    }

    /// The first key in force that can be signed with.
    fn usable<'k>(&self, keys: &'k [Named<Key>], draft: &Draft<'_>) -> Result<&'k Key, Unsignable> {
        let mut problem = Unsignable::NoSecret;
        for named in keys.iter().filter(|named| named.is_current(draft.request.at)) {
            match &named.key.verifying {
                Verifying::Shared(_) => return Ok(&named.key),
                Verifying::Public(key) => match self.own(std::iter::once(key)) {
                    Ok(_) => return Ok(&named.key),
                    Err(unsignable) => problem = unsignable,
                },
            }
        }
        Err(problem)
    }

    fn sign_with(&self, key: &Key, text: &[u8]) -> Result<Vec<u8>, Unsignable> {
        match &key.verifying {
            Verifying::Shared(key) => Ok(key.sign(&[text])),
            Verifying::Public(key) => {
                let signer = self.signer.ok_or(Unsignable::PublicKey)?;
                signer.sign(key.algorithm(), text).ok_or(Unsignable::Algorithm)
            }
        }
    }
}

/// The claims with `iat` and `exp` (RFC 7519, section 4.1), which are numbers, and count wherever they are there.
fn with_lifetime(draft: &Draft<'_>) -> Vec<u8> {
    let mut claims: serde_json::Value = serde_json::from_slice(&draft.claims).unwrap_or_else(|_| json!({}));
    let end = draft.request.at + LIFE;
    for (name, time) in [("iat", draft.request.at), ("exp", end)] {
        if claims.get(name).is_none() {
            claims[name] = json!(time.as_second());
        }
    }
    claims.to_string().into_bytes()
}
