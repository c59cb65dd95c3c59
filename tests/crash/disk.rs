//! A disk that keeps what it must and loses what it may. It is told the calls of a real program, knows what is synced,
//! and makes the states that a loss of power could leave: of what is not synced, any part, in any order, torn anywhere
//! (Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014).

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use fastrand::Rng;

use crate::strace::{Argument, Call};

/// What a disk writes as a whole, or not at all.
const SECTOR: usize = 512;

/// What a disk does when it is told to sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syncs {
    All,
    /// It lies about what is in directories.
    Files,
    /// It lies about what is in files.
    Directories,
}

/// A directory, as the program sees it and as the disk has it.
pub(crate) struct Disk {
    syncs: Syncs,
    directory: PathBuf,
    files: Vec<File>,
    /// Names as the program sees them.
    names: BTreeMap<String, usize>,
    /// Names that are safe.
    synced: BTreeMap<String, usize>,
    /// What was done to names since.
    renamed: Vec<Naming>,
    open: HashMap<i64, Open>,
}

#[derive(Default)]
struct File {
    synced: Vec<u8>,
    /// What was done to it since, in order.
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Clone, Debug)]
enum Naming {
    Is(String, usize),
    Gone(String),
    Moved(String, String),
}

enum Open {
    Directory,
    File { file: usize, position: usize },
}

impl Disk {
    /// A disk whose only directory is empty. What happens elsewhere is ignored.
    pub(crate) fn new(directory: &Path, syncs: Syncs) -> Self {
        Self {
            syncs,
            directory: directory.to_owned(),
            files: Vec::new(),
            names: BTreeMap::new(),
            synced: BTreeMap::new(),
            renamed: Vec::new(),
            open: HashMap::new(),
        }
    }

    /// The process has ended. What it wrote stays in the system's memory.
    pub(crate) fn exited(&mut self) {
        self.open.clear();
    }

    /// The program has called.
    pub(crate) fn play(&mut self, call: &Call) {
        if call.result < 0 {
            return;
        }
        match &*call.name {
            "open" => self.opened(call, call.path(0)),
            "openat" => self.opened(call, call.path(1)),
            "close" => drop(self.open.remove(&call.number(0))),
            "lseek" => {
                if let Some(Open::File { position, .. }) = self.open.get_mut(&call.number(0)) {
                    *position = size(call.result);
                }
            }
            "write" => {
                if let Some((file, at)) = self.file(call) {
                    self.write(file, at, call);
                    let position = at + size(call.result);
                    self.open.insert(call.number(0), Open::File { file, position });
                }
            }
            "pwrite64" => {
                if let Some((file, _)) = self.file(call) {
                    self.write(file, size(call.number(3)), call);
                }
            }
            "ftruncate" => {
                if let Some((file, _)) = self.file(call) {
                    self.files[file].changes.push(Change::Length(size(call.number(1))));
                }
            }
            "fsync" | "fdatasync" => self.sync(call.number(0)),
            "unlink" => {
                if let Some(name) = self.name(call.path(0)) {
                    self.renamed(Naming::Gone(name));
                }
            }
            "rename" => {
                if let (Some(from), Some(to)) = (self.name(call.path(0)), self.name(call.path(1))) {
                    self.renamed(Naming::Moved(from, to));
                }
            }
            "sendto" | "sendmsg" | "recvfrom" => {}
            _ => assert!(!self.concerns(call), "this disk does not know what to do: {call:?}"),
        }
    }

    fn opened(&mut self, call: &Call, path: &str) {
        if Path::new(path) == self.directory {
            self.open.insert(call.result, Open::Directory);
            return;
        }
        let Some(name) = self.name(path) else { return };
        let file = self.names.get(&name).copied().unwrap_or_else(|| {
            self.files.push(File::default());
            let file = self.files.len() - 1;
            self.renamed(Naming::Is(name, file));
            file
        });
        assert!(!call.has("O_TRUNC") && !call.has("O_APPEND"), "this disk does not know what to do: {call:?}");
        self.open.insert(call.result, Open::File { file, position: 0 });
    }

    fn write(&mut self, file: usize, at: usize, call: &Call) {
        let bytes = call.bytes(1)[..size(call.result)].to_vec();
        self.files[file].changes.push(Change::Write { at, bytes });
    }

