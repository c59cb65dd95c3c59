//! What the fuzz targets check: each function takes bytes and panics when the crate breaks a promise about them.

mod address;
mod entry;
mod json;
mod signature;
mod token;

pub use self::{
    address::{DOMAINS, Followed, address},
    entry::entry,
    json::split,
    signature::signature,
    token::{key_set, token},
};
pub use crate::{config::fuzzing::config, state::fuzzing::claims};
