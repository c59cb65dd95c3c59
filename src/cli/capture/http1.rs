//! Raw HTTP/1.1 (RFC 9112), as a proxy, `tcpdump` or a hand wrote it to a file.

use bytes::Bytes;
use httparse::{EMPTY_HEADER, Request, Status, parse_chunk_size};

use super::{Capture, Documents, FORMS, received};

/// As many headers as the gateway itself takes.
const HEADERS_MAX: usize = 128;

/// The body as it lies in the file, or taken out of its chunks, and a remark where that is not clear.
type Body = (Vec<u8>, Option<String>);

/// Reads one request.
pub(super) fn read(bytes: &[u8]) -> Result<Capture, String> {
    let mut remarks = Vec::new();
    // A request without a body may have been saved without the empty line at its end.
    let ended;
    let bytes = if has_end_of_head(bytes) {
        bytes
    } else {
        remarks.push("the file has no empty line: all of it is taken for the head".to_owned());
        ended = [bytes.trim_ascii_end(), b"\r\n\r\n"].concat();
        &ended
    };
    let mut slots = [EMPTY_HEADER; HEADERS_MAX];
    let mut request = Request::new(&mut slots);
    let length = match request.parse(bytes) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Err(format!("the head of the request does not end\n  help: {FORMS}")),
        Err(error) => return Err(format!("it is no HTTP request: {error}\n  help: {FORMS}")),
    };
    let headers = || request.headers.iter();
    let find = |name: &str| headers().find(|header| header.name.eq_ignore_ascii_case(name)).map(|it| it.value);
    let (body, remark) = match (find("transfer-encoding"), find("content-length")) {
        (Some(coding), _) if coding.to_ascii_lowercase().ends_with(b"chunked") => unchunk(&bytes[length..]),
        (_, Some(declared)) => cut(&bytes[length..], declared),
        (_, None) => (bytes[length..].to_vec(), None),
    };
    remarks.extend(remark);
    let (origin, target) = split_target(request.path.unwrap_or_default());
    let headers = headers().map(|header| (header.name.to_owned(), header.value.to_vec()));
    let request = received(request.method.unwrap_or_default(), target, headers, Bytes::from(body))?;
    Ok(Capture { form: "raw HTTP/1.1", request, at: None, origin, documents: Documents::default(), remarks })
}

fn has_end_of_head(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair == b"\n\n") || bytes.windows(4).any(|end| end == b"\r\n\r\n")
}

/// An absolute target (RFC 9112, section 3.2.2) says the origin, too.
fn split_target(target: &str) -> (Option<String>, &str) {
    let authority = target.find("://").map(|at| at + 3).filter(|_| !target.starts_with('/'));
    match authority.map(|start| target[start..].find(['/', '?']).map_or(target.len(), |at| start + at)) {
        Some(end) if end == target.len() => (Some(target.to_owned()), "/"),
        Some(end) => (Some(target[..end].to_owned()), &target[end..]),
        None => (None, target),
    }
}

/// The body under its `Content-Length` (RFC 9112, section 6.2). An editor's line end after it is no part of it.
fn cut(rest: &[u8], declared: &[u8]) -> Body {
    let said = std::str::from_utf8(declared).ok().and_then(|text| text.trim().parse::<usize>().ok());
    let has = rest.len();
    let Some(said) = said else { return (rest.to_vec(), Some("`Content-Length` is no number".to_owned())) };
    match rest.split_at_checked(said) {
        Some((body, [])) => (body.to_vec(), None),
        Some((body, more)) if more.trim_ascii().is_empty() => {
            let remark =
                format!("the file goes on after the {said} bytes of the body with white space, which is left out");
            (body.to_vec(), Some(remark))
        }
        Some(_) => {
            let remark = format!(
                "`Content-Length` says {said} bytes, and the file has {has}: the body was changed after it was sent"
            );
            (rest.to_vec(), Some(remark))
        }
        None => {
            let remark = format!("`Content-Length` says {said} bytes, and the file has {has}: the body is not whole");
            (rest.to_vec(), Some(remark))
        }
    }
}

/// The body without its chunks (RFC 9112, section 7.1). A body that has none was taken out of them already.
fn unchunk(rest: &[u8]) -> Body {
    let mut body = Vec::new();
    let mut left = rest;
    while let Ok(Status::Complete((start, size))) = parse_chunk_size(left) {
        if size == 0 {
            return (body, None);
        }
        let chunk = usize::try_from(size).ok().and_then(|size| left[start..].split_at_checked(size));
        let Some((chunk, after)) = chunk else { break };
        body.extend_from_slice(chunk);
        let after = after.strip_prefix(b"\r\n").or_else(|| after.strip_prefix(b"\n"));
        let Some(after) = after else { break };
        left = after;
    }
    if body.is_empty() {
        let remark = "the head says chunked, and the body has no chunks: they are taken for removed".to_owned();
        return (rest.to_vec(), Some(remark));
    }
    (body, Some("the last chunk is missing: the body is not whole".to_owned()))
}
