//! From a head to a whole request: the one place that reads a body, under a cap, a deadline and a budget.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, timeout_at};

use super::{
    Allowance, Handler, Limits, Settings, Shutdown,
    budget::{Budget, Reservation},
    client, connections, head, listen,
    respond::respond,
};
use crate::{
    clock::Clock,
    stages::{
        answer::Answer,
        receive::{Head, Received},
        words::Refusal,
    },
};

/// The service of the public door.
pub(crate) struct Receiver<H> {
    handler: Arc<H>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    budget: Budget,
    shutdown: Shutdown,
}

/// How far a request was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// To the last byte of its body.
    Reached,
    /// The head was enough; there may be a body.
    Ignored,
    /// Something about it was wrong: whatever follows is not looked at.
    Distrusted,
}

impl<H> std::fmt::Debug for Receiver<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<H: Handler> listen::Service for Receiver<H> {
    async fn call(
        &self,
        request: Request<Incoming>,
        connection: &connections::Connection,
    ) -> (Response<Full<Bytes>>, bool) {
        let (parts, mut body) = request.into_parts();
        let checked =
            head::check(&parts.method, &parts.uri, parts.version, &parts.headers, self.settings.limits.target_bytes);
        let client = client(connection.peer, &parts.headers, &self.settings.trusted_proxies);
        let head = Head {
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(ToOwned::to_owned),
            method: parts.method,
            headers: parts.headers,
            client,
        };
        let (answer, end) = match checked {
            Ok(()) => self.receive(head, &mut body).await,
            Err(refusal) => (self.handler.unreadable(&head, None, refusal), End::Distrusted),
        };
        // What is left of a body cannot be told from a next request, and after bad framing nothing can.
        let unread = end != End::Reached && !body.is_end_stream();
        (respond(answer, unread || end == End::Distrusted), unread)
    }

    fn unparsed(&self, connection: &connections::Connection, refusal: Refusal) {
        let client = client(connection.peer, &http::HeaderMap::new(), &self.settings.trusted_proxies);
        self.handler.unparsed(client, refusal);
    }
}

impl<H: Handler> Receiver<H> {
    pub(super) fn new(settings: Settings, handler: Arc<H>, clock: Arc<dyn Clock>, shutdown: Shutdown) -> Self {
        let budget = Budget::new(settings.limits.bodies);
        Self { handler, clock, settings, budget, shutdown }
    }

    async fn receive(&self, head: Head, body: &mut Incoming) -> (Answer, End) {
        let Allowance { route, body_max, deadline } = match self.handler.open(&head) {
            Ok(allowance) => allowance,
            Err(answer) => return (answer, End::Ignored),
        };
        let limits = &self.settings.limits;
        let reading = read(body, body_max, deadline, limits, &self.budget);
        let read = tokio::select! {
            biased;
            read = reading => read,
            () = self.shutdown.abandon.cancelled() => Err(Refusal::Draining),
        };
        let (body, reservation) = match read {
            Ok(read) => read,
            Err(refusal) => return (self.handler.unreadable(&head, Some(&route), refusal), End::Distrusted),
        };
        let received = Box::new(Received { head, body, at: self.clock.now().wall });
        (self.handle(route, received, reservation).await, End::Reached)
    }

    /// Hands the request over to a task of its own and waits for the answer, which nobody may be there to hear.
    async fn handle(&self, route: H::Route, received: Box<Received>, reservation: Reservation) -> Answer {
        let task = {
            let (handler, route) = (self.handler.clone(), route.clone());
            async move {
                let journey = AssertUnwindSafe(async { handler.clone().handle(route.clone(), received).await });
                let answer = journey.catch_unwind().await;
                drop(reservation);
                answer.unwrap_or_else(|_panic| handler.abandoned(&route, Refusal::Internal))
            }
        };
        tokio::select! {
            biased;
            answer = self.shutdown.tasks.spawn(task) => {
                answer.unwrap_or_else(|_cancelled| self.handler.abandoned(&route, Refusal::Internal))
            }
            () = self.shutdown.abandon.cancelled() => self.handler.abandoned(&route, Refusal::Draining),
        }
    }
}

/// Reads a whole body. Its bytes stay reserved until the reservation is dropped.
async fn read(
    body: &mut Incoming,
    body_max: usize,
    deadline: Duration,
    limits: &Limits,
    budget: &Budget,
) -> Result<(Bytes, Reservation), Refusal> {
    let declared = match body.size_hint().exact() {
        Some(declared) => Some(usize::try_from(declared).map_err(|_| Refusal::TooLarge)?),
        None => None,
    };
    if declared.is_some_and(|declared| declared > body_max) {
        return Err(Refusal::TooLarge);
    }
    let mut reservation = budget.reserve(declared.unwrap_or(0)).ok_or(Refusal::Overload)?;
    let mut gathered = Gathered::default();
    let started = Instant::now();
    let last = started + deadline.min(limits.body);
    while !body.is_end_stream() {
        let earned = Duration::from_secs(gathered.len() as u64) / limits.body_rate;
        let by = last.min(started + limits.body_grace + earned);
        let data = match timeout_at(by, body.frame()).await {
            Err(_late) => return Err(Refusal::Slow),
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err(Refusal::Framing),
            // Trailers are thrown away: nothing in them is signed, and some are headers in disguise.
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        };
        if data.len() > body_max - gathered.len() {
            return Err(Refusal::TooLarge);
        }
        if declared.is_none() && !reservation.grow(data.len()) {
            return Err(Refusal::Overload);
        }
        gathered.push(data, declared);
    }
    Ok((gathered.finish(), reservation))
}

/// The body so far. One chunk is kept as it came; only a second one makes it a copy.
#[derive(Debug)]
enum Gathered {
    One(Bytes),
    Many(BytesMut),
}

impl Default for Gathered {
    fn default() -> Self {
        Self::One(Bytes::new())
    }
}

impl Gathered {
    fn len(&self) -> usize {
        match self {
            Self::One(chunk) => chunk.len(),
            Self::Many(chunks) => chunks.len(),
        }
    }

    fn push(&mut self, data: Bytes, declared: Option<usize>) {
        match self {
            Self::One(chunk) if chunk.is_empty() => *chunk = data,
            Self::One(chunk) => {
                let mut chunks = BytesMut::with_capacity(declared.unwrap_or(4 * (chunk.len() + data.len())));
                chunks.extend_from_slice(chunk);
                chunks.extend_from_slice(&data);
                *self = Self::Many(chunks);
            }
            Self::Many(chunks) => chunks.extend_from_slice(&data),
        }
    }

    fn finish(self) -> Bytes {
        match self {
            Self::One(chunk) => chunk,
            Self::Many(chunks) => chunks.freeze(),
        }
    }
}
