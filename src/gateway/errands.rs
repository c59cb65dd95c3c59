//! What a request makes the gateway fetch, before it can be judged or answered.

use futures_util::future::join_all;

use super::{Gateway, source::Source};
use crate::{
    clock::Now,
    fetch::keys::Missing,
    secret::Secret,
    stages::{
        greet::Chore,
        receive::Received,
        schemes::published::{Published, Wanted},
        words::Refusal,
    },
    state::learned::{Learned, fingerprint},
};

impl Gateway {
    /// The keys that the request cannot be judged without, as far as they can be had.
    pub(super) async fn published(&self, source: &Source, received: &Received, now: Now) -> Published {
        let wanted: Vec<Wanted> = source.wants(received, now.wall);
        let fetched = join_all(wanted.iter().map(|wanted| self.keys.get(&source.name, wanted, now.steady))).await;
        let mut published = Published::default();
        for (wanted, keys) in wanted.iter().zip(fetched) {
            match keys {
                Ok(keys) => published.add(wanted, keys),
                Err(Missing::Unavailable) => published.miss(),
                Err(Missing::Unknown) => {}
            }
        }
        published
    }

    /// Does what has to be done before a handshake is answered.
    pub(super) async fn chore(&self, source: &Source, chore: &Chore) -> Result<(), Refusal> {
        match chore {
            Chore::Learn(secret) => self.learn(source, secret.clone()).await,
            Chore::Visit(errand) => {
                let visited = self.keys.visit(&source.name, errand, self.clock.now().steady).await;
                visited.map_err(|failure| {
                    let (source, problem) = (&*source.name, failure.to_string());
                    tracing::warn!(source, to = ?errand.address, problem, "the endpoint is not confirmed");
                    Refusal::UpstreamError
                })
            }
        }
    }

    /// Keeps the first secret that a sender hands over.
    async fn learn(&self, source: &Source, secret: Secret) -> Result<(), Refusal> {
        let keepsake = source.learned.clone().ok_or(Refusal::Internal)?;
        let (name, fingerprint) = (&*source.name, fingerprint(&secret));
        let learned = tokio::task::spawn_blocking(move || keepsake.learn(&secret)).await;
        match learned.map_err(|_| Refusal::Internal)? {
            Ok(Learned::First) => {
                tracing::warn!(source = name, fingerprint, "a secret was handed over and waits: `hooksieve secrets`");
                Ok(())
            }
            Ok(Learned::Same) => Ok(()),
            Ok(Learned::Other) => {
                tracing::warn!(source = name, fingerprint, "another secret was handed over; the first one stays");
                Err(Refusal::AuthMismatch)
            }
            Err(error) => {
                tracing::error!(source = name, %error, "a secret that was handed over cannot be kept");
                Err(Refusal::StateStore)
            }
        }
    }
}
