//! What the gateway asks of the system, in which order, and what it does when the system refuses.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    application::Application,
    chronicle::Chronicle,
    gateway::{PATIENCE, Program, soon},
    seeds, sender,
    strace::{self, Call},
};

/// Runs a gateway under strace, with these of its options, and lets senders insist on a few events. All calls, all answers,
/// and the longest time that a sender waited.
async fn run(options: &[String], amend: &str) -> (Vec<Call>, Vec<u16>) {
    let directory = tempfile::tempdir().unwrap();
    let trace = directory.path().join("trace");
    let chronicle = Arc::new(Chronicle::new());
    let application = Application::start(Arc::clone(&chronicle), 1).await;
    let program = Program::new(directory.path(), application.address, amend);
    // What it takes to make a journal is done, and what goes wrong goes wrong later.
    program.start(None, "").await.unwrap().stop().await;
    let mut outer = strace::record(&trace);
    // The program is our child, and strace is a child of that, so that signals reach it.
    outer.arg("-D").args(options);
    let process =
        program.start(Some(outer), "").await.unwrap_or_else(|log| panic!("{options:?}: {}", log.last().unwrap()));
    let mut senders = JoinSet::new();
    for name in 0..4 {
        let (address, chronicle) = (process.address, Arc::clone(&chronicle));
        senders.spawn(async move {
            let mut answers = Vec::new();
            for number in 0..6 {
                answers.extend(sender::insist(address, &format!("{name}-{number}"), &chronicle).await);
            }
            answers
        });
    }
    let Ok(answers) = timeout(PATIENCE, senders.join_all()).await else {
        panic!("{options:?}: not everything is accepted: {:#?}", process.log());
    };
    let answers = answers.concat();
    if options.is_empty() && answers.contains(&503) {
        println!("{:#?}", process.log());
    }
    process.drained().await;
    process.stop().await;
    soon("the trace is written", written(&trace)).await;
    assert_eq!(chronicle.accepted(), 24);
    assert_eq!(chronicle.history().violations(), [], "{options:?}");
    (strace::read(&trace), answers)
}

/// Waits until strace has seen the end of the program.
async fn written(trace: &Path) {
    while !fs::read_to_string(trace).unwrap().trim_end().ends_with("+++") {
        sleep(Duration::from_millis(10)).await;
    }
}

/// Several runs at once, each with other options; what they give is checked one by one.
fn each(runs: Vec<Vec<String>>, check: impl Fn(&[String], &[Call], &[u16])) {
    if !strace::is_here() {
        return seeds::not_run("strace is not installed, or may not trace");
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut under_way = JoinSet::new();
        for options in runs {
            under_way.spawn(async move {
                let (calls, answers) = run(&options, "").await;
                (options, calls, answers)
            });
        }
        for (options, calls, answers) in under_way.join_all().await {
            check(&options, &calls, &answers);
        }
    });
}

fn inject(faults: impl IntoIterator<Item = String>) -> Vec<Vec<String>> {
    faults.into_iter().map(|fault| vec!["-e".to_owned(), format!("inject={fault}")]).collect()
}

#[test]
fn d_25_written_then_synced_then_answered() {
    each(vec![Vec::new()], |_, calls, answers| {
        assert_eq!(answers, [202; 24]);
        assert_eq!(promises(calls), 24);
    });
}

/// Every 202 for a new event is written after a successful sync of what was written of its event. How many there are.
fn promises(calls: &[Call]) -> usize {
    let mut promises = 0;
    for (at, request) in calls.iter().enumerate().filter(|(_, call)| call.name == "recvfrom" && call.says("X-Token")) {
        let socket = request.number(0);
        let is_answer = |call: &&Call| call.says("HTTP/1.1 ") && call.arguments[0] == request.arguments[0];
        // Without an answer, nothing is promised.
        let Some(answer) = calls[at..].iter().filter(|call| call.name != "recvfrom").find(is_answer) else { continue };
        if !answer.says("HTTP/1.1 202") || !answer.says("\"queue\":1") {
            continue;
        }
        let text = String::from_utf8_lossy(request.bytes(1)).into_owned();
        let id = text.split("\"id\":\"").nth(1).unwrap().split('"').next().unwrap();
        let mark = format!("\"id\":\"{id}\"");
        let before = |call: &&Call| call.lines.0 > request.lines.0 && call.lines.1 < answer.lines.0;
        let written = calls.iter().filter(before).find(|call| call.name == "pwrite64" && call.says(&mark));
        let written = written.unwrap_or_else(|| panic!("{id} is answered on {socket} before it is written"));
        let is_synced = calls.iter().filter(before).any(|call| {
            call.name == "fdatasync"
                && call.arguments == written.arguments[..1]
                && call.result == 0
                && call.lines.0 > written.lines.1
        });
        assert!(is_synced, "{id} is answered on {socket} before it is synced");
        promises += 1;
    }
    promises
}

