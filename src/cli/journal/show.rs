//! `hooksieve journal show`

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
};

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::{
    list::table,
    place::Place,
    select::{Name, named},
    when::{moment, moment_and_age, took},
};
use crate::{
    admin::form::{Delivery, Whole},
    cli::{ConfigFile, Format, NO, columns},
    state::journal::{Detail, Row, State},
    telemetry::{is_unprintable, printable},
};

/// What `show` can be told.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    /// Its number, or its `webhook-id`
    #[arg(value_name = "ID", value_parser = Name::parse)]
    name: Name,
    #[command(flatten)]
    pub(super) file: ConfigFile,
    /// Print its bytes, and nothing else
    #[arg(long)]
    body: bool,
    /// How it is printed
    #[arg(long, value_enum, default_value = "text")]
    pub(super) format: Format,
}

/// Prints one delivery, or says which there are of this name.
pub(super) fn show(place: &Place, options: &Options, format: Format) -> Result<u8, String> {
    let journal = place.look()?;
    let selected = named(std::slice::from_ref(&options.name), &journal)?;
    let [row] = &selected.rows[..] else { return Ok(several(place, &options.name, &selected.rows)) };
    let detail = journal.show(row.id).map_err(|error| error.to_string())?;
    let Some(detail) = detail else { return Ok(several(place, &options.name, &[])) };
    match (format, options.body) {
        (Format::Json, with_body) => println!("{}", json!(Whole::new(detail, with_body))),
        (Format::Text, true) => return body(&detail),
        (Format::Text, false) => {
            print!("{}", text(&detail, place.now));
            advise(place, &detail);
        }
    }
    Ok(0)
}

/// Of none or of several lines with one name, the operator has to choose.
fn several(place: &Place, name: &Name, rows: &[Row]) -> u8 {
    if rows.is_empty() {
        let list = place.command("list");
        eprintln!("error: there is no delivery {name} in the journal\n  help: {list} shows what is there");
    } else {
        print!("{}", table(&rows.iter().cloned().map(Delivery::from).collect::<Vec<_>>(), place.now));
        eprintln!("error: {} deliveries have this `webhook-id`\n  help: name one by its number", rows.len());
    }
    NO
}

/// Into a pipe as it is; for eyes so that nothing in it moves a cursor or turns the writing around.
fn body(detail: &Detail) -> Result<u8, String> {
    let Some(bytes) = &detail.body else {
        return Err(format!(
            "the bytes of delivery {} are not kept\n  help: they are while it waits, and afterwards with `journal.bodies = \"all\"`",
            detail.row.id.0
        ));
    };
    let mut out = io::stdout();
    if out.is_terminal() {
        println!("{}", escaped(bytes));
    } else {
        // A reader that has seen enough is no defect.
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    }
    Ok(0)
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if is_unprintable(character) && !matches!(character, '\n' | '\t') {
                let _ = write!(text, "{}", character.escape_unicode());
            } else {
                text.push(character);
            }
        }
        let _ = write!(text, "{}", chunk.invalid().escape_ascii());
    }
    text
}

/// Everything but the bytes.
fn text(detail: &Detail, now: Timestamp) -> String {
    let row = &detail.row;
    let mut out = format!("Delivery {}: {}\n", row.id.0, standing(row));
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(out, "  {name:13}{value}");
    };
    line("received", &moment_and_age(row.received_at, now));
    line("source", &row.source);
    line("type", &row.event_type.as_deref().map_or("-".into(), printable));
    line("webhook-id", &row.webhook_id);
    let told = row.answer.map_or_else(String::new, |status| format!(", and its sender was told {status}"));
    line("verdict", &format!("{}{told}", row.verdict));
    if let Some(reason) = &row.reason {
        line("reason", &printable(reason));
    }
    if let Some(fault) = &detail.fault {
        line("breaks", &format!("`{}` at {}", fault.keyword, pointer(&fault.pointer)));
    }
    line("upstream", row.upstream.as_deref().unwrap_or("-"));
    line("bytes", &bytes(detail));
    line("sha256", &detail.digest);
    line("traceparent", &detail.traceparent);
    out + &attempts(detail) + &audit(detail)
}

fn standing(row: &Row) -> String {
    let last = row.last_status.map_or_else(String::new, |status| format!(", the last answered with {status}"));
    let tries = format!("{} attempt{}{last}", row.attempts, if row.attempts == 1 { "" } else { "s" });
    match row.state {
        State::Dead => format!("dead. Nothing more is tried after {tries}"),
        State::Delivered => format!("delivered, with {tries}"),
        State::Discarded => "dropped by an operator".to_owned(),
        State::Noted => format!("noted, a line of the log ({})", row.verdict),
        State::Pending => format!("pending. It is to be delivered; {tries} so far"),
        State::Quarantined => "quarantined. It broke a rule and was set aside".to_owned(),
    }
}

fn pointer(text: &str) -> String {
    if text.is_empty() { "the event itself".to_owned() } else { format!("`{}`", printable(text)) }
}

fn bytes(detail: &Detail) -> String {
    let content_type = detail.content_type.as_deref().map(printable).unwrap_or_default();
    match &detail.body {
        Some(_) => format!("{}, {content_type}, kept: `--body` prints them", detail.row.bytes),
        None => format!("{}, not kept", detail.row.bytes),
    }
}

fn attempts(detail: &Detail) -> String {
    if detail.attempts.is_empty() {
        return String::new();
    }
    let lines = detail.attempts.iter().map(|tried| {
        let status = tried.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
        let error = tried.error.as_deref().map(printable).unwrap_or_default().into_owned();
        [tried.number.to_string(), moment(tried.at), took(tried.took), tried.class.as_str().to_owned(), status, error]
    });
    indented("attempts", &columns(["#", "AT", "TOOK", "RESULT", "STATUS", ""], lines))
}

fn audit(detail: &Detail) -> String {
    let lines: Vec<_> = detail.audit.iter().map(|(at, what)| format!("{}  {what}", moment(*at))).collect();
    indented("done to it", &lines.join("\n"))
}

fn indented(title: &str, lines: &str) -> String {
    if lines.is_empty() {
        return String::new();
    }
    lines.lines().fold(format!("  {title}\n"), |text, line| text + "    " + line + "\n")
}

/// What somebody may want to do next.
fn advise(place: &Place, detail: &Detail) {
    let command = |verb: &str| place.command(&verb.replace("ID", &detail.row.id.0.to_string()));
    match detail.row.state {
        State::Dead | State::Quarantined => {
            eprintln!("next: {} delivers it again; {} gives it up", command("replay ID"), command("drop ID"));
        }
        State::Delivered | State::Noted if detail.body.is_some() => {
            eprintln!("next: {} delivers it once more", command("replay ID --again"));
        }
        State::Delivered | State::Discarded | State::Noted | State::Pending => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o_18_a_body_moves_no_cursor() {
        let check = |body: &[u8], want: &str| assert_eq!(escaped(body), want);
        check(b"{\"a\":\n\t1}", "{\"a\":\n\t1}");
        check("é\u{1b}[2J\u{202e}\r".as_bytes(), "é\\u{1b}[2J\\u{202e}\\u{d}");
        check(b"a\xff\x00b", "a\\xff\\u{0}b");
    }
}
