//! From the tables as they are written to what runs: the settings of every stage, made once.
//!
//! Everything that can be wrong is found here and reported at its place; what comes out needs no further check.

mod admin;
mod auth;
mod conditions;
mod events;
mod handshake;
mod jose;
mod keys;
mod learned;
mod limits;
mod queue;
mod rules;
mod schemas;
mod signed;
mod source;
mod targets;
mod text;

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

pub use self::admin::{Premises, premises};
use self::auth::Secrets;
pub use self::queue::Journal;
use crate::{
    admin::Settings as AdminSettings,
    config::{
        At, Configuration, Diagnostics, Environment, Key,
        diagnostics::Diagnostic,
        raw::{
            LogFormat, LogLevel, Raw,
            preset::Preset,
            secret::{SecretSource, SettingValue},
        },
        secrets::{NamedSecret, Vault},
    },
    gateway::source::{Source, Target},
    secret::Secret,
    server,
    stages::{authenticate, schemes::Named},
    state::limits::Limit,
    telemetry::NO_SOURCE,
    upstream::{self, Upstream},
};

/// Makes the way to an application. The composition root owns connections and tasks, so it says how.
pub type Connect<'a> = dyn FnMut(&str, upstream::Settings) -> Result<Arc<dyn Upstream>, String> + 'a;

/// What the words of a configuration are understood with.
pub struct Surroundings<'a> {
    /// Where relative paths start: the directory of the configuration file.
    pub root: &'a Path,
    /// For secrets.
    pub environment: &'a Environment,
    /// The presets' schemas: preset id and file name to text.
    pub schemas: &'a dyn Fn(&str) -> Vec<(String, &'static str)>,
    /// Whether weaknesses of schemas that cost little are worth a warning (`check --strict`).
    pub strict: bool,
    /// An instant before the first request.
    pub now: Instant,
}

impl Surroundings<'_> {
    /// Where secrets come from.
    fn vault(&self, allow_weak: bool) -> Vault<'_> {
        Vault { environment: self.environment, directory: self.root, allow_weak }
    }
}

/// A configuration that can run.
#[derive(Debug)]
pub struct Compiled {
    /// Where to listen.
    pub listen: Vec<server::ListenOn>,
    /// How to listen.
    pub server: server::Settings,
    /// For requests in progress when the gateway stops.
    pub drain_timeout: Duration,
    /// From "not ready" to the end of accepting.
    pub drain_delay: Duration,
    /// The operator's door.
    pub admin: AdminSettings,
    /// How the log looks, and how much of it.
    pub log: (LogFormat, LogLevel),
    /// The budget of failures per client, and whether private peers have it.
    pub client_limit: (Limit, bool),
    /// The sources, each with a path of its own.
    pub sources: Vec<Source>,
    /// What `send` needs to play a source's sender.
    pub senders: BTreeMap<String, Sender>,
    /// Where what must outlive the process is kept, if anything is.
    pub journal: Option<Journal>,
    /// The upstreams.
    pub upstreams: Vec<Arc<Target>>,
}

/// A source's sender, seen from the other side.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The path it posts to.
    pub path: String,
    /// The preset it is described by.
    pub provider: Option<String>,
    /// The kinds of its rules.
    pub schemes: Vec<&'static str>,
    /// The rules it must satisfy, each with the secret that does.
    pub rules: Vec<(authenticate::Rule, Option<Secret>)>,
}

/// Compiles a configuration that was read without errors. All problems are in the diagnostics; the configuration is
/// there when none of them is an error.
pub fn compile(
    configuration: &Configuration,
    surroundings: &Surroundings<'_>,
    connect: &mut Connect<'_>,
) -> (Option<Compiled>, Diagnostics) {
    let mut found = Diagnostics::default();
    let Some(raw) = &configuration.raw else { return (None, found) };
    not_yet(raw, &mut found);
    let admin = admin::admin(&raw.admin, surroundings, &mut found);
    let targets = targets::targets(raw, surroundings, connect, &mut found);
    let mut sources: Vec<Source> = Vec::new();
    let mut senders = BTreeMap::new();
    let mut used: Vec<(Secret, String)> = Vec::new();
    for (name, written) in &raw.sources.entries {
        let preset = written.provider.as_ref().and_then(|id| configuration.presets.get(id.as_str()));
        if name == NO_SOURCE {
            found.error_at(&written.at, "`none` stands for unknown paths in metrics and logs", "choose another name");
        }
        let mut context = Context::new(raw, preset, &targets, surroundings, written, &mut found);
        let Some((source, sender)) = context.source(name) else { continue };
        context.shared_secrets(name, &sender, &mut used);
        if let Some(other) = sources.iter().find(|other| other.path == source.path) {
            let message = format!("the source `{}` has this path already", other.name);
            context.error(&written.path.key, message, "give every source a path of its own");
        }
        sources.push(source);
        senders.insert(name.clone(), sender);
    }
    if raw.sources.entries.is_empty() && raw.sources.unreadable.is_empty() {
        found.push(
            Diagnostic::warning(&raw.at, "there is no source: every request is answered 404")
                .help("add a table `[sources.NAME]`; `hooksieve presets` lists the senders that are known"),
        );
    }
    let journal = raw.journal.as_ref().map(|written| queue::journal(written, surroundings, &mut found));
    found.sort();
    let failed = found.has_errors() || configuration.diagnostics.has_errors();
    let compiled = (!failed).then(|| Compiled {
        listen: raw.server.listen.iter().map(|listen| listen_on(&listen.value)).collect(),
        server: server::Settings {
            max_connections: raw.server.max_connections.value.0 as usize,
            trusted_proxies: raw.server.trusted_proxies.iter().map(|cidr| cidr.value.0).collect(),
            limits: server::Limits::default(),
        },
        drain_timeout: raw.server.drain_timeout.value,
        drain_delay: raw.server.drain_delay.value,
        admin,
        log: (raw.log.format.value, raw.log.level.value),
        client_limit: limits::client(&raw.server.client_limit),
        sources,
        senders,
        journal,
        upstreams: targets.into_values().collect(),
    });
    (compiled, found)
}

