//! From what happened to what the sender is told. The only file that knows status codes.
//!
//! A 2xx is a promise: the event is delivered, kept, a repeat of one that is, or dropped by the operator's rule.
//! A refusal tells a class and nothing more; every failure to authenticate looks the same.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{ALLOW, CONTENT_TYPE, RETRY_AFTER},
};

use crate::stages::words::{Cause, Refusal, Verdict};

/// What is sent back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Headers, besides those of the connection.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
    /// Whether the connection ends with it.
    pub close: bool,
}

impl Answer {
    /// A status and a body, no headers.
    pub fn new(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), close: false }
    }

    /// The plain answer to a refused request, where no source's policy applies.
    pub fn refused(refusal: Refusal, retry_after: Option<u64>) -> Self {
        let mut answer = Self::json(status_of(refusal), format!(r#"{{"error":"{}"}}"#, class_of(refusal)));
        if matches!(answer.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            answer.headers.push((RETRY_AFTER, HeaderValue::from(retry_after.unwrap_or(RETRY_AFTER_SECONDS))));
        }
        answer
    }

    /// The answer to a method that the source does not take.
    pub fn method_not_allowed(allowed: &str) -> Self {
        let mut answer = Self::refused(Refusal::Method, None);
        answer.headers.extend(HeaderValue::from_str(allowed).ok().map(|allowed| (ALLOW, allowed)));
        answer
    }

    /// The same without a body.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.headers.retain(|(name, _)| *name != CONTENT_TYPE);
        Self { body: Bytes::new(), ..self }
    }

    fn json(status: StatusCode, body: impl Into<Bytes>) -> Self {
        let mut answer = Self::new(status, body);
        answer.headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        answer
    }
}

/// `Retry-After` where nothing better is known, in seconds.
pub const RETRY_AFTER_SECONDS: u64 = 5;

/// What a source's sender is told, where the operator or the preset departs from the table.
#[derive(Clone, Debug)]
pub struct AnswerPolicy {
    /// The answer to accepted requests, instead of 200 and the counts.
    pub success: Option<Answer>,
    /// Status for every failure to authenticate.
    pub unauthenticated: StatusCode,
    /// Whether refusals have no body.
    pub quiet: bool,
}

impl Default for AnswerPolicy {
    fn default() -> Self {
        Self { success: None, unauthenticated: StatusCode::UNAUTHORIZED, quiet: false }
    }
}

impl AnswerPolicy {
    /// The answer to a request that was refused as a whole.
    pub fn refuse(&self, refusal: Refusal, retry_after: Option<u64>) -> Answer {
        let mut answer = Answer::refused(refusal, retry_after);
        if answer.status == StatusCode::UNAUTHORIZED {
            answer.status = self.unauthenticated;
        }
        if self.quiet { answer.quiet() } else { answer }
    }

    /// The answer to a request whose events each have a verdict: 2xx only if every one of them may have it.
    pub fn conclude(&self, verdicts: &[Verdict], retry_after: Option<u64>) -> Answer {
        let rejected = verdicts.iter().find_map(|verdict| match verdict {
            Verdict::Reject(Cause::IdentityMissing) => Some(Refusal::NotJson),
            Verdict::Reject(_) => Some(Refusal::Schema),
            Verdict::Drop(_)
            | Verdict::Duplicate
            | Verdict::Fail(_)
            | Verdict::Forward
            | Verdict::Handshake
            | Verdict::Quarantine(_)
            | Verdict::Queue => None,
        });
        let failed = verdicts.iter().find_map(|verdict| match verdict {
            Verdict::Fail(refusal) => Some(*refusal),
            Verdict::Drop(_)
            | Verdict::Duplicate
            | Verdict::Forward
            | Verdict::Handshake
            | Verdict::Quarantine(_)
            | Verdict::Queue
            | Verdict::Reject(_) => None,
        });
        if let Some(refusal) = rejected.or(failed) {
            return self.refuse(refusal, retry_after);
        }
        if let Some(answer) = &self.success {
            return answer.clone();
        }
        let queued = verdicts.iter().any(|verdict| matches!(verdict, Verdict::Queue));
        Answer::json(if queued { StatusCode::ACCEPTED } else { StatusCode::OK }, counts(verdicts))
    }
}

