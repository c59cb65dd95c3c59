//! Programs under strace, and what they asked of the system, in order.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// Everything that may change a file, or say what became of it.
const TRACED: &str = "trace=openat,open,creat,close,write,pwrite64,pwritev,pwritev2,writev,lseek,fsync,fdatasync,\
                      sync_file_range,ftruncate,truncate,unlink,unlinkat,rename,renameat,renameat2,link,linkat,\
                      fallocate,dup,dup2,dup3,sendto,sendmsg,recvfrom";

/// Whether programs can be traced here.
pub(crate) fn is_here() -> bool {
    let run = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    run.is_ok_and(|status| status.success())
}

/// strace, about to follow every thread of a program that is still to be named. What it sees goes to `file`.
pub(crate) fn record(file: &Path) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-xx", "-s", "16777216", "-e", "signal=none", "-e", TRACED, "-o"]).arg(file);
    command
}

/// One call, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) arguments: Vec<Argument>,
    /// What it returned; an error is negative.
    pub(crate) result: i64,
    /// The line of the trace on which it began, and the one on which it returned.
    pub(crate) lines: (usize, usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Argument {
    Number(i64),
    Bytes(Vec<u8>),
    /// Flags and the like, as strace writes them.
    Word(String),
}

impl Call {
    /// The argument at `index`, which must be a number.
    pub(crate) fn number(&self, index: usize) -> i64 {
        let Argument::Number(number) = self.arguments[index] else { panic!("no number at {index} in {self:?}") };
        number
    }

    /// The argument at `index`, which must be bytes.
    pub(crate) fn bytes(&self, index: usize) -> &[u8] {
        let Argument::Bytes(bytes) = &self.arguments[index] else { panic!("no bytes at {index} in {self:?}") };
        bytes
    }

    /// The argument at `index`, which must be a path.
    pub(crate) fn path(&self, index: usize) -> &str {
        std::str::from_utf8(self.bytes(index)).unwrap()
    }

    /// Whether some bytes are among its arguments.
    pub(crate) fn says(&self, what: &str) -> bool {
        let has = |bytes: &[u8]| bytes.windows(what.len()).any(|window| window == what.as_bytes());
        self.arguments.iter().any(|it| matches!(it, Argument::Bytes(bytes) if has(bytes)))
    }

    /// Whether a flag is set in any argument.
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.arguments.iter().any(|it| matches!(it, Argument::Word(word) if word.split('|').any(|it| it == flag)))
    }
}

/// All calls of a trace, in the order in which they began. One that never returned, because the process ended, counts as
/// failed.
pub(crate) fn read(file: &Path) -> Vec<Call> {
    let text = fs::read_to_string(file).unwrap();
    let mut begun: Vec<(&str, usize, String)> = Vec::new();
    let mut calls = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let (process, rest) = line.split_once(' ').unwrap();
        let rest = rest.trim_start();
        if rest.starts_with("+++") || rest.starts_with("---") {
            continue;
        }
        if let Some(start) = rest.strip_suffix("<unfinished ...>") {
            begun.push((process, number, start.to_owned()));
        } else if rest.starts_with("<... ") {
            // What began before strace was there is none of our business.
            let Some(at) = begun.iter().position(|it| it.0 == process) else { continue };
            let (_, from, start) = begun.remove(at);
            let end = rest.split_once("resumed>").unwrap().1;
            calls.extend(call(&format!("{start}{end}"), (from, number)));
        } else {
            calls.extend(call(rest, (number, number)));
        }
    }
    for (_, from, start) in begun {
        calls.extend(call(&format!("{start}) = -1 never returned"), (from, usize::MAX)));
    }
    calls.sort_by_key(|call| call.lines.0);
    calls
}

/// `name(arguments)  = result`.
fn call(text: &str, lines: (usize, usize)) -> Option<Call> {
    let (head, result) = text.rsplit_once(" = ")?;
    let (name, arguments) = head.trim_end().strip_suffix(')')?.split_once('(')?;
    let arguments = arguments.split(", ").filter(|text| !text.is_empty()).map(argument).collect();
    let result = result.split(' ').next()?.parse().unwrap_or(-1);
    Some(Call { name: name.to_owned(), arguments, result, lines })
}

fn argument(text: &str) -> Argument {
    // The parts of a vector are arguments of their own.
    let text = text.trim().trim_start_matches(['[', '{']).trim_start_matches("iov_base=");
    if let Some(hex) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        // Each byte is four characters: `\x2f`.
        let digit = |code: u8| u8::try_from(char::from(code).to_digit(16).unwrap()).unwrap();
        let bytes = hex.as_bytes().chunks_exact(4).map(|code| digit(code[2]) << 4 | digit(code[3]));
        return Argument::Bytes(bytes.collect());
    }
    text.parse().map_or_else(|_| Argument::Word(text.to_owned()), Argument::Number)
}
