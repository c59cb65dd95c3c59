//! Who may ask: clients that mean this listener, are no page on the web, and have the token where one is demanded.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, Method, StatusCode, header, uri::Authority};

use super::{answers::Problem, pages::Page};
use crate::stages::schemes::token::Fingerprint;

/// Whom the door lets in.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Names of this listener, besides addresses and `localhost`.
    pub hosts: Vec<String>,
    /// What clients must bring for everything but the probes. Without one everybody who reaches the listener may ask.
    pub token: Option<Fingerprint>,
}

/// Fetch Metadata Request Headers, section 2.3.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

impl Guard {
    /// Judges a request by its head. Who has no token learns nothing, not even which pages there are.
    pub(super) fn admit(&self, method: &Method, page: Option<Page>, headers: &HeaderMap) -> Result<(), Problem> {
        let host = self.host(headers).ok_or(MISDIRECTED)?;
        if !method.is_safe() && is_of_a_web_page(headers, &host) {
            return Err(FOREIGN);
        }
        let is_open = page.is_some_and(Page::is_probe);
        match &self.token {
            Some(token) if !is_open && !bearer(headers).is_some_and(|given| token.matches(given)) => {
                Err(UNAUTHENTICATED)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The one `Host`, if it is ours. A page on the web can make a browser ask us under a name of its own that points
    /// here (DNS rebinding); it can do so under no address, and not as `localhost`.
    fn host(&self, headers: &HeaderMap) -> Option<Authority> {
        let authority = Authority::try_from(only(headers, &header::HOST)?).ok()?;
        let host = authority.host();
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let is_ours = bare.parse::<IpAddr>().is_ok()
            || host.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host));
        is_ours.then_some(authority)
    }
}

/// Whether a browser sends this for a page that is not ours. Commands and scripts send neither header.
fn is_of_a_web_page(headers: &HeaderMap, host: &Authority) -> bool {
    let is_ours = |origin: &[u8]| {
        let ours = host.as_str().as_bytes();
        [b"http://".as_slice(), b"https://"].iter().any(|scheme| origin.strip_prefix(*scheme) == Some(ours))
    };
    let foreign_origin = headers.get_all(header::ORIGIN).iter().any(|origin| !is_ours(origin.as_bytes()));
    let foreign_site = |site: &[u8]| !matches!(site, b"same-origin" | b"none");
    foreign_origin || headers.get_all(SEC_FETCH_SITE).iter().any(|site| foreign_site(site.as_bytes()))
}

/// The token of `Authorization: Bearer …` (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = only(headers, &header::AUTHORIZATION)?.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

/// The value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next().map(http::HeaderValue::as_bytes);
    first.filter(|_| lines.next().is_none())
}

const MISDIRECTED: Problem = Problem {
    status: StatusCode::MISDIRECTED_REQUEST,
    error: "misdirected",
    message: "this listener has another name: use its address or `localhost`, or add the name to `admin.hosts`",
};

const FOREIGN: Problem =
    Problem { status: StatusCode::FORBIDDEN, error: "forbidden", message: "a page of another site may not do this" };

const UNAUTHENTICATED: Problem = Problem {
    status: StatusCode::UNAUTHORIZED,
    error: "unauthenticated",
    message: "send `Authorization: Bearer` and the token of `[admin]`",
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn head(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn o_22_web_pages_change_nothing() {
        let check = |method: Method, more: &[(&'static str, &'static str)], want: Option<u16>| {
            let headers = head(&[&[("host", "localhost:9464")], more].concat());
            let judged = Guard::default().admit(&method, None, &headers);
            assert_eq!(judged.err().map(|problem| problem.status.as_u16()), want, "{method} {more:?}");
        };
        check(Method::POST, &[], None);
        for (name, value) in [
            ("origin", "https://evil.test"),
            ("origin", "http://localhost:3000"),
            ("origin", "http://localhost:9464.evil.test"),
            ("origin", "null"),
            ("origin", ""),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            check(Method::POST, &[(name, value)], Some(403));
            check(Method::DELETE, &[(name, value)], Some(403));
            check(Method::GET, &[(name, value)], None);
        }
        check(Method::POST, &[("origin", "http://localhost:9464"), ("sec-fetch-site", "same-origin")], None);
        check(Method::POST, &[("origin", "http://localhost:9464"), ("origin", "http://evil.test")], Some(403));
    }

    #[test]
    fn o_22_the_token_is_demanded() {
        let token = Fingerprint::of(&Secret::new("correct horse battery"));
        let guard = Guard { hosts: Vec::new(), token: Some(token) };
        let check = |page: &str, more: &[(&'static str, &'static str)], want: Option<u16>| {
            let headers = head(&[&[("host", "localhost")], more].concat());
            let judged = guard.admit(&Method::GET, Page::find(page), &headers);
            assert_eq!(judged.err().map(|problem| problem.status.as_u16()), want, "{page} {more:?}");
        };
        for page in ["/metrics", "/deliveries", "/sources", "/deliveries/1", "/nothing"] {
            check(page, &[], Some(401));
            check(page, &[("authorization", "Bearer correct horse battery")], None);
        }
        check("/live", &[], None);
        check("/ready", &[], None);
        for wrong in ["", "Bearer", "Bearer ", "Bearer correct horse batter", "Basic correct horse battery", "correct"]
        {
            check("/sources", &[("authorization", wrong)], Some(401));
        }
        check("/sources", &[("authorization", "bearer correct horse battery")], None);
        let right = ("authorization", "Bearer correct horse battery");
        check("/sources", &[right, right], Some(401));
    }
}
