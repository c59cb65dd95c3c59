//! What the fuzz targets check: each function takes bytes and panics when the crate breaks a promise about them.

mod address;
mod entry;
mod form;
mod json;
mod key;
mod key_set;
mod language;
mod packing;
mod signature;
mod template;
mod token;

pub use self::{
    address::{DOMAINS, Followed, address},
    entry::entry,
    form::form,
    json::split,
    key::key,
    key_set::key_set,
    language::language,
    packing::packing,
    signature::signature,
    template::template,
    token::token,
};
pub use crate::{config::fuzzing::config, state::fuzzing::claims};
