//! `hooksieve demo`: the whole thing on loopback. A small application, the gateway as `run` would start it from
//! `config.example.toml`, and real traffic of all senders in it, over real sockets.

mod acts;
mod application;
mod life;
mod log;

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::Path,
};

use clap::Args;
use http::{HeaderName, HeaderValue, StatusCode};
use tokio::{runtime::Runtime, signal};
use tracing::level_filters::LevelFilter;

use self::{
    acts::{Act, How, SHOW, Scene},
    application::{Application, Arrived},
    life::{Folder, Life},
    log::Log,
};
use super::{
    NO, complain, sample,
    sender::{Draft, StandIn},
    usage,
    wire::{Door, Reply},
};
use crate::{
    app,
    clock::SystemClock,
    config::{Environment, compile::Compiled},
    secret::Secret,
    stages::{receive::Received, vouch},
    telemetry,
};

const EXAMPLE: &str = include_str!("../../../config.example.toml");

/// A request that Cakewalk might have sent: made with a key that nobody has any more.
const RECORDED_BODY: &str = include_str!("recorded/body.json");
const RECORDED_SIGNATURE: &str = include_str!("recorded/signature.txt");
const RECORDED_KEY: &str = include_str!("recorded/key.pem");

/// The client that guesses secrets, as the proxy in front of the gateway names it.
const GUESSER: HeaderValue = HeaderValue::from_static("203.0.113.66");

/// Requests of one flood; the limits of the show are far below.
const FLOOD_MAX: usize = 500;

/// What `demo` can be told.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    /// Go on serving after the show
    #[arg(long)]
    keep: bool,
}

/// Shows everything, and says whether it was as it should be.
pub(super) fn demo(options: &Options) -> u8 {
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return usage(&format!("error: the runtime cannot be started: {error}")),
    };
    match runtime.block_on(show(options)) {
        Ok(true) => 0,
        Ok(false) => NO,
        Err(problem) => {
            eprintln!("error: {problem}");
            NO
        }
    }
}

async fn show(options: &Options) -> Result<bool, String> {
    let secret = sample::random()?;
    let key = vouch::signing_key(&Secret::new(secret.clone()))?;
    let application = Application::start(key).await.map_err(|error| format!("no port for an application: {error}"))?;
    let folder = Folder::new()?;
    let environment = environment(&application, &folder, secret)?;
    let log = Log::default();
    let writer = log.clone();
    telemetry::init_with(LevelFilter::INFO, move || writer.clone()).map_err(|error| error.to_string())?;
    // Once to run, and once for those who send.
    let life = Life::begin(&environment).await?;
    let compiled = load(&environment, &mut app::nowhere)?;
    let mut stage = Stage {
        compiled: &compiled,
        environment: &environment,
        life: Some(life),
        application,
        log,
        is_pretty: io::stdout().is_terminal(),
        last: None,
    };

    println!("hooksieve {}: config.example.toml at work, on loopback, with new secrets", env!("CARGO_PKG_VERSION"));
    println!("{:6}{:37}{:26}{:12}why", "", "sent", "answered", "app got");
    let mut tally = Tally::default();
    for scene in SHOW {
        stage.play(scene, &mut tally).await?;
    }
    println!("\n{tally}");
    if options.keep {
        stage.keep().await?;
    }
    if let Some(life) = stage.life.take() {
        life.end().await;
    }
    Ok(tally.wrong == 0)
}

fn load(environment: &Environment, connect: &mut crate::config::compile::Connect<'_>) -> Result<Compiled, String> {
    let (compiled, found) = app::load(Path::new("config.example.toml"), EXAMPLE, environment, false, connect);
    complain(&found);
    compiled.ok_or_else(|| "config.example.toml has errors".to_owned())
}

