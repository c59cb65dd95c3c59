//! Whether a journal could be opened, found out without touching it: for whoever checks a configuration, perhaps while
//! the gateway runs with that very journal.

use std::{fmt::Write as _, fs, io, os::unix::ffi::OsStrExt as _, path::Path};

use rusqlite::{Connection, OpenFlags};
use rustix::fs::{Access, access};

use super::{
    OpenError,
    place::{self, Location},
    schema::{self, Kind, VERSION},
};

/// Says what opening the journal at `path` would complain about, but for another process that has it. Nothing is created
/// or changed, and no lock is taken.
pub fn inspect(path: &Path) -> Result<(), OpenError> {
    let Location { directory, path } = place::locate(path)?;
    for file in [place::beside(&path, ".lock"), path.clone()] {
        match fs::symlink_metadata(&file) {
            Ok(found) => {
                place::check_file(&file, &found)?;
                permits(&file, Access::READ_OK | Access::WRITE_OK)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(OpenError::io(&file, &error)),
        }
    }
    permits(&directory, Access::WRITE_OK | Access::EXEC_OK)?;
    if fs::metadata(&path).is_ok_and(|found| found.len() > 0) { version(&path) } else { Ok(()) }
}

/// The system lets us, and the file system is not read-only.
fn permits(path: &Path, what: Access) -> Result<(), OpenError> {
    access(path, what).map_err(|error| OpenError::io(path, &error.into()))
}

/// What the file itself says of its version, without what is written ahead of it: reading that would make files.
fn version(path: &Path) -> Result<(), OpenError> {
    let kind = immutable(path).and_then(|db| schema::kind(&db));
    match kind {
        Ok(Kind::Ours { .. }) => Ok(()),
        Ok(Kind::Newer { version }) => Err(OpenError::Newer { path: path.to_owned(), version, known: VERSION }),
        // Half of it may be there, and the other half written ahead.
        _ if fs::metadata(place::beside(path, "-wal")).is_ok_and(|found| found.len() > 0) => Ok(()),
        Ok(Kind::Foreign) => Err(OpenError::NotOurs { path: path.to_owned() }),
        Err(error) => Err(OpenError::sqlite(path, &error)),
    }
}

/// Opens the file as one that nobody changes, and beside which there is nothing
/// (<https://www.sqlite.org/uri.html#uriimmutable>).
fn immutable(path: &Path) -> rusqlite::Result<Connection> {
    let mut name = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        // Writing to a string does not fail.
        let _ = write!(name, "%{byte:02x}");
    }
    name.push_str("?immutable=1");
    Connection::open_with_flags(name, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI)
}
