//! From a request to its events: one, or one for each element of an array. Nothing is copied but what a form escapes; an
//! event is a range of what was verified.

use std::fmt;

use bytes::Bytes;

use crate::stages::{
    form::{self, Form},
    json::{self, Document, Limits, Path, Value},
    receive::Received,
    words::Refusal,
};

/// How a source packs its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Where the arrays of events are. None: the whole body is one event, whatever it is. The root: the body is an array
    /// of events, or one bare event. Any other path: an array is there.
    pub split: Vec<Path>,
    /// Where, inside each element, the event is that gets forwarded. `None`: the element is the event.
    pub unwrap: Option<Path>,
    /// Whether the body has one JSON value on each line.
    pub lines: bool,
    /// Whether a form is an event.
    pub forms: bool,
    /// The fields of a form that hold JSON, which then is what the events are taken from.
    pub form_json: Vec<String>,
    /// How many events one request may bring.
    pub elements_max: usize,
}

impl Envelope {
    /// 1 000 elements, where nothing else is set.
    pub const ELEMENTS: usize = 1_000;
    /// What [`elements_max`](Self::elements_max) may be set to.
    pub const ELEMENTS_MAX: usize = 10_000;

    /// The events of a request. The content type says whether it is a form; whatever is not one is JSON.
    pub fn read(&self, received: &Received) -> Result<Batch, Refusal> {
        let takes_forms = self.forms || !self.form_json.is_empty();
        if takes_forms && form::is_form(&received.head.headers) {
            return self.read_form(&received.body);
        }
        if self.lines {
            return self.read_lines(&received.body);
        }
        let document = Document::parse(received.body.clone(), &Limits::default())?;
        Ok(split(document, self)?)
    }

    /// JSON from a field, or else the fields themselves. An event that is all there is in the form is forwarded as the
    /// form; one of several is forwarded as the JSON it is in the field.
    fn read_form(&self, body: &Bytes) -> Result<Batch, Refusal> {
        let form = Form::read(body)?;
        let carrier = Carrier::Form(body.clone());
        match form.field(&self.form_json)? {
            Some(text) => {
                let document = Document::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::default())?;
                Ok(Batch { carrier, ..split(document, self)? })
            }
            None if self.forms => {
                let whole = Self::default();
                Ok(Batch { carrier, ..split(form.document()?, &whole)? })
            }
            None => Err(Refusal::NotJson),
        }
    }

    /// JSON Lines: every line that is not blank is a value by itself.
    fn read_lines(&self, body: &Bytes) -> Result<Batch, Refusal> {
        let mut batch = Batch { documents: Vec::new(), places: Vec::new(), was_array: true, carrier: Carrier::Line };
        for line in body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            let document = Document::parse(body.slice_ref(line), &Limits::default())?;
            batch.add(document, self)?;
        }
        Ok(batch)
    }
}

impl Default for Envelope {
    fn default() -> Self {
        Self {
            split: Vec::new(),
            unwrap: None,
            lines: false,
            forms: false,
            form_json: Vec::new(),
            elements_max: Self::ELEMENTS,
        }
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
    let mut batch = Batch { documents: Vec::new(), places: Vec::new(), was_array: false, carrier: Carrier::Body };
    batch.was_array = batch.add(document, envelope)?;
    Ok(batch)
}

/// The events of one request, in order.
#[derive(Clone)]
pub struct Batch {
    documents: Vec<Document>,
    places: Vec<Place>,
    was_array: bool,
    carrier: Carrier,
}

/// Where one event lies, as places on its document's tape.
#[derive(Clone, Copy)]
struct Place {
    document: usize,
    element: u32,
    inner: Option<u32>,
}

/// What the documents are parts of.
#[derive(Clone)]
enum Carrier {
    /// The one document is the body.
    Body,
    /// The one document was made of this body, which is a form.
    Form(Bytes),
    /// Each document is a line of the body.
    Line,
}

impl Batch {
    /// Adds the events of one more document; whether they came in an array.
    fn add(&mut self, document: Document, envelope: &Envelope) -> Result<bool, Unsplittable> {
        let index = self.documents.len();
        let mut take = |element: Value<'_>| {
            let inner = envelope.unwrap.as_ref().map_or(Some(element), |path| path.only(element));
            self.places.push(Place { document: index, element: element.place(), inner: inner.map(Value::place) });
        };
        let root = document.root();
        let was_array = json::elements(root, &envelope.split, &mut take);
        if !was_array {
            if !envelope.split.is_empty() && !envelope.split.iter().any(Path::is_root) {
                return Err(Unsplittable::NoArray);
            }
            take(root);
        }
        self.documents.push(document);
        if self.places.len() > envelope.elements_max {
            return Err(Unsplittable::TooManyElements(self.places.len()));
        }
        Ok(was_array)
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there was nothing but an empty array.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether the events came in an array or on lines, be it one; false for a bare event.
    pub fn was_array(&self) -> bool {
        self.was_array
    }

    /// The event with this index, counted from 0.
    pub fn event(&self, index: usize) -> Option<Event<'_>> {
        let &place = self.places.get(index)?;
        Some(Event { batch: self, place, index })
    }

    /// All events, in order.
    pub fn events(&self) -> impl ExactSizeIterator<Item = Event<'_>> {
        let events = self.places.iter().enumerate();
        events.map(|(index, &place)| Event { batch: self, place, index })
    }
}

/// Says how many events there are; what is in them belongs in no log.
impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch of {} events from {:?}", self.len(), self.documents)
    }
}

/// One event of a [`Batch`].
#[derive(Clone, Copy)]
pub struct Event<'a> {
    batch: &'a Batch,
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
        self.document().value(self.place.inner.unwrap_or(self.place.element))
    }

    /// What is forwarded: the bytes of [`value`](Self::value) as received. An event that is all there is in the request is
    /// forwarded as the whole body, white space at its ends included: what the sender signed is what is forwarded (W-32).
    pub fn bytes(self) -> Bytes {
        match &self.batch.carrier {
            Carrier::Body if self.is_root() => self.document().body().clone(),
            Carrier::Form(body) if self.is_root() => body.clone(),
            Carrier::Body | Carrier::Form(_) | Carrier::Line => self.value().bytes(),
        }
    }

    /// Whether it is forwarded as the whole body.
    pub fn is_whole_body(self) -> bool {
        match self.batch.carrier {
            Carrier::Body | Carrier::Form(_) => self.is_root(),
            Carrier::Line => false,
        }
    }

    /// The element the event came in; the event itself where nothing is unwrapped.
    pub fn element(self) -> Value<'a> {
        self.document().value(self.place.element)
    }

    /// All that the event came with: the whole body, the whole line, or what a field of a form holds.
    pub fn root(self) -> Value<'a> {
        self.document().root()
    }

    /// Whether the element lacks what `unwrap` points to: a violation of the envelope.
    pub fn is_hollow(self) -> bool {
        self.place.inner.is_none()
    }

    fn document(self) -> &'a Document {
        &self.batch.documents[self.place.document]
    }

    fn is_root(self) -> bool {
        self.value().place() == self.root().place()
    }
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("index", &self.index).field("value", &self.value()).finish()
    }
}

#[cfg(test)]
mod tests;
