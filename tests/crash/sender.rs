//! Senders that repeat a request until it is accepted, byte for byte, over a network that fails in every way.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use fastrand::Rng;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    chronicle::{Answer, Chronicle},
    gateway::TOKEN,
    history::Event,
};

/// What the network does to a request.
#[derive(Clone, Copy, Debug)]
enum Weather {
    Fair,
    /// It breaks in the middle of the request.
    CutInRequest,
    /// It breaks before the answer.
    CutBeforeAnswer,
    /// It breaks in the middle of the answer.
    CutInAnswer,
    /// The sender says that it has no more to say.
    HalfClosed,
    /// The body comes in small pieces.
    Slow,
}

/// Where the gateway is, when it is, and whether more is to be sent.
pub(crate) type Known = (Option<SocketAddr>, bool);

/// Sends one request after the other, each until it is accepted.
pub(crate) async fn send(name: usize, seed: u64, mut known: watch::Receiver<Known>, chronicle: Arc<Chronicle>) {
    let mut rng = Rng::with_seed(seed);
    let mut number = 0;
    while known.borrow().1 {
        number += 1;
        // One event, or a few.
        let size = if rng.u8(..4) == 0 { rng.usize(2..5) } else { 1 };
        let events: Vec<_> = (0..size).map(|index| event(&format!("{name}-{number}-{index}"), &mut rng)).collect();
        let bodies: Vec<_> = events.iter().map(|event| event.bytes.as_str()).collect();
        let body = if size == 1 { bodies[0].to_owned() } else { format!("[{}]", bodies.join(",")) };
        // An accepted request may be repeated, too.
        let mut repeats = usize::from(rng.u8(..10) == 0);
        loop {
            let address = known.wait_for(|known| known.0.is_some()).await.unwrap().0.unwrap();
            let request = chronicle.sends(&events);
            let weather = weather(&mut rng);
            match timeout(Duration::from_secs(15), attempt(address, &body, weather)).await {
                Ok(Ok(Some(answer))) => {
                    chronicle.hears(request, &answer);
                    if answer.status < 300 {
                        if repeats == 0 {
                            break;
                        }
                        repeats -= 1;
                    }
                }
                Ok(Ok(None) | Err(_)) | Err(_) => chronicle.hears_nothing(request),
            }
            // A process that is gone is not asked a thousand times a second.
            sleep(Duration::from_millis(5)).await;
        }
    }
}

fn event(id: &str, rng: &mut Rng) -> Event {
    let length = if rng.u8(..8) == 0 { rng.usize(..20_000) } else { rng.usize(..500) };
    let text: String = (0..length).map(|_| rng.alphanumeric()).collect();
    let bytes = format!(r#"{{"id":"{id}","type":"order.created","text":"{text}"}}"#);
    Event { id: id.to_owned(), group: 0, bytes }
}

fn weather(rng: &mut Rng) -> Weather {
    match rng.u8(..32) {
        0 => Weather::CutInRequest,
        1 => Weather::CutBeforeAnswer,
        2 => Weather::CutInAnswer,
        3 => Weather::HalfClosed,
        4 => Weather::Slow,
        _ => Weather::Fair,
    }
}

/// Sends one event until it is accepted; every answer that it got.
pub(crate) async fn insist(address: SocketAddr, id: &str, chronicle: &Chronicle) -> Vec<u16> {
    let event = event(id, &mut Rng::with_seed(id.len() as u64));
    let mut answers = Vec::new();
    loop {
        let request = chronicle.sends(std::slice::from_ref(&event));
        match attempt(address, &event.bytes, Weather::Fair).await {
            Ok(Some(answer)) => {
                chronicle.hears(request, &answer);
                answers.push(answer.status);
                if answer.status < 300 {
                    return answers;
                }
            }
            Ok(None) | Err(_) => chronicle.hears_nothing(request),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// One attempt. `None` where the answer was not heard.
async fn attempt(address: SocketAddr, body: &str, weather: Weather) -> std::io::Result<Option<Answer>> {
    let mut stream = TcpStream::connect(address).await?;
    let head = format!(
        "POST /in/acme HTTP/1.1\r\nHost: gw.test\r\nX-Token: {TOKEN}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    match weather {
        Weather::CutInRequest => {
            stream.write_all(&[head.as_bytes(), &body.as_bytes()[..body.len() / 2]].concat()).await?;
            return Ok(None);
        }
        Weather::Slow => {
            stream.write_all(head.as_bytes()).await?;
            for piece in body.as_bytes().chunks(body.len() / 3 + 1) {
                stream.write_all(piece).await?;
                sleep(Duration::from_millis(3)).await;
            }
        }
        _ => stream.write_all(format!("{head}{body}").as_bytes()).await?,
    }
    match weather {
        Weather::CutBeforeAnswer => return Ok(None),
        Weather::CutInAnswer => {
            stream.read_exact(&mut [0; 5]).await?;
            return Ok(None);
        }
        Weather::HalfClosed => stream.shutdown().await?,
        _ => {}
    }
    answer(&mut stream).await
}

async fn answer(stream: &mut TcpStream) -> std::io::Result<Option<Answer>> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end + 4]).into_owned();
            if read.len() >= end + 4 + length(&head) {
                let body = String::from_utf8_lossy(&read[end + 4..]).into_owned();
                return Ok(Some(Answer { status: head[9..12].parse().unwrap(), body }));
            }
        }
        if stream.read_buf(&mut read).await? == 0 {
            return Ok(None);
        }
    }
}

/// What a head says of the body's length.
pub(crate) fn length(head: &str) -> usize {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let found = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    found.map_or(0, |(_, value)| value.parse().unwrap())
}
