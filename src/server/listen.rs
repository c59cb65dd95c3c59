//! Listening sockets and the loop that accepts, which survives everything but the shutdown.

use std::{
    convert::Infallible,
    fmt, fs,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    pin::pin,
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    time::{Instant, sleep},
};

use super::{
    Limits, Shutdown,
    connections::{Connection, Connections, Phase, Seat},
    timed::Timed,
};
use crate::stages::words::Refusal;

/// Where to listen: `127.0.0.1:8080`, `[::]:8080` or `unix:/run/hooksieve.sock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenOn {
    /// An address and a port; port 0 takes a free one.
    Tcp(SocketAddr),
    /// A socket file.
    Unix(PathBuf),
}

impl FromStr for ListenOn {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("unix:") {
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Tcp),
        }
    }
}

impl fmt::Display for ListenOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A bound socket. Connections queue up in the kernel until it is served.
#[derive(Debug)]
pub struct Listener(Bound);

#[derive(Debug)]
enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

impl Listener {
    /// Binds. A socket file that nobody answers on is left over from a crash and is replaced.
    pub async fn bind(on: &ListenOn) -> io::Result<Self> {
        match on {
            ListenOn::Tcp(address) => TcpListener::bind(address).await.map(Bound::Tcp).map(Self),
            ListenOn::Unix(path) => {
                remove_stale(path).await?;
                let listener = UnixListener::bind(path)?;
                Ok(Self(Bound::Unix(listener, SocketFile(path.clone()))))
            }
        }
    }

    /// Where it listens, with the port that was found for port 0.
    pub fn local(&self) -> io::Result<ListenOn> {
        match &self.0 {
            Bound::Tcp(listener) => listener.local_addr().map(ListenOn::Tcp),
            Bound::Unix(_, file) => Ok(ListenOn::Unix(file.0.clone())),
        }
    }
}

async fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the path exists and is not a socket"));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens on this socket")),
        Err(error) => Err(error),
    }
}

/// A socket file, removed with its listener.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What answers the requests of a door: the receiver of webhooks, or the admin pages.
pub(crate) trait Service: Send + Sync + 'static {
    /// Answers one request; the flag says that the connection must end because the request was not read whole.
    fn call(
        &self,
        request: Request<Incoming>,
        connection: &Connection,
    ) -> impl Future<Output = (Response<Full<Bytes>>, bool)> + Send;

    /// A connection ended before a head could be read.
    fn unparsed(&self, connection: &Connection, refusal: Refusal);
}

/// Everything the listeners of one door share.
#[derive(Debug)]
pub(crate) struct Doorway<S> {
    service: S,
    connections: Arc<Connections>,
    limits: Limits,
    http: http1::Builder,
    shutdown: Shutdown,
}

impl<S: Service> Doorway<S> {
    pub(crate) fn new(service: S, max_connections: usize, limits: Limits, shutdown: Shutdown, gauge: Gauge) -> Self {
        let mut http = http1::Builder::new();
        // A sender that half-closes after its request still gets its answer. `Timed` keeps all times.
        http.timer(TokioTimer::new()).header_read_timeout(None).half_close(true);
        // The buffer holds a whole head and, beyond that, sets how much of a body is read at once.
        http.max_header_size(limits.head_bytes).max_buf_size(2 * limits.head_bytes.max(32 << 10));
        let connections = Arc::new(Connections::new(max_connections, gauge));
        Self { service, connections, limits, http, shutdown }
    }
}

/// Accepts until the shutdown begins.
pub(crate) async fn serve<S: Service>(doorway: &Arc<Doorway<S>>, listener: Listener) {
    match listener.0 {
        Bound::Tcp(listener) => accept_all(doorway, listener).await,
        Bound::Unix(listener, _file) => accept_all(doorway, listener).await,
    }
}

trait Accept {
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    async fn accept(&self) -> io::Result<(Self::Stream, Option<IpAddr>)>;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Option<IpAddr>)> {
        let (stream, peer) = self.accept().await?;
        // Answers are written in one piece; waiting for more of them only costs time.
        stream.set_nodelay(true)?;
        Ok((stream, Some(peer.ip())))
    }
}

impl Accept for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Option<IpAddr>)> {
        self.accept().await.map(|(stream, _)| (stream, None))
    }
}

