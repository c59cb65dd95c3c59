//! What the fuzz targets check: each function takes bytes and panics when the crate breaks a promise about them.

mod entry;
mod form;
mod json;
mod key;
mod signature;
mod template;
mod token;

pub use self::{
    entry::entry, form::form, json::split, key::key, signature::signature, template::template, token::token,
};
pub use crate::{config::fuzzing::config, state::fuzzing::claims};
