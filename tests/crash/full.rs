//! A disk that is full.

use std::{fs, path::Path, process::Command, sync::Arc};

use hooksieve::{
    clock::Clock as _,
    stages::words::Verdict,
    state::{
        journal::{JournalError, JournalStore as _},
        sqlite::SqliteJournal,
    },
};
use tempfile::TempDir;

use crate::{
    application::Application,
    chronicle::Chronicle,
    gateway::Program,
    seeds, sender,
    work::{clock, done, group, id_of, lane, settings},
};

/// A file system of a few mebibytes; gone when this is dropped.
struct Small(TempDir);

impl Small {
    /// `None` where nobody may mount one.
    fn mount(size: &str) -> Option<Self> {
        let small = Self(tempfile::tempdir().unwrap());
        let options = format!("size={size},mode=0700");
        let run = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(small.0.path()).output();
        run.is_ok_and(|output| output.status.success()).then_some(small)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills it, up to so many bytes.
    fn fill(&self, but: u64) {
        let disk = rustix::fs::statvfs(self.path()).unwrap();
        let free = disk.f_bavail * disk.f_frsize;
        fs::write(self.path().join("filler"), vec![1; usize::try_from(free.saturating_sub(but)).unwrap()]).unwrap();
    }

    fn empty(&self) {
        fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // A test that failed may have left something open in it.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

#[test]
fn d_28_d_39_no_space_is_left() {
    let Some(small) = Small::mount("4m") else { return seeds::not_run("a tmpfs cannot be mounted") };
    let file = small.path().join("journal.db");
    let clock = clock();
    let open = || SqliteJournal::inline(settings(&file), Arc::new(clock.clone())).unwrap();
    let mut journal = open();
    let (mut next, mut safe) = (0, Vec::new());
    for but in [0, 1_000, 5_000, 20_000, 50_000, 100_000, 300_000] {
        small.fill(but);
        let mut failed = 0;
        while failed < 3 {
            let ids: Vec<_> = (next..next + 4).collect();
            match done(journal.append(group(&ids, Verdict::Queue, clock.now()), clock.now())) {
                Ok(_) => safe.extend(ids),
                Err(JournalError::Full(_)) => failed += 1,
                Err(error) => panic!("with {but} bytes: {error}"),
            }
            next += 4;
        }
        assert_eq!(journal.trouble(), None, "a full disk is no broken one");
        small.empty();
        let ids: Vec<_> = (next..next + 4).collect();
        done(journal.append(group(&ids, Verdict::Queue, clock.now()), clock.now())).unwrap();
        safe.extend(ids);
        next += 4;
        drop(journal);
        journal = open();
    }
    let leases = done(journal.lease(lane(), 10_000, clock.now())).unwrap();
    let mut found: Vec<_> = leases.events.iter().map(|leased| id_of(&leased.entry)).collect();
    found.sort_unstable();
    assert_eq!(found, safe);
}

#[tokio::test]
async fn d_28_senders_are_told_that_the_disk_is_full() {
    let Some(small) = Small::mount("8m") else { return seeds::not_run("a tmpfs cannot be mounted") };
    let chronicle = Arc::new(Chronicle::new());
    let application = Application::start(Arc::clone(&chronicle), 1).await;
    let program = Program::new(small.path(), application.address, "");
    let process = program.start(None, "").await.unwrap();
    assert_eq!(sender::insist(process.address, "before", &chronicle).await, [202]);
    small.fill(100_000);
    let insisting = tokio::spawn({
        let (address, chronicle) = (process.address, Arc::clone(&chronicle));
        async move { sender::insist(address, "while", &chronicle).await }
    });
    while process.metric("hooksieve_journal_failed_total").await < 2 {
        tokio::task::yield_now().await;
    }
    small.empty();
    let answers = insisting.await.unwrap();
    assert!(answers.len() > 2 && answers[..answers.len() - 1].iter().all(|status| *status == 503), "{answers:?}");
    process.drained().await;
    process.stop().await;
    assert_eq!(chronicle.history().violations(), []);
}
