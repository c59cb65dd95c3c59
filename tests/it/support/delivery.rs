//! The whole gateway on loopback, between a sender and an application that does what a rule says.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};

use hooksieve::{
    app::{Ground, Running, load},
    clock::SystemClock,
    config::Environment,
    server::ListenOn,
    state::claims::Claims,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};

use super::{
    soon,
    wire::{Answer, Wire, find},
};

/// What the application does with a request after reading all of it.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Answers with this status and an empty body.
    Status(u16),
    /// Writes these bytes and closes; with none it just hangs up.
    Cut(&'static str),
    /// Waits for [`App::release`], then answers 200.
    Hold,
    /// Waits for [`App::release`], then answers 500.
    HoldAndFail,
}

/// A request as the application saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    /// The value of a header, which must be there.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| *key == name).unwrap_or_else(|| panic!("no {name} in {}", self.head)).1
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// The application: a rule says what it does with its n-th request (from 0), and it keeps all of them.
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    seen: Arc<watch::Sender<Vec<Seen>>>,
    gate: Arc<Semaphore>,
}

impl App {
    pub(crate) async fn start(rule: impl Fn(usize, &Seen) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, gate, rule) =
            (Arc::new(watch::Sender::new(Vec::new())), Arc::new(Semaphore::new(0)), Arc::new(rule));
        let app = Self { address, seen: seen.clone(), gate: gate.clone() };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, gate, rule) = (seen.clone(), gate.clone(), rule.clone());
                tokio::spawn(async move { play(stream, &seen, &gate, &*rule).await });
            }
        });
        app
    }

    /// One that does these things, in this order, and answers 200 to everything after.
    pub(crate) async fn that(acts: impl IntoIterator<Item = Act>) -> Self {
        let acts: Vec<_> = acts.into_iter().collect();
        Self::start(move |nth, _| acts.get(nth).cloned().unwrap_or(Act::Status(200))).await
    }

    /// Waits until this many requests have come; all of them.
    #[track_caller]
    pub(crate) fn seen(&self, count: usize) -> impl Future<Output = Vec<Seen>> {
        let mut seen = self.seen.subscribe();
        let waiting = soon(async move { seen.wait_for(|seen| seen.len() >= count).await.unwrap().clone() });
        async move {
            let seen = waiting.await;
            assert_eq!(seen.len(), count, "more came than were expected: {seen:?}");
            seen
        }
    }

    /// How many requests have come.
    pub(crate) fn count(&self) -> usize {
        self.seen.borrow().len()
    }

    /// How often an event with these bytes came.
    pub(crate) fn count_of(&self, body: &str) -> usize {
        self.seen.borrow().iter().filter(|seen| seen.body == body.as_bytes()).count()
    }

    /// Lets this many held requests go on.
    pub(crate) fn release(&self, count: usize) {
        self.gate.add_permits(count);
    }
}

