//! hooksieve: a receiver-side gateway for webhooks.

pub mod clock;
#[doc(hidden)]
pub mod fuzzing;
pub mod secret;
pub mod stages;
pub mod state;
pub mod upstream;
