//! The delivery invariants of the catalogue (section 4) over random schedules of senders, failures and time, against
//! the whole gateway without its sockets. A failing schedule is printed as small as proptest can make it.
//!
//! Time is owned by the tests: leases, windows and deadlines by a [`ManualClock`], waiting by tokio's paused clock.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "requests run in tasks of their own, as they do in the server")]

#[path = "support/history.rs"]
mod history;

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use hooksieve::{
    app::load,
    clock::{Clock, ManualClock},
    config::Environment,
    fetch::{Https, keys::KeyStore},
    gateway::Gateway,
    server::Handler as _,
    stages::receive::{Client, Head, Received},
    state::{claims::Claims, limits::ClientLimit, memory::MemoryClaims},
    telemetry::{Metrics, Telemetry},
    upstream::{Attempt, BoxFuture, Delivered, Outbound, Upstream},
};
use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;
use proptest::prelude::*;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use history::{Event, History, Step};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const LEASE: Duration = Duration::from_secs(10);
const WINDOW: Duration = Duration::from_hours(1);

/// What the application does with an attempt.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Answers 200 after so many milliseconds.
    Take(u64),
    /// Answers 503 after so many milliseconds.
    Refuse(u64),
    /// Hangs up after so many milliseconds.
    Cut(u64),
    /// Cannot be reached.
    Away,
    /// Is at its limit.
    Full,
    /// Uncovers a defect.
    Panic,
}

/// What a sender does, or time.
#[derive(Clone, Debug)]
enum Move {
    /// Sends events, and an identical twin of the request at the same time if so wished.
    Send(Vec<(u8, u8)>, bool),
    /// Sends events with one among them that is rejected.
    Spoilt(Vec<(u8, u8)>),
    /// Sends somebody else's events without the token.
    Forge(Vec<(u8, u8)>),
    /// Time passes while everything that runs stands still: a paused process, a window that ends.
    Pause(u64),
    /// Everything that runs goes on for so many milliseconds.
    Run(u64),
    /// Everything that runs ends.
    Finish,
}

/// The application, and the record of everything.
struct App {
    acts: Mutex<VecDeque<Act>>,
    steps: Mutex<Vec<(Duration, Step)>>,
    attempts: Mutex<usize>,
    withins: Mutex<Vec<Duration>>,
    clock: ManualClock,
    origin: Instant,
}

