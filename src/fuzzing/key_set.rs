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
    if let (Ok(set), Form::Jwks) = (read, form) {
        let keys = object(document).expect("a set of keys is a JSON object")["keys"].as_array().cloned();
        let keys = keys.expect("the keys are a list");
        assert!(keys.iter().any(|key| key.get("d").is_none() && key["kty"] != "oct"), "one of them is public");
        assert!(set.knows(None), "a set that was read has a key");
    }
}

fn object(json: &[u8]) -> Option<serde_json::Map<String, Value>> {
    serde_json::from_slice(json).ok()
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
            "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----",
        ] {
            (0..5).for_each(|pick| key_set(&[&[pick], document.as_bytes()].concat()));
        }
    }
}
