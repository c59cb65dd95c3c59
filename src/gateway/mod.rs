//! The journey of a request, told from top to bottom. The order is code, never configuration; each step takes what the
//! one before it made, and nothing goes backwards.

mod attempts;
mod claim;
mod deliver;
pub mod dispatch;
mod errands;
mod generations;
mod journal;
mod keep;
mod ledger;
pub mod plan;
mod record;
pub mod source;
mod trace;

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Method, header::CONTENT_TYPE};

use self::{
    attempts::Attempts,
    deliver::{Delivery, Trip},
    plan::{Fate, Plan},
    record::Record,
    source::{Active, Entry, Limit, Mode, Source},
    trace::TraceIds,
};
pub use self::{
    generations::{Generations, Way},
    journal::Journal,
};
use crate::{
    clock::Clock,
    fault,
    fetch::keys::KeyStore,
    server::{Allowance, Handler},
    stages::{
        answer::{self, Answer},
        authenticate::Authentic,
        greet::Welcome,
        receive::{Client, Head, Received},
        words::{Cause, Refusal, Verdict},
    },
    state::{
        claims::Claims,
        key::BucketKey,
        limits::{BucketStore, ClientLimit, Taken},
    },
    telemetry::{Outcome, Reason, SourceMetrics, Telemetry},
    upstream::Delivered,
};

/// Everything that decides about requests, for one generation of the configuration.
pub struct Gateway {
    routes: HashMap<String, Arc<Route>>,
    claims: Claims,
    /// Where there is none, no source queues or sets aside.
    journal: Option<Journal>,
    clients: Arc<ClientLimit>,
    keys: Arc<KeyStore>,
    clock: Arc<dyn Clock>,
    telemetry: Arc<Telemetry>,
    /// For requests that no source has a path for.
    nobody: Arc<SourceMetrics>,
    attempts: Arc<Attempts>,
    traces: TraceIds,
}

/// A source and its numbers.
#[derive(Debug)]
pub struct Route {
    source: Source,
    metrics: Arc<SourceMetrics>,
}

/// A request that was let in by its head.
#[derive(Clone, Debug)]
pub struct Opened {
    route: Arc<Route>,
    /// When its head had been read. The whole answer is due from here.
    at: Instant,
}

/// How a request ended.
enum End {
    /// A handshake proved nothing, and its sender wants an answer of its own then.
    Denied(Refusal, Answer),
    /// A handshake was answered.
    Greeted(Answer),
    /// Refused as a whole; the seconds are for `Retry-After`.
    Refused(Refusal, Option<u64>),
    /// Every event has its verdict.
    Judged(Vec<Delivery>),
}

impl Gateway {
    /// Puts sources to work.
    pub fn new(
        sources: Vec<Source>,
        claims: Claims,
        journal: Option<Journal>,
        clients: ClientLimit,
        keys: Arc<KeyStore>,
        clock: Arc<dyn Clock>,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        let route = |source: Source| {
            let metrics = telemetry.metrics.source(&source.name);
            (source.path.clone(), Arc::new(Route { source, metrics }))
        };
        let routes = sources.into_iter().map(route).collect();
        let nobody = telemetry.metrics.no_source();
        let (attempts, traces, clients) = (Arc::default(), TraceIds::default(), Arc::new(clients));
        Self { routes, claims, journal, clients, keys, clock, telemetry, nobody, attempts, traces }
    }

    /// Goes on with what another gateway remembers: attempts, and the budgets whose settings are the same.
    fn inherit(&mut self, earlier: &Self) {
        self.attempts = earlier.attempts.clone();
        if self.clients.settings() == earlier.clients.settings() {
            self.clients = earlier.clients.clone();
        }
        for route in self.routes.values_mut() {
            let same = earlier.routes.values().find(|known| known.source.name == route.source.name);
            if let (Some(known), Some(route)) = (same, Arc::get_mut(route)) {
                route.source.inherit(&known.source);
            }
        }
    }

