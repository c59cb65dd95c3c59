//! Strict JSON (RFC 8259), read once into a flat tape of byte ranges.
//!
//! What comes in is forwarded byte for byte, so nothing here builds a second form of it: a [`Value`] is a view of the
//! body, numbers keep their source text, and strings are decoded only when they hold escapes and somebody asks.
//! Every body that two readers could understand differently is refused: duplicate keys, lone surrogates, byte order
//! marks, numbers beyond a 64-bit float, bytes after the value.

mod path;
mod pointer;
mod scan;
mod value;

use std::fmt;

use bytes::Bytes;

pub use self::{
    path::{Path, elements},
    pointer::{Pointer, PointerFault},
    value::{Elements, Members, Value},
};
use crate::stages::words::Refusal;

/// How much of a body is read before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many arrays and objects may lie inside each other.
    pub depth: usize,
    /// How many values the body may hold in all; keys do not count.
    pub nodes: usize,
}

impl Limits {
    /// 64 levels: more than any sender is known to need, less than where common readers give up (128).
    pub const DEPTH: usize = 64;
    /// What [`depth`](Self::depth) may be set to. Schemas are applied by recursion, which this bounds.
    pub const DEPTH_MAX: usize = 127;
    /// 100 000 values: two to four megabytes of tape.
    pub const NODES: usize = 100_000;
    /// What [`nodes`](Self::nodes) may be set to.
    pub const NODES_MAX: usize = 1_000_000;
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: Self::DEPTH, nodes: Self::NODES }
    }
}

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// It breaks the grammar of RFC 8259, escapes half a surrogate pair, or has a number beyond a 64-bit float.
    NotJson,
    /// An object has the same key twice, compared after decoding.
    DuplicateKey,
    /// It is nested deeper than [`Limits::depth`].
    Depth,
    /// It is not UTF-8, or starts with a byte order mark (RFC 8259, section 8.1).
    Encoding,
    /// It holds more values than [`Limits::nodes`], or more than 4 GiB.
    TooManyNodes,
}

impl Fault {
    /// The word the sender's refusal is filed under.
    #[must_use]
    pub const fn refusal(self) -> Refusal {
        match self {
            Self::NotJson => Refusal::NotJson,
            Self::DuplicateKey => Refusal::DuplicateKey,
            Self::Depth => Refusal::Depth,
            Self::Encoding => Refusal::Encoding,
            Self::TooManyNodes => Refusal::TooLarge,
        }
    }
}

/// Why a body was not read, and the byte at which that was clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} at byte {offset}", fault.refusal().as_str())]
pub struct Malformed {
    /// What is wrong.
    pub fault: Fault,
    /// Where, in bytes from the start of the body.
    pub offset: usize,
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        malformed.fault.refusal()
    }
}

/// A body that is JSON, with the tape that says where each of its values lies.
#[derive(Clone)]
pub struct Document {
    body: Bytes,
    nodes: Vec<Node>,
}

impl Document {
    /// Reads a whole body: exactly one value, with white space around it at most.
    ///
    /// Takes time in proportion to the body (times a logarithm for huge objects) and never recurses.
    pub fn parse(body: Bytes, limits: &Limits) -> Result<Self, Malformed> {
        let nodes = scan::scan(&body, limits)?;
        Ok(Self { body, nodes })
    }

    /// The value that the body is.
    pub fn root(&self) -> Value<'_> {
        Value::new(self, 0)
    }

    /// The value at a place that [`Value::place`] gave for this document.
    pub(in crate::stages) fn value(&self, place: u32) -> Value<'_> {
        Value::new(self, place)
    }

    /// The body as it was received.
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

/// Says how large it is; what is in it belongs in no log.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("bytes", &self.body.len()).field("nodes", &self.nodes.len()).finish()
    }
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// One entry of the tape. A container is followed by its children; in an object each value follows its key.
#[derive(Clone, Copy)]
struct Node {
    kind: Kind,
    /// A string that holds a backslash, so that its text is not its content.
    escaped: bool,
    /// First byte and the byte after the last, in the body; a string's quotation marks included.
    start: u32,
    end: u32,
    /// How many elements or members a container has.
    len: u32,
    /// The entry after this one and all that lies inside it.
    next: u32,
}

impl Node {
    fn text<'a>(&self, body: &'a [u8]) -> &'a [u8] {
        &body[self.start as usize..self.end as usize]
    }

    /// What stands between the quotation marks of a string.
    fn quoted<'a>(&self, body: &'a [u8]) -> &'a [u8] {
        &body[self.start as usize + 1..self.end as usize - 1]
    }
}

/// The entries from `at` up to `end` that are no child of another one there.
#[derive(Clone)]
struct Siblings<'a> {
    nodes: &'a [Node],
    at: u32,
    end: u32,
}

impl<'a> Siblings<'a> {
    /// The children of a container: its elements, or its keys and values in turn.
    fn inside(nodes: &'a [Node], container: u32) -> Self {
        Self { nodes, at: container + 1, end: nodes[container as usize].next }
    }
}

impl Iterator for Siblings<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let index = self.at;
        (index < self.end).then(|| {
            self.at = self.nodes[index as usize].next;
            index
        })
    }
}
