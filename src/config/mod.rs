//! The configuration: from the text an operator wrote to the settings of every part of the gateway.
//!
//! It is read in two steps. [`read()`] makes of presets, file and environment the tables of [`raw`]: everything has its
//! type and its place, nothing is misspelt. What the words mean is decided afterwards. Both steps report what they find
//! as [`Diagnostics`], with the line it stands in. Only this module knows TOML, and only this module reads the
//! environment.

pub mod compile;
mod environment;
mod key;
mod layers;
mod mask;
mod node;
mod presets;
mod read;
mod reference;
mod substitute;
mod table;
mod values;

pub mod diagnostics;
#[doc(hidden)]
pub mod fuzzing;
pub mod raw;
pub mod secrets;

pub use self::{
    diagnostics::{Diagnostic, Diagnostics, Severity},
    environment::Environment,
    key::{At, Key, Origin, Text},
    read::{Configuration, Input, load, read, read_preset},
    reference::reference,
    table::{Many, Named, Setting, Shape, Table},
    values::{
        Ahead, Cidr, Glob, Header, Host, HostName, Leaf, Listen, MediaType, MethodName, Number, Pattern, Plain,
        Pointer, Rate, RequestPath, Selector, Size, Template, Url,
    },
};
