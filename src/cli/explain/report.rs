//! What `explain` says: for people and for programs.

use std::fmt;

use serde::Serialize;

use super::{keys::Unjudged, search::Search};
use crate::stages::words::Refusal;

/// Everything about one request.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The source whose rules were asked.
    pub(super) source: String,
    /// The request, in one line.
    pub(super) request: String,
    /// The time at which it was judged, and who says so.
    pub(super) now: String,
    /// What may not be as it was on the wire.
    pub(super) remarks: Vec<String>,
    /// The steps of the journey.
    pub(super) steps: Vec<Step>,
    /// What the sender is answered, as far as that can be said.
    pub(super) answer: Answered,
    /// What could not be judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unjudged: Option<Unjudged>,
    /// Which mistake would explain a failure to authenticate.
    #[serde(flatten)]
    pub(super) search: Search,
}

/// One step.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    #[serde(rename = "step")]
    pub(super) name: &'static str,
    pub(super) outcome: Outcome,
    /// Why, where it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'static str>,
    /// An earlier step has refused the request: this is what the step would have said.
    pub(super) hypothetical: bool,
    /// What was looked at: names, lengths and counts.
    pub(super) notes: Vec<String>,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// The request goes on.
    Passed,
    /// It ends here, with an error.
    Refused,
    /// It ends here, with the answer to a handshake.
    Answered,
    /// Only the running gateway knows.
    Unknown,
}

/// The answer.
#[derive(Debug, Serialize)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) accepted: bool,
}

/// Where the notes of a step begin, in columns.
const MARGIN: usize = 20;

/// How wide a line may be.
const WIDTH: usize = 110;

impl Step {
    /// A step that lets the request go on.
    pub(super) fn passed(name: &'static str, notes: impl IntoIterator<Item = String>) -> Self {
        let notes = notes.into_iter().collect();
        Self { name, outcome: Outcome::Passed, reason: None, hypothetical: false, notes }
    }

    /// A step that refuses it; the meaning of the reason comes first.
    pub(super) fn refused(name: &'static str, refusal: Refusal, notes: impl IntoIterator<Item = String>) -> Self {
        let meaning = refusal.meaning().trim().to_owned();
        let notes = std::iter::once(meaning).chain(notes).collect();
        Self { name, outcome: Outcome::Refused, reason: Some(refusal.as_str()), hypothetical: false, notes }
    }

    fn word(&self) -> String {
        let word = match self.outcome {
            Outcome::Passed => "ok".to_owned(),
            Outcome::Refused => format!("refused: {}", self.reason.unwrap_or_default()),
            Outcome::Answered => "answered".to_owned(),
            Outcome::Unknown => "-".to_owned(),
        };
        if self.hypothetical { format!("({word})") } else { word }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} for the source {}", self.request, self.source)?;
        writeln!(f, "judged at {}", self.now)?;
        for remark in &self.remarks {
            paragraph(f, "note: ", remark, 6)?;
        }
        writeln!(f)?;
        for step in &self.steps {
            let title = format!("{:<13} {:<5} ", step.name, step.word());
            let mut notes = step.notes.iter();
            if let Some(first) = notes.next() {
                paragraph(f, &title, first, MARGIN + 2)?;
            }
            for note in notes {
                paragraph(f, &" ".repeat(MARGIN), note, MARGIN + 2)?;
            }
        }
        let Answered { status, accepted } = self.answer;
        let accepted = match &self.unjudged {
            None if accepted => "accepted",
            Some(_) if self.is_passed() => "if the signature is right",
            None | Some(_) => "refused",
        };
        writeln!(f, "{:<13} {status} {accepted}", "answer")?;
        if self.steps.iter().any(|step| step.hypothetical) {
            writeln!(f, "\nIn brackets: what the step would have said.")?;
        }
        if let Some(Unjudged { what, remedies }) = &self.unjudged {
            writeln!(f)?;
            paragraph(f, "Not judged: ", &format!("{what}:"), 12)?;
            // Not in a paragraph, so that a line can be taken as it is.
            remedies.iter().try_for_each(|remedy| writeln!(f, "  {remedy}"))?;
        }
        self.causes(f)
    }
}

impl Report {
    /// Whether no step has refused the request.
    fn is_passed(&self) -> bool {
        self.steps.iter().all(|step| step.outcome != Outcome::Refused)
    }

    fn causes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Search { causes, tried } = &self.search;
        for (index, cause) in causes.iter().enumerate() {
            writeln!(f)?;
            let title = if index == 0 { "Cause: " } else { "Or: " };
            paragraph(f, title, &format!("{}.", cause.causes.join("; and ")), title.len())?;
            for remedy in &cause.remedies {
                paragraph(f, "  -> ", remedy, 5)?;
            }
        }
        if causes.is_empty() && *tried > 0 {
            writeln!(f)?;
            let text = format!(
                "No common mistake explains it: {tried} were tried, alone and in pairs. Most likely the secret, or a \
                 setting that is signed, is that of another endpoint or account at the sender, or the body was changed in a way that cannot be undone. \
                 docs/debugging.md says what was tried and what else to look at."
            );
            paragraph(f, "Cause: ", &text, 7)?;
        }
        Ok(())
    }
}

/// Text in lines of a bearable width.
fn paragraph(f: &mut fmt::Formatter<'_>, start: &str, text: &str, indent: usize) -> fmt::Result {
    let mut line = start.to_owned();
    let mut is_empty = true;
    for word in text.split_whitespace() {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(f, "{line}")?;
            line = " ".repeat(indent);
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    writeln!(f, "{line}")
}
