//! One source, whole.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue};

use super::{
    Context, Sender,
    auth::{Secrets, key_bytes},
};
use crate::{
    config::{
        At, Key,
        raw::{
            auth::Kind,
            events::{Batch, DeliveryMode, OnConflict, OnFiltered, OnMissing, OnStoreError},
            source::{Active, Mode},
        },
    },
    gateway::source::{self, Dedup, Delivery, MediaTypes, Source},
    stages::{
        answer::{Answer, AnswerPolicy},
        authenticate::Authenticator,
        check::Policy,
        greet::Greeter,
        recognize::Pattern,
        schemes::Scheme,
        selector::{Place, Selector},
        template::Piece,
    },
    state::claims::{LEASE_MAX, LEASE_MIN, WINDOW_MAX},
};

/// What a lease leaves for settling, after the upstream's timeout (D-13).
const LEASE_MARGIN: Duration = Duration::from_secs(5);

impl Context<'_> {
    /// The source and its sender. `None` when something is wrong, which is then reported.
    pub(super) fn source(&mut self, name: &str) -> Option<(Source, Sender)> {
        let before = self.found.errors();
        let written = self.written;
        let mut secrets = self.secrets(&written.secrets);
        let learned = self.learned(name, &mut secrets);
        let rules = self.rules(&secrets);
        let greeter = self.greeter(&secrets);
        let delivery = self.delivery();
        let mut recognizer = self.recognizer();
        let checker = self.checker();
        if let (Some(recognizer), Some(checker)) = (&mut recognizer, &checker) {
            recognizer.known.extend(checker.types.keys().cloned());
        }
        self.journal_needs();
        let dedup = self.dedup(delivery.as_ref());
        self.deadline(delivery.as_ref());
        let limit = written.limit.as_ref().map(|limit| self.limit(limit));
        let envelope = self.envelope();
        let answers = self.answers();
        self.unsigned_identity(recognizer.as_ref());
        if self.found.errors() > before {
            return None;
        }
        let rules = rules?;
        let public_url = self.public_url();
        let credentials = rules.iter().flat_map(|(rule, _)| credential_headers(&rule.scheme)).collect();
        let authenticator =
            Authenticator::new(rules.iter().map(|(rule, _)| rule.clone()).collect(), public_url.clone());
        let source = Source {
            name: Arc::from(name),
            path: written.path.value.0.clone(),
            body_max: usize::try_from(written.max_body.value.0).unwrap_or(usize::MAX),
            deadline: written.deadline.value,
            allow: written.allow.iter().map(|cidr| cidr.value.0).collect(),
            active: match written.active.value {
                Active::Yes => source::Active::Yes,
                Active::Drop => source::Active::Drop,
                Active::Hold => source::Active::Hold,
                Active::Refuse => source::Active::Refuse,
            },
            mode: match written.mode.value {
                Mode::Enforce => source::Mode::Enforce,
                Mode::Observe => source::Mode::Observe,
            },
            media_types: media_types(&written.content_types),
            authenticator: authenticator.ok()?,
            greeter: Greeter { rules: greeter?, public_url, keys: self.reply_keys(secrets) },
            learned,
            limit: limit.flatten(),
            envelope: envelope?,
            recognizer: recognizer?,
            on_filtered: match written.events.on_filtered.value {
                OnFiltered::Drop => Policy::Drop,
                OnFiltered::Forward => Policy::Forward,
                OnFiltered::Quarantine => Policy::Quarantine,
            },
            checker: checker?,
            dedup: dedup?,
            delivery: delivery?,
            answers: answers?,
            credentials,
        };
        let provider = written.provider.as_ref().map(|id| id.value.clone());
        let schemes = written.auth.iter().map(|rule| rule.kind.value.as_str()).collect();
        Some((source, Sender { path: written.path.value.0.clone(), provider, schemes, rules }))
    }

    /// What replies are signed with: the keys of the first keyed rule, whose mistakes that rule has reported.
    fn reply_keys(&self, secrets: Secrets) -> Secrets {
        match self.written.auth.iter().find(|rule| rule.kind.value == Kind::Hmac) {
            Some(rule) => secrets.iter().filter_map(|named| named.map(|it| key_bytes(&rule.key, it)).ok()).collect(),
            None => secrets,
        }
    }

    fn greeter(&mut self, secrets: &Secrets) -> Option<Vec<crate::stages::greet::Handshake>> {
        let rules: Vec<_> = self.written.handshake.iter().map(|rule| self.handshake(rule, secrets)).collect();
        rules.into_iter().collect::<Option<Vec<_>>>().map(|rules| rules.into_iter().flatten().collect())
    }

    fn delivery(&mut self) -> Option<Delivery> {
        let written = self.written;
        let delivery = &written.delivery;
        let target = self.target(&written.upstream.value, &written.upstream.key)?;
        let mut routes = Vec::new();
        for (glob, upstream) in &delivery.routes {
            routes.push((Pattern::new(glob.0.clone()), self.target(&upstream.value, &upstream.key)?));
        }
        // A name that is written out counts before one with a star, and a longer one before a shorter.
        routes.sort_by_key(|(pattern, _)| pattern.precedence());
        let as_array = delivery.batch.value == Batch::Array;
        if as_array && !delivery.routes.is_empty() {
            let key = delivery.batch.key.clone();
            self.error(
                &key,
                "one request cannot go to several upstreams",
                "leave `routes` out, or write `batch = \"events\"`",
            );
        }
        if delivery.relay.value && (as_array || written.events.split.is_some()) {
            let key = delivery.relay.key.clone();
            self.error(&key, "`relay` is for single events", "leave `relay` out, or `events.split` and `batch`");
        }
        let order = self.selectors(&delivery.ordered)?;
        let queued = delivery.mode.value == DeliveryMode::Queued;
        if queued {
            self.queued(&order);
        }
        Some(Delivery {
            as_array,
            concurrency: delivery.concurrency.value.0 as usize,
            queued,
            retry: self.retry(),
            order,
            routes,
            target,
            relay: delivery.relay.value,
        })
    }

    fn target(&mut self, name: &str, key: &Key) -> Option<Arc<source::Target>> {
        let found = self.targets.get(name).cloned();
        if found.is_none()
            && !self.raw.upstreams.unreadable.contains(name)
            && !self.raw.upstreams.entries.contains_key(name)
        {
            let known: Vec<_> = self.raw.upstreams.entries.keys().map(|known| format!("`{known}`")).collect();
            let help = match known.as_slice() {
                [] => format!("add a table `[upstreams.{name}]` with its `url`"),
                known => format!("add a table `[upstreams.{name}]`, or write one of {}", known.join(", ")),
            };
            self.error(key, format!("there is no upstream `{name}`"), help);
        }
        found
    }

    fn dedup(&mut self, delivery: Option<&Delivery>) -> Option<Dedup> {
        let dedup = &self.written.dedup;
        let deadline = self.written.deadline.value;
        let queues = self.written.queues();
        // What is held while the journal writes is held until the answer is due at most.
        let longest = if queues { deadline } else { delivery.map_or(Duration::ZERO, longest_timeout) };
        let shortest = longest + LEASE_MARGIN;
        let lease = match &dedup.lease {
            Some(lease) if lease.value < shortest => {
                let (who, what) =
                    if queues { ("journal", "the `deadline`") } else { ("upstream", "the upstream's timeout") };
                let help = format!("write at least {}s: {what} and 5s", shortest.as_secs());
                self.error(&lease.key, format!("the lease ends while the {who} may still answer"), help);
                return None;
            }
            Some(lease) => lease.value,
            None => shortest,
        };
        if longest.min(deadline) + LEASE_MARGIN > LEASE_MAX {
            let help = "write at most 55s, or shorten the upstream's `timeout`";
            self.error(&self.written.deadline.key.clone(), "an attempt may take longer than any lease", help);
            return None;
        }
        let lease = lease.clamp(LEASE_MIN, LEASE_MAX);
        let needed = self.tolerance * 2 + lease;
        if dedup.enabled.value && dedup.window.value < needed && !self.tolerance.is_zero() {
            let help =
                format!("write at least {}s: twice the tolerance of the signed time, and the lease", needed.as_secs());
            self.error(&dedup.window.key, "the window leaves a gap in which a replay passes", help);
            return None;
        }
        if dedup.window.value > WINDOW_MAX {
            self.error(&dedup.window.key, "the window is longer than seven days", "write \"7d\" or less");
            return None;
        }
        if !dedup.enabled.value
            && self.tolerance.is_zero()
            && self.written.auth.iter().any(|rule| rule.kind.value != Kind::None)
        {
            self.warn(
                &dedup.enabled.key,
                "a captured request can be replayed for ever",
                "nothing signed says when: let repeats be looked for",
            );
        }
        Some(Dedup {
            enabled: dedup.enabled.value,
            window: dedup.window.value,
            lease,
            join_timeout: dedup.join_timeout.value,
            on_missing: match dedup.on_missing.value {
                OnMissing::Digest => source::OnMissing::Digest,
                OnMissing::Forward => source::OnMissing::Forward,
                OnMissing::Reject => source::OnMissing::Reject,
            },
            forward_on_store_error: dedup.on_store_error.value == OnStoreError::Forward,
            on_conflict: match dedup.on_conflict.value {
                OnConflict::Forward => Policy::Forward,
                OnConflict::Quarantine => Policy::Quarantine,
            },
        })
    }

    /// An answer that is due before the application's cuts deliveries off, and their outcome is then unknown.
    fn deadline(&mut self, delivery: Option<&Delivery>) {
        let deadline = &self.written.deadline;
        if delivery.is_some_and(|delivery| !delivery.queued && longest_timeout(delivery) > deadline.value) {
            let help = "let `timeout` of the upstream end before `deadline` of the source";
            self.warn(&deadline.key, "the sender is answered before the application has to be", help);
        }
    }

    fn public_url(&self) -> Arc<str> {
        let url = self.raw.server.public_url.as_ref().map(|url| url.value.0.to_string()).unwrap_or_default();
        Arc::from(url.trim_end_matches('/'))
    }

    fn answers(&mut self) -> Option<AnswerPolicy> {
        let reply = &self.written.reply;
        let success = match &reply.success {
            None => None,
            Some(success) => {
                let mut answer = Answer::new(success.status.status(), self.constant(&success.body)?);
                for (name, value) in &success.headers {
                    let text = HeaderValue::from_str(&self.constant(value)?);
                    answer.headers.push((name.0.clone(), text.ok()?));
                }
                Some(answer)
            }
        };
        Some(AnswerPolicy { success, unauthenticated: reply.unauthenticated.status(), quiet: reply.quiet.value })
    }

    /// A text that is the same for every request.
    fn constant(&mut self, written: &At<crate::config::Template>) -> Option<String> {
        let template = self.template(written)?;
        match template.pieces() {
            [] => Some(String::new()),
            [Piece::Literal(text)] => Some(text.clone()),
            _ => {
                let help = "the answer to an accepted request is the same for all; only handshakes echo";
                self.error(&written.key, "there is a selector in this text", help);
                None
            }
        }
    }
}

