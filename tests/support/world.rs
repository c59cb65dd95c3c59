//! The whole gateway without its sockets, in paused time: senders, an application, a journal if there is one, and the
//! history of all of it.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use hooksieve::{
    app::load,
    clock::Clock as _,
    config::Environment,
    fetch::{Https, keys::KeyStore},
    gateway::{
        Gateway, Journal,
        dispatch::{Dispatcher, Roster},
    },
    server::{Handler as _, Shutdown},
    stages::receive::{Client, Head, Received},
    state::{
        claims::Claims,
        durable::DurableClaims,
        journal::{JournalStats, Totals},
        limits::ClientLimit,
        memory::MemoryClaims,
        sqlite::{Settings, SqliteJournal},
    },
    telemetry::{Metrics, Telemetry},
    upstream::{Attempt, BoxFuture, Delivered, Outbound, RetryAfter, Upstream},
};
use http::{HeaderMap, Method, StatusCode};
use tempfile::TempDir;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    clock::TestClock,
    history::{self, Event, Step},
    recorder::{Fault, Recorder},
};

pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// What the application does with an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// Answers 200 after so many milliseconds.
    Take(u64),
    /// Answers 503 after so many milliseconds.
    Refuse(u64),
    /// Answers with this status at once, and perhaps with `Retry-After`.
    Answer(u16, Option<u64>),
    /// Hangs up after so many milliseconds.
    Cut(u64),
    /// Cannot be reached.
    Away,
    /// Is at its limit.
    Full,
    /// Uncovers a defect.
    Panic,
}

type Rule = Box<dyn Fn(&str) -> Option<Act> + Send>;

/// The application, and the record of everything.
pub(crate) struct App {
    /// What it does with the next attempts; after that it takes everything.
    pub(crate) acts: Mutex<VecDeque<Act>>,
    /// What it does with certain events.
    rule: Mutex<Rule>,
    pub(crate) steps: Mutex<Vec<(Duration, Step)>>,
    attempts: Mutex<usize>,
    /// How often it was at its limit.
    full: Mutex<usize>,
    /// Attempts under way, and the most there ever were.
    under_way: Mutex<(usize, usize)>,
    pub(crate) withins: Mutex<Vec<Duration>>,
    pub(crate) clock: TestClock,
}

impl App {
    pub(crate) fn note(&self, step: Step) {
        let time = self.clock.passed();
        self.steps.lock().unwrap().push((time, step));
    }

    /// How many attempts there were, those included that found it at its limit.
    pub(crate) fn attempts(&self) -> usize {
        *self.attempts.lock().unwrap() + *self.full.lock().unwrap()
    }

    /// The most attempts that were under way at once, since this was asked last.
    pub(crate) fn peak(&self) -> usize {
        let mut under_way = self.under_way.lock().unwrap();
        let peak = under_way.1;
        under_way.1 = under_way.0;
        peak
    }

    /// From now on some events are treated like this, by their bytes.
    pub(crate) fn rule(&self, rule: impl Fn(&str) -> Option<Act> + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }

    /// The attempts so far, with their times.
    pub(crate) fn sent(&self) -> Vec<(Duration, history::Attempt)> {
        let steps = self.steps.lock().unwrap();
        let sent = |(time, step): &(Duration, Step)| match step {
            Step::Sent(attempt) => Some((*time, attempt.clone())),
            _ => None,
        };
        steps.iter().filter_map(sent).collect()
    }

    fn began(&self, outbound: &Outbound) -> usize {
        let header = |name| outbound.headers[name].to_str().unwrap().to_owned();
        let mut attempts = self.attempts.lock().unwrap();
        self.note(Step::Sent(history::Attempt {
            request: header("x-request").parse().unwrap(),
            body: String::from_utf8(outbound.body.to_vec()).unwrap(),
            webhook_id: header("webhook-id"),
            idempotency_key: header("idempotency-key"),
            number: header("hooksieve-attempt").parse().unwrap(),
            received_at: header("hooksieve-received-at"),
        }));
        self.withins.lock().unwrap().push(outbound.within);
        *attempts += 1;
        *attempts - 1
    }

    fn act(&self, body: &str) -> Act {
        let ruled = (self.rule.lock().unwrap())(body);
        ruled.or_else(|| self.acts.lock().unwrap().pop_front()).unwrap_or(Act::Take(0))
    }
}

/// The way to the application.
struct Way(Arc<App>);

/// Counts an attempt as under way, however it ends.
struct UnderWay<'a>(&'a App);

impl<'a> UnderWay<'a> {
    fn begin(app: &'a App) -> Self {
        let mut under_way = app.under_way.lock().unwrap();
        under_way.0 += 1;
        under_way.1 = under_way.1.max(under_way.0);
        Self(app)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.lock().unwrap().0 -= 1;
    }
}

