//! What became of a request that was sent: the gateway's delivery log knows, and is asked at its admin door.

use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use tokio::time::{Instant, sleep_until};

use super::{
    ConfigFile,
    admin::{AdminDoor, query},
    journal::table,
    read,
};
use crate::{
    admin::form::Delivery,
    app,
    clock::{Clock as _, SystemClock},
    config::Environment,
    state::journal::State,
};

/// How long a queued delivery is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a line of the log is waited for: it is written behind the answer.
const LINE_PATIENCE: Duration = Duration::from_secs(1);

/// From one question to the next.
const STEP: Duration = Duration::from_millis(50);

/// By how much the gateway's clock may differ from ours.
const SKEW: Duration = Duration::from_mins(1);

/// The delivery log of a gateway that runs.
pub(super) struct Through {
    door: AdminDoor,
    source: String,
}

/// A page of the log.
#[derive(Deserialize)]
struct Page {
    deliveries: Vec<Delivery>,
}

impl Through {
    /// Of the gateway that runs with this file.
    pub(super) fn of(file: &ConfigFile, source: &str) -> Result<Self, String> {
        let (premises, _) = app::premises(&file.config, &read(&file.config)?, &Environment::of_process());
        let premises = premises.ok_or_else(|| format!("{} cannot be read", file.config.display()))?;
        Ok(Self { door: AdminDoor::of(&premises, &file.config)?, source: source.to_owned() })
    }

    /// Prints the lines of a request that was sent at `sent`: those with one of these identities, or, where none can be
    /// told beforehand, those of its source since then. Waits for what is still to be delivered. Whether nothing of it is
    /// dead.
    pub(super) async fn show(&self, identities: &[String], sent: Timestamp) -> Result<bool, String> {
        let began = Instant::now();
        let mut next = began;
        let rows = loop {
            let rows = self.look(identities, sent).await?;
            let is_open = rows.iter().any(|row| row.state == State::Pending.as_str());
            let patience = if rows.is_empty() { LINE_PATIENCE } else { PATIENCE };
            if (!rows.is_empty() && !is_open) || began.elapsed() >= patience {
                break rows;
            }
            next += STEP;
            sleep_until(next).await;
        };
        if rows.is_empty() {
            return Err(
                "there is no line of it in the delivery log: it was refused before anything was made of it".to_owned()
            );
        }
        print!("{}", table(&rows, SystemClock.now().wall));
        if let Some(row) = rows.iter().find(|row| row.state == State::Pending.as_str()) {
            eprintln!("next: it is still to be delivered; `hooksieve journal show {}` tells how that goes", row.id);
        }
        Ok(rows.iter().all(|row| row.state != State::Dead.as_str()))
    }

    async fn look(&self, identities: &[String], sent: Timestamp) -> Result<Vec<Delivery>, String> {
        let since = if identities.is_empty() { sent } else { sent - SKEW };
        let query = query(&[("source", &self.source), ("since", &since.to_string()), ("limit", "1000")]);
        let answered = self.door.ask(Method::GET, "/deliveries", Some(query)).await?;
        if !answered.status.is_success() {
            return Err(answered.problem());
        }
        let page: Page = serde_json::from_value(answered.document).map_err(|error| error.to_string())?;
        let is_ours = |row: &Delivery| identities.is_empty() || identities.contains(&row.webhook_id);
        Ok(page.deliveries.into_iter().filter(is_ours).collect())
    }
}