    /// The journey, from a whole request to its answer.
    async fn journey(&self, opened: &Opened, received: Box<Received>, record: &mut Record) -> Answer {
        let source = &opened.route.source;
        let client = received.head.client;
        let (authentic, plans) = match self.enter(source, received, record).await {
            Ok(entered) => entered,
            Err(end) => return self.conclude(source, client, &end, record),
        };
        let traceparent = self.traces.next();
        let due = opened.at + source.deadline;
        let trip = Trip { gateway: self, source, authentic: &authentic, due, traceparent: &traceparent };
        let (judged, ends) = self.judge(trip, &plans, record).await;
        record.traceparent = Some(traceparent.clone());
        let end = End::Judged(ends);
        let answer = self.conclude(source, client, &end, record);
        if let End::Judged(ends) = &end {
            trip.note(&judged, ends, answer.status.as_u16());
        }
        fault::point("gateway.before_answer");
        answer
    }

    /// Authenticate, greet, limit, split, recognise, check: everything that comes before an event may be claimed.
    /// Nothing is remembered of a request that ends here.
    async fn enter(
        &self,
        source: &Source,
        received: Box<Received>,
        record: &mut Record,
    ) -> Result<(Authentic, Vec<Plan>), End> {
        let authentic = self.authenticate(source, received, record).await?;
        if authentic.head().method != Method::POST {
            // Other methods are let in for the sake of handshakes; no event comes with them (W-48).
            return Err(End::Refused(Refusal::Method, None));
        }
        if source.active == Active::Drop {
            return Err(End::Judged(vec![Verdict::Drop(Cause::Inactive).into()]));
        }
        self.limit_requests(source, record).await?;
        let (plans, greeting) = self.sift(source, &authentic, record)?;
        if let Some(answer) = greeting {
            record.verdicts = vec![Verdict::Handshake; plans.len()];
            return Err(End::Greeted(answer));
        }
        self.limit_events(source, &plans, record).await?;
        Ok((authentic, plans))
    }

    async fn authenticate(
        &self,
        source: &Source,
        received: Box<Received>,
        record: &mut Record,
    ) -> Result<Authentic, End> {
        let now = self.clock.now();
        let published = self.published(source, &received, now).await;
        let entry = source.enter_with(received, &published, now.wall);
        record.timings.authenticate = Some(self.since(now.steady));
        match entry {
            Entry::Admitted(authentic, looked) => {
                record.authentic(&authentic, looked);
                Ok(authentic)
            }
            Entry::Denied(refusal, answer) => Err(End::Denied(refusal, answer)),
            Entry::Greeted(Welcome { chore: None, answer }) => Err(End::Greeted(answer)),
            Entry::Greeted(Welcome { chore: Some(chore), answer }) => match self.chore(source, &chore).await {
                Ok(()) => Err(End::Greeted(answer)),
                Err(refusal) => Err(End::Refused(refusal, None)),
            },
            Entry::Refused(refusal, looked) => {
                record.looked = looked;
                Err(End::Refused(refusal, None))
            }
        }
    }

    /// Charged one per authentic request, where the limit is not divided.
    async fn limit_requests(&self, source: &Source, record: &mut Record) -> Result<(), End> {
        match &source.limit {
            Some(limit) if limit.by.is_empty() => self.take(source, limit, BucketKey::WHOLE, 1, record).await,
            Some(_) | None => Ok(()),
        }
    }

    /// Charged one per event, in the bucket that the event's own values name.
    async fn limit_events(&self, source: &Source, plans: &[Plan], record: &mut Record) -> Result<(), End> {
        let Some(limit) = source.limit.as_ref().filter(|limit| !limit.by.is_empty()) else { return Ok(()) };
        for (key, events) in Limit::charges(plans) {
            self.take(source, limit, key, events, record).await?;
        }
        Ok(())
    }

    async fn take(
        &self,
        source: &Source,
        limit: &Limit,
        key: BucketKey,
        count: u32,
        record: &mut Record,
    ) -> Result<(), End> {
        let Some(count) = NonZeroU32::new(count) else { return Ok(()) };
        let (refusal, retry_after) = match limit.buckets.take(key, count, self.clock.now().steady).await {
            Ok(Taken::Granted) => return Ok(()),
            Ok(Taken::Later(retry_after)) => (Refusal::RateSource, Some(retry_after.as_secs())),
            // More events of one bucket than it can ever hold: to try again would not help.
            Ok(Taken::Never { .. }) => (Refusal::TooLarge, None),
            Err(_) => return Err(End::Refused(Refusal::StateStore, None)),
        };
        if source.mode == Mode::Observe {
            record.observed = Some(refusal.as_str());
            return Ok(());
        }
        Err(End::Refused(refusal, retry_after))
    }

