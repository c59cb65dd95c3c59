//! Who is connected: a bounded number of seats, and what each connection is doing just now.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// What a connection is doing. Decides which of its clocks runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Accepted; nothing has come.
    Silent,
    /// A head has begun.
    Head,
    /// A head is complete, the answer is not.
    Busy,
    /// The answer is being written, and the request was read to its end.
    Answering,
    /// The answer is being written and the connection ends, though the peer may still be sending.
    Leaving,
    /// Between two requests.
    Idle,
}

impl Phase {
    const ALL: [Self; 6] = [Self::Silent, Self::Head, Self::Busy, Self::Answering, Self::Leaving, Self::Idle];
}

/// One connection, seen from its socket, from its requests and from the door.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The peer's address; `None` on a Unix socket.
    pub(crate) peer: Option<IpAddr>,
    /// Cancelled to end the connection after what is under way.
    pub(super) close: CancellationToken,
    phase: AtomicU8,
    /// When `phase` was entered, in microseconds after the door opened.
    since: AtomicU64,
    opened: Instant,
    requests: AtomicU32,
}

impl Connection {
    pub(super) fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Ordering::Relaxed))]
    }

    pub(super) fn enter(&self, phase: Phase) {
        if matches!(phase, Phase::Idle) {
            self.since.store(micros(self.opened.elapsed()), Ordering::Relaxed);
        }
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Counts one more request, and tells which it is, from 1.
    pub(super) fn count_request(&self) -> u32 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Since when it has been waiting for a request, if it is.
    fn waiting_since(&self) -> Option<u64> {
        matches!(self.phase(), Phase::Silent | Phase::Idle).then(|| self.since.load(Ordering::Relaxed))
    }
}

/// All connections of one door.
#[derive(Debug)]
pub(super) struct Connections {
    seats: Arc<Semaphore>,
    seated: Mutex<HashMap<u64, Arc<Connection>>>,
    seen: AtomicU64,
    opened: Instant,
    gauge: Gauge,
}

impl Connections {
    pub(super) fn new(max: usize, gauge: Gauge) -> Self {
        let seats = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        Self { seats, seated: Mutex::default(), seen: AtomicU64::new(0), opened: Instant::now(), gauge }
    }

    /// Waits for a seat. When all are taken, the connection that has waited longest for a request gives up its own.
    pub(super) async fn seat(self: &Arc<Self>, peer: Option<IpAddr>, stop: &CancellationToken) -> Seat {
        let permit = if let Ok(permit) = self.seats.clone().try_acquire_owned() {
            permit
        } else {
            self.shed();
            self.seats.clone().acquire_owned().await.expect("the seats are never closed")
        };
        let now = micros(self.opened.elapsed());
        let connection = Arc::new(Connection {
            peer,
            close: stop.child_token(),
            phase: AtomicU8::new(Phase::Silent as u8),
            since: AtomicU64::new(now),
            opened: self.opened,
            requests: AtomicU32::new(0),
        });
        let number = self.seen.fetch_add(1, Ordering::Relaxed);
        self.seated.lock().expect("no panic while held").insert(number, connection.clone());
        self.gauge.inc();
        Seat { connections: self.clone(), connection, number, _permit: permit }
    }

    fn shed(&self) {
        let seated = self.seated.lock().expect("no panic while held");
        let waiting = seated.values().filter(|connection| !connection.close.is_cancelled());
        let oldest =
            waiting.filter_map(|connection| Some((connection.waiting_since()?, connection))).min_by_key(|it| it.0);
        if let Some((_, connection)) = oldest {
            connection.close.cancel();
        }
    }
}

/// The right to be connected; given back on drop.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) connection: Arc<Connection>,
    connections: Arc<Connections>,
    number: u64,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.seated.lock().expect("no panic while held").remove(&self.number);
        self.connections.gauge.dec();
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
