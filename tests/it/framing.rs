//! The public door against requests that two readers could read in two ways.

use crate::support::handler::{Door, chunked, head, post, post_with};

/// Sends `request` and, on the same connection, one more that is right; what is answered to each?
#[track_caller]
fn check(request: impl Into<Vec<u8>>, want: &[u16]) {
    let mut bytes = request.into();
    let text = String::from_utf8_lossy(&bytes).chars().take(200).collect::<String>();
    bytes.extend(post_with("Connection: close\r\n", "sentinel").bytes());
    let got: Vec<_> = in_runtime(async {
        let door = Door::open().await;
        let mut wire = door.connect().await;
        wire.send_some(bytes).await;
        wire.answers().await.into_iter().map(|answer| answer.status).collect()
    });
    assert_eq!(got, want, "{text}");
}

fn in_runtime<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn p_01_to_p_08_lengths() {
    check(post("ok"), &[200, 200]);
    check(head("Content-Length: 2\r\nContent-Length: 2\r\n", "ok"), &[200, 200]);
    check(head("Content-Length: 002\r\n", "ok"), &[200, 200]);
    check(head("Content-Length: 2\r\nContent-Length: 3\r\n", "ok"), &[400]);
    for length in ["2, 2", "+2", "-0", "0x2", "2_0", "", "2 2", "18446744073709551616"] {
        check(head(&format!("Content-Length: {length}\r\n"), "ok"), &[400]);
    }
    // hyper's own word for a length that it could not count down.
    check(head("Content-Length: 18446744073709551615\r\n", "ok"), &[431]);
    check(head("Content-Length: 9223372036854775807\r\n", "ok"), &[413]);
    check(head("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nX"), &[200]);
    check(head("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", "0\r\n\r\nX"), &[200]);
    for coding in ["xchunked", "identity", "chunked, identity", "\"chunked\"", "chunked;q=1", ""] {
        check(head(&format!("Transfer-Encoding: {coding}\r\n"), "2\r\nok\r\n0\r\n\r\n"), &[400]);
    }
}

#[test]
fn p_09_to_p_12_transfer_codings() {
    let body = "2\r\nok\r\n0\r\n\r\n";
    check(chunked(body), &[200, 200]);
    check(head("Transfer-Encoding: gzip, chunked\r\n", body), &[501]);
    check(head("Transfer-Encoding: chunked, chunked\r\n", body), &[400]);
    check(head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", body), &[400]);
    check(head("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", body), &[400]);
    check("POST /in/acme HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", &[400]);
    check("POST /in/acme HTTP/1.0\r\n\r\nbytes after the head", &[200]);
}

#[test]
fn p_13_to_p_16_chunks() {
    for size in ["0x2", "+2", "-2", "2_0", "11111111111111112", ""] {
        check(chunked(&format!("{size}\r\nok\r\n0\r\n\r\n")), &[400]);
    }
    check(chunked("2\nok\r\n0\r\n\r\n"), &[400]);
    check(chunked("2\r\nok\n0\r\n\r\n"), &[400]);
    check(chunked("2\r\nok0\r\n\r\n"), &[400]);
    check(chunked("2;a=b\r\nok\r\n0\r\n\r\n"), &[200, 200]);
    check(chunked("2;a\rb\r\nok\r\n0\r\n\r\n"), &[400]);
    check(chunked(&format!("2;{}\r\nok\r\n0\r\n\r\n", "a".repeat(17 << 10))), &[400]);
    check(chunked("2 \r\nok\r\n0\r\n\r\n"), &[200, 200]);
}

#[test]
fn p_20_p_21_p_32_heads_that_are_no_heads() {
    for line in ["X: a\rb", "X: a\0b", " X: folded first", "no colon", ": empty", "X : blank", "X: a\r\n b"] {
        check(head(&format!("{line}\r\nContent-Length: 2\r\n"), "ok"), &[400]);
    }
    check("POST /in/acme HTTP/1.2\r\nHost: gw.test\r\n\r\n", &[400]);
    check("POST /in/acme\r\n\r\n", &[400]);
    check(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), &[400]);
}

#[test]
fn p_24_to_p_28_hosts_and_targets() {
    let request = |line: &str, host: &str| format!("{line} HTTP/1.1\r\n{host}Content-Length: 2\r\n\r\nok");
    check(request("POST /in/acme", ""), &[400]);
    check(request("POST /in/acme", "Host: gw.test\r\nHost: gw.test\r\n"), &[400]);
    check(request("POST /in/acme", "Host: a b\r\n"), &[400]);
    check(request("POST http://gw.test/in/acme", "Host: gw.test\r\n"), &[200, 200]);
    check(request("POST http://evil/in/acme", "Host: gw.test\r\n"), &[400]);
    check(request("POST evil:80", "Host: gw.test\r\n"), &[400]);
    check(request("POST *", "Host: gw.test\r\n"), &[400]);
    check(request("CONNECT evil:80", "Host: gw.test\r\n"), &[405]);
    check(request("TRACE /in/acme", "Host: gw.test\r\n"), &[405]);
}

#[test]
fn p_33_p_34_p_35_p_37_p_47_features_that_are_not_offered() {
    check(post_with("Expect: nonsense\r\n", "ok"), &[417]);
    check(post_with("Expect: 100-continue\r\n", ""), &[200, 200]);
    check(post_with("Content-Encoding: gzip\r\n", "ok"), &[415]);
    check(post_with("Content-Encoding: identity\r\n", "ok"), &[200, 200]);
    check(post_with("Connection: upgrade\r\nUpgrade: websocket\r\n", "ok"), &[200, 200]);
    check("GET /in/acme HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 24\r\n\r\nGET /in/acme HTTP/1.1\r\n\r\n", &[405]);
    check("HEAD /in/acme HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", &[405]);
}

#[test]
fn p_29_p_44_to_p_46_paths_and_sizes() {
    for path in ["//in/acme", "/in/./acme", "/in/%61cme", "/IN/acme", "/in/acme/", "/in/acme;x", "/in/acme%00"] {
        check(format!("POST {path} HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 2\r\n\r\nok"), &[404]);
    }
    let target = |length: usize| format!("POST /in/acme?{} HTTP/1.1\r\nHost: gw.test\r\n\r\n", "a".repeat(length - 9));
    check(target(8192), &[200, 200]);
    check(target(8194), &[414]);
    check(post_with(&"X: a\r\n".repeat(98), "ok"), &[200, 200]);
    check(post_with(&"X: a\r\n".repeat(99), "ok"), &[431]);
    check(post_with(&format!("X: {}\r\n", "a".repeat(33 << 10)), "ok"), &[431]);
    check(post_with(&format!("X: {}\r\n", "a".repeat(1 << 10)).repeat(40), "ok"), &[431]);
}
