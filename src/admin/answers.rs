//! What is sent back: JSON that no cache keeps, and problems that say what to do about them.

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::stages::answer::Answer;

/// Why a request is not granted, for the operator who made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// A word for programs.
    pub(super) error: &'static str,
    /// A sentence for people.
    pub(super) message: &'static str,
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        refused(problem.status, problem.error, problem.message)
    }
}

/// A problem whose sentence depends on the request.
pub(super) fn refused(status: StatusCode, error: &str, message: &str) -> Answer {
    let mut answer = json(status, &serde_json::json!({ "error": error, "message": message }));
    if status == StatusCode::UNAUTHORIZED {
        answer.headers.push((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
    }
    answer
}

/// A JSON document.
pub(super) fn json(status: StatusCode, document: &impl Serialize) -> Answer {
    let text = serde_json::to_string(document).expect("names are strings, and nothing else can fail");
    page(status, "application/json", text)
}

/// A page of any type.
pub(super) fn page(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Answer::new(status, body);
    answer.headers.push((header::CONTENT_TYPE, HeaderValue::from_static(content_type)));
    answer.headers.push((header::CACHE_CONTROL, HeaderValue::from_static("no-store")));
    answer
}

/// The answer to a method that a page does not have.
pub(super) fn method_not_allowed(allowed: &'static str) -> Answer {
    let mut answer = refused(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this page has other methods");
    answer.headers.push((header::ALLOW, HeaderValue::from_static(allowed)));
    answer
}
