//! The rules of HTTP/1 heads that hyper leaves to the service.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header, uri::Authority};

use crate::stages::words::Refusal;

/// Whether a head can be acted on at all, whatever the path.
pub(super) fn check(
    method: &Method,
    uri: &Uri,
    version: Version,
    headers: &HeaderMap,
    target_max: usize,
) -> Result<(), Refusal> {
    // A 2xx to CONNECT would open a tunnel, and TRACE would echo credentials.
    if *method == Method::CONNECT || *method == Method::TRACE {
        return Err(Refusal::Method);
    }
    let host = host(version, headers)?;
    check_target(uri, host.as_ref(), target_max)?;
    check_transfer_coding(headers)?;
    if !is_plain(headers) {
        return Err(Refusal::MediaType);
    }
    if !all_are(headers, &header::EXPECT, "100-continue") {
        return Err(Refusal::Expectation);
    }
    Ok(())
}

/// Whether the body is not compressed (RFC 9110, section 8.4): a signature is over the bytes that are sent.
pub fn is_plain(headers: &HeaderMap) -> bool {
    all_are(headers, &header::CONTENT_ENCODING, "identity")
}

/// Exactly one `Host`, and it is a host (RFC 9112, section 3.2). HTTP/1.0 may do without.
fn host(version: Version, headers: &HeaderMap) -> Result<Option<Authority>, Refusal> {
    let mut lines = headers.get_all(header::HOST).iter();
    let (line, more) = (lines.next(), lines.next());
    match (line, more) {
        (None, _) if version == Version::HTTP_10 => Ok(None),
        (Some(line), None) => authority(line).map(Some).ok_or(Refusal::Host),
        (None | Some(_), _) => Err(Refusal::Host),
    }
}

fn authority(value: &HeaderValue) -> Option<Authority> {
    let authority = Authority::try_from(value.as_bytes()).ok()?;
    let well_formed = !authority.host().is_empty() && !authority.as_str().contains('@');
    well_formed.then_some(authority)
}

/// Origin form, or absolute form for the very host of the `Host` header (RFC 9112, section 3.2).
fn check_target(uri: &Uri, host: Option<&Authority>, target_max: usize) -> Result<(), Refusal> {
    let length = uri.path().len() + uri.query().map_or(0, |query| query.len() + 1);
    if length > target_max {
        return Err(Refusal::Uri);
    }
    if !uri.path().starts_with('/') {
        return Err(Refusal::Target);
    }
    let Some(authority) = uri.authority() else { return Ok(()) };
    let web = matches!(uri.scheme_str(), Some("http" | "https"));
    if web && host.is_some_and(|host| host.as_str().eq_ignore_ascii_case(authority.as_str())) {
        Ok(())
    } else {
        Err(Refusal::Target)
    }
}

/// `chunked`, once, is the only transfer coding. Said twice it is bad framing; another one is not supported.
fn check_transfer_coding(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut chunked = 0;
    for line in headers.get_all(header::TRANSFER_ENCODING) {
        for coding in line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if coding.eq_ignore_ascii_case(b"chunked") {
                chunked += 1;
            } else if coding.is_empty() || coding.eq_ignore_ascii_case(b"identity") {
                return Err(Refusal::Framing);
            } else {
                return Err(Refusal::TransferCoding);
            }
        }
    }
    if chunked > 1 { Err(Refusal::Framing) } else { Ok(()) }
}

fn all_are(headers: &HeaderMap, name: &HeaderName, want: &str) -> bool {
    headers.get_all(name).iter().all(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(want.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn judge(method: &str, target: &str, headers: &[(&str, &str)], want: Result<(), Refusal>) {
        let map = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let mut all = HeaderMap::new();
        map.for_each(|(name, value): (HeaderName, HeaderValue)| _ = all.append(name, value));
        let got = check(&method.parse().unwrap(), &target.parse().unwrap(), Version::HTTP_11, &all, 64);
        assert_eq!(got, want, "{method} {target} {headers:?}");
    }

    #[track_caller]
    fn judge_header(name: &str, values: &[&str], want: Result<(), Refusal>) {
        let mut headers = vec![("host", "gw.test")];
        headers.extend(values.iter().map(|value| (name, *value)));
        judge("POST", "/in/acme", &headers, want);
    }

    #[test]
    fn p_09_p_10_transfer_codings() {
        let check = |values: &[&str], want| judge_header("transfer-encoding", values, want);
        check(&[], Ok(()));
        check(&["chunked"], Ok(()));
        check(&["Chunked"], Ok(()));
        check(&["gzip, chunked"], Err(Refusal::TransferCoding));
        check(&["chunked, chunked"], Err(Refusal::Framing));
        check(&["chunked", "chunked"], Err(Refusal::Framing));
        check(&["identity", "chunked"], Err(Refusal::Framing));
        check(&["chunked,"], Err(Refusal::Framing));
    }

    #[test]
    fn p_24_hosts() {
        let check = |hosts: &[&str], want| {
            let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            judge("POST", "/in/acme", &headers, want);
        };
        check(&["gw.test"], Ok(()));
        check(&["gw.test:8080"], Ok(()));
        check(&["[::1]:8080"], Ok(()));
        for bad in ["a b", "", "user@gw.test", "gw.test/x", "gw.test?x", ":80"] {
            check(&[bad], Err(Refusal::Host));
        }
        check(&[], Err(Refusal::Host));
        check(&["gw.test", "gw.test"], Err(Refusal::Host));
        let old = super::check(&Method::POST, &"/".parse().unwrap(), Version::HTTP_10, &HeaderMap::new(), 64);
        assert_eq!(old, Ok(()), "HTTP/1.0 knows no Host");
    }

    #[test]
    fn p_26_p_27_p_28_p_46_targets() {
        let check = |method, target: &str, want| judge(method, target, &[("host", "gw.test")], want);
        check("POST", "http://gw.test/in/acme", Ok(()));
        check("POST", "http://GW.test/in/acme", Ok(()));
        check("POST", "http://evil/in/acme", Err(Refusal::Target));
        check("POST", "ftp://gw.test/in/acme", Err(Refusal::Target));
        check("POST", "evil:80", Err(Refusal::Target));
        check("POST", "*", Err(Refusal::Target));
        check("CONNECT", "evil:80", Err(Refusal::Method));
        check("TRACE", "/in/acme", Err(Refusal::Method));
        check("POST", &format!("/{}", "a".repeat(63)), Ok(()));
        check("POST", &format!("/{}?a", "a".repeat(62)), Err(Refusal::Uri));
    }

    #[test]
    fn p_33_p_34_p_47_codings_and_expectations() {
        judge_header("content-encoding", &["identity"], Ok(()));
        judge_header("content-encoding", &["gzip"], Err(Refusal::MediaType));
        judge_header("content-encoding", &["identity", "br"], Err(Refusal::MediaType));
        judge_header("expect", &["100-Continue"], Ok(()));
        judge_header("expect", &["100-continue", "100-continue"], Ok(()));
        judge_header("expect", &["nonsense"], Err(Refusal::Expectation));
    }
}
