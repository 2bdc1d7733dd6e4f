//! The socket of a client, and the bytes that have come and are not used yet.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::stream::{Stream, Tls};
use crate::client::fault::{Fault, excerpt};

/// Room for a few small messages; the buffer grows only for those who get more.
const BUFFER: usize = 1024;
/// What is read at once while messages come faster than they are read.
const FLOOD: usize = 32 * 1024;

/// A socket, and the bytes that have come and are not used yet.
#[derive(Debug)]
pub(super) struct Inbox {
    stream: Stream,
    buffer: Vec<u8>,
    /// The bytes of the buffer before this are used.
    start: usize,
    /// The last read left something behind.
    is_flood: bool,
    read_at: Instant,
}

impl Inbox {
    /// Connects to the first address that accepts, and speaks TLS if that is to be spoken.
    pub(super) async fn open(
        addresses: &[SocketAddr],
        tls: Option<&Arc<Tls>>,
        limit: Duration,
    ) -> Result<Self, Fault> {
        let connected = timeout(limit, TcpStream::connect(addresses)).await;
        let connected = connected.unwrap_or_else(|_| {
            let text = format!("the connection was not accepted within {limit:?}");
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        });
        let stream = connected.map_err(|source| {
            let addresses: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
            let addresses = addresses.join(", ");
            Fault::Unreachable { addresses, source }
        })?;
        let Ok(stream) = timeout(limit, Stream::over(stream, tls.cloned())).await else {
            let answer = "TLS is not agreed on".to_owned();
            return Err(Fault::TimedOut { limit, answer });
        };
        Ok(Self::of(stream?))
    }

    fn of(stream: Stream) -> Self {
        Self {
            stream,
            buffer: Vec::with_capacity(BUFFER),
            start: 0,
            is_flood: false,
            read_at: Instant::now(),
        }
    }

    /// Connects anew to the same address, and forgets what had come.
    pub(super) async fn redial(&mut self) -> Result<(), Fault> {
        *self = Self::of(self.stream.redial().await?);
        Ok(())
    }

    /// The stream, of which nothing was read.
    pub(super) fn into_stream(self) -> Stream {
        self.stream
    }

    /// The address of the socket at this end.
    pub(super) fn local(&self) -> io::Result<SocketAddr> {
        self.stream.local()
    }

    /// The bytes that have come and are not used.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// When the last of them came.
    pub(super) fn read_at(&self) -> Instant {
        self.read_at
    }

    /// Has used so many bytes.
    pub(super) fn advance(&mut self, count: usize) {
        self.start += count;
        if self.start == self.buffer.len() {
            self.start = 0;
            self.buffer.clear();
        }
    }

    /// Makes room for `count` more bytes, which are sure to come.
    pub(super) fn expect(&mut self, count: usize) {
        self.close_up();
        self.buffer.reserve(count);
    }

    /// Reads more bytes; nothing is lost if it is not asked again.
    pub(super) fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let least = if self.is_flood { FLOOD } else { BUFFER / 2 };
        if self.buffer.capacity() - self.buffer.len() < least {
            self.close_up();
            self.buffer.reserve(least);
        }
        let room = self.buffer.capacity() - self.buffer.len();
        // The future keeps nothing from one poll to the next.
        let read = ready!(pin!(self.stream.read_buf(&mut self.buffer)).poll(cx))?;
        if read == 0 {
            return Poll::Ready(Err(Fault::Closed(excerpt(self.bytes()))));
        }
        self.is_flood = read == room;
        self.read_at = Instant::now();
        Poll::Ready(Ok(()))
    }

    /// Sends bytes.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        Ok(self.stream.send(bytes).await?)
    }

    /// Sends some of the bytes, and tells how many.
    pub(super) fn poll_send(
        &mut self,
        bytes: &[u8],
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, Fault>> {
        let sent = ready!(self.stream.poll_send(bytes, cx))?;
        Poll::Ready(Ok(sent))
    }

    fn close_up(&mut self) {
        self.buffer.drain(..self.start);
        self.start = 0;
    }
}
