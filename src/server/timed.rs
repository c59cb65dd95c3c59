//! A socket that loses patience: hyper has no clock for the first byte, for idling or for a peer that does not read.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    Limits,
    connections::{Connection, Phase},
};

/// How long, and how many bytes, a peer may go on sending after it was answered early. Closing with unread bytes resets
/// the connection, and a reset can take the answer away from a sender that has not read it yet.
const LINGER: (Duration, usize) = (Duration::from_secs(1), 64 << 10);

/// A socket whose reads and writes end in [`io::ErrorKind::TimedOut`] when the phase of the connection takes too long.
#[derive(Debug)]
pub(super) struct Timed<S> {
    socket: S,
    connection: Arc<Connection>,
    head: Duration,
    idle: Duration,
    write: Duration,
    /// When the present phase has waited long enough; meaningless while a request is being handled.
    read_by: Instant,
    /// Set while bytes wait that the peer does not take.
    write_by: Option<Instant>,
    /// One timer for both. It is only moved when it would go off too late, so a busy connection never touches it.
    timer: Pin<Box<Sleep>>,
    /// Set once our side is shut down: the bytes still to be thrown away.
    lingering: Option<usize>,
}

impl<S> Timed<S> {
    pub(super) fn new(socket: S, connection: Arc<Connection>, limits: &Limits) -> Self {
        let read_by = Instant::now() + limits.first_byte;
        Self {
            socket,
            connection,
            head: limits.head,
            idle: limits.idle,
            write: limits.write,
            read_by,
            write_by: None,
            timer: Box::pin(sleep_until(read_by)),
            lingering: None,
        }
    }

    /// Ready when `deadline` has passed; otherwise the task is woken then (or earlier, and asks again).
    fn poll_late(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.deadline() > deadline {
            self.timer.as_mut().reset(deadline);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    /// A write that cannot go on: too late already?
    fn poll_unwritable<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let deadline = *self.write_by.get_or_insert_with(|| Instant::now() + self.write);
        self.poll_late(deadline, cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let phase = this.connection.phase();
        if let Poll::Ready(result) = Pin::new(&mut this.socket).poll_read(cx, buf) {
            if buf.filled().len() > before && matches!(phase, Phase::Silent | Phase::Idle) {
                this.connection.enter(Phase::Head);
                this.read_by = Instant::now() + this.head;
            }
            return Poll::Ready(result);
        }
        match phase {
            Phase::Silent | Phase::Head | Phase::Idle => {
                this.poll_late(this.read_by, cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
            }
            // Whoever reads the body, or handles the request, has a clock of his own.
            Phase::Busy | Phase::Answering | Phase::Leaving => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.socket).poll_write(cx, bytes) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => this.poll_unwritable(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.socket).poll_write_vectored(cx, slices) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => this.poll_unwritable(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.socket).poll_flush(cx) {
            Poll::Ready(result) => {
                // hyper flushes when its own buffer is empty: the answer is out.
                this.write_by = None;
                if this.connection.phase() == Phase::Answering {
                    this.connection.enter(Phase::Idle);
                    this.read_by = Instant::now() + this.idle;
                }
                Poll::Ready(result)
            }
            Poll::Pending => this.poll_unwritable(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut left = if let Some(left) = this.lingering {
            left
        } else {
            ready!(Pin::new(&mut this.socket).poll_shutdown(cx))?;
            // Between requests nothing of the peer's is under way.
            if matches!(this.connection.phase(), Phase::Silent | Phase::Idle) {
                return Poll::Ready(Ok(()));
            }
            this.read_by = Instant::now() + LINGER.0;
            LINGER.1
        };
        let mut bin = [0; 4096];
        while left > 0 {
            let mut buf = ReadBuf::new(&mut bin);
            match Pin::new(&mut this.socket).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => left = left.saturating_sub(buf.filled().len()),
                Poll::Ready(_) => break,
                Poll::Pending => {
                    this.lingering = Some(left);
                    return this.poll_late(this.read_by, cx).map(Ok);
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}
