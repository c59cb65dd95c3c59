//! `hooksieve explain`: a captured request, step by step, and which mistake made it fail.
//!
//! It works offline, for it tries what the gateway never would: with the secrets at hand it finds out under which change
//! the request would be authentic. It prints names, lengths and counts; never a secret, a computed signature or a body.

mod case;
mod happened;
mod hypotheses;
mod keys;
mod look;
mod page;
mod report;
mod rewrite;
mod search;
mod walk;

use std::{
    fs,
    io::{self, Read as _},
    net::IpAddr,
    path::{Path, PathBuf},
};

use clap::Args;
use jiff::Timestamp;

pub use self::page::reference;
use self::{
    case::{Bench, Case, Known},
    keys::Fetched,
    report::Report,
    search::Search,
    walk::Walk,
};
use super::{
    ConfigFile, Format, NO, USAGE,
    capture::{Capture, Wanted},
    complain,
    documents::Documents,
    read, usage,
};
use crate::{
    app,
    clock::{Clock as _, SystemClock},
    config::{Environment, compile::Compiled, raw::auth::Kind},
    gateway::source::Entry,
    stages::receive::{Client, Received},
};

/// What `explain` can be told.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    /// The source that got the request
    source: String,
    #[command(flatten)]
    file: ConfigFile,
    /// The request: raw HTTP/1.1, an HTTP Archive, or a vector; `-` is standard input
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// Which request of a file with several: its number from 1, or a vector's name
    #[arg(long, value_name = "N|NAME")]
    entry: Option<String>,
    /// When it came: an RFC 3339 time or seconds since 1970; without it what the capture says, or else now
    #[arg(long, value_name = "TIME", value_parser = moment)]
    now: Option<Timestamp>,
    /// A document of keys that the sender publishes, as it was fetched: `explain` fetches nothing. May be given again
    #[arg(long, value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// The client's address, for the source's list of those that may send (`allow`)
    #[arg(long, value_name = "ADDRESS")]
    client: Option<IpAddr>,
    /// How the result is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Explains, and says whether the request is accepted.
pub(super) fn explain(options: &Options) -> u8 {
    let environment = Environment::of_process();
    let text = match read(&options.file.config) {
        Ok(text) => text,
        Err(problem) => return usage(&problem),
    };
    let (compiled, found) = app::load(&options.file.config, &text, &environment, false, &mut app::nowhere);
    let Some(compiled) = compiled else {
        complain(&found);
        return USAGE;
    };
    let report = options.bytes().and_then(|bytes| options.report(&compiled, &text, &environment, &bytes));
    match report {
        Err(problem) => usage(&format!("error: {problem}")),
        Ok(report) => {
            match options.format {
                Format::Text => print!("{report}"),
                Format::Json => println!("{}", serde_json::json!(report)),
            }
            if report.answer.accepted { 0 } else { NO }
        }
    }
}

