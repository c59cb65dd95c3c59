//! The composition root: from a configuration to a gateway that listens, and to its end.

mod desk;

use std::{
    fmt::Display,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use ipnet::IpNet;

use self::desk::Office;
use crate::{
    admin::{Admin, Probe},
    clock::{Clock, SystemClock},
    config::{
        Configuration, Diagnostics, Environment, Input,
        compile::{self, Compiled, Connect, Premises, Surroundings, compile},
        read,
    },
    fetch::{self, Failure, Fetch, Https, keys::KeyStore},
    gateway::{
        Gateway, Generations, Journal,
        dispatch::{Dispatcher, Roster},
        source::Source,
    },
    presets,
    server::{ListenOn, Listener, Server, Shutdown},
    stages::{schemes::published::Errand, words::Refusal},
    state::{
        claims::{ClaimStats, Claims},
        durable::DurableClaims,
        journal::JournalStore,
        limits::{ClientLimit, Limit},
        memory::MemoryClaims,
        sqlite::{self, SqliteJournal},
    },
    telemetry::{DedupCounts, FetchMetrics, JournalCounts, Metrics, Telemetry, UpstreamMetrics},
    upstream::{Attempt, BoxFuture, HttpUpstream, Outbound, Settings, Tls, Upstream},
};

/// Settled events that are remembered, over all sources: some 430 MB at the very most.
const SETTLED_MAX: u64 = 1_000_000;

/// No clock that was ever set shows less: 2001-09-09, in seconds since 1970.
const CLOCK_MIN: i64 = 1_000_000_000;

/// Reads a configuration with all presets, and compiles nothing of it.
pub fn configuration(file: &Path, text: &str, environment: &Environment) -> Configuration {
    read(&Input { name: &file.display().to_string(), text, presets: &presets::all(), environment })
}

/// Where relative paths of a configuration file start.
pub fn root(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Reads and compiles a configuration. `connect` makes the way to each upstream.
pub fn load(
    file: &Path,
    text: &str,
    environment: &Environment,
    strict: bool,
    connect: &mut Connect<'_>,
) -> (Option<Compiled>, Diagnostics) {
    let configuration = configuration(file, text, environment);
    let root = root(file);
    let now = SystemClock.now().steady;
    let surroundings = Surroundings { root, environment, schemas: &presets::schemas, strict, now };
    let (compiled, found) = compile(&configuration, &surroundings, connect);
    let Configuration { mut diagnostics, .. } = configuration;
    diagnostics.extend(found);
    (compiled.filter(|_| !diagnostics.has_errors()), diagnostics)
}

/// Finds out where the journal and the admin door of a configuration are, whatever is wrong with its sources.
pub fn premises(file: &Path, text: &str, environment: &Environment) -> (Option<Premises>, Diagnostics) {
    let presets = presets::all();
    let name = file.display().to_string();
    let configuration = read(&Input { name: &name, text, presets: &presets, environment });
    let root = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let found = compile::premises(&configuration, environment, root);
    (found, configuration.diagnostics)
}

/// What opening the journal of a configuration would complain about, found out without touching it.
pub fn inspect(compiled: &Compiled) -> Result<(), String> {
    compiled.journal.as_ref().map_or(Ok(()), |journal| sqlite::inspect(&journal.path).map_err(|error| unusable(&error)))
}

fn unusable(error: &dyn Display) -> String {
    format!("the journal cannot be used: {error}")
}

/// The way to an upstream for commands that never go there.
pub fn nowhere(_name: &str, _settings: Settings) -> Result<Arc<dyn Upstream>, String> {
    struct Nowhere;
    impl Upstream for Nowhere {
        fn deliver(&self, _outbound: Outbound) -> BoxFuture<'_, Attempt> {
            Box::pin(async { Attempt::Full })
        }
    }
    Ok(Arc::new(Nowhere))
}

/// What outlives a generation of the configuration: the shutdown, the numbers, the memory of events.
pub struct Ground {
    /// Signals and tasks.
    pub shutdown: Shutdown,
    /// The numbers, and the log of requests.
    pub telemetry: Arc<Telemetry>,
    /// Delivered events and those on their way.
    pub claims: Claims,
    /// What outlives the process, if anything does.
    pub journal: Option<Journal>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The keys that senders publish.
    keys: Arc<KeyStore>,
    tls: Tls,
}

impl Ground {
    /// Nothing is remembered yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with(clock, Arc::new(Https::of_system()))
    }

    /// The same, with another way to the addresses of senders. No configuration can ask for that.
    pub fn with(clock: Arc<dyn Clock>, fetch: Arc<dyn Fetch>) -> Self {
        let telemetry = Arc::new(Telemetry::new(Arc::new(Metrics::new())));
        let claims = Claims::new(Arc::new(MemoryClaims::new(SETTLED_MAX)));
        let keys = Arc::new(KeyStore::new(Arc::new(Counted { inner: fetch, metrics: telemetry.metrics.fetches() })));
        Self { shutdown: Shutdown::new(), telemetry, claims, journal: None, clock, keys, tls: Tls::native() }
    }

    /// Puts sources to work on this ground.
    pub(crate) fn gateway(&self, sources: Vec<Source>, (limit, apply_to_private): (Limit, bool)) -> Gateway {
        let clients = ClientLimit::new(limit, apply_to_private, self.clock.now().steady);
        let (claims, journal, keys) = (self.claims.clone(), self.journal.clone(), self.keys.clone());
        Gateway::new(sources, claims, journal, clients, keys, self.clock.clone(), self.telemetry.clone())
    }

    /// Opens the journal, if the configuration has one: before anything listens, because what was settled in an earlier
    /// life of the process counts from the first request on. The error names the remedy.
    pub async fn open(&mut self, compiled: &Compiled) -> io::Result<()> {
        let Some(settings) = &compiled.journal else { return Ok(()) };
        let keep_bodies = settings.keeps_bodies;
        let settings = sqlite::Settings {
            retention: settings.retention,
            keep_bodies,
            max_size: settings.max_size,
            ..sqlite::Settings::new(&settings.path)
        };
        let unusable = |error: &dyn Display| io::Error::other(unusable(error));
        let opened = SqliteJournal::open(settings, self.clock.clone());
        let store: Arc<dyn JournalStore> = Arc::new(opened.map_err(|error| unusable(&error))?);
        let claims = DurableClaims::load(store.clone(), SETTLED_MAX, self.clock.now()).await;
        self.claims = Claims::new(Arc::new(claims.map_err(|error| unusable(&error))?));
        let journal = Journal::new(store, keep_bodies, self.shutdown.tasks.clone());
        let watched = journal.clone();
        self.telemetry.metrics.journal.watch(move || journal_counts(&watched));
        self.journal = Some(journal);
        Ok(())
    }

    /// Starts to deliver what is pending in the journal, if there is one.
    fn dispatch(&self, roster: Roster) -> Option<Dispatcher> {
        let journal = self.journal.clone()?;
        // Without randomness events come back in a step of their own choosing, which is no harm.
        let random = || getrandom::u64().unwrap_or(u64::MAX / 2);
        let (clock, telemetry, shutdown) = (self.clock.clone(), self.telemetry.clone(), self.shutdown.clone());
        Some(Dispatcher::start(journal, roster, clock, telemetry, shutdown, random))
    }

    /// The way to an upstream, counted and logged.
    pub fn connect(&self, name: &str, settings: Settings) -> Result<Arc<dyn Upstream>, String> {
        let upstream = HttpUpstream::new(settings, &self.tls, self.shutdown.tasks.clone());
        let inner = upstream.map_err(|error| format!("the upstream cannot be used: {error}"))?;
        let metrics = self.telemetry.metrics.upstream(name);
        Ok(Arc::new(Watched { name: name.to_owned(), inner, metrics }))
    }
}

