//! Senders: configurations of sources, and who signs for them.
//!
//! The digests are made by the `hmac` crate directly, so that a mistake in the gateway's own code cannot cancel out.

use std::fmt::Write as _;

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::Sha256;

use super::{
    gateway::{Gateway, K1, T},
    request::Request,
};

/// Standard Webhooks, with `K1` as it is for a key; an event is known by `webhook-id`.
pub(crate) const ACME: &str = r#"
[sources.acme]
path = "/in/acme"
secrets = [{ name = "first", env = "K1" }]
upstream = "app"
[[sources.acme.auth]]
kind = "hmac"
signature = { from = "header:webhook-signature", split = " ", pair = ",", take = ["v1"], encoding = "base64" }
message = "{header:webhook-id}.{header:webhook-timestamp}.{body}"
time = { from = "header:webhook-timestamp" }
[sources.acme.events]
type = "json:/type"
id = "header:webhook-id"
"#;

/// As GitHub signs: the body alone, in hex after `sha256=`; an event is known by its bytes.
pub(crate) const HUB: &str = r#"
[sources.hub]
path = "/in/hub"
secrets = [{ env = "K1" }]
upstream = "app"
[[sources.hub.auth]]
kind = "hmac"
signature = { from = "header:x-hub-signature-256", prefix = "sha256=", encoding = "hex" }
"#;

/// As Stripe signs: time and signatures in one header.
pub(crate) const STRIPE: &str = r#"
[sources.stripe]
path = "/in/stripe"
secrets = [{ env = "K1" }]
upstream = "app"
[[sources.stripe.auth]]
kind = "hmac"
signature = { from = "header:stripe-signature", split = ",", pair = "=", take = ["v1"], encoding = "hex" }
message = "{sig.t}.{body}"
time = { from = "sig.t" }
[sources.stripe.events]
id = "json:/id"
"#;

/// An API key in a header.
pub(crate) const KEYED: &str = r#"
[sources.keyed]
path = "/in/keyed"
secrets = [{ env = "K1" }]
upstream = "app"
[[sources.keyed.auth]]
kind = "token"
signature = { from = "header:x-key" }
"#;

/// The body of most requests.
pub(crate) const BODY: &str = r#"{"id":"evt_1","type":"a.b","note":"canary-in-a-body"}"#;

pub(crate) fn sha256(secret: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

pub(crate) fn sha1(secret: &[u8], body: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret).unwrap();
    mac.update(body);
    mac.finalize().into_bytes().to_vec()
}

/// The signature of Standard Webhooks, without its version.
pub(crate) fn standard(secret: &str, id: &str, time: &str, body: impl AsRef<[u8]>) -> String {
    let parts: [&[u8]; 5] = [id.as_bytes(), b".", time.as_bytes(), b".", body.as_ref()];
    BASE64.encode(&sha256(secret.as_bytes(), &parts))
}

/// The right signature for [`ACME`], `evt_1` and [`BODY`], without its version.
pub(crate) fn right() -> String {
    standard(K1, "evt_1", &T.to_string(), BODY)
}

/// The value of `x-hub-signature-256`.
pub(crate) fn hub(secret: &str, body: impl AsRef<[u8]>) -> String {
    format!("sha256={}", hex(secret, &[body.as_ref()]))
}

pub(crate) fn hex(secret: &str, parts: &[&[u8]]) -> String {
    HEXLOWER.encode(&sha256(secret.as_bytes(), parts))
}

impl Gateway {
    /// A right request for [`ACME`].
    pub(crate) fn acme(&self, id: &str, body: impl AsRef<[u8]>) -> Request<'_> {
        let right = format!("v1,{}", standard(K1, id, &T.to_string(), &body));
        self.acme_with(id, &right, body)
    }

    /// A request for [`ACME`] with this `webhook-signature`.
    pub(crate) fn acme_with(&self, id: &str, signature: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Request<'_> {
        self.acme_bare(id, body).header("webhook-signature", signature)
    }

    /// A request for [`ACME`] without a signature.
    pub(crate) fn acme_bare(&self, id: &str, body: impl AsRef<[u8]>) -> Request<'_> {
        let request = self.post("/in/acme").header("webhook-id", id);
        request.header("webhook-timestamp", T.to_string()).body(body)
    }

    /// A right request for [`HUB`].
    pub(crate) fn hub(&self, body: impl AsRef<[u8]>) -> Request<'_> {
        self.post("/in/hub").header("x-hub-signature-256", hub(K1, &body)).body(body)
    }
}

/// All sources of a list, in one text.
pub(crate) fn together(sources: &[&str]) -> String {
    sources.iter().fold(String::new(), |mut text, source| {
        let _ = writeln!(text, "{source}");
        text
    })
}
