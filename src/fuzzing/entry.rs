//! Whole requests against presets of every kind of credential: nobody gets in who does not know the secret, whatever
//! the headers, the query and the body are.

use std::{fmt::Write as _, path::Path, sync::OnceLock};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header::AUTHORIZATION};
use jiff::Timestamp;

use crate::{
    app,
    config::Environment,
    gateway::source::{Entry, Source},
    stages::receive::{Client, Head, Received},
};

/// A secret that no input spells.
const SECRET: &str = "kq3J9v-not-in-any-corpus-7Zt1Xw5BpL0s";

/// One source for each way of reading a credential.
const RULES: &[&str] = &[
    r#"kind = "jwt"
algorithms = ["HS256"]
signature = { from = "header:authorization", prefix = "Bearer " }"#,
    r#"kind = "jws"
algorithms = ["HS256"]
signature = { from = "header:x-signature" }"#,
    r#"kind = "digest"
signature = { from = "header:x-signature", encoding = "auto" }
message = "{secret}{body}""#,
    r#"kind = "basic"
signature = { from = "header:authorization" }"#,
    r#"kind = "hmac"
signature = { from = "form:signature" }
message = "{form:token}.{body|sorted-form}""#,
    r#"kind = "hmac"
signature = { from = "json:/signature", encoding = "base64" }
message = "{json:/id}.{raw:/data}""#,
    r#"kind = "hmac"
signature = { from = "query:signature", encoding = "base64url" }
message = "{method}.{url}.{body}""#,
    r#"kind = "token"
signature = { from = ["header:x-signature", "query:token"] }"#,
];

/// First a byte that picks the source; then, between line feeds, a query, a header for the credential, and the body.
pub fn entry(data: &[u8]) {
    static SOURCES: OnceLock<Vec<Source>> = OnceLock::new();
    let sources = SOURCES.get_or_init(sources);
    let Some((pick, data)) = data.split_first() else { return };
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let query = parts.next().map(|query| String::from_utf8_lossy(query).into_owned());
    let credential = parts.next().unwrap_or_default();
    let body = Bytes::copy_from_slice(parts.next().unwrap_or_default());
    let mut headers = HeaderMap::new();
    for name in [AUTHORIZATION, HeaderName::from_static("x-signature")] {
        headers.extend(HeaderValue::from_bytes(credential).ok().map(|value| (name, value)));
    }
    let client = Client { address: None, known: false };
    let head = Head { method: Method::POST, path: "/".to_owned(), query, headers, client };
    let source = &sources[usize::from(*pick) % sources.len()];
    let entry = source.enter(Box::new(Received { head, body, at: Timestamp::UNIX_EPOCH }), Timestamp::UNIX_EPOCH);
    assert!(!matches!(entry, Entry::Admitted(..)), "{} let somebody in", source.name);
}

fn sources() -> Vec<Source> {
    let mut text = String::from("[upstreams.app]\nurl = \"http://127.0.0.1:9/\"\n");
    for (number, rule) in RULES.iter().enumerate() {
        let _ = write!(
            text,
            "[sources.s{number}]\npath = \"/{number}\"\nupstream = \"app\"\nsecrets = [{{ value = \"user:{SECRET}\" }}]\n\
             [[sources.s{number}.auth]]\nallow_side_by_side = true\n{rule}\n"
        );
    }
    let environment = Environment::default();
    let (compiled, found) = app::load(Path::new("fuzz.toml"), &text, &environment, false, &mut app::nowhere);
    compiled.unwrap_or_else(|| panic!("{}", found.render(false))).sources
}

#[cfg(test)]
mod tests {
    use super::{RULES, entry};

    #[test]
    fn nobody_gets_in_by_accident() {
        for pick in 0..u8::try_from(RULES.len()).expect("a few") {
            for rest in [
                "",
                "\n\n",
                "signature=&token=\nBearer e30.e30.\n{}",
                "a=1\nBasic dXNlcjo=\nsignature=&token=x",
                "\n..\n{\"signature\":\"\"}",
            ] {
                entry(&[&[pick], rest.as_bytes()].concat());
            }
        }
    }
}