/// What the example leaves open: addresses, secrets, and limits that are reached within the show.
fn environment(application: &Application, folder: &Folder, signing_secret: String) -> Result<Environment, String> {
    let mut pairs = vec![("APP_SIGNING_SECRET", signing_secret)];
    for name in ["CAKEWALK_SECRET", "AWORK_TOKEN", "SKILLMINE_KEY", "ELAN_SECRET", "ACME_SECRET", "SHOP_SECRET"] {
        pairs.push((name, sample::random()?));
    }
    let url = |path: &str| format!("http://{}/{path}", application.address);
    pairs.extend([
        ("HOOKSIEVE_UPSTREAMS__APP__URL", url("webhooks")),
        ("HOOKSIEVE_UPSTREAMS__BILLING__URL", url("billing")),
        ("CAKEWALK_PUBLIC_KEY", RECORDED_KEY.to_owned()),
        ("HOOKSIEVE_JOURNAL__PATH", folder.path().join("journal.db").display().to_string()),
    ]);
    let more = [
        ("HOOKSIEVE_SERVER__LISTEN", "127.0.0.1:0"),
        ("HOOKSIEVE_SERVER__TRUSTED_PROXIES", "127.0.0.1"),
        ("HOOKSIEVE_SERVER__CLIENT_LIMIT__RATE", "1/s"),
        ("HOOKSIEVE_SERVER__CLIENT_LIMIT__BURST", "10"),
        ("HOOKSIEVE_ADMIN__LISTEN", "127.0.0.1:0"),
        ("HOOKSIEVE_SOURCES__AWORK__DELIVERY__BACKOFF__FIRST", "200ms"),
        ("HOOKSIEVE_SOURCES__SKILLMINE__LIMIT__RATE", "1/s"),
        ("HOOKSIEVE_SOURCES__SKILLMINE__LIMIT__BURST", "10"),
        ("HOOKSIEVE_SOURCES__CAKEWALK_RSA__PATH", "/in/cakewalk-rsa"),
        ("HOOKSIEVE_SOURCES__CAKEWALK_RSA__PROVIDER", "cakewalk"),
        ("HOOKSIEVE_SOURCES__CAKEWALK_RSA__SCHEME", "rsa"),
        ("HOOKSIEVE_SOURCES__CAKEWALK_RSA__SECRETS", "[{ env = \"CAKEWALK_PUBLIC_KEY\" }]"),
        ("HOOKSIEVE_SOURCES__CAKEWALK_RSA__UPSTREAM", "app"),
    ];
    Ok(pairs.into_iter().chain(more.map(|(name, value)| (name, value.to_owned()))).collect())
}

/// The gateway that runs, and all who have to do with it.
struct Stage<'a> {
    compiled: &'a Compiled,
    environment: &'a Environment,
    /// There is always one, but for the moment between two.
    life: Option<Life>,
    application: Application,
    log: Log,
    /// Whether there is a terminal to show signs on.
    is_pretty: bool,
    /// The last request that was sent.
    last: Option<Received>,
}

/// The sum of it.
#[derive(Default)]
struct Tally {
    requests: usize,
    right: usize,
    wrong: usize,
    arrived: usize,
    signed: usize,
}

/// How one line ended.
struct Ending {
    reply: Reply,
    why: String,
    arrived: Vec<Arrived>,
    requests: usize,
    /// How many requests were answered with a 2xx.
    accepted: usize,
}

