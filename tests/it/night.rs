//! The real gateway with a journal, and an operator who is called at night.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::SocketAddr,
    os::unix::net::UnixStream,
    process::{ChildStderr, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use serde_json::Value;
use tokio::time::Instant;

use crate::support::{
    PATIENCE,
    delivery::{Act, App, TOKEN, configuration, request_with},
    shell::{Ran, Served, Shell},
    wire::{Answer, Wire},
};

const QUEUED: &str = "sources.acme.delivery.mode = \"queued\"";

/// A gateway, and a shell in its folder. Its admin door is a socket there.
struct Night {
    shell: Shell,
    served: Served,
    address: SocketAddr,
    admin: String,
    log: mpsc::Receiver<Value>,
}

impl Night {
    async fn start(app: &App, amend: &[&str]) -> Self {
        let shell = Shell::with("");
        let socket = format!("admin.listen = \"unix:{}\"", shell.folder.path().join("admin.sock").display());
        let text = configuration(
            app.address,
            &[&["journal.path = \"journal.db\"", &socket, "log.format = \"json\""], amend].concat(),
        );
        fs::write(shell.folder.path().join("hooksieve.toml"), text).unwrap();
        fs::create_dir(shell.folder.path().join("schemas")).unwrap();
        fs::write(shell.folder.path().join("schemas/order.json"), r#"{"required":["total"]}"#).unwrap();
        Self::serve(shell).await
    }

    async fn serve(shell: Shell) -> Self {
        let mut child = shell.command(&["run"]).stderr(Stdio::piped()).spawn().unwrap();
        let log = records(child.stderr.take().unwrap());
        let served = Served(child);
        let (ready, log) = tokio::task::spawn_blocking(move || (until(&log, "ready"), log)).await.unwrap();
        let text = |name: &str| ready[name].as_str().unwrap().to_owned();
        Self { shell, served, address: text("listen").parse().unwrap(), admin: text("admin"), log }
    }

    async fn post(&self, body: &str) -> Answer {
        let mut wire = Wire::connect(self.address).await;
        wire.send(request_with(TOKEN, body)).await;
        wire.answer().await
    }

    /// What the door of senders says to a request for the other one.
    async fn public(&self, line: &str) -> u16 {
        let mut wire = Wire::connect(self.address).await;
        wire.send(format!("{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")).await;
        wire.answer().await.status
    }

    fn journal(&self, code: i32, arguments: &[&str]) -> Value {
        let ran = self.shell.expect(code, &[&["journal"], arguments, &["--format", "json"]].concat());
        serde_json::from_str(&ran.out).unwrap()
    }

    /// The numbers of the deliveries in a state, once there are so many.
    async fn wait_for(&self, state: &str, count: usize) -> Vec<i64> {
        let began = Instant::now();
        loop {
            let list = self.journal(0, &["list", "--state", state]);
            let ids: Vec<_> =
                list["deliveries"].as_array().unwrap().iter().map(|it| it["id"].as_i64().unwrap()).collect();
            if ids.len() == count {
                return ids;
            }
            assert!(began.elapsed() < PATIENCE, "{count} {state} are expected: {list}");
            tokio::task::yield_now().await;
        }
    }

    /// What the admin door says.
    fn ask(&self, page: &str) -> Value {
        let mut stream = UnixStream::connect(self.shell.folder.path().join("admin.sock")).unwrap();
        write!(stream, "GET {page} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap()
    }
}

fn records(log: ChildStderr) -> mpsc::Receiver<Value> {
    let (sender, records) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            let _ = sender.send(serde_json::from_str(&line).unwrap_or(Value::String(line)));
        }
    });
    records
}

