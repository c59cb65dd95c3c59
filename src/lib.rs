//! hooksieve: a receiver-side gateway for webhooks.

pub mod admin;
pub mod clock;
pub mod secret;
pub mod server;
pub mod stages;
pub mod state;
pub mod telemetry;
pub mod upstream;