async fn play(
    mut stream: TcpStream,
    all: &watch::Sender<Vec<Seen>>,
    gate: &Semaphore,
    rule: &(dyn Fn(usize, &Seen) -> Act + Send + Sync),
) {
    let mut read = Vec::new();
    while let Some(seen) = request(&mut stream, &mut read).await {
        let mut nth = 0;
        all.send_modify(|all| {
            nth = all.len();
            all.push(seen.clone());
        });
        let status = match rule(nth, &seen) {
            Act::Status(status) => status,
            Act::Cut(bytes) => {
                let _ = stream.write_all(bytes.as_bytes()).await;
                return;
            }
            act @ (Act::Hold | Act::HoldAndFail) => {
                gate.acquire().await.unwrap().forget();
                if matches!(act, Act::Hold) { 200 } else { 500 }
            }
        };
        let length = if status == 204 || status < 200 { "" } else { "Content-Length: 0\r\n" };
        if stream.write_all(format!("HTTP/1.1 {status} Word\r\n{length}\r\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn request(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<Seen> {
    let end = loop {
        if let Some(end) = find(read, b"\r\n\r\n") {
            break end + 4;
        }
        stream.read_buf(read).await.ok().filter(|count| *count > 0)?;
    };
    let head = String::from_utf8(read.drain(..end).collect()).unwrap();
    let mut seen = Seen { head, body: Vec::new() };
    let length: usize = seen.header("content-length").parse().unwrap();
    while read.len() < length {
        stream.read_buf(read).await.ok().filter(|count| *count > 0)?;
    }
    seen.body = read.drain(..length).collect();
    Some(seen)
}

/// The token that the source `acme` demands.
pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A configuration with one source, `acme`, which posts to `/in/acme`, and one upstream, `app`. Every line is a key
/// with all its parents; a line of `amend` replaces the one with its key, or removes it if its value is `-`.
pub(crate) fn configuration(app: SocketAddr, amend: &[&str]) -> String {
    let url = format!("upstreams.app.url = \"http://{app}/hook\"");
    let secret = format!("sources.acme.secrets = [{{ name = \"main\", value = \"{TOKEN}\" }}]");
    let defaults = [
        "server.listen = \"127.0.0.1:0\"",
        "admin.listen = \"127.0.0.1:0\"",
        &url,
        "sources.acme.path = \"/in/acme\"",
        "sources.acme.upstream = \"app\"",
        &secret,
        "sources.acme.auth = [{ kind = \"token\", signature = { from = \"header:x-token\" } }]",
        "sources.acme.events.split = \"\"",
        "sources.acme.events.id = \"json:/id\"",
        "sources.acme.events.type = \"json:/type\"",
    ];
    let mut lines: Vec<(&str, &str)> = Vec::new();
    for line in defaults.iter().chain(amend) {
        let (key, value) = line.split_once(" = ").unwrap();
        match lines.iter_mut().find(|(known, _)| *known == key) {
            Some(known) => known.1 = value,
            None => lines.push((key, value)),
        }
    }
    lines.retain(|(_, value)| *value != "-");
    lines.iter().flat_map(|(key, value)| [*key, " = ", *value, "\n"]).collect()
}

/// A gateway that runs in this process.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) ground: Ground,
    running: Mutex<Option<Running>>,
}

impl Gateway {
    pub(crate) async fn start(app: &App, amend: &[&str]) -> Self {
        Self::on(Ground::new(Arc::new(SystemClock)), app, amend).await
    }

    /// One that keeps its claims in this store.
    pub(crate) async fn with_claims(claims: Claims, app: &App, amend: &[&str]) -> Self {
        let mut ground = Ground::new(Arc::new(SystemClock));
        ground.claims = claims;
        Self::on(ground, app, amend).await
    }

    async fn on(mut ground: Ground, app: &App, amend: &[&str]) -> Self {
        let text = configuration(app.address, amend);
        let connect = &mut |name: &str, settings| ground.connect(name, settings);
        let (compiled, found) = load(Path::new("hooksieve.toml"), &text, &Environment::default(), false, connect);
        let compiled = compiled.unwrap_or_else(|| panic!("{found:?}\n{text}"));
        ground.open(&compiled).await.unwrap();
        let running = Running::start(compiled, &ground).await.unwrap();
        let [ListenOn::Tcp(address)] = running.listen[..] else { panic!("one listener") };
        Self { address, ground, running: Mutex::new(Some(running)) }
    }

    /// Sends an authentic request and waits for its answer.
    pub(crate) async fn post(&self, body: &str) -> Answer {
        let mut wire = self.send(body).await;
        wire.answer().await
    }

    /// Sends an authentic request.
    pub(crate) async fn send(&self, body: &str) -> Wire {
        let mut wire = Wire::connect(self.address).await;
        wire.send(request_with(TOKEN, body)).await;
        wire
    }

    /// The value of a counter, by the start of its line.
    #[track_caller]
    pub(crate) fn metric(&self, line: &str) -> u64 {
        let page = self.ground.telemetry.metrics.render();
        let found = page.lines().find_map(|known| known.strip_prefix(line));
        found.unwrap_or_else(|| panic!("no {line} in {page}")).trim().parse().unwrap()
    }

    /// Drains it; whether everything ended in time.
    pub(crate) async fn drain(&self) -> bool {
        let running = self.running.lock().unwrap().take().unwrap();
        running.drain().await
    }
}

/// A request with this token.
pub(crate) fn request_with(token: &str, body: &str) -> String {
    format!(
        "POST /in/acme HTTP/1.1\r\nHost: gw.test\r\nX-Token: {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
