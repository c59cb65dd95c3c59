//! The HTTP client: one pool per upstream, one deadline per attempt, and one class for every way it can end.

use std::{
    error::Error,
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{CaptureConnection, HttpConnector, capture_connection},
    },
    rt::{TokioExecutor, TokioTimer},
};
use jiff::fmt::rfc2822;
use rustls::{ClientConfig, RootCertStore};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tokio_util::task::TaskTracker;

use super::{Attempt, BoxFuture, Delivered, Outbound, RetryAfter, Upstream};

/// How long an attempt waits for one of the others to end before it is [`Attempt::Full`].
const FULL_AFTER: Duration = Duration::from_millis(250);
/// How long an unused connection is kept: shorter than the 5 s after which common servers close it, perhaps just when
/// the next request is on its way.
const IDLE: Duration = Duration::from_secs(4);
/// How long a pool is used before a fresh one follows the name wherever it points by then.
const POOL_AGE: Duration = Duration::from_mins(1);
/// How much of an answer's body is read, and for how long, so that its connection can be used again.
const ANSWER_MAX: usize = 64 << 10;
const ANSWER_TIME: Duration = Duration::from_secs(1);

type Pool = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// One application, as configured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Absolute `http` or `https` URL. Its path and query are sent exactly as they stand.
    pub url: Uri,
    /// The longest time for one attempt, from the first wait to the head of the answer.
    pub timeout: Duration,
    /// The part of it that name, connection and TLS may take.
    pub connect_timeout: Duration,
    /// Attempts under way at the same time.
    pub max_in_flight: usize,
    /// HTTP/2: with prior knowledge over `http`, negotiated over `https`.
    pub http2: bool,
}

/// What `https` upstreams trust, loaded when the first of them asks for it.
#[derive(Debug, Default)]
pub struct Tls(OnceLock<ClientConfig>);

impl Tls {
    /// The certificates of the operating system.
    #[must_use]
    pub const fn native() -> Self {
        Self(OnceLock::new())
    }

    /// These authorities only.
    pub fn trusting(roots: RootCertStore) -> Result<Self, rustls::Error> {
        Ok(Self(OnceLock::from(client_config()?.with_root_certificates(roots).with_no_client_auth())))
    }

    /// A client's settings that trust nobody else.
    pub(crate) fn config(&self) -> io::Result<ClientConfig> {
        if let Some(config) = self.0.get() {
            return Ok(config.clone());
        }
        let config = client_config().map_err(io::Error::other)?.with_native_roots()?.with_no_client_auth();
        Ok(self.0.get_or_init(|| config).clone())
    }
}

fn client_config() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
}

/// An application behind HTTP. Follows no redirect, obeys no proxy variable, repeats nothing that may have been sent.
#[derive(Debug)]
pub struct HttpUpstream {
    settings: Settings,
    connector: HttpsConnector<HttpConnector>,
    pool: ArcSwap<AgingPool>,
    in_flight: Arc<Semaphore>,
    tasks: TaskTracker,
}

#[derive(Debug)]
struct AgingPool {
    pool: Pool,
    born: Instant,
}

impl Upstream for HttpUpstream {
    fn deliver(&self, outbound: Outbound) -> BoxFuture<'_, Attempt> {
        Box::pin(self.attempt(outbound))
    }
}

impl HttpUpstream {
    /// An upstream without connections yet; the rest of an answer's body is read in a task of `tasks`.
    ///
    /// Fails when the URL cannot be posted to, or when it is `https` and no certificate authority can be loaded.
    pub fn new(settings: Settings, tls: &Tls, tasks: TaskTracker) -> io::Result<Self> {
        let connector = connector(&settings, tls)?;
        let pool = ArcSwap::from_pointee(AgingPool::new(&connector, &settings));
        let in_flight = Arc::new(Semaphore::new(settings.max_in_flight.min(Semaphore::MAX_PERMITS)));
        Ok(Self { settings, connector, pool, in_flight, tasks })
    }

    async fn attempt(&self, outbound: Outbound) -> Attempt {
        let Outbound { headers, body, within, relay } = outbound;
        let deadline = Instant::now() + self.settings.timeout.min(within);
        let Some(permit) = self.permit(deadline).await else { return Attempt::Full };
        match self.send(headers, body, deadline).await {
            Ok(answer) => self.judge(answer, relay.then_some(deadline), permit).await,
            Err(attempt) => attempt,
        }
    }