    /// Cuts the body into events and says what is to happen to each. When all of them are the sender's test, there is
    /// an answer already.
    fn sift(
        &self,
        source: &Source,
        authentic: &Authentic,
        record: &mut Record,
    ) -> Result<(Vec<Plan>, Option<Answer>), End> {
        let started = self.clock.now().steady;
        let batch = match source.split(authentic) {
            Ok(batch) => batch,
            Err(refusal) if source.mode == Mode::Observe => {
                record.observed = Some(refusal.as_str());
                return Ok((vec![source.opaque(authentic)], None));
            }
            Err(refusal) => return Err(End::Refused(refusal, None)),
        };
        let split = self.clock.now().steady;
        record.timings.split = Some(split.saturating_duration_since(started));
        let size = batch.was_array().then_some(batch.len());
        let mut greeting = None;
        let plan = |event| {
            let (plan, answer) = source.plan(authentic, event, size);
            greeting = answer.or(greeting.take());
            plan
        };
        let plans: Vec<Plan> = batch.events().map(plan).collect();
        record.timings.check = Some(self.since(split));
        let all_greeted = plans.iter().all(|plan| plan.fate == Fate::Decided(Verdict::Handshake));
        Ok((plans, greeting.filter(|_| all_greeted)))
    }

    /// Claims, delivers and settles what is not decided yet. The ends come back in the order of the events.
    ///
    /// One event that is rejected takes the request with it: nothing else of it is judged, and nothing is claimed (I15).
    async fn judge<'p>(
        &self,
        trip: Trip<'_>,
        plans: &'p [Plan],
        record: &mut Record,
    ) -> (Vec<&'p Plan>, Vec<Delivery>) {
        let spoils = plans.iter().any(Plan::is_rejected);
        let judged: Vec<_> = plans.iter().filter(|plan| !spoils || plan.is_rejected()).collect();
        for plan in &judged {
            record.offence(plan.offence.clone());
        }
        let started = self.clock.now().steady;
        let open = judged.iter().filter(|plan| plan.is_open()).copied().collect();
        let mut delivered = trip.run(open).await.into_iter();
        if !spoils {
            record.timings.deliver = Some(self.since(started));
        }
        let end = |plan: &&Plan| match plan.fate {
            Fate::Decided(verdict) => Some(verdict.into()),
            Fate::Deliver | Fate::SetAside(_) => delivered.next(),
        };
        let ends = judged.iter().filter_map(end).collect();
        (judged, ends)
    }

    /// Route and admit: may this client send to this source at all?
    fn admit(&self, head: &Head, route: Option<&Arc<Route>>) -> Result<Allowance<Opened>, (Refusal, Option<u64>)> {
        let route = route.ok_or((Refusal::NoRoute, None))?;
        let source = &route.source;
        if source.active == Active::Refuse {
            return Err((Refusal::Inactive, None));
        }
        if !source.takes(&head.method) {
            return Err((Refusal::Method, None));
        }
        if !source.admits(&head.client) {
            return Err((Refusal::Address, None));
        }
        let at = self.clock.now().steady;
        let admitted = self.clients.admit(&head.client, at);
        admitted.map_err(|retry_after| (Refusal::RateIp, Some(retry_after.as_secs())))?;
        let opened = Opened { route: route.clone(), at };
        Ok(Allowance { route: opened, body_max: source.body_max, deadline: source.deadline })
    }

    fn since(&self, then: Instant) -> Duration {
        self.clock.now().steady.saturating_duration_since(then)
    }

    /// A request that cannot be read costs its client, unless that is our own doing.
    fn charge(&self, client: &Client, refusal: Refusal, now: Instant) {
        if !answer::status_of(refusal).is_client_error() {
            return;
        }
        self.clients.charge(client, now);
        if let Some(peer) = client.address.filter(|_| !self.clients.applies_to(client)) {
            self.telemetry.unlimited_client(peer);
        }
    }

    fn emit(&self, route: Option<&Route>, record: &Record, answer: &Answer) {
        let now = self.clock.now().steady;
        let metrics = route.map_or(&self.nobody, |route| &route.metrics);
        self.telemetry.request(metrics, &record.access(metrics, answer, now), now);
    }

    /// A guess costs its client.
    fn refused(&self, client: &Client, refusal: Refusal, record: &mut Record) {
        if answer::is_authentication(refusal) {
            self.charge(client, refusal, self.clock.now().steady);
        }
        record.end(refusal.into(), Reason::Refusal(refusal));
    }

    /// From what happened to what the sender is told, and into the record.
    fn conclude(&self, source: &Source, client: Client, end: &End, record: &mut Record) -> Answer {
        match end {
            End::Greeted(answer) => {
                record.end(Outcome::Handshake, Reason::None);
                answer.clone()
            }
            End::Denied(refusal, answer) => {
                self.refused(&client, *refusal, record);
                answer.clone()
            }
            &End::Refused(refusal, retry_after) => {
                self.refused(&client, refusal, record);
                match refusal {
                    Refusal::Method => Answer::method_not_allowed(&source.methods()),
                    refusal => source.answers.refuse(refusal, retry_after),
                }
            }
            End::Judged(outcomes) => {
                let verdicts: Vec<Verdict> = outcomes.iter().map(|outcome| outcome.verdict).collect();
                let retry_after = outcomes.iter().filter_map(|outcome| outcome.retry_after).max();
                let answer = match relayed(outcomes) {
                    Some(answer) => answer,
                    None => source.answers.conclude(&verdicts, retry_after),
                };
                record.judged(verdicts);
                answer
            }
        }
    }
}