impl App {
    fn note(&self, step: Step) {
        let time = self.clock.now().steady - self.origin;
        self.steps.lock().unwrap().push((time, step));
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
}

/// The way to the application.
struct Way(Arc<App>);

impl Upstream for Way {
    fn deliver(&self, outbound: Outbound) -> BoxFuture<'_, Attempt> {
        Box::pin(async move {
            let attempt = self.0.began(&outbound);
            let act = self.0.acts.lock().unwrap().pop_front().unwrap_or(Act::Take(0));
            let delivered = || Attempt::Delivered(Delivered { status: StatusCode::OK, relay: None });
            let refused = || Attempt::Refused { status: StatusCode::SERVICE_UNAVAILABLE, retry_after: None };
            let ambiguous = |timeout| Attempt::Ambiguous { timeout, error: String::new() };
            let (after, end) = match act {
                Act::Take(after) => (after, delivered()),
                Act::Refuse(after) => (after, refused()),
                Act::Cut(after) => (after, ambiguous(false)),
                Act::Away => (0, Attempt::NotSent { timeout: false, error: String::new() }),
                Act::Full => (1, Attempt::Full),
                Act::Panic => panic!("as it was told to"),
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
struct World {
    app: Arc<App>,
    gateway: Arc<Gateway>,
    claims: Claims,
    requests: Vec<Vec<Event>>,
    tasks: Vec<JoinHandle<u16>>,
}

impl World {
    fn new(acts: impl IntoIterator<Item = Act>, amend: &str) -> Self {
        let clock = ManualClock::at(Timestamp::from_second(1_767_225_600).unwrap());
        let app = Arc::new(App {
            acts: Mutex::new(acts.into_iter().collect()),
            steps: Mutex::default(),
            attempts: Mutex::default(),
            withins: Mutex::default(),
            origin: clock.now().steady,
            clock: clock.clone(),
        });
        let text = format!(
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
            sources.acme.dedup = {{ window = "1h", on_missing = "reject" }}
            {amend}"#
        );
        let connect = &mut |_: &str, _| Ok(Arc::new(Way(app.clone())) as Arc<dyn Upstream>);
        let (compiled, found) = load(Path::new("h.toml"), &text, &Environment::default(), false, connect);
        let compiled = compiled.unwrap_or_else(|| panic!("{found:?}"));
        let claims = Claims::new(Arc::new(MemoryClaims::new(1_000)));
        let (limit, private) = compiled.client_limit;
        let clients = ClientLimit::new(limit, private, clock.now().steady);
        let telemetry = Arc::new(Telemetry::new(Arc::new(Metrics::new())));
        let keys = Arc::new(KeyStore::new(Arc::new(Https::of_system())));
        let gateway = Gateway::new(compiled.sources, claims.clone(), clients, keys, Arc::new(clock), telemetry);
        Self { app, gateway: Arc::new(gateway), claims, requests: Vec::new(), tasks: Vec::new() }
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
        let handling = self.gateway.clone().handle(allowance.route, received);
        async move { handling.await.status.as_u16() }
    }

    /// A sender that does not wait for its answer: whether it does makes no difference to the task.
    fn send(&mut self, events: &[Event], spoilt: bool, reading: Duration) {
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

    fn forge(&mut self, events: &[Event]) {
        let number = self.requests.len();
        self.requests.push(Vec::new());
        let before = (self.claims.stats(), *self.app.attempts.lock().unwrap());
        let handling = self.handle(number, "a token that nobody knows", body(events, false), Duration::ZERO);
        let status = handling.now_or_never().unwrap_or_default();
        let unchanged = before == (self.claims.stats(), *self.app.attempts.lock().unwrap());
        self.app.note(Step::Forged { request: number, status, unchanged });
    }

    async fn play(&mut self, moves: &[Move]) {
        let events = |named: &[(u8, u8)]| named.iter().map(|(id, version)| event(*id, *version)).collect::<Vec<_>>();
        for step in moves {
            match step {
                Move::Send(named, twin) => {
                    for _ in 0..=usize::from(*twin) {
                        self.send(&events(named), false, Duration::ZERO);
                    }
                }
                Move::Spoilt(named) => self.send(&events(named), true, Duration::ZERO),
                Move::Forge(named) => self.forge(&events(named)),
                Move::Pause(seconds) => self.app.clock.advance(Duration::from_secs(*seconds)),
                Move::Run(millis) => sleep(Duration::from_millis(*millis)).await,
                Move::Finish => drop(self.finish().await),
            }
        }
    }

    /// Waits for everything that runs; the statuses of what ran, 0 for a panic.
    async fn finish(&mut self) -> Vec<u16> {
        let mut statuses = Vec::new();
        for task in self.tasks.drain(..) {
            statuses.push(task.await.unwrap_or_default());
        }
        statuses
    }

    /// The end of a schedule: the application is well again, and every sender repeats what it ever sent. All of it
    /// must be taken at once (I3), and nothing may be broken on the way.
    async fn check(mut self, moves: &[Move]) -> Result<History, TestCaseError> {
        self.play(moves).await;
        self.finish().await;
        prop_assert_eq!(self.claims.stats().in_flight, 0, "I3: somebody still holds a claim");
        self.app.acts.lock().unwrap().clear();
        for events in self.requests.clone().into_iter().filter(|events| !events.is_empty()) {
            self.send(&events, false, Duration::ZERO);
            prop_assert_eq!(self.finish().await, vec![200], "I3: {:?} is not taken any more", events);
        }
        let history = History { lease: LEASE, window: WINDOW, steps: self.app.steps.lock().unwrap().clone() };
        let broken = history.violations();
        prop_assert!(broken.is_empty(), "{:#?}\n{:#?}", broken, history);
        Ok(history)
    }
}

fn event(id: u8, version: u8) -> Event {
    let id = format!("evt_{id}");
    let bytes = format!("{{ \"id\":\"{id}\",\"\\u006e\" :{version}E0}}");
    Event { id, bytes }
}

fn body(events: &[Event], spoilt: bool) -> String {
    let mut parts: Vec<_> = events.iter().map(|event| event.bytes.clone()).collect();
    if spoilt {
        parts.insert(parts.len() / 2, r#"{"no":"id"}"#.into());
    }
    if parts.len() == 1 { parts.remove(0) } else { format!("[{}]", parts.join(" ,\n")) }
}

fn in_paused_time<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(future)
}

const MODES: [&str; 4] = [
    "",
    "sources.acme.delivery.concurrency = 1",
    "sources.acme.delivery.ordered = [\"json:/type\"]",
    "sources.acme.delivery.batch = \"array\"",
];

fn events(versions: u8) -> impl Strategy<Value = Vec<(u8, u8)>> {
    prop::collection::vec((0..4u8, 0..versions), 1..5)
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let step = prop_oneof![
        8 => (events(1), any::<bool>()).prop_map(|(events, twin)| Move::Send(events, twin)),
        2 => (events(2), any::<bool>()).prop_map(|(events, twin)| Move::Send(events, twin)),
        1 => events(2).prop_map(Move::Spoilt),
        1 => events(2).prop_map(Move::Forge),
        1 => prop::sample::select(vec![1, 8, 11, 3_601]).prop_map(Move::Pause),
        4 => (0..6_000u64).prop_map(Move::Run),
        2 => Just(Move::Finish),
    ];
    prop::collection::vec(step, 1..16)
}

fn act() -> impl Strategy<Value = Act> {
    let after = || prop_oneof![Just(0), 0..2_500u64, Just(6_000)];
    prop_oneof![
        4 => after().prop_map(Act::Take),
        2 => after().prop_map(Act::Refuse),
        2 => after().prop_map(Act::Cut),
        1 => Just(Act::Away),
        1 => Just(Act::Full),
    ]
}

/// Four times the usual number; `PROPTEST_CASES` in the environment sets that.
fn schedules() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: 4 * usual.cases, max_shrink_iters: 2_000, failure_persistence: None, ..usual }
}

proptest! {
    #![proptest_config(schedules())]

    #[test]
    fn whatever_fails_nothing_is_lost_and_nothing_hidden(
        moves in moves(),
        acts in prop::collection::vec(act(), 0..20),
        mode in 0..MODES.len(),
    ) {
        in_paused_time(async { World::new(acts, MODES[mode]).check(&moves).await })?;
    }

    #[test]
    fn i_06_without_faults_every_event_is_sent_once(
        sends in prop::collection::vec((events(1), any::<bool>(), 0..1_500u64), 1..12),
        acts in prop::collection::vec((0..1_500u64).prop_map(Act::Take), 0..20),
        mode in 0..MODES.len(),
    ) {
        let moves: Vec<_> = sends
            .into_iter()
            .flat_map(|(events, twin, millis)| [Move::Send(events, twin), Move::Run(millis)])
            .collect();
        let history = in_paused_time(async { World::new(acts, MODES[mode]).check(&moves).await })?;
        let sent: Vec<_> = history.steps.iter().filter_map(|(_, step)| match step {
            Step::Sent(attempt) => Some(attempt.body.as_str()),
            _ => None,
        }).collect();
        for id in 0..4 {
            let times = sent.iter().filter(|body| body.contains(&event(id, 0).bytes)).count();
            prop_assert!(times <= 1, "event {} was sent {} times", id, times);
        }
    }
}

#[test]
fn d_15_who_comes_late_disturbs_nobody() {
    for late in [Act::Take(3_000), Act::Cut(3_000)] {
        in_paused_time(async {
            let mut world = World::new([late, Act::Take(0)], "");
            let events = [event(1, 0)];
            world.send(&events, false, Duration::ZERO);
            sleep(Duration::from_millis(1)).await;
            // The process stands still for longer than the lease; then the sender's retry is first.
            world.app.clock.advance(LEASE);
            world.send(&events, false, Duration::ZERO);
            let want = if matches!(late, Act::Take(_)) { 200 } else { 502 };
            assert_eq!(world.finish().await, [want, 200]);
            assert_eq!(world.claims.stats().fenced, 1);
            world.send(&events, false, Duration::ZERO);
            assert_eq!(world.finish().await, [200]);
            assert_eq!(*world.app.attempts.lock().unwrap(), 2);
        });
    }
}

#[test]
fn i_03_a_panic_gives_back_what_it_held() {
    for mode in MODES {
        in_paused_time(async {
            let mut world = World::new([Act::Panic, Act::Panic], mode);
            let events = [event(1, 0), event(2, 0), event(1, 0)];
            world.send(&events, false, Duration::ZERO);
            assert_eq!(world.finish().await, [0]);
            assert_eq!(world.claims.stats().in_flight, 0, "{mode}");
            world.app.acts.lock().unwrap().clear();
            world.send(&events, false, Duration::ZERO);
            assert_eq!(world.finish().await, [200], "{mode}");
        });
    }
}

#[test]
fn d_11_twins_of_a_panic_take_over_and_twins_of_a_full_upstream_do_not() {
    for (act, want, attempts) in [(Act::Panic, [0, 200, 200], 2), (Act::Full, [503; 3], 1)] {
        in_paused_time(async {
            let mut world = World::new([act], "");
            for _ in 0..3 {
                world.send(&[event(1, 0)], false, Duration::ZERO);
            }
            let statuses = world.finish().await;
            assert_eq!((statuses, *world.app.attempts.lock().unwrap()), (want.to_vec(), attempts));
        });
    }
}

#[test]
fn d_19_a_slow_body_takes_its_time_from_the_delivery() {
    in_paused_time(async {
        let mut world = World::new([], "");
        world.send(&[event(1, 0)], false, Duration::from_secs(8));
        assert_eq!(world.finish().await, [200]);
        assert_eq!(*world.app.withins.lock().unwrap(), [Duration::from_secs(1)]);
        // What is left is not worth an attempt, and the claim is given back.
        for reading in [8_999, 9_000] {
            world.send(&[event(2, 0)], false, Duration::from_millis(reading));
            assert_eq!(world.finish().await, [503]);
            assert_eq!(world.claims.stats().in_flight, 0);
        }
        world.send(&[event(2, 0)], false, Duration::ZERO);
        assert_eq!(world.finish().await, [200]);
    });
}

#[test]
fn an_event_after_its_window_is_a_new_one() {
    in_paused_time(async {
        let mut world = World::new([], "");
        for (pause, attempts) in [(0, 1), (3_599, 1), (1, 2)] {
            world.app.clock.advance(Duration::from_secs(pause));
            world.send(&[event(1, 0)], false, Duration::ZERO);
            assert_eq!((world.finish().await, *world.app.attempts.lock().unwrap()), (vec![200], attempts));
        }
    });
}
