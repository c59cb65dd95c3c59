//! An application that reads every request whole and then does what the test says.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::{soon, wire::find};

/// What to do with one request, after reading it.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Write these bytes and wait for the next request.
    Answer(&'static str),
    /// Write these bytes, then close.
    Last(&'static str),
    /// Write these bytes, then more and more for as long as they are taken.
    Endless(&'static str),
    /// Neither answer nor close.
    Hang,
}

pub(crate) const OK: Act = Act::Answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");

/// One request as it stood on the wire.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Which connection it came on, from 1.
    pub(crate) connection: usize,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// The application.
pub(crate) struct Application {
    pub(crate) address: SocketAddr,
    acts: Arc<mpsc::UnboundedSender<Act>>,
    seen: Mutex<mpsc::UnboundedReceiver<Seen>>,
}

impl Seen {
    /// The value of a header, if it is there once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.head.lines().filter_map(|line| line.split_once(": ")).filter(|(key, _)| *key == name);
        let value = values.next().map(|(_, value)| value);
        value.filter(|_| values.next().is_none())
    }
}

impl Application {
    /// One that waits to be told what to do.
    pub(crate) async fn start() -> Self {
        Self::serve(None).await
    }

    /// One that takes everything, unless it is told otherwise.
    pub(crate) async fn obliging() -> Self {
        Self::serve(Some(OK)).await
    }

    async fn serve(otherwise: Option<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (acts, script) = mpsc::unbounded_channel();
        let (sender, seen) = mpsc::unbounded_channel();
        let script = Arc::new(tokio::sync::Mutex::new(script));
        let connections = AtomicUsize::new(0);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = connections.fetch_add(1, Ordering::Relaxed) + 1;
                let play = play(stream, connection, script.clone(), otherwise.clone(), sender.clone());
                tokio::spawn(play);
            }
        });
        Self { address, acts: Arc::new(acts), seen: Mutex::new(seen) }
    }

    /// What the next request gets.
    pub(crate) fn then(&self, act: Act) {
        self.acts.send(act).unwrap();
    }

    /// The next request that came.
    #[expect(clippy::await_holding_lock, reason = "one test, one reader")]
    pub(crate) async fn seen(&self) -> Seen {
        soon(self.seen.lock().unwrap().recv()).await.unwrap()
    }

    /// The requests that came and were not asked for yet.
    pub(crate) fn all_seen(&self) -> Vec<Seen> {
        let mut seen = self.seen.lock().unwrap();
        std::iter::from_fn(|| seen.try_recv().ok()).collect()
    }

    /// Whether nothing has come that has not been asked for.
    pub(crate) fn is_quiet(&self) -> bool {
        self.seen.lock().unwrap().is_empty()
    }
}

type Script = Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Act>>>;

async fn play(
    mut stream: TcpStream,
    connection: usize,
    script: Script,
    otherwise: Option<Act>,
    sender: mpsc::UnboundedSender<Seen>,
) {
    let mut read = Vec::new();
    while let Some((head, body)) = request(&mut stream, &mut read).await {
        let _ = sender.send(Seen { connection, head, body });
        let act = match &otherwise {
            Some(otherwise) => script.lock().await.try_recv().unwrap_or_else(|_| otherwise.clone()),
            None => script.lock().await.recv().await.unwrap_or(Act::Hang),
        };
        match act {
            Act::Answer(bytes) => stream.write_all(bytes.as_bytes()).await.unwrap(),
            Act::Last(bytes) => return stream.write_all(bytes.as_bytes()).await.unwrap(),
            Act::Endless(bytes) => {
                stream.write_all(bytes.as_bytes()).await.unwrap();
                while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
                let _ = sender.send(Seen { connection, head: "the peer has had enough".into(), body: Vec::new() });
            }
            Act::Hang => std::future::pending().await,
        }
    }
}

async fn request(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    let end = loop {
        if let Some(end) = find(read, b"\r\n\r\n") {
            break end + 4;
        }
        stream.read_buf(read).await.ok().filter(|count| *count > 0)?;
    };
    let head = String::from_utf8(read.drain(..end).collect()).unwrap();
    let line = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = line.expect("every request has a length").parse().unwrap();
    while read.len() < length {
        stream.read_buf(read).await.ok().filter(|count| *count > 0)?;
    }
    Some((head, read.drain(..length).collect()))
}
