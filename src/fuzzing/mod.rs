//! What the fuzz targets check: each function takes bytes and panics when the crate breaks a promise about them.

mod json;
mod signature;

pub use self::{json::split, signature::signature};
pub use crate::{config::fuzzing::config, state::fuzzing::claims};
