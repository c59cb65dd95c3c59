//! The public door against senders that are slow, large or gone.

use std::time::Duration;

use hooksieve::{
    server::ListenOn,
    stages::{receive::Client, words::Refusal},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use crate::support::{
    handler::{Door, Event, chunked, head, post, post_with},
    soon,
    wire::Wire,
};

const MOMENT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn answers_carry_a_length_and_nothing_about_us() {
    let door = Door::open().await;
    let mut wire = door.connect().await;
    wire.send(post("hello")).await;
    let answer = wire.answer().await;
    assert_eq!((answer.status, answer.text()), (200, "hello"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    for absent in ["server", "set-cookie", "connection", "transfer-encoding"] {
        assert_eq!(answer.header(absent), None, "{absent}");
    }
}

#[tokio::test]
async fn p_17_p_18_trailers() {
    let door = Door::with(|settings| settings.limits.body_grace = MOMENT).await;
    let mut wire = door.connect().await;
    wire.send(chunked("2\r\nok\r\n0\r\nWebhook-Signature: right\r\n\r\n")).await;
    assert_eq!(wire.answer().await.text(), "ok");
    assert!(!door.begun().await.head.headers.contains_key("webhook-signature"));
    assert!(matches!(door.event().await, Event::Ended));
    wire.send(chunked("2\r\nok\r\n0\r\nX: v\n")).await;
    assert_eq!(wire.answer().await.status, 408);
    wire.closed().await;
}

#[tokio::test]
async fn p_33_l_05_a_body_over_the_limit_is_not_asked_for() {
    let door = Door::open().await;
    let mut wire = door.connect().await;
    wire.send(head("Content-Length: 2\r\nExpect: 100-continue\r\n", "")).await;
    assert_eq!(wire.answer().await.status, 100);
    wire.send("ok").await;
    assert_eq!(wire.answer().await.text(), "ok");
    wire.send(head("Content-Length: 1001\r\nExpect: 100-continue\r\n", "")).await;
    let answer = wire.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
    wire.closed().await;
}

#[tokio::test]
async fn p_36_pipelined_requests_are_answered_in_order() {
    let door = Door::holding().await;
    let mut wire = door.connect().await;
    wire.send(post("first") + &post("second")).await;
    assert_eq!(door.begun().await.body, "first");
    assert!(door.is_quiet(), "the second waits for the answer to the first");
    door.gate.add_permits(2);
    assert_eq!(wire.answer().await.text(), "first");
    assert_eq!(wire.answer().await.text(), "second");
}

#[tokio::test]
async fn p_38_an_early_answer_reaches_a_sender_that_is_still_sending() {
    let door = Door::open().await;
    let mut wire = door.connect().await;
    wire.send(format!("POST /nowhere HTTP/1.1\r\nHost: gw.test\r\nContent-Length: {}\r\n\r\n", 1 << 20)).await;
    wire.send_some(vec![b'x'; 32 << 10]).await;
    let answer = wire.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (404, Some("close")));
    wire.send_some(vec![b'x'; 1 << 20]).await;
    wire.closed().await;
}

#[tokio::test]
async fn p_48_a_body_that_breaks_off_is_not_acted_on() {
    let door = Door::open().await;
    let mut wire = door.connect().await;
    wire.send(head("Content-Length: 10\r\n", "ok")).await;
    wire.finish().await;
    assert_eq!(wire.answer().await.status, 400);
    wire.closed().await;
    assert!(matches!(door.event().await, Event::Unreadable(Refusal::Framing)));
    assert!(door.is_quiet());
}

#[tokio::test]
async fn d_06_a_sender_that_hangs_up_changes_nothing() {
    let door = Door::holding().await;
    let mut wire = door.connect().await;
    wire.send(post("event")).await;
    assert_eq!(door.begun().await.body, "event");
    drop(wire);
    door.gate.add_permits(1);
    assert!(matches!(door.event().await, Event::Ended));
}

#[tokio::test]
async fn d_06_a_sender_that_half_closes_gets_its_answer() {
    let door = Door::holding().await;
    let mut wire = door.connect().await;
    wire.send(post("event")).await;
    wire.finish().await;
    door.begun().await;
    door.gate.add_permits(1);
    assert_eq!(wire.answer().await.text(), "event");
    wire.closed().await;
}

#[tokio::test]
async fn l_01_t_20_silent_and_slow_heads_are_closed() {
    let door = Door::with(|settings| {
        settings.limits.first_byte = MOMENT;
        settings.limits.head = 2 * MOMENT;
        settings.limits.idle = 3 * MOMENT;
    })
    .await;
    door.connect().await.closed().await;
    assert!(door.is_quiet(), "a silent connection is no request");

    let mut wire = door.connect().await;
    wire.send("POST /in/acme HTTP/1.1\r\nHost").await;
    wire.closed().await;
    assert!(matches!(door.event().await, Event::Unparsed(Refusal::Slow)));

    let mut wire = door.connect().await;
    wire.send(post("event")).await;
    assert_eq!(wire.answer().await.status, 200);
    wire.closed().await;
}

#[tokio::test]
async fn l_02_slow_bodies_are_answered_408() {
    async fn check(grace: Duration, total: Duration) {
        let door = Door::with(|settings| {
            settings.limits.body_grace = grace;
            settings.limits.body = total;
        })
        .await;
        let mut wire = door.connect().await;
        wire.send(head("Content-Length: 900\r\n", "some of it")).await;
        let answer = wire.answer().await;
        assert_eq!((answer.status, answer.header("connection")), (408, Some("close")));
        wire.closed().await;
        assert!(matches!(door.event().await, Event::Unreadable(Refusal::Slow)));
    }
    check(MOMENT, Duration::from_hours(1)).await;
    check(Duration::from_hours(1), MOMENT).await;
}

#[tokio::test]
async fn l_03_a_sender_that_does_not_read_is_closed() {
    let door = Door::with(|settings| settings.limits.write = MOMENT).await;
    let mut wire = door.connect().await;
    wire.send(post("flood")).await;
    door.begun().await;
    assert!(soon(door.shutdown.drain(Duration::from_secs(10))).await, "the connection ended although nobody read");
    assert!(wire.answer().await.body.len() < 64 << 20);
}

#[tokio::test]
async fn l_04_when_all_seats_are_taken_the_oldest_idle_one_is_given_up() {
    let door = Door::with(|settings| settings.max_connections = 2).await;
    let [mut first, mut second] = [door.connect().await, door.connect().await];
    for wire in [&mut first, &mut second] {
        wire.send(post("event")).await;
        assert_eq!(wire.answer().await.status, 200);
    }
    let mut third = door.connect().await;
    third.send(post("event")).await;
    assert_eq!(third.answer().await.status, 200);
    first.closed().await;
    second.send(post("event")).await;
    assert_eq!(second.answer().await.status, 200);
}

#[tokio::test]
async fn l_06_a_chunked_body_ends_at_the_byte_that_is_too_many() {
    let door = Door::open().await;
    let mut wire = door.connect().await;
    wire.send(chunked(&"1\r\nx\r\n".repeat(1000))).await;
    wire.send("0\r\n\r\n").await;
    assert_eq!(wire.answer().await.body.len(), 1000);
    wire.send(chunked(&"1\r\nx\r\n".repeat(1001))).await;
    assert_eq!(wire.answer().await.status, 413);
    wire.closed().await;
}

#[tokio::test]
async fn l_07_bodies_share_one_budget() {
    let door = Door::on(&"127.0.0.1:0".parse().unwrap(), 0, |settings| settings.limits.bodies = 1000).await;
    let mut first = door.connect().await;
    first.send(post(&"x".repeat(600))).await;
    door.begun().await;
    for request in [post(&"x".repeat(500)), chunked(&format!("1f4\r\n{}\r\n0\r\n\r\n", "x".repeat(500)))] {
        let mut second = door.connect().await;
        second.send(request).await;
        let answer = second.answer().await;
        assert_eq!(answer.status, 503);
        assert!(answer.header("retry-after").is_some());
        assert!(matches!(door.event().await, Event::Unreadable(Refusal::Overload)));
    }
    door.gate.add_permits(2);
    assert_eq!(first.answer().await.status, 200);
    let mut third = door.connect().await;
    third.send(post(&"x".repeat(1000))).await;
    assert_eq!(third.answer().await.status, 200, "what was reserved has come back");
}

#[tokio::test]
async fn l_16_a_panic_is_answered_500_and_is_not_contagious() {
    let door = Door::open().await;
    let mut wire = door.connect().await;
    wire.send(post("panic")).await;
    assert_eq!(wire.answer().await.status, 500);
    assert!(matches!(door.event().await, Event::Abandoned(Refusal::Internal)));
    wire.send(post("event")).await;
    assert_eq!(wire.answer().await.status, 200);
}

#[tokio::test]
async fn what_is_no_http_is_counted() {
    let door = Door::open().await;
    for (bytes, want) in [
        ("\x16\x03\x01\r\n\r\n".to_owned(), Refusal::Framing),
        (post_with(&"X: a\r\n".repeat(99), ""), Refusal::Headers),
    ] {
        door.connect().await.send(bytes).await;
        let Event::Unparsed(got) = door.event().await else { panic!("not told") };
        assert_eq!(got, want);
    }
}

#[tokio::test]
async fn o_01_a_drain_finishes_what_is_under_way() {
    let door = Door::holding().await;
    let mut idle = door.connect().await;
    let mut busy = door.connect().await;
    idle.send(post("idle")).await;
    door.begun().await;
    door.gate.add_permits(1);
    assert_eq!(idle.answer().await.header("connection"), None);
    assert!(matches!(door.event().await, Event::Ended));
    busy.send(post("busy")).await;
    door.begun().await;

    let shutdown = door.shutdown.clone();
    let drain = tokio::spawn(async move { shutdown.drain(Duration::from_secs(10)).await });
    idle.closed().await;
    door.gate.add_permits(1);
    let answer = busy.answer().await;
    assert_eq!((answer.text(), answer.header("connection")), ("busy", Some("close")));
    busy.closed().await;
    assert!(soon(drain).await.unwrap());
    assert!(tokio::net::TcpStream::connect(door.address).await.is_err());
}

#[tokio::test]
async fn o_02_what_outlives_the_drain_is_answered_503() {
    let door = Door::holding().await;
    let mut wire = door.connect().await;
    wire.send(post("event")).await;
    door.begun().await;
    let shutdown = door.shutdown.clone();
    let drain = tokio::spawn(async move { shutdown.drain(MOMENT).await });
    assert_eq!(wire.answer().await.status, 503);
    wire.closed().await;
    assert!(matches!(door.event().await, Event::Abandoned(Refusal::Draining)));
    assert!(!soon(drain).await.unwrap(), "the journey itself is still under way");
}

#[tokio::test]
async fn a_connection_ends_after_its_share_of_requests() {
    let door = Door::with(|settings| settings.limits.requests = 2).await;
    let mut wire = door.connect().await;
    wire.send(post("1") + &post("2") + &post("3")).await;
    let answers = wire.answers().await;
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[1].header("connection"), Some("close"));
}

#[tokio::test]
async fn a_trusted_proxy_says_who_the_client_is() {
    async fn client(wire: &mut Wire, door: &Door) -> Client {
        wire.send(post_with("X-Forwarded-For: 1.1.1.1, 198.51.100.7\r\n", "event")).await;
        wire.answer().await;
        door.begun().await.head.client
    }
    let address = |text: &str| Some(text.parse().unwrap());
    let door = Door::with(|settings| settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let trusted = client(&mut door.connect().await, &door).await;
    assert_eq!(trusted, Client { address: address("198.51.100.7"), known: true });
    let door = Door::open().await;
    let untrusted = client(&mut door.connect().await, &door).await;
    assert_eq!(untrusted, Client { address: address("127.0.0.1"), known: false });
}

#[tokio::test]
async fn a_unix_socket_serves_and_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gw.sock");
    let door = Door::on(&ListenOn::Unix(path.clone()), 1, |_| {}).await;
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(post_with("Connection: close\r\n", "event").as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("event"), "{answer}");
    assert_eq!(door.begun().await.head.client, Client { address: None, known: false });
    assert!(soon(door.shutdown.drain(Duration::from_secs(10))).await);
    assert!(UnixStream::connect(&path).await.is_err());
}