    fn sync(&mut self, descriptor: i64) {
        match self.open.get(&descriptor) {
            Some(Open::Directory) if self.syncs != Syncs::Files => {
                self.synced.clone_from(&self.names);
                self.renamed.clear();
            }
            // That its name is safe with it, as on most file systems, is not promised anywhere.
            Some(Open::File { file, .. }) if self.syncs != Syncs::Directories => {
                let file = &mut self.files[*file];
                for change in file.changes.drain(..) {
                    change.apply(&mut file.synced, 0);
                }
            }
            Some(_) | None => {}
        }
    }

    fn renamed(&mut self, naming: Naming) {
        naming.apply(&mut self.names);
        self.renamed.push(naming);
    }

    /// The file that a call's first argument means, and the position in it.
    fn file(&self, call: &Call) -> Option<(usize, usize)> {
        match self.open.get(&call.number(0)) {
            Some(Open::File { file, position }) => Some((*file, *position)),
            Some(Open::Directory) | None => None,
        }
    }

    fn concerns(&self, call: &Call) -> bool {
        let directory = self.directory.as_os_str().as_encoded_bytes();
        let is_ours = |it: &Argument| match it {
            Argument::Number(number) => self.open.contains_key(number),
            Argument::Bytes(bytes) => bytes.starts_with(directory),
            Argument::Word(_) => false,
        };
        call.arguments.iter().take(2).any(is_ours)
    }

    fn name(&self, path: &str) -> Option<String> {
        let name = Path::new(path).strip_prefix(&self.directory).ok()?.to_str()?;
        (!name.is_empty()).then(|| name.to_owned())
    }

    /// Power is lost now. Makes in `into` what is found on the disk after it.
    pub(crate) fn crash(&self, rng: &mut Rng, into: &Path) {
        let mut names = self.synced.clone();
        for naming in some(rng, &self.renamed) {
            naming.apply(&mut names);
        }
        // What was allocated and not written is mostly zeros, and sometimes what was there before.
        let filler = if rng.u8(..4) == 0 { rng.u8(..) } else { 0 };
        for (name, file) in names {
            let file = &self.files[file];
            let mut bytes = file.synced.clone();
            for change in some(rng, &file.changes) {
                for part in change.torn(rng) {
                    part.apply(&mut bytes, filler);
                }
            }
            fs::write(into.join(name), bytes).unwrap();
        }
    }
}

/// What the disk has of what it was not told to keep: all, none, the first, or any.
fn some<T: Clone>(rng: &mut Rng, all: &[T]) -> Vec<T> {
    match rng.u8(..6) {
        0 => Vec::new(),
        1 => all.to_vec(),
        2 => all[..rng.usize(..=all.len())].to_vec(),
        // Just one is missing.
        3 if !all.is_empty() => {
            let mut some = all.to_vec();
            some.remove(rng.usize(..all.len()));
            some
        }
        _ => all.iter().filter(|_| rng.bool()).cloned().collect(),
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>, filler: u8) {
        match self {
            Self::Write { at, bytes: written } => {
                let end = at + written.len();
                if bytes.len() < end {
                    bytes.resize(end, filler);
                }
                bytes[*at..end].copy_from_slice(written);
            }
            Self::Length(length) => bytes.resize(*length, 0),
        }
    }

    /// Now and then only some sectors of a write reach the disk, or it stops in the middle of one.
    fn torn(self, rng: &mut Rng) -> Vec<Self> {
        let Self::Write { at, bytes } = &self else { return vec![self] };
        match rng.u8(..8) {
            0 => {
                let mut from = 0;
                let mut sectors = Vec::new();
                while from < bytes.len() {
                    let to = (((at + from) / SECTOR + 1) * SECTOR - at).min(bytes.len());
                    if rng.bool() {
                        sectors.push(Self::Write { at: at + from, bytes: bytes[from..to].to_vec() });
                    }
                    from = to;
                }
                sectors
            }
            1 => vec![Self::Write { at: *at, bytes: bytes[..rng.usize(..=bytes.len())].to_vec() }],
            _ => vec![self],
        }
    }
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Is(name, file) => drop(names.insert(name.clone(), *file)),
            Self::Gone(name) => drop(names.remove(name)),
            Self::Moved(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
        }
    }
}

fn size(number: i64) -> usize {
    usize::try_from(number).unwrap()
}
