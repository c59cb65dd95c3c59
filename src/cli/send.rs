//! `hooksieve send`: plays a source's sender, rightly or wrongly, against a gateway that runs.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use http::Uri;

use super::{
    ConfigFile, NO, USAGE, complain,
    private_key::{self, PrivateKey},
    sender::{Draft, Expected, StandIn, unauthenticated},
    through::Through,
    usage,
    wire::Door,
};
use crate::{
    app,
    clock::{Clock as _, SystemClock},
    config::{
        Environment,
        raw::auth::{JoseAlgorithm, Kind, Rule},
    },
    stages::receive::Received,
};

/// What `send` can be told.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    /// The source whose sender is played
    source: String,
    #[command(flatten)]
    file: ConfigFile,
    /// The type of the event; without it the first that there is a sample of
    #[arg(long, value_name = "TYPE")]
    event: Option<String>,
    /// Send the body in this file; in a text, `${now}`, `${uuid}` and `${hex}` are made anew for each request
    #[arg(long, value_name = "FILE", conflicts_with = "event")]
    body: Option<PathBuf>,
    /// How many to send
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Send what must be refused (or, of a duplicate, acknowledged), and see that it is
    #[arg(long = "break", value_name = "WHAT", value_enum)]
    broken: Option<Break>,
    /// Send there instead of the configuration's own listener; a path takes the place of the source's
    #[arg(long, value_name = "URL", value_parser = url)]
    to: Option<Uri>,
    /// Sign with this private key (PEM, PKCS #8), for senders that sign with one
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Make a throw-away private key in this file, unless it is there, print its public half as the source takes it, and
    /// send nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "event", "body", "broken", "to", "curl"])]
    make_key: Option<PathBuf>,
    /// Show what became of it: the lines of the gateway's delivery log, once it is delivered
    #[arg(long, conflicts_with = "curl")]
    through: bool,
    /// Print curl command lines that send the same, and send nothing
    #[arg(long)]
    curl: bool,
}

/// What can be wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Break {
    /// The signature or token looks right and is wrong
    Signature,
    /// The signature is right, and its time is past the tolerance
    Timestamp,
    /// The event breaks its schema
    Schema,
    /// The body ends too early
    Json,
    /// The same request is sent twice
    Duplicate,
}