impl Upstream for Way {
    fn deliver(&self, outbound: Outbound) -> BoxFuture<'_, Attempt> {
        Box::pin(async move {
            let act = self.0.act(std::str::from_utf8(&outbound.body).unwrap());
            if matches!(act, Act::Full) {
                *self.0.full.lock().unwrap() += 1;
                sleep(Duration::from_millis(1)).await;
                return Attempt::Full;
            }
            let attempt = self.0.began(&outbound);
            let _under_way = UnderWay::begin(&self.0);
            let delivered = || Attempt::Delivered(Delivered { status: StatusCode::OK, relay: None });
            let refused = |status, wish: Option<u64>| Attempt::Refused {
                status: StatusCode::from_u16(status).unwrap(),
                retry_after: wish.map(RetryAfter::Seconds),
            };
            let ambiguous = |timeout| Attempt::Ambiguous { timeout, error: String::new() };
            let (after, end) = match act {
                Act::Take(after) => (after, delivered()),
                Act::Refuse(after) => (after, refused(503, None)),
                Act::Answer(status, wish) => (0, refused(status, wish)),
                Act::Cut(after) => (after, ambiguous(false)),
                Act::Away => (0, Attempt::NotSent { timeout: false, error: String::new() }),
                Act::Full | Act::Panic => panic!("as it was told to"),
            };
            let limit = Duration::from_secs(5).min(outbound.within);
            let in_time = timeout(limit, sleep(Duration::from_millis(after))).await.is_ok();
            let end = if in_time { end } else { ambiguous(true) };
            self.0.note(Step::Ended { attempt, delivered: matches!(end, Attempt::Delivered(_)) });
            end
        })
    }
}

/// Everything, for one schedule.
pub(crate) struct World {
    pub(crate) app: Arc<App>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) claims: Claims,
    pub(crate) requests: Vec<Vec<Event>>,
    tasks: Vec<JoinHandle<u16>>,
    text: String,
    /// Where the journal is, if there is one.
    folder: Option<TempDir>,
    pub(crate) journal: Option<Journal>,
    pub(crate) recorder: Option<Arc<Recorder>>,
    pub(crate) faults: Arc<Mutex<VecDeque<Fault>>>,
    /// The bounds of the journal.
    tune: fn(&mut Settings),
    dispatcher: Option<Dispatcher>,
    shutdown: Shutdown,
    /// Makes the dispatcher's chances the same every time.
    seed: u64,
}

/// The gateway of one life of the process.
struct Life {
    gateway: Arc<Gateway>,
    claims: Claims,
    journal: Option<Journal>,
    recorder: Option<Arc<Recorder>>,
    dispatcher: Option<Dispatcher>,
    shutdown: Shutdown,
}

impl World {
    /// Without a journal, unless `amend` has one at `JOURNAL`.
    pub(crate) fn new(acts: impl IntoIterator<Item = Act>, amend: &str) -> Self {
        Self::bounded(acts, amend, |_| ())
    }

    /// The same, with a journal that has other bounds.
    pub(crate) fn bounded(acts: impl IntoIterator<Item = Act>, amend: &str, tune: fn(&mut Settings)) -> Self {
        let clock = TestClock::new();
        let app = Arc::new(App {
            acts: Mutex::new(acts.into_iter().collect()),
            rule: Mutex::new(Box::new(|_| None)),
            steps: Mutex::default(),
            attempts: Mutex::default(),
            full: Mutex::default(),
            under_way: Mutex::default(),
            withins: Mutex::default(),
            clock,
        });
        let folder = amend.contains("journal.path").then(folder);
        let text = configuration(amend);
        let faults = Arc::default();
        let (seed, life) = (1, Life::begin(&text, &app, folder.as_ref(), &faults, 1, tune));
        let Life { gateway, claims, journal, recorder, dispatcher, shutdown } = life;
        Self {
            app,
            gateway,
            claims,
            requests: Vec::new(),
            tasks: Vec::new(),
            text,
            folder,
            journal,
            recorder,
            faults,
            tune,
            dispatcher,
            shutdown,
            seed,
        }
    }

    /// The process dies, with everything that runs in it, and comes to life again; with another configuration if one
    /// is given.
    pub(crate) async fn crash(&mut self, amend: Option<&str>) {
        // All at once: nobody profits from the death of another.
        self.tasks.iter().for_each(JoinHandle::abort);
        self.shutdown.stop.cancel();
        self.shutdown.abandon.cancel();
        for task in self.tasks.drain(..) {
            let _ = task.await;
        }
        self.shutdown.tasks.close();
        self.shutdown.tasks.wait().await;
        self.app.note(Step::Crashed);
        self.begin(amend);
    }

