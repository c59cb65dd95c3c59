//! Mistakes with the body: what is signed is not what was captured.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};

use super::*;

/// A request that was signed over one body and came with another.
fn check(signed_body: &str, body: impl Into<Vec<u8>>, mistake: &'static str) {
    Case { headers: signed(SECRET, signed_body), body: body.into(), mistakes: &[mistake], ..Case::default() }.check();
}

#[test]
fn ends_of_lines_and_bodies() {
    check(&format!("{BODY}\n"), BODY, "body_newline");
    check(&format!("{BODY}\r\n"), BODY, "body_newline");
    check(BODY, format!("{BODY}\n"), "body_newline");
    check("{\r\n\"type\":1}\r\n", "{\n\"type\":1}\n", "line_ends");
    check("{\n\"type\":1}\n", "{\r\n\"type\":1}\r\n", "line_ends");
    check(&format!("\u{feff}{BODY}"), BODY, "byte_order_mark");
    check(BODY, format!("\u{feff}{BODY}"), "byte_order_mark");
}

#[test]
fn json_that_was_written_again() {
    let pretty = "{\n  \"type\": \"order.paid\",\n  \"id\": \"evt_1\",\n  \"url\": \"https://shop.test/o/1\",\n  \"name\": \"Ēva & Søn\"\n}";
    let python =
        r#"{"type": "order.paid", "id": "evt_1", "url": "https://shop.test/o/1", "name": "\u0112va & S\u00f8n"}"#;
    let php = r#"{"type":"order.paid","id":"evt_1","url":"https:\/\/shop.test\/o\/1","name":"\u0112va & S\u00f8n"}"#;
    let go = r#"{"id":"evt_1","name":"Ēva \u0026 Søn","type":"order.paid","url":"https://shop.test/o/1"}"#;
    for text in [pretty, python, php, go] {
        check(text, BODY, "reserialised");
    }
    for text in [pretty, python, php] {
        check(BODY, text, "reserialised");
    }
}

#[test]
fn what_was_packed() {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(BODY.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let mut headers = signed(SECRET, BODY);
    headers.push(("content-encoding", "gzip".to_owned()));
    Case { headers, body: packed, mistakes: &["compressed"], remedy: "decompress", ..Case::default() }.check();
    check(BODY, BASE64.encode(BODY.as_bytes()), "wrapped");
    check(BODY, serde_json::to_string(BODY).unwrap(), "wrapped");
}

#[test]
fn letters_beyond_ascii() {
    let text = r#"{"name":"Søn"}"#;
    let latin: Vec<u8> = text.chars().map(|letter| u8::try_from(letter).unwrap()).collect();
    let twice: String = text.bytes().map(char::from).collect();
    for (signed_body, body) in [(latin.clone(), text.into()), (text.into(), latin), (text.into(), twice.into_bytes())] {
        let headers = signed(SECRET, signed_body);
        Case { headers, body, mistakes: &["charset"], ..Case::default() }.check();
    }
}

#[test]
fn forms() {
    check("a=1&b=x+y&c=%2F", "c=%2F&b=x+y&a=1", "form_rewritten");
    check("a=1&b=x%20y", "a=1&b=x+y", "form_rewritten");
    check("b=1&a=x+y", "b=1&a=x%20y", "form_rewritten");
    check("b=%2f&a=1", "b=%2F&a=1", "form_rewritten");
}