/// Sends, and says whether every answer was as it should be.
pub(super) fn send(options: &Options) -> u8 {
    if let Some(file) = &options.make_key {
        return match make_key(options, file) {
            Ok(public) => {
                println!("{public}");
                0
            }
            Err(problem) => usage(&format!("error: {problem}")),
        };
    }
    let compiled = match options.file.load(false, &mut app::nowhere) {
        Ok((Some(compiled), _)) => compiled,
        Ok((None, found)) => {
            complain(&found);
            return USAGE;
        }
        Err(problem) => return usage(&problem),
    };
    let Some(stand_in) = StandIn::of(&compiled, &options.source, &SystemClock) else {
        return usage(&format!("error: {}", super::no_such_source(&compiled, &options.source)));
    };
    let key = match options.key.as_deref().map(private_key::read).transpose() {
        Ok(key) => key,
        Err(problem) => return usage(&format!("error: {problem}")),
    };
    let stand_in = match &key {
        Some(key) => stand_in.with_key(key),
        None => stand_in,
    };
    let door = match (&options.to, compiled.listen.first()) {
        (Some(url), _) => Door::Url(url.clone()),
        (None, Some(listen)) => Door::of(listen),
        (None, None) => return usage("error: the configuration listens nowhere\n  help: say `--to URL`"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return usage(&format!("error: the runtime cannot be started: {error}")),
    };
    let through = options.through.then(|| Through::of(&options.file, &options.source)).transpose();
    let through = match through {
        Ok(through) => through,
        Err(problem) => return usage(&format!("error: {problem}")),
    };
    let mut outcome = 0;
    for _ in 0..options.count {
        let requests = match options.requests(&stand_in) {
            Ok(requests) => requests,
            Err(problem) => return usage(&format!("error: {problem}")),
        };
        for (request, expected) in requests {
            let done = if options.curl {
                print_curl(&door, &request)
            } else {
                runtime.block_on(exchange(&stand_in, &door, &request, expected, through.as_ref()))
            };
            match done {
                Ok(true) => {}
                Ok(false) => outcome = NO,
                Err(problem) => {
                    eprintln!("error: {problem}");
                    return NO;
                }
            }
        }
    }
    outcome
}

/// The public half of a throw-away key, in the form in which the source takes its secrets. The configuration is read
/// and not compiled: what it lacks is this very key.
fn make_key(options: &Options, file: &Path) -> Result<String, String> {
    let (config, name) = (&options.file.config, &options.source);
    let text = super::read(config).map_err(|problem| problem.trim_start_matches("error: ").to_owned())?;
    let raw = app::configuration(config, &text, &Environment::of_process()).raw;
    let source = raw.as_ref().and_then(|raw| raw.sources.entries.get(name));
    let source = source
        .ok_or_else(|| format!("there is no source {name:?} that can be read\n  help: `hooksieve check` says why"))?;
    let rule = source.auth.first().ok_or("the source does not say how its sender proves itself")?;
    if !file.exists() {
        let pem = PrivateKey::make(key_kind(rule))?;
        private_key::write(file, &pem).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    let public = private_key::read(file)?.public_as(rule.key.decode.value)?;
    eprintln!(
        "this is the public half of {}, for tests only: put it where `{}.secrets` is, then\n  hooksieve send {name} --key {}",
        file.display(),
        source.at.path(),
        file.display()
    );
    Ok(public)
}

/// The kind of key that a rule's signatures are made with.
pub(super) fn key_kind(rule: &Rule) -> Kind {
    match rule.algorithms.first().map(|algorithm| algorithm.value) {
        Some(JoseAlgorithm::EdDsa) => Kind::Ed25519,
        Some(JoseAlgorithm::Es256) => Kind::Ecdsa,
        Some(
            JoseAlgorithm::Ps256
            | JoseAlgorithm::Ps384
            | JoseAlgorithm::Ps512
            | JoseAlgorithm::Rs256
            | JoseAlgorithm::Rs384
            | JoseAlgorithm::Rs512,
        ) => Kind::Rsa,
        Some(JoseAlgorithm::Hs256 | JoseAlgorithm::Hs384 | JoseAlgorithm::Hs512) | None => rule.kind.value,
    }
}

impl Options {
    /// What is sent in one go, and what should be answered.
    fn requests(&self, stand_in: &StandIn<'_>) -> Result<Vec<(Received, Expected)>, String> {
        let draft = self.draft(stand_in)?;
        let refused = unauthenticated(stand_in.source);
        Ok(match self.broken {
            None => vec![(stand_in.sign(&draft)?, Expected::Success)],
            Some(Break::Signature) => vec![(stand_in.forge(&draft)?, refused)],
            Some(Break::Timestamp) => vec![(stand_in.stale(&draft)?, refused)],
            Some(Break::Schema) => judged(stand_in, stand_in.misshapen(&draft)?),
            Some(Break::Json) => judged(stand_in, stand_in.cut(&draft)?),
            Some(Break::Duplicate) => {
                let request = stand_in.sign(&draft)?;
                let repeated = stand_in.repeated(&request);
                vec![(request.clone(), Expected::Success), (request, repeated)]
            }
        })
    }

    fn draft(&self, stand_in: &StandIn<'_>) -> Result<Draft, String> {
        let Some(path) = &self.body else { return stand_in.sample(self.event.as_deref()) };
        let bytes = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        match String::from_utf8(bytes) {
            Ok(text) => stand_in.text(&text),
            Err(error) => Ok(stand_in.bytes(error.into_bytes())),
        }
    }
}

fn judged(stand_in: &StandIn<'_>, request: Received) -> Vec<(Received, Expected)> {
    let expected = stand_in.expected(&request);
    vec![(request, expected)]
}

fn print_curl(door: &Door, request: &Received) -> Result<bool, String> {
    println!("{}", door.curl(request)?);
    Ok(true)
}

/// Sends one request and prints what is answered; whether that is as it should be.
async fn exchange(
    stand_in: &StandIn<'_>,
    door: &Door,
    request: &Received,
    expected: Expected,
    through: Option<&Through>,
) -> Result<bool, String> {
    let sent = SystemClock.now().wall;
    let help = "\n  help: does the gateway run? `hooksieve run`, or say where with `--to URL`";
    let reply = door.send(request).await.map_err(|problem| problem + help)?;
    let is_told = stand_in.source.answers.success.is_none() && !stand_in.source.delivery.relay;
    let is_met = expected.is_met(reply.status, &reply.body, is_told);
    print!("{} ", reply.status.as_u16());
    let _ = io::stdout().write_all(&reply.body);
    println!("");
    if !is_met {
        eprintln!("this is not as it should be: expected {expected}");
    }
    if let Some(through) = through {
        return Ok(through.show(&stand_in.identities(request), sent).await? && is_met);
    }
    Ok(is_met)
}

fn url(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(_)) if uri.query().is_none() => Ok(uri),
        _ => Err("a URL here is for example http://127.0.0.1:8080".to_owned()),
    }
}
