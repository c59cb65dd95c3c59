//! One configuration after another, without a request noticing: each is served by the gateway it came in to, and a new
//! gateway goes on with what the old one knew.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{Gateway, Opened};
use crate::{
    server::{Allowance, Handler},
    stages::{
        answer::Answer,
        receive::{Client, Head, Received},
        words::Refusal,
    },
};

/// The gateway of the day.
pub struct Generations(ArcSwap<Gateway>);

/// A request that was let in, and the gateway that did: it sees one configuration from its head to its answer (I17).
pub type Way = (Arc<Gateway>, Opened);

impl Generations {
    /// The first generation.
    pub fn new(gateway: Gateway) -> Self {
        Self(ArcSwap::from_pointee(gateway))
    }

    /// From now on requests come in to `gateway`. Claims are shared by both; budgets that did not change are kept.
    pub fn replace(&self, mut gateway: Gateway) {
        gateway.inherit(&self.0.load());
        self.0.store(Arc::new(gateway));
    }
}

impl Handler for Generations {
    type Route = Way;

    fn open(&self, head: &Head) -> Result<Allowance<Way>, Answer> {
        let gateway = self.0.load_full();
        let Allowance { route: opened, body_max, deadline } = gateway.open(head)?;
        Ok(Allowance { route: (gateway, opened), body_max, deadline })
    }

    async fn handle(self: Arc<Self>, (gateway, opened): Way, received: Box<Received>) -> Answer {
        gateway.handle(opened, received).await
    }

    fn unreadable(&self, head: &Head, way: Option<&Way>, refusal: Refusal) -> Answer {
        match way {
            Some((gateway, opened)) => gateway.unreadable(head, Some(opened), refusal),
            None => self.0.load().unreadable(head, None, refusal),
        }
    }

    fn abandoned(&self, (gateway, opened): &Way, refusal: Refusal) -> Answer {
        gateway.abandoned(opened, refusal)
    }

    fn unparsed(&self, client: Client, refusal: Refusal) {
        self.0.load().unparsed(client, refusal);
    }
}
