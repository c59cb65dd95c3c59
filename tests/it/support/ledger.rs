//! A journal with something in it, for those who look into it.

use std::{path::Path, sync::Arc, time::Duration};

use hooksieve::{
    clock::{Clock as _, SystemClock},
    stages::{
        schemes::Strength,
        words::{Cause, Verdict},
    },
    state::{
        journal::{Class, Entry, EntryId, Fault, Group, JournalStore as _, Kept, Lane, Mark, Note, Tried},
        key::{Digest, EventKey},
        sqlite::{Settings, SqliteJournal},
    },
};
use http::HeaderValue;

use super::gateway::CANARY;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The journal in a folder, opened as a gateway does.
pub(crate) fn open_journal(folder: &Path) -> SqliteJournal {
    // The machine that runs the tests may have a full disk of its own.
    let settings = Settings { min_free_percent: 0, ..Settings::new(folder.join("journal.db")) };
    SqliteJournal::open(settings, Arc::new(SystemClock)).unwrap()
}

pub(crate) fn event(source: &str, id: &str, verdict: Verdict) -> Entry {
    let body = format!("{{\"id\":\"{id}\",\"text\":\"{CANARY}\"}}");
    Entry {
        received_at: SystemClock.now().wall - Duration::from_mins(190),
        source: source.into(),
        event_type: Some("order.paid".to_owned()),
        key: EventKey::new(source, [id.as_bytes()]),
        digest: Digest::of(body.as_bytes()),
        bytes: body.len(),
        verdict,
        fault: None,
        traceparent: TRACE.to_owned(),
        kept: Some(Kept {
            body: body.into(),
            content_type: HeaderValue::from_static("application/json"),
            headers: Vec::new(),
            strength: Strength::Verified,
            secret: "1".into(),
            batch: None,
            upstream: "app".into(),
            order: None,
        }),
    }
}

pub(crate) fn webhook_id(source: &str, id: &str) -> String {
    EventKey::new(source, [id.as_bytes()]).webhook_id()
}

pub(crate) async fn append(journal: &SqliteJournal, entries: Vec<Entry>) {
    let group = Group { entries, settled: Vec::new() };
    journal.append(group, SystemClock.now()).await.unwrap();
}

/// Marks everything that is due as dead, after an attempt that was refused.
pub(crate) async fn bury(journal: &SqliteJournal) {
    let lane = Lane { upstream: "app".into(), except: Vec::new(), fresh_only: false };
    for leased in journal.lease(lane, 100, SystemClock.now()).await.unwrap().events {
        let at = SystemClock.now().wall - Duration::from_mins(125);
        let (class, took) = (Class::Refused, Duration::from_millis(1_250));
        let tried = Tried { at, number: leased.attempts + 1, class, status: Some(503), took, error: None };
        let mark = Mark::Dead(Some(tried), "refused for 24 hours".to_owned());
        journal.mark(leased.id, mark, SystemClock.now()).await.unwrap();
    }
}

/// Two dead ones of `shop`, one that was set aside of `post`, a pending one, and a note.
pub(crate) async fn a_bad_night(journal: &SqliteJournal) {
    append(journal, vec![event("shop", "1", Verdict::Queue), event("shop", "2", Verdict::Queue)]).await;
    bury(journal).await;
    let mut odd = event("post", "3", Verdict::Quarantine(Cause::Schema));
    odd.event_type = Some("\u{1b}[2J\u{202e}a type that somebody made far longer than any column".to_owned());
    odd.fault = Some(Fault { pointer: "/text".to_owned(), keyword: "maxLength".to_owned() });
    append(journal, vec![odd, event("shop", "4", Verdict::Queue)]).await;
    let note = Entry { kept: None, ..event("shop", "1", Verdict::Duplicate) };
    journal.note(vec![Note { entry: note, answer: 200, attempt: None }], SystemClock.now());
    // A change is done after what was noted before it.
    assert!(!journal.discard(EntryId(99), SystemClock.now()).await.unwrap());
}
