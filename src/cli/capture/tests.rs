use serde_json::json;

use super::*;

fn read(bytes: &[u8]) -> Result<Capture, String> {
    Capture::read(bytes, Wanted { entry: None, path: "/in/acme" })
}

#[test]
fn raw_bodies_keep_their_bytes() {
    let check = |file: &str, body: &str, remark: Option<&str>| {
        let capture = read(file.as_bytes()).unwrap();
        assert_eq!(capture.request.body, body.as_bytes(), "{file:?}");
        assert_eq!(capture.request.head.path, "/in/acme");
        let said = capture.remarks.join(" ");
        assert_eq!(said.is_empty(), remark.is_none(), "{file:?}: {said}");
        assert!(said.contains(remark.unwrap_or_default()), "{file:?}: {said}");
    };
    let post = |rest: &str| format!("POST /in/acme HTTP/1.1\r\nHost: gw.test\r\n{rest}");
    check(&post("\r\n{\"a\":1}\r\n"), "{\"a\":1}\r\n", None);
    check(&post("\r\n{\"a\":1}\r\n").replace("\r\n", "\n"), "{\"a\":1}\n", None);
    check(&post("Content-Length: 7\r\n\r\n{\"a\":1}"), "{\"a\":1}", None);
    check(&post("Content-Length: 7\r\n\r\n{\"a\":1}\n"), "{\"a\":1}", Some("white space"));
    check(&post("Content-Length: 6\r\n\r\n{\"a\":1}"), "{\"a\":1}", Some("changed"));
    check(&post("Content-Length: 8\r\n\r\n{\"a\":1}"), "{\"a\":1}", Some("not whole"));
    check(&post("Transfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4;x=y\r\n\":1}\r\n0\r\n\r\n"), "{\"a\":1}", None);
    check(&post("Transfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n"), "{\"a", Some("last chunk"));
    check(&post("Transfer-Encoding: chunked\r\n\r\n{\"a\":1}"), "{\"a\":1}", Some("no chunks"));
    check(&post("X-A: 1"), "", Some("no empty line"));
}

#[test]
fn targets_in_either_form() {
    let check = |target: &str, origin: Option<&str>, path: &str, query: Option<&str>| {
        let capture = read(format!("POST {target} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
        let head = &capture.request.head;
        assert_eq!((capture.origin.as_deref(), head.path.as_str(), head.query.as_deref()), (origin, path, query));
    };
    check("/in/acme", None, "/in/acme", None);
    check("/in/acme?a=b?c", None, "/in/acme", Some("a=b?c"));
    check("/in/acme?to=http://x/", None, "/in/acme", Some("to=http://x/"));
    check("https://gw.test:8443/in/acme?a", Some("https://gw.test:8443"), "/in/acme", Some("a"));
    check("https://gw.test", Some("https://gw.test"), "/", None);
}

#[test]
fn archives_say_what_they_may_have_changed() {
    let archive = |post_data: Value| {
        let request = |path: &str, post_data: &Value| {
            json!({
                "startedDateTime": "2026-11-21T12:00:00.000Z",
                "request": {
                    "method": "POST", "url": format!("https://gw.test{path}?a=1"), "postData": post_data,
                    "headers": [{ "name": ":path", "value": path }, { "name": "X-A", "value": "b" }],
                },
            })
        };
        let entries = [request("/other", &Value::Null), request("/in/acme", &post_data)];
        read(json!({ "log": { "entries": entries } }).to_string().as_bytes()).unwrap()
    };
    let check = |post_data: Value, body: &str, remarks: usize| {
        let capture = archive(post_data);
        assert_eq!(capture.request.body, body.as_bytes());
        assert_eq!(capture.remarks.len(), remarks, "{:?}", capture.remarks);
        assert_eq!(capture.at, Some("2026-11-21T12:00:00Z".parse().unwrap()));
        assert_eq!(capture.request.head.headers.len(), 1);
        assert_eq!(capture.origin.as_deref(), Some("https://gw.test"));
    };
    check(json!({ "text": "{\"a\":1}\r\n" }), "{\"a\":1}\r\n", 1);
    check(json!({ "text": "eyJhIjoxfQ==", "encoding": "base64" }), "{\"a\":1}", 0);
    check(json!({ "params": [{ "name": "a b", "value": "c" }] }), "a%20b=c", 1);
    check(Value::Null, "", 0);
}

#[test]
fn vectors_are_chosen_by_name_or_number() {
    let vector = |name: &str, path: &str| {
        json!({
            "name": name, "now": 1_767_225_600,
            "request": { "method": "POST", "url": format!("https://gw.test{path}"), "headers": {}, "body": "{}" },
        })
    };
    let several =
        json!({ "vectors": [vector("one", "/1"), vector("two", "/2")], "handshakes": [vector("three", "/3")] });
    let check = |file: &Value, entry: Option<&str>, path: Result<&str, &str>| {
        let found = Capture::read(file.to_string().as_bytes(), Wanted { entry, path: "/in/acme" });
        match (found, path) {
            (Ok(capture), Ok(path)) => {
                assert_eq!(capture.request.head.path, path);
                assert_eq!(capture.at, Some(Timestamp::from_second(1_767_225_600).unwrap()));
            }
            (Err(problem), Err(want)) => assert!(problem.contains(want), "{problem}"),
            (found, path) => panic!("{found:?} instead of {path:?}"),
        }
    };
    check(&vector("one", "/1"), None, Ok("/1"));
    check(&several, Some("two"), Ok("/2"));
    check(&several, Some("3"), Ok("/3"));
    check(&several, None, Err("1: one, 2: two, 3: three"));
    check(&several, Some("4"), Err("3 requests"));
    check(&json!([]), None, Err("no request"));
    check(&json!([{ "name": "x" }]), None, Err("missing field `request`"));
}

#[test]
fn what_is_no_request_is_told_so() {
    let check = |file: &str, want: &str| {
        let problem = read(file.as_bytes()).unwrap_err();
        assert!(problem.contains(want) && problem.contains("help:"), "{problem}");
    };
    check("{", "is none");
    check("hello", "no HTTP request");
    check("POST /in/acme\r\n\r\n", "no HTTP request");
}
