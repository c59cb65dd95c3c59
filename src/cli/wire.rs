//! Requests on their way to a gateway: over a socket, or as a command line for somebody else to send.

use std::{error::Error, fmt::Write as _, net::SocketAddr, path::PathBuf, time::Duration};

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{Request, StatusCode, Uri, header::HOST};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, client::conn::http1::handshake};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
};
use tokio::{net::UnixStream, time::timeout};

use crate::{server::ListenOn, stages::receive::Received};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much of an answer's body is read, in bytes.
const ANSWER_MAX: usize = 1 << 20;

/// Where a gateway is.
#[derive(Clone, Debug)]
pub(super) enum Door {
    /// At this scheme and authority; with a path of its own it takes the place of the source's.
    Url(Uri),
    /// On this socket.
    Unix(PathBuf),
}

/// What was answered.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Door {
    /// Where a gateway that listens here can be reached from this machine.
    pub(super) fn of(listen: &ListenOn) -> Self {
        let url = |address: SocketAddr| {
            let ip = match address.ip() {
                ip if !ip.is_unspecified() => ip,
                ip if ip.is_ipv4() => std::net::Ipv4Addr::LOCALHOST.into(),
                _ => std::net::Ipv6Addr::LOCALHOST.into(),
            };
            Uri::try_from(format!("http://{}", SocketAddr::new(ip, address.port()))).expect("an address makes a URL")
        };
        match listen {
            ListenOn::Tcp(address) => Self::Url(url(*address)),
            ListenOn::Unix(path) => Self::Unix(path.clone()),
        }
    }

    /// Sends a request and reads the answer.
    pub(super) async fn send(&self, request: &Received) -> Result<Reply, String> {
        let url = self.url(request);
        let exchange = async {
            match self {
                Self::Url(_) => through_pool(self.request(&url, request)?).await,
                Self::Unix(path) => {
                    let stream = UnixStream::connect(path).await?;
                    through_socket(stream, self.request(&url, request)?).await
                }
            }
        };
        let found = timeout(PATIENCE, exchange).await.map_err(|_| format!("{url} does not answer"))?;
        found.map_err(|error| format!("{url} cannot be reached: {}", chain(&*error)))
    }

    /// The request as a command line that sends it: any POSIX shell takes it.
    pub(super) fn curl(&self, request: &Received) -> Result<String, String> {
        let text = |bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
            text.map(quote).ok_or_else(|| "the request is no text, so no command line can hold it".to_owned())
        };
        // `--globoff`: brackets in the URL are brackets. `--data-raw`: a body that starts with `@` is no file's name.
        let mut line = format!("curl -sS -i --globoff -X {}", quote(request.head.method.as_str()));
        if let Self::Unix(path) = self {
            let _ = write!(line, " --unix-socket {}", text(path.as_os_str().as_encoded_bytes())?);
        }
        for (name, value) in &request.head.headers {
            let _ = write!(line, " -H {}", text(&[name.as_str().as_bytes(), b": ", value.as_bytes()].concat())?);
        }
        let _ = write!(line, " --data-raw {} {}", text(&request.body)?, quote(&self.url(request)));
        Ok(line)
    }

    fn url(&self, request: &Received) -> String {
        let head = &request.head;
        let query = head.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        match self {
            Self::Url(base) => {
                let path = if base.path() == "/" { head.path.as_str() } else { base.path() };
                let (scheme, authority) = (base.scheme_str().unwrap_or("http"), base.authority());
                let authority = authority.map_or("localhost", |authority| authority.as_str());
                format!("{scheme}://{authority}{path}{query}")
            }
            Self::Unix(_) => format!("http://localhost{}{query}", head.path),
        }
    }

    fn request(&self, url: &str, request: &Received) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut out = Request::builder().method(request.head.method.clone());
        out = match self {
            Self::Url(_) => out.uri(url),
            Self::Unix(_) => out.uri(url.trim_start_matches("http://localhost")).header(HOST, "localhost"),
        };
        for (name, value) in &request.head.headers {
            out = out.header(name, value);
        }
        out.body(Full::new(request.body.clone()))
    }
}

type Failure = Box<dyn Error + Send + Sync>;

async fn through_pool(request: Request<Full<Bytes>>) -> Result<Reply, Failure> {
    let provider = rustls::crypto::ring::default_provider();
    let connector = HttpsConnectorBuilder::new();
    let connector = if request.uri().scheme_str() == Some("https") {
        connector.with_provider_and_native_roots(provider)?
    } else {
        let config =
            rustls::ClientConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions()?;
        connector.with_tls_config(config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
    };
    let client = Client::builder(TokioExecutor::new()).build(connector.https_or_http().enable_http1().build());
    read(client.request(request).await?).await
}

async fn through_socket(stream: UnixStream, request: Request<Full<Bytes>>) -> Result<Reply, Failure> {
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let exchange = Box::pin(async move { read(sender.send_request(request).await?).await });
    match select(exchange, connection).await {
        Either::Left((reply, _)) => reply,
        Either::Right((_, exchange)) => exchange.await,
    }
}

#[expect(clippy::disallowed_methods, reason = "the body is read under a cap: `Limited` is around it")]
async fn read(answer: http::Response<Incoming>) -> Result<Reply, Failure> {
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, ANSWER_MAX).collect().await?.to_bytes();
    Ok(Reply { status: head.status, body })
}

/// An error and what caused it, in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// One word of a POSIX shell.
pub(super) fn quote(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,+%@".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        let check = |text: &str, want: &str| assert_eq!(quote(text), want);
        check("plain-1.0", "plain-1.0");
        check("", "''");
        check("a b", "'a b'");
        check("it's", r"'it'\''s'");
        check("$(x) `y` \\ \"z\" !", "'$(x) `y` \\ \"z\" !'");
        check("~", "'~'");
        check("?a&b", "'?a&b'");
    }

    #[test]
    fn unspecified_addresses_are_reached_on_loopback() {
        let check = |listen: &str, want: &str| {
            let Door::Url(url) = Door::of(&listen.parse().unwrap()) else { panic!("not an address") };
            assert_eq!(url.to_string(), want);
        };
        check("0.0.0.0:80", "http://127.0.0.1:80/");
        check("[::]:80", "http://[::1]:80/");
        check("192.0.2.1:80", "http://192.0.2.1:80/");
    }
}