    /// The process ends as it should, and comes to life again.
    pub(crate) async fn restart(&mut self, amend: Option<&str>) {
        self.finish().await;
        assert!(self.shutdown.drain(Duration::from_secs(25)).await, "it does not end");
        self.app.note(Step::Restarted);
        self.begin(amend);
    }

    fn begin(&mut self, amend: Option<&str>) {
        if let Some(amend) = amend {
            self.text = configuration(amend);
        }
        (self.journal, self.recorder, self.dispatcher) = (None, None, None);
        (self.gateway, self.claims) = Life::without_journal(&self.text, &self.app);
        self.seed += 1;
        let life = Life::begin(&self.text, &self.app, self.folder.as_ref(), &self.faults, self.seed, self.tune);
        let Life { gateway, claims, journal, recorder, dispatcher, shutdown } = life;
        (self.gateway, self.claims, self.shutdown) = (gateway, claims, shutdown);
        (self.journal, self.recorder, self.dispatcher) = (journal, recorder, dispatcher);
    }

    fn head(number: usize, token: &str) -> Head {
        let mut headers = HeaderMap::new();
        headers.insert("x-token", token.parse().unwrap());
        headers.insert("x-request", number.into());
        headers.insert("content-type", "application/json".parse().unwrap());
        let client = Client { address: Some([192, 0, 2, 1].into()), known: true };
        Head { method: Method::POST, path: "/in/acme".into(), query: None, headers, client }
    }

    /// What happens to a request: told by the future, which must be driven to its end like the server does it.
    fn handle(&self, number: usize, token: &str, body: String, reading: Duration) -> impl Future<Output = u16> + use<> {
        let head = Self::head(number, token);
        let allowance = self.gateway.open(&head).unwrap();
        self.app.clock.advance(reading);
        let received = Received { head, body: Bytes::from(body), at: self.app.clock.now().wall };
        let handling = self.gateway.clone().handle(allowance.route, received.into());
        async move { handling.await.status.as_u16() }
    }

    /// A sender that does not wait for its answer: whether it does makes no difference to the task.
    pub(crate) fn send(&mut self, events: &[Event], spoilt: bool, reading: Duration) {
        let number = self.requests.len();
        self.requests.push(events.to_vec());
        let body = body(events, spoilt);
        self.app.note(Step::Received { request: number, events: events.to_vec(), rejected: spoilt });
        let (app, handling) = (self.app.clone(), self.handle(number, TOKEN, body, reading));
        self.tasks.push(tokio::spawn(async move {
            let status = handling.await;
            app.note(Step::Answered { request: number, status });
            status
        }));
    }

    /// Sends events and waits for the answer.
    pub(crate) async fn post(&mut self, events: &[Event]) -> u16 {
        self.send(events, false, Duration::ZERO);
        let task = self.tasks.pop().expect("it was just pushed");
        task.await.unwrap_or_default()
    }

    pub(crate) fn forge(&mut self, events: &[Event]) {
        let number = self.requests.len();
        self.requests.push(Vec::new());
        let state = || (self.claims.stats(), self.app.attempts(), self.journal_stats());
        let before = state();
        let handling = self.handle(number, "a token that nobody knows", body(events, false), Duration::ZERO);
        let status = handling.now_or_never().unwrap_or_default();
        self.app.note(Step::Forged { request: number, status, unchanged: before == state() });
    }

    /// Waits for everything that runs; the statuses of what ran, 0 for a panic.
    pub(crate) async fn finish(&mut self) -> Vec<u16> {
        let mut statuses = Vec::new();
        for task in self.tasks.drain(..) {
            statuses.push(task.await.unwrap_or_default());
        }
        statuses
    }

    /// What the journal says of itself.
    pub(crate) fn journal_stats(&self) -> Option<JournalStats> {
        self.journal.as_ref().map(|journal| journal.store().stats())
    }

    /// What is in the journal.
    pub(crate) async fn totals(&self) -> Totals {
        self.journal.as_ref().expect("there is a journal").store().totals().await.unwrap()
    }

    /// Lets time pass until nothing is pending, at most so long. Whether it came to that.
    pub(crate) async fn until_idle(&self, within: Duration) -> bool {
        let idle = async {
            while self.journal_stats().is_some_and(|stats| stats.pending > 0) {
                sleep(Duration::from_secs(1)).await;
            }
        };
        timeout(within, idle).await.is_ok()
    }
}

