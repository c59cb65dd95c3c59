//! A request to the gateway, and everything that came of it.

use super::{
    application::Seen,
    gateway::Gateway,
    soon,
    wire::{Answer, Wire},
};

/// One request, on a connection of its own.
#[derive(Clone)]
pub(crate) struct Request<'g> {
    gateway: &'g Gateway,
    line: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// What came of it: for the sender, in the metrics, at the application.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    /// Outcome and reason as they were counted, with a blank between them.
    pub(crate) counted: String,
    pub(crate) events: Vec<Seen>,
    sent: Vec<u8>,
}

impl<'g> Request<'g> {
    pub(super) fn new(gateway: &'g Gateway, method: &str, target: &str) -> Self {
        Self { gateway, line: format!("{method} {target} HTTP/1.1"), headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header line.
    #[must_use]
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    #[must_use]
    pub(crate) fn body(self, body: impl AsRef<[u8]>) -> Self {
        Self { body: body.as_ref().to_vec(), ..self }
    }

    /// Sends it and waits for its answer. Nothing else may be under way at the same time.
    #[track_caller]
    pub(crate) fn send(self) -> impl Future<Output = Reply> {
        let caller = std::panic::Location::caller();
        async move {
            let gateway = self.gateway;
            let (before, records) = (gateway.counts(REQUESTS), gateway.records().len());
            let sent = self.body.clone();
            let answer = self.fire().await;
            // What is no request at all is answered by the parser, and counted when its connection ends.
            soon(async {
                while gateway.counts(REQUESTS) == before {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            let counted: Vec<_> = gateway.counts(REQUESTS).into_iter().filter(|it| !before.contains(it)).collect();
            let [(labels, _)] = &counted[..] else { panic!("one count for one request, not {counted:?}, at {caller}") };
            if gateway.records().len() > records {
                assert_eq!(gateway.record()["status"], answer.status, "the record has the status, at {caller}");
            } else {
                assert!(gateway.sent.get() > 100, "every request leaves a record, at {caller}");
            }
            let (outcome, reason) = (label(labels, "outcome"), label(labels, "reason"));
            let events = gateway.events();
            events.iter().for_each(Seen::is_vouched_for);
            Reply { answer, counted: format!("{outcome} {reason}").trim_end().to_owned(), events, sent }
        }
    }

    /// Sends it and waits for its answer; many may be under way.
    pub(crate) async fn fire(self) -> Answer {
        self.gateway.sent.set(self.gateway.sent.get() + 1);
        let mut wire = Wire::connect(self.gateway.address).await;
        wire.send_some(self.bytes()).await;
        wire.answer().await
    }

    fn bytes(&self) -> Vec<u8> {
        let Self { line, headers, body, .. } = self;
        let mut bytes = format!("{line}\r\nHost: gw.test\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            bytes += "Content-Type: application/json\r\n";
        }
        let mut bytes = bytes.into_bytes();
        for (name, value) in headers {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        bytes.extend([b"\r\n", body.as_slice()].concat());
        bytes
    }
}

const REQUESTS: &str = "hooksieve_requests_total";

/// The value of one label.
pub(crate) fn label<'a>(labels: &'a str, name: &str) -> &'a str {
    let value = labels.split([',', '{', '}']).find_map(|label| label.strip_prefix(name)?.strip_prefix("=\""));
    value.and_then(|value| value.strip_suffix('"')).expect("the label is there")
}

impl Reply {
    /// The sender was answered so, and this was counted: an outcome, and a reason if it has one.
    #[track_caller]
    pub(crate) fn is(&self, status: u16, counted: &str) -> &Self {
        let got = (self.answer.status, self.counted.as_str());
        assert_eq!(got, (status, counted), "{}", String::from_utf8_lossy(&self.answer.body));
        self
    }

    /// Not authentic, and the application heard nothing.
    #[track_caller]
    pub(crate) fn is_401(&self, reason: &str) -> &Self {
        assert_eq!(self.answer.text(), r#"{"error":"unauthenticated"}"#);
        self.is(401, &format!("reject {reason}")).reaches_nobody()
    }

    #[track_caller]
    pub(crate) fn reaches_nobody(&self) -> &Self {
        assert!(self.events.is_empty(), "{:?}", self.events);
        self
    }

    /// The application got the body, byte for byte, once.
    #[track_caller]
    pub(crate) fn is_forwarded(&self) -> &Seen {
        self.is(200, "forward");
        let [seen] = &self.events[..] else { panic!("one event, not {:?}", self.events) };
        assert_eq!(seen.body, self.sent);
        seen
    }
}

impl Seen {
    /// What section 5 of the design promises of every request to an application.
    fn is_vouched_for(&self) {
        let header =
            |name: &str| self.header(name).unwrap_or_else(|| panic!("{name} is not there once:\n{}", self.head));
        assert!(self.head.starts_with("POST /hooks HTTP/1.1\r\n"), "{}", self.head);
        assert_eq!(header("content-length"), self.body.len().to_string());
        assert!(!header("content-type").is_empty());
        assert!(!header("webhook-id").is_empty());
        assert_eq!(header("idempotency-key"), header("webhook-id"));
        assert!(header("webhook-timestamp").parse::<i64>().is_ok());
        assert!(!header("hooksieve-source").is_empty());
        assert!(header("hooksieve-attempt").parse::<u32>().is_ok_and(|attempt| attempt > 0));
        assert!(header("hooksieve-received-at").ends_with('Z'));
        let (strength, key) = header("hooksieve-verified").split_once("; key=").expect("strength and key");
        assert!(["verified", "partial", "token", "none"].contains(&strength) && !key.is_empty());
        assert!(header("traceparent").starts_with("00-") && header("traceparent").len() == 55);
    }
}
