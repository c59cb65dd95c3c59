//! The real program, killed in the middle. The store in memory forgets with the process, so nothing it held can stand
//! in the way of a retry; the price is an event delivered twice, under one identity, and that is all it may be.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, ChildStderr, Command, Stdio},
};

use crate::support::{
    delivery::{Act::Hold, App, TOKEN, configuration, request_with},
    soon,
    wire::Wire,
};

const EVENT: &str = r#"{"id":"evt_1"}"#;

struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    async fn start(app: &App, amend: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hooksieve.toml");
        std::fs::write(&file, configuration(app.address, &[amend, &["log.format = \"json\""]].concat())).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hooksieve"));
        command.arg("run").arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = Self { child: command.spawn().unwrap(), address: ([127, 0, 0, 1], 0).into() };
        let log = BufReader::new(process.child.stderr.take().unwrap()).lines();
        process.address = soon(tokio::task::spawn_blocking(move || address(log))).await.unwrap();
        process
    }

    async fn send(&self, body: &str) -> Wire {
        let mut wire = Wire::connect(self.address).await;
        wire.send(request_with(TOKEN, body)).await;
        wire
    }

    async fn status(&self, body: &str) -> u16 {
        self.send(body).await.answer().await.status
    }
}

/// Reads the log until it says where the gateway listens, and then the rest of it.
fn address(mut log: std::io::Lines<BufReader<ChildStderr>>) -> SocketAddr {
    let line = log.find_map(|line| line.ok().filter(|line| line.contains("\"ready\""))).unwrap();
    let address = line.split("\"listen\":\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
    std::thread::spawn(move || log.for_each(drop));
    address
}

impl Drop for Process {
    /// SIGKILL: nothing of the program runs any more.
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test]
async fn d_07_d_08_killed_before_the_answer_of_the_application() {
    let app = App::that([Hold]).await;
    let process = Process::start(&app, &[]).await;
    let mut wire = process.send(EVENT).await;
    app.seen(1).await;
    drop(process);
    assert!(wire.answers().await.is_empty(), "no 2xx for what is not known to be delivered");
    let process = Process::start(&app, &[]).await;
    assert_eq!([process.status(EVENT).await, process.status(EVENT).await], [200, 200]);
    let seen = app.seen(2).await;
    assert_eq!(seen[0].body, seen[1].body);
    assert_eq!(seen[0].header("webhook-id"), seen[1].header("webhook-id"));
    assert_eq!(seen[0].header("idempotency-key"), seen[1].header("idempotency-key"));
}

#[tokio::test]
async fn d_09_r_13_killed_after_the_event_was_settled() {
    let app = App::that([]).await;
    let process = Process::start(&app, &[]).await;
    assert_eq!(process.status(EVENT).await, 200);
    drop(process);
    // Memory forgets: one more delivery under the same identity, where a store on disk would say `duplicate`.
    let process = Process::start(&app, &[]).await;
    assert_eq!(process.status(EVENT).await, 200);
    let seen = app.seen(2).await;
    assert_eq!(seen[0].header("webhook-id"), seen[1].header("webhook-id"));
}

#[tokio::test]
async fn d_18_killed_in_the_middle_of_a_batch() {
    let app = App::start(|nth, _| if nth == 1 { Hold } else { crate::support::delivery::Act::Status(200) }).await;
    let process = Process::start(&app, &["sources.acme.delivery.ordered = [\"json:/type\"]"]).await;
    let batch = r#"[{"id":1},{"id":2},{"id":3}]"#;
    let mut wire = process.send(batch).await;
    app.seen(2).await;
    drop(process);
    assert!(wire.answers().await.is_empty());
    let process = Process::start(&app, &["sources.acme.delivery.ordered = [\"json:/type\"]"]).await;
    assert_eq!(process.status(batch).await, 200);
    app.seen(5).await;
    assert_eq!([1, 2, 3].map(|id| app.count_of(&format!(r#"{{"id":{id}}}"#))), [2, 2, 1]);
}
