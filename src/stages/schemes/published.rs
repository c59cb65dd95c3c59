//! Keys that a sender publishes: where they lie, which of them a request needs, and which may verify it. Who has fetched
//! them, and when, is nothing to this file.

use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{
    Named,
    jose::{Key, Verifying},
    key_set::{KeySet, Reading},
    public_key::Algorithm,
};
use crate::{
    secret::Secret,
    stages::{
        address::{Address, Destination, HostPattern},
        json::Pointer,
        selector::Facts,
        template::Template,
        words::Refusal,
    },
};

/// Keys of one document that are tried for one request: every one may cost a signature.
const TRIED_MAX: usize = 8;

/// The name of all such keys in the log, in metrics and for the application: their own come from outside.
const NAME: &str = "published";

/// Where a sender publishes its keys.
#[derive(Clone, Debug)]
pub struct Publisher {
    /// Where: of several, each that a request names.
    pub places: Vec<Destination>,
    /// What is posted there; without it the keys are asked for with `GET`.
    pub post: Option<Template>,
    /// What is found there.
    pub reading: Reading,
    /// Names that a certificate must be for, one of them; empty means any.
    pub names: Vec<HostPattern>,
    /// What the keys are used for, each with its name in JSON Web Signatures (RFC 7518, section 3.1).
    pub algorithms: Vec<(&'static str, Algorithm)>,
    /// Networks that are gone to, though they are not public.
    pub networks: Arc<[IpNet]>,
}

/// One way of the gateway: where, with what, and to which addresses besides public ones.
#[derive(Clone, Debug)]
pub struct Errand {
    /// Where to.
    pub address: Address,
    /// What is posted there; without it, it is a `GET`.
    pub post: Option<Secret>,
    /// Networks that are gone to, though they are not public.
    pub networks: Arc<[IpNet]>,
}

/// A document of keys that a request cannot be judged without.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Which of the source's rules wants it.
    pub(in crate::stages) rule: usize,
    /// The way there.
    pub errand: Errand,
    /// How it is read.
    pub reading: Reading,
    /// The key of it that the request names.
    pub key_id: Option<String>,
}

/// What was fetched for one request.
#[derive(Clone, Debug, Default)]
pub struct Published {
    sets: Vec<(usize, Arc<KeySet>)>,
    incomplete: bool,
}

impl Publisher {
    /// What has to be fetched for a request whose credential names this key. No address is not on the list (W-52).
    pub(in crate::stages) fn wants(
        &self,
        rule: usize,
        key_id: Option<&str>,
        facts: &Facts<'_>,
    ) -> Result<Vec<Wanted>, Refusal> {
        let facts = Facts { key_id, ..*facts };
        let mut wanted = Vec::new();
        for place in &self.places {
            let Some(address) = place.find(&facts)? else { continue };
            let post = match &self.post {
                None => None,
                Some(body) => Some(Secret::new(body.render(&facts)?.ok_or(Refusal::AuthMalformed)?)),
            };
            let errand = Errand { address, post, networks: self.networks.clone() };
            let key_id = key_id.map(str::to_owned);
            wanted.push(Wanted { rule, errand, reading: self.reading.clone(), key_id });
        }
        if wanted.is_empty() { Err(Refusal::AuthMissing) } else { Ok(wanted) }
    }

    /// The keys that may verify a request which names this key, each with the algorithm it is used with.
    pub(in crate::stages) fn keys(&self, set: &KeySet, key_id: Option<&str>, now: Timestamp) -> Vec<Named<Key>> {
        let meant = set.keys_at(now).filter(|key| key.may_be(key_id) && key.is_for_one_of(&self.names));
        let keys = meant.flat_map(|key| {
            self.algorithms.iter().filter_map(|(name, algorithm)| {
                let verifying = Verifying::Public(key.as_one_for(name, *algorithm)?);
                let key = Key { algorithm: name, id: key.id().map(str::to_owned), verifying };
                Some(Named { name: Arc::from(NAME), until: None, key })
            })
        });
        keys.take(TRIED_MAX).collect()
    }
}

impl Wanted {
    /// Which of the source's rules wants it, from 0.
    pub fn rule(&self) -> usize {
        self.rule
    }

    /// What tells one document from another: two requests that want the same can share what is fetched.
    pub fn identity(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let Reading { form, at, until } = &self.reading;
        let until = until.as_ref().map_or("", Pointer::as_str);
        for part in [&self.errand.address.to_string(), &format!("{form:?}"), at.as_str(), until] {
            hash.update(part);
            hash.update([0]);
        }
        for network in &*self.errand.networks {
            hash.update(network.to_string());
            hash.update([0]);
        }
        hash.update(self.errand.post.as_ref().map_or(&[][..], Secret::expose));
        hash.finalize().into()
    }
}

impl Published {
    /// Nothing was fetched.
    pub const NONE: Self = Self { sets: Vec::new(), incomplete: false };

    /// Keys that a rule wanted.
    pub fn add(&mut self, wanted: &Wanted, set: Arc<KeySet>) {
        self.sets.push((wanted.rule, set));
    }

    /// Keys that a rule wanted are there, and cannot be had now.
    pub fn miss(&mut self) {
        self.incomplete = true;
    }

    /// Whether there are keys that cannot be had now: who is not verified may be right all the same.
    pub(in crate::stages) fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// The documents that were fetched for a rule.
    pub(in crate::stages) fn of(&self, rule: usize) -> impl Iterator<Item = &KeySet> {
        self.sets.iter().filter(move |(of, _)| *of == rule).map(|(_, set)| &**set)
    }
}

#[cfg(test)]
mod tests;