/// What the language has words for and this version cannot do. A gateway that ignored them would be a weaker one.
fn not_yet(raw: &Raw, found: &mut Diagnostics) {
    if let Some(tls) = &raw.server.tls {
        let help = "leave `[server.tls]` out, and end TLS in front of the gateway";
        found.error_at(&tls.at, "this version does not end TLS itself yet", help);
    }
}

fn listen_on(listen: &crate::config::Listen) -> server::ListenOn {
    match listen {
        crate::config::Listen::Tcp(address) => server::ListenOn::Tcp(*address),
        crate::config::Listen::Unix(path) => server::ListenOn::Unix(path.clone()),
    }
}

/// The targets by upstream name.
type Targets = HashMap<String, Arc<Target>>;

/// What is known while one source is compiled.
struct Context<'a> {
    raw: &'a Raw,
    preset: Option<&'a Preset>,
    targets: &'a Targets,
    surroundings: &'a Surroundings<'a>,
    written: &'a crate::config::raw::source::Source,
    settings: &'a BTreeMap<String, At<SettingValue>>,
    found: &'a mut Diagnostics,
    /// The largest tolerance of a signed time.
    tolerance: Duration,
    /// Everything that is part of a signed text.
    signed: Vec<events::SignedPart>,
    /// Secrets could not be fetched, and that has been said.
    secrets_missing: bool,
    /// The sender hands its secret over, and has not yet, or nobody has confirmed it.
    awaited: bool,
}

impl<'a> Context<'a> {
    fn new(
        raw: &'a Raw,
        preset: Option<&'a Preset>,
        targets: &'a Targets,
        surroundings: &'a Surroundings<'a>,
        written: &'a crate::config::raw::source::Source,
        found: &'a mut Diagnostics,
    ) -> Self {
        let settings = &written.settings;
        Self {
            raw,
            preset,
            targets,
            surroundings,
            written,
            settings,
            found,
            tolerance: Duration::ZERO,
            signed: Vec::new(),
            secrets_missing: false,
            awaited: false,
        }
    }

    fn error(&mut self, key: &Key, message: impl Into<String>, help: impl Into<String>) {
        self.found.error_at(&self.place(key), message, help);
    }

    fn warn(&mut self, key: &Key, message: impl Into<String>, help: impl Into<String>) {
        self.found.warn_at(&self.place(key), message, help);
    }

    /// What is wrong with a preset's words for this source is mended in the source's own table.
    fn place(&self, key: &Key) -> Key {
        if key.preset().is_some() { self.written.at.clone() } else { key.clone() }
    }

    /// All secrets of a list; what is wrong with one is reported and it is left out.
    fn secrets(&mut self, written: &[SecretSource]) -> Secrets {
        let vault = self.surroundings.vault(self.written.allow_weak_secret.value);
        let secrets = vault.all(written, self.found);
        self.secrets_missing |= secrets.is_none();
        let secrets = secrets.unwrap_or_default();
        let named = |found: NamedSecret| Named { name: Arc::from(found.name), until: found.until, key: found.secret };
        secrets.into_iter().map(named).collect()
    }

    /// Two sources with one secret: a request for one could be sent to the other (W-08).
    fn shared_secrets(&mut self, name: &str, sender: &Sender, used: &mut Vec<(Secret, String)>) {
        let own: Vec<&Secret> = sender.rules.iter().filter_map(|(_, secret)| secret.as_ref()).collect();
        for secret in own {
            let earlier = used.iter().find(|(other, _)| other.expose() == secret.expose());
            if let Some((_, other)) = earlier.filter(|(_, other)| other != name) {
                let message = format!("the sources `{other}` and `{name}` have the same secret");
                let key = self.written.at.clone();
                self.warn(&key, message, "let each sender have its own, so that one cannot pass for the other");
            }
            used.push((secret.clone(), name.to_owned()));
        }
    }
}

/// The address of a TCP listener, for messages.
pub fn address(listen: &server::ListenOn) -> Option<SocketAddr> {
    match listen {
        server::ListenOn::Tcp(address) => Some(*address),
        server::ListenOn::Unix(_) => None,
    }
}