/// A way to the addresses of senders that is counted.
struct Counted {
    inner: Arc<dyn Fetch>,
    metrics: FetchMetrics,
}

impl Fetch for Counted {
    fn fetch<'a>(&'a self, errand: &'a Errand) -> fetch::BoxFuture<'a, Result<Bytes, Failure>> {
        Box::pin(async move {
            let outcome = self.inner.fetch(errand).await;
            let count = match &outcome {
                Ok(_) => &self.metrics.found,
                Err(Failure::Absent(_)) => &self.metrics.absent,
                Err(Failure::Unavailable(_)) => &self.metrics.unavailable,
            };
            count.inc();
            outcome
        })
    }
}

/// The numbers of the claims as the metrics have them.
fn dedup_counts(claims: &Claims) -> DedupCounts {
    let ClaimStats { in_flight, settled, evicted, fenced, lease_expired, conflicts, abandoned } = claims.stats();
    DedupCounts { in_flight, settled, evicted, fenced, lease_expired, conflicts, abandoned }
}

/// The journal's numbers as the metrics have them.
fn journal_counts(journal: &Journal) -> JournalCounts {
    let stats = journal.store().stats();
    JournalCounts {
        pending: stats.pending,
        oldest_pending: stats.oldest_pending,
        dead: stats.dead,
        quarantined: stats.quarantined,
        bytes: stats.bytes,
        commits: stats.commits,
        appended: stats.appended,
        failed: stats.failed,
        notes_dropped: stats.notes_dropped,
        remember_failed: stats.remember_failed,
        damaged: stats.damaged,
        troubled: journal.store().trouble().is_some(),
    }
}

