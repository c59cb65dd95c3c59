//! The operator's door: probes, metrics, sources and the delivery log, on a listener of their own.
//!
//! Nothing here is reachable from the public door. What changes something, a replay or a drop, leaves an audit line.

mod answers;
mod deliveries;
pub mod form;
mod guard;
mod pages;
pub mod query;
mod reference;
mod refusals;

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use jiff::Timestamp;
use prometheus_client::metrics::gauge::Gauge;
use serde_json::json;

use self::{answers::refused, form::Overview, pages::Page, refusals::Refusals};
pub use self::{guard::Guard, reference::reference};
use crate::{
    server::{Connection, Doorway, Limits, ListenOn, Listener, Service, Shutdown, respond, serve},
    stages::{answer::Answer, words::Refusal},
    state::journal::{EntryId, JournalFuture, JournalStore, Replay},
    telemetry::Metrics,
};

/// Connections to the admin door: a few scrapers, probes and operators.
const CONNECTIONS_MAX: usize = 64;

/// Where the door is, and whom it lets in.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it is.
    pub listen: ListenOn,
    /// Whom it lets in.
    pub guard: Guard,
}

/// Knows whether the process should get traffic.
pub trait Probe: Send + Sync + 'static {
    /// Why not; empty when it should. Words from a closed list: no names, paths or versions.
    fn not_ready(&self) -> Vec<&'static str>;
}

/// What the pages ask of the process besides.
pub trait Desk: Send + Sync + 'static {
    /// What time it is.
    fn now(&self) -> Timestamp;

    /// The sources as they run; what the journal counts is added.
    fn sources(&self) -> Vec<Overview>;

    /// The journal, to look into; `None` where there is none.
    fn journal(&self) -> Option<&dyn JournalStore>;

    /// Makes an entry pending again and wakes who delivers it. `again`: also when it was delivered.
    fn replay(&self, entry: EntryId, again: bool) -> JournalFuture<Replay>;

    /// Gives an entry up.
    fn discard(&self, entry: EntryId) -> JournalFuture<bool>;
}

/// The door, ready to serve any number of listeners. Clones are the same door.
#[derive(Clone, Debug)]
pub struct Admin {
    doorway: Arc<Doorway<Pages>>,
    guard: Arc<ArcSwap<Guard>>,
}

impl Admin {
    /// The pages, for whom `guard` lets in.
    ///
    /// `shutdown` should be another one than the public door's: while that drains, `/ready` has to say so.
    #[must_use]
    pub fn new(
        guard: Guard,
        probe: Arc<dyn Probe>,
        desk: Arc<dyn Desk>,
        metrics: Arc<Metrics>,
        shutdown: Shutdown,
    ) -> Self {
        let guard = Arc::new(ArcSwap::from_pointee(guard));
        let pages = Pages { guard: guard.clone(), probe, desk, metrics, refusals: Refusals::default() };
        let doorway = Doorway::new(pages, CONNECTIONS_MAX, Limits::default(), shutdown, Gauge::default());
        Self { doorway: Arc::new(doorway), guard }
    }

    /// Lets in whom `guard` does, from the next request on.
    pub fn replace(&self, guard: Guard) {
        self.guard.store(Arc::new(guard));
    }

    /// Accepts until the shutdown begins.
    pub async fn serve(&self, listener: Listener) {
        serve(&self.doorway, listener).await;
    }
}

struct Pages {
    guard: Arc<ArcSwap<Guard>>,
    probe: Arc<dyn Probe>,
    desk: Arc<dyn Desk>,
    metrics: Arc<Metrics>,
    refusals: Refusals,
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("guard", &self.guard).finish_non_exhaustive()
    }
}

impl Service for Pages {
    async fn call(&self, request: Request<Incoming>, _: &Connection) -> (Response<Full<Bytes>>, bool) {
        let unread = !request.body().is_end_stream();
        let answer = self.answer(request.method(), request.uri(), request.headers()).await;
        (respond(answer, unread), unread)
    }

    fn unparsed(&self, _: &Connection, _: Refusal) {}
}

impl Pages {
    async fn answer(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Answer {
        let page = Page::find(uri.path());
        if let Err(problem) = self.guard.load().admit(method, page, headers) {
            if problem.status == StatusCode::UNAUTHORIZED {
                self.metrics.admin_refused.inc();
                self.refusals.report(self.desk.now());
            }
            return problem.into();
        }
        let Some(page) = page else {
            return refused(StatusCode::NOT_FOUND, "not_found", "there is no such page: docs/admin.md lists them");
        };
        if !page.takes(method) {
            return answers::method_not_allowed(page.methods());
        }
        self.page(page, method, uri.query().unwrap_or_default()).await
    }

    async fn page(&self, page: Page, method: &Method, query: &str) -> Answer {
        let desk = &*self.desk;
        let given = match page {
            Page::Live => Ok(answers::json(StatusCode::OK, &json!({ "live": true }))),
            Page::Ready => Ok(self.ready()),
            Page::Metrics => Ok(self.metrics()),
            Page::Sources => Ok(self.sources().await),
            Page::Deliveries => deliveries::list(desk, query).await,
            Page::Delivery(entry) if *method == Method::DELETE => deliveries::drop(desk, entry, query).await,
            Page::Delivery(entry) => deliveries::show(desk, entry, query).await,
            Page::Replay(entry) => deliveries::replay(desk, entry, query).await,
        };
        given.unwrap_or_else(|refused| refused)
    }

    fn ready(&self) -> Answer {
        let reasons = self.probe.not_ready();
        if reasons.is_empty() {
            return answers::json(StatusCode::OK, &json!({ "ready": true }));
        }
        answers::json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "ready": false, "reasons": reasons }))
    }

    fn metrics(&self) -> Answer {
        let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        answers::page(StatusCode::OK, openmetrics, self.metrics.render())
    }

    /// A journal that cannot be read leaves its counts out, and the rest is still told.
    async fn sources(&self) -> Answer {
        let mut sources = self.desk.sources();
        if let Some(journal) = self.desk.journal()
            && let Ok(totals) = journal.totals().await
        {
            for source in &mut sources {
                source.count(&totals);
            }
        }
        answers::json(StatusCode::OK, &json!({ "sources": sources }))
    }
}
