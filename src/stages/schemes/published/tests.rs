use bytes::Bytes;

use super::*;
use crate::stages::schemes::{hmac::Hash, key_set::Form};

const RSA: &str = r#"{"kty":"RSA","kid":"r","n":"kNU_VhLeP6P3q_iT_R6LRc4P9moEwl4kQmzN3YTH4gHXkDZMMuIXJj3RdDMSA8WYIvS3jXahmOzlUMWyGXq1h34D85hB7Wrg6UiKcwJFh7AOnxCubtOlDy5wL28YjIazV1mvLpqIE0B3ybORj2BqdDu0f2Zype3ppO19Us5usCvzsIMxYFKeOpCwSb2BL0qwcXrmq0Cgy-GvPvdtXtKD6kfJhl8IMCTBXDPA97eXqe-5VCthEB3S1RN5AaOvDv0O-QlOUFMcMu9mTNvNuwfsQ2Q-Z48N2MAz9L_5XOu0ptUOQNVuPEUVNUPiVUPBadO1VG0l8eiOVEHLl0pjE7NRNw","e":"AQAB""#;
const EDWARDS: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"y_-z0R0PF0WJom4cnBoUu_AgYf2vbLKUCdzN_0YEd0w""#;

fn reading(form: Form, at: &str) -> Reading {
    Reading { form, at: Pointer::parse(at).unwrap(), until: Some(Pointer::parse("/expired_at").unwrap()) }
}

fn publisher(algorithms: &[(&'static str, Algorithm)]) -> Publisher {
    Publisher {
        places: Vec::new(),
        post: None,
        reading: reading(Form::Jwks, ""),
        names: Vec::new(),
        algorithms: algorithms.to_vec(),
        networks: Arc::default(),
    }
}

/// How many keys of a set may verify a request that names this key, at second 1000.
fn check(keys: &str, key_id: Option<&str>, algorithms: &[(&'static str, Algorithm)], count: usize) {
    let document = Bytes::from(format!(r#"{{"keys":[{keys}]}}"#));
    let usable = KeySet::read(&document, &reading(Form::Jwks, "")).map_or(0, |set| {
        let now = Timestamp::from_second(1000).unwrap();
        publisher(algorithms).keys(&set, key_id, now).len()
    });
    assert_eq!(usable, count, "{keys} {key_id:?}");
}

#[test]
fn keys_are_used_for_what_they_are_for() {
    let rs256 = &[("RS256", Algorithm::Rsa(Hash::Sha256))];
    let both = &[rs256[0], ("EdDSA", Algorithm::Ed25519)];
    let pair = format!("{RSA}}},{EDWARDS}}}");
    check(&pair, None, both, 2);
    check(&pair, None, rs256, 1);
    check(&pair, Some("r"), both, 2);
    check(&pair, Some("other"), both, 1);
    for (members, count) in [
        ("", 1),
        (r#","use":"sig","alg":"RS256","key_ops":["verify"]"#, 1),
        (r#","use":"enc""#, 0),
        (r#","alg":"RS512""#, 0),
        (r#","key_ops":["encrypt"]"#, 0),
        (r#","d":"AAAA""#, 0),
        (r#","expired_at":null"#, 1),
        (r#","expired_at":1001"#, 1),
        (r#","expired_at":1000"#, 0),
        (r#","expired_at":-1e99"#, 0),
    ] {
        check(&format!("{RSA}{members}}}"), Some("r"), rs256, count);
    }
    check(&vec![format!("{EDWARDS}}}"); 20].join(","), None, both, TRIED_MAX);
}

#[test]
fn documents_that_are_none() {
    for (form, at, document) in [
        (Form::Jwks, "", "{"),
        (Form::Jwks, "", r#"{"keys":[]}"#),
        (Form::Jwks, "", r#"{"keys":{}}"#),
        (Form::Jwks, "/data", r#"{"keys":[]}"#),
        (Form::Jwks, "", r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#),
        (Form::Jwk, "/key", r#"{"key":null}"#),
        (Form::Pem, "/key", r#"{"key":1}"#),
        (Form::X509, "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        (Form::X509, "", "-----END CERTIFICATE----------BEGIN "),
        (Form::X509, "", ""),
    ] {
        let read = KeySet::read(&Bytes::from_static(document.as_bytes()), &reading(form, at));
        assert!(read.is_err(), "{form:?} {document}");
    }
    let inside = Bytes::from(format!(r#"{{"key":{EDWARDS}}}}}"#));
    assert!(KeySet::read(&inside, &reading(Form::Jwk, "/key")).is_ok());
}

#[test]
fn one_document_is_told_from_another() {
    let wanted = |url: &str, form: Form, post: Option<&str>| {
        let address = Address::fixed(url).unwrap();
        let errand = Errand { address, post: post.map(Secret::new), networks: Arc::default() };
        Wanted { rule: 0, errand, reading: reading(form, ""), key_id: None }.identity()
    };
    let url = "https://keys.example.com/";
    let all = [
        wanted(url, Form::Jwks, None),
        wanted(url, Form::Pem, None),
        wanted(url, Form::Jwks, Some("a")),
        wanted(url, Form::Jwks, Some("b")),
        wanted("https://keys.example.com/a", Form::Jwks, None),
    ];
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
    assert_eq!(wanted(url, Form::Jwks, None), all[0]);
}
