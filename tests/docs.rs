//! Documentation that cannot go stale: it is written by these tests, from the code it is about.

use std::{fs, path::Path};

use hooksieve::stages::selector::Selector;

/// Writes `content` to `path`, seen from the root of the repository, and fails when something else was there: the new
/// page is then to be looked at and committed.
fn written_by_test(path: &str, content: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let before = fs::read_to_string(&file).unwrap_or_default();
    if before == content {
        return;
    }
    fs::create_dir_all(file.parent().expect("a page lies in a folder")).expect("the folder can be made");
    fs::write(&file, content).expect("the page can be written");
    panic!("{path} was not what the code says; it has been written anew: look at the difference and commit it");
}

#[test]
fn config_reference() {
    written_by_test("docs/config-reference.md", &hooksieve::config::reference());
}

#[test]
fn admin() {
    written_by_test("docs/admin.md", &hooksieve::admin::reference());
}

#[test]
fn answers() {
    written_by_test("docs/answers.md", &hooksieve::stages::answer::reference());
}

#[test]
fn debugging() {
    written_by_test("docs/debugging.md", &hooksieve::cli::explain::reference());
}

/// `docs/describing-a-sender.md` is written by hand; that it names every transform, and none that there is not, is
/// looked at here.
#[test]
fn the_page_of_the_language_has_every_transform() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/describing-a-sender.md")).expect("the page is there");
    let code = fs::read_to_string(root.join("src/stages/selector/transform.rs")).expect("the file is there");
    let table =
        page.split("## Transforms").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("the table is there");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let shown: Vec<&str> = rows.flat_map(|cell| cell.split(", `")).map(|name| name.trim_end_matches('`')).collect();
    for name in &shown {
        let parsed = Selector::parse(&format!("body|{name}"), &|_| None);
        assert!(parsed.is_ok(), "the page shows `{name}`: {parsed:?}");
    }
    let declared = code.lines().filter_map(|line| line.trim().strip_prefix("/// `|")?.split(['`', '(']).next());
    for name in declared {
        let is_shown = shown.iter().any(|shown| shown.split('(').next() == Some(name));
        assert!(is_shown, "docs/describing-a-sender.md does not show `|{name}`");
    }
}
