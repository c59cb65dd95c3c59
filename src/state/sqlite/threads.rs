//! The threads that work on a journal, and what comes back from them.

use std::{
    sync::{
        Weak,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::Duration,
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
        let first = match inbox.recv_timeout(writer.patience()) {
            Ok(command) => Some(command),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return writer.close(),
        };
        let commands = first.map(|first| company(first, inbox, || writer.leisure())).unwrap_or_default();
        for command in &commands {
            writer.shared.taken(command);
        }
        writer.handle(commands);
    }
}

/// What goes into one commit with a call: all that came meanwhile, and where nobody waits, what comes in a while.
fn company(first: Command, inbox: &mpsc::Receiver<Command>, leisure: impl Fn() -> Duration) -> Vec<Command> {
    let (mut weight, mut is_urgent) = (first.weight(), first.is_urgent());
    let mut commands = vec![first];
    while weight < COMMIT_MAX {
        let next = inbox.try_recv().ok().or_else(|| {
            let leisure = if is_urgent { Duration::ZERO } else { leisure() };
            if leisure.is_zero() { None } else { inbox.recv_timeout(leisure).ok() }
        });
        let Some(command) = next else { break };
        weight += command.weight();
        is_urgent |= command.is_urgent();
        commands.push(command);
    }
    commands
}

pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).expect("the system has room for a thread")
}

pub(super) fn closed() -> JournalError {
    JournalError::Failed("it has been closed".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{Clock as _, SystemClock},
        state::journal::EntryId,
    };

    const LONG: Duration = Duration::from_hours(1);

    fn patient() -> Command {
        Command::Answered { entries: vec![EntryId(1)], status: 202 }
    }

    fn urgent() -> Command {
        Command::Discard { entry: EntryId(1), now: SystemClock.now(), reply: oneshot::channel().0 }
    }

    #[test]
    fn what_nobody_waits_for_goes_with_the_next_that_somebody_does() {
        let (sender, inbox) = mpsc::channel();
        let other = thread::spawn(move || {
            sender.send(patient()).unwrap();
            sender.send(urgent()).unwrap();
            sender
        });
        let commands = company(patient(), &inbox, || LONG);
        assert!(commands.last().is_some_and(Command::is_urgent), "{commands:?}");
        assert_eq!(commands.len(), 3);
        other.join().unwrap();
    }

    #[test]
    fn nobody_waits_for_company() {
        let (sender, inbox) = mpsc::channel();
        assert_eq!(company(urgent(), &inbox, || LONG).len(), 1);
        sender.send(patient()).unwrap();
        sender.send(patient()).unwrap();
        assert_eq!(company(urgent(), &inbox, || LONG).len(), 3, "but whoever is there comes along");
        assert_eq!(company(patient(), &inbox, || Duration::ZERO).len(), 1, "the last commit was long ago");
    }

    #[test]
    fn a_commit_has_bounds_and_an_end() {
        let (sender, inbox) = mpsc::channel();
        (0..COMMIT_MAX + 10).for_each(|_| sender.send(patient()).unwrap());
        assert_eq!(company(patient(), &inbox, || LONG).len(), COMMIT_MAX);
        drop(sender);
        assert_eq!(company(patient(), &inbox, || LONG).len(), 12, "nobody can come any more");
    }
}
