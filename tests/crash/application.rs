//! The application: it writes down what it gets, and is not always well.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use fastrand::Rng;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::chronicle::Chronicle;

pub(crate) struct Application {
    pub(crate) address: SocketAddr,
    /// How many connections it has.
    connections: Arc<watch::Sender<usize>>,
}

impl Application {
    /// One that misbehaves as the seed says.
    pub(crate) async fn start(chronicle: Arc<Chronicle>, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let application =
            Self { address: listener.local_addr().unwrap(), connections: Arc::new(watch::Sender::new(0)) };
        let connections = Arc::clone(&application.connections);
        let rng = Arc::new(Mutex::new(Rng::with_seed(seed)));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.send_modify(|count| *count += 1);
                let (chronicle, rng) = (Arc::clone(&chronicle), Arc::clone(&rng));
                let connections = Arc::clone(&connections);
                tokio::spawn(async move {
                    // It ends with the connection.
                    let _ = serve(stream, &chronicle, &rng).await;
                    connections.send_modify(|count| *count -= 1);
                });
            }
        });
        application
    }

    /// Waits until nobody is connected: whatever a process sent that was killed has been written down then.
    pub(crate) async fn alone(&self) {
        self.connections.subscribe().wait_for(|count| *count == 0).await.unwrap();
    }
}

async fn serve(mut stream: TcpStream, chronicle: &Chronicle, rng: &Mutex<Rng>) -> std::io::Result<()> {
    let mut read = Vec::new();
    while let Some((head, body)) = request(&mut stream, &mut read).await? {
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .unwrap_or_else(|| panic!("no {name}: {head}"))
                .1
                .to_owned()
        };
        let attempt = chronicle.arrives(&header, body);
        let (act, pause) = {
            let mut rng = rng.lock().unwrap();
            (rng.u8(..40), Duration::from_millis(rng.u64(..8)))
        };
        tokio::time::sleep(pause).await;
        match act {
            0 => {
                chronicle.ended(attempt, false);
                stream.write_all(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n").await?;
            }
            1 => {
                // It hangs up, and whether it took the event is nobody's knowledge.
                chronicle.ended(attempt, false);
                return Ok(());
            }
            2 => {
                chronicle.ended(attempt, false);
                return stream.write_all(b"HTTP/1.1 20").await;
            }
            _ => {
                chronicle.ended(attempt, true);
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await?;
            }
        }
    }
    Ok(())
}

/// The next request, head and body.
async fn request(stream: &mut TcpStream, read: &mut Vec<u8>) -> std::io::Result<Option<(String, String)>> {
    let end = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8(read.drain(..end).collect()).unwrap();
    let length: usize = crate::sender::length(&head);
    while read.len() < length {
        if stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some((head, String::from_utf8(read.drain(..length).collect()).unwrap())))
}
