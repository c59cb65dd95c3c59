//! Where a journal lies, and that it is ours alone: checked before SQLite touches it, and again after every commit.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock, open},
    process::{geteuid, getpid},
};

use super::{OpenError, wal::Mended};

/// Nobody but us may read bodies (D-59).
const PRIVATE: u32 = 0o600;

/// A directory and a file in it that only this process uses.
#[derive(Debug)]
pub(super) struct Place {
    directory: PathBuf,
    path: PathBuf,
    /// Held for as long as this lives; the system lets go of it when the process ends, however that happens.
    lock: File,
    /// Which files SQLite has open: the journal, and what is written ahead of it.
    opened: Option<[Identity; 2]>,
}

/// A file, whatever it is called by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl From<&Metadata> for Identity {
    fn from(found: &Metadata) -> Self {
        Self { device: found.dev(), inode: found.ino() }
    }
}

/// Where a journal is, or is to be.
pub(super) struct Location {
    pub(super) directory: PathBuf,
    /// The file, in that directory.
    pub(super) path: PathBuf,
}

/// Finds the place of a journal, and checks its directory.
pub(super) fn locate(path: &Path) -> Result<Location, OpenError> {
    let given = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let directory = check_directory(given)?;
    let name = path.file_name().ok_or_else(|| OpenError::NoFile { path: path.to_owned() })?;
    Ok(Location { path: directory.join(name), directory })
}

impl Place {
    /// Checks the directory, takes the lock, and makes sure that the file is there and private.
    pub(super) fn take(path: &Path) -> Result<Self, OpenError> {
        let Location { directory, path } = locate(path)?;
        let lock = take_lock(&beside(&path, ".lock"))?;
        let place = Self { directory, path, lock, opened: None };
        place.finish_rewrite().map_err(|error| OpenError::io(&place.path, &error))?;
        if let Some(mended) = place.mend().map_err(|error| OpenError::io(&place.path, &error))? {
            let Mended { right, left } = mended;
            tracing::error!(right, left, "what was written ahead of the journal was damaged, and is mended");
        }
        place.make_private()?;
        Ok(place)
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that it is in.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// A file beside it: its name and `suffix`.
    pub(super) fn beside(&self, suffix: &str) -> PathBuf {
        beside(&self.path, suffix)
    }

    /// SQLite has opened the file: from now on, these are the files that must stay where they are.
    pub(super) fn opened(&mut self) -> io::Result<()> {
        let identity = |path: &Path| fs::symlink_metadata(path).map(|found| Identity::from(&found));
        self.opened = Some([identity(&self.path)?, identity(&self.beside("-wal"))?]);
        Ok(())
    }

    /// What the journal weighs; an error if what SQLite writes to is not what lies here any more, so that whatever it
    /// wrote is gone when it is closed (D-55).
    pub(super) fn weigh(&self) -> io::Result<u64> {
        let files = [fs::symlink_metadata(&self.path)?, fs::symlink_metadata(self.beside("-wal"))?];
        let found = [Identity::from(&files[0]), Identity::from(&files[1])];
        if self.opened.is_some_and(|opened| opened != found) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the file was removed or replaced"));
        }
        Ok(files.iter().map(Metadata::len).sum())
    }

    /// Makes the directory's entries safe.
    pub(super) fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    /// A file of ours at `path`, empty, that only we can read.
    pub(super) fn create(path: &Path) -> io::Result<File> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(open(path, flags, Mode::from_raw_mode(PRIVATE))?.into())
    }

    /// The directory may have been removed and made again, and the lock with it: takes that, too.
    pub(super) fn retake(&mut self) -> Result<(), OpenError> {
        let directory = check_directory(&self.directory)?;
        let path = beside(&self.path, ".lock");
        let same =
            |there: Metadata| self.lock.metadata().is_ok_and(|ours| Identity::from(&ours) == Identity::from(&there));
        if !fs::symlink_metadata(&path).is_ok_and(same) {
            self.lock = take_lock(&path)?;
        }
        debug_assert_eq!(directory, self.directory, "a canonical path stays one");
        Ok(())
    }

    /// Makes sure that there is a file, that it is a plain one of ours, and that nobody else can read it.
    fn make_private(&self) -> Result<(), OpenError> {
        let fail = |error: io::Error| OpenError::io(&self.path, &error);
        match Self::create(&self.path) {
            Ok(_) => self.sync_directory().map_err(fail),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let found = fs::symlink_metadata(&self.path).map_err(fail)?;
                check_file(&self.path, &found)?;
                if found.mode() & 0o777 != PRIVATE {
                    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    let file = open(&self.path, flags, Mode::empty()).map_err(|error| fail(error.into()))?;
                    rustix::fs::fchmod(file, Mode::from_raw_mode(PRIVATE)).map_err(|error| fail(error.into()))?;
                }
                Ok(())
            }
            Err(error) => Err(fail(error)),
        }
    }
}

/// The file `path`, with `suffix` after its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A directory in which nobody can put another file in the place of ours.
fn check_directory(given: &Path) -> Result<PathBuf, OpenError> {
    let path = || given.to_owned();
    let found = match fs::symlink_metadata(given) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(OpenError::NoDirectory { path: path() }),
        other => other.map_err(|error| OpenError::io(given, &error))?,
    };
    let directory = given.canonicalize().map_err(|error| OpenError::io(given, &error))?;
    if found.is_symlink() {
        return Err(OpenError::Link { path: path(), target: directory });
    }
    if !found.is_dir() {
        return Err(OpenError::NotDirectory { path: path() });
    }
    let us = geteuid().as_raw();
    if found.uid() != us && found.uid() != 0 {
        return Err(OpenError::Foreign { path: path(), owner: found.uid(), us });
    }
    // In a sticky directory, such as /tmp, others can add files but not touch ours.
    if found.mode() & 0o022 != 0 && found.mode() & 0o1000 == 0 {
        return Err(OpenError::Writable { path: path(), mode: found.mode() & 0o7777 });
    }
    Ok(directory)
}

/// A plain file of ours.
pub(super) fn check_file(path: &Path, found: &Metadata) -> Result<(), OpenError> {
    let us = geteuid().as_raw();
    if found.is_symlink() {
        let target = fs::read_link(path).unwrap_or_default();
        return Err(OpenError::Link { path: path.to_owned(), target });
    }
    if !found.is_file() {
        return Err(OpenError::NotFile { path: path.to_owned() });
    }
    if found.uid() != us {
        return Err(OpenError::Foreign { path: path.to_owned(), owner: found.uid(), us });
    }
    Ok(())
}

/// Takes the lock that says whose journal it is, and writes down who has it (D-53).
fn take_lock(path: &Path) -> Result<File, OpenError> {
    let fail = |error: io::Error| OpenError::io(path, &error);
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let mut file: File = match open(path, flags, Mode::from_raw_mode(PRIVATE)) {
        Ok(file) => file.into(),
        Err(rustix::io::Errno::LOOP) => {
            return Err(OpenError::Link { path: path.to_owned(), target: fs::read_link(path).unwrap_or_default() });
        }
        Err(error) => return Err(fail(error.into())),
    };
    check_file(path, &file.metadata().map_err(fail)?)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut holder = String::new();
        // Only for the message: whoever holds the lock may be writing it right now.
        let _ = file.take(20).read_to_string(&mut holder);
        return Err(OpenError::Locked { path: path.to_owned(), holder: holder.trim().parse().ok() });
    }
    file.set_len(0).and_then(|()| file.rewind()).map_err(fail)?;
    writeln!(file, "{}", getpid().as_raw_nonzero()).map_err(fail)?;
    Ok(file)
}
