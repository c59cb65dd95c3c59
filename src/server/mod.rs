//! The way in: sockets, connections and HTTP/1 framing, down to a whole [`Received`] and back from an [`Answer`].
//!
//! Nothing here knows what a source or a signature is. The gateway is met at one seam, [`Handler`], and it is asked
//! before a byte of body is read. HTTP/1 only: hyper's builder that sniffs for HTTP/2 lets a silent connection live
//! for ever.

mod budget;
mod client;
mod connections;
mod head;
mod listen;
mod receive;
mod respond;
mod shutdown;
mod timed;

use std::{future::Future, sync::Arc, time::Duration};

use ipnet::IpNet;
use prometheus_client::metrics::gauge::Gauge;

use crate::{
    clock::Clock,
    stages::{
        answer::Answer,
        receive::{Client, Head, Received},
        words::Refusal,
    },
};

pub(crate) use client::client;
pub use head::is_plain;
pub use listen::{ListenOn, Listener};
pub use shutdown::Shutdown;

pub(crate) use connections::Connection;
pub(crate) use listen::{Doorway, Service, serve};
pub(crate) use respond::respond;

/// What stands behind the door: the gateway, or a fake of it in tests.
pub trait Handler: Send + Sync + 'static {
    /// What [`open`](Self::open) found out and [`handle`](Self::handle) needs again, so that both see one
    /// configuration. Usually an `Arc`.
    type Route: Clone + Send + Sync + 'static;

    /// Judges the head alone: what may the body weigh and how long may all of it take; or the answer at once
    /// (unknown path, wrong method, over the limit), before a byte of body is read.
    ///
    /// The gateway records the answers it gives here itself.
    fn open(&self, head: &Head) -> Result<Allowance<Self::Route>, Answer>;

    /// The whole journey. Runs in a task of its own: a sender that hangs up changes nothing.
    fn handle(self: Arc<Self>, route: Self::Route, received: Box<Received>) -> impl Future<Output = Answer> + Send;

    /// The request cannot be read (framing, size, time, a header that HTTP forbids): what is the sender told?
    /// Without a route when that was found before [`open`](Self::open) was asked.
    fn unreadable(&self, head: &Head, route: Option<&Self::Route>, refusal: Refusal) -> Answer;

    /// The journey has no answer: it panicked ([`Refusal::Internal`]), or it was still under way when the drain ended
    /// ([`Refusal::Draining`]); then it may yet end, and leave a record of its own. What is the sender told?
    fn abandoned(&self, route: &Self::Route, refusal: Refusal) -> Answer;

    /// Not even a head could be read. The sender has had a bare 400 or 431, or, when it was too slow, nothing; this
    /// only counts it.
    fn unparsed(&self, client: Client, refusal: Refusal);
}

/// What a request may cost.
#[derive(Clone, Debug)]
pub struct Allowance<R> {
    /// Where the request goes, for [`Handler::handle`].
    pub route: R,
    /// The largest body, in bytes.
    pub body_max: usize,
    /// The time for the whole answer; reading the body may use it up, but never more than [`Limits::body`].
    pub deadline: Duration,
}

/// The way in, as configured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Connections open at the same time, over all listeners. More wait in the kernel's queue.
    pub max_connections: usize,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Time and size limits that have no key in the file.
    pub limits: Limits,
}

/// Limits of a connection and of the bodies on it.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From accepting a connection to its first byte.
    pub first_byte: Duration,
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// Between two requests of one connection.
    pub idle: Duration,
    /// From an answer that the peer does not read to the end of the connection.
    pub write: Duration,
    /// For a whole body, whatever the source allows.
    pub body: Duration,
    /// Time a body has before its rate counts.
    pub body_grace: Duration,
    /// Bytes per second a body must have made on average after its grace.
    pub body_rate: u32,
    /// Body bytes in memory at the same time, over all connections.
    pub bodies: usize,
    /// The bytes of request line and headers together.
    pub head_bytes: usize,
    /// The bytes of the request target.
    pub target_bytes: usize,
    /// Requests on one connection.
    pub requests: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(5),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            write: Duration::from_secs(10),
            body: Duration::from_secs(15),
            body_grace: Duration::from_secs(5),
            body_rate: 500,
            bodies: 256 << 20,
            head_bytes: 32 << 10,
            target_bytes: 8 << 10,
            requests: 1_000,
        }
    }
}

/// The public door, ready to serve any number of listeners.
#[derive(Debug)]
pub struct Server<H: Handler> {
    doorway: Arc<Doorway<receive::Receiver<H>>>,
}

impl<H: Handler> Server<H> {
    /// Puts the door before `handler`. `connections` shows how many are open.
    pub fn new(
        settings: Settings,
        handler: Arc<H>,
        clock: Arc<dyn Clock>,
        shutdown: Shutdown,
        connections: Gauge,
    ) -> Self {
        let max_connections = settings.max_connections;
        let limits = settings.limits.clone();
        let receiver = receive::Receiver::new(settings, handler, clock, shutdown.clone());
        Self { doorway: Arc::new(Doorway::new(receiver, max_connections, limits, shutdown, connections)) }
    }

    /// Accepts until the shutdown begins. Connections go on in tasks of their own.
    pub async fn serve(&self, listener: Listener) {
        serve(&self.doorway, listener).await;
    }
}