impl Stage<'_> {
    async fn play(&mut self, scene: &Scene, tally: &mut Tally) -> Result<(), String> {
        println!("\n{}", scene.about);
        let stand_in = StandIn::of(self.compiled, scene.source, &SystemClock)
            .ok_or_else(|| format!("config.example.toml has no source {}", scene.source))?;
        for act in scene.acts {
            let ending = self.act(&stand_in, act).await?;
            let got = match act.how {
                How::Flood(_) | How::Guess(_) => ending.accepted,
                // How often it fails before it is taken depends on how long a restart takes.
                How::ThroughRestart(_) => ending.arrived.len().max(act.got),
                _ => act.got,
            };
            let is_right = ending.reply.status.as_u16() == act.status
                && ending.why == act.why
                && ending.arrived.len() == got
                && ending.arrived.iter().all(|arrived| arrived.is_signed);
            tally.add(&ending, is_right);
            println!("{}", ending.line(act, is_right, self.is_pretty));
            if !is_right {
                println!("      expected {} {}, and {got} at the application", act.status, act.why);
            }
        }
        Ok(())
    }

    async fn act(&mut self, stand_in: &StandIn<'_>, act: &Act) -> Result<Ending, String> {
        match act.how {
            How::WhileDown(_) => self.application.fails_once(),
            How::ThroughRestart(_) => self.application.fails(true),
            _ => {}
        }
        let (mut requests, mut accepted) = (0, 0);
        loop {
            let request = self.request(stand_in, act.how)?;
            let reply = self.life()?.door.send(&request).await?;
            self.last = Some(request);
            requests += 1;
            accepted += usize::from(reply.status.is_success());
            let is_enough = reply.status == StatusCode::TOO_MANY_REQUESTS || requests == FLOOD_MAX;
            let why = self.log.why();
            if is_enough || !act.how.is_flood() {
                if matches!(act.how, How::ThroughRestart(_)) {
                    self.restart().await?;
                }
                if reply.status == StatusCode::ACCEPTED {
                    self.life()?.settled().await;
                }
                return Ok(Ending { reply, why, arrived: self.application.arrived(), requests, accepted });
            }
        }
    }

    /// Ends the gateway while the application fails, and begins it anew when that is well again.
    async fn restart(&mut self) -> Result<(), String> {
        if let Some(life) = self.life.take() {
            life.until(|| self.application.has_more()).await;
            life.end().await;
        }
        self.application.fails(false);
        self.life = Some(Life::begin(self.environment).await?);
        Ok(())
    }

    fn life(&self) -> Result<&Life, String> {
        self.life.as_ref().ok_or_else(|| "the gateway does not run".to_owned())
    }

    fn request(&self, stand_in: &StandIn<'_>, how: How) -> Result<Received, String> {
        let one = |event_type| stand_in.sample(Some(event_type));
        match how {
            How::Right(types) => stand_in.sign(&batch(stand_in, types)?),
            How::Again => self.last.clone().ok_or_else(|| "nothing has been sent yet".to_owned()),
            How::Flood(event_type) | How::ThroughRestart(event_type) | How::WhileDown(event_type) => {
                stand_in.sign(&one(event_type)?)
            }
            How::Forged(event_type) => stand_in.forge(&one(event_type)?),
            How::Unsigned(event_type) => Ok(one(event_type)?.unsigned()),
            How::Stale(event_type) => stand_in.stale(&one(event_type)?),
            How::Misshapen(types) => stand_in.misshapen(&batch(stand_in, types)?),
            How::Cut(event_type) => stand_in.cut(&one(event_type)?),
            How::Without(event_type, header) => {
                let mut request = stand_in.sign(&one(event_type)?)?;
                request.head.headers.remove(header);
                Ok(request)
            }
            How::Amended(event_type, from, to) => {
                let body = one(event_type)?.unsigned().body;
                let text = std::str::from_utf8(&body).map_err(|error| error.to_string())?;
                stand_in.sign(&stand_in.bytes(text.replacen(from, to, 1)))
            }
            How::Guess(event_type) => {
                let mut request = stand_in.forge(&one(event_type)?)?;
                request.head.headers.insert("x-forwarded-for", GUESSER);
                Ok(request)
            }
            How::Recorded { is_changed } => {
                let body =
                    if is_changed { RECORDED_BODY.replacen("Grant", "Revoke", 1) } else { RECORDED_BODY.to_owned() };
                let mut request = stand_in.bytes(body).unsigned();
                let signature = HeaderValue::from_static(RECORDED_SIGNATURE.trim_ascii_end());
                request.head.headers.insert(HeaderName::from_static("x-signature"), signature);
                Ok(request)
            }
        }
    }

    /// Serves until somebody has seen enough.
    async fn keep(&self) -> Result<(), String> {
        let stand_in =
            StandIn::of(self.compiled, "elan", &SystemClock).ok_or("config.example.toml has no source elan")?;
        let request = stand_in.sign(&stand_in.sample(None)?)?;
        let Door::Url(url) = &self.life()?.door else { return Err("the show runs on TCP".to_owned()) };
        let paths: Vec<_> = self.compiled.senders.values().map(|sender| sender.path.as_str()).collect();
        println!("\nStill serving; Ctrl-C ends it.");
        println!("  webhooks     {} at {}", url.to_string().trim_end_matches('/'), paths.join(" "));
        println!("  metrics      http://{}/metrics", self.life()?.running.admin);
        println!("  deliveries   http://{}/deliveries", self.life()?.running.admin);
        println!("  application  http://{}/", self.application.address);
        println!(
            "\nThis is an event of ELAN; sent twice, it is a duplicate:\n\n{}\n",
            self.life()?.door.curl(&request)?
        );
        let _ = io::stdout().flush();
        self.log.show();
        let mut terminate =
            signal::unix::signal(signal::unix::SignalKind::terminate()).map_err(|error| error.to_string())?;
        tokio::select! {
            _ = signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    }
}

