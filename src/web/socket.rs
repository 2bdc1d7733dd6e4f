//! A client's socket while no HTTP parser has it: watched for its end, written to, handed on.

use std::future::{Future, poll_fn};
use std::io;
use std::mem::{self, MaybeUninit};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Instant;
use tokio_rustls::rustls::ServerConnection;

use super::http2::write_head;
use super::io::Io;
use super::patience::{Patience, Progress, Slowness};
use super::response::Response;
use super::tls::Tls;
use super::witness::{Beside, Witness};
use crate::memory::sizes;
use crate::pause::was_paused;
use crate::peer::Peer;

/// How many bytes a client may send ahead while its request is held; above that they stay in the
/// kernel's buffer, where the client's end cannot be noticed behind them.
const MAX_AHEAD: usize = 16 * 1024;
/// How much is read at once before a parser takes over: most requests whole.
const READ_SIZE: usize = 2048;
/// How many bytes of a refused request are read, so that the client gets to read the refusal.
const MAX_LINGER: usize = 1024 * 1024;
/// How long that may take.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// Why bytes were not written whole.
#[derive(Debug)]
pub struct NotWritten {
    /// So many of them were.
    pub written: usize,
    /// Why no more.
    pub why: Why,
}

/// Why no more bytes were written.
#[derive(Debug)]
pub enum Why {
    /// There was no use in it any more.
    Useless,
    /// The client is too slow.
    Slow(Slowness),
    /// The client is gone.
    Failed(io::Error),
}

/// A socket, and what was read from it already.
#[derive(Debug)]
pub struct Socket {
    io: Io,
    ahead: BytesMut,
    peer: Peer,
    beside: Option<Box<Beside>>,
    /// What was done for what came by it, since that was asked last.
    work: AtomicU32,
    is_reset: bool,
}

impl Socket {
    /// Takes a connection that was accepted from a peer.
    #[must_use]
    pub fn new(io: Io, peer: Peer) -> Self {
        Self {
            io,
            ahead: BytesMut::new(),
            peer,
            beside: None,
            work: AtomicU32::new(0),
            is_reset: false,
        }
    }

    /// Returns who is at the other end: the client whose request is being served, as far as that is known.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Takes notice of whose connection it is, as a proxy has said before all else.
    pub fn set_peer(&mut self, peer: Peer) {
        self.peer = peer;
        if let Some(beside) = &mut self.beside {
            beside.proxy = None;
        }
    }

    /// Tells whether it was agreed with the client to speak HTTP/2.
    #[must_use]
    pub fn is_http2(&self) -> bool {
        matches!(&self.io, Io::Tls(tls) if tls.is_http2())
    }

