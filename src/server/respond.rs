//! An [`Answer`] as an HTTP response: always with a length, never with a cookie or our name.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body_util::Full;

use crate::stages::answer::Answer;

/// Builds the response; `close` on top of what the answer itself says.
pub(crate) fn respond(answer: Answer, close: bool) -> Response<Full<Bytes>> {
    let Answer { status, headers: given, body, close: answer_closes } = answer;
    let mut response = Response::new(Full::new(body.clone()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(given.len() + 3);
    headers.extend(given);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    if !body.is_empty() {
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    if close || answer_closes {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