/// The first record with this message.
fn until(records: &mpsc::Receiver<Value>, message: &str) -> Value {
    let mut passed = Vec::new();
    loop {
        match records.recv_timeout(PATIENCE) {
            Ok(record) if record["message"] == message => return record,
            Ok(record) => passed.push(record),
            Err(error) => panic!("{message:?} is not said ({error}): {passed:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o_34_d_45_replayed_by_two_at_once() {
    let app = App::that([]).await;
    let set_aside =
        ["sources.acme.schema.directory = \"schemas\"", "sources.acme.schema.on_violation = \"quarantine\""];
    let night = Night::start(&app, &[&set_aside[..], &["sources.acme.schema.on_unknown = \"forward\""]].concat()).await;
    for id in 1..=5 {
        let answer = night.post(&format!(r#"{{"id":{id},"type":"order"}}"#)).await;
        assert_eq!((answer.status, answer.text()), (200, r#"{"quarantine":1}"#));
    }
    night.wait_for("quarantined", 5).await;
    assert_eq!(app.count(), 0);
    let sources = night.ask("/sources");
    let source = &sources["sources"][0];
    assert_eq!((&source["name"], &source["schemes"][0]), (&Value::from("acme"), &Value::from("token")));
    assert_eq!((&source["quarantined"], &source["last_secret"]), (&Value::from(5), &Value::from("main")));
    assert_eq!((&source["events"]["quarantine"], &source["delivery"]), (&Value::from(5), &Value::from("sync")));

    assert_eq!(night.public("POST /deliveries/1/replay").await, 404, "not at the door of senders");
    let began = Instant::now();
    let replay = ["journal", "replay", "--state", "quarantined", "--rate", "100/s", "--format", "json"];
    let commands = [0, 1].map(|_| night.shell.command(&replay).stdout(Stdio::piped()).spawn().unwrap());
    let ran = commands.map(|command| Ran::from(command.wait_with_output().unwrap()));
    let queued = ran.iter().map(|ran| serde_json::from_str::<Value>(&ran.out).unwrap()["ends"]["queued"].clone());
    let mut queued: Vec<_> = queued.filter_map(|ids| ids.as_array().cloned()).flatten().collect();
    queued.sort_by_key(Value::as_i64);
    assert_eq!(queued, [1, 2, 3, 4, 5], "each by one of the two: {ran:?}");
    assert!(began.elapsed() >= Duration::from_millis(20), "five of them at a hundred a second, and two do it");
    let ids = night.wait_for("delivered", 5).await;
    let seen = app.seen(5).await;
    for id in ids {
        let shown = night.journal(0, &["show", &id.to_string()]);
        assert_eq!(shown["audit"].as_array().unwrap().len(), 1, "{shown}");
        let same = seen.iter().filter(|seen| seen.header("webhook-id") == shown["webhook_id"]);
        assert_eq!(same.count(), 1, "under its old identity");
    }
    let late = night.journal(1, &["replay", "1"]);
    assert_eq!(late["ends"]["delivered"], Value::from(vec![1]), "who comes late delivers nothing twice");
    let repeat = night.post(r#"{"id":1,"type":"order"}"#).await;
    assert_eq!((repeat.status, repeat.text()), (200, r#"{"duplicate":1}"#));
    assert_eq!(app.count(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn d_45_a_dead_one_comes_back_to_life() {
    let app = App::that([Act::Status(503)]).await;
    let night = Night::start(&app, &[QUEUED, "sources.acme.delivery.attempts = 1"]).await;
    assert_eq!(night.post(r#"{"id":1}"#).await.status, 202);
    assert_eq!(night.wait_for("dead", 1).await, [1]);
    let dry = night.shell.expect(0, &["journal", "replay", "--all", "--dry-run"]);
    assert!(dry.out.ends_with("1 delivery would be replayed\n"), "{}", dry.out);
    let ran = night.shell.expect(0, &["journal", "replay", "1"]);
    assert!(ran.out.starts_with("1 delivery: to be delivered again\n"), "{}", ran.out);
    night.wait_for("delivered", 1).await;
    let seen = app.seen(2).await;
    assert_eq!(seen[0].header("webhook-id"), seen[1].header("webhook-id"));
    assert_eq!([0, 1].map(|nth: usize| seen[nth].header("hooksieve-attempt").to_owned()), ["1", "2"]);
    let said = until(&night.log, "an operator had a delivery made again");
    assert_eq!(said["entry"], 1);
    let shown = night.journal(0, &["show", "1"]);
    assert_eq!((&shown["tries"][0]["status"], &shown["tries"][1]["status"]), (&Value::from(503), &Value::from(200)));
    assert_eq!(night.served.terminate(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_reaches_the_running_gateway() {
    let app = App::that([Act::Status(503)]).await;
    let night = Night::start(&app, &[QUEUED, "sources.acme.delivery.attempts = 1"]).await;
    night.post(r#"{"id":1}"#).await;
    night.wait_for("dead", 1).await;
    assert_eq!(night.journal(0, &["drop", "1", "--yes"])["ends"]["dropped"], Value::from(vec![1]));
    night.wait_for("discarded", 1).await;
    assert_eq!(night.journal(1, &["replay", "1"])["ends"]["no_body"], Value::from(vec![1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_is_shown_through() {
    let app = App::that([]).await;
    for (amend, answer, verdict, state) in
        [(&[QUEUED][..], "202 {\"queue\":1}", "queue", "delivered"), (&[], "200 {\"forward\":1}", "forward", "noted")]
    {
        let night = Night::start(&app, amend).await;
        let to = format!("http://{}", night.address);
        let ran = night.shell.expect(0, &["send", "acme", "--through", "--to", &to]);
        let lines: Vec<_> = ran.out.lines().collect();
        assert_eq!(lines.len(), 3, "{}", ran.out);
        assert!(lines[0] == answer && lines[1].starts_with("ID "), "{}", ran.out);
        assert!(lines[2].contains(verdict) && lines[2].contains(state), "{}", ran.out);
    }
    let night = Night::start(&app, &[]).await;
    let to = format!("http://{}", night.address);
    let refused = night.shell.expect(1, &["send", "acme", "--break", "signature", "--through", "--to", &to]);
    assert!(refused.err.contains("no line of it"), "{}", refused.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_22_a_token_changes_with_a_reload() {
    let app = App::that([]).await;
    let token = |value: &str| format!("admin.token = {{ value = {value:?} }}");
    let night = Night::start(&app, &["admin.listen = \"127.0.0.1:0\"", &token("the-first-token-of-the-night")]).await;
    let ask = async |token: &str| {
        let mut wire = Wire::connect(night.admin.parse().unwrap()).await;
        wire.send(format!("GET /sources HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n")).await;
        wire.answer().await.status
    };
    assert_eq!([ask("the-first-token-of-the-night").await, ask("another-token-of-the-night").await], [200, 401]);
    let file = night.shell.folder.path().join("hooksieve.toml");
    let reload = |change: &dyn Fn(String) -> String| {
        fs::write(&file, change(fs::read_to_string(&file).unwrap())).unwrap();
        let id = night.served.0.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
        until(&night.log, "the configuration is taken over");
    };
    reload(&|text| text.replace("the-first-token", "another-token"));
    assert_eq!([ask("the-first-token-of-the-night").await, ask("another-token-of-the-night").await], [401, 200]);
    // A file for another door, which may do without a token, does not open the one that is still there.
    let without = token("another-token-of-the-night");
    reload(&|text| {
        text.replace(&without, "").replace("admin.listen = \"127.0.0.1:0\"", "admin.listen = \"127.0.0.1:1\"")
    });
    assert_eq!([ask("").await, ask("another-token-of-the-night").await], [401, 200]);
}