/// An upstream whose attempts are counted, and whose failures are logged.
struct Watched {
    name: String,
    inner: HttpUpstream,
    metrics: UpstreamMetrics,
}

impl Upstream for Watched {
    fn deliver(&self, outbound: Outbound) -> BoxFuture<'_, Attempt> {
        Box::pin(async move {
            let attempt = self.inner.deliver(outbound).await;
            self.note(&attempt);
            attempt
        })
    }
}

impl Watched {
    fn note(&self, attempt: &Attempt) {
        let upstream = self.name.as_str();
        match attempt {
            Attempt::Delivered(_) => {
                self.metrics.delivered.inc();
            }
            Attempt::Refused { status, .. } => {
                self.metrics.refused.inc();
                tracing::warn!(upstream, status = status.as_u16(), "the upstream refused an event");
            }
            Attempt::Ambiguous { error, .. } => {
                self.metrics.ambiguous.inc();
                tracing::warn!(upstream, error, "the upstream did not answer; the event may have arrived");
            }
            Attempt::NotSent { error, .. } => {
                self.metrics.not_sent.inc();
                tracing::warn!(upstream, error, "the upstream cannot be reached");
            }
            Attempt::Full => {
                self.metrics.full.inc();
                tracing::warn!(upstream, "the upstream has `max_in_flight` events already");
            }
        }
    }
}

/// A gateway that listens.
pub struct Running {
    /// Where senders reach it, with the ports that were found for port 0.
    pub listen: Vec<ListenOn>,
    /// Where health and metrics are.
    pub admin: ListenOn,
    shutdown: Shutdown,
    /// The admin door ends last: while the other drains, it has to say so.
    admin_shutdown: Shutdown,
    readiness: Arc<Readiness>,
    generations: Arc<Generations>,
    dispatcher: Option<Dispatcher>,
    office: Arc<Office>,
    pages: Admin,
    doors: Doors,
    drain_delay: Duration,
    drain_timeout: Duration,
}

/// What is settled when the listeners are opened.
#[derive(Debug, PartialEq, Eq)]
struct Doors {
    listen: Vec<ListenOn>,
    admin: ListenOn,
    max_connections: usize,
    trusted_proxies: Vec<IpNet>,
    journal: Option<compile::Journal>,
}

impl Doors {
    fn of(compiled: &Compiled) -> Self {
        Self {
            listen: compiled.listen.clone(),
            admin: compiled.admin.listen.clone(),
            max_connections: compiled.server.max_connections,
            trusted_proxies: compiled.server.trusted_proxies.clone(),
            journal: compiled.journal.clone(),
        }
    }
}

/// Whether the process should get traffic.
#[derive(Debug, Default)]
struct Readiness {
    draining: AtomicBool,
    journal: Option<Journal>,
}

impl Probe for Readiness {
    fn not_ready(&self) -> Vec<&'static str> {
        let troubled = self.journal.as_ref().is_some_and(|journal| journal.store().trouble().is_some());
        let reasons = [(self.draining.load(Ordering::Relaxed), Refusal::Draining), (troubled, Refusal::Journal)];
        reasons.into_iter().filter(|(holds, _)| *holds).map(|(_, reason)| reason.as_str()).collect()
    }
}

