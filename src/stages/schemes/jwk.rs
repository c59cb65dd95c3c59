//! Public keys written as JSON Web Keys (RFC 7517; RFC 7518, section 6; RFC 8037).

use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;

use super::public_key::{Algorithm, PublicKey};

#[derive(Deserialize)]
#[serde(tag = "kty")]
enum Jwk {
    #[serde(rename = "EC")]
    EllipticCurve { crv: String, x: String, y: String },
    #[serde(rename = "OKP")]
    OctetPair { crv: String, x: String },
    #[serde(rename = "RSA")]
    Rsa { n: String, e: String },
}

/// The key, where it is one for this algorithm. The error says what is wrong.
pub fn read(algorithm: Algorithm, text: &str) -> Result<PublicKey, String> {
    let is_private = serde_json::from_str::<serde_json::Value>(text).is_ok_and(|key| key.get("d").is_some());
    if is_private {
        return Err("this is a private key; only the sender's public key belongs here".to_owned());
    }
    let key: Jwk = serde_json::from_str(text).map_err(|_| "it is not a public JSON Web Key".to_owned())?;
    match (key, algorithm) {
        (Jwk::EllipticCurve { crv, x, y }, Algorithm::EcdsaDer | Algorithm::EcdsaRaw) if crv == "P-256" => {
            PublicKey::from_raw(algorithm, &[vec![4], bytes(&x)?, bytes(&y)?].concat())
        }
        (Jwk::OctetPair { crv, x }, Algorithm::Ed25519) if crv == "Ed25519" => {
            PublicKey::from_raw(algorithm, &bytes(&x)?)
        }
        (Jwk::Rsa { n, e }, Algorithm::Rsa(_) | Algorithm::RsaPss(_)) => {
            PublicKey::from_rsa_numbers(algorithm, &bytes(&n)?, &bytes(&e)?)
        }
        (Jwk::EllipticCurve { .. } | Jwk::OctetPair { .. } | Jwk::Rsa { .. }, _) => {
            Err("it is a key for another algorithm".to_owned())
        }
    }
}

/// The key's `kid` (RFC 7517, section 4.5), where it has one.
pub fn id(key: &[u8]) -> Option<String> {
    let key: serde_json::Value = serde_json::from_slice(key).ok()?;
    key.get("kid")?.as_str().map(str::to_owned)
}

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| "it is not base64url".to_owned())
}
