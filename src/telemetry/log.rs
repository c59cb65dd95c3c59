//! Where records and messages go: one line each, to standard error.

use std::{any::Any, io::IsTerminal as _, panic};

use prometheus_client::metrics::counter::Counter;
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer as _,
    filter::Targets,
    fmt::{self, MakeWriter},
    layer::SubscriberExt as _,
    registry,
    util::{SubscriberInitExt as _, TryInitError},
};

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object per line, with the fields of the record at its top.
    Json,
}

/// Sends everything the process has to say to standard error.
///
/// The environment is not asked, and other crates say no more than warnings whatever the level: what hyper and rustls
/// trace are the bytes of requests. Fails when there is a subscriber already.
pub fn init(format: Format, level: LevelFilter) -> Result<(), TryInitError> {
    let json = match format {
        Format::Auto => !std::io::stderr().is_terminal(),
        Format::Text => false,
        Format::Json => true,
    };
    subscriber(json, level, std::io::stderr).try_init()
}

/// Sends everything from this level on to `writer`, one JSON object per line and write, for a program that shows it in
/// another way. Fails when there is a subscriber already.
pub fn init_with<W>(level: LevelFilter, writer: W) -> Result<(), TryInitError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    subscriber(true, level, writer).try_init()
}

/// Counts panics and logs where they happened, instead of printing what they say.
///
/// What a panic says may quote the data it stumbled over; only words that stood in the source code are repeated.
pub fn count_panics(panics: Counter) {
    panic::set_hook(Box::new(move |info| {
        panics.inc();
        let location = info.location().map(ToString::to_string);
        tracing::error!(location, said = constant(info.payload()), "panic");
    }));
}

fn constant(payload: &dyn Any) -> Option<&'static str> {
    payload.downcast_ref::<&'static str>().copied()
}

fn subscriber<W>(json: bool, level: LevelFilter, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let others = level.min(LevelFilter::WARN);
    let filter = Targets::new().with_target(env!("CARGO_CRATE_NAME"), level).with_default(others);
    // Colours are for people who look at a terminal, and it says so itself.
    let lines = fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(writer);
    let lines = if json { lines.json().flatten_event(true).boxed() } else { lines.boxed() };
    Box::new(registry().with(lines.with_filter(filter)))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
        time::Duration,
    };

    use http::Method;
    use serde_json::Value;

    use super::*;
    use crate::{
        clock::{Clock as _, SystemClock},
        stages::words::{Refusal, Verdict},
        telemetry::{AccessRecord, FIELDS, Metrics, Outcome, Reason, Telemetry, Timings},
    };

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written while `act` runs.
    fn written(json: bool, level: LevelFilter, act: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        tracing::subscriber::with_default(subscriber(json, level, move || writer.clone()), act);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    fn full_record() -> AccessRecord {
        let second = Some(Duration::from_secs(1));
        let method = Method::from_bytes("X".repeat(300).as_bytes()).unwrap();
        let (client, reason) = (Some([192, 0, 2, 1].into()), Reason::Refusal(Refusal::UpstreamError));
        let mut record = AccessRecord::new(method, client, 502, Outcome::Mixed, reason);
        record.observed = Some("not_json");
        (record.pointer, record.keyword) = (Some("/a".to_owned()), Some("type".to_owned()));
        record.counts = [Verdict::Forward, Verdict::Fail(Refusal::UpstreamError)].into_iter().collect();
        record.key = Some("2026-11".into());
        record.strength = Some("verified");
        record.trace_id = Some("4bf92f3577b34da6a3ce929d0e0e4736".into());
        record.path = Some("/\n{\"level\":\"error\"}\u{1b}[2J".to_owned());
        record.timings = Timings { authenticate: second, split: second, check: second, claim: second, deliver: second };
        (record.sig_len, record.tokens, record.secrets_tried) = (Some(64), Some(1), Some(2));
        record
    }

    fn record(record: &AccessRecord, times: usize) -> impl FnOnce() {
        let telemetry = Telemetry::new(Arc::new(Metrics::new()));
        let (source, now) = (telemetry.metrics.source("acme"), SystemClock.now().steady);
        move || (0..times).for_each(|_| telemetry.request(&source, record, now))
    }

    #[test]
    fn o_18_a_record_is_one_line_of_flat_json() {
        let text = written(true, LevelFilter::INFO, record(&full_record(), 1));
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "request");
        assert_eq!(line["target"], "hooksieve::access");
        assert_eq!(line["path"], r#"/\u{a}{"level":"error"}\u{1b}[2J"#);
        assert_eq!(line["method"], "X".repeat(256) + "…");
        assert_eq!((&line["forward"], &line["fail"], &line["events"]), (&1.into(), &1.into(), &2.into()));
        assert_eq!((&line["client"], &line["deliver_us"]), (&"192.0.2.1".into(), &1_000_000.into()));
        for field in line.as_object().unwrap().keys().filter(|key| !["timestamp", "level", "target"].contains(&&***key))
        {
            assert!(FIELDS.iter().any(|(name, _)| name == field), "{field} is not documented");
        }
        let absent: Vec<_> =
            FIELDS.iter().filter(|(name, _)| line.get(name).is_none()).map(|(name, _)| *name).collect();
        assert_eq!(absent, ["queue", "duplicate", "drop", "handshake", "quarantine", "reject", "suppressed"]);
    }

    #[test]
    fn o_18_text_is_one_line_too() {
        let text = written(false, LevelFilter::INFO, record(&full_record(), 1));
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.contains("\u{1b}[2J"));
    }

    #[test]
    fn l_11_only_refusals_are_sampled() {
        let mut refused = full_record();
        (refused.outcome, refused.reason) = (Outcome::Reject, Reason::Refusal(Refusal::AuthMismatch));
        assert_eq!(written(true, LevelFilter::INFO, record(&refused, 250)).lines().count(), 100);
        assert_eq!(written(true, LevelFilter::INFO, record(&full_record(), 250)).lines().count(), 250);
    }

    #[test]
    fn o_19_other_crates_only_warn() {
        let say = || {
            tracing::trace!("ours");
            tracing::info!(target: "hyper::proto", "the bytes of a request");
            tracing::warn!(target: "rustls::conn", "a warning");
        };
        let check = |level, want: &[&str]| {
            let text = written(true, level, say);
            let said: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert!(said.iter().map(|line| line["message"].as_str().unwrap()).eq(want.iter().copied()), "{text}");
        };
        check(LevelFilter::TRACE, &["ours", "a warning"]);
        check(LevelFilter::INFO, &["a warning"]);
        check(LevelFilter::ERROR, &[]);
    }

    #[test]
    fn o_19_a_panic_repeats_only_what_stands_in_the_source() {
        assert_eq!(constant(&"an invariant"), Some("an invariant"));
        assert_eq!(constant(&"with data".to_owned()), None);
    }
}
