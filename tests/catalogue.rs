//! Which test proves which case of the catalogue: `tests/catalogue.md` lists every number of its groups with the tests
//! that carry it in their names. This test writes the names; the notes are written by hand.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};

/// The groups and how many cases they have.
const GROUPS: &[(&str, u32, &str)] = &[
    ("W", 55, "Authenticity"),
    ("R", 28, "Replay, time, identity, rate"),
    ("H", 10, "Handshakes"),
    ("J", 40, "JSON, batches, schemas"),
    ("D", 60, "Delivery and journal"),
    ("P", 55, "HTTP/1 framing and proxying"),
    ("T", 27, "HTTP/2 and TLS"),
    ("L", 18, "Resource exhaustion"),
    ("S", 14, "Shared state for replicas"),
    ("O", 34, "Operations"),
];

const INTRODUCTION: &str = "# The catalogue of attacks and faults, and the tests that prove each case\n\n\
    A test is named after the numbers it proves: `w_25_…`, `r_01_r_02_…`, `j_08_to_j_12_…`. The names in this table are\n\
    written by `tests/catalogue.rs`; the notes are written by hand and say what is not there yet, and where the design\n\
    or a sender's documentation wants something other than the catalogue.\n";

/// A case: its group and its number in it.
type Case = (String, u32);

#[test]
fn every_case_has_a_test_or_says_why_not() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/catalogue.md");
    let before = fs::read_to_string(&file).unwrap_or_default();
    let (tests, notes) = (tests(), notes(&before));
    let mut page = INTRODUCTION.to_owned();
    let mut open = Vec::new();
    for (group, count, title) in GROUPS {
        write!(page, "\n## {group}: {title}\n\n| Case | Tests | Note |\n|---|---|---|\n").expect("a string takes it");
        for number in 1..=*count {
            let case = ((*group).to_owned(), number);
            let names = tests.get(&case).into_iter().flatten().map(|name| format!("`{name}`")).collect::<Vec<_>>();
            let note = notes.get(&case).map_or("", String::as_str);
            // A case without a test says why, and one with a test does not say that there is none.
            if names.is_empty() != note.starts_with("Not yet") {
                open.push(format!("{group}-{number:02}"));
            }
            writeln!(page, "| {group}-{number:02} | {} | {note} |", names.join(" ")).expect("a string takes it");
        }
    }
    if page != before {
        fs::write(&file, page).expect("the page can be written");
        panic!("tests/catalogue.md was not what the tests say; it has been written anew: look at it and commit it");
    }
    assert!(open.is_empty(), "a test, or a note that begins with \"Not yet\": {}", open.join(", "));
}

/// The notes of the page, by case.
fn notes(page: &str) -> BTreeMap<Case, String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let cells = rows.filter_map(|row| {
        let [case, _, note] = row.splitn(3, " | ").collect::<Vec<_>>()[..] else { return None };
        let (group, number) = case.split_once('-')?;
        Some(((group.to_owned(), number.parse().ok()?), note.trim().to_owned()))
    });
    cells.collect()
}

/// The names of the tests of this crate, by the cases they carry.
fn tests() -> BTreeMap<Case, BTreeSet<String>> {
    let mut tests: BTreeMap<Case, BTreeSet<String>> = BTreeMap::new();
    for folder in ["src", "tests"] {
        visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut |text| {
            let mut lines = text.lines().map(str::trim);
            while let Some(line) = lines.next() {
                if !matches!(line, "#[test]" | "#[tokio::test]") && !line.starts_with("#[tokio::test(") {
                    continue;
                }
                let signature = lines.find(|line| line.contains("fn ")).expect("a function follows the attribute");
                let name =
                    signature.split("fn ").nth(1).and_then(|rest| rest.split('(').next()).expect("it has a name");
                for case in cases(name) {
                    tests.entry(case).or_default().insert(name.to_owned());
                }
            }
        });
    }
    tests
}

/// The numbers at the beginning of a test's name: `w_25_`, several of them, or `j_08_to_j_12_` for all between.
fn cases(name: &str) -> Vec<Case> {
    let mut words = name.split('_').peekable();
    let mut cases: Vec<Case> = Vec::new();
    let mut from = None;
    loop {
        let Some(group) = words.next().map(str::to_uppercase) else { return cases };
        if group == "TO" {
            from = cases.last().map(|(_, number)| number + 1);
            continue;
        }
        let number = words.peek().and_then(|word| word.parse::<u32>().ok());
        let Some(number) = number.filter(|_| group.len() == 1) else { return cases };
        words.next();
        for between in from.take().unwrap_or(number)..=number {
            cases.push((group.clone(), between));
        }
    }
}

fn visit(folder: &Path, read: &mut dyn FnMut(&str)) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            visit(&path, read);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            read(&fs::read_to_string(&path).expect("it is text"));
        }
    }
}

#[test]
fn names_carry_their_cases() {
    let check = |name: &str, want: &[(&str, u32)]| {
        let want: Vec<Case> = want.iter().map(|(group, number)| ((*group).to_owned(), *number)).collect();
        assert_eq!(cases(name), want, "{name}");
    };
    check("w_25_signature_header_twice", &[("W", 25)]);
    check("r_01_r_02_window_edges", &[("R", 1), ("R", 2)]);
    check("j_08_to_j_10_what_is_not_json", &[("J", 8), ("J", 9), ("J", 10)]);
    check("h_07_h_09_to_h_10_x", &[("H", 7), ("H", 9), ("H", 10)]);
    check("a_batch_by_pointer", &[]);
    check("every_case", &[]);
}
