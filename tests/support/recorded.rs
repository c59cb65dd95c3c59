//! A recorded request, in the words of `docs/vectors.md`, and the same as it came in.

use std::collections::BTreeMap;

use bytes::Bytes;
use data_encoding::BASE64;
use hooksieve::stages::receive::{Client, Head, Received};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// A recorded request.
#[derive(Clone, Deserialize)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, Value>,
    #[serde(default)]
    pub(crate) body: String,
    pub(crate) body_base64: Option<String>,
}

impl Request {
    pub(crate) fn url(&self) -> Uri {
        self.url.parse().unwrap()
    }

    pub(crate) fn body(&self) -> Bytes {
        match &self.body_base64 {
            Some(text) => BASE64.decode(text.as_bytes()).unwrap().into(),
            None => self.body.clone().into(),
        }
    }

    /// The request as it came in, with this body, at this time in seconds since 1970.
    pub(crate) fn received(&self, body: Bytes, now: i64) -> Received {
        let url = self.url();
        let mut headers = HeaderMap::new();
        for (name, lines) in &self.headers {
            for line in lines.as_array().map_or_else(|| std::slice::from_ref(lines), Vec::as_slice) {
                let name: HeaderName = name.parse().unwrap();
                headers.append(name, HeaderValue::from_bytes(line.as_str().unwrap().as_bytes()).unwrap());
            }
        }
        let head = Head {
            method: self.method.parse().unwrap(),
            path: url.path().to_owned(),
            query: url.query().map(str::to_owned),
            headers,
            client: Client { address: None, known: false },
        };
        Received { head, body, at: Timestamp::from_second(now).unwrap() }
    }
}
