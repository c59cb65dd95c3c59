//! What the application gets with an event: the headers, and our own signature, because the sender's no longer covers a
//! single event of a batch.

use std::sync::Arc;

use data_encoding::BASE64;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_TYPE},
};
use jiff::Timestamp;

use crate::{
    secret::Secret,
    stages::schemes::{
        Strength,
        hmac::{EmptyKey, Hash, Key},
    },
};

/// Characters of an event type that are told in a header.
const EVENT_TYPE_CHARS: usize = 256;

/// Of a connection (RFC 9110, section 7.6.1), of credentials, and of who the client is.
const NEVER_PASS: [&str; 17] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-real-ip",
];

/// How an upstream wants its requests.
#[derive(Clone, Debug, Default)]
pub struct Voucher {
    /// Standard Webhooks key, where the upstream wants a signature.
    pub key: Option<Key>,
    /// Headers added to every request.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The sender's headers that pass.
    pub forward_headers: Vec<HeaderName>,
}

/// The facts about one event that the application is told.
#[derive(Clone, Debug)]
pub struct Letter<'a> {
    /// The event's stable identity: the same on every attempt.
    pub id: &'a str,
    /// The source's name.
    pub source: &'a str,
    /// The event's type, as sent.
    pub event_type: Option<&'a str>,
    /// What the sender's credential binds.
    pub strength: Strength,
    /// The name of the secret that matched.
    pub key: &'a Arc<str>,
    /// One for the first attempt.
    pub attempt: u32,
    /// When the event was first received.
    pub received_at: Timestamp,
    /// Position and size of its batch, from one, where it came in one.
    pub batch: Option<(usize, usize)>,
    /// W3C trace context.
    pub traceparent: &'a str,
    /// The content type to send.
    pub content_type: &'a HeaderValue,
    /// The sender's headers that pass, as [`Voucher::passing`] found them.
    pub passing: &'a [(HeaderName, HeaderValue)],
}

/// A Standard Webhooks secret: `whsec_` and base64, or else the text itself.
pub fn signing_key(secret: &Secret) -> Result<Key, String> {
    let bytes = secret.expose();
    let decoded = match bytes.strip_prefix(b"whsec_") {
        Some(text) => Secret::new(BASE64.decode(text).map_err(|_| "what follows `whsec_` is not base64".to_owned())?),
        None => secret.clone(),
    };
    Key::new(Hash::Sha256, &decoded).map_err(|EmptyKey| "the secret is empty".to_owned())
}

/// Headers this gateway speaks with. A sender's headers of these names never pass.
pub fn is_ours(name: &str) -> bool {
    let name = name.replace('_', "-");
    name.starts_with("hooksieve-")
        || matches!(name.as_str(), "webhook-id" | "webhook-timestamp" | "webhook-signature")
        || matches!(name.as_str(), "idempotency-key" | "traceparent")
}

/// Headers that belong to a connection or to somebody's credentials, or that say who the client is, and never pass,
/// whatever the allow-list says. Many applications read an underscore as a hyphen.
pub fn never_passes(name: &HeaderName) -> bool {
    let name = name.as_str().replace('_', "-");
    NEVER_PASS.contains(&name.as_str()) || name.starts_with("x-forwarded-") || is_ours(&name)
}

impl Voucher {
    /// The sender's headers that pass: those on the allow-list, but none that carries its `credentials`, or that it
    /// nominated for the connection alone.
    pub fn passing(&self, sent: &HeaderMap, credentials: &[HeaderName]) -> Vec<(HeaderName, HeaderValue)> {
        let nominated = |name: &HeaderName| {
            let values = sent.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
            values.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case(name.as_str()))
        };
        let stays = |name: &&HeaderName| {
            **name == CONTENT_TYPE || never_passes(name) || credentials.contains(name) || nominated(name)
        };
        let values = |name: &HeaderName| {
            let named = |value: &HeaderValue| (name.clone(), value.clone());
            sent.get_all(name).iter().map(named).collect::<Vec<_>>()
        };
        self.forward_headers.iter().filter(|name| !stays(name)).flat_map(values).collect()
    }

    /// All headers of one request to the application.
    pub fn headers(&self, letter: &Letter<'_>, body: &[u8], now: Timestamp) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(16);
        for (name, value) in letter.passing {
            headers.append(name, value.clone());
        }
        headers.insert(CONTENT_TYPE, letter.content_type.clone());
        headers.extend(self.headers.iter().cloned());
        self.own(letter, body, now, &mut headers);
        headers
    }

    fn own(&self, letter: &Letter<'_>, body: &[u8], now: Timestamp, headers: &mut HeaderMap) {
        let mut put = |name: &'static str, value: &str| {
            // Event types and names come from outside: what no header can carry is escaped, not sent as it is.
            let value = HeaderValue::from_str(value)
                .unwrap_or_else(|_| HeaderValue::from_str(&value.escape_default().to_string()).expect("ASCII only"));
            headers.insert(HeaderName::from_static(name), value);
        };
        let seconds = now.as_second().to_string();
        put("webhook-id", letter.id);
        put("webhook-timestamp", &seconds);
        if let Some(key) = &self.key {
            let signed = key.sign(&[letter.id.as_bytes(), b".", seconds.as_bytes(), b".", body]);
            put("webhook-signature", &format!("v1,{}", BASE64.encode(&signed)));
        }
        put("idempotency-key", letter.id);
        put("hooksieve-source", letter.source);
        if let Some(event_type) = letter.event_type {
            let short: String = event_type.chars().take(EVENT_TYPE_CHARS).collect();
            put("hooksieve-event-type", &short);
        }
        put("hooksieve-verified", &format!("{}; key={}", letter.strength.as_str(), letter.key));
        put("hooksieve-attempt", &letter.attempt.to_string());
        put("hooksieve-received-at", &letter.received_at.to_string());
        if let Some((position, size)) = letter.batch {
            put("hooksieve-batch", &format!("{position}/{size}"));
        }
        put("traceparent", letter.traceparent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_23_p_40_to_p_43_headers_that_never_pass() {
        let name = |text: &str| text.parse::<HeaderName>().unwrap();
        let others = ["webhook-id", "webhook_id", "webhook-signature", "hooksieve-verified", "hooksieve_verified"];
        let others = others.into_iter().chain(["x-forwarded-for", "x_forwarded_for", "idempotency-key", "x-nominated"]);
        let never: Vec<&str> = NEVER_PASS.into_iter().chain(others).chain(["x-api-key"]).collect();
        let mut sent: HeaderMap =
            never.iter().map(|text| (name(text), HeaderValue::from_static("from-outside"))).collect();
        sent.insert("connection", HeaderValue::from_static("close, X-Nominated, webhook-id"));
        sent.append("x-account", HeaderValue::from_static("one"));
        sent.append("x-account", HeaderValue::from_static("two"));
        let forward_headers = never.iter().copied().chain(["x-account"]).map(name).collect();
        let voucher = Voucher { forward_headers, ..Voucher::default() };
        let passing = voucher.passing(&sent, &[name("x-api-key")]);
        let passing: Vec<_> = passing.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(passing, [("x-account", "one"), ("x-account", "two")]);
        assert!(Voucher::default().passing(&sent, &[]).is_empty(), "what is not listed does not pass");
    }
}
