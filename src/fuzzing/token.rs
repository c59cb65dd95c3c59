//! JSON Web Tokens and detached signatures against a judge of their own: `ring`'s HMAC and `serde_json`.

use std::{collections::BTreeMap, sync::OnceLock};

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::Timestamp;
use serde_json::{Value, value::RawValue};

use crate::{
    secret::Secret,
    stages::{
        receive::{Client, Head, Received},
        schemes::{
            Looked, Named, Scheme, Strength,
            hmac::{self, Hash},
            jose::{Jose, Key, Payload, Verifying},
            signature::Prefix,
        },
        selector::{Facts, Selector},
        template::Template,
    },
};

const HEADER: HeaderName = HeaderName::from_static("x-token");
const SECRET: &str = "a secret for the fuzzer";
const KEY_ID: &str = "k1";

/// Members of a JSON object, as they are written.
type Members = BTreeMap<String, Box<RawValue>>;

/// Between line feeds: a header and a payload in JSON, and the text of the token, in which `H`, `P` and `S` stand for
/// those two in base64url and for the right signature. An odd first byte is for a detached payload: then `S` is over
/// the body, which is the payload.
///
/// # Panics
///
/// When a token is accepted that the other judge refuses, or one is refused that is plainly right.
pub fn token(data: &[u8]) {
    let Some((pick, data)) = data.split_first() else { return };
    let is_detached = pick & 1 == 1;
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (header, payload, text) = (part(), part(), String::from_utf8_lossy(part()).into_owned());
    let encoded = BASE64URL_NOPAD.encode(header);
    let signature = BASE64URL_NOPAD.encode(&sign(&signed(&encoded, payload, is_detached && is_raw(header))));
    let written = text.chars().map(|letter| match letter {
        'H' => encoded.clone(),
        'P' => BASE64URL_NOPAD.encode(payload),
        'S' => signature.clone(),
        letter => letter.to_string(),
    });
    let written: String = written.collect();
    let Ok(value) = HeaderValue::from_str(&written) else { return };
    let is_accepted = judge(value, payload, is_detached);
    if is_accepted {
        assert!(is_right(&written, payload, is_detached), "accepted: {written:?} over {payload:?}");
    } else {
        let usual = if is_detached { "H..S" } else { "H.P.S" };
        assert!(text != usual || !is_plain(header, payload, is_detached), "refused: {header:?} {payload:?}");
    }
}

/// What RFC 7515, section 5.2, and RFC 7519, section 7.2, ask for, in their order.
fn is_right(token: &str, body: &[u8], is_detached: bool) -> bool {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { return false };
    let decode = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).ok();
    let (Some(head), Some(signature)) = (decode(header), decode(signature)) else { return false };
    let Ok(members) = serde_json::from_slice::<Members>(&head) else { return false };
    let text = |name: &str| Some(serde_json::from_str::<String>(members.get(name)?.get()).ok());
    let is_named = text("alg") == Some(Some("HS256".to_owned()));
    let is_known = text("kid").is_none_or(|id| id.as_deref() == Some(KEY_ID));
    let has_no_extension = !members.contains_key("crit") && !members.contains_key("b64");
    let is_extended = members.contains_key("b64") && members.get("crit").is_some_and(|crit| crit.get() == r#"["b64"]"#);
    let message = if is_detached { signed(header, body, is_raw(&head)) } else { format!("{header}.{payload}").into() };
    let is_signed = signature == sign(&message);
    let has_payload =
        if is_detached { payload.is_empty() } else { !is_raw(&head) && decode(payload).is_some_and(|it| lives(&it)) };
    is_named && is_known && (has_no_extension || is_extended) && is_signed && has_payload
}

/// Whether claims are an object that is good at the beginning of 1970, give or take a minute.
fn lives(claims: &[u8]) -> bool {
    let Ok(members) = serde_json::from_slice::<Members>(claims) else { return false };
    let moment = |name: &str| members.get(name).map(|value| value.get().parse::<f64>().unwrap_or(f64::NAN));
    moment("exp").is_none_or(|end| end > -60.0) && moment("nbf").is_none_or(|start| start <= 60.0)
}

