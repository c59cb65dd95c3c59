//! `hooksieve send`: plays a source's sender, rightly or wrongly, against a gateway that runs.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
};

use clap::{Args, ValueEnum};
use http::Uri;

use super::{
    ConfigFile, NO, USAGE, complain,
    sender::{Draft, Expected, StandIn, unauthenticated},
    through::Through,
    usage,
    wire::Door,
};
use crate::{
    app,
    clock::{Clock as _, SystemClock},
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
    let compiled = match options.file.load(false, &mut app::nowhere) {
        Ok((Some(compiled), _)) => compiled,
        Ok((None, found)) => {
            complain(&found);
            return USAGE;
        }
        Err(problem) => return usage(&problem),
    };
    let Some(stand_in) = StandIn::of(&compiled, &options.source, &SystemClock) else {
        let known: Vec<_> = compiled.senders.keys().map(String::as_str).collect();
        return usage(&format!(
            "error: there is no source {:?}\n  help: there are {}",
            options.source,
            known.join(", ")
        ));
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
                vec![(request.clone(), Expected::Success), (request, Expected::Duplicate)]
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
