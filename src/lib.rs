//! hooksieve: a receiver-side gateway for webhooks.

pub mod admin;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
#[doc(hidden)]
pub mod fault;
pub mod fetch;
#[doc(hidden)]
pub mod fuzzing;
pub mod gateway;
pub mod presets;
pub mod secret;
pub mod server;
pub mod stages;
pub mod state;
pub mod telemetry;
pub mod upstream;
