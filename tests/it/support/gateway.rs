//! The whole gateway in this process, between a sender and an application that the test owns.
//!
//! Every test checks more than it says. After each request: one access record, the same status in it, one count in the
//! metrics, and well-formed headers on whatever the application got. At the end: no claim in flight, no secret and no
//! body in the log, nothing delivered that was not counted.

use std::{
    cell::Cell,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use hooksieve::{
    app::{Ground, Running, load},
    clock::ManualClock,
    config::{Diagnostics, Environment},
    fetch::{BoxFuture, Failure, Fetch},
    gateway::Journal,
    server::ListenOn,
    stages::schemes::published::Errand,
    state::journal::{EntryId, Filter, Page, Row},
};
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;
use tracing::{level_filters::LevelFilter, subscriber::DefaultGuard};
use tracing_subscriber::{Layer as _, filter::Targets, fmt, layer::SubscriberExt as _, registry};

use super::{
    application::{Application, Seen},
    publisher::Publisher,
    request::Request,
    soon,
};

/// When the tests take place, in seconds since 1970: 2026-01-01T00:00:00Z.
pub(crate) const T: i64 = 1_767_225_600;

/// Secrets that configurations may name: `{ env = "K1" }`.
pub(crate) const K1: &str = "canary-k1-9f8e7d6c5b4a39281706f5e4";
pub(crate) const K2: &str = "canary-k2-0a1b2c3d4e5f60718293a4b5";

/// Text that bodies of tests may carry and no log line ever does.
pub(crate) const CANARY: &str = "canary-in-a-body";

/// A gateway with this configuration; the upstream `app`, the listeners and the variables `K1` and `K2` are there.
pub(crate) async fn gateway(text: &str) -> Gateway {
    Setup::new(text).start().await
}

/// What a gateway is started with.
pub(crate) struct Setup {
    text: String,
    file: PathBuf,
    now: i64,
    variables: Vec<(String, String)>,
    fetch: Arc<dyn Fetch>,
    /// Where the journal is, if there is one.
    journal: Option<Arc<TempDir>>,
}

/// One that runs.
pub(crate) struct Gateway {
    pub(crate) application: Application,
    pub(crate) clock: ManualClock,
    pub(crate) address: SocketAddr,
    /// Requests that were sent and must have been counted.
    pub(crate) sent: Cell<usize>,
    ground: Ground,
    log: Lines,
    secrets: Vec<String>,
    delivered: Cell<usize>,
    running: Running,
    setup: Setup,
    _subscriber: DefaultGuard,
}

impl Setup {
    pub(crate) fn new(text: &str) -> Self {
        let variables = [("K1", K1), ("K2", K2)].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let (file, fetch) = ("hooksieve.toml".into(), Arc::new(Nowhere));
        Self { text: text.to_owned(), file, now: T, variables: variables.into(), fetch, journal: None }
    }

    /// With a journal of its own.
    pub(crate) fn journal(mut self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hooksieve.db").display().to_string();
        self.journal = Some(Arc::new(folder));
        self.variable("HOOKSIEVE_JOURNAL__PATH", &path)
    }

    /// Another variable.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The way to the addresses of senders. Without it there is none.
    pub(crate) fn fetching(self, publisher: &Publisher) -> Self {
        Self { fetch: publisher.fetch(), ..self }
    }

    /// Where relative paths start.
    pub(crate) fn directory(self, directory: &Path) -> Self {
        Self { file: directory.join("hooksieve.toml"), ..self }
    }

    /// Another time, in seconds since 1970.
    pub(crate) fn at(self, now: i64) -> Self {
        Self { now, ..self }
    }

    /// What is wrong with the configuration, and whether it can run all the same.
    pub(crate) fn judge(&self) -> (bool, Diagnostics) {
        let nowhere = self.environment("127.0.0.1:9");
        let (compiled, found) = load(&self.file, &self.text, &nowhere, false, &mut hooksieve::app::nowhere);
        (compiled.is_some(), found)
    }

    pub(crate) async fn start(self) -> Gateway {
        self.try_start().await.unwrap()
    }

    pub(crate) async fn try_start(self) -> io::Result<Gateway> {
        let log = Lines::default();
        let subscriber = tracing::subscriber::set_default(log.subscriber());
        let application = Application::obliging().await;
        let clock = ManualClock::at(Timestamp::from_second(self.now).unwrap());
        let mut ground = Ground::with(Arc::new(clock.clone()), self.fetch.clone());
        let environment = self.environment(&application.address.to_string());
        let connect = &mut |name: &str, settings| ground.connect(name, settings);
        let (compiled, found) = load(&self.file, &self.text, &environment, false, connect);
        let Some(compiled) = compiled else { panic!("{}", found.render(false)) };
        ground.open(&compiled).await?;
        let running = Running::start(compiled, &ground).await?;
        let [ListenOn::Tcp(address)] = running.listen[..] else { panic!("one listener") };
        Ok(Gateway {
            application,
            clock,
            address,
            sent: Cell::new(0),
            ground,
            log,
            secrets: self.variables.iter().map(|(_, value)| value.clone()).filter(|value| value.len() >= 16).collect(),
            delivered: Cell::new(0),
            running,
            setup: self,
            _subscriber: subscriber,
        })
    }

    fn environment(&self, application: &str) -> Environment {
        let listeners = [
            ("HOOKSIEVE_SERVER__LISTEN", "127.0.0.1:0".to_owned()),
            ("HOOKSIEVE_ADMIN__LISTEN", "127.0.0.1:0".to_owned()),
            ("HOOKSIEVE_UPSTREAMS__APP__URL", format!("http://{application}/hooks")),
        ];
        let listeners = listeners.into_iter().map(|(name, value)| (name.to_owned(), value));
        listeners.chain(self.variables.iter().cloned()).collect()
    }
}

impl Gateway {
    /// A `POST`, JSON unless it says otherwise.
    pub(crate) fn post(&self, target: &str) -> Request<'_> {
        self.request("POST", target)
    }

    pub(crate) fn request(&self, method: &str, target: &str) -> Request<'_> {
        Request::new(self, method, target)
    }

    /// Takes over another configuration, as SIGHUP does; the error is what is wrong with it.
    pub(crate) fn reload(&self, text: &str) -> Result<(), String> {
        let environment = self.setup.environment(&self.application.address.to_string());
        let connect = &mut |name: &str, settings| self.ground.connect(name, settings);
        let (compiled, found) = load(&self.setup.file, text, &environment, false, connect);
        let compiled = compiled.ok_or_else(|| found.render(false))?;
        self.running.reload(compiled, &self.ground).map(drop).map_err(str::to_owned)
    }

    /// Waits until nothing in the journal is to be delivered any more; what the application got since the last time.
    pub(crate) async fn emptied(&self) -> Vec<Seen> {
        soon(async {
            while self.journal().store().stats().pending > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        self.events()
    }

    /// Waits for the next request at the application.
    pub(crate) async fn arrived(&self) -> Seen {
        let seen = self.application.seen().await;
        self.delivered.set(self.delivered.get() + 1);
        seen
    }

    /// So many events arrived at another application.
    pub(crate) fn delivered_elsewhere(&self, events: usize) {
        self.delivered.set(self.delivered.get() + events);
    }

    pub(crate) fn journal(&self) -> &Journal {
        self.ground.journal.as_ref().expect("there is a journal")
    }

    /// Where it is.
    pub(crate) fn journal_file(&self) -> PathBuf {
        self.setup.journal.as_ref().expect("there is a journal").path().join("hooksieve.db")
    }

    /// What the journal has, the newest first.
    pub(crate) async fn kept(&self) -> Vec<Row> {
        // What is written behind the answer is written before what is asked for after it.
        let now = hooksieve::clock::Clock::now(&self.clock);
        assert!(!self.journal().store().discard(EntryId(0), now).await.unwrap());
        self.journal().store().list(Filter::default(), Page::default()).await.unwrap()
    }

    /// Moves both clocks.
    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// The counts of a metric: its labels and their values, in the order they are declared.
    /// The page of metrics.
    pub(crate) fn metrics(&self) -> String {
        self.ground.telemetry.metrics.render()
    }

    pub(crate) fn counts(&self, metric: &str) -> Vec<(String, usize)> {
        let text = self.metrics();
        let series = text.lines().filter_map(|line| line.strip_prefix(metric)?.rsplit_once(' '));
        series.filter_map(|(labels, count)| Some((labels.to_owned(), count.parse().ok()?))).collect()
    }

    /// Waits until so much is counted.
    pub(crate) async fn counted(&self, metric: &str, count: usize) {
        soon(async {
            while self.total(metric) < count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }

    pub(crate) fn total(&self, metric: &str) -> usize {
        self.counts(metric).iter().map(|(_, count)| count).sum()
    }

    /// The access records so far.
    pub(crate) fn records(&self) -> Vec<Value> {
        let lines = self.log.text();
        let records = lines.lines().map(|line| serde_json::from_str(line).expect("every line is JSON"));
        records.filter(|record: &Value| record["target"] == "hooksieve::access").collect()
    }

    /// The last of them.
    pub(crate) fn record(&self) -> Value {
        self.records().pop().expect("every request leaves a record")
    }

    /// Everything that was logged.
    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    /// What the application got since the last time.
    pub(crate) fn events(&self) -> Vec<Seen> {
        let seen = self.application.all_seen();
        self.delivered.set(self.delivered.get() + seen.len());
        seen
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.events();
        let stats = self.ground.claims.stats();
        assert_eq!(stats.in_flight, 0, "a claim was never concluded");
        assert_eq!(stats.abandoned, 0, "a claim was dropped without an end");
        assert_eq!(self.total("hooksieve_requests_total"), self.sent.get(), "every request is counted once");
        assert_eq!(self.total("hooksieve_panics_total"), 0, "nothing panicked");
        let attempts = self.counts("hooksieve_upstream_attempts_total");
        let arrived = attempts.iter().filter(|(labels, _)| !labels.contains("not_sent") && !labels.contains("full"));
        assert_eq!(arrived.map(|(_, count)| count).sum::<usize>(), self.delivered.get(), "every attempt is counted");
        let log = self.log();
        for secret in self.secrets.iter().map(String::as_str).chain([CANARY]) {
            assert!(!log.contains(secret), "{secret:?} is in the log:\n{log}");
        }
        let suppressed: u64 = self.records().iter().filter_map(|record| record["suppressed"].as_u64()).sum();
        let logged = self.records().len() + usize::try_from(suppressed).expect("a test sends few requests");
        // The clock stands still, so more than a hundred refusals of one kind are counted and not logged.
        assert!(logged == self.sent.get() || self.sent.get() > 100, "{logged} records of {} requests", self.sent.get());
    }
}

/// The way of gateways that fetch nothing.
struct Nowhere;

impl Fetch for Nowhere {
    fn fetch<'a>(&'a self, errand: &'a Errand) -> BoxFuture<'a, Result<Bytes, Failure>> {
        panic!("nothing is fetched in this test, but {errand:?}")
    }
}

/// Log lines of this thread. A test's runtime has one thread, so all of the gateway's lines are here.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Everything the gateway says at any level, and what is said of its libraries at the level it gives them.
    fn subscriber(&self) -> impl tracing::Subscriber + Send + Sync + 'static {
        let lines = self.clone();
        let json = fmt::layer().json().flatten_event(true).with_writer(move || lines.clone());
        let filter = Targets::new().with_target("hooksieve", LevelFilter::TRACE).with_default(LevelFilter::WARN);
        registry().with(json.with_filter(filter))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
