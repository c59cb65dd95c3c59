//! The admin door of a running gateway, seen from outside.

use std::path::Path;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header::AUTHORIZATION};
use serde_json::Value;

use super::wire::Door;
use crate::{
    clock::{Clock as _, SystemClock},
    config::compile::Premises,
    server::ListenOn,
    stages::receive::{Client, Head, Received},
};

/// Where operators ask a gateway that runs.
pub(super) struct AdminDoor {
    door: Door,
    listen: ListenOn,
    authorization: Option<HeaderValue>,
    /// The configuration that says so.
    file: String,
}

/// What it answered.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) document: Value,
    file: String,
}

impl AdminDoor {
    /// As this configuration has it.
    pub(super) fn of(premises: &Premises, file: &Path) -> Result<Self, String> {
        let token = premises
            .token
            .as_ref()
            .map_err(|found| format!("the token of the admin listener cannot be used\n{}", found.render(false)))?;
        let authorization = token.as_ref().map(|token| {
            let value = HeaderValue::from_bytes(&[b"Bearer ", token.expose()].concat());
            let mut value = value.map_err(|_| "the token of the admin listener fits into no header".to_owned())?;
            value.set_sensitive(true);
            Ok::<_, String>(value)
        });
        let listen = premises.admin.clone();
        let (door, authorization) = (Door::of(&listen), authorization.transpose()?);
        Ok(Self { door, listen, authorization, file: file.display().to_string() })
    }

    /// Asks, and reads the JSON that comes back.
    pub(super) async fn ask(&self, method: Method, path: &str, query: Option<String>) -> Result<Answered, String> {
        let mut headers = HeaderMap::new();
        headers.extend(self.authorization.clone().map(|value| (AUTHORIZATION, value)));
        let client = Client { address: None, known: false };
        let head = Head { method, path: path.to_owned(), query, headers, client };
        let request = Received { head, body: bytes::Bytes::new(), at: SystemClock.now().wall };
        let reply = self.door.send(&request).await.map_err(|problem| {
            let (listen, file) = (&self.listen, &self.file);
            format!(
                "the gateway has the journal, but its admin listener {listen} is not to be reached: {problem}\n  \
                 help: is {file} what it runs with? `-c FILE` names another one"
            )
        })?;
        let document = serde_json::from_slice(&reply.body).unwrap_or_default();
        Ok(Answered { status: reply.status, document, file: self.file.clone() })
    }
}

impl Answered {
    /// Why it is not what was asked for.
    pub(super) fn problem(&self) -> String {
        let message = self.document["message"].as_str().unwrap_or("it does not say why");
        let help = if self.status == 401 {
            format!(
                "\n  help: the token of `[admin]` in {} must be the one it runs with; it reads the file on SIGHUP",
                self.file
            )
        } else {
            String::new()
        };
        format!("the gateway answers {}: {message}{help}", self.status.as_u16())
    }
}

/// Parameters, as they stand behind the question mark.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}
