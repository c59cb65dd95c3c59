//! Files that are not to be used: each error says what to do, and nothing is changed.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
    path::Path,
};

use rusqlite::Connection;

use super::*;

/// The journal of `bench` is not opened, and says so with these words; the file stays as it is.
fn check(bench: &Bench, words: &[&str]) {
    let before = fs::read(&bench.settings.path).ok();
    let error = bench.try_open().expect_err("it must not be used").to_string();
    for word in words {
        assert!(error.contains(word), "`{word}` is missing: {error}");
    }
    assert!(fs::read(&bench.settings.path).ok() == before, "the file was changed");
}

/// A bench whose journal is not open.
fn closed() -> Bench {
    let mut bench = Bench::new();
    bench.queue("1");
    bench.journal = None;
    // Tidied up, so that everything is in one file.
    drop(SqliteJournal::open(bench.settings.clone(), Arc::new(bench.clock.clone())).unwrap());
    bench
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_directory_that_is_not_there() {
    let mut bench = closed();
    bench.settings.path = bench.directory.path().join("no such/journal.db");
    check(&bench, &["no such", "install -d -m 0700"]);
    bench.settings.path = bench.file("").join("journal.db");
    check(&bench, &["is not a directory"]);
}

#[test]
fn d_53_two_processes() {
    let bench = Bench::new();
    let us = std::process::id().to_string();
    let error = bench.try_open().expect_err("it is open already").to_string();
    assert!(error.contains(&us) && error.contains("stop that one first"), "{error}");
    bench.queue("1");
}

#[test]
fn d_54_a_newer_format() {
    let bench = closed();
    let db = Connection::open(bench.file("")).unwrap();
    db.pragma_update(None, "user_version", 2).unwrap();
    drop(db);
    check(&bench, &["newer hooksieve (version 2; this one knows 1)", "run that one", "Nothing was changed"]);
}

#[test]
fn a_database_of_another_program() {
    let bench = closed();
    fs::remove_file(bench.file("")).unwrap();
    let db = Connection::open(bench.file("")).unwrap();
    db.execute_batch("CREATE TABLE other (id INTEGER PRIMARY KEY)").unwrap();
    drop(db);
    check(&bench, &["database of another program", "`journal.path`"]);
    fs::write(bench.file(""), "Dear diary,\n".repeat(1_000)).unwrap();
    check(&bench, &["is damaged", "not a database", "Nothing was deleted", ".recover"]);
}

#[test]
fn a_corrupt_page() {
    let bench = closed();
    let mut file = fs::read(bench.file("")).unwrap();
    // The page with the schema; others are found when they are read (`failures.rs`).
    file[100..4096].fill(0x5a);
    fs::write(bench.file(""), file).unwrap();
    check(&bench, &["is damaged", "Nothing was deleted", "keep a copy", ".recover"]);
}

#[test]
fn d_56_links() {
    let bench = closed();
    let (real, link) = (bench.file(".real"), bench.file(""));
    fs::rename(&link, &real).unwrap();
    symlink(&real, &link).unwrap();
    check(&bench, &["is a symbolic link", "journal.db.real"]);
    let mut bench = closed();
    let link = bench.directory.path().with_extension("link");
    symlink(bench.directory.path(), &link).unwrap();
    bench.settings.path = link.join("journal.db");
    check(&bench, &["is a symbolic link", &bench.directory.path().display().to_string()]);
    fs::remove_file(link).unwrap();
    let bench = closed();
    fs::remove_file(bench.file(".lock")).unwrap();
    symlink("/etc/passwd", bench.file(".lock")).unwrap();
    check(&bench, &["is a symbolic link", "/etc/passwd"]);
}

#[test]
fn d_56_permissions() {
    let bench = closed();
    for bits in [0o770, 0o707, 0o777] {
        mode(bench.directory.path(), bits);
        check(&bench, &["others can put files", "chmod go-w"]);
    }
    mode(bench.directory.path(), 0o1777);
    bench.try_open().unwrap();
    mode(bench.directory.path(), 0o755);
    mode(&bench.file(""), 0o644);
    drop(bench.try_open().unwrap());
    assert_eq!(fs::metadata(bench.file("")).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn d_56_neither_a_file_nor_a_directory() {
    let bench = closed();
    fs::remove_file(bench.file("")).unwrap();
    fs::create_dir(bench.file("")).unwrap();
    check(&bench, &["is not a regular file"]);
}

#[test]
fn d_56_somebody_elses() {
    if !rustix::process::geteuid().is_root() {
        // Only root can give files away.
        return;
    }
    let nobody = Some(65_534);
    let bench = closed();
    chown(bench.file(""), nobody, None).unwrap();
    check(&bench, &["belongs to user 65534, and this is user 0", "chown 0"]);
    let bench = closed();
    chown(bench.directory.path(), nobody, None).unwrap();
    check(&bench, &["belongs to user 65534"]);
    chown(bench.directory.path(), Some(0), None).unwrap();
}

#[test]
fn o_32_an_older_format_is_brought_up_to_date() {
    // There is only one so far; an empty file is version 0 of it.
    let mut bench = closed();
    fs::write(bench.file(""), "").unwrap();
    bench.reopen();
    bench.queue("1");
}
