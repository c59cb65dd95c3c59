//! Public keys and signatures in their written forms: whatever is read must be what another writer would have written.

use data_encoding::{BASE64, BASE64URL, BASE64URL_NOPAD, HEXLOWER};
use pkcs1::RsaPublicKey;
use spki::der::{Decode as _, Encode as _, asn1::UintRef, pem::LineEnding};

use crate::stages::schemes::{
    hmac::Hash,
    public_key::{Algorithm, PublicKey},
    signature::{Encoding, Length},
};

/// Before the 32 bytes of a key (RFC 8410, section 10.1).
const ED25519: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
/// Before the 65 bytes of a point (RFC 5480, section 2).
const P256: &[u8] =
    b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
/// Before the PKCS #1 form of a key of 2048 bits with an exponent of three bytes (RFC 3279, section 2.3.1).
const RSA: &[u8] = b"\x30\x82\x01\x22\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x82\x01\x0f\x00";

const ALGORITHMS: [(Algorithm, &[u8]); 4] = [
    (Algorithm::Ed25519, ED25519),
    (Algorithm::EcdsaDer, P256),
    (Algorithm::EcdsaRaw, P256),
    (Algorithm::Rsa(Hash::Sha256), RSA),
];

/// First a byte that picks an algorithm and a form, then edits of a right key in that form: two bytes for the place, one
/// for what is put there. What is left over is read as a key and as a signature by itself.
///
/// # Panics
///
/// When something is read that is not spelled as it is written, or something right is not read.
pub fn key(data: &[u8]) {
    let Some((pick, edits)) = data.split_first() else { return };
    let (algorithm, before) = ALGORITHMS[usize::from(pick & 3)];
    let right = [before, &plain(algorithm)].concat();
    assert!(PublicKey::from_spki(algorithm, &right).is_ok(), "a right {algorithm:?} key");
    let edits = edits.chunks_exact(3);
    let rest = edits.remainder();
    let edited = |mut bytes: Vec<u8>| {
        for edit in edits.clone() {
            let at = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % bytes.len();
            bytes[at] = edit[2];
        }
        bytes
    };
    if pick & 4 == 0 {
        spki(algorithm, before, &edited(right));
    } else {
        let label = ["PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE"][usize::from(pick >> 3) % 3];
        let pem = spki::der::pem::encode_string(label, LineEnding::LF, &right).expect("it has a label");
        pem_text(algorithm, &String::from_utf8_lossy(&edited(pem.into_bytes())));
    }
    spki(algorithm, before, data);
    encodings(data);
    encodings(rest);
}

/// A key that is right in its form, if not in its numbers.
fn plain(algorithm: Algorithm) -> Vec<u8> {
    match algorithm {
        Algorithm::Ed25519 => vec![7; 32],
        Algorithm::EcdsaDer | Algorithm::EcdsaRaw => [&[4][..], &[7; 64]].concat(),
        Algorithm::Rsa(_) | Algorithm::RsaPss(_) => {
            let number = |bytes| UintRef::new(bytes).expect("it is short");
            let key = RsaPublicKey { modulus: number(&[0xf7; 256]), public_exponent: number(&[1, 0, 1]) };
            key.to_der().expect("it is short")
        }
    }
}

fn spki(algorithm: Algorithm, before: &[u8], der: &[u8]) {
    let Ok(key) = PublicKey::from_spki(algorithm, der) else { return };
    match algorithm {
        Algorithm::Ed25519 | Algorithm::EcdsaDer | Algorithm::EcdsaRaw => {
            assert_eq!(der, [before, key.as_bytes()].concat(), "{algorithm:?}: read as it is not written");
        }
        Algorithm::Rsa(_) | Algorithm::RsaPss(_) => {
            assert!(der.ends_with(key.as_bytes()), "the key is the last thing in there");
            let numbers = RsaPublicKey::from_der(key.as_bytes()).expect("it was read before");
            assert_eq!(numbers.to_der().as_deref(), Ok(key.as_bytes()), "two spellings of one key");
        }
    }
}

/// What lies between the markers, whatever its lines are, must be the base64 of the key, in its one spelling.
fn pem_text(algorithm: Algorithm, text: &str) {
    let Ok(key) = PublicKey::from_pem(algorithm, text) else { return };
    // A line may end with a carriage return alone (RFC 7468, section 3).
    let inner = text.trim().split(['\r', '\n']).filter(|line| !line.starts_with("-----")).collect::<String>();
    let der = BASE64.decode(inner.replace([' ', '\t'], "").as_bytes());
    let der = der.unwrap_or_else(|error| panic!("{text:?} is no base64: {error}"));
    let bytes = key.as_bytes();
    assert!(der.windows(bytes.len()).any(|window| window == bytes), "the key is not in {text:?}");
    assert!(!text.contains("PRIVATE KEY"), "a private key is taken");
}

/// Signatures: what is decoded is spelled as another writer would have, and has the length it must.
fn encodings(data: &[u8]) {
    let every = [Encoding::Auto, Encoding::Base64, Encoding::Base64Url, Encoding::Hex];
    let text = String::from_utf8_lossy(data);
    let lengths = [Length::Exactly(32), Length::Exactly(data.len()), Length::UpTo(72)];
    for (encoding, length) in every.iter().flat_map(|encoding| lengths.map(|length| (*encoding, length))) {
        let Some(bytes) = encoding.decode(&text, length) else { continue };
        let hex = || HEXLOWER.encode(&bytes) == text.to_ascii_lowercase();
        let base64 = || BASE64.encode(&bytes) == text;
        let is_spelt = match encoding {
            Encoding::Auto => hex() || base64(),
            Encoding::Base64 => base64(),
            Encoding::Base64Url => BASE64URL_NOPAD.encode(&bytes) == text || BASE64URL.encode(&bytes) == text,
            Encoding::Hex => hex(),
        };
        assert!(is_spelt, "{encoding:?} reads {text:?} as {bytes:?}");
        assert!(length != Length::Exactly(32) || bytes.len() == 32, "{} bytes", bytes.len());
    }
    if !data.is_empty() {
        let length = Length::Exactly(data.len());
        assert_eq!(Encoding::Hex.decode(&HEXLOWER.encode(data), length).as_deref(), Some(data));
        assert_eq!(Encoding::Base64.decode(&BASE64.encode(data), length).as_deref(), Some(data));
        assert_eq!(Encoding::Base64Url.decode(&BASE64URL_NOPAD.encode(data), length).as_deref(), Some(data));
    }
}

#[cfg(test)]
mod tests {
    use super::key;

    #[test]
    fn keys_with_one_byte_changed() {
        for pick in 0..32 {
            key(&[pick]);
            for at in 0..400_u16 {
                let [high, low] = at.to_be_bytes();
                for byte in [b'\n', b'A', 0, 255] {
                    key(&[pick, high, low, byte]);
                }
            }
        }
    }
}
