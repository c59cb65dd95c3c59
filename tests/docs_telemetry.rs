//! Writes `docs/telemetry.md` from what the code declares, and fails when that changed it.

use std::{fmt::Write as _, fs, path::Path};

use hooksieve::{
    stages::words::{Cause, Refusal},
    telemetry::{DECLARED, FIELDS, Outcome, TRACE_TARGET},
};

#[test]
fn docs_telemetry_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/telemetry.md");
    let want = page();
    if fs::read_to_string(&path).ok().as_deref() != Some(&want) {
        fs::create_dir_all(path.parent().expect("docs/ is its parent")).expect("docs/ can be made");
        fs::write(&path, want).expect("docs/telemetry.md can be written");
        panic!("docs/telemetry.md was out of date and has been written anew: look at it and commit it");
    }
}

fn page() -> String {
    let mut page = String::from(
        "# What hooksieve tells about itself\n\n\
         <!-- Written by tests/docs_telemetry.rs from the code. Change it there. -->\n\n\
         ## Metrics\n\n\
         `GET /metrics` on the admin listener, in the text format that Prometheus reads. Label values come from closed\n\
         lists and from the configuration; a series appears when it first counts something.\n\n\
         | metric | kind | labels | what it counts |\n|---|---|---|---|\n",
    );
    for metric in DECLARED {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(page, "| `{}` | {} | {} | {} |", metric.name, metric.kind, labels.join(" "), metric.help);
    }
    let _ = write!(
        page,
        "\n## The access record\n\n\
         One line per request at level `info`, target `{TRACE_TARGET}`, whatever became of the request; in JSON all fields\n\
         are at the top of the object. A field that has nothing to say is left out, and so is a count of zero. Never a\n\
         body, a secret, a header's value, a query or a MAC. Strings from outside are cut at 256 bytes, control characters\n\
         are escaped.\n\n\
         Of the requests refused for one reason, at most 100 per second are logged; the next record after that says in\n\
         `suppressed` how many were not. The metrics count all of them. Accepted requests are always logged.\n\n\
         | field | meaning |\n|---|---|\n",
    );
    for (field, meaning) in FIELDS {
        let _ = writeln!(page, "| `{field}` | {meaning} |");
    }
    list(&mut page, "`outcome` and `verdict`", Outcome::ALL.iter().map(|outcome| outcome.as_str()));
    let refusals = Refusal::ALL.iter().map(|refusal| refusal.as_str());
    let causes = Cause::ALL.iter().map(|cause| cause.as_str());
    // Two words are in both lists: they mean the same, once for a request and once for an event.
    let causes = causes.filter(|cause| Refusal::ALL.iter().all(|refusal| refusal.as_str() != *cause));
    list(&mut page, "`reason`", refusals.chain(causes));
    page
}

fn list<'a>(page: &mut String, of: &str, words: impl Iterator<Item = &'a str>) {
    let words: Vec<_> = words.map(|word| format!("`{word}`")).collect();
    let _ = write!(page, "\nValues of {of}: {}.\n", words.join(" "));
}
