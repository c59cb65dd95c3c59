//! What the gateway remembers between requests: which events were delivered, and who has used up a budget.
//!
//! Every store stands behind a small trait ([`claims::ClaimStore`], [`limits::BucketStore`]), and the traits speak of
//! keys, durations and instants only. [`memory`] implements them for one process; an engine on a disk or across the
//! network can take its place without the stages noticing. Nothing here asks what time it is (invariant I21): every
//! call is handed the steady instant, so a test decides when a lease or a window ends.

use std::{error::Error, future::Ready};

use futures_util::future::{BoxFuture, Either};

pub mod claims;
pub mod durable;
#[doc(hidden)]
pub mod fuzzing;
pub mod journal;
pub mod key;
pub mod learned;
pub mod limits;
pub mod memory;
pub mod sqlite;

/// What a store answers, now or later. Memory answers at once and without an allocation; other engines box a future.
pub type StoreFuture<'a, T> = Either<Ready<Result<T, StoreError>>, BoxFuture<'a, Result<T, StoreError>>>;

/// The store could not answer: whether the event was seen before is not known.
#[derive(Debug, thiserror::Error)]
#[error("the state store cannot answer: {0}")]
pub struct StoreError(#[from] pub Box<dyn Error + Send + Sync>);

/// An answer that is there already.
fn at_once<'a, T>(answer: T) -> StoreFuture<'a, T> {
    Either::Left(std::future::ready(Ok(answer)))
}
