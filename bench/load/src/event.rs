//! The events: 1 KiB of JSON each, no two alike, signed as they are sent.

use std::{
    cell::{Cell, RefCell},
    time::{SystemTime, UNIX_EPOCH},
};

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// One event, 1 KiB; its identity is replaced in each request.
const EVENT: &[u8] = include_bytes!("../../order.json");

/// The identity in it.
const ID: &[u8] = b"0000000000000000";

/// Writes signed requests, each with an identity of its own.
pub struct Events {
    key: Hmac<Sha256>,
    time: String,
    next: Cell<u64>,
    head: String,
    body: RefCell<Vec<u8>>,
    id_at: usize,
}

impl Events {
    /// Requests to `path`, signed with `secret` over `{time}.{body}`.
    pub fn new(path: &str, secret: &[u8]) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
        let id_at = EVENT.windows(ID.len()).position(|window| window == ID);
        Self {
            key: Hmac::new_from_slice(secret).expect("HMAC takes keys of any length"),
            time: now.as_secs().to_string(),
            next: Cell::new(u64::try_from(now.as_nanos()).expect("it is earlier than 2554")),
            head: format!(
                "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                 User-Agent: bench\r\nContent-Length: {}\r\nX-Signature: ",
                EVENT.len()
            ),
            id_at: id_at.expect("the event has a place for its identity"),
            body: RefCell::new(EVENT.to_vec()),
        }
    }

    /// Replaces what is in `request` with the next one.
    pub fn write(&self, request: &mut Vec<u8>) {
        let mut body = self.body.borrow_mut();
        let id = self.next.replace(self.next.get() + 1).to_be_bytes();
        HEXLOWER.encode_mut(&id, &mut body[self.id_at..self.id_at + ID.len()]);
        let mut mac = self.key.clone();
        mac.update(self.time.as_bytes());
        mac.update(b".");
        mac.update(&body);
        let mut tag = [0; 64];
        HEXLOWER.encode_mut(&mac.finalize().into_bytes(), &mut tag);
        request.clear();
        for part in [self.head.as_bytes(), b"t=", self.time.as_bytes(), b",v1=", &tag, b"\r\n\r\n", &body] {
            request.extend_from_slice(part);
        }
    }
}
