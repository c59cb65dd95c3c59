//! Tokens with a right signature and any header and claims, and documents of any keys: what is accepted is what another
//! reader of JSON finds sound, too.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use http::{HeaderMap, HeaderValue, Method, header::AUTHORIZATION};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    secret::Secret,
    stages::{
        json::Pointer,
        receive::{Client, Head, Received},
        schemes::{
            Looked, Named, Scheme, Strength,
            hmac::{Hash, Key as SharedKey},
            jose::{Jose, Key, Payload, Verifying},
            key_set::{Form, KeySet, Reading},
            signature::Prefix,
        },
        selector::{Facts, Selector},
    },
};

/// When tokens are judged, in seconds since 1970.
const NOW: f64 = 1_767_225_600.0;

/// First a header, then, after a line feed, claims; the signature over them is right.
pub fn token(data: &[u8]) {
    let (header, claims) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len()));
    let claims = claims.get(1..).unwrap_or_default();
    let key = SharedKey::new(Hash::Sha256, &Secret::new("a secret for the fuzzer")).expect("it is not empty");
    let signed = format!("{}.{}", BASE64URL_NOPAD.encode(header), BASE64URL_NOPAD.encode(claims));
    let signature = BASE64URL_NOPAD.encode(&key.sign(&[signed.as_bytes()]));
    if judge(&format!("{signed}.{signature}"), key) {
        let header = object(header).expect("the header is a JSON object");
        assert_eq!(header["alg"], "HS256", "the algorithm is the key's");
        assert!(header.get("kid").is_none_or(|id| id == "k1"), "no other key is named");
        assert!(header.get("crit").is_none_or(|critical| *critical == serde_json::json!(["b64"])));
        assert!(header.get("b64").is_none_or(|encoded| *encoded == true), "claims are encoded");
        let claims = object(claims).expect("the claims are a JSON object");
        let number = |name: &str| claims.get(name).map(|value| value.as_f64().expect("a time is a number"));
        assert!(number("exp").is_none_or(|end| NOW < end + 60.0), "it is over");
        assert!(number("nbf").is_none_or(|start| NOW + 60.0 >= start), "it has not begun");
    }
}

/// First a byte that says what the document should be, then the document.
pub fn key_set(data: &[u8]) {
    let Some((pick, document)) = data.split_first() else { return };
    let (form, at) = [(Form::Jwks, ""), (Form::Jwk, "/key"), (Form::Pem, ""), (Form::X509, ""), (Form::Pem, "/key")]
        [usize::from(*pick) % 5];
    let pointer = |text: &str| Pointer::parse(text).expect("a constant");
    let reading = Reading { form, at: pointer(at), until: Some(pointer("/until")) };
    let read = KeySet::read(&Bytes::copy_from_slice(document), &reading);
    if let (Ok(set), Form::Jwks) = (read, form) {
        let keys = object(document).expect("a set of keys is a JSON object")["keys"].as_array().cloned();
        let keys = keys.expect("the keys are a list");
        assert!(keys.iter().any(|key| key.get("d").is_none() && key["kty"] != "oct"), "one of them is public");
        assert!(set.knows(None), "a set that was read has a key");
    }
}

fn judge(token: &str, key: SharedKey) -> bool {
    let key = Key { algorithm: "HS256", id: Some("k1".to_owned()), verifying: Verifying::Shared(Box::new(key)) };
    let scheme = Scheme::Jose(Jose {
        from: vec![Selector::header(AUTHORIZATION)],
        prefix: Prefix::NONE,
        keys: vec![Named { name: Arc::from("fuzz"), until: None, key }],
        payload: Payload::Claims(Vec::new()),
        window: None,
        strength: Strength::Token,
    });
    let Ok(value) = HeaderValue::from_str(token) else { return false };
    let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
    let client = Client { address: None, known: false };
    let head = Head { method: Method::POST, path: "/".to_owned(), query: None, headers, client };
    let at = Timestamp::from_second(1_767_225_600).expect("a constant");
    let received = Received { head, body: Bytes::new(), at };
    let document = OnceLock::new();
    scheme.judge(&Facts::of(&received, "", &document), at, &mut Looked::default()).is_ok()
}

fn object(json: &[u8]) -> Option<serde_json::Map<String, Value>> {
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oracle_agrees_on_what_is_known() {
        for text in [
            "",
            "{}\n{}",
            r#"{"alg":"HS256"}"#,
            "{\"alg\":\"HS256\"}\n{}",
            "{\"alg\":\"HS256\",\"kid\":\"k1\"}\n{\"exp\":1767225601,\"nbf\":1e9}",
            "{\"alg\":\"HS256\",\"kid\":\"k2\"}\n{}",
            "{\"alg\":\"HS256\",\"kid\":null}\n{}",
            "{\"alg\":\"HS256\",\"b64\":false,\"crit\":[\"b64\"]}\n{}",
            "{\"alg\":\"HS256\",\"b64\":true,\"crit\":[\"b64\"]}\n{\"exp\":1}",
            "{\"alg\":\"none\"}\n{}",
            "{\"alg\":\"HS256\",\"alg\":\"none\"}\n[]",
        ] {
            token(text.as_bytes());
        }
        for document in [
            r#"{"keys":[]}"#,
            r#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},1,null]}"#,
            r#"{"key":{"kty":"EC"}}"#,
            "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----",
        ] {
            (0..5).for_each(|pick| key_set(&[&[pick], document.as_bytes()].concat()));
        }
    }
}
