//! A disk that is full, or that nothing can be written to any more.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use hooksieve::{
    clock::Clock as _,
    stages::words::Verdict,
    state::journal::{JournalError, JournalStore as _},
};
use tempfile::TempDir;

use crate::{
    application::Application,
    chronicle::Chronicle,
    gateway::Program,
    seeds, sender,
    work::{self, clock, done, group, id_of, lane},
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

/// A file system on a disk of its own, which the kernel can be told to find broken.
struct Ext4 {
    directory: TempDir,
    image: PathBuf,
}

impl Ext4 {
    /// `None` where nobody may make one.
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("image");
        fs::File::create(&image).unwrap().set_len(32 << 20).unwrap();
        let ext4 = Self { directory, image };
        fs::create_dir(ext4.path()).unwrap();
        let made = ran(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&ext4.image));
        (made && ext4.attach()).then_some(ext4)
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("disk")
    }

    fn attach(&self) -> bool {
        let mounted =
            ran(Command::new("mount").args(["-o", "loop,errors=remount-ro"]).arg(&self.image).arg(self.path()));
        mounted && fs::set_permissions(self.path(), fs::Permissions::from_mode(0o700)).is_ok()
    }

    /// The kernel finds an error, and makes the file system read-only, whoever has files of it open. (Nobody else can do
    /// that while a file is open for writing.) Whether it did.
    fn break_down(&self) -> bool {
        let source = Command::new("findmnt").args(["-no", "SOURCE"]).arg(self.path()).output();
        let Ok(source) = source.map(|output| String::from_utf8(output.stdout).unwrap()) else { return false };
        let name = source.trim().trim_start_matches("/dev/").to_owned();
        fs::write(format!("/sys/fs/ext4/{name}/trigger_fs_error"), "a test says so\n").is_ok()
            && fs::write(self.path().join("probe"), "").is_err()
    }

    /// A copy of the disk takes its place, as it was found.
    fn replace(&mut self) {
        let copy = self.directory.path().join("copy");
        fs::copy(&self.image, &copy).unwrap();
        assert!(ran(Command::new("umount").arg("-l").arg(self.path())));
        // It says so by its exit code when it had something to repair.
        let _ = Command::new("e2fsck").arg("-fy").arg(&copy).output();
        self.image = copy;
        assert!(self.attach(), "the copy is not mounted");
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}

fn ran(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

#[tokio::test]
async fn d_55_the_file_system_turns_read_only() {
    let Some(mut disk) = Ext4::mount() else {
        return seeds::impossible("an ext4 file system cannot be made and mounted");
    };
    let chronicle = Arc::new(Chronicle::new());
    let application = Application::start(Arc::clone(&chronicle), 1).await;
    let program = Program::new(&disk.path(), application.address, "");
    let process = program.start(None, "").await.unwrap();
    for id in ["1", "2", "3"] {
        assert_eq!(sender::insist(process.address, id, &chronicle).await, [202]);
    }
    if !disk.break_down() {
        process.kill().await;
        return seeds::impossible("the kernel does not let a file system be broken");
    }
    let insisting = tokio::spawn({
        let (address, chronicle) = (process.address, Arc::clone(&chronicle));
        async move { sender::insist(address, "4", &chronicle).await }
    });
    while process.metric("hooksieve_journal_failed_total").await < 2 {
        tokio::task::yield_now().await;
    }
    assert!(process.asked("/ready").await.contains("\"ready\":false"));
    disk.replace();
    let answers = insisting.await.unwrap();
    assert!(answers.len() > 2 && answers[..answers.len() - 1].iter().all(|status| *status == 503), "{answers:?}");
    process.drained().await;
    assert!(process.asked("/ready").await.contains("\"ready\":true"));
    process.stop().await;
    assert_eq!(chronicle.accepted(), 4);
    assert_eq!(chronicle.history().violations(), []);
}

#[tokio::test]
async fn d_55_a_file_system_that_is_read_only_at_the_start() {
    let Some(small) = Small::mount("8m") else { return seeds::not_run("a tmpfs cannot be mounted") };
    let remount = |how: &str| ran(Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(small.path()));
    let chronicle = Arc::new(Chronicle::new());
    let application = Application::start(Arc::clone(&chronicle), 1).await;
    let program = Program::new(small.path(), application.address, "");
    program.start(None, "").await.unwrap().stop().await;
    assert!(remount("ro"));
    let Err(log) = program.start(None, "").await else { panic!("it starts without a journal") };
    let checked = program.check();
    assert!(remount("rw"));
    for said in [log.concat(), checked] {
        assert!(said.contains("Read-only file system") && said.contains("mount it writable"), "{said}");
    }
    let process = program.start(None, "").await.unwrap();
    assert_eq!(sender::insist(process.address, "1", &chronicle).await, [202]);
    process.drained().await;
    process.stop().await;
}

#[test]
fn d_28_d_39_no_space_is_left() {
    let Some(small) = Small::mount("4m") else { return seeds::not_run("a tmpfs cannot be mounted") };
    let file = small.path().join("journal.db");
    let clock = clock();
    let open = || work::open(&file, &clock).unwrap();
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
