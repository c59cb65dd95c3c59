//! The delivery log over HTTP.

use http::StatusCode;
use serde_json::json;

use super::{
    Desk,
    answers::{self, refused},
    form::{Delivery, Whole},
    query::{self, Listing, Terms},
};
use crate::{
    stages::answer::Answer,
    state::journal::{Detail, EntryId, JournalError, JournalStore, Page, Replay},
};

/// What was asked for, or why it is not given.
type Given = Result<Answer, Answer>;

/// `GET /deliveries`
pub(super) async fn list(desk: &dyn Desk, query: &str) -> Given {
    let Listing { filter, page } = Listing::parse(query, desk.now()).map_err(|slip| bad(&slip))?;
    // One more than asked for tells whether there are more.
    let asked = Page { limit: page.limit + 1, ..page };
    let mut rows = journal(desk)?.list(filter, asked).await.map_err(|error| failed(&error))?;
    let more = rows.len() > page.limit;
    rows.truncate(page.limit);
    let rows: Vec<_> = rows.into_iter().map(Delivery::from).collect();
    let document = json!({ "deliveries": rows, "limit": page.limit, "offset": page.offset, "more": more });
    Ok(answers::json(StatusCode::OK, &document))
}

/// `GET /deliveries/{id}`
pub(super) async fn show(desk: &dyn Desk, entry: EntryId, query: &str) -> Given {
    let with_body = query::with_body(query).map_err(|slip| bad(&slip))?;
    let detail = find(desk, entry).await?;
    Ok(answers::json(StatusCode::OK, &Whole::new(detail, with_body)))
}

/// `POST /deliveries/{id}/replay`
pub(super) async fn replay(desk: &dyn Desk, entry: EntryId, query: &str) -> Given {
    let terms = Terms::parse(query).map_err(|slip| bad(&slip))?;
    expect(desk, entry, &terms).await?;
    match desk.replay(entry, terms.again).await.map_err(|error| failed(&error))? {
        Replay::Queued => Ok(done(StatusCode::ACCEPTED, entry, "queued")),
        Replay::Waiting => Ok(done(StatusCode::OK, entry, "waiting")),
        Replay::Missing => Err(missing()),
        Replay::NoBody => {
            Err(refused(StatusCode::CONFLICT, "no_body", "its bytes are not kept: there is nothing to send"))
        }
        Replay::Delivered => Err(refused(
            StatusCode::CONFLICT,
            "delivered",
            "it was delivered already: `?again=1` delivers it once more, and the application gets it twice",
        )),
    }
}

/// `DELETE /deliveries/{id}`
pub(super) async fn drop(desk: &dyn Desk, entry: EntryId, query: &str) -> Given {
    let terms = Terms::parse(query).map_err(|slip| bad(&slip))?;
    expect(desk, entry, &terms).await?;
    if desk.discard(entry).await.map_err(|error| failed(&error))? {
        return Ok(done(StatusCode::OK, entry, "dropped"));
    }
    let state = find(desk, entry).await?.row.state;
    let message = format!("it is {}: only what is pending, dead or quarantined can be dropped", state.as_str());
    Err(refused(StatusCode::CONFLICT, "not_dropped", &message))
}

/// Makes sure that there is a journal, and that the entry is the one that was meant.
async fn expect(desk: &dyn Desk, entry: EntryId, terms: &Terms) -> Result<(), Answer> {
    journal(desk)?;
    let Some(id) = &terms.id else { return Ok(()) };
    if find(desk, entry).await?.row.webhook_id == *id {
        return Ok(());
    }
    let message = format!("delivery {} has another `webhook-id`: it is not the one you mean", entry.0);
    Err(refused(StatusCode::CONFLICT, "other_delivery", &message))
}

async fn find(desk: &dyn Desk, entry: EntryId) -> Result<Detail, Answer> {
    journal(desk)?.show(entry).await.map_err(|error| failed(&error))?.ok_or_else(missing)
}

fn journal(desk: &dyn Desk) -> Result<&dyn JournalStore, Answer> {
    let message = "this gateway has no journal: add `[journal]` to its configuration";
    desk.journal().ok_or_else(|| refused(StatusCode::NOT_FOUND, "no_journal", message))
}

fn done(status: StatusCode, entry: EntryId, outcome: &str) -> Answer {
    answers::json(status, &json!({ "id": entry.0, "outcome": outcome }))
}

fn bad(slip: &str) -> Answer {
    refused(StatusCode::BAD_REQUEST, "bad_request", slip)
}

fn missing() -> Answer {
    refused(StatusCode::NOT_FOUND, "not_found", "there is no such delivery in the journal")
}

fn failed(error: &JournalError) -> Answer {
    refused(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &error.to_string())
}