/// One event, or an array of several.
fn batch(stand_in: &StandIn<'_>, types: &[&str]) -> Result<Draft, String> {
    let drafts = types.iter().map(|event_type| stand_in.sample(Some(event_type))).collect::<Result<Vec<_>, _>>()?;
    let [_, _, ..] = drafts.as_slice() else {
        return drafts.into_iter().next().ok_or_else(|| "there is nothing to send".to_owned());
    };
    let bodies: Vec<_> = drafts.into_iter().map(|draft| draft.unsigned().body).collect();
    let inside = bodies.iter().map(|body| {
        let body = body.trim_ascii();
        body.strip_prefix(b"[").and_then(|body| body.strip_suffix(b"]")).unwrap_or(body)
    });
    Ok(stand_in.bytes([b"[".as_slice(), &inside.collect::<Vec<_>>().join(&b','), b"]"].concat()))
}

impl How {
    /// Whether it goes on until it is enough.
    fn is_flood(self) -> bool {
        matches!(self, Self::Flood(_) | Self::Guess(_))
    }
}

impl Ending {
    /// One line of at most 100 columns.
    fn line(&self, act: &Act, is_right: bool, is_pretty: bool) -> String {
        let mark = match (is_right, is_pretty) {
            (true, true) => "✓",
            (false, true) => "✗",
            (true, false) => "ok",
            (false, false) => "WRONG",
        };
        let sent = if act.how.is_flood() { format!("{} ({})", act.sent, self.requests) } else { act.sent.to_owned() };
        let body: String = String::from_utf8_lossy(&self.reply.body).replace(['{', '}', '"'], "").replace("error:", "");
        let answered = format!("{} {}", self.reply.status.as_u16(), body.replace(',', " "));
        let got = match self.arrived.as_slice() {
            [] => "-".to_owned(),
            [Arrived { status, .. }] if !status.is_success() => format!("1, says {}", status.as_u16()),
            [Arrived { attempt: 2.., .. }] => "1, 2nd try".to_owned(),
            [Arrived { status, .. }, .., Arrived { attempt: 2.., .. }] if !status.is_success() => {
                format!("{}, then 1", status.as_u16())
            }
            arrived => arrived.len().to_string(),
        };
        format!("{mark:6}{sent:37}{answered:26}{got:12}{}", self.why)
    }
}

impl Tally {
    fn add(&mut self, ending: &Ending, is_right: bool) {
        self.requests += ending.requests;
        *(if is_right { &mut self.right } else { &mut self.wrong }) += 1;
        self.arrived += ending.arrived.len();
        self.signed += ending.arrived.iter().filter(|arrived| arrived.is_signed).count();
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { requests, right, wrong, arrived, signed } = self;
        writeln!(
            f,
            "{requests} requests were sent; {arrived} reached the application, {signed} of them rightly signed."
        )?;
        write!(f, "{right} lines are as they should be, {wrong} are not.")
    }
}
