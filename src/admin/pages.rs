//! Which pages there are.

use http::Method;

use crate::state::journal::EntryId;

/// A page, found by its path byte for byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// `/deliveries`
    Deliveries,
    /// `/deliveries/{id}`
    Delivery(EntryId),
    /// `/live`
    Live,
    /// `/metrics`
    Metrics,
    /// `/ready`
    Ready,
    /// `/deliveries/{id}/replay`
    Replay(EntryId),
    /// `/sources`
    Sources,
}

/// Every request that can be made: method, path, and what it is for.
pub(super) const REQUESTS: &[(&str, &str, &str)] = &[
    ("GET", "/live", "Whether the process runs: 200. Needs no token."),
    ("GET", "/ready", "Whether it should get traffic: 200, or 503 with the reasons. Needs no token."),
    ("GET", "/metrics", "The metrics of docs/telemetry.md, in the text format that Prometheus reads."),
    ("GET", "/sources", "The sources as they run, with what came in and what waits for somebody."),
    ("GET", "/deliveries", "The delivery log, the newest first, without bodies."),
    ("GET", "/deliveries/{id}", "One delivery, whole; with its bytes when asked by `?body=1`."),
    (
        "POST",
        "/deliveries/{id}/replay",
        "Delivers it once more: past deduplication, under its old identity. Needs no body.",
    ),
    ("DELETE", "/deliveries/{id}", "Gives it up: its bytes are deleted, its line stays."),
];

impl Page {
    pub(super) fn find(path: &str) -> Option<Self> {
        Some(match path {
            "/deliveries" => Self::Deliveries,
            "/live" => Self::Live,
            "/metrics" => Self::Metrics,
            "/ready" => Self::Ready,
            "/sources" => Self::Sources,
            _ => {
                let rest = path.strip_prefix("/deliveries/")?;
                match rest.strip_suffix("/replay") {
                    Some(id) => Self::Replay(entry(id)?),
                    None => Self::Delivery(entry(rest)?),
                }
            }
        })
    }

    /// Whether it is for probes, which have no token.
    pub(super) fn is_probe(self) -> bool {
        match self {
            Self::Live | Self::Ready => true,
            Self::Deliveries | Self::Delivery(_) | Self::Metrics | Self::Replay(_) | Self::Sources => false,
        }
    }

    /// For `Allow`.
    pub(super) fn methods(self) -> &'static str {
        match self {
            Self::Deliveries | Self::Live | Self::Metrics | Self::Ready | Self::Sources => "GET, HEAD",
            Self::Delivery(_) => "GET, HEAD, DELETE",
            Self::Replay(_) => "POST",
        }
    }

    pub(super) fn takes(self, method: &Method) -> bool {
        self.methods().split(", ").any(|known| known == method.as_str())
    }
}

/// The number of an entry, in its one spelling.
fn entry(text: &str) -> Option<EntryId> {
    let id = text.parse().ok().filter(|id| *id > 0).map(EntryId)?;
    (id.0.to_string() == text).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o_22_paths_have_one_spelling() {
        let check = |path: &str, want: Option<Page>| assert_eq!(Page::find(path), want, "{path}");
        check("/deliveries/42", Some(Page::Delivery(EntryId(42))));
        check("/deliveries/42/replay", Some(Page::Replay(EntryId(42))));
        for other in [
            "/",
            "/Live",
            "/live/",
            "//live",
            "/deliveries/",
            "/deliveries/042",
            "/deliveries/+42",
            "/deliveries/0",
            "/deliveries/-1",
            "/deliveries/x",
            "/deliveries/42/",
            "/deliveries/42/replay/",
            "/deliveries//replay",
            "/deliveries/9223372036854775808",
            "/deliveries/42%2Freplay",
        ] {
            check(other, None);
        }
    }

    #[test]
    fn what_is_documented_is_there() {
        for (method, path, _) in REQUESTS {
            let page = Page::find(&path.replace("{id}", "1")).unwrap();
            assert!(page.takes(&method.parse().unwrap()), "{method} {path}");
        }
    }
}
