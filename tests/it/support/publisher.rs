//! A sender's own server over HTTPS, where its keys lie, and a network in which every name leads to it.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use hooksieve::{
    fetch::{BoxFuture, Fetch, Https, Limits, Network},
    upstream::Tls,
};
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::wire::find;

/// An address that is anybody's.
const PUBLIC: [u8; 4] = [93, 184, 215, 14];

/// What a path is answered with.
#[derive(Clone, Debug)]
pub(crate) enum Page {
    /// 200 with this body.
    Found(String),
    /// This status line and header lines, and no body.
    Empty(String),
    /// 200, and more and more bytes.
    Endless,
    /// Nothing, ever.
    Hang,
}

/// The server, its network, and what was asked of them.
#[derive(Clone)]
pub(crate) struct Publisher(Arc<Inner>);

struct Inner {
    server: SocketAddr,
    roots: RootCertStore,
    pages: Mutex<HashMap<String, Page>>,
    addresses: Mutex<HashMap<String, Vec<IpAddr>>>,
    resolved: Mutex<Vec<String>>,
    connected: Mutex<Vec<SocketAddr>>,
    requests: Mutex<Vec<String>>,
}

impl Publisher {
    /// A server with a certificate for these names, of an authority that the gateway trusts.
    pub(crate) async fn of(names: &[&str]) -> Self {
        let key = KeyPair::generate().unwrap();
        let authority = Issuer::new(CertificateParams::new(Vec::new()).unwrap(), KeyPair::generate().unwrap());
        let root = CertificateParams::new(Vec::new()).unwrap().self_signed(authority.key()).unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(root.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let publisher = Self(Arc::new(Inner {
            server: listener.local_addr().unwrap(),
            roots,
            pages: Mutex::default(),
            addresses: Mutex::default(),
            resolved: Mutex::default(),
            connected: Mutex::default(),
            requests: Mutex::default(),
        }));
        let (serving, acceptor) = (publisher.clone(), TlsAcceptor::from(Arc::new(config)));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(acceptor.clone(), stream));
            }
        });
        publisher
    }

    /// What a gateway goes with: over this network, trusting this server's authority.
    pub(crate) fn fetch(&self) -> Arc<dyn Fetch> {
        let limits = Limits { time: Duration::from_millis(400), ..Limits::default() };
        let tls = Tls::trusting(self.0.roots.clone()).unwrap();
        Arc::new(Https::new(tls, Arc::new(self.clone()), limits))
    }

    /// What lies at a path from now on.
    pub(crate) fn put(&self, path: &str, page: Page) {
        self.0.pages.lock().unwrap().insert(path.to_owned(), page);
    }

    /// Where a name leads from now on.
    pub(crate) fn point(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.0.addresses.lock().unwrap().insert(name.to_owned(), addresses);
    }

    /// Nobody asked for a name or for a connection.
    #[track_caller]
    pub(crate) fn is_untouched(&self) {
        assert!(self.0.resolved.lock().unwrap().is_empty(), "{:?}", self.0.resolved.lock().unwrap());
        assert!(self.connections().is_empty());
    }

    /// The connections so far, by the address that was asked for.
    pub(crate) fn connections(&self) -> Vec<SocketAddr> {
        self.0.connected.lock().unwrap().clone()
    }

    /// The requests since the last time: method, host, target, and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.requests.lock().unwrap())
    }

    async fn serve(self, acceptor: TlsAcceptor, stream: TcpStream) {
        let Ok(mut stream) = acceptor.accept(stream).await else { return };
        let mut read = Vec::new();
        let (head, body) = loop {
            if let Some(end) = find(&read, b"\r\n\r\n") {
                let head = String::from_utf8(read[..end].to_vec()).unwrap();
                let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
                if read.len() >= end + 4 + length {
                    break (head, String::from_utf8(read[end + 4..].to_vec()).unwrap());
                }
            }
            if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let line: Vec<&str> = head.lines().next().unwrap().split(' ').collect();
        let seen = format!("{} {} {} {body}", line[0], header(&head, "host").unwrap(), line[1]);
        self.0.requests.lock().unwrap().push(seen.trim_end().to_owned());
        let path = line[1].split('?').next().unwrap();
        let page = self.0.pages.lock().unwrap().get(path).cloned();
        let page = page.unwrap_or_else(|| Page::Empty("404 Not Found".to_owned()));
        let answer = match page {
            Page::Found(body) => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
            Page::Empty(lines) => format!("HTTP/1.1 {lines}\r\nContent-Length: 0\r\n\r\n"),
            Page::Endless => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
                while stream.write_all(b"400\r\n").await.is_ok() {
                    let _ = stream.write_all(&[b'x'; 0x400]).await;
                    let _ = stream.write_all(b"\r\n").await;
                }
                return;
            }
            Page::Hang => std::future::pending().await,
        };
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
    }
}

impl Network for Publisher {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        self.0.resolved.lock().unwrap().push(host.to_owned());
        let addresses = self.0.addresses.lock().unwrap().get(host).cloned();
        let addresses = addresses.unwrap_or_else(|| vec![IpAddr::from(PUBLIC)]);
        Box::pin(async move { Ok(addresses.into_iter().map(|address| (address, port).into()).collect()) })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        self.0.connected.lock().unwrap().push(address);
        Box::pin(TcpStream::connect(self.0.server))
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}
