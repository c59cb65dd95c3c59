//! Mistakes with the body: a signature is over bytes, and something between sender and gateway (or the capture) has
//! changed them.

use std::io::Read as _;

use data_encoding::BASE64;
use flate2::read::GzDecoder;

use super::{About, Hypothesis, Idea};
use crate::cli::explain::{
    case::{Case, Known},
    rewrite::rewritten,
};

pub(super) const ALL: &[Hypothesis] = &[
    Hypothesis {
        name: "body_newline",
        about: About::Body,
        mistake: "white space at the end of the body, lost or added",
        remedy: "pass the body on as it is, and capture it so",
        ideas: |case, _| {
            let body = &case.request.body;
            let less = [&b"\n"[..], b"\r\n"].into_iter().filter_map(|end| body.strip_suffix(end));
            let less = less.chain([body.trim_ascii_end()]).map(<[u8]>::to_vec);
            let more = [&b"\n"[..], b"\r\n"].map(|end| [body, end].concat());
            let mut ideas = Vec::new();
            ideas.extend(less.flat_map(|body| changed(case, body, "was signed without the white space at its end")));
            ideas.extend(more.into_iter().flat_map(|body| changed(case, body, "was signed with a newline at its end")));
            ideas
        },
    },
    Hypothesis {
        name: "line_ends",
        about: About::Body,
        mistake: "CRLF turned into LF, or the reverse",
        remedy: "treat the body as bytes, not as text",
        ideas: |case, _| {
            let text = String::from_utf8_lossy(&case.request.body);
            let unix = text.replace("\r\n", "\n");
            let mut ideas =
                changed(case, unix.replace('\n', "\r\n").into_bytes(), "was signed with CRLF as its line ends");
            ideas.extend(changed(case, unix.into_bytes(), "was signed with LF as its line ends"));
            ideas
        },
    },
    Hypothesis {
        name: "reserialised",
        about: About::Body,
        mistake: "the JSON was read and written again: minified, indented, other escapes, sorted keys",
        remedy: "sign and pass on the very bytes that are sent",
        ideas: |case, _| {
            let idea = |(body, said)| changed(case, body, &format!("was read and written again: it was signed {said}"));
            rewritten(&case.request.body).into_iter().flat_map(idea).collect()
        },
    },
    Hypothesis {
        name: "compressed",
        about: About::Body,
        mistake: "the body is compressed, and the signature is over what was compressed",
        remedy: "let the sender, or a proxy in front, send it uncompressed",
        ideas: |case, _| {
            let remedy = "let the sender send it as it is (the gateway takes no compressed bodies), or let the proxy in \
                          front decompress it and take `content-encoding` away";
            let mut body = Vec::new();
            let is_gzip = GzDecoder::new(&*case.request.body).take(DECOMPRESSED_MAX).read_to_end(&mut body).is_ok();
            let idea =
                Idea::new(case.with_body(body), "the body is gzip, and was signed before it was compressed", remedy);
            if is_gzip { vec![idea] } else { Vec::new() }
        },
    },
    Hypothesis {
        name: "wrapped",
        about: About::Body,
        mistake: "the body is the base64 or the JSON string of what was signed, as some platforms pass it on",
        remedy: "decode it before it gets to the gateway",
        ideas: |case, _| {
            let trimmed = case.request.body.trim_ascii();
            let decoded = BASE64.decode(trimmed).ok();
            let inner = serde_json::from_slice::<String>(trimmed).ok().map(String::into_bytes);
            let said = [(decoded, "is base64 of what was signed"), (inner, "is a JSON string of what was signed")];
            said.into_iter().filter_map(|(body, said)| Some(changed(case, body?, said))).flatten().collect()
        },
    },
    Hypothesis {
        name: "byte_order_mark",
        about: About::Body,
        mistake: "a byte order mark before the body, lost or added",
        remedy: "write the body as UTF-8 without one",
        ideas: |case, _| {
            let body = &case.request.body;
            match body.strip_prefix(MARK) {
                Some(rest) => changed(case, rest.to_vec(), "was signed without the byte order mark at its beginning"),
                None => changed(case, [MARK, body].concat(), "was signed with a byte order mark at its beginning"),
            }
        },
    },
    Hypothesis {
        name: "charset",
        about: About::Body,
        mistake: "UTF-8 read as Latin-1, or the reverse",
        remedy: "treat the body as bytes, or as UTF-8 everywhere",
        ideas: charsets,
    },
    Hypothesis {
        name: "form_rewritten",
        about: About::Body,
        mistake: "the form's fields in another order, or escaped otherwise",
        remedy: "pass the form on as it is",
        ideas: forms,
    },
];