async fn accept_all<S: Service>(doorway: &Arc<Doorway<S>>, listener: impl Accept) {
    let stop = &doorway.shutdown.stop;
    let mut trouble = Trouble::default();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                trouble.pause = Duration::ZERO;
                let Some(seat) = stop.run_until_cancelled(doorway.connections.seat(peer, stop)).await else { return };
                doorway.shutdown.tasks.spawn(drive(doorway.clone(), stream, seat));
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                let pause = trouble.next(&error);
                if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                    return;
                }
            }
        }
    }
}

/// The peer gave up between connecting and being accepted; the listener itself is well (`accept(2)`).
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, InvalidInput};
    // `InvalidInput` is what setting an option on a socket that was reset already says on some systems.
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | InvalidInput)
}

/// Accepting fails as a whole (no file descriptors, no memory): wait longer each time, and say so once per second.
#[derive(Debug, Default)]
struct Trouble {
    pause: Duration,
    told: Option<Instant>,
}

impl Trouble {
    const FIRST: Duration = Duration::from_millis(10);
    const MAX: Duration = Duration::from_secs(1);

    fn next(&mut self, error: &io::Error) -> Duration {
        self.pause = (self.pause * 2).clamp(Self::FIRST, Self::MAX);
        if self.told.is_none_or(|told| told.elapsed() >= Duration::from_secs(1)) {
            self.told = Some(Instant::now());
            tracing::error!(%error, pause_ms = self.pause.as_millis(), "cannot accept connections");
        }
        self.pause
    }
}

/// One connection, from its first byte to its last.
async fn drive<S: Service>(doorway: Arc<Doorway<S>>, stream: impl AsyncRead + AsyncWrite + Unpin, seat: Seat) {
    let connection = &seat.connection;
    let doorway = &*doorway;
    let service = service_fn(|request| async move {
        connection.enter(Phase::Busy);
        let last = connection.count_request() >= doorway.limits.requests;
        let (mut response, unread) = doorway.service.call(request, connection).await;
        if last {
            response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
        }
        connection.enter(if unread { Phase::Leaving } else { Phase::Answering });
        Ok::<_, Infallible>(response)
    });
    let io = TokioIo::new(Timed::new(stream, connection.clone(), &doorway.limits));
    let mut serving = pin!(doorway.http.serve_connection(io, service));
    let ended = tokio::select! {
        biased;
        ended = serving.as_mut() => ended,
        () = connection.close.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended
        && let Some(refusal) = unparsed(&error, connection.phase())
    {
        doorway.service.unparsed(connection, refusal);
    }
}

/// Why no head could be read, where the peer had begun one.
fn unparsed(error: &hyper::Error, phase: Phase) -> Option<Refusal> {
    if error.is_parse_too_large() {
        return Some(Refusal::Headers);
    }
    if error.is_parse() {
        return Some(Refusal::Framing);
    }
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    let late = source.is_some_and(|source| source.kind() == io::ErrorKind::TimedOut);
    (late && phase == Phase::Head).then_some(Refusal::Slow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_on_reads_what_it_prints() {
        for text in ["127.0.0.1:8080", "[::1]:80", "unix:/run/hooksieve.sock"] {
            assert_eq!(text.parse::<ListenOn>().unwrap().to_string(), text);
        }
        assert!("localhost:80".parse::<ListenOn>().is_err());
    }

    #[test]
    fn l_09_the_pause_doubles_up_to_a_second() {
        let mut trouble = Trouble::default();
        let error = io::Error::other("no file descriptors");
        let pauses: Vec<_> = (0..9).map(|_| trouble.next(&error).as_millis()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    }

    #[test]
    fn l_10_errors_of_one_connection_do_not_stop_the_others() {
        for (code, one) in [(103, true), (104, true), (24, false), (23, false), (105, false), (12, false)] {
            assert_eq!(is_of_one_connection(&io::Error::from_raw_os_error(code)), one, "errno {code}");
        }
    }

    #[tokio::test]
    async fn a_left_over_socket_file_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gw.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let on = ListenOn::Unix(path.clone());
        let live = Listener::bind(&on).await.unwrap();
        assert_eq!(Listener::bind(&on).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(live);
        assert!(!path.exists());
        fs::write(&path, "a file of somebody").unwrap();
        assert_eq!(Listener::bind(&on).await.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
}
