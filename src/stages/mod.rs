//! The decisions, in the order of the journey. Each stage takes the value the one before it made and returns the next.
//!
//! *Pure* means here: no async, no I/O, no clock, no logging, no configuration file. Time arrives as a value, settings
//! arrive as the type the stage itself defines. What a stage decides depends on nothing but its arguments.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod address;
pub mod answer;
pub mod authenticate;
pub mod check;
pub mod form;
pub mod greet;
pub mod json;
pub mod pattern;
pub mod receive;
pub mod recognize;
pub mod schema;
pub mod schemes;
pub mod selector;
pub mod split;
pub mod template;
pub mod vouch;
pub mod words;
