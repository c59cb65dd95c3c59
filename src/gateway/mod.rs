//! The journey of a request, told from top to bottom. The order is code, never configuration; each step takes what the
//! one before it made, and nothing goes backwards.

mod attempts;
mod deliver;
mod record;
pub mod source;
mod trace;

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use http::header::CONTENT_TYPE;

use self::{
    attempts::Attempts,
    deliver::{Delivery, Trip},
    record::Record,
    source::{Active, Limit, Mode, Plan, Source},
    trace::TraceIds,
};
use crate::{
    clock::Clock,
    server::{Allowance, Handler},
    stages::{
        answer::{self, Answer},
        authenticate::{Authentic, Rejection},
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
    clients: ClientLimit,
    clock: Arc<dyn Clock>,
    telemetry: Arc<Telemetry>,
    /// For requests that no source has a path for.
    nobody: Arc<SourceMetrics>,
    attempts: Attempts,
    traces: TraceIds,
}

/// A source and its numbers.
#[derive(Debug)]
pub struct Route {
    source: Source,
    metrics: Arc<SourceMetrics>,
}

/// A request that was let in.
#[derive(Clone, Debug)]
pub struct Visit {
    route: Arc<Route>,
    /// When the answer is due. Counted from the head: a slow body takes its time from the delivery, not from the sender.
    due: Instant,
}

/// How a request ended.
enum End {
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
        clients: ClientLimit,
        clock: Arc<dyn Clock>,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        let route = |source: Source| {
            let metrics = telemetry.metrics.source(&source.name);
            (source.path.clone(), Arc::new(Route { source, metrics }))
        };
        let routes = sources.into_iter().map(route).collect();
        let nobody = telemetry.metrics.no_source();
        let (attempts, traces) = (Attempts::default(), TraceIds::default());
        Self { routes, claims, clients, clock, telemetry, nobody, attempts, traces }
    }

    /// The journey, from a whole request to its answer.
    async fn journey(&self, source: &Source, received: Received, due: Instant, record: &mut Record) -> Answer {
        let client = received.head.client;
        let end = match self.enter(source, received, record).await {
            Ok((authentic, plans)) => End::Judged(self.deliver(source, &authentic, plans, due, record).await),
            Err(end) => end,
        };
        self.conclude(source, client, end, record)
    }

    /// Authenticate, greet, limit, split, recognise, check: everything that comes before an event may be claimed.
    /// Nothing is remembered of a request that ends here.
    async fn enter(
        &self,
        source: &Source,
        received: Received,
        record: &mut Record,
    ) -> Result<(Authentic, Vec<Plan>), End> {
        let now = self.clock.now();
        if let Some(greeting) = source.greeter.before(&received, now.wall) {
            return Err(greeting.into());
        }
        let authentic = self.authenticate(source, received, record)?;
        if let Some(greeting) = source.greeter.after(&authentic) {
            return Err(greeting.into());
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
        self.limit_events(source, &authentic, &plans, record).await?;
        if plans.iter().any(Plan::is_rejected) {
            // One event that is rejected takes the request with it, and nothing of it has been claimed (I15).
            let rejected = plans.into_iter().filter_map(|plan| match plan {
                Plan::Decided(verdict @ Verdict::Reject(_), _) => Some(verdict.into()),
                Plan::Decided(..) | Plan::Deliver(..) => None,
            });
            return Err(End::Judged(rejected.collect()));
        }
        Ok((authentic, plans))
    }

    fn authenticate(&self, source: &Source, received: Received, record: &mut Record) -> Result<Authentic, End> {
        let now = self.clock.now();
        let admitted = source.authenticator.admit(received, now.wall);
        record.timings.authenticate = Some(self.since(now.steady));
        match admitted {
            Ok((authentic, looked)) => {
                record.authentic(&authentic, looked);
                Ok(authentic)
            }
            Err(rejection) => {
                let Rejection { refusal, looked, received } = *rejection;
                record.looked = Some(looked);
                let greeting = match refusal {
                    Refusal::AuthMissing => source.greeter.unsigned(&received, &source.envelope),
                    _ => None,
                };
                Err(greeting.map_or(End::Refused(refusal, None), End::from))
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
    async fn limit_events(
        &self,
        source: &Source,
        authentic: &Authentic,
        plans: &[Plan],
        record: &mut Record,
    ) -> Result<(), End> {
        let Some(limit) = source.limit.as_ref().filter(|limit| !limit.by.is_empty()) else { return Ok(()) };
        for (key, events) in limit.charges(authentic, plans) {
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
        let retry_after = match limit.buckets.take(key, count, self.clock.now().steady).await {
            Ok(Taken::Granted) => return Ok(()),
            Ok(Taken::Later(retry_after)) => Some(retry_after.as_secs()),
            Ok(Taken::Never { .. }) => None,
            Err(_) => return Err(End::Refused(Refusal::StateStore, None)),
        };
        if source.mode == Mode::Observe {
            record.observed = Some(Refusal::RateSource.as_str());
            return Ok(());
        }
        Err(End::Refused(Refusal::RateSource, retry_after))
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
        let all_greeted = plans.iter().all(|plan| matches!(plan, Plan::Decided(Verdict::Handshake, _)));
        Ok((plans, greeting.filter(|_| all_greeted)))
    }

    /// Claims, delivers and settles what is not decided yet. Verdicts come back in the order of the events.
    async fn deliver(
        &self,
        source: &Source,
        authentic: &Authentic,
        plans: Vec<Plan>,
        due: Instant,
        record: &mut Record,
    ) -> Vec<Delivery> {
        let started = self.clock.now().steady;
        let traceparent = self.traces.next();
        let trip = Trip { gateway: self, source, authentic, due, traceparent: &traceparent };
        let mut parcels = Vec::new();
        let mut decided = Vec::with_capacity(plans.len());
        for plan in plans {
            match plan {
                Plan::Decided(verdict, offence) => {
                    record.offence(offence);
                    decided.push(Some(verdict));
                }
                Plan::Deliver(parcel, observed) => {
                    record.offence(observed);
                    parcels.push(*parcel);
                    decided.push(None);
                }
            }
        }
        let delivered = if source.delivery.as_array && !parcels.is_empty() {
            trip.together(parcels).await
        } else {
            trip.each(parcels).await
        };
        record.timings.deliver = Some(self.since(started));
        record.traceparent = Some(traceparent);
        let mut delivered = delivered.into_iter();
        decided
            .into_iter()
            .filter_map(|verdict| verdict.map_or_else(|| delivered.next(), |done| Some(done.into())))
            .collect()
    }

    /// Route and admit: may this client send to this source at all?
    fn admit(&self, head: &Head, route: Option<&Arc<Route>>) -> Result<Allowance<Visit>, (Refusal, Option<u64>)> {
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
        let now = self.clock.now().steady;
        let admitted = self.clients.admit(&head.client, now);
        admitted.map_err(|retry_after| (Refusal::RateIp, Some(retry_after.as_secs())))?;
        let visit = Visit { route: route.clone(), due: now + source.deadline };
        Ok(Allowance { route: visit, body_max: source.body_max, deadline: source.deadline })
    }

    fn since(&self, then: Instant) -> Duration {
        self.clock.now().steady.saturating_duration_since(then)
    }

    fn emit(&self, route: Option<&Route>, record: &Record, answer: &Answer) {
        let now = self.clock.now().steady;
        let metrics = route.map_or(&self.nobody, |route| &route.metrics);
        self.telemetry.request(metrics, &record.access(metrics, answer, now), now);
    }

    /// From what happened to what the sender is told, and into the record.
    fn conclude(&self, source: &Source, client: Client, end: End, record: &mut Record) -> Answer {
        match end {
            End::Greeted(answer) => {
                record.end(Outcome::Handshake, Reason::None);
                answer
            }
            End::Refused(refusal, retry_after) => {
                if answer::is_authentication(refusal) {
                    self.clients.charge(&client, self.clock.now().steady);
                }
                record.end(refusal.into(), Reason::Refusal(refusal));
                source.answers.refuse(refusal, retry_after)
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
fn relayed(outcomes: Vec<Delivery>) -> Option<Answer> {
    let [outcome] = <[Delivery; 1]>::try_from(outcomes).ok()?;
    let Delivered { status, relay } = outcome.delivered?;
    let (content_type, body) = relay?;
    let mut answer = Answer::new(status, body);
    answer.headers.extend(content_type.map(|content_type| (CONTENT_TYPE, content_type)));
    Some(answer)
}

impl From<Result<Answer, Refusal>> for End {
    fn from(greeting: Result<Answer, Refusal>) -> Self {
        greeting.map_or_else(|refusal| Self::Refused(refusal, None), Self::Greeted)
    }
}

impl Handler for Gateway {
    type Route = Visit;

    fn open(&self, head: &Head) -> Result<Allowance<Self::Route>, Answer> {
        let route = self.routes.get(&head.path);
        let (refusal, retry_after) = match self.admit(head, route) {
            Ok(allowance) => return Ok(allowance),
            Err(refused) => refused,
        };
        let answer = match (refusal, route) {
            (Refusal::Method, Some(route)) => Answer::method_not_allowed(&route.source.methods()),
            (refusal, _) => Answer::refused(refusal, retry_after),
        };
        let record = Record::refused(Some(head), refusal, self.clock.now().steady);
        self.emit(route.map(AsRef::as_ref), &record, &answer);
        Err(answer)
    }

    async fn handle(self: Arc<Self>, visit: Visit, received: Received) -> Answer {
        let Visit { route, due } = visit;
        let mut record = Record::new(Some(&received.head), self.clock.now().steady);
        record.body_bytes = received.body.len();
        let answer = self.journey(&route.source, received, due, &mut record).await;
        self.emit(Some(&route), &record, &answer);
        answer
    }

    fn unreadable(&self, head: &Head, visit: Option<&Visit>, refusal: Refusal) -> Answer {
        let now = self.clock.now().steady;
        self.clients.charge(&head.client, now);
        let answer = Answer::refused(refusal, None);
        let route = visit.map(|visit| visit.route.as_ref());
        self.emit(route, &Record::refused(Some(head), refusal, now), &answer);
        answer
    }

    fn abandoned(&self, visit: &Visit, refusal: Refusal) -> Answer {
        let route = &visit.route;
        let answer = route.source.answers.refuse(refusal, None);
        self.emit(Some(route), &Record::refused(None, refusal, self.clock.now().steady), &answer);
        answer
    }

    fn unparsed(&self, client: Client, refusal: Refusal) {
        let now = self.clock.now().steady;
        self.clients.charge(&client, now);
        let mut record = Record::refused(None, refusal, now);
        record.client = client;
        self.emit(None, &record, &Answer::refused(refusal, None));
    }
}