    async fn permit(&self, deadline: Instant) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = self.in_flight.clone().try_acquire_owned() {
            return Some(permit);
        }
        let by = deadline.min(Instant::now() + FULL_AFTER);
        timeout_at(by, self.in_flight.clone().acquire_owned()).await.ok()?.ok()
    }

    /// Sends and waits for the final head. The error says what may have been sent.
    async fn send(&self, headers: HeaderMap, body: Bytes, deadline: Instant) -> Result<Response<Incoming>, Attempt> {
        let length = body.len();
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.settings.url.clone();
        *request.headers_mut() = headers;
        // hyper adds it, but not to an empty body (RFC 9110, section 8.6, asks for it there, too).
        request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        let captured = capture_connection(&mut request);
        let connect_by = deadline.min(Instant::now() + self.settings.connect_timeout);
        let mut sending = self.pool().request(request);
        tokio::select! {
            biased;
            answer = &mut sending => answer.map_err(|error| {
                let error_text = chain(&error);
                // A connection is captured before the first byte of the request is written to it.
                if error.is_connect() || captured.connection_metadata().is_none() {
                    Attempt::NotSent { timeout: false, error: error_text }
                } else {
                    Attempt::Ambiguous { timeout: false, error: error_text }
                }
            }),
            () = unconnected(captured.clone(), connect_by) => {
                Err(Attempt::NotSent { timeout: true, error: "no connection in time".to_owned() })
            }
            () = sleep_until(deadline) => {
                Err(Attempt::Ambiguous { timeout: true, error: "no answer in time".to_owned() })
            }
        }
    }

    /// The status decides; the body is only read so that the connection can be used again, or because it is wanted.
    async fn judge(&self, answer: Response<Incoming>, relay: Option<Instant>, permit: OwnedSemaphorePermit) -> Attempt {
        let (head, mut body) = answer.into_parts();
        if !head.status.is_success() {
            self.drain(body, permit);
            return Attempt::Refused { status: head.status, retry_after: retry_after(&head.headers) };
        }
        let relay = if let Some(deadline) = relay {
            let content_type = head.headers.get(header::CONTENT_TYPE).cloned();
            let whole = timeout_at(deadline, whole(&mut body)).await.ok().flatten();
            whole.map(|body| (content_type, body))
        } else {
            self.drain(body, permit);
            None
        };
        Attempt::Delivered(Delivered { status: head.status, relay })
    }

    /// Reads the rest of an answer, here if it has come already, otherwise without anybody waiting for it.
    fn drain(&self, mut body: Incoming, permit: OwnedSemaphorePermit) {
        if body.is_end_stream() {
            return;
        }
        let mut rest = Box::pin(async move {
            let _ = timeout(ANSWER_TIME, whole(&mut body)).await;
            drop(permit);
        });
        if rest.as_mut().now_or_never().is_none() {
            self.tasks.spawn(rest);
        }
    }

    fn pool(&self) -> Pool {
        let current = self.pool.load();
        if current.born.elapsed() < POOL_AGE {
            return current.pool.clone();
        }
        // Requests under way keep their connections of the old pool; unused ones close with it.
        let fresh = AgingPool::new(&self.connector, &self.settings);
        let pool = fresh.pool.clone();
        self.pool.compare_and_swap(&current, Arc::new(fresh));
        pool
    }
}

impl AgingPool {
    fn new(connector: &HttpsConnector<HttpConnector>, settings: &Settings) -> Self {
        let over_tls = settings.url.scheme_str() == Some("https");
        let pool = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(settings.max_in_flight)
            .http1_max_buf_size(ANSWER_MAX)
            .http2_only(settings.http2 && !over_tls)
            .build(connector.clone());
        Self { pool, born: Instant::now() }
    }
}

fn connector(settings: &Settings, tls: &Tls) -> io::Result<HttpsConnector<HttpConnector>> {
    let unusable = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    if settings.url.authority().is_none_or(|authority| authority.host().is_empty()) {
        return unusable("the URL has no host");
    }
    if settings.url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return unusable("the URL has a user name, which would not be sent");
    }
    let config = match settings.url.scheme_str() {
        Some("https") => tls.config()?,
        Some("http") => client_config()
            .map_err(io::Error::other)?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth(),
        _ => return unusable("the URL is neither http nor https"),
    };
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(settings.connect_timeout));
    let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1();
    Ok(if settings.http2 { builder.enable_http2().wrap_connector(tcp) } else { builder.wrap_connector(tcp) })
}

/// Ends at `by` if there is no connection by then; with one it never ends.
async fn unconnected(mut captured: CaptureConnection, by: Instant) {
    if timeout_at(by, captured.wait_for_connection_metadata()).await.is_ok() {
        std::future::pending::<()>().await;
    }
}

/// The whole body, unless it is too long or breaks off.
async fn whole(body: &mut Incoming) -> Option<Bytes> {
    let mut gathered = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let data = frame.ok()?.into_data().unwrap_or_default();
        if data.len() > ANSWER_MAX - gathered.len() {
            return None;
        }
        gathered.extend_from_slice(&data);
    }
    Some(gathered.freeze())
}

/// `Retry-After` in seconds or as a date (RFC 9110, sections 10.2.3 and 5.6.7); junk is ignored.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<RetryAfter> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(RetryAfter::Seconds);
    }
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok().map(RetryAfter::At)
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d_43_retry_after() {
        let check = |value: &'static str, want| {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static(value))]);
            assert_eq!(retry_after(&headers), want, "{value}");
        };
        check("120", Some(RetryAfter::Seconds(120)));
        check("99999999999", Some(RetryAfter::Seconds(99_999_999_999)));
        check("99999999999999999999999", None);
        let date = "2026-01-01T00:02:00Z".parse().unwrap();
        check("Thu, 01 Jan 2026 00:02:00 GMT", Some(RetryAfter::At(date)));
        for junk in ["", "-1", "+1", "1.5", "Fri, 31 Dec 1999", "Fri, 32 Dec 1999 23:59:59 GMT", "tomorrow"] {
            check(junk, None);
        }
    }

    #[test]
    fn d_43_a_date_is_a_wait() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let check =
            |at: &str, want| assert_eq!(RetryAfter::At(at.parse().unwrap()).wait(now), Duration::from_secs(want));
        check("2026-01-01T00:02:00Z", 120);
        check("1999-12-31T23:59:59Z", 0);
        check("2027-01-01T00:00:00Z", 31_536_000);
        assert_eq!(RetryAfter::Seconds(120).wait(now), Duration::from_mins(2));
    }

    #[test]
    fn urls_that_cannot_be_posted_to() {
        for bad in ["/path", "ftp://app/hook", "http://user:pass@app/hook"] {
            let settings = Settings {
                url: bad.parse().unwrap(),
                timeout: Duration::from_secs(8),
                connect_timeout: Duration::from_secs(2),
                max_in_flight: 1,
                http2: false,
            };
            let error = connector(&settings, &Tls::native()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{bad}");
        }
    }
}
