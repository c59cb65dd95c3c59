//! RSA signatures with SHA-1 (RFC 8017, section 8.2.1), which ring does not make, for two old senders that can be played
//! all the same. It takes as long as the key lets it: this is for keys of tests, and nothing of the gateway signs with it.

use num_bigint::BigUint;
use pkcs1::RsaPrivateKey;
use spki::{
    AlgorithmIdentifierRef,
    der::{self, Decode as _, Reader as _, SliceReader, asn1::OctetStringRef},
};
use zeroize::Zeroizing;

use crate::stages::schemes::hmac::Hash;

/// `DigestInfo` of SHA-1, up to the digest (RFC 8017, section 9.2, note 1).
const DIGEST_INFO: [u8; 15] =
    [0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14];

/// The RSA key that is wrapped in PKCS #8 (RFC 5208, section 5).
pub(super) fn unwrap(pkcs8: &[u8]) -> der::Result<Zeroizing<Vec<u8>>> {
    SliceReader::new(pkcs8)?.sequence(|reader| {
        u8::decode(reader)?;
        AlgorithmIdentifierRef::decode(reader)?;
        let key = Zeroizing::new(OctetStringRef::decode(reader)?.as_bytes().to_vec());
        // Attributes may follow.
        reader.read_slice(reader.remaining_len())?;
        Ok(key)
    })
}

/// The signature; nothing where the key is none, or too short for it.
pub(super) fn sign(pkcs1: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let key = RsaPrivateKey::from_der(pkcs1).ok()?;
    let length = key.modulus.as_bytes().len();
    let digest = Hash::Sha1.digest([text]);
    let padding = length.checked_sub(3 + DIGEST_INFO.len() + digest.len()).filter(|padding| *padding >= 8)?;
    let padded = [&[0, 1], vec![0xff; padding].as_slice(), &[0], &DIGEST_INFO, &digest].concat();
    let number = |bytes: &[u8]| BigUint::from_bytes_be(bytes);
    let power = number(&padded).modpow(&number(key.private_exponent.as_bytes()), &number(key.modulus.as_bytes()));
    let power = power.to_bytes_be();
    Some([vec![0; length - power.len()], power].concat())
}

#[cfg(test)]
mod tests {
    use super::{super::PrivateKey, *};
    use crate::stages::schemes::{public_key::Algorithm, sign::Signer as _};
    use ring::signature::{RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, UnparsedPublicKey};

    #[test]
    fn ring_takes_what_is_signed_here() {
        let key = PrivateKey::from_pem(include_str!("../../../tests/keys/rsa.pem")).unwrap();
        for text in ["", "a", "a longer text, which is signed as well"] {
            let signature = key.sign(Algorithm::Rsa(Hash::Sha1), text.as_bytes()).unwrap();
            let public = UnparsedPublicKey::new(&RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, key.public());
            public.verify(text.as_bytes(), &signature).unwrap();
            public.verify(format!("{text}.").as_bytes(), &signature).unwrap_err();
        }
    }
}
