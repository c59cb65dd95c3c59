//! The application of the show: notes what it gets, verifies the gateway's signature, and fails when it is told to.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use data_encoding::BASE64;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::stages::schemes::hmac::Key;

/// The largest body it reads, in bytes: more than the gateway lets through.
const BODY_MAX: usize = 4 << 20;

/// An application on loopback.
pub(super) struct Application {
    pub(super) address: SocketAddr,
    desk: Arc<Desk>,
}

/// One request that arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    /// Whether it carries the gateway's signature, and the signature is right.
    pub(super) is_signed: bool,
    /// Which attempt it is, as the gateway says.
    pub(super) attempt: u32,
    pub(super) status: StatusCode,
}

struct Desk {
    key: Key,
    arrived: Mutex<Vec<Arrived>>,
    fails_next: AtomicBool,
    fails: AtomicBool,
}

impl Application {
    /// Listens on a free port.
    pub(super) async fn start(key: Key) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let desk = Arc::new(Desk {
            key,
            arrived: Mutex::default(),
            fails_next: AtomicBool::new(false),
            fails: AtomicBool::new(false),
        });
        let (tasks, taken) = (TaskTracker::new(), desk.clone());
        let connections = tasks.clone();
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let desk = taken.clone();
                let service = service_fn(move |request| {
                    let desk = desk.clone();
                    async move { Ok::<_, Infallible>(desk.take(request).await) }
                });
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(Self { address, desk })
    }

    /// Answers the next request with 500.
    pub(super) fn fails_once(&self) {
        self.desk.fails_next.store(true, Ordering::Relaxed);
    }

    /// Answers all requests with 500, or no longer.
    pub(super) fn fails(&self, fails: bool) {
        self.desk.fails.store(fails, Ordering::Relaxed);
    }

    /// Whether something arrived since it was asked for.
    pub(super) fn has_more(&self) -> bool {
        !self.desk.arrived.lock().expect("no panic while held").is_empty()
    }

    /// What arrived since this was asked last.
    pub(super) fn arrived(&self) -> Vec<Arrived> {
        std::mem::take(&mut *self.desk.arrived.lock().expect("no panic while held"))
    }
}

impl Desk {
    #[expect(clippy::disallowed_methods, reason = "the body is read under a cap: `Limited` is around it")]
    async fn take(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, BODY_MAX).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let fails = self.fails_next.swap(false, Ordering::Relaxed) || self.fails.load(Ordering::Relaxed);
        let status = if fails { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
        let attempt = text(&head.headers, "hooksieve-attempt").parse().unwrap_or_default();
        let is_signed = self.is_signed(&head.headers, &body);
        self.arrived.lock().expect("no panic while held").push(Arrived { is_signed, attempt, status });
        let mut response = Response::new(Full::default());
        *response.status_mut() = status;
        response
    }

    /// As Standard Webhooks describes: the id, the time and the body, with full stops between them.
    fn is_signed(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let [id, time] = ["webhook-id", "webhook-timestamp"].map(|name| text(headers, name));
        let tag = self.key.sign(&[id.as_bytes(), b".", time.as_bytes(), b".", body]);
        !id.is_empty() && text(headers, "webhook-signature") == format!("v1,{}", BASE64.encode(&tag))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
