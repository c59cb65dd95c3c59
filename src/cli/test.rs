//! `hooksieve test`: recorded requests through the real configuration language, at the time they were recorded.

use std::path::PathBuf;

use clap::Args;
use http::Method;

use super::{
    NO, read, usage,
    vectors::{self, Doorkeeper, Expect, Vector},
};
use crate::{
    gateway::source::{Entry, Source},
    stages::{
        answer::Answer,
        authenticate::Authentic,
        words::{Refusal, Verdict},
    },
};

/// What `test` can be told.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    /// Files of vectors: an object with `vectors` and `handshakes`, or a list
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs all vectors of all files.
pub(super) fn test(options: &Options) -> u8 {
    let (mut passed, mut failed) = (0, 0);
    for file in &options.files {
        let text = match read(file) {
            Ok(text) => text,
            Err(problem) => return usage(&problem),
        };
        let vectors = match vectors::read(&text) {
            Ok(vectors) => vectors,
            Err(error) => {
                let help = "a vector has name, provider, secrets, settings, request, now and expect";
                return usage(&format!("error: {} holds no vectors: {error}\n  help: {help}", file.display()));
            }
        };
        for vector in vectors {
            match run(&vector) {
                Ok(()) => passed += 1,
                Err(mismatch) => {
                    failed += 1;
                    println!("{}: {}/{}: {mismatch}", file.display(), vector.provider, vector.name);
                }
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { 0 } else { NO }
}

/// The mismatch, in one line, if there is one.
fn run(vector: &Vector) -> Result<(), String> {
    match vector.expect {
        Expect::Accept => accepted(vector),
        Expect::Reject => rejected(vector),
        // A test of the sender's that is recorded without a secret proves nothing. It is put to a source that refuses
        // whoever has to prove something, and then to one that does not ask.
        Expect::Reply if vector.has_no_secret() => {
            replied(vector, Doorkeeper::Strict).or_else(|_| replied(vector, Doorkeeper::Open))
        }
        Expect::Reply => replied(vector, Doorkeeper::Recorded),
    }
}

/// A signed test of the sender's is as authentic as an event: this is about the proof, not about the answer.
fn accepted(vector: &Vector) -> Result<(), String> {
    let (source, received) = (vector.source(Doorkeeper::Recorded)?, vector.received()?);
    let (published, at) = (vector.published(&source, &received), received.at);
    if source.authenticator.admit_with(received.clone().into(), &published, at).is_ok() {
        return Ok(());
    }
    match source.enter_with(received.into(), &published, at) {
        Entry::Admitted(..) => Ok(()),
        Entry::Greeted(_) => Err("must be accepted, is answered as a handshake".to_owned()),
        Entry::Denied(refusal, _) | Entry::Refused(refusal, _) => {
            Err(format!("must be accepted, is refused: {}", refusal.as_str()))
        }
    }
}

fn rejected(vector: &Vector) -> Result<(), String> {
    let received = vector.received()?;
    let source = match vector.source(Doorkeeper::Recorded) {
        Ok(source) => source,
        // A source that takes another secret does not take this one, and with it lets nobody in.
        Err(_) if [Doorkeeper::Strict, Doorkeeper::Open].into_iter().any(|it| vector.source(it).is_ok()) => {
            return Ok(());
        }
        Err(problem) => return Err(problem),
    };
    let (published, at) = (vector.published(&source, &received), received.at);
    match source.enter_with(received.into(), &published, at) {
        Entry::Denied(..) | Entry::Refused(..) => Ok(()),
        Entry::Admitted(..) => Err("must be refused, is accepted".to_owned()),
        Entry::Greeted(_) => Err("must be refused, is answered as a handshake".to_owned()),
    }
}

fn replied(vector: &Vector, doorkeeper: Doorkeeper) -> Result<(), String> {
    let answer = match enter(vector, doorkeeper)? {
        (_, Entry::Denied(_, answer)) => answer,
        (_, Entry::Greeted(welcome)) => welcome.answer,
        (source, Entry::Refused(refusal, _)) => source.refuse(refusal, None),
        (source, Entry::Admitted(authentic, _)) => answer(&source, &authentic),
    };
    vector.reply.as_ref().map_or(Ok(()), |reply| reply.compare(&answer))
}

fn enter(vector: &Vector, doorkeeper: Doorkeeper) -> Result<(Source, Entry), String> {
    let (source, received) = (vector.source(doorkeeper)?, vector.received()?);
    let (published, at) = (vector.published(&source, &received), received.at);
    let entry = source.enter_with(received.into(), &published, at);
    Ok((source, entry))
}

/// The answer to an authentic request whose events, where it has any, the application takes.
fn answer(source: &Source, authentic: &Authentic) -> Answer {
    if authentic.head().method != Method::POST {
        return source.refuse(Refusal::Method, None);
    }
    let batch = match source.split(authentic) {
        Ok(batch) => batch,
        Err(refusal) => return source.refuse(refusal, None),
    };
    let (mut greeting, mut verdicts) = (None, Vec::new());
    for event in batch.events() {
        let (plan, answer) = source.plan(authentic, event, None);
        greeting = answer.or(greeting);
        verdicts.push(source.hoped_for(&plan));
    }
    let all_greeted = verdicts.iter().all(|verdict| *verdict == Verdict::Handshake);
    greeting.filter(|_| all_greeted).unwrap_or_else(|| source.answers.conclude(&verdicts, None))
}
