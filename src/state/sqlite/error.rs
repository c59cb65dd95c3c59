//! Why a journal cannot be used, and what to do about it. Nothing is ever deleted or repaired on the way to one of these.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// Why a journal was not opened.
#[derive(Debug)]
pub enum OpenError {
    /// The path names no file.
    NoFile {
        /// The path.
        path: PathBuf,
    },
    /// The directory is not there.
    NoDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// What should be the directory is something else.
    NotDirectory {
        /// What it is called.
        path: PathBuf,
    },
    /// What should be the file is something else.
    NotFile {
        /// What it is called.
        path: PathBuf,
    },
    /// The directory or the file is a symbolic link.
    Link {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// It belongs to somebody else.
    Foreign {
        /// What belongs to them.
        path: PathBuf,
        /// The number of the user it belongs to.
        owner: u32,
        /// The number of the user that this process runs as.
        us: u32,
    },
    /// Others can put files into the directory.
    Writable {
        /// The directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Another process has it.
    Locked {
        /// The file that is locked.
        path: PathBuf,
        /// The process, where it said so.
        holder: Option<u32>,
    },
    /// It was written by a newer program.
    Newer {
        /// The journal.
        path: PathBuf,
        /// The version it has.
        version: usize,
        /// The newest version that this program knows.
        known: usize,
    },
    /// It is a database of another program.
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// It is damaged.
    Damaged {
        /// The journal.
        path: PathBuf,
        /// What SQLite says.
        found: String,
    },
    /// The system would not let us.
    System {
        /// The file or directory.
        path: PathBuf,
        /// What it says.
        error: String,
        /// What to do about it.
        remedy: &'static str,
    },
}

impl OpenError {
    /// What the system says about `path`.
    pub(super) fn io(path: &Path, error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        let remedy = match error.kind() {
            Kind::NotFound => "create its directory, or correct `journal.path`",
            Kind::PermissionDenied => "give the directory to the user that hooksieve runs as, with mode 0700",
            Kind::ReadOnlyFilesystem => "mount it writable, or let `journal.path` be on another file system",
            Kind::StorageFull | Kind::QuotaExceeded => "make room, or let `journal.path` be on another file system",
            _ => "see what the system's log says about this disk",
        };
        Self::System { path: path.to_owned(), error: error.to_string(), remedy }
    }

    /// What SQLite says about `path`.
    pub(super) fn sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let remedy = match error.sqlite_error_code() {
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => {
                return Self::Damaged { path: path.to_owned(), found: error.to_string() };
            }
            Some(Code::ReadOnly | Code::CannotOpen | Code::PermissionDenied) => {
                "it and its directory must be writable for the user that hooksieve runs as"
            }
            Some(Code::DiskFull) => "make room, or let `journal.path` be on another file system",
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => "close the other program that has it open",
            _ => "see what the system's log says about this disk",
        };
        Self::System { path: path.to_owned(), error: error.to_string(), remedy }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile { path } => {
                write!(f, "`{}` names no file; write one, such as `hooksieve.db`", path.display())
            }
            Self::NoDirectory { path } => {
                let path = path.display();
                write!(
                    f,
                    "there is no directory `{path}`; create it with `install -d -m 0700 {path}`, as the user that hooksieve runs as"
                )
            }
            Self::NotDirectory { path } => write!(f, "`{}` is not a directory", path.display()),
            Self::NotFile { path } => {
                write!(f, "`{}` is not a regular file; let `journal.path` name another one", path.display())
            }
            Self::Link { path, target } => write!(
                f,
                "`{}` is a symbolic link, which others could turn elsewhere; write where it leads, `{}`, into `journal.path`",
                path.display(),
                target.display()
            ),
            Self::Foreign { path, owner, us } => {
                let path = path.display();
                write!(
                    f,
                    "`{path}` belongs to user {owner}, and this is user {us}; run as its owner, or give it away with `chown {us} {path}`"
                )
            }
            Self::Writable { path, mode } => {
                let path = path.display();
                write!(
                    f,
                    "others can put files into `{path}` (mode {mode:04o}); take that away with `chmod go-w {path}`"
                )
            }
            Self::Locked { path, holder } => {
                let path = path.display();
                match holder {
                    Some(process) => write!(f, "process {process} has this journal open (`{path}` is locked)")?,
                    None => write!(f, "another process has this journal open (`{path}` is locked)")?,
                }
                f.write_str("; stop that one first, or give this one a `journal.path` of its own")
            }
            Self::Newer { path, version, known } => write!(
                f,
                "`{}` was written by a newer hooksieve (version {version}; this one knows {known}); run that one, or \
                 let `journal.path` name another file. Nothing was changed",
                path.display()
            ),
            Self::NotOurs { path } => write!(
                f,
                "`{}` is a database of another program; let `journal.path` name another file. Nothing was changed",
                path.display()
            ),
            Self::Damaged { path, found } => {
                let path = path.display();
                write!(
                    f,
                    "`{path}` is damaged ({found}). Nothing was deleted: keep a copy, save what can be read with \
                     `sqlite3 {path} .recover | sqlite3 {path}.recovered`, and put that in its place"
                )
            }
            Self::System { path, error, remedy } => write!(f, "`{}`: {error}; {remedy}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}
