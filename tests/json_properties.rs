//! Properties of the scanner and the splitter, on bodies nobody wrote by hand.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{collections::BTreeMap, fmt::Write};

use bytes::Bytes;
use hooksieve::{
    fuzzing,
    stages::{
        json::{Document, Limits, Path},
        split::{Envelope, split},
    },
};
use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::{Index, select},
};

/// A JSON value, without a spelling.
#[derive(Clone, Debug)]
enum Json {
    Plain(&'static str),
    Number(f64),
    Integer(i64),
    String(String),
    Array(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

fn json() -> impl Strategy<Value = Json> {
    let string = || prop_oneof![any::<String>(), "[a-c\"\\\\/\n\u{0}é😀]{0,9}"];
    let leaf = prop_oneof![
        select(vec!["null", "true", "false", "1E2", "-0", "1.0"]).prop_map(Json::Plain),
        any::<f64>().prop_filter("JSON has no such number", |number| number.is_finite()).prop_map(Json::Number),
        any::<i64>().prop_map(Json::Integer),
        string().prop_map(Json::String),
    ];
    leaf.prop_recursive(6, 60, 24, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Json::Array),
            btree_map(string(), inner, 0..24).prop_map(Json::Object),
        ]
    })
}

/// Spells a value; `whims` decide on white space, escapes and the order of keys.
struct Speller<'a> {
    whims: std::iter::Cycle<std::slice::Iter<'a, u8>>,
    text: String,
}

impl<'a> Speller<'a> {
    fn spell(value: &Json, whims: &'a [u8]) -> String {
        let mut speller = Self { whims: whims.iter().cycle(), text: String::new() };
        speller.value(value);
        speller.text
    }

    fn whim(&mut self) -> u8 {
        *self.whims.next().unwrap()
    }

    fn space(&mut self) {
        let space = ["", "", " ", "\n", "\t\r ", ""][usize::from(self.whim() % 6)];
        self.text.push_str(space);
    }

    fn push(&mut self, token: &str) {
        self.space();
        self.text.push_str(token);
        self.space();
    }

    fn string(&mut self, string: &str) {
        self.space();
        self.text.push('"');
        for character in string.chars() {
            let must_escape = character < ' ' || "\"\\".contains(character);
            if must_escape || self.whim() < 50 {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    write!(self.text, "\\u{unit:04x}").unwrap();
                }
            } else {
                self.text.push(character);
            }
        }
        self.text.push('"');
        self.space();
    }

    fn value(&mut self, value: &Json) {
        match value {
            Json::Plain(text) => self.push(text),
            Json::Number(number) => self.push(&format!("{number:e}")),
            Json::Integer(number) => self.push(&number.to_string()),
            Json::String(string) => self.string(string),
            Json::Array(elements) => {
                self.push("[");
                for (index, element) in elements.iter().enumerate() {
                    self.text.push_str(if index > 0 { "," } else { "" });
                    self.value(element);
                }
                self.push("]");
            }
            Json::Object(members) => {
                self.push("{");
                let mut members: Vec<_> = members.iter().collect();
                let turn = usize::from(self.whim()) % members.len().max(1);
                members.rotate_left(turn);
                for (index, (key, value)) in members.into_iter().enumerate() {
                    self.text.push_str(if index > 0 { "," } else { "" });
                    self.string(key);
                    self.text.push(':');
                    self.value(value);
                }
                self.push("}");
            }
        }
    }
}

fn whims() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 1..40)
}

fn parse(text: &str) -> Document {
    Document::parse(Bytes::from(text.to_owned()), &Limits::default()).unwrap()
}

proptest! {
    #[test]
    fn ranges_and_separators_are_the_body(elements in vec(json(), 0..12), whims in whims()) {
        let body = Speller::spell(&Json::Array(elements), &whims);
        let envelope = Envelope { split: vec![Path::default()], ..Envelope::default() };
        let batch = split(parse(&body), &envelope).unwrap();
        let mut joined = String::new();
        for event in batch.events() {
            let range = event.value().range();
            let separator = &body[joined.len()..range.start];
            let expected = if event.index() == 0 { "[" } else { "," };
            prop_assert_eq!(separator.trim(), expected);
            joined.push_str(separator);
            joined.push_str(std::str::from_utf8(&event.bytes()).unwrap());
        }
        let rest = &body[joined.len()..];
        prop_assert_eq!(rest.trim().trim_start_matches('[').trim(), "]");
        prop_assert_eq!(joined + rest, body);
    }

    #[test]
    fn all_spellings_have_one_canonical_text(value in json(), one in whims(), other in whims()) {
        let (one, other) = (parse(&Speller::spell(&value, &one)), parse(&Speller::spell(&value, &other)));
        let canonical = one.root().canonical();
        prop_assert_eq!(&canonical, &other.root().canonical());
        let again = parse(std::str::from_utf8(&canonical).unwrap());
        prop_assert_eq!(again.root().canonical(), canonical);
    }

    #[test]
    fn what_is_read_is_what_serde_json_reads(value in json(), whims in whims()) {
        fuzzing::split(Speller::spell(&value, &whims).as_bytes());
    }

    #[test]
    fn damage_is_seen_as_serde_json_sees_it(
        value in json(),
        whims in whims(),
        damage in vec((any::<Index>(), prop_oneof![any::<u8>(), select(b"{}[]\",:\\u0e-. \n".to_vec())]), 1..4),
    ) {
        let mut body = Speller::spell(&value, &whims).into_bytes();
        for (place, byte) in damage {
            let place = place.index(body.len());
            match byte % 3 {
                0 => body[place] = byte,
                1 => body.insert(place, byte),
                _ => drop(body.split_off(place)),
            }
            if body.is_empty() {
                break;
            }
        }
        fuzzing::split(&body);
    }

    #[test]
    fn pieces_of_json_in_any_order(pieces in vec(select(PIECES.to_vec()), 0..40)) {
        fuzzing::split(pieces.concat().as_bytes());
    }
}

const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    " ",
    "\"a\":",
    "\"\\u0061\":",
    "\"b\":",
    "\"x\"",
    "1",
    "-",
    "0",
    ".5",
    "e9",
    "E+400",
    "null",
    "true",
    "\"\\ud83d\\ude00\"",
    "\"\\ud800\"",
    "\"é\"",
    "{\"a\":[",
    "]}",
    "[[[[[[[[[[",
    "]]]]]]]]]]",
    "\\",
    "\"",
];
