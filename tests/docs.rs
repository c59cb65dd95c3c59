//! Documentation that cannot go stale: it is written by these tests, from the code it is about.

use std::{fs, path::Path};

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
