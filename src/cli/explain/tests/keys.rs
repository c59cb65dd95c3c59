//! Schemes with public keys and tokens: the private key here is the sender's.

use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
        Ed25519KeyPair, KeyPair as _,
    },
};
use serde_json::json;

use super::*;

fn ed25519() -> (Ed25519KeyPair, String) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let public = HEXLOWER.encode(pair.public_key().as_ref());
    (pair, public)
}

#[test]
fn ed25519_signatures() {
    let (pair, secret) = ed25519();
    let check = |rule: &str, text: String, body: &str, mistake: &'static str| {
        let headers = vec![
            ("x-signature", HEXLOWER.encode(pair.sign(text.as_bytes()).as_ref())),
            ("x-time", SECONDS.to_string()),
        ];
        let (secret, body) = (secret.clone(), body.as_bytes().to_vec());
        Case { rule, secret, headers, body, mistakes: &[mistake], ..Case::default() }.check();
    };
    let rule = "kind = \"ed25519\"\nkey = { decode = \"hex\" }\nsignature = { from = \"header:x-signature\" }\n";
    check(rule, format!("{SECONDS}{BODY}"), BODY, "message");
    check(rule, BODY.to_owned(), &format!("{BODY}\n"), "body_newline");
    check(rule, BODY.replace('/', "\\/"), BODY, "reserialised");
    check(&format!("{rule}message = \"{{header:x-time}}.{{body}}\""), BODY.to_owned(), BODY, "message");
    let base64 = rule.replace("-signature\"", "-signature\", encoding = \"base64\"");
    check(&base64, BODY.to_owned(), BODY, "encoding");
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> (EcdsaKeyPair, SystemRandom) {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    (EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap(), random)
}

#[test]
fn ecdsa_in_the_other_form() {
    for (signing, form, mistakes) in [
        (&ECDSA_P256_SHA256_ASN1_SIGNING, "raw", &["signature_form"]),
        (&ECDSA_P256_SHA256_FIXED_SIGNING, "der", &["signature_form"]),
    ] {
        let (pair, random) = ecdsa(signing);
        let signature = HEXLOWER.encode(pair.sign(&random, BODY.as_bytes()).unwrap().as_ref());
        let rule = format!(
            "kind = \"ecdsa\"\nkey = {{ decode = \"hex\" }}\nsignature = {{ from = \"header:x-signature\", form = \"{form}\" }}"
        );
        let (secret, headers) = (HEXLOWER.encode(pair.public_key().as_ref()), vec![("x-signature", signature)]);
        Case { rule: &rule, secret, headers, mistakes, remedy: "form = ", ..Case::default() }.check();
    }
}

/// A compact token.
fn token(header: &serde_json::Value, claims: &serde_json::Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let part = |json: &serde_json::Value| BASE64URL_NOPAD.encode(json.to_string().as_bytes());
    let text = format!("{}.{}", part(header), part(claims));
    format!("{text}.{}", BASE64URL_NOPAD.encode(&sign(text.as_bytes())))
}

#[test]
fn tokens_with_shared_keys() {
    let rule = "kind = \"jwt\"\nalgorithms = \"HS256\"\nsignature = { from = \"header:authorization\", prefix = \"Bearer \" }\n\
                time = { from = \"claim:/iat\" }\nrequire = { same = [\"claim:/sha256\", \"body|sha256|hex\"] }";
    let digest = |body: &str| HEXLOWER.encode(&Hash::Sha256.digest([body.as_bytes()]));
    let check = |alg: &str, hash: Hash, iat: i64, signed_body: &str, secret: &str, mistakes: &[&'static str]| {
        let claims = json!({ "iat": iat, "sha256": digest(signed_body) });
        let token = token(&json!({ "alg": alg }), &claims, |text| mac(hash, SECRET, text));
        let (secret, headers) = (secret.to_owned(), vec![("authorization", format!("Bearer {token}"))]);
        Case { rule, secret, headers, mistakes, ..Case::default() }.check();
    };
    check("HS256", Hash::Sha256, SECONDS, BODY, SECRET, &[]);
    check("HS512", Hash::Sha512, SECONDS, BODY, SECRET, &["algorithm"]);
    check("HS256", Hash::Sha256, SECONDS, BODY, &format!("{SECRET}\n"), &["secret_newline"]);
    check("HS256", Hash::Sha256, SECONDS, &format!("{BODY}\n"), SECRET, &["body_newline"]);
    check("HS256", Hash::Sha256, SECONDS * 1000, BODY, SECRET, &["time_unit"]);
}

#[test]
fn keys_of_another_name() {
    let (pair, _) = ed25519();
    let public = BASE64URL_NOPAD.encode(pair.public_key().as_ref());
    let token = token(&json!({ "alg": "EdDSA", "kid": "2" }), &json!({}), |text| pair.sign(text).as_ref().to_vec());
    Case {
        rule: "kind = \"jwt\"\nalgorithms = \"EdDSA\"\nkey = { decode = \"jwk\" }\nsignature = { from = \"header:x-token\" }",
        secret: json!({ "kty": "OKP", "crv": "Ed25519", "x": public, "kid": "1" }).to_string(),
        headers: vec![("x-token", token)],
        mistakes: &["key_id"],
        remedy: "leave `kid` out of it",
        ..Case::default()
    }
    .check();
}