impl Life {
    fn begin(
        text: &str,
        app: &Arc<App>,
        folder: Option<&TempDir>,
        faults: &Arc<Mutex<VecDeque<Fault>>>,
        seed: u64,
        tune: fn(&mut Settings),
    ) -> Self {
        let shutdown = Shutdown::new();
        let recorder = folder.map(|folder| {
            let mut settings = Settings::new(folder.path().join("journal.db"));
            tune(&mut settings);
            let engine = SqliteJournal::inline(settings, Arc::new(app.clock.clone())).unwrap();
            Arc::new(Recorder::new(Box::new(engine), app.clone(), faults.clone()))
        });
        let journal = recorder.clone().map(|recorder| Journal::new(recorder, false, shutdown.tasks.clone()));
        let claims = match &recorder {
            None => Claims::new(Arc::new(MemoryClaims::new(1_000))),
            Some(recorder) => {
                let loaded = DurableClaims::load(recorder.clone(), 1_000, app.clock.now()).now_or_never();
                Claims::new(Arc::new(loaded.expect("an inline engine is done at once").unwrap()))
            }
        };
        let telemetry = Arc::new(Telemetry::new(Arc::new(Metrics::new())));
        let (gateway, roster) = gateway(text, app, &claims, journal.clone(), &telemetry);
        let dispatcher = journal.clone().map(|journal| {
            let chances = Mutex::new(seed);
            let random = move || splitmix(&mut chances.lock().unwrap());
            Dispatcher::start(journal, roster, Arc::new(app.clock.clone()), telemetry, shutdown.clone(), random)
        });
        Self { gateway, claims, journal, recorder, dispatcher, shutdown }
    }

    /// A gateway that lets go of the journal of the one before it.
    fn without_journal(text: &str, app: &Arc<App>) -> (Arc<Gateway>, Claims) {
        let telemetry = Arc::new(Telemetry::new(Arc::new(Metrics::new())));
        let claims = Claims::new(Arc::new(MemoryClaims::new(1)));
        (gateway(text, app, &claims, None, &telemetry).0, claims)
    }
}

fn gateway(
    text: &str,
    app: &Arc<App>,
    claims: &Claims,
    journal: Option<Journal>,
    telemetry: &Arc<Telemetry>,
) -> (Arc<Gateway>, Roster) {
    let connect = &mut |_: &str, _| Ok(Arc::new(Way(app.clone())) as Arc<dyn Upstream>);
    let (compiled, found) = load(Path::new("h.toml"), text, &Environment::default(), false, connect);
    let compiled = compiled.unwrap_or_else(|| panic!("{found:?}"));
    let (limit, private) = compiled.client_limit;
    let clients = ClientLimit::new(limit, private, app.clock.now().steady);
    let roster = Roster::new(&compiled.upstreams, &compiled.sources);
    let clock = Arc::new(app.clock.clone());
    let keys = Arc::new(KeyStore::new(Arc::new(Https::of_system())));
    let gateway = Gateway::new(compiled.sources, claims.clone(), journal, clients, keys, clock, telemetry.clone());
    (Arc::new(gateway), roster)
}

/// In memory where there is room for it: a sync of the disk proves nothing here.
fn folder() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

fn configuration(amend: &str) -> String {
    format!(
        r#"
        upstreams.app.url = "http://127.0.0.1:9/"
        upstreams.app.timeout = "5s"
        upstreams.app.forward_headers = ["x-request"]
        sources.acme.path = "/in/acme"
        sources.acme.upstream = "app"
        sources.acme.secrets = [{{ value = "{TOKEN}" }}]
        sources.acme.auth = [{{ kind = "token", signature = {{ from = "header:x-token" }} }}]
        sources.acme.deadline = "9s"
        sources.acme.events = {{ split = "", id = "json:/id" }}
        sources.acme.dedup.window = "1h"
        sources.acme.dedup.on_missing = "reject"
        {amend}"#
    )
}

/// <https://prng.di.unimi.it/splitmix64.c>
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut word = *state;
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

pub(crate) fn event(id: u8, version: u8) -> Event {
    let group = id % 2;
    let id = format!("evt_{id}");
    let bytes = format!("{{ \"id\":\"{id}\",\"g\":{group},\"\\u006e\" :{version}E0}}");
    Event { id, group, bytes }
}

pub(crate) fn body(events: &[Event], spoilt: bool) -> String {
    let mut parts: Vec<_> = events.iter().map(|event| event.bytes.clone()).collect();
    if spoilt {
        parts.insert(parts.len() / 2, r#"{"no":"id"}"#.into());
    }
    if parts.len() == 1 { parts.remove(0) } else { format!("[{}]", parts.join(" ,\n")) }
}

pub(crate) fn in_paused_time<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(future)
}
