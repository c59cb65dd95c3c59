//! Bodies and what is cut out of them.

use super::*;
use crate::stages::json::Limits;

fn batch(body: &str, envelope: &Envelope) -> Result<Batch, Unsplittable> {
    split(Document::parse(Bytes::from(body.to_owned()), &Limits::default()).unwrap(), envelope)
}

fn envelope(split: Option<&str>, unwrap: Option<&str>) -> Envelope {
    let path = |text: &str| Path::parse(text).unwrap();
    Envelope { split: split.map(path).into_iter().collect(), unwrap: unwrap.map(path), ..Envelope::default() }
}

/// The events' bytes, each with a `!` before it where nothing was unwrapped.
fn events(body: &str, envelope: &Envelope) -> Result<Vec<String>, Unsplittable> {
    let batch = batch(body, envelope)?;
    let show = |event: Event<'_>| {
        format!("{}{}", if event.is_hollow() { "!" } else { "" }, std::str::from_utf8(&event.bytes()).unwrap())
    };
    Ok(batch.events().map(show).collect())
}

#[test]
fn without_split_the_body_is_one_event() {
    for body in [r#"{"a": 1}"#, "[1, 2]", "[]", "1", "null", "\"x\""] {
        let body = format!(" {body}\r\n");
        let batch = batch(&body, &envelope(None, None)).unwrap();
        assert_eq!((batch.len(), batch.was_array()), (1, false));
        assert_eq!(batch.event(0).unwrap().bytes(), body, "white space around it included");
    }
}

#[test]
fn j_17_an_empty_array_is_an_empty_batch() {
    let batch = batch("[ ]", &envelope(Some(""), None)).unwrap();
    assert!(batch.is_empty() && batch.was_array());
}

#[test]
fn j_16_j_18_one_element_is_the_bare_object() {
    let root = envelope(Some(""), None);
    for (body, was_array) in [("{\"a\": 1}", false), ("[{\"a\": 1}]", true)] {
        assert_eq!(events(body, &root).unwrap(), ["{\"a\": 1}"]);
        assert_eq!(batch(body, &root).unwrap().was_array(), was_array);
    }
    assert_eq!(events("null", &root).unwrap(), ["null"]);
}

#[test]
fn j_19_the_number_of_elements_is_capped() {
    let root = envelope(Some(""), None);
    let body = |count: usize| format!("[{}]", vec!["0"; count].join(","));
    assert_eq!(batch(&body(1_000), &root).unwrap().len(), 1_000);
    let refused = batch(&body(1_001), &root).unwrap_err();
    assert_eq!((refused, Refusal::from(refused)), (Unsplittable::TooManyElements(1_001), Refusal::TooLarge));
}

#[test]
fn j_20_events_are_ranges_of_the_body() {
    let body = "[ {\"b\" : 1E2 ,\t\"a\":\"\\u0041\"} ,\n{ } ]";
    let batch = batch(body, &envelope(Some(""), None)).unwrap();
    let ranges: Vec<_> = batch.events().map(|event| &body[event.value().range()]).collect();
    assert_eq!(ranges, ["{\"b\" : 1E2 ,\t\"a\":\"\\u0041\"}", "{ }"]);
    let body = batch.documents[0].body().as_ptr_range();
    assert!(batch.events().all(|event| body.contains(&event.bytes().as_ptr())), "no event is a copy");
}

#[test]
fn j_24_elements_are_not_flattened() {
    let root = envelope(Some(""), None);
    assert_eq!(events(r#"[[{"a":1}], 1, null, []]"#, &root).unwrap(), [r#"[{"a":1}]"#, "1", "null", "[]"]);
}

#[test]
fn j_25_a_batch_by_pointer() {
    let value = envelope(Some("/value"), None);
    assert_eq!(events(r#"{"x":0,"value":[{"a":1},{"a":2}]}"#, &value).unwrap(), [r#"{"a":1}"#, r#"{"a":2}"#]);
    for body in ["{}", r#"{"value":{}}"#, r#"{"value":null}"#, r#"{"values":[]}"#, "[]", "1"] {
        assert_eq!(events(body, &value), Err(Unsplittable::NoArray), "{body}");
    }
    assert_eq!(Refusal::from(Unsplittable::NoArray), Refusal::NotJson);
    assert_eq!(events(r#"[{"v":[1]},{"v":[2,3]}]"#, &envelope(Some("/1/v"), None)).unwrap(), ["2", "3"]);
}

#[test]
fn unwrap_takes_the_inner_value_or_marks_the_element() {
    let inner = envelope(Some(""), Some("/msg"));
    let body = r#"[{"msg": {"a":1}}, {"n":1}, {"msg": null}, 7]"#;
    assert_eq!(events(body, &inner).unwrap(), [r#"{"a":1}"#, r#"!{"n":1}"#, "null", "!7"]);
    let batch = batch(body, &inner).unwrap();
    assert_eq!(batch.event(0).unwrap().element().raw(), br#"{"msg": {"a":1}}"#);
    assert_eq!(batch.event(2).unwrap().index(), 2);
    assert!(batch.event(4).is_none());
    assert_eq!(events(r#"{"msg":[1]}"#, &envelope(None, Some("/msg"))).unwrap(), ["[1]"]);
}