    /// Tells whether it came by TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        match &self.io {
            Io::Tls(_) => true,
            Io::Stream(stream) => stream.is_secure(),
            Io::Plain(_) | Io::Elsewhere => false,
        }
    }

    /// Returns the connection, and what was read from it and not used.
    #[must_use]
    pub fn into_parts(mut self) -> (Io, Bytes) {
        let ahead = self.take_ahead();
        (self.io, ahead)
    }

    /// Begins a response on a stream of HTTP/2; what is written then is its body. `omits_body` says that there is none,
    /// whatever the response has.
    pub fn respond(&self, response: &Response, omits_body: bool) {
        if let Io::Stream(stream) = &self.io {
            let (head, length) = write_head(response);
            stream.respond(head, if omits_body { Some(0) } else { length });
        }
    }

    /// Says that all was written, where that is not said by the connection's end.
    pub fn end(&self) {
        if let Io::Stream(stream) = &self.io {
            stream.end();
        }
    }

    /// Begins to speak TLS, of which something may have arrived; true if the client came back with a ticket.
    ///
    /// # Errors
    /// The client is gone, or what it says is not acceptable; that is a `rustls::Error`.
    pub async fn secure(&mut self, connection: ServerConnection) -> io::Result<bool> {
        let Io::Plain(carrier) = mem::replace(&mut self.io, Io::Elsewhere) else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let arrived = self.take_ahead();
        let tls = Tls::accept(carrier, connection, &arrived).await?;
        let is_resumed = tls.is_resumed();
        self.io = Io::Tls(tls);
        Ok(is_resumed)
    }

    /// Takes notice that a proxy is at the other end, which is trusted to name the client of each request.
    pub fn begin_proxied(&mut self) {
        self.beside().proxy = Some(self.peer);
    }

    /// Tells whether it is.
    #[must_use]
    pub fn is_proxied(&self) -> bool {
        self.proxy().is_some()
    }

    /// Returns the client that it has named for this request.
    #[must_use]
    pub fn client(&self) -> Option<IpAddr> {
        match self.peer {
            Peer::Behind(client) => Some(client),
            Peer::Inet(..) | Peer::Unix(_) => None,
        }
    }

    /// Takes notice of the client that the proxy names for the next request. If it names none, the proxy
    /// counts as the client.
    pub fn set_client(&mut self, client: Option<IpAddr>) {
        if let Some(proxy) = self.proxy() {
            self.peer = client.map_or(proxy, Peer::Behind);
        }
    }

    /// Has the request watched that is served next, to its end.
    pub fn watch(&mut self, witness: Box<dyn Witness>) {
        self.beside().witness = Some(witness);
    }

    /// Says that the request is over.
    pub fn unwatch(&mut self) {
        if let Some(beside) = &mut self.beside {
            beside.witness = None;
        }
    }

    /// Says that a response begins.
    pub fn note_response(&self, status: u16) {
        if let Some(witness) = self.witness() {
            witness.responds(status);
        }
    }

    fn note_sent(&self, bytes: usize) {
        if let Some(witness) = self.witness() {
            witness.sends(bytes);
        }
    }

    fn witness(&self) -> Option<&dyn Witness> {
        self.beside.as_ref()?.witness.as_deref()
    }

    fn proxy(&self) -> Option<Peer> {
        self.beside.as_ref()?.proxy
    }

    fn beside(&mut self) -> &mut Beside {
        self.beside.get_or_insert_default()
    }

    /// Notes that work was done for what came by it.
    pub fn note_work(&self, work: usize) {
        // Nobody adds to it at the same time: it is atomic so that it may be shared.
        let work = u32::try_from(work).unwrap_or(u32::MAX);
        let all = self.work.load(Relaxed).saturating_add(work);
        self.work.store(all, Relaxed);
    }

    /// Returns how much was done since this was asked last.
    pub fn take_work(&mut self) -> usize {
        mem::take(self.work.get_mut()) as usize
    }

    /// Tells whether so much was done, and if so counts anew.
    pub fn has_worked(&mut self, enough: usize) -> bool {
        let work = self.work.get_mut();
        let has = *work as usize >= enough;
        if has {
            *work = 0;
        }
        has
    }

    /// Waits until the client has closed or reset the connection, at least for its own writing;
    /// what it sends ahead meanwhile is kept.
    pub fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.ahead.len() < MAX_AHEAD {
            if !ready!(self.poll_fill(context)) {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// Waits for bytes, and keeps them; false if the client closed or reset the connection.
    pub fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        let mut space = [MaybeUninit::uninit(); READ_SIZE];
        let mut buffer = ReadBuf::uninit(&mut space);
        let read = ready!(self.poll_read(&mut buffer, context));
        self.ahead.extend_from_slice(buffer.filled());
        self.is_reset |= read.is_err();
        Poll::Ready(read.is_ok() && !buffer.filled().is_empty())
    }

    /// Tells whether the client was found to have reset the connection: it reads no more.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        self.is_reset
    }

    /// Does the same, with room for so many bytes, within bounds.
    pub fn poll_fill_much(&mut self, missing: usize, context: &mut Context<'_>) -> Poll<bool> {
        self.ahead.reserve(missing.clamp(READ_SIZE, MAX_AHEAD));
        // Nothing is lost of a read that is begun anew with each poll.
        let read = pin!(self.io.read_buf(&mut self.ahead)).poll(context);
        read.map(|read| matches!(read, Ok(1..)))
    }

    /// Waits for bytes, which somebody else keeps; those that are ahead are not among them.
    ///
    /// # Errors
    /// The client has reset the connection.
    pub fn poll_read(
        &mut self,
        buffer: &mut ReadBuf<'_>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }

    /// Waits until the client has closed or reset the connection; what it sends is forgotten.
    pub fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while ready!(self.poll_fill(context)) {
            self.ahead = BytesMut::new();
        }
        Poll::Ready(())
    }

    /// Takes what was read and not used.
    pub fn take_ahead(&mut self) -> Bytes {
        mem::take(&mut self.ahead).freeze()
    }

    /// Gives back what is left of it.
    pub fn put_back(&mut self, ahead: Bytes) {
        // An empty buffer may still hold on to the memory that it is a part of.
        if !ahead.is_empty() {
            self.ahead = ahead.into();
        }
    }

    /// Returns what has arrived, to take from it what is whole.
    pub fn arrived_bytes(&mut self) -> &mut BytesMut {
        &mut self.ahead
    }

    /// Asks the kernel whether the client has closed or reset the connection, at least for its own
    /// writing; the runtime may not know yet.
    #[must_use]
    pub fn has_closed(&self) -> bool {
        self.io.has_closed()
    }

    /// Tells whether the client sent something ahead that is yet to be served.
    #[must_use]
    pub fn has_ahead(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Returns the bytes of memory that hold what was sent ahead.
    #[must_use]
    pub fn memory(&self) -> usize {
        sizes::block(self.ahead.capacity())
    }

    /// Writes as much as the kernel takes at once; nothing if it takes none.
    ///
    /// # Errors
    /// The client is gone.
    pub fn write_some(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.io.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Ok(written) => {
                self.note_sent(written);
                Ok(written)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes all bytes, with one call where the kernel takes them at once.
    ///
    /// # Errors
    /// Those of [`write_rest`](Self::write_rest).
    pub async fn write(&mut self, bytes: &[u8], patience: Patience) -> Result<(), NotWritten> {
        let written = self.write_some(bytes).map_err(|error| NotWritten {
            written: 0,
            why: Why::Failed(error),
        })?;
        if written == bytes.len() {
            return Ok(());
        }
        Box::pin(self.write_rest(bytes, written, patience, |_| Poll::Pending)).await
    }

    /// Waits until the kernel has taken all of what it did not take at once, of which `written` bytes
    /// were taken.
    ///
    /// # Errors
    /// The client is gone, is slower than it may be, or meanwhile there was no use in it any more.
    pub async fn write_rest(
        &mut self,
        bytes: &[u8],
        mut written: usize,
        patience: Patience,
        mut poll_useless: impl FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> Result<(), NotWritten> {
        let now = || Instant::now().into_std();
        let mut progress = Progress::new(now());
        let mut late = pin!(tokio::time::sleep_until(progress.due(patience).0.into()));
        let failed = poll_fn(|context| {
            while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
                // By HTTP/2 the client may have what was under way, and have said so by what makes the rest useless: who
                // asks for that before the write hears of all that had left by then.
                let is_useless = poll_useless(context).is_ready();
                let write = Pin::new(&mut self.io).poll_write(context, rest);
                if let Poll::Ready(Ok(more)) = write {
                    written += more;
                    self.note_sent(more);
                    progress.advance(more, now());
                    if written == bytes.len() {
                        break;
                    }
                }
                if is_useless {
                    return Poll::Ready(Some(Why::Useless));
                }
                match write {
                    Poll::Ready(Ok(0)) => {
                        let error = io::ErrorKind::WriteZero.into();
                        return Poll::Ready(Some(Why::Failed(error)));
                    }
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Some(Why::Failed(error))),
                    Poll::Pending => {
                        let (due, slowness) = progress.due(patience);
                        if late.deadline() != due.into() {
                            late.as_mut().reset(due.into());
                        }
                        ready!(late.as_mut().poll(context));
                        if !was_paused(due, now()) {
                            return Poll::Ready(Some(Why::Slow(slowness)));
                        }
                        // What it has read meanwhile is not known yet.
                        progress = Progress::new(now());
                    }
                }
            }
            Poll::Ready(None)
        })
        .await;
        match failed {
            None => Ok(()),
            Some(why) => Err(NotWritten { written, why }),
        }
    }

    /// Closes the connection so that the client can read the last response even if it is still
    /// sending: closing at once would reset it (RFC 9112 section 9.6).
    pub async fn linger(&mut self) {
        let drain = async {
            self.io.shutdown().await?;
            let mut left = MAX_LINGER;
            let mut buffer = [0; 1024];
            while left > 0 {
                match self.io.read(&mut buffer).await? {
                    0 => break,
                    read => left = left.saturating_sub(read),
                }
            }
            Ok(())
        };
        let drained: Result<io::Result<()>, _> = tokio::time::timeout(LINGER_TIMEOUT, drain).await;
        if let Ok(Err(error)) = drained {
            tracing::trace!(%error, "the client did not wait for the connection's end");
        }
    }
}