impl Running {
    /// Opens all listeners, then starts to accept on them: either everything runs or nothing does. Nothing does on a
    /// machine whose clock was never set: no signed time and no end of a secret would mean anything.
    pub async fn start(compiled: Compiled, ground: &Ground) -> io::Result<Self> {
        let Ground { shutdown, telemetry, clock, .. } = ground;
        let now = clock.now().wall;
        if now.as_second() < CLOCK_MIN {
            return Err(io::Error::other(format!("the clock of this machine says {now}: set it, then start again")));
        }
        let metrics = telemetry.metrics.clone();
        let counted = ground.claims.clone();
        metrics.dedup.watch(move || dedup_counts(&counted));
        let doors = Doors::of(&compiled);
        let roster = Roster::new(&compiled.upstreams, &compiled.sources);
        let office = Arc::new(Office::new(clock.clone(), metrics.clone(), ground.journal.clone(), &compiled));
        let generations = Arc::new(Generations::new(ground.gateway(compiled.sources, compiled.client_limit)));
        let mut listeners = Vec::new();
        for on in &compiled.listen {
            listeners.push(bind(on).await?);
        }
        let admin_listener = bind(&compiled.admin.listen).await?;
        let admin = admin_listener.local()?;

        let connections = metrics.connections.clone();
        let server = Server::new(compiled.server, generations.clone(), clock.clone(), shutdown.clone(), connections);
        let server = Arc::new(server);
        let mut listen = Vec::new();
        for listener in listeners {
            listen.push(listener.local()?);
            let server = server.clone();
            shutdown.tasks.spawn(async move { server.serve(listener).await });
        }
        let journal = ground.journal.clone();
        let (readiness, admin_shutdown) = (Arc::new(Readiness { journal, ..Readiness::default() }), Shutdown::new());
        let guard = compiled.admin.guard;
        let pages = Admin::new(guard, readiness.clone(), office.clone(), metrics, admin_shutdown.clone());
        let door = pages.clone();
        admin_shutdown.tasks.spawn(async move { door.serve(admin_listener).await });
        Ok(Self {
            listen,
            admin,
            shutdown: shutdown.clone(),
            admin_shutdown,
            readiness,
            generations,
            dispatcher: ground.dispatch(roster),
            office,
            pages,
            doors,
            drain_delay: compiled.drain_delay,
            drain_timeout: compiled.drain_timeout,
        })
    }

    /// Serves another configuration from the next request on. Claims and budgets are kept, and so are connections; what
    /// belongs to the doors themselves, or to the journal, waits for a restart: whether there is such a thing. A
    /// configuration that needs a journal where none is open is not taken over at all.
    pub fn reload(&self, compiled: Compiled, ground: &Ground) -> Result<bool, &'static str> {
        if compiled.journal.is_some() && self.doors.journal.is_none() {
            return Err("a journal is opened when the gateway starts: restart it to take this configuration over");
        }
        let doors = Doors::of(&compiled);
        if doors.admin == self.doors.admin {
            // Elsewhere the door may do without a token, and where it is now it may not.
            self.pages.replace(compiled.admin.guard.clone());
        }
        self.office.replace(&compiled);
        if let Some(dispatcher) = &self.dispatcher {
            dispatcher.replace(Roster::new(&compiled.upstreams, &compiled.sources));
        }
        self.generations.replace(ground.gateway(compiled.sources, compiled.client_limit));
        Ok(doors != self.doors)
    }

    /// Says that it is not ready, goes on for the drain delay, then stops accepting and waits for the work under way.
    /// Whether all of it ended in time.
    pub async fn drain(self) -> bool {
        self.readiness.draining.store(true, Ordering::Relaxed);
        tokio::time::sleep(self.drain_delay).await;
        let drained = self.shutdown.drain(self.drain_timeout).await;
        self.admin_shutdown.drain(Duration::from_secs(1)).await;
        drained
    }
}

async fn bind(on: &ListenOn) -> io::Result<Listener> {
    let bound = Listener::bind(on).await;
    bound.map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {on}: {error}")))
}
