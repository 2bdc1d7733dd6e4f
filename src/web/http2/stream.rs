//! One stream of a connection by HTTP/2, as what a request and its response come by.
//!
//! Its end is its client's: a stream that is reset is a connection that is reset. What it is given to write counts as
//! written when the kernel has it, as on a connection of its own; `h2` holds one piece at most.

use std::io;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::Response;
use tokio::io::ReadBuf;

use super::receipts::{Receipts, Taken};

/// How much is given to `h2` at once: the largest frame that every client takes.
pub(super) const MAX_PIECE: usize = 16 * 1024;

/// What comes by a stream once its request is served.
#[derive(Debug)]
pub enum Beginning {
    /// Nothing: the body has been read.
    Whole,
    /// The body, which is read as it comes: as chunks (RFC 9112 section 7.1), because its end is not the client's.
    Body(RecvStream),
    /// What the client sends by a tunnel (RFC 8441): its end is the client's.
    Tunnel(RecvStream),
}

/// One stream.
#[derive(Debug)]
pub struct Stream {
    id: u32,
    is_secure: bool,
    receipts: Arc<Receipts>,
    taken: Arc<Taken>,
    /// Nobody uses it at the same time: it is locked so that it may be shared.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    out: Out,
    incoming: Option<Box<Incoming>>,
    /// All bytes that were given to `h2`, and those of them that are not known to be taken yet.
    sent: usize,
    under_way: usize,
    /// What is to come of a body whose length is said.
    left: Option<usize>,
    has_ended: bool,
    /// The task that was told of nothing new last.
    waker: Option<Waker>,
}

#[derive(Debug)]
enum Out {
    /// The response is to come.
    Head(SendResponse<Bytes>),
    /// Its body is.
    Body(SendStream<Bytes>),
}

impl Stream {
    /// Makes one of a request whose response is to come, on a connection that is by TLS or not.
    #[must_use]
    pub fn new(
        respond: SendResponse<Bytes>,
        beginning: Beginning,
        receipts: &Arc<Receipts>,
        is_secure: bool,
    ) -> Box<Self> {
        let id = respond.stream_id().as_u32();
        let incoming = match beginning {
            Beginning::Whole => None,
            Beginning::Body(body) => Some(Incoming::new(body, true)),
            Beginning::Tunnel(body) => Some(Incoming::new(body, false)),
        };
        Box::new(Self {
            id,
            is_secure,
            taken: receipts.begin(id),
            receipts: Arc::clone(receipts),
            state: Mutex::new(State {
                out: Out::Head(respond),
                incoming: incoming.map(Box::new),
                sent: 0,
                under_way: 0,
                left: None,
                has_ended: false,
                waker: None,
            }),
        })
    }

    /// Tells whether its connection is by TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Begins the response, whose body has so many bytes, if that is known. If the client is gone it is heard
    /// when the body is written, or waited for.
    pub fn respond(&self, head: Response<()>, length: Option<usize>) {
        let mut state = self.lock();
        let Out::Head(respond) = &mut state.out else {
            return;
        };
        let ends = length == Some(0);
        if let Ok(body) = respond.send_response(head, ends) {
            state.out = Out::Body(body);
            state.left = length;
            state.has_ended = ends;
        }
    }

    /// Ends the response, if it has begun and not ended yet.
    pub fn end(&self) {
        let mut state = self.lock();
        if state.has_ended {
            return;
        }
        if let Out::Body(body) = &mut state.out {
            // An error says that the client is gone.
            let _ = body.send_data(Bytes::new(), true);
            state.has_ended = true;
        }
    }

    /// Tells whether the client has reset the stream or closed the connection, as far as that is heard.
    #[must_use]
    pub fn has_closed(&self) -> bool {
        let mut state = self.lock();
        // The task that waits for it is not to be forgotten.
        let waker = state.waker.clone();
        let waker = waker.as_ref().unwrap_or(Waker::noop());
        self.receipts.are_over() || state.poll_reset(&mut Context::from_waker(waker)).is_ready()
    }