fn longest_timeout(delivery: &Delivery) -> Duration {
    let targets = delivery.routes.iter().map(|(_, target)| target.timeout);
    targets.chain([delivery.target.timeout]).max().unwrap_or_default()
}

/// The headers a scheme reads its credential from: they are not passed on.
fn credential_headers(scheme: &Scheme) -> Vec<HeaderName> {
    let from = match scheme {
        Scheme::Basic(scheme) => &scheme.from,
        Scheme::Digest(scheme) => &scheme.signed.signature.from,
        Scheme::Hmac(scheme) => &scheme.signature.from,
        Scheme::Jose(scheme) => &scheme.from,
        Scheme::None => return Vec::new(),
        Scheme::PublicKey(scheme) => &scheme.signature.from,
        Scheme::Token(scheme) => &scheme.from,
    };
    let header = |selector: &Selector| match &selector.place {
        Place::Header(name) => Some(name.clone()),
        _ => None,
    };
    from.iter().filter_map(header).collect()
}

fn media_types(written: &[At<crate::config::MediaType>]) -> MediaTypes {
    if written.iter().any(|media_type| media_type.value.0 == "*/*") {
        return MediaTypes::Any;
    }
    MediaTypes::Only(written.iter().map(|media_type| media_type.value.0.to_ascii_lowercase()).collect())
}
