//! A gateway that is killed again and again, at every step of its work, while senders repeat what was not accepted.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use fastrand::Rng;
use hooksieve::state::journal::{Filter, JournalStore as _, Page, Row, State};
use tokio::{runtime::Runtime, sync::watch, task::JoinSet};

use crate::{
    application::Application,
    chronicle::Chronicle,
    gateway::{Program, soon},
    seeds, sender,
    states::fast,
    work::{clock, done, open},
};

/// How often it is killed, unless the environment says something else.
const KILLS: u64 = 60;

/// Where it is killed by itself. What the last ones need comes before them.
const POINTS: &[&str] = &[
    "gateway.before_append",
    "journal.before_append",
    "journal.before_commit",
    "journal.after_commit",
    "gateway.after_append",
    "gateway.before_answer",
    "dispatch.before_send",
    "dispatch.before_mark",
    "dispatch.after_mark",
    "checkpoint.before",
    "checkpoint.after",
    "rewrite.begun",
    "rewrite.copied",
    "rewrite.synced",
    "rewrite.complete",
    "rewrite.cleared",
    "rewrite.renamed",
];

const SENDERS: usize = 6;

#[test]
fn d_07_d_08_d_09_d_36_d_58_killed_at_every_step() {
    let kills = seeds::number("HOOKSIEVE_KILLS").unwrap_or(KILLS);
    seeds::one(|seed| Runtime::new().unwrap().block_on(run(seed, kills)));
}

async fn run(seed: u64, kills: u64) {
    let mut rng = Rng::with_seed(seed);
    let directory = tempfile::tempdir().unwrap();
    let chronicle = Arc::new(Chronicle::new());
    let application = Application::start(Arc::clone(&chronicle), rng.u64(..)).await;
    let program = Program::new(directory.path(), application.address, "");
    let (tell, known) = watch::channel((None, true));
    let mut senders = JoinSet::new();
    for name in 0..SENDERS {
        senders.spawn(sender::send(name, rng.u64(..), known.clone(), Arc::clone(&chronicle)));
    }
    let mut at_points = 0;
    for number in 0..kills {
        let (faults, patience) = plan(POINTS[usize::try_from(number).unwrap() % POINTS.len()], &mut rng);
        match program.start(None, &faults).await {
            Ok(mut process) => {
                tell.send_replace((Some(process.address), true));
                if process.ends(patience).await {
                    at_points += 1;
                }
                tell.send_replace((None, true));
                process.kill().await;
            }
            // There are commits, and checkpoints, before anybody can call.
            Err(log) => {
                assert!(!faults.is_empty(), "it did not start: {log:#?}");
                at_points += 1;
            }
        }
        soon("the application is alone", application.alone()).await;
        chronicle.killed(journal(directory.path(), &chronicle).into_keys());
    }
    // The last one lives until everything is done.
    let process = program.start(None, "").await.unwrap();
    tell.send_replace((Some(process.address), false));
    soon("the senders are done", async { while senders.join_next().await.transpose().unwrap().is_some() {} }).await;
    process.drained().await;
    process.stop().await;
    let found = journal(directory.path(), &chronicle);
    println!("{kills} kills, {at_points} by itself; {} events", found.len());
    let others: Vec<_> = found.iter().filter(|(_, state)| **state != State::Delivered).collect();
    assert_eq!(others, [], "they are not delivered");
    assert_eq!(found.len(), chronicle.accepted(), "the journal has what was accepted, and nothing else (I12)");
    assert_eq!(chronicle.history().violations(), []);
}

/// The faults of a process, and how long it may live.
fn plan(point: &str, rng: &mut Rng) -> (String, Duration) {
    if rng.u8(..6) == 0 {
        return (String::new(), Duration::from_millis(rng.u64(..400)));
    }
    let faults = match point {
        it if it.starts_with("rewrite") => format!("journal.commit:{}:fail,journal.pause:1:fail,{it}", rng.u8(1..20)),
        it if it.starts_with("checkpoint") => it.to_owned(),
        it => format!("{it}:{}", rng.u8(1..25)),
    };
    (faults, Duration::from_secs(2))
}

/// What is in the journal that a process left behind, by body.
fn journal(directory: &Path, chronicle: &Chronicle) -> BTreeMap<String, State> {
    // In a copy, so that the next process finds what this one left, and nothing else.
    let copy = tempfile::tempdir_in(fast()).unwrap();
    for file in fs::read_dir(directory.join("journal")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let journal = open(&copy.path().join("journal.db"), &clock()).unwrap();
    let rows = done(journal.list(Filter::default(), Page { limit: 1_000_000, offset: 0 })).unwrap();
    let kept = |row: &Row| done(journal.show(row.id)).unwrap().unwrap().body;
    let body = |row: &Row| {
        let kept = || kept(row).map(|body| String::from_utf8(body.to_vec()).unwrap());
        chronicle.named(&row.webhook_id).or_else(kept)
    };
    let promised = rows.into_iter().filter(|row| row.state != State::Noted);
    promised.map(|row| (body(&row).expect("it is kept, or was delivered"), row.state)).collect()
}
