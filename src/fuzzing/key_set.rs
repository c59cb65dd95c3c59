//! Documents of published keys: what is read is what another reader of JSON finds sound, too.

use bytes::Bytes;
use serde_json::Value;

use crate::stages::{
    json::Pointer,
    schemes::key_set::{Form, KeySet, Reading},
};

/// First a byte that says what the document should be, then the document.
pub fn key_set(data: &[u8]) {
    let Some((pick, document)) = data.split_first() else { return };
    let (form, at) = [(Form::Jwks, ""), (Form::Jwk, "/key"), (Form::Pem, ""), (Form::X509, ""), (Form::Pem, "/key")]
        [usize::from(*pick) % 5];
    let pointer = |text: &str| Pointer::parse(text).expect("a constant");
    let reading = Reading { form, at: pointer(at), until: Some(pointer("/until")) };
    let read = KeySet::read(&Bytes::copy_from_slice(document), &reading);
    let Ok(set) = read else { return };
    assert!(set.knows(None), "a set that was read has a key");
    let json = serde_json::from_slice::<Value>(document).unwrap_or_default();
    let is_public = |key: &Value| key.is_object() && key.get("d").is_none() && key["kty"] != "oct";
    match form {
        Form::Jwks => {
            let keys = json["keys"].as_array().expect("the keys are a list");
            assert!(keys.iter().any(is_public), "one of them is public");
        }
        Form::Jwk => assert!(is_public(&json["key"]), "it is public"),
        Form::Pem => assert!(at.is_empty() || json["key"].is_string(), "it is a text"),
        Form::X509 => {
            let text = std::str::from_utf8(document).expect("it is text");
            assert!(text.contains("-----BEGIN CERTIFICATE-----"), "it is a certificate");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oracle_agrees_on_what_is_known() {
        for document in [
            r#"{"keys":[]}"#,
            r#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},1,null]}"#,
            r#"{"key":{"kty":"EC"}}"#,
            r#"{"key":{"kty":"RSA","n":"AQAB","e":"AQAB","d":"AQAB"}}"#,
            r#"{"key":"-----BEGIN PUBLIC KEY-----"}"#,
            "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----",
        ] {
            (0..5).for_each(|pick| key_set(&[&[pick], document.as_bytes()].concat()));
        }
    }
}