/// A byte order mark in UTF-8.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// What a compressed body may become, in bytes.
const DECOMPRESSED_MAX: u64 = 16 << 20;

fn changed(case: &Case, body: impl Into<bytes::Bytes>, said: &str) -> Vec<Idea> {
    let body = body.into();
    if body == case.request.body {
        return Vec::new();
    }
    let remedy = "something has changed the body after it was signed: at the sender, sign the very bytes that are sent; on the \
                  way (or when capturing), pass them on as they are, and do not parse and write them again";
    vec![Idea::new(case.with_body(body), format!("the body {said}"), remedy)]
}

/// Latin-1 has a letter for every byte, and no others.
fn charsets(case: &Case, _: &Known) -> Vec<Idea> {
    let body = &case.request.body;
    let to_latin = |text: &str| text.chars().map(|letter| u8::try_from(letter).ok()).collect::<Option<Vec<u8>>>();
    let latin = std::str::from_utf8(body).ok().and_then(to_latin);
    let utf8 = body.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes();
    let said = "had other bytes for letters beyond ASCII when it was signed: it was read as Latin-1 and written as UTF-8, \
                or the reverse";
    latin.into_iter().chain([utf8]).flat_map(|body| changed(case, body, said)).collect()
}

fn forms(case: &Case, _: &Known) -> Vec<Idea> {
    let Ok(text) = std::str::from_utf8(&case.request.body) else { return Vec::new() };
    if !is_form(text) {
        return Vec::new();
    }
    let mut pairs: Vec<&str> = text.trim_end().split('&').collect();
    let mut ideas = Vec::new();
    let orders = |pairs: &[&str]| pairs.join("&");
    pairs.sort_unstable();
    let sorted = orders(&pairs);
    pairs.reverse();
    let reversed = orders(&pairs);
    for (body, said) in [(&sorted, "with its fields sorted"), (&reversed, "with its fields sorted backwards")] {
        ideas.extend(changed(case, body.clone(), &format!("was signed {said}")));
    }
    for text in [text, &sorted] {
        for (from, to) in [("+", "%20"), ("%20", "+")] {
            ideas.extend(changed(case, text.replace(from, to), &format!("was signed with `{to}` for blanks")));
        }
        for (change, said) in [(upper_escapes as fn(&str) -> String, "upper"), (lower_escapes, "lower")] {
            ideas.extend(changed(case, change(text), &format!("was signed with its escapes in {said} case")));
        }
    }
    ideas
}

/// Whether a body looks like a form.
pub(super) fn is_form(text: &str) -> bool {
    text.contains('=') && !text.trim_start().starts_with(['{', '['])
}

fn upper_escapes(text: &str) -> String {
    escapes(text, |digit| digit.to_ascii_uppercase())
}

fn lower_escapes(text: &str) -> String {
    escapes(text, |digit| digit.to_ascii_lowercase())
}

fn escapes(text: &str, change: impl Fn(char) -> char) -> String {
    let mut left = 0_u8;
    let digit = |letter: char| {
        let is_digit = left > 0;
        left = if letter == '%' { 2 } else { left.saturating_sub(1) };
        if is_digit { change(letter) } else { letter }
    };
    text.chars().map(digit).collect()
}
