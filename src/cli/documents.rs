//! Documents of keys that a sender publishes, where nothing is fetched: what an operator has in files, or what was
//! recorded beside a request, stands for the network.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use bytes::Bytes;
use serde_json::Value;

use crate::stages::{
    json::Pointer,
    schemes::{
        key_set::{Form, KeySet, Reading},
        published::{Published, Wanted},
    },
};

/// A setting that only vectors have: the keys that the sender publishes (RFC 7517, section 5).
pub(super) const KEY_SET: &str = "jwks";

/// Another: certificates that it publishes, in PEM, by the URLs they lie at.
pub(super) const CERTIFICATES: &str = "certs";

/// All that are at hand.
#[derive(Clone, Debug, Default)]
pub(super) struct Documents(Vec<Document>);

#[derive(Clone, Debug)]
struct Document {
    /// Where it lies; without it, it is the one that is wanted, wherever that lies.
    address: Option<String>,
    text: Bytes,
    /// What was made up some day for a vector need not have been good at the time of its request.
    is_recorded: bool,
}

impl Documents {
    /// Of files, each as it was fetched.
    pub(super) fn of_files(files: &[PathBuf]) -> Result<Self, String> {
        let read = |file: &PathBuf| {
            let text = fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            Ok(Document { address: None, text: text.into(), is_recorded: false })
        };
        files.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Of the settings of a vector.
    pub(super) fn recorded(settings: &BTreeMap<String, Value>) -> Self {
        let document = |address, text: &str| Document { address, text: text.to_owned().into(), is_recorded: true };
        let sets = settings.get(KEY_SET).map(|set| document(None, &set.to_string()));
        let certificates = settings.get(CERTIFICATES).and_then(Value::as_object).into_iter().flatten();
        let certificates =
            certificates.filter_map(|(address, text)| Some(document(Some(address.clone()), text.as_str()?)));
        Self(sets.into_iter().chain(certificates).collect())
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a request wants, as far as it is at hand, and whether that is all of it.
    pub(super) fn published(&self, wanted: &[Wanted]) -> (Published, bool) {
        let (mut published, mut is_whole) = (Published::default(), true);
        for wanted in wanted {
            let sets = self.sets(wanted);
            is_whole &= !sets.is_empty();
            for set in sets {
                published.add(wanted, Arc::new(set));
            }
        }
        (published, is_whole)
    }

    /// The keys at hand in place of one document. It may be a whole answer of the sender's or what matters of it, or a set
    /// of keys.
    pub(super) fn sets(&self, wanted: &Wanted) -> Vec<KeySet> {
        let address = wanted.errand.address.to_string();
        let at_root = |form| Reading { form, at: Pointer::default(), ..wanted.reading.clone() };
        let readings = [wanted.reading.clone(), at_root(wanted.reading.form), at_root(Form::Jwks)];
        let is_there = |document: &&Document| document.address.as_ref().is_none_or(|known| *known == address);
        let read = |document: &Document| {
            let keys = readings.iter().find_map(|reading| KeySet::read(&document.text, reading).ok())?;
            Some(if document.is_recorded { keys.timeless() } else { keys })
        };
        self.0.iter().filter(is_there).filter_map(read).collect()
    }
}
