//! What the fuzz targets check: each function takes bytes and panics when the crate breaks a promise about them.

mod address;
mod entry;
mod form;
mod json;
mod key;
mod key_set;
mod language;
mod listing;
mod moment;
mod packing;
mod proxies;
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
    listing::listing,
    moment::moment,
    packing::packing,
    proxies::proxies,
    signature::signature,
    template::template,
    token::token,
};
pub use crate::{config::fuzzing::config, state::fuzzing::claims};