/// The application's own answer to a single event, where the source hands it back.
fn relayed(outcomes: &[Delivery]) -> Option<Answer> {
    let [outcome] = outcomes else { return None };
    let Delivered { status, relay } = outcome.delivered.as_ref()?;
    let (content_type, body) = relay.as_ref()?;
    let mut answer = Answer::new(*status, body.clone());
    answer.headers.extend(content_type.clone().map(|content_type| (CONTENT_TYPE, content_type)));
    Some(answer)
}

impl Handler for Gateway {
    type Route = Opened;

    fn open(&self, head: &Head) -> Result<Allowance<Self::Route>, Answer> {
        let route = self.routes.get(&head.path);
        let (refusal, retry_after) = match self.admit(head, route) {
            Ok(allowance) => return Ok(allowance),
            Err(refused) => refused,
        };
        let answer = match route {
            Some(route) => route.source.refuse(refusal, retry_after),
            None => Answer::refused(refusal, retry_after),
        };
        let record = Record::refused(Some(head), refusal, self.clock.now().steady);
        self.emit(route.map(AsRef::as_ref), &record, &answer);
        Err(answer)
    }

    async fn handle(self: Arc<Self>, opened: Opened, received: Box<Received>) -> Answer {
        let mut record = Record::new(Some(&received.head), opened.at);
        record.body_bytes = received.body.len();
        let answer = self.journey(&opened, received, &mut record).await;
        self.emit(Some(&opened.route), &record, &answer);
        answer
    }

    fn unreadable(&self, head: &Head, opened: Option<&Opened>, refusal: Refusal) -> Answer {
        let now = self.clock.now().steady;
        self.charge(&head.client, refusal, now);
        let answer = Answer::refused(refusal, None);
        let record = Record::refused(Some(head), refusal, opened.map_or(now, |opened| opened.at));
        self.emit(opened.map(|opened| &*opened.route), &record, &answer);
        answer
    }

    fn abandoned(&self, opened: &Opened, refusal: Refusal) -> Answer {
        let answer = opened.route.source.refuse(refusal, None);
        self.emit(Some(&opened.route), &Record::refused(None, refusal, opened.at), &answer);
        answer
    }

    fn unparsed(&self, client: Client, refusal: Refusal) {
        let now = self.clock.now().steady;
        self.charge(&client, refusal, now);
        let mut record = Record::refused(None, refusal, now);
        record.client = client;
        self.emit(None, &record, &Answer::refused(refusal, None));
    }
}