/// `{"forward":2,"duplicate":1}`, in the order the words first occur.
fn counts(verdicts: &[Verdict]) -> String {
    let mut words: Vec<(&str, usize)> = Vec::new();
    for word in verdicts.iter().map(|verdict| verdict.as_str()) {
        match words.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += 1,
            None => words.push((word, 1)),
        }
    }
    let members: Vec<_> = words.iter().map(|(word, count)| format!("\"{word}\":{count}")).collect();
    format!("{{{}}}", members.join(","))
}

/// Whether the request failed to prove who sent it.
pub fn is_authentication(refusal: Refusal) -> bool {
    status_of(refusal) == StatusCode::UNAUTHORIZED
}

/// The status for a refusal (`docs/answers.md` is written from this).
pub const fn status_of(refusal: Refusal) -> StatusCode {
    match refusal {
        Refusal::Framing
        | Refusal::Host
        | Refusal::Target
        | Refusal::HeaderInvalid
        | Refusal::NotJson
        | Refusal::DuplicateKey
        | Refusal::Depth
        | Refusal::Encoding => StatusCode::BAD_REQUEST,
        Refusal::AuthMissing
        | Refusal::AuthMalformed
        | Refusal::AuthMismatch
        | Refusal::AuthAmbiguous
        | Refusal::TimestampStale
        | Refusal::TimestampFuture => StatusCode::UNAUTHORIZED,
        Refusal::Address => StatusCode::FORBIDDEN,
        Refusal::NoRoute => StatusCode::NOT_FOUND,
        Refusal::Method => StatusCode::METHOD_NOT_ALLOWED,
        Refusal::Misdirected => StatusCode::MISDIRECTED_REQUEST,
        Refusal::Slow => StatusCode::REQUEST_TIMEOUT,
        Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::Uri => StatusCode::URI_TOO_LONG,
        Refusal::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Refusal::Expectation => StatusCode::EXPECTATION_FAILED,
        Refusal::Headers => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Refusal::TransferCoding => StatusCode::NOT_IMPLEMENTED,
        Refusal::Schema => StatusCode::UNPROCESSABLE_ENTITY,
        Refusal::RateIp | Refusal::RateSource => StatusCode::TOO_MANY_REQUESTS,
        Refusal::Journal
        | Refusal::StateStore
        | Refusal::Overload
        | Refusal::Draining
        | Refusal::Inactive
        | Refusal::InFlight => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::UpstreamError => StatusCode::BAD_GATEWAY,
        Refusal::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
        Refusal::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What the sender is told of a refusal: constant text, one for all failures to authenticate.
pub const fn class_of(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Framing
        | Refusal::Host
        | Refusal::Target
        | Refusal::HeaderInvalid
        | Refusal::NotJson
        | Refusal::DuplicateKey
        | Refusal::Depth
        | Refusal::Encoding => "bad_request",
        Refusal::AuthMissing
        | Refusal::AuthMalformed
        | Refusal::AuthMismatch
        | Refusal::AuthAmbiguous
        | Refusal::TimestampStale
        | Refusal::TimestampFuture => "unauthenticated",
        Refusal::Address => "forbidden",
        Refusal::NoRoute => "not_found",
        Refusal::Method => "method_not_allowed",
        Refusal::Misdirected => "misdirected",
        Refusal::Slow => "timeout",
        Refusal::TooLarge | Refusal::Uri | Refusal::Headers => "too_large",
        Refusal::MediaType | Refusal::Expectation | Refusal::TransferCoding => "unsupported",
        Refusal::Schema => "schema",
        Refusal::RateIp | Refusal::RateSource => "rate_limited",
        Refusal::Journal
        | Refusal::StateStore
        | Refusal::Overload
        | Refusal::Draining
        | Refusal::Inactive
        | Refusal::InFlight => "unavailable",
        Refusal::UpstreamError => "upstream_error",
        Refusal::UpstreamTimeout => "upstream_timeout",
        Refusal::Internal => "internal",
    }
}

/// `docs/answers.md`: every answer, and why it is given.
pub fn reference() -> String {
    let mut text = String::from(REFERENCE_HEAD);
    for refusal in Refusal::ALL {
        let (status, class) = (status_of(*refusal), class_of(*refusal));
        let (name, status, meaning) = (refusal.as_str(), status.as_u16(), refusal.meaning().trim());
        let _ = writeln!(text, "| `{name}` | {status} | `{class}` | {meaning} |");
    }
    text += REFERENCE_EVENTS;
    for cause in Cause::ALL {
        let _ = writeln!(text, "| `{}` | {} |", cause.as_str(), cause.meaning().trim());
    }
    text
}

const REFERENCE_HEAD: &str = "\
<!-- Written by tests/docs.rs from src/stages; do not edit. -->

# Answers

A 2xx is a promise: every event of the request was delivered, is safe in the journal, was delivered or kept before, was
dropped by the operator's rule, or is a test of the sender. Anything else means that the sender should try again; what was
delivered or kept already is then recognised (docs/delivery.md). An accepted request is answered with the number of events per verdict, `{\"forward\":2,\"duplicate\":1}`, unless
`reply.success` says otherwise.

| verdict of an event | meaning | answer |
|---|---|---|
| `forward` | the application answered 2xx | 200 |
| `queue` | it is safe in the journal, and delivered from there | 202 |
| `quarantine` | it does not conform, and is safe in the journal for the operator to decide | 200 |
| `duplicate` | it was delivered, queued or set aside before, within `dedup.window`, or still waits in the journal | 200 |
| `drop` | the operator does not want it | 200 |
| `handshake` | a test of the sender, answered here | the rule's |
| `reject` | it breaks a rule, and the source rejects such requests: nothing of the request is forwarded | 422, or 400 without an identity |
| `fail` | it was not delivered | as below |

A batch is answered with a 2xx only if every event may be. A request as a whole is also called `mixed` when its events
have several verdicts, and `accept-empty` when it has none. One with a queued event is answered 202. Where the journal
cannot take a request, nothing of it is queued, and the answer is 503.

## Why a request is refused

The sender is told the class and nothing more, `{\"error\":\"<class>\"}`; the reason is in the log and in the metrics. Every
failure to authenticate looks the same. 429 and 503 carry `Retry-After`.

| reason | status | class | meaning |
|---|---|---|---|
";

const REFERENCE_EVENTS: &str = "
## Why an event is dropped, set aside or rejected

| reason | meaning |
|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_refusal_promises_anything() {
        for refusal in Refusal::ALL {
            let status = status_of(*refusal);
            assert!(status.is_client_error() || status.is_server_error(), "{}", refusal.as_str());
            assert_ne!(status, StatusCode::GONE, "410 would disable the endpoint at some senders");
        }
    }

    #[test]
    fn w_46_one_face_for_all_failures() {
        let faces: Vec<_> = Refusal::ALL
            .iter()
            .filter(|refusal| status_of(**refusal) == StatusCode::UNAUTHORIZED)
            .map(|refusal| AnswerPolicy::default().refuse(*refusal, None))
            .map(|answer| (answer.status, answer.headers, answer.body))
            .collect();
        assert!(faces.len() >= 6);
        assert!(faces.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn i_15_one_failure_spoils_the_batch() {
        let fail = Verdict::Fail(Refusal::UpstreamTimeout);
        let cases = [
            (vec![], 200, "{}"),
            (vec![Verdict::Forward, Verdict::Forward, Verdict::Duplicate], 200, r#"{"forward":2,"duplicate":1}"#),
            (vec![Verdict::Forward, fail], 504, r#"{"error":"upstream_timeout"}"#),
            (vec![fail, Verdict::Reject(Cause::Schema)], 422, r#"{"error":"schema"}"#),
            (vec![Verdict::Queue], 202, r#"{"queue":1}"#),
        ];
        for (verdicts, status, body) in cases {
            let answer = AnswerPolicy::default().conclude(&verdicts, None);
            assert_eq!((answer.status.as_u16(), answer.body.as_ref()), (status, body.as_bytes()), "{verdicts:?}");
        }
    }
}
