//! What the fuzz targets check: each function takes bytes and panics when the crate breaks a promise about them.

mod entry;
mod json;
mod language;
mod packing;
mod signature;

pub use self::{entry::entry, json::split, language::language, packing::packing, signature::signature};
pub use crate::{config::fuzzing::config, state::fuzzing::claims};
