//! From a body to its events: one, or one for each element of an array. Nothing is copied; an event is a range of the
//! verified body.

use std::fmt;

use bytes::Bytes;

use crate::stages::{
    json::{Document, Kind, Pointer, Value},
    words::Refusal,
};

/// How a source packs its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Where the array of events is. `None`: the whole body is one event, whatever it is. The root: the body is an
    /// array of events, or one bare event. Any other pointer: the array is there.
    pub split: Option<Pointer>,
    /// Where, inside each element, the event is that gets forwarded. `None`: the element is the event.
    pub unwrap: Option<Pointer>,
    /// How many elements one request may bring.
    pub elements_max: usize,
}

impl Envelope {
    /// 1 000 elements, where nothing else is set.
    pub const ELEMENTS: usize = 1_000;
    /// What [`elements_max`](Self::elements_max) may be set to.
    pub const ELEMENTS_MAX: usize = 10_000;
}

impl Default for Envelope {
    fn default() -> Self {
        Self { split: None, unwrap: None, elements_max: Self::ELEMENTS }
    }
}

/// Why a body is not a batch of this envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsplittable {
    /// There is no array where the envelope says it is.
    #[error("no array of events where `split` points to")]
    NoArray,
    /// The array has more elements than the envelope allows.
    #[error("{0} elements are too many")]
    TooManyElements(usize),
}

impl From<Unsplittable> for Refusal {
    fn from(unsplittable: Unsplittable) -> Self {
        match unsplittable {
            Unsplittable::NoArray => Self::NotJson,
            Unsplittable::TooManyElements(_) => Self::TooLarge,
        }
    }
}

/// Finds the events of a body. An element is an event whatever its kind: arrays are not flattened, and what an event
/// may be is for its schema to say.
pub fn split(document: Document, envelope: &Envelope) -> Result<Batch, Unsplittable> {
    let root = document.root();
    let array = match &envelope.split {
        None => None,
        Some(pointer) => match root.at(pointer).filter(|value| value.kind() == Kind::Array) {
            None if !pointer.is_root() => return Err(Unsplittable::NoArray),
            found => found,
        },
    };
    let place = |element: Value<'_>| {
        let inner = envelope.unwrap.as_ref().map_or(Some(element), |pointer| element.at(pointer));
        Place { element: element.place(), inner: inner.map(Value::place) }
    };
    let places = match array {
        None => vec![place(root)],
        Some(array) if array.len() > envelope.elements_max => return Err(Unsplittable::TooManyElements(array.len())),
        Some(array) => array.elements().map(place).collect(),
    };
    let was_array = array.is_some();
    Ok(Batch { document, places, was_array })
}

/// The events of one body, in order.
#[derive(Clone)]
pub struct Batch {
    document: Document,
    places: Vec<Place>,
    was_array: bool,
}

/// Where one event lies, as places on the document's tape.
#[derive(Clone, Copy)]
struct Place {
    element: u32,
    inner: Option<u32>,
}

impl Batch {
    /// How many events there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether the body was an empty array.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether the events came in an array, be it of one; false for a bare event.
    pub fn was_array(&self) -> bool {
        self.was_array
    }

    /// The event with this index, counted from 0.
    pub fn event(&self, index: usize) -> Option<Event<'_>> {
        let &place = self.places.get(index)?;
        Some(Event { document: &self.document, place, index })
    }

    /// All events, in order.
    pub fn events(&self) -> impl ExactSizeIterator<Item = Event<'_>> {
        let events = self.places.iter().enumerate();
        events.map(|(index, &place)| Event { document: &self.document, place, index })
    }

    /// The whole body, of which the events are parts.
    pub fn document(&self) -> &Document {
        &self.document
    }
}

/// Says how many events there are; what is in them belongs in no log.
impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch of {} events from {:?}", self.len(), self.document)
    }
}

/// One event of a [`Batch`].
#[derive(Clone, Copy)]
pub struct Event<'a> {
    document: &'a Document,
    place: Place,
    index: usize,
}

impl<'a> Event<'a> {
    /// Which one it is, counted from 0.
    pub fn index(self) -> usize {
        self.index
    }

    /// The event itself: what is recognised, checked and forwarded. The whole element where `unwrap` finds nothing.
    pub fn value(self) -> Value<'a> {
        self.document.value(self.place.inner.unwrap_or(self.place.element))
    }

    /// The bytes of [`value`](Self::value) as received, shared with the body. An event that is all there is in the body
    /// is the body, white space at its ends included: what the sender signed is what is forwarded (W-32).
    pub fn bytes(self) -> Bytes {
        let (value, root) = (self.value(), self.document.root());
        if value.place() == root.place() { self.document.body().clone() } else { value.bytes() }
    }

    /// The element the event came in; the event itself where nothing is unwrapped.
    pub fn element(self) -> Value<'a> {
        self.document.value(self.place.element)
    }

    /// Whether the element lacks what `unwrap` points to: a violation of the envelope.
    pub fn is_hollow(self) -> bool {
        self.place.inner.is_none()
    }
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("index", &self.index).field("value", &self.value()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::json::Limits;

    fn batch(body: &str, envelope: &Envelope) -> Result<Batch, Unsplittable> {
        split(Document::parse(Bytes::from(body.to_owned()), &Limits::default()).unwrap(), envelope)
    }

    fn envelope(split: Option<&str>, unwrap: Option<&str>) -> Envelope {
        let pointer = |text: &str| Pointer::parse(text).unwrap();
        Envelope { split: split.map(pointer), unwrap: unwrap.map(pointer), ..Envelope::default() }
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
        let body = batch.document().body().as_ptr_range();
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
}
