//! The stores of a gateway that runs as one process. What is in here is gone after a restart.

pub(super) mod buckets;
pub mod claims;

pub use claims::MemoryClaims;
