//! The real program, as a process.

use std::{
    collections::VecDeque,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::{sleep, timeout},
};

/// Bounds how long a failing test waits.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// What `future` gives, or a failure when it never does.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain until {what}"))
}

/// How many lines of its log are kept.
const LINES: usize = 200;

/// What senders prove themselves with.
pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A gateway that is to be started, again and again, on the same journal.
pub(crate) struct Program {
    configuration: PathBuf,
}

/// One that runs.
pub(crate) struct Process {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    child: Child,
    /// The last lines of its log.
    log: Arc<Mutex<VecDeque<String>>>,
}

impl Program {
    /// One source, whose events are queued for an application. `amend` is put at the end of its configuration.
    pub(crate) fn new(directory: &Path, application: SocketAddr, amend: &str) -> Self {
        let journal = directory.join("journal");
        if !journal.exists() {
            fs::create_dir(&journal).unwrap();
        }
        let configuration = directory.join("hooksieve.toml");
        let text = format!(
            r#"
            server.listen = "127.0.0.1:0"
            admin.listen = "127.0.0.1:0"
            log.format = "json"
            # What the machine that runs the tests has left on its disk is no concern of theirs.
            journal = {{ path = "{}", max_size = "256MiB" }}
            upstreams.app.url = "http://{application}/hook"
            [sources.acme]
            path = "/in/acme"
            upstream = "app"
            secrets = [{{ name = "main", value = "{TOKEN}" }}]
            auth = [{{ kind = "token", signature = {{ from = "header:x-token" }} }}]
            events = {{ split = "", id = "json:/id", type = "json:/type" }}
            delivery = {{ mode = "queued", backoff = {{ first = "20ms", max = "100ms" }} }}
            {amend}
            "#,
            journal.join("journal.db").display()
        );
        fs::write(&configuration, text).unwrap();
        Self { configuration }
    }

    /// What `hooksieve check` says of it.
    pub(crate) fn check(&self) -> String {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hooksieve"));
        let output = command.args(["check", "-c"]).arg(&self.configuration).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    }

    /// Starts it, under `outer` if that is a program that runs others, and waits until it listens. Its log, if it ends before.
    pub(crate) async fn start(
        &self,
        outer: Option<std::process::Command>,
        faults: &str,
    ) -> Result<Process, Vec<String>> {
        let program = env!("CARGO_BIN_EXE_hooksieve");
        let mut command = outer.map_or_else(
            || Command::new(program),
            |mut outer| {
                outer.arg(program);
                outer.into()
            },
        );
        command.args(["run", "-c"]).arg(&self.configuration).env("HOOKSIEVE_FAULT", faults).kill_on_drop(true);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(VecDeque::new()));
        while let Some(line) = lines.next_line().await.unwrap() {
            let ready = line.contains("\"ready\"").then(|| [address(&line, "listen"), address(&line, "admin")]);
            log.lock().unwrap().push_back(line);
            let Some([address, admin]) = ready else { continue };
            let kept = Arc::clone(&log);
            tokio::spawn(async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    let mut kept = kept.lock().unwrap();
                    kept.push_back(line);
                    if kept.len() > LINES {
                        kept.pop_front();
                    }
                }
            });
            return Ok(Process { address, admin, child, log });
        }
        let log = log.lock().unwrap();
        Err(log.iter().cloned().collect())
    }
}

impl Process {
    /// Whether it ends by itself within a time.
    pub(crate) async fn ends(&mut self, within: Duration) -> bool {
        timeout(within, self.child.wait()).await.is_ok()
    }

    /// SIGKILL: nothing of the program runs any more.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM, and until it has ended.
    pub(crate) async fn stop(mut self) {
        let process = Pid::from_raw(self.child.id().unwrap().cast_signed()).unwrap();
        kill_process(process, Signal::TERM).unwrap();
        assert!(self.ends(Duration::from_secs(30)).await, "it does not end: {:#?}", self.log());
    }

    /// Waits until nothing is to be delivered.
    pub(crate) async fn drained(&self) {
        let drained = async {
            while self.metric("hooksieve_journal_pending").await > 0 {
                sleep(Duration::from_millis(20)).await;
            }
        };
        soon("everything is delivered", drained).await;
    }

    /// The value of a metric, by the start of its line.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let page = self.asked("/metrics").await;
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
    }

    /// What its admin listener answers.
    pub(crate) async fn asked(&self, page: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).await.unwrap();
        let request = format!("GET {page} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// What it said last.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().iter().cloned().collect()
    }
}

/// The address in a line of the log.
fn address(line: &str, name: &str) -> SocketAddr {
    let value = line.split(&format!("\"{name}\":\"")).nth(1).unwrap_or_else(|| panic!("no {name} in {line}"));
    value.split('"').next().unwrap().parse().unwrap()
}