    /// Reads what the client sends behind its head, if anything.
    ///
    /// # Errors
    /// The client has reset the stream, or is gone.
    pub fn poll_read(
        &mut self,
        buffer: &mut ReadBuf<'_>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let state = self.state.get_mut();
        let state = state.unwrap_or_else(PoisonError::into_inner);
        if !matches!(&state.waker, Some(waker) if waker.will_wake(context.waker())) {
            state.waker = Some(context.waker().clone());
        }
        if self.receipts.are_over() || state.poll_reset(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if let Some(incoming) = &mut state.incoming
            && !incoming.is_over()
        {
            return incoming.poll_read(buffer, context);
        }
        let is_closed = state.has_ended || state.incoming.as_ref().is_some_and(|it| !it.is_body);
        if is_closed {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    /// Writes bytes of the body, and waits until the kernel has them. Who was told to wait goes on with the same
    /// bytes, or closes.
    ///
    /// # Errors
    /// The client has reset the stream, or is gone.
    pub fn poll_write(
        &mut self,
        bytes: &[u8],
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let gone = || io::Error::from(io::ErrorKind::ConnectionReset);
        let state = self.state.get_mut();
        let state = state.unwrap_or_else(PoisonError::into_inner);
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        // Before anything is looked at that it is woken for.
        self.taken.register(context.waker());
        if state.under_way == 0 {
            ready!(state.poll_send(bytes, context)).ok_or_else(gone)?;
        }
        if self.taken.bytes() >= state.sent {
            return Poll::Ready(Ok(mem::take(&mut state.under_way)));
        }
        if self.receipts.are_over() || state.poll_reset(context).is_ready() {
            return Poll::Ready(Err(gone()));
        }
        Poll::Pending
    }

    /// After a panic elsewhere it is as whole as the connection.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Waits until the stream is reset, or the connection lost.
    fn poll_reset(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let reset = match &mut self.out {
            Out::Head(respond) => respond.poll_reset(context),
            Out::Body(body) => body.poll_reset(context),
        };
        reset.map(|_| ())
    }

    /// Gives a piece to `h2`, once its client has room for one; nothing if it is gone.
    fn poll_send(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Poll<Option<()>> {
        let Out::Body(body) = &mut self.out else {
            return Poll::Ready(None);
        };
        let wanted = bytes.len().min(MAX_PIECE);
        body.reserve_capacity(wanted);
        while body.capacity() == 0 {
            let Some(Ok(_)) = ready!(body.poll_capacity(context)) else {
                return Poll::Ready(None);
            };
        }
        let size = body.capacity().min(wanted);
        let left = self.left.map(|left| left.saturating_sub(size));
        let ends = left == Some(0);
        let piece = Bytes::copy_from_slice(&bytes[..size]);
        if body.send_data(piece, ends).is_err() {
            return Poll::Ready(None);
        }
        self.left = left;
        self.has_ended |= ends;
        self.sent += size;
        self.under_way = size;
        Poll::Ready(Some(()))
    }
}

impl Drop for Stream {
    /// Takes back what has not left.
    fn drop(&mut self) {
        self.receipts.end(self.id);
        let state = self.state.get_mut();
        let state = state.unwrap_or_else(PoisonError::into_inner);
        if let Out::Body(body) = &mut state.out
            && (state.under_way > 0 || !state.has_ended)
        {
            body.send_reset(Reason::CANCEL);
        }
    }
}

/// What the client sends behind its head.
#[derive(Debug)]
struct Incoming {
    from: Option<RecvStream>,
    piece: Bytes,
    /// It is a body, and no tunnel.
    is_body: bool,
}

impl Incoming {
    fn new(from: RecvStream, is_body: bool) -> Self {
        Self {
            from: Some(from),
            piece: Bytes::new(),
            is_body,
        }
    }

    /// Tells whether all of it was read.
    fn is_over(&self) -> bool {
        self.from.is_none() && self.piece.is_empty()
    }

    fn poll_read(
        &mut self,
        buffer: &mut ReadBuf<'_>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.piece.is_empty()
            && let Some(from) = &mut self.from
        {
            match ready!(from.poll_data(context)) {
                Some(Ok(piece)) => {
                    // The client may send as much again.
                    let released = from.flow_control().release_capacity(piece.len());
                    released.map_err(io::Error::other)?;
                    self.piece = if self.is_body { chunk(&piece) } else { piece };
                }
                Some(Err(_)) => {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                None => {
                    self.from = None;
                    if self.is_body {
                        self.piece = Bytes::from_static(b"0\r\n\r\n");
                    }
                }
            }
        }
        let size = self.piece.len().min(buffer.remaining());
        buffer.put_slice(&self.piece[..size]);
        self.piece.advance(size);
        Poll::Ready(Ok(()))
    }
}

fn chunk(piece: &[u8]) -> Bytes {
    let mut chunk = Vec::new();
    crate::web::Response::chunk(piece, &mut chunk);
    chunk.into()
}
