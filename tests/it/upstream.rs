//! The client against applications that refuse, hang, lie and break off.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use hooksieve::upstream::{Attempt, HttpUpstream, Outbound, RetryAfter, Settings, Tls, Upstream as _};
use http::{HeaderMap, HeaderValue, header};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::support::{
    application::{Act, Application, OK},
    soon,
};

const MOMENT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_hours(1);

fn settings(url: &str) -> Settings {
    Settings { url: url.parse().unwrap(), timeout: LONG, connect_timeout: LONG, max_in_flight: 8, http2: false }
}

fn client(settings: Settings) -> HttpUpstream {
    HttpUpstream::new(settings, &Tls::native(), TaskTracker::new()).unwrap()
}

fn client_of(address: SocketAddr) -> HttpUpstream {
    client(settings(&format!("http://{address}/hook?x=1")))
}

fn event() -> Outbound {
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    Outbound { headers, body: Bytes::from_static(br#"{"id": 1}"#), within: LONG, relay: false }
}

/// One attempt at an application that does `act`.
async fn attempt(act: Act) -> Attempt {
    let application = Application::start().await;
    application.then(act);
    let attempt = soon(client_of(application.address).deliver(event())).await;
    application.seen().await;
    assert!(application.is_quiet(), "an event is sent once per attempt");
    attempt
}

/// `delivered`, `refused 503`, `ambiguous`, `ambiguous late`, `not sent`, `not sent late` or `full`.
fn word(attempt: &Attempt) -> String {
    let late = |timeout: bool| if timeout { " late" } else { "" };
    match attempt {
        Attempt::Delivered(_) => "delivered".into(),
        Attempt::Refused { status, .. } => format!("refused {}", status.as_u16()),
        Attempt::Ambiguous { timeout, .. } => format!("ambiguous{}", late(*timeout)),
        Attempt::NotSent { timeout, .. } => format!("not sent{}", late(*timeout)),
        Attempt::Full => "full".into(),
    }
}

#[tokio::test]
async fn d_01_what_the_application_gets() {
    let application = Application::start().await;
    application.then(OK);
    let attempt = client_of(application.address).deliver(event()).await;
    assert_eq!(word(&attempt), "delivered");
    let seen = application.seen().await;
    assert_eq!(seen.body, br#"{"id": 1}"#);
    let mut lines: Vec<_> = seen.head.trim_end().lines().collect();
    assert_eq!(lines.remove(0), "POST /hook?x=1 HTTP/1.1");
    lines.sort_unstable();
    let host = format!("host: {}", application.address);
    assert_eq!(lines, ["content-length: 9", "content-type: application/json", &host]);
}

#[tokio::test]
async fn an_empty_body_has_a_length_too() {
    let application = Application::start().await;
    application.then(OK);
    client_of(application.address).deliver(Outbound { body: Bytes::new(), ..event() }).await;
    assert!(application.seen().await.head.contains("content-length: 0\r\n"));
}

#[tokio::test]
async fn d_02_d_05_d_22_d_23_the_status_decides() {
    async fn check(act: Act, want: &str) {
        let shown = format!("{act:?}");
        assert_eq!(word(&attempt(act).await), want, "{shown}");
    }
    check(Act::Answer("HTTP/1.1 204 No Content\r\n\r\n"), "delivered").await;
    check(Act::Answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok"), "delivered").await;
    check(Act::Last("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok"), "delivered").await;
    check(Act::Last("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz"), "delivered").await;
    check(Act::Answer("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "delivered")
        .await;
    check(Act::Answer("HTTP/1.1 302 Found\r\nLocation: /hook\r\nContent-Length: 0\r\n\r\n"), "refused 302").await;
    check(Act::Answer("HTTP/1.1 307 Again\r\nLocation: /hook\r\nContent-Length: 0\r\n\r\n"), "refused 307").await;
    check(Act::Answer("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), "refused 101").await;
    check(Act::Answer("HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"), "refused 410").await;
    check(Act::Last("HTTP/1.1 500 Oops\r\nContent-Length: 10\r\n\r\n"), "refused 500").await;
    check(Act::Last(""), "ambiguous").await;
    check(Act::Last("HTTP/1.1 20"), "ambiguous").await;
    check(Act::Last("HTTP/1.1 099 Junk\r\n\r\n"), "ambiguous").await;
    check(Act::Last("junk\r\n\r\n"), "ambiguous").await;
}

#[tokio::test]
async fn a_refusal_says_when_to_come_back() {
    let act = Act::Answer("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
    assert!(matches!(attempt(act).await, Attempt::Refused { retry_after: Some(RetryAfter::Seconds(7)), .. }));
}

#[tokio::test]
async fn d_03_no_answer_in_time() {
    for (timeout, within) in [(MOMENT, LONG), (LONG, MOMENT)] {
        let application = Application::start().await;
        let url = format!("http://{}/", application.address);
        let upstream = client(Settings { timeout, ..settings(&url) });
        let attempt = soon(upstream.deliver(Outbound { within, ..event() })).await;
        assert_eq!(word(&attempt), "ambiguous late");
        application.seen().await;
    }
}

#[tokio::test]
async fn d_04_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // The application speaks no TLS: it hangs up at the first bytes.
    let url = format!("https://{address}/");
    let upstream = client(settings(&url));
    let attempt = tokio::join!(upstream.deliver(event()), async { drop(listener.accept().await) }).0;
    assert_eq!(word(&attempt), "not sent");
    // It never says anything.
    let upstream = client(Settings { connect_timeout: MOMENT, ..settings(&url) });
    assert_eq!(word(&soon(upstream.deliver(event())).await), "not sent late");
    // Nobody listens.
    drop(listener);
    assert_eq!(word(&soon(client_of(address).deliver(event())).await), "not sent");
}

#[tokio::test]
async fn o_14_more_than_max_in_flight_is_full() {
    let application = Application::start().await;
    let url = format!("http://{}/", application.address);
    let upstream = client(Settings { max_in_flight: 1, ..settings(&url) });
    let mut first = std::pin::pin!(upstream.deliver(event()));
    tokio::select! {
        attempt = &mut first => panic!("{attempt:?}"),
        _ = application.seen() => {}
    }
    assert_eq!(word(&soon(upstream.deliver(event())).await), "full");
    assert!(application.is_quiet());
    application.then(OK);
    assert_eq!(word(&soon(first).await), "delivered");
    application.then(OK);
    assert_eq!(word(&soon(upstream.deliver(event())).await), "delivered");
}

/// Delivers twice; on which connection does the second event come?
async fn second_connection(first: Act) -> usize {
    let application = Application::start().await;
    let tasks = TaskTracker::new();
    let url = format!("http://{}/", application.address);
    let upstream = HttpUpstream::new(settings(&url), &Tls::native(), tasks.clone()).unwrap();
    for act in [first, OK] {
        application.then(act);
        assert_eq!(word(&soon(upstream.deliver(event())).await), "delivered");
        // The rest of the answer is read, and the connection is back in the pool or gone.
        tasks.close();
        soon(tasks.wait()).await;
        tasks.reopen();
        tokio::task::yield_now().await;
    }
    assert_eq!(application.seen().await.connection, 1);
    application.seen().await.connection
}

#[tokio::test]
async fn d_22_p_53_connections_are_used_again_when_they_are_clean() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(second_connection(Act::Answer(ok)).await, 1);
    assert_eq!(
        second_connection(Act::Answer("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")).await,
        2
    );
    assert_eq!(second_connection(Act::Last("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok")).await, 2);
    let unasked = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(second_connection(Act::Answer(unasked)).await, 2);
}

#[tokio::test]
async fn p_52_an_endless_answer_is_cut_off() {
    let application = Application::start().await;
    application.then(Act::Endless("HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n"));
    assert_eq!(word(&soon(client_of(application.address).deliver(event())).await), "delivered");
    application.seen().await;
    assert_eq!(application.seen().await.head, "the peer has had enough");
}

#[tokio::test]
async fn p_54_a_kept_connection_that_dies_is_ambiguous_and_not_repeated() {
    let application = Application::start().await;
    let upstream = client_of(application.address);
    for (act, want) in [(OK, "delivered"), (Act::Last(""), "ambiguous")] {
        application.then(act);
        assert_eq!(word(&soon(upstream.deliver(event())).await), want);
        assert_eq!(application.seen().await.connection, 1);
    }
    assert!(application.is_quiet());
}

#[tokio::test]
async fn the_answer_is_relayed_when_it_is_wanted_whole() {
    async fn check(answer: &'static str, want: Option<(Option<&str>, &str)>) {
        let application = Application::start().await;
        application.then(Act::Last(answer));
        let wanted = Outbound { relay: true, ..event() };
        let Attempt::Delivered(delivered) = soon(client_of(application.address).deliver(wanted)).await else {
            panic!("not delivered")
        };
        let want = want.map(|(kind, body)| (kind.map(|kind| kind.parse().unwrap()), Bytes::from(body.to_owned())));
        assert_eq!(delivered.relay, want);
    }
    let xml = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 4\r\n\r\n<r/>";
    check(xml, Some((Some("text/xml"), "<r/>"))).await;
    check("HTTP/1.1 204 No Content\r\n\r\n", Some((None, ""))).await;
    check("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok", None).await;
}

#[tokio::test]
async fn http2_with_prior_knowledge() {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| async move {
            let target = request.uri().to_string();
            assert_eq!(request.headers()[header::CONTENT_LENGTH], "9");
            Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::new(Bytes::from(target))))
        });
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        server.serve_connection(TokioIo::new(stream), service).await.unwrap();
    });
    let url = format!("http://{address}/hook?x=1");
    let upstream = client(Settings { http2: true, ..settings(&url) });
    let attempt = soon(upstream.deliver(Outbound { relay: true, ..event() })).await;
    let Attempt::Delivered(delivered) = attempt else { panic!("{attempt:?}") };
    assert_eq!(delivered.relay.unwrap().1, url);
}