/// Whether nobody could refuse them: a header without surprises, and claims that are the same when they are written anew.
fn is_plain(header: &[u8], payload: &[u8], is_detached: bool) -> bool {
    let is_usual =
        [r#"{"alg":"HS256"}"#, r#"{"typ":"JWT","alg":"HS256","kid":"k1"}"#].map(str::as_bytes).contains(&header);
    let is_same = || {
        let value = serde_json::from_slice::<Value>(payload).ok().filter(Value::is_object);
        let is_flat =
            |value: &Value| value.as_object().is_some_and(|it| it.values().all(|it| !it.is_object() && !it.is_array()));
        value.is_some_and(|value| value.to_string().as_bytes() == payload && is_flat(&value)) && lives(payload)
    };
    is_usual && (is_detached || is_same())
}

/// Whether the payload is signed as it is (RFC 7797).
fn is_raw(header: &[u8]) -> bool {
    let members = serde_json::from_slice::<Members>(header).unwrap_or_default();
    members.get("b64").is_some_and(|value| value.get() == "false")
}

fn signed(header: &str, payload: &[u8], is_raw: bool) -> Vec<u8> {
    let payload = if is_raw { payload.to_vec() } else { BASE64URL_NOPAD.encode(payload).into_bytes() };
    [header.as_bytes(), b".", &payload].concat()
}

fn sign(message: &[u8]) -> Vec<u8> {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    ring::hmac::sign(&key, message).as_ref().to_vec()
}

fn judge(value: HeaderValue, body: &[u8], is_detached: bool) -> bool {
    let shared = hmac::Key::new(Hash::Sha256, &Secret::new(SECRET)).expect("it is not empty");
    let verifying = Verifying::Shared(Box::new(shared));
    let key = Key { algorithm: "HS256", id: Some(KEY_ID.to_owned()), verifying };
    let payload = if is_detached {
        Payload::Detached(Template::parse("{body}", &|_| None).expect("a constant"))
    } else {
        Payload::Claims(Vec::new())
    };
    let scheme = Scheme::Jose(Jose {
        from: vec![Selector::header(HEADER)],
        prefix: Prefix::NONE,
        keys: vec![Named { name: "fuzz".into(), until: None, key }],
        payload,
        window: None,
        strength: Strength::Token,
    });
    let client = Client { address: None, known: false };
    let headers = HeaderMap::from_iter([(HEADER, value)]);
    let head = Head { method: Method::POST, path: "/".to_owned(), query: None, headers, client };
    let received = Received { head, body: Bytes::copy_from_slice(body), at: Timestamp::UNIX_EPOCH };
    let document = OnceLock::new();
    let facts = Facts::of(&received, "", &document);
    scheme.judge(&facts, received.at, &mut Looked::default()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{is_plain, token};

    #[test]
    fn the_judges_agree_on_what_is_known() {
        for header in [
            r#"{"alg":"HS256"}"#,
            r#"{"typ":"JWT","alg":"HS256","kid":"k1"}"#,
            r#"{"alg":"HS256","kid":"k2"}"#,
            r#"{"alg":"HS256","kid":null}"#,
            r#"{"alg":"none"}"#,
            r#"{"alg":"HS256","alg":"none"}"#,
            r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
            r#"{"alg":"HS256","crit":["b64"],"b64":true}"#,
            r#"{"alg":"HS256","crit":["exp"]}"#,
            r#"{"alg":"HS256","b64":false}"#,
            r#"{"alg":"HS256"} "#,
            "[]",
            "",
        ] {
            for payload in [r#"{"iss":"a"}"#, r#"{"exp":-61}"#, r#"{"nbf":61}"#, r#"{"exp":"0"}"#, "[]", "{}", ""] {
                for text in ["H.P.S", "H..S", "H.P.", "H.P", "H.P.S.", "H.P.S=", "h.P.S", "S.P.H", " H.P.S"] {
                    for pick in [0, 1] {
                        token(&[&[pick], [header, payload, text].join("\n").as_bytes()].concat());
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_plain_is_not_nothing() {
        assert!(is_plain(br#"{"alg":"HS256"}"#, br#"{"iss":"a"}"#, false));
        assert!(!is_plain(br#"{"alg":"HS256"}"#, br#"{"iss":"a","iss":"b"}"#, false));
    }
}
