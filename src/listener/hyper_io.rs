//! A socket under hyper: what was read before comes first, none of hyper's own responses pass, and all
//! that was read can be had again.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::StatusCode;
use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::ReadBuf;

use crate::web::Socket;

/// How much is read at once of a head that is not whole.
const READ_SIZE: usize = 2048;

/// A socket under hyper.
pub(super) struct HyperIo<'h> {
    ahead: Bytes,
    socket: Socket,
    /// The status that hyper would have answered.
    pub(super) refused: Option<StatusCode>,
    /// Whether hyper has the request's head; it then gets nothing more to read.
    has_head: &'h AtomicBool,
    /// All that was read: what was ahead, and copies of what came since. hyper decodes some of a body
    /// before it can be told not to.
    begun: Bytes,
    since: BytesMut,
}

impl<'h> HyperIo<'h> {
    pub(super) fn new(mut socket: Socket, has_head: &'h AtomicBool) -> Self {
        let ahead = socket.take_ahead();
        Self {
            begun: ahead.clone(),
            since: BytesMut::new(),
            ahead,
            socket,
            refused: None,
            has_head,
        }
    }

    /// Gives the socket back, with all that was read from it.
    pub(super) fn into_socket(mut self) -> Socket {
        // What nobody else holds is not copied.
        drop(self.ahead);
        let read = if self.since.is_empty() {
            self.begun
        } else {
            [self.begun, self.since.freeze()].concat().into()
        };
        self.socket.put_back(read);
        self.socket
    }
}

impl Read for HyperIo<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.has_head.load(Relaxed) {
            // Nobody waits for it: the request has been taken.
            return Poll::Pending;
        }
        if self.ahead.is_empty() {
            let mut space = [MaybeUninit::uninit(); READ_SIZE];
            let size = buffer.remaining().min(READ_SIZE);
            let mut copy = ReadBuf::uninit(&mut space[..size]);
            ready!(self.socket.poll_read(&mut copy, context))?;
            self.since.extend_from_slice(copy.filled());
            buffer.put_slice(copy.filled());
            return Poll::Ready(Ok(()));
        }
        let size = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(&self.ahead[..size]);
        self.ahead.advance(size);
        Poll::Ready(Ok(()))
    }
}

impl Write for HyperIo<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // It writes nothing but the refusal of a head.
        let status = bytes
            .strip_prefix(b"HTTP/1.")
            .and_then(|rest| StatusCode::from_bytes(rest.get(2..5)?).ok());
        self.refused = self.refused.or(status);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
