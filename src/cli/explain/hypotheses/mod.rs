//! The common mistakes, as data: each can say how things would be had it not been made. Whether that is what happened is
//! found out by trying, so nothing that is said is a guess.

mod address;
mod algorithm;
mod body;
mod credential;
pub(super) mod demand;
mod message;
mod secret;
mod signature;

use super::case::{Case, Known};

/// A common mistake.
pub(super) struct Hypothesis {
    /// Its name, for programs.
    pub(super) name: &'static str,
    /// What it is about.
    pub(super) about: About,
    /// What was done wrong, for the documentation.
    pub(super) mistake: &'static str,
    /// What to do about it, for the documentation.
    pub(super) remedy: &'static str,
    /// How things could have been without it.
    pub(super) ideas: fn(&Case, &Known) -> Vec<Idea>,
}

/// What a mistake is about. Two of different kinds are made together more often than two of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// The secret, and how it becomes a key.
    Secret,
    /// Where the credential is, and how it is written.
    Credential,
    /// What is signed.
    Message,
    /// What is demanded besides the signature.
    Demand,
    /// The URL.
    Address,
    /// The bytes of the body.
    Body,
}

impl About {
    /// Whether this and another mistake may have been made at once.
    pub(super) fn goes_with(self, other: Self) -> bool {
        self != other || self == Self::Credential
    }
}

/// How things could have been, and what that would mean. `<secret>` stands for where the secret is that then matches.
pub(super) struct Idea {
    pub(super) case: Case,
    pub(super) wrong: String,
    pub(super) remedy: String,
}

impl Idea {
    fn new(case: Case, wrong: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { case, wrong: wrong.into(), remedy: remedy.into() }
    }
}

/// All of them, the likelier first.
pub(super) fn all() -> impl Iterator<Item = &'static Hypothesis> {
    let lists = [secret::ALL, algorithm::ALL, credential::ALL, body::ALL, address::ALL, message::ALL, demand::ALL];
    lists.into_iter().flatten()
}
