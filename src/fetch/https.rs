//! One request over HTTPS, on a connection of its own: errands are rare, so nothing is pooled.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{BoxFuture, Failure, Fetch, public::may_reach};
use crate::{
    stages::schemes::published::Errand,
    upstream::{Tls, chain},
};

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;

/// The most that is read of an answer's head, in bytes.
const HEAD_MAX: usize = 16 << 10;

/// How the gateway introduces itself.
const USER_AGENT: &str = concat!("hooksieve/", env!("CARGO_PKG_VERSION"));

/// What an errand may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the name to the last byte of the answer: shorter than any sender waits.
    pub time: Duration,
    /// The longest body that is read, in bytes.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(3), bytes: 128 << 10 }
    }
}

/// Names and connections. What lies between the two, whether an address may be connected to, is not its business.
pub trait Network: Send + Sync {
    /// The addresses of a name, in the order in which they should be tried.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;

    /// A connection to exactly this address.
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>>;
}

/// The network of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemNetwork;

impl Network for SystemNetwork {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        Box::pin(TcpStream::connect(address))
    }
}

/// Goes by HTTPS. Follows no redirect, obeys no proxy variable, sends no credential but what an errand posts.
pub struct Https {
    tls: Tls,
    network: Arc<dyn Network>,
    limits: Limits,
}

impl fmt::Debug for Https {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Https").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Fetch for Https {
    fn fetch<'a>(&'a self, errand: &'a Errand) -> BoxFuture<'a, Result<Bytes, Failure>> {
        Box::pin(async move {
            let late = || Failure::Unavailable("no answer in time".to_owned());
            timeout(self.limits.time, self.go(errand)).await.unwrap_or_else(|_| Err(late()))
        })
    }
}

impl Https {
    /// Trusts what `tls` trusts, and goes by way of `network`.
    pub fn new(tls: Tls, network: Arc<dyn Network>, limits: Limits) -> Self {
        Self { tls, network, limits }
    }

    /// Trusts the certificates of the operating system, and goes by way of its network.
    #[must_use]
    pub fn of_system() -> Self {
        Self::new(Tls::native(), Arc::new(SystemNetwork), Limits::default())
    }

    async fn go(&self, errand: &Errand) -> Result<Bytes, Failure> {
        let stream = self.connect(errand).await?;
        let handshake = http1::Builder::new().max_buf_size(HEAD_MAX).handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| unavailable(&error))?;
        let request = request(errand)?;
        let exchange = async move {
            let answer = sender.send_request(request).await.map_err(|error| unavailable(&error))?;
            self.body(answer).await
        };
        tokio::pin!(exchange);
        tokio::select! {
            biased;
            body = &mut exchange => body,
            // The connection may end when all of the answer has come, but not all of it was looked at.
            _ = connection => exchange.await,
        }
    }

    /// Connects to the first address that can be reached, of those that may be.
    async fn connect(&self, errand: &Errand) -> Result<TlsStream<TcpStream>, Failure> {
        let (host, port) = (errand.address.host(), errand.address.port());
        let addresses = self.network.resolve(host, port).await.map_err(|error| unavailable(&error))?;
        let may = |address: &SocketAddr| may_reach(address.ip(), &errand.networks);
        let Some(stream) = self.connect_first(addresses.iter().filter(|address| may(address))).await else {
            let problem = match addresses.iter().find(|address| !may(address)) {
                Some(address) => format!("{host} is at {}, which is not public", address.ip()),
                None => format!("{host} cannot be connected to"),
            };
            return Err(Failure::Unavailable(problem));
        };
        let mut config = self.tls.config().map_err(|error| unavailable(&error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::try_from(host.to_owned()).map_err(|error| unavailable(&error))?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| unavailable(&error))
    }

    async fn connect_first(&self, addresses: impl Iterator<Item = &SocketAddr>) -> Option<TcpStream> {
        for address in addresses.take(ADDRESSES_MAX) {
            if let Ok(stream) = self.network.connect(*address).await {
                return Some(stream);
            }
        }
        None
    }

    /// The whole body of a 2xx. A redirect is no answer.
    async fn body(&self, answer: Response<Incoming>) -> Result<Bytes, Failure> {
        let status = answer.status();
        match status.as_u16() {
            200..=299 => {}
            absent @ (400 | 403 | 404 | 410) => return Err(Failure::Absent(absent)),
            other => return Err(Failure::Unavailable(format!("answered with {other}"))),
        }
        let mut body = answer.into_body();
        let mut gathered = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let data = frame.map_err(|error| unavailable(&error))?.into_data().unwrap_or_default();
            if data.len() > self.limits.bytes - gathered.len() {
                return Err(Failure::Unavailable(format!("the answer has more than {} bytes", self.limits.bytes)));
            }
            gathered.extend_from_slice(&data);
        }
        Ok(gathered.freeze())
    }
}

fn request(errand: &Errand) -> Result<Request<Full<Bytes>>, Failure> {
    let body = errand.post.as_ref().map(|post| Bytes::copy_from_slice(post.expose()));
    let method = if body.is_some() { Method::POST } else { Method::GET };
    let mut request = Request::builder()
        .method(method)
        .uri(errand.address.target())
        .header(header::HOST, errand.address.authority())
        .header(header::ACCEPT, "*/*")
        .header(header::USER_AGENT, USER_AGENT);
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    request.body(Full::new(body.unwrap_or_default())).map_err(|error| unavailable(&error))
}

fn unavailable(error: &dyn std::error::Error) -> Failure {
    Failure::Unavailable(chain(error))
}
