//! A place in a request where a credential lies, and the same request with another text there.

use hooksieve::stages::{receive::Received, selector::Place};
use http::{HeaderName, HeaderValue};

use super::case::Case;

/// Where a credential lies, as it is written there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    /// In this header.
    Header(HeaderName),
    /// In this range of the query.
    Query(usize, usize),
    /// In this range of the body.
    Body(usize, usize),
}

impl Spot {
    /// Every place where the request has a credential.
    pub(crate) fn all(case: &Case) -> Vec<Self> {
        let head = &case.right.head;
        let query = head.query.as_deref().unwrap_or_default();
        let mut spots = Vec::new();
        for selector in case.credentials() {
            match &selector.place {
                Place::Header(name) if head.headers.contains_key(name) => spots.push(Self::Header(name.clone())),
                Place::Headers(start) => {
                    let names = head.headers.keys().filter(|name| name.as_str().starts_with(start.as_str()));
                    spots.extend(names.cloned().map(Self::Header));
                }
                Place::Query(name) => spots.extend(parameter(query, name).map(|(from, to)| Self::Query(from, to))),
                Place::Form(name) => {
                    let form = std::str::from_utf8(&case.right.body).unwrap();
                    spots.extend(parameter(form, name).map(|(from, to)| Self::Body(from, to)));
                }
                Place::Json(pointer) => {
                    let text = std::str::from_utf8(&case.right.body).unwrap();
                    let key = format!("\"{}\"", pointer.tokens().last().unwrap());
                    for (at, _) in text.match_indices(&key) {
                        let value = text[at + key.len()..].find('"').map(|quote| at + key.len() + quote + 1).unwrap();
                        let end = value + text[value..].find('"').unwrap();
                        spots.push(Self::Body(value, end));
                    }
                }
                _ => {}
            }
        }
        spots.dedup();
        spots.retain(|spot| !matches!(spot, Self::Query(from, to) | Self::Body(from, to) if from == to));
        spots
    }

    /// What is written there.
    pub(crate) fn text(&self, request: &Received) -> String {
        match self {
            Self::Header(name) => request.head.headers[name].to_str().unwrap().to_owned(),
            Self::Query(from, to) => request.head.query.as_deref().unwrap()[*from..*to].to_owned(),
            Self::Body(from, to) => String::from_utf8(request.body[*from..*to].to_vec()).unwrap(),
        }
    }

    /// The request with this text there.
    pub(crate) fn with(&self, request: &Received, text: &str) -> Received {
        let mut request = request.clone();
        match self {
            Self::Header(name) => {
                request.head.headers.insert(name, HeaderValue::from_str(text).unwrap());
            }
            Self::Query(from, to) => {
                request.head.query.as_mut().unwrap().replace_range(from..to, text);
            }
            Self::Body(from, to) => {
                request.body = [&request.body[..*from], text.as_bytes(), &request.body[*to..]].concat().into();
            }
        }
        request
    }

    /// The request without it.
    pub(crate) fn without(&self, request: &Received) -> Received {
        let Self::Header(name) = self else { return self.with(request, "") };
        let mut request = request.clone();
        request.head.headers.remove(name);
        request
    }

    /// The request with it there twice; nothing where a second one would be another member of the body.
    pub(crate) fn twice(&self, request: &Received) -> Option<Received> {
        let mut twice = request.clone();
        match self {
            Self::Header(name) => {
                let value = twice.head.headers[name].clone();
                twice.head.headers.append(name, value);
            }
            Self::Query(from, to) => {
                let query = twice.head.query.as_mut().unwrap();
                let start = query[..*from].rfind('&').map_or(0, |at| at + 1);
                *query = format!("{query}&{}", &query[start..*to]);
            }
            Self::Body(..) => return None,
        }
        Some(twice)
    }
}

/// Where the value of a parameter is, as it is escaped.
fn parameter(form: &str, name: &str) -> Option<(usize, usize)> {
    let mut start = 0;
    for pair in form.split('&') {
        if let Some(value) = pair.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')) {
            return Some((start + pair.len() - value.len(), start + pair.len()));
        }
        start += pair.len() + 1;
    }
    None
}
