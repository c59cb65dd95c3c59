//! The journal's commands, as an operator at night uses them.

use std::{fs, future::Future};

use hooksieve::{
    clock::{Clock as _, SystemClock},
    state::{
        journal::{EntryId, JournalStore as _, Replay},
        sqlite::SqliteJournal,
    },
};
use serde_json::Value;

use crate::support::{
    gateway::CANARY,
    ledger::{a_bad_night, open_journal, webhook_id},
    shell::{Ran, Shell},
    soon,
};

/// The sources have secrets that nobody who calls at night has at hand, and one of them is wrong.
const CONFIG: &str = r#"
[journal]
path = "journal.db"

[upstreams.app]
url = "http://127.0.0.1:9/"

[sources.shop]
path = "/in/shop"
secrets = { env = "NOT_SET" }
upstream = "app"
colour = "green"
"#;

/// A folder with a journal in it that nobody has open.
fn left_behind(fill: impl AsyncFnOnce(&SqliteJournal)) -> Shell {
    let shell = Shell::with(CONFIG);
    let journal = open(&shell);
    run(fill(&journal));
    drop(journal);
    shell
}

fn open(shell: &Shell) -> SqliteJournal {
    open_journal(shell.folder.path())
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(soon(future))
}

/// What was printed, without what is another one each time.
fn steady(text: &str) -> String {
    let time = regex::Regex::new(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ").unwrap();
    time.replace_all(text, "YYYY-MM-DD hh:mm:ssZ").into_owned()
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap()
}

fn ids(ran: &Ran) -> Vec<i64> {
    json(ran)["deliveries"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

#[test]
fn a_list_is_read_at_a_glance() {
    let shell = left_behind(a_bad_night);
    let ran = shell.expect(0, &["journal", "list"]);
    insta::assert_snapshot!(steady(&ran.out), @r#"
    ID  RECEIVED              AGE  SOURCE  TYPE                                       VERDICT     STATE        ANSWER  TRIES  LAST  REASON
    5   YYYY-MM-DD hh:mm:ssZ  3h   shop    order.paid                                 duplicate   noted        200     0      -     -
    4   YYYY-MM-DD hh:mm:ssZ  3h   shop    order.paid                                 queue       pending      -       0      -     -
    3   YYYY-MM-DD hh:mm:ssZ  3h   post    \u{1b}[2J\u{202e}a type that somebody ma…  quarantine  quarantined  -       0      -     schema
    2   YYYY-MM-DD hh:mm:ssZ  3h   shop    order.paid                                 queue       dead         -       1      503   refused for 24 hours
    1   YYYY-MM-DD hh:mm:ssZ  3h   shop    order.paid                                 queue       dead         -       1      503   refused for 24 hours
    "#);
    insta::assert_snapshot!(ran.err, @r#"
    next: `hooksieve journal show 2`, then `hooksieve journal replay 2` or `hooksieve journal drop 2`
          all of them: `hooksieve journal replay --state dead --dry-run`
    "#);
    fs::copy(shell.folder.path().join("hooksieve.toml"), shell.folder.path().join("gw 2.toml")).unwrap();
    let elsewhere = shell.expect(0, &["journal", "list", "-c", "gw 2.toml"]);
    assert!(elsewhere.err.contains("`hooksieve journal show 2 -c 'gw 2.toml'`"), "{}", elsewhere.err);
    assert_eq!(shell.expect(0, &["journal", "list", "--source", "nobody"]).err, "no delivery matches\n");
    assert!(!ran.out.contains(CANARY));
}

#[test]
fn a_list_is_filtered() {
    let shell = left_behind(a_bad_night);
    let listed = |more: &[&str]| ids(&shell.expect(0, &[&["journal", "list", "--format", "json"], more].concat()));
    assert_eq!(listed(&[]), [5, 4, 3, 2, 1]);
    assert_eq!(listed(&["--state", "dead"]), [2, 1]);
    assert_eq!(listed(&["--source", "shop", "--verdict", "queue"]), [4, 2, 1]);
    assert_eq!(listed(&["--type", "order.paid", "--limit", "2", "--offset", "1"]), [4, 2]);
    assert_eq!(listed(&["--id", &webhook_id("shop", "1")]), [5, 1]);
    assert_eq!(listed(&["--since", "2h"]), [0; 0]);
    assert_eq!(listed(&["--since", "4h", "--until", "3h"]), [5, 4, 3, 2, 1]);
    let page = json(&shell.expect(0, &["journal", "list", "--format", "json", "--limit", "5"]));
    assert_eq!((&page["more"], &page["limit"]), (&Value::from(false), &Value::from(5)));
    for (slip, said) in [
        (["--state", "deed"], "`dead`"),
        (["--verdict", "mixed"], "`quarantine`"),
        (["--since", "yesterday"], "is no time"),
        (["--limit", "0"], "0 is not in 1..=10000"),
    ] {
        let ran = shell.run(&[&["journal", "list"][..], &slip].concat());
        assert!(ran.code == 2 && ran.err.contains(said), "{slip:?} {ran:?}");
    }
}

#[test]
fn one_delivery_is_told_whole() {
    let shell = left_behind(a_bad_night);
    let ran = shell.expect(0, &["journal", "show", "2"]);
    insta::assert_snapshot!(steady(&ran.out), @r#"
    Delivery 2: dead. Nothing more is tried after 1 attempt, the last answered with 503
      received     YYYY-MM-DD hh:mm:ssZ (3h ago)
      source       shop
      type         order.paid
      webhook-id   evt_fd084254bf69cc54f3a2d61fc6402665b37ab84b
      verdict      queue
      reason       refused for 24 hours
      upstream     app
      bytes        36, application/json, kept: `--body` prints them
      sha256       fc5f5c0275ec80d9f9df9ff5010bf4446cb4c43f6fc1e1554533a007d114a446
      traceparent  00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
      attempts
        #  AT                    TOOK   RESULT   STATUS
        1  YYYY-MM-DD hh:mm:ssZ  1.2 s  refused  503
    "#);
    insta::assert_snapshot!(ran.err, @r#"next: `hooksieve journal replay 2` delivers it again; `hooksieve journal drop 2` gives it up"#);
    insta::assert_snapshot!(steady(&shell.expect(0, &["journal", "show", "3"]).out), @r#"
    Delivery 3: quarantined. It broke a rule and was set aside
      received     YYYY-MM-DD hh:mm:ssZ (3h ago)
      source       post
      type         \u{1b}[2J\u{202e}a type that somebody made far longer than any column
      webhook-id   evt_7aa9dbaaa499a5c4a2b60fb7efaedad2c8b85033
      verdict      quarantine
      reason       schema
      breaks       `maxLength` at `/text`
      upstream     app
      bytes        36, application/json, kept: `--body` prints them
      sha256       70a9d99792022e4de77d804cebee3763d243462f36921425f0e76ff96abf70be
      traceparent  00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
    "#);
    let same = shell.expect(0, &["journal", "show", &webhook_id("shop", "2")]);
    assert_eq!(same.out, ran.out);
    let body = shell.expect(0, &["journal", "show", "2", "--body"]);
    assert_eq!(body.out, format!("{{\"id\":\"2\",\"text\":\"{CANARY}\"}}"), "into a pipe as it is");
    let whole = json(&shell.expect(0, &["journal", "show", "2", "--format", "json"]));
    assert_eq!((&whole["state"], &whole["tries"][0]["status"]), (&Value::from("dead"), &Value::from(503)));
    assert!(whole.get("body").is_none() && !ran.out.contains(CANARY));
    assert!(shell.expect(1, &["journal", "show", "99"]).err.contains("no delivery 99"));
    assert!(shell.expect(1, &["journal", "show", "5", "--body"]).err.contains("are not kept"));
    assert!(shell.expect(2, &["journal", "show", "x"]).err.contains("by its number"));
}

#[test]
fn stats_are_by_source() {
    let shell = left_behind(a_bad_night);
    let ran = shell.expect(0, &["journal", "stats"]);
    let counts = ran.out.lines().take(3).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(counts, @r#"
    SOURCE  PENDING  DEAD  QUARANTINED  DELIVERED  DROPPED  NOTED
    post    0        0     1            0          0        0
    shop    1        2     0            0          0        1
    "#);
    let stats = json(&shell.expect(0, &["journal", "stats", "--format", "json"]));
    assert_eq!(stats["sources"]["shop"]["dead"], 2);
    assert_eq!(stats["pending_by_upstream"]["app"], 1);
}

#[test]
fn o_34_a_replay_while_the_gateway_is_down() {
    let shell = left_behind(a_bad_night);
    let dry = shell.expect(0, &["journal", "replay", "--state", "dead", "--dry-run"]);
    assert!(dry.out.ends_with("2 deliveries would be replayed\n"), "{}", dry.out);
    for (since, until, count) in [("4h", "3h", 3), ("3h", "1h", 0)] {
        let range = ["journal", "replay", "--since", since, "--until", until, "--dry-run", "--format", "json"];
        assert_eq!(json(&shell.expect(0, &range))["matched"].as_array().unwrap().len(), count);
    }
    assert_eq!(ids(&shell.expect(0, &["journal", "list", "--state", "dead", "--format", "json"])), [2, 1]);
    let ran = shell.expect(0, &["journal", "replay", "--all"]);
    insta::assert_snapshot!(ran.out, @r#"
    3 deliveries: to be delivered again
    the gateway does not run: what is pending is delivered when it starts
    "#);
    assert_eq!(ids(&shell.expect(0, &["journal", "list", "--state", "pending", "--format", "json"])), [4, 3, 2, 1]);
    let shown = json(&shell.expect(0, &["journal", "show", "1", "--format", "json"]));
    assert_eq!((&shown["audit"][0]["what"], &shown["state"]), (&Value::from("replayed"), &Value::from("pending")));
    assert_eq!(shown["webhook_id"], webhook_id("shop", "1"), "the identity stays");
    let again = shell.expect(0, &["journal", "replay", "1", "2"]);
    assert_eq!(again.out, "2 deliveries: to be delivered anyway\n");
    assert_eq!(json(&shell.expect(0, &["journal", "show", "1", "--format", "json"]))["audit"][1], Value::Null);
    let mixed = shell.expect(1, &["journal", "replay", "5", "77", "--format", "json"]);
    assert_eq!(json(&mixed)["ends"]["no_body"], Value::from(vec![5]));
    assert_eq!(json(&mixed)["missing"], Value::from(vec!["77"]));
}

#[test]
fn a_drop_is_for_good_and_asks_first() {
    let shell = left_behind(a_bad_night);
    let asked = shell.expect(2, &["journal", "drop", "--state", "dead"]);
    assert!(asked.err.contains("--yes") && asked.out.contains("dead"), "{asked:?}");
    let dry = shell.expect(0, &["journal", "drop", "--all", "--dry-run", "--format", "json"]);
    assert_eq!(json(&dry)["matched"], Value::from(vec![1, 2, 3]));
    assert_eq!(shell.expect(0, &["journal", "drop", "--state", "dead", "--yes"]).out, "2 deliveries: dropped\n");
    let shown = json(&shell.expect(0, &["journal", "show", "1", "--format", "json"]));
    assert_eq!((&shown["state"], &shown["body_kept"]), (&Value::from("discarded"), &Value::from(false)));
    assert_eq!(shown["audit"][0]["what"], "given up");
    let twice = shell.expect(1, &["journal", "drop", "1", "--yes"]);
    assert!(twice.out.contains("1 delivery (1): left alone"), "{}", twice.out);
    assert!(shell.expect(1, &["journal", "replay", "1"]).out.contains("not kept"));
}

#[test]
fn nothing_is_done_to_everything_by_a_slip() {
    let shell = left_behind(a_bad_night);
    for verb in ["replay", "drop"] {
        assert!(shell.expect(2, &["journal", verb]).err.contains("say which"), "{verb}");
        assert!(shell.expect(2, &["journal", verb, "1", "--state", "dead"]).err.contains("cannot be used with"));
        assert!(shell.expect(2, &["journal", verb, "--all", "--source", "shop"]).err.contains("cannot be used with"));
    }
    assert!(shell.expect(2, &["journal", "replay", "1", "--rate", "fast"]).err.contains("50/s"));
    assert_eq!(ids(&shell.expect(0, &["journal", "list", "--state", "dead", "--format", "json"])), [2, 1]);
}

#[test]
fn what_is_in_the_way_is_said_with_its_remedy() {
    let shell = Shell::with(CONFIG);
    let list = |shell: &Shell, code| shell.expect(code, &["journal", "list"]).err;
    assert!(list(&shell, 1).contains("the gateway makes it when it starts"));
    assert!(list(&Shell::with(""), 2).contains("add `[journal]`"));
    assert!(list(&Shell::with("[journal]\npath = 1\n"), 2).contains("journal.path"));
    assert!(shell.expect(2, &["journal", "list", "-c", "none.toml"]).err.contains("none.toml"));
    fs::write(shell.folder.path().join("journal.db"), [b'x'; 9_000]).unwrap();
    assert!(list(&shell, 1).contains("Nothing was deleted"));
    assert!(shell.expect(1, &["journal", "replay", "1"]).err.contains("Nothing was deleted"));
}

#[test]
fn a_journal_in_other_hands_is_changed_through_them() {
    let shell = Shell::with(CONFIG).set("HOOKSIEVE_ADMIN__LISTEN", "127.0.0.1:1");
    let journal = open(&shell);
    run(a_bad_night(&journal));
    assert_eq!(ids(&shell.expect(0, &["journal", "list", "--state", "dead", "--format", "json"])), [2, 1]);
    let ran = shell.expect(1, &["journal", "replay", "1"]);
    assert!(ran.err.contains("127.0.0.1:1 is not to be reached") && ran.err.contains("-c FILE"), "{}", ran.err);
    let replay = run(journal.replay(EntryId(1), false, SystemClock.now()));
    assert_eq!(replay.unwrap(), Replay::Queued, "and nothing was done");
}
