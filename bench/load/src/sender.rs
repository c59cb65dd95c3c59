//! One connection that posts event after event, and the one parser of messages that both ends need.

use std::{
    cell::RefCell,
    io,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep_until,
};

use crate::event::Events;

/// What was answered.
#[derive(Default)]
pub struct Tally {
    /// Microseconds from sending (or from when it should have been sent) to the answer, for each 200 and 202.
    pub latencies: Vec<u32>,
    /// Other answers, and connections that broke.
    pub failures: u64,
    /// Whether the first failure has been told.
    told: bool,
}

/// A fixed schedule. A late answer does not move it, so a slow proxy cannot hide by being asked less often.
pub struct Pace {
    /// When the next request is due.
    pub next: Instant,
    /// Between two requests.
    pub every: Duration,
}

/// Sends until the program ends. A connection that the proxy closes is opened again.
pub async fn send(target: SocketAddr, events: Rc<Events>, mut pace: Option<Pace>, tally: Rc<RefCell<Tally>>) {
    loop {
        if let Err(error) = connection(target, &events, pace.as_mut(), &tally).await {
            tally.borrow_mut().fail(&error.to_string());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn connection(
    target: SocketAddr,
    events: &Events,
    mut pace: Option<&mut Pace>,
    tally: &RefCell<Tally>,
) -> io::Result<()> {
    let mut connection = TcpStream::connect(target).await?;
    connection.set_nodelay(true)?;
    let (mut request, mut answer) = (Vec::with_capacity(2048), Vec::with_capacity(2048));
    loop {
        let started = match &mut pace {
            None => Instant::now(),
            Some(pace) => pace.wait().await,
        };
        events.write(&mut request);
        connection.write_all(&request).await?;
        answer.clear();
        let message = loop {
            if connection.read_buf(&mut answer).await? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed without an answer"));
            }
            if let Some(message) = Message::parse(&answer)? {
                break message;
            }
        };
        // 202 where the event is queued.
        if answer.starts_with(b"HTTP/1.1 200 ") || answer.starts_with(b"HTTP/1.1 202 ") {
            let latency = started.elapsed().as_micros();
            tally.borrow_mut().latencies.push(u32::try_from(latency).unwrap_or(u32::MAX));
        } else {
            tally.borrow_mut().fail(&String::from_utf8_lossy(&answer));
        }
        if message.closes {
            return Ok(());
        }
    }
}

impl Tally {
    fn fail(&mut self, what: &str) {
        self.failures += 1;
        if !std::mem::replace(&mut self.told, true) {
            eprintln!("load: first failure: {what}");
        }
    }
}

impl Pace {
    /// Waits for the next turn; returns when the request counts as sent: when it was due, if an answer was late, and
    /// otherwise now, because the timer's own millisecond is not the proxy's.
    async fn wait(&mut self) -> Instant {
        let due = self.next;
        self.next += self.every;
        if Instant::now() > due {
            return due;
        }
        sleep_until(due.into()).await;
        Instant::now()
    }
}

/// The little of HTTP/1 that both ends need: where a message ends.
pub struct Message {
    /// Head and body, in bytes.
    pub length: usize,
    /// Whether the connection ends with it.
    pub closes: bool,
}

impl Message {
    /// The message at the start of `buffer`, if all of it is there.
    pub fn parse(buffer: &[u8]) -> io::Result<Option<Self>> {
        let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
        let (mut body, mut closes) = (None, false);
        for line in buffer[..end].split(|byte| *byte == b'\n').skip(1) {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.eq_ignore_ascii_case(b"content-length") {
                body = std::str::from_utf8(value).ok().and_then(|text| text.parse::<usize>().ok());
            } else if name.eq_ignore_ascii_case(b"connection") {
                closes = value.eq_ignore_ascii_case(b"close");
            }
        }
        let body =
            body.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a message without Content-Length"))?;
        let length = end + 4 + body;
        Ok((buffer.len() >= length).then_some(Self { length, closes }))
    }
}
