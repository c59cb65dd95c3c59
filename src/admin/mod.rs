//! The operator's door: `/live`, `/ready` and `/metrics`, on a listener of their own.
//!
//! Nothing here changes anything, and nothing here is reachable from the public door.

use std::{future::Future, net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, uri::Authority};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use prometheus_client::metrics::gauge::Gauge;

use crate::{
    server::{Connection, Doorway, Limits, Listener, Service, Shutdown, respond, serve},
    stages::{answer::Answer, words::Refusal},
    telemetry::Metrics,
};

/// Connections to the admin door: a few scrapers and probes.
const CONNECTIONS_MAX: usize = 64;

/// Knows whether the process should get traffic.
pub trait Probe: Send + Sync + 'static {
    /// Why not; empty when it should. Words from a closed list: no names, paths or versions.
    fn not_ready(&self) -> Vec<&'static str>;
}

/// The door, ready to serve any number of listeners.
#[derive(Debug)]
pub struct Admin(Arc<Doorway<Pages>>);

impl Admin {
    /// The pages, for whoever asks for this machine by address, as `localhost` or by one of `hosts`.
    ///
    /// `shutdown` should be another one than the public door's: while that drains, `/ready` has to say so.
    #[must_use]
    pub fn new(hosts: Vec<String>, probe: Arc<dyn Probe>, metrics: Arc<Metrics>, shutdown: Shutdown) -> Self {
        let pages = Pages { hosts, probe, metrics };
        Self(Arc::new(Doorway::new(pages, CONNECTIONS_MAX, Limits::default(), shutdown, Gauge::default())))
    }

    /// Accepts until the shutdown begins.
    pub async fn serve(&self, listener: Listener) {
        serve(&self.0, listener).await;
    }
}

struct Pages {
    hosts: Vec<String>,
    probe: Arc<dyn Probe>,
    metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl Service for Pages {
    fn call(
        &self,
        request: Request<Incoming>,
        _: &Connection,
    ) -> impl Future<Output = (Response<Full<Bytes>>, bool)> + Send {
        let unread = !request.body().is_end_stream();
        std::future::ready((
            respond(self.page(request.method(), request.uri().path(), request.headers()), unread),
            unread,
        ))
    }

    fn unparsed(&self, _: &Connection, _: Refusal) {}
}

impl Pages {
    fn page(&self, method: &Method, path: &str, headers: &HeaderMap) -> Answer {
        if !self.is_for_us(headers) {
            return Answer::refused(Refusal::Misdirected, None);
        }
        if *method != Method::GET && *method != Method::HEAD {
            return Answer::method_not_allowed("GET, HEAD");
        }
        match path {
            "/live" => page(StatusCode::OK, "application/json", r#"{"live":true}"#),
            "/ready" => self.ready(),
            "/metrics" => {
                let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                page(StatusCode::OK, openmetrics, self.metrics.render())
            }
            _ => Answer::refused(Refusal::NoRoute, None),
        }
    }

    fn ready(&self) -> Answer {
        let reasons = self.probe.not_ready();
        let (status, ready) = if reasons.is_empty() {
            (StatusCode::OK, serde_json::json!({ "ready": true }))
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, serde_json::json!({ "ready": false, "reasons": reasons }))
        };
        page(status, "application/json", ready.to_string())
    }

    /// A page on the web can make a browser ask us under a name of its own that points here; it can do so under no
    /// address, and not as `localhost`.
    fn is_for_us(&self, headers: &HeaderMap) -> bool {
        let mut lines = headers.get_all(header::HOST).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { return false };
        let Ok(authority) = Authority::try_from(line.as_bytes()) else { return false };
        let host = authority.host();
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        bare.parse::<IpAddr>().is_ok()
            || host.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host))
    }
}

fn page(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Answer::new(status, body);
    answer.headers.push((header::CONTENT_TYPE, HeaderValue::from_static(content_type)));
    answer
}
