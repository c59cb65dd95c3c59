//! Certificates of senders (RFC 5280): the key, whose it is, and how long it is good. The chain is not followed: what
//! makes a certificate the sender's is the pinned file, or the address on the sender's own host that it comes from.

use jiff::Timestamp;
use spki::{
    ObjectIdentifier,
    der::{Decode, Encode, SliceReader, pem},
};
use x509_cert::{Certificate as Parsed, time::Time};

/// `id-at-commonName` (RFC 5280, appendix A.1).
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// What counts of a certificate.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The key, as a DER `SubjectPublicKeyInfo`.
    pub key: Vec<u8>,
    /// The subject's common name, in lower case.
    pub name: Option<String>,
    /// Good from this moment on.
    pub not_before: Timestamp,
    /// Good up to and including this moment.
    pub not_after: Timestamp,
}

/// It is no certificate, or one that nobody could use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

impl Certificate {
    /// Reads the first certificate of a PEM text: those that follow it are its issuers (RFC 8446, section 4.4.2).
    pub fn from_pem(text: &str) -> Result<Self, Unreadable> {
        let start = text.find("-----BEGIN ").ok_or(Unreadable)?;
        let end = text[start..].find("-----END CERTIFICATE-----").ok_or(Unreadable)?;
        let first = &text[start..start + end + "-----END CERTIFICATE-----".len()];
        match pem::decode_vec(first.as_bytes()) {
            Ok(("CERTIFICATE", der)) => Self::from_der(&der),
            Ok(_) | Err(_) => Err(Unreadable),
        }
    }

    /// Reads the DER form.
    pub fn from_der(der: &[u8]) -> Result<Self, Unreadable> {
        let mut reader = SliceReader::new(der).map_err(|_| Unreadable)?;
        let parsed = Parsed::decode(&mut reader).map_err(|_| Unreadable)?.tbs_certificate;
        Ok(Self {
            key: parsed.subject_public_key_info.to_der().map_err(|_| Unreadable)?,
            name: common_name(&parsed),
            not_before: moment(parsed.validity.not_before)?,
            not_after: moment(parsed.validity.not_after)?,
        })
    }

    /// Whether it is good at this moment (RFC 5280, section 4.1.2.5).
    pub fn is_valid(&self, now: Timestamp) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

fn moment(time: Time) -> Result<Timestamp, Unreadable> {
    let seconds = i64::try_from(time.to_unix_duration().as_secs()).map_err(|_| Unreadable)?;
    Timestamp::from_second(seconds).map_err(|_| Unreadable)
}

fn common_name(parsed: &x509_cert::TbsCertificate) -> Option<String> {
    let names = parsed.subject.0.iter().flat_map(|name| name.0.iter()).filter(|name| name.oid == COMMON_NAME);
    // With two of them, two readers could see two names.
    let [name] = names.collect::<Vec<_>>()[..] else { return None };
    Some(std::str::from_utf8(name.value.value()).ok()?.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    use super::*;
    use crate::stages::schemes::public_key::{Algorithm, PublicKey};

    fn made(names: &[&str]) -> String {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (at, name) in names.iter().enumerate() {
            // A name's kind is there once in this library; a second one takes another that reads alike.
            let kind = if at == 0 { DnType::CommonName } else { DnType::CustomDnType(vec![2, 5, 4, 3]) };
            params.distinguished_name.push(kind, *name);
        }
        (params.not_before, params.not_after) = (date_time_ymd(2025, 1, 1), date_time_ymd(2026, 1, 1));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    #[test]
    fn what_counts_of_a_certificate() {
        let read = Certificate::from_pem(&made(&["Hooks.Sender.Example"])).unwrap();
        assert_eq!(read.name.as_deref(), Some("hooks.sender.example"));
        assert!(PublicKey::from_spki(Algorithm::EcdsaDer, &read.key).is_ok());
        for (second, valid) in
            [(1_735_689_599, false), (1_735_689_600, true), (1_767_225_600, true), (1_767_225_601, false)]
        {
            assert_eq!(read.is_valid(Timestamp::from_second(second).unwrap()), valid, "{second}");
        }
        assert_eq!(Certificate::from_pem(&made(&[])).unwrap().name, None);
        assert_eq!(Certificate::from_pem(&made(&["a.example", "b.example"])).unwrap().name, None);
    }

    #[test]
    fn the_first_of_a_chain_counts() {
        let chain = format!("subject=CN first\n{}{}", made(&["first.example"]), made(&["second.example"]));
        assert_eq!(Certificate::from_pem(&chain).unwrap().name.as_deref(), Some("first.example"));
        let pem = made(&["first.example"]);
        for broken in
            ["", "-----BEGIN CERTIFICATE-----", &pem[..pem.len() / 2], &pem.replace("CERTIFICATE", "PUBLIC KEY")]
        {
            assert_eq!(Certificate::from_pem(broken).map(|read| read.name), Err(Unreadable), "{broken}");
        }
    }
}
