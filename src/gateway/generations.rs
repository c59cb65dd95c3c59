//! One configuration after another, without a request noticing: each is served by the gateway it came in to, and a new
//! gateway goes on with what the old one knew.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{Gateway, Route};
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

/// A route, and the gateway it belongs to: a request sees one configuration from its head to its answer (I17).
pub type Way = (Arc<Gateway>, Arc<Route>);

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
        let Allowance { route, body_max, deadline } = gateway.open(head)?;
        Ok(Allowance { route: (gateway, route), body_max, deadline })
    }

    async fn handle(self: Arc<Self>, (gateway, route): Way, received: Received) -> Answer {
        gateway.handle(route, received).await
    }

    fn unreadable(&self, head: &Head, way: Option<&Way>, refusal: Refusal) -> Answer {
        match way {
            Some((gateway, route)) => gateway.unreadable(head, Some(route), refusal),
            None => self.0.load().unreadable(head, None, refusal),
        }
    }

    fn abandoned(&self, (gateway, route): &Way, refusal: Refusal) -> Answer {
        gateway.abandoned(route, refusal)
    }

    fn unparsed(&self, client: Client, refusal: Refusal) {
        self.0.load().unparsed(client, refusal);
    }
}
