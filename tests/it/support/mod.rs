//! What the tests are made of: a sender that writes raw bytes, a gateway's handler and an application that misbehave
//! on command, and the whole gateway between a sender and an application.

pub(crate) mod application;
pub(crate) mod delivery;
pub(crate) mod gateway;
pub(crate) mod handler;
pub(crate) mod ledger;
pub(crate) mod publisher;
pub(crate) mod request;
pub(crate) mod senders;
pub(crate) mod shell;
pub(crate) mod store;
pub(crate) mod wire;

use std::{future::Future, time::Duration};

/// Bounds how long a failing test waits; no passing test ever waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What `future` gives, or a failure when it never does.
#[track_caller]
pub(crate) fn soon<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(PATIENCE, future).await {
            Ok(output) => output,
            Err(elapsed) => panic!("waited in vain at {caller}: {elapsed}"),
        }
    }
}
