//! A public door with a fake gateway behind it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use hooksieve::{
    clock::SystemClock,
    server::{Allowance, Handler, Limits, ListenOn, Listener, Server, Settings, Shutdown},
    stages::{
        answer::Answer,
        receive::{Client, Head, Received},
        words::Refusal,
    },
};
use http::StatusCode;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{Semaphore, mpsc};

use super::{soon, wire::Wire};

/// Takes `POST /in/acme` and answers with the body it got; keeps a list of everything it was told.
pub(crate) struct Fake {
    body_max: usize,
    events: mpsc::UnboundedSender<Event>,
    /// Every journey takes one permit before it answers.
    gate: Arc<Semaphore>,
}

/// What the server told the handler.
#[derive(Debug)]
pub(crate) enum Event {
    Begun(Box<Received>),
    Ended,
    Unreadable(Refusal),
    Abandoned(Refusal),
    Unparsed(Refusal),
}

impl Handler for Fake {
    type Route = &'static str;

    fn open(&self, head: &Head) -> Result<Allowance<&'static str>, Answer> {
        match (head.path.as_str(), head.method.as_str()) {
            ("/in/acme", "POST") => {
                Ok(Allowance { route: "acme", body_max: self.body_max, deadline: Duration::from_secs(9) })
            }
            ("/in/acme", _) => Err(Answer::method_not_allowed("POST")),
            _ => Err(Answer::refused(Refusal::NoRoute, None)),
        }
    }

    async fn handle(self: Arc<Self>, route: &'static str, received: Box<Received>) -> Answer {
        assert_eq!(route, "acme");
        assert_ne!(received.body, "panic", "panics when it is told to");
        let body = if received.body == "flood" { Bytes::from(vec![b'x'; 64 << 20]) } else { received.body.clone() };
        self.tell(Event::Begun(Box::new(*received)));
        self.gate.acquire().await.unwrap().forget();
        self.tell(Event::Ended);
        Answer::new(StatusCode::OK, body)
    }

    fn unreadable(&self, _: &Head, _: Option<&&'static str>, refusal: Refusal) -> Answer {
        self.tell(Event::Unreadable(refusal));
        Answer::refused(refusal, None)
    }

    fn abandoned(&self, _: &&'static str, refusal: Refusal) -> Answer {
        self.tell(Event::Abandoned(refusal));
        Answer::refused(refusal, None)
    }

    fn unparsed(&self, _: Client, refusal: Refusal) {
        self.tell(Event::Unparsed(refusal));
    }
}

impl Fake {
    fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

/// A door on loopback.
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) gate: Arc<Semaphore>,
    pub(crate) shutdown: Shutdown,
    events: Mutex<mpsc::UnboundedReceiver<Event>>,
}

impl Door {
    /// One that answers at once.
    pub(crate) async fn open() -> Self {
        Self::with(|_| {}).await
    }

    /// One that answers at once, with other settings.
    pub(crate) async fn with(amend: impl FnOnce(&mut Settings)) -> Self {
        Self::on(&"127.0.0.1:0".parse().unwrap(), Semaphore::MAX_PERMITS, amend).await
    }

    /// One whose journeys wait until permits are added to `gate`.
    pub(crate) async fn holding() -> Self {
        Self::on(&"127.0.0.1:0".parse().unwrap(), 0, |_| {}).await
    }

    pub(crate) async fn on(on: &ListenOn, permits: usize, amend: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings { max_connections: 100, trusted_proxies: Vec::new(), limits: Limits::default() };
        amend(&mut settings);
        let (sender, events) = mpsc::unbounded_channel();
        let gate = Arc::new(Semaphore::new(permits));
        let handler = Arc::new(Fake { body_max: 1_000, events: sender, gate: gate.clone() });
        let shutdown = Shutdown::new();
        let listener = Listener::bind(on).await.unwrap();
        let address = match listener.local().unwrap() {
            ListenOn::Tcp(address) => address,
            ListenOn::Unix(_) => "127.0.0.1:0".parse().unwrap(),
        };
        let server = Server::new(settings, handler, Arc::new(SystemClock), shutdown.clone(), Gauge::default());
        tokio::spawn(async move { server.serve(listener).await });
        Self { address, gate, shutdown, events: Mutex::new(events) }
    }

    pub(crate) async fn connect(&self) -> Wire {
        Wire::connect(self.address).await
    }

    /// The next thing the handler was told.
    #[expect(clippy::await_holding_lock, reason = "one test, one reader")]
    pub(crate) async fn event(&self) -> Event {
        soon(self.events.lock().unwrap().recv()).await.unwrap()
    }

    /// The next request the handler got.
    pub(crate) async fn begun(&self) -> Box<Received> {
        match self.event().await {
            Event::Begun(received) => received,
            other => panic!("{other:?}"),
        }
    }

    /// Whether the handler was told nothing that has not been asked for yet.
    pub(crate) fn is_quiet(&self) -> bool {
        self.events.lock().unwrap().is_empty()
    }
}

/// A right request with this body.
pub(crate) fn post(body: &str) -> String {
    post_with("", body)
}

/// A right request with these header lines (each with its line end) and this body.
pub(crate) fn post_with(lines: &str, body: &str) -> String {
    format!("POST /in/acme HTTP/1.1\r\nHost: gw.test\r\n{lines}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// A head with these lines instead of `Content-Length`, and what follows it.
pub(crate) fn head(lines: &str, rest: &str) -> String {
    format!("POST /in/acme HTTP/1.1\r\nHost: gw.test\r\n{lines}\r\n{rest}")
}

/// A right head that announces chunks, and what follows it.
pub(crate) fn chunked(rest: &str) -> String {
    head("Transfer-Encoding: chunked\r\n", rest)
}
