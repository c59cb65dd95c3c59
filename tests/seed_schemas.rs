//! The samples of the first four senders against their schemas: what conforms, and where and how the others do not.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{collections::HashMap, fs, path::PathBuf};

use bytes::Bytes;
use hooksieve::stages::{
    json::{Document, Limits, Path, Pointer, Value},
    schema::{Schema, Violation, Warning},
    split::{Envelope, split},
};

const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seeds");

/// One sender: its schemas by file, and what its preset says about them.
struct Sender {
    folder: PathBuf,
    preset: serde_json::Value,
    schemas: HashMap<String, Schema>,
}

impl Sender {
    fn load(name: &str) -> Self {
        let folder = PathBuf::from(SEEDS).join(name);
        let preset: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("preset.json")).unwrap()).unwrap();
        Self { folder, preset, schemas: HashMap::new() }
    }

    fn schema(&mut self, file: &str) -> &Schema {
        let path = self.folder.join(file);
        self.schemas.entry(file.to_owned()).or_insert_with(|| {
            let (schema, warnings) = Schema::compile(file, &fs::read_to_string(path).unwrap()).unwrap();
            assert!(warnings.iter().all(Warning::is_strict), "{warnings:?}");
            schema
        })
    }

    /// The stage that stops an element, and why: its envelope, its type, or the schema of its type.
    fn judge(&mut self, element: Value<'_>) -> Result<(), (&'static str, Option<Violation>)> {
        let envelope = self.preset["schema"]["envelope"].as_str().unwrap().to_owned();
        self.schema(&envelope).check(element).map_err(|violation| ("envelope", Some(violation)))?;
        let place = Pointer::parse(self.preset["envelope"]["event_type"].as_str().unwrap()).unwrap();
        let event_type = element.at(&place).unwrap().as_str().unwrap();
        let Some(file) = self.preset["events"][event_type.as_ref()]["schema"].as_str().map(str::to_owned) else {
            return Err(("event_type", None));
        };
        self.schema(&file).check(element).map_err(|violation| ("event", Some(violation)))
    }

    fn check_sample(&mut self, sample: &serde_json::Value) {
        let file = sample["file"].as_str().unwrap();
        let body = Bytes::from(fs::read(self.folder.join(file)).unwrap());
        let document = Document::parse(body, &Limits::default());
        if sample["stage"] == "parse" {
            assert!(document.is_err(), "{file} is read");
            return;
        }
        let document = document.unwrap();
        if sample["valid"] == true {
            let body_schema = self.preset["schema"]["body"].as_str().unwrap().to_owned();
            assert_eq!(self.schema(&body_schema).check(document.root()), Ok(()), "{file}");
            for also in sample["also_valid_against"].as_array().into_iter().flatten() {
                let (schema, pointer) = also.as_str().unwrap().split_once('#').unwrap();
                let part = document.root().at(&Pointer::parse(pointer).unwrap()).unwrap();
                assert_eq!(self.schema(schema).check(part), Ok(()), "{file} against {schema}");
            }
        }
        let is_batch = self.preset["envelope"]["shape"] == "array-or-object";
        let batch = split(
            document,
            &Envelope { split: is_batch.then(Path::default).into_iter().collect(), ..Envelope::default() },
        )
        .unwrap();
        let bad = sample["element"].as_u64().unwrap_or(0);
        for (index, event) in (0..).zip(batch.events()) {
            let found = self.judge(event.value());
            if sample["valid"] == true || index != bad {
                assert_eq!(found, Ok(()), "{file}, element {index}");
                continue;
            }
            let (stage, violation) = found.expect_err(file);
            let expected = sample["error"].as_object().map(|error| Violation {
                pointer: error["pointer"].as_str().unwrap().into(),
                keyword: error["keyword"].as_str().unwrap().into(),
            });
            assert_eq!(violation, expected, "{file}");
            // Where one file is both envelope and event schema, it is asked as the envelope first.
            let envelope = &self.preset["schema"]["envelope"];
            let is_both = self.preset["events"].as_object().unwrap().values().any(|event| event["schema"] == *envelope);
            assert_eq!(sample["stage"], if is_both && stage == "envelope" { "event" } else { stage }, "{file}");
        }
    }
}

fn check(sender: &str, samples: usize) {
    let mut sender = Sender::load(sender);
    let expected: serde_json::Value =
        serde_json::from_slice(&fs::read(sender.folder.join("expected.json")).unwrap()).unwrap();
    let list = expected["samples"].as_array().unwrap();
    assert_eq!(list.len(), samples);
    for sample in list {
        sender.check_sample(sample);
    }
}

#[test]
fn awork() {
    check("awork", 41);
}

#[test]
fn cakewalk() {
    check("cakewalk", 61);
}

#[test]
fn elan() {
    check("elan", 26);
}

#[test]
fn skillmine_auth() {
    check("skillmine-auth", 54);
}
