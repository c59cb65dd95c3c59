//! Where the journal is, and who may change it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use http::Method;
use jiff::Timestamp;
use tokio::runtime::Runtime;

use super::outcome::End;
use crate::{
    app,
    cli::{
        ConfigFile, DEFAULT_FILE,
        admin::{AdminDoor, Answered, query},
        complain, read,
        wire::quote,
    },
    clock::{Clock as _, SystemClock},
    config::{Environment, compile::Premises},
    state::{
        journal::{JournalStore as _, Row},
        sqlite::{Glance, OpenError, Settings, SqliteJournal},
    },
};

const CENTURY: Duration = Duration::from_hours(100 * 366 * 24);

/// A journal, and the gateway that it belongs to.
pub(super) struct Place {
    path: PathBuf,
    file: PathBuf,
    premises: Premises,
    /// For whatever has to be waited for.
    pub(super) runtime: Runtime,
    /// When the command was given.
    pub(super) now: Timestamp,
}

/// Who has the journal.
pub(super) enum Keeper {
    /// The gateway, which runs: this is its admin door.
    Gateway(AdminDoor),
    /// This process, because no other has it.
    Us(SqliteJournal),
}

impl Place {
    /// Finds it in the configuration, whatever else is wrong with that.
    pub(super) fn find(file: &ConfigFile) -> Result<Self, String> {
        let text = read(&file.config)?;
        let (premises, found) = app::premises(&file.config, &text, &Environment::of_process());
        let Some((premises, path)) = premises.and_then(|it| it.journal.clone().map(|path| (it, path))) else {
            complain(&found);
            let help = "add `[journal]` with `path = \"hooksieve.db\"`, or name the file that the gateway runs with by `-c FILE`";
            return Err(format!("error: there is no journal in {}\n  help: {help}", file.config.display()));
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("error: the runtime cannot be started: {error}"))?;
        Ok(Self { path, file: file.config.clone(), premises, runtime, now: SystemClock.now().wall })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A command about it, to be copied from the terminal.
    pub(super) fn command(&self, what: &str) -> String {
        let file = self.file.display().to_string();
        let file = if file == DEFAULT_FILE { String::new() } else { format!(" -c {}", quote(&file)) };
        format!("`hooksieve journal {what}{file}`")
    }

    /// A look into it, which changes nothing and disturbs nobody.
    pub(super) fn look(&self) -> Result<Glance, String> {
        self.exists()?;
        Glance::open(&self.path).map_err(|error| error.to_string())
    }

    /// Whoever may change it: found by its lock.
    pub(super) fn keeper(&self) -> Result<Keeper, String> {
        self.exists()?;
        // A command keeps what there is: how long and how much is for the gateway to decide.
        let settings = Settings {
            retention: CENTURY,
            keep_bodies: true,
            max_size: u64::MAX,
            max_entries: u64::MAX,
            min_free_percent: 0,
            max_settled: u64::MAX,
            path: self.path.clone(),
        };
        match SqliteJournal::open(settings, Arc::new(SystemClock)) {
            Ok(journal) => Ok(Keeper::Us(journal)),
            Err(OpenError::Locked { .. }) => self.door().map(Keeper::Gateway),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The admin door of the gateway that runs with this configuration.
    fn door(&self) -> Result<AdminDoor, String> {
        AdminDoor::of(&self.premises, &self.file)
    }

    fn exists(&self) -> Result<(), String> {
        let is_missing =
            std::fs::symlink_metadata(&self.path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
        if is_missing {
            let path = self.path.display();
            return Err(format!("there is no journal at {path}\n  help: the gateway makes it when it starts"));
        }
        Ok(())
    }
}

impl Keeper {
    /// Whether a gateway runs, and delivers at once.
    pub(super) fn is_gateway(&self) -> bool {
        matches!(self, Self::Gateway(_))
    }

    /// Makes a delivery pending again.
    pub(super) async fn replay(&self, row: &Row, again: bool) -> Result<End, String> {
        match self {
            Self::Gateway(door) => {
                let query = query(&[("id", &row.webhook_id), ("again", if again { "1" } else { "0" })]);
                end(&door.ask(Method::POST, &format!("/deliveries/{}/replay", row.id.0), Some(query)).await?)
            }
            Self::Us(journal) => {
                let replay = journal.replay(row.id, again, SystemClock.now()).await;
                replay.map(End::from).map_err(|error| error.to_string())
            }
        }
    }

    /// Gives a delivery up.
    pub(super) async fn drop(&self, row: &Row) -> Result<End, String> {
        match self {
            Self::Gateway(door) => {
                let query = query(&[("id", &row.webhook_id)]);
                end(&door.ask(Method::DELETE, &format!("/deliveries/{}", row.id.0), Some(query)).await?)
            }
            Self::Us(journal) => {
                let dropped = journal.discard(row.id, SystemClock.now()).await;
                dropped.map(|dropped| if dropped { End::Dropped } else { End::NotDropped }).map_err(|it| it.to_string())
            }
        }
    }
}

/// What the gateway did, or why it did nothing.
fn end(answer: &Answered) -> Result<End, String> {
    let word = |name: &str| answer.document.get(name)?.as_str();
    word("outcome").or(word("error")).and_then(End::of_word).ok_or_else(|| answer.problem())
}
