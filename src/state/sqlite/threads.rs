//! The threads that work on a journal, and what comes back from them.

use std::{
    sync::{
        Weak,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

use super::{command::Command, writer::Writer};
use crate::state::journal::{JournalError, Leases};

/// Entries in one commit, at most, but for a single larger group.
const COMMIT_MAX: usize = 256;

/// Leases on their way to whoever asked. If nobody reads them, because the future is dropped, they go back.
pub(super) struct Unread {
    pub(super) answer: oneshot::Receiver<Result<Leases, JournalError>>,
    pub(super) writer: Weak<mpsc::Sender<Command>>,
}

impl Unread {
    pub(super) async fn read(mut self) -> Result<Leases, JournalError> {
        (&mut self.answer).await.unwrap_or_else(|_| Err(closed()))
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.answer.close();
        if let (Ok(Ok(leases)), Some(writer)) = (self.answer.try_recv(), self.writer.upgrade()) {
            let entries = leases.events.iter().map(|leased| leased.id.0).collect();
            // The writer ends when the journal does, and the leases with it.
            let _ = writer.send(Command::LetGo { entries });
        }
    }
}

/// The life of the writer's thread.
pub(super) fn write(mut writer: Writer, inbox: &mpsc::Receiver<Command>) {
    loop {
        let mut commands = match inbox.recv_timeout(writer.patience()) {
            Ok(command) => vec![command],
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return writer.close(),
        };
        let mut weight = commands.iter().map(Command::weight).sum::<usize>();
        while weight < COMMIT_MAX
            && let Ok(command) = inbox.try_recv()
        {
            weight += command.weight();
            commands.push(command);
        }
        for command in &commands {
            writer.shared.taken(command);
        }
        writer.handle(commands);
    }
}

pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).expect("the system has room for a thread")
}

pub(super) fn closed() -> JournalError {
    JournalError::Failed("it has been closed".into())
}