#[test]
fn d_26_d_27_i_11_a_sync_that_fails() {
    each(inject((4..=9).map(|nth| format!("fdatasync:error=EIO:when={nth}"))), |options, calls, answers| {
        assert!(answers.contains(&503), "{options:?}: nobody was told");
        assert_eq!(promises(calls), 24, "{options:?}");
        assert_eq!(synced_after_failure(calls), Vec::<&Call>::new(), "{options:?}");
    });
}

/// Syncs of a file of which a sync had failed before (I11).
fn synced_after_failure(calls: &[Call]) -> Vec<&Call> {
    // Files by their descriptors: a file that is made anew under an old name is another one.
    let (mut generation, mut open, mut failed) = (HashMap::<String, u32>::new(), HashMap::new(), Vec::new());
    let mut again = Vec::new();
    for call in calls {
        match &*call.name {
            "openat" | "open" if call.result >= 0 => {
                let path = call.path(usize::from(call.name == "openat")).to_owned();
                let generation = *generation.entry(path.clone()).or_default();
                open.insert(call.result, (path, generation));
            }
            "unlink" if call.result == 0 => *generation.entry(call.path(0).to_owned()).or_default() += 1,
            "rename" if call.result == 0 => *generation.entry(call.path(1).to_owned()).or_default() += 1,
            "fsync" | "fdatasync" => {
                let file = open.get(&call.number(0));
                if file.is_some_and(|file| failed.contains(file)) {
                    again.push(call);
                }
                if call.result < 0 {
                    failed.extend(file.cloned());
                }
            }
            _ => {}
        }
    }
    again
}

#[test]
fn d_29_d_55_a_write_that_fails() {
    let harmless = [14, 25].map(|nth| format!("pwrite64:error=EINTR:when={nth}..{}", nth + 3));
    let errors = [("EIO", 14), ("EIO", 21), ("ENOSPC", 15), ("ENOSPC", 40), ("EROFS", 16), ("EDQUOT", 17)];
    let harmful = errors.map(|(error, nth)| format!("pwrite64:error={error}:when={nth}"));
    each(inject(harmless.into_iter().chain(harmful)), |options, calls, answers| {
        let is_harmless = options[1].contains("EINTR");
        let is_met = calls.iter().any(|call| call.name == "pwrite64" && call.result < 0);
        assert!(is_met || is_harmless, "{options:?}: nothing failed");
        // A full disk costs one commit, and that may be one that brought no event.
        let is_told = answers.contains(&503) || options[1].contains("ENOSPC");
        assert!(if is_harmless { !answers.contains(&503) } else { is_told }, "{options:?}: {answers:?}");
        assert_eq!(promises(calls), 24, "{options:?}");
    });
}

#[test]
fn d_34_a_rewrite_that_fails() {
    let second =
        ["fsync:error=EIO:when=3", "fsync:error=EIO:when=4", "rename:error=EIO:when=1", "rename:error=EIO:when=2"];
    let both =
        |second: &str| ["fdatasync:error=EIO:when=4", second].map(|it| inject([it.to_owned()]).concat()).concat();
    each(second.map(both).to_vec(), |options, calls, answers| {
        assert!(answers.contains(&503), "{options:?}: nobody was told");
        assert_eq!(promises(calls), 24, "{options:?}");
    });
}

#[test]
fn d_57_a_disk_that_is_slow() {
    if !strace::is_here() {
        return seeds::not_run("strace is not installed, or may not trace");
    }
    let options = inject(["fdatasync:delay_enter=3000000:when=6".to_owned()]).concat();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let begun = Instant::now();
        let (calls, answers) = run(&options, "deadline = \"1s\"").await;
        assert!(begun.elapsed() > Duration::from_secs(3), "nothing was slow");
        assert!(answers.contains(&503), "who waits too long is told to come again: {answers:?}");
        assert!(promises(&calls) >= 20);
    });
}