impl Options {
    fn report(
        &self,
        compiled: &Compiled,
        text: &str,
        environment: &Environment,
        bytes: &[u8],
    ) -> Result<Report, String> {
        let source = compiled.sources.iter().find(|source| *source.name == *self.source);
        let sender = compiled.senders.get(&self.source);
        let (Some(source), Some(sender)) = (source, sender) else {
            return Err(super::no_such_source(compiled, &self.source));
        };
        let wanted = Wanted { entry: self.entry.as_deref(), path: &source.path };
        let mut capture = Capture::read(bytes, wanted)
            .map_err(|problem| format!("{} cannot be read: {problem}", self.request.display()))?;
        let (now, said) = self.moment(&capture);
        capture.request.at = now;
        capture.request.head.client = Client { address: self.client, known: self.client.is_some() };
        let documents = if self.keys.is_empty() { capture.documents } else { Documents::of_files(&self.keys)? };
        let fetched = Fetched::of(source, &capture.request, now, &documents);

        let gone = "the secrets cannot be fetched a second time";
        let workplace =
            Workplace { file: &self.file.config, text, environment, name: &self.source, documents: &documents };
        let (mut bench, case, mut known) = workplace.bench(&capture.request, now).ok_or(gone)?;
        known.origin.clone_from(&capture.origin);
        known.signed_at = look::signed_at(&sender.rules, &capture.request, &source.greeter.public_url);
        let entry = source.enter_with(capture.request.clone().into(), &fetched.published, now);
        let is_handshake = matches!(entry, Entry::Denied(..) | Entry::Refused(_, None));
        let unjudged = fetched.unjudged(&entry);
        let search = if fetched.can_verify(&sender.rules, &source.greeter.public_url) {
            search::search(&mut bench, &case.bare(is_handshake), &known, is_handshake)
        } else {
            Search::default()
        };
        let (open, is_judged) = (bench.source(&case.let_in()), unjudged.is_none());
        let walk = Walk { source, sender, open, request: &capture.request, fetched: &fetched, is_judged, now };
        let (steps, answer) = walk.steps(entry);
        let head = &capture.request.head;
        Ok(Report {
            source: self.source.clone(),
            request: format!("{} {}, captured as {}", head.method, head.path, capture.form),
            now: format!("{now} ({said})"),
            remarks: capture.remarks,
            steps,
            answer,
            unjudged,
            search,
        })
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        let cannot = |error: io::Error| format!("cannot read {}: {error}", self.request.display());
        if self.request != Path::new("-") {
            return fs::read(&self.request).map_err(cannot);
        }
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).map_err(cannot)?;
        Ok(bytes)
    }

    fn moment(&self, capture: &Capture) -> (Timestamp, &'static str) {
        match (self.now, capture.at) {
            (Some(now), _) => (now, "`--now`"),
            (None, Some(at)) => (at, "when it was captured"),
            (None, None) => {
                (whole_seconds(SystemClock.now().wall), "the clock of this machine; `--now` says otherwise")
            }
        }
    }
}

/// What benches are made from.
#[derive(Clone, Copy)]
struct Workplace<'a> {
    file: &'a Path,
    text: &'a str,
    environment: &'a Environment,
    name: &'a str,
    documents: &'a Documents,
}

impl<'a> Workplace<'a> {
    /// The bench, how things are, and what is known besides.
    fn bench(self, request: &Received, now: Timestamp) -> Option<(Bench<'a>, Case, Known)> {
        let Self { file, text, environment, name, documents } = self;
        let mut configuration = app::configuration(file, text, environment);
        let raw = configuration.raw.take()?;
        let provider = raw.sources.entries.get(name)?.provider.as_ref();
        let preset = provider.and_then(|id| configuration.presets.get(id.as_str()));
        let schemes: Vec<String> = preset.iter().flat_map(|preset| preset.schemes.entries.keys().cloned()).collect();
        let bench = Bench::new(configuration, environment, app::root(file), documents);
        let (case, mut known) = bench.case(name, raw, request, now)?;
        let other = |scheme: String| Some((scheme.clone(), self.with_scheme(&bench, &scheme, request, now)?));
        known.schemes = schemes.into_iter().filter_map(other).collect();
        Some((bench, case, known))
    }

    /// The same with another scheme of the preset, where that takes anything to prove.
    fn with_scheme(self, bench: &Bench<'_>, scheme: &str, request: &Received, now: Timestamp) -> Option<Case> {
        let variable = format!("HOOKSIEVE_SOURCES__{}__SCHEME", self.name.to_uppercase().replace('-', "_"));
        let environment = self.environment.with(variable, scheme);
        let configuration = app::configuration(self.file, self.text, &environment);
        let raw = configuration.raw.filter(|_| !configuration.diagnostics.has_errors())?;
        let (case, _) = bench.case(self.name, raw, request, now)?;
        let is_open = case.source().auth.iter().any(|rule| rule.kind.value == Kind::None);
        (!is_open).then(|| case.bare(false))
    }
}

/// A time that people can read.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// A time as it is typed.
fn moment(text: &str) -> Result<Timestamp, String> {
    let seconds = text.parse::<i64>().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let moment = seconds.map_or_else(|| text.parse().ok(), Some);
    moment.ok_or_else(|| "a time here is for example 2026-11-21T12:00:00Z or 1795262400".to_owned())
}

#[cfg(test)]
mod tests;
