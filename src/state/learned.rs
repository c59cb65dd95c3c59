//! Secrets that senders hand over by themselves, in a handshake that nothing proves. The first one is kept and waits for
//! an operator to confirm it; no other takes its place. Each source has a file of its own, and its name says which it is:
//! `SOURCE.pending` or `SOURCE.secret`. The gateway and the command that confirms meet there and nowhere else.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicUsize, Ordering},
};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::secret::Secret;

/// The longest secret that is kept, in bytes.
pub const SECRET_BYTES_MAX: usize = 512;

/// Tells the files apart that are written at the same time.
static DRAFTS: AtomicUsize = AtomicUsize::new(0);

/// Where the secret of one source is kept.
#[derive(Clone, Debug)]
pub struct Keepsake {
    directory: PathBuf,
    source: String,
}

/// What is kept.
#[derive(Clone, Debug)]
pub enum Kept {
    /// A secret that an operator has confirmed: requests are verified with it.
    Confirmed(Secret),
    /// None yet.
    Nothing,
    /// A secret that waits to be confirmed: nothing is verified with it.
    Pending(Secret),
}

/// What became of a secret that was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// It is the first, and lies on the disk.
    First,
    /// Another one is kept, and stays.
    Other,
    /// It is kept already.
    Same,
}

impl Keepsake {
    /// Of this source, in this directory.
    pub fn new(directory: &Path, source: &str) -> Self {
        Self { directory: directory.to_owned(), source: source.to_owned() }
    }

    /// The file that a secret lies in until it is confirmed.
    pub fn pending(&self) -> PathBuf {
        self.directory.join(format!("{}.pending", self.source))
    }

    /// The file that it lies in from then on.
    pub fn confirmed(&self) -> PathBuf {
        self.directory.join(format!("{}.secret", self.source))
    }

    /// What is kept now.
    pub fn read(&self) -> io::Result<Kept> {
        if let Some(secret) = read(&self.confirmed())? {
            return Ok(Kept::Confirmed(secret));
        }
        Ok(read(&self.pending())?.map_or(Kept::Nothing, Kept::Pending))
    }

    /// Keeps a secret, unless there is one. It is on the disk when this returns: the sender signs with it from then on.
    pub fn learn(&self, secret: &Secret) -> io::Result<Learned> {
        let compare = |known: &Secret| {
            if known.expose().ct_eq(secret.expose()).into() { Learned::Same } else { Learned::Other }
        };
        if let Kept::Confirmed(known) | Kept::Pending(known) = self.read()? {
            return Ok(compare(&known));
        }
        fs::DirBuilder::new().mode(0o700).recursive(true).create(&self.directory)?;
        let draft = self.draft();
        // What a process of the same number left behind when it ended in the middle.
        remove(&draft)?;
        write(&draft, secret)?;
        let linked = fs::hard_link(&draft, self.pending());
        remove(&draft)?;
        match linked {
            Ok(()) => File::open(&self.directory)?.sync_all().map(|()| Learned::First),
            // Another request was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => match self.read()? {
                Kept::Confirmed(known) | Kept::Pending(known) => Ok(compare(&known)),
                Kept::Nothing => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Lets the secret that waits be verified with.
    pub fn confirm(&self) -> io::Result<()> {
        fs::rename(self.pending(), self.confirmed())?;
        File::open(&self.directory)?.sync_all()
    }

    /// Keeps nothing any more, so that the next secret is learned. Whether anything was kept.
    pub fn forget(&self) -> io::Result<bool> {
        let pending = remove(&self.pending())?;
        let confirmed = remove(&self.confirmed())?;
        Ok(pending || confirmed)
    }

    /// A file that nobody else writes at the same time.
    fn draft(&self) -> PathBuf {
        let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
        self.directory.join(format!(".{}.{}.{number}", self.source, process::id()))
    }
}

/// The SHA-256 of a secret in hex: it tells two apart and says nothing of either.
pub fn fingerprint(secret: &Secret) -> String {
    HEXLOWER.encode(&Sha256::digest(secret.expose()))
}

fn read(file: &Path) -> io::Result<Option<Secret>> {
    let file = match File::open(file) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // With room for all of it, so that no copy of the secret is left behind by growing.
    let mut bytes = Vec::with_capacity(SECRET_BYTES_MAX + 1);
    file.take(SECRET_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > SECRET_BYTES_MAX {
        return Err(io::Error::new(ErrorKind::InvalidData, "the file is longer than any secret that is kept"));
    }
    Ok(Some(Secret::new(bytes)))
}

/// Whether there was such a file.
fn remove(file: &Path) -> io::Result<bool> {
    match fs::remove_file(file) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn write(file: &Path, secret: &Secret) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    file.write_all(secret.expose())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text)
    }

    #[test]
    fn h_10_the_first_secret_is_kept_and_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let keepsake = Keepsake::new(&directory.path().join("learned"), "asana");
        assert!(matches!(keepsake.read().unwrap(), Kept::Nothing));
        assert!(keepsake.confirm().is_err(), "there is nothing to confirm");
        assert_eq!(keepsake.learn(&secret("first")).unwrap(), Learned::First);
        assert_eq!(keepsake.learn(&secret("first")).unwrap(), Learned::Same);
        assert_eq!(keepsake.learn(&secret("second")).unwrap(), Learned::Other);
        assert!(matches!(keepsake.read().unwrap(), Kept::Pending(kept) if kept.expose() == b"first"));
        keepsake.confirm().unwrap();
        assert_eq!(keepsake.learn(&secret("first")).unwrap(), Learned::Same);
        assert_eq!(keepsake.learn(&secret("second")).unwrap(), Learned::Other);
        assert!(matches!(keepsake.read().unwrap(), Kept::Confirmed(kept) if kept.expose() == b"first"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&keepsake.confirmed()), mode(&directory.path().join("learned"))), (0o600, 0o700));
        assert!(keepsake.forget().unwrap());
        assert!(!keepsake.forget().unwrap());
        assert_eq!(keepsake.learn(&secret("second")).unwrap(), Learned::First);
        let left: Vec<_> = fs::read_dir(directory.path().join("learned")).unwrap().collect();
        assert_eq!(left.len(), 1, "no draft is left behind: {left:?}");
    }

    #[test]
    fn what_an_earlier_process_left_behind_is_in_nobodys_way() {
        let directory = tempfile::tempdir().unwrap();
        for number in 0..100 {
            fs::write(directory.path().join(format!(".asana.{}.{number}", process::id())), "left").unwrap();
        }
        let keepsake = Keepsake::new(directory.path(), "asana");
        assert_eq!(keepsake.learn(&secret("first")).unwrap(), Learned::First);
        fs::write(keepsake.confirmed(), [b'x'; SECRET_BYTES_MAX + 1]).unwrap();
        assert!(keepsake.read().is_err(), "a part of a secret is another one");
    }

    #[test]
    fn h_10_many_at_once_and_one_is_first() {
        let directory = tempfile::tempdir().unwrap();
        let keepsake = Keepsake::new(directory.path(), "asana");
        let learned: Vec<Learned> = std::thread::scope(|scope| {
            let learn = |number: usize| {
                let keepsake = &keepsake;
                scope.spawn(move || keepsake.learn(&secret(&number.to_string())).unwrap())
            };
            let threads: Vec<_> = (0..16).map(learn).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(learned.iter().filter(|it| **it == Learned::First).count(), 1);
        assert_eq!(learned.iter().filter(|it| **it == Learned::Other).count(), 15);
    }
}
