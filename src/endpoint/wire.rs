//! A socket under hyper: what was read before comes first, none of hyper's own responses pass, and
//! what a request began with can be had again.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::StatusCode;
use httparse::Status;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use crate::web::transfer::Malformed;
use crate::web::{Socket, Transfer};

/// How much is read at once of a head that is not whole.
const READ_SIZE: usize = 2048;

/// What is known of the request.
#[derive(Debug, Default)]
pub(super) struct Progress(AtomicU8);

const HEAD: u8 = 0;
const BODY: u8 = 1;
const OPEN_BODY: u8 = 2;

impl Progress {
    /// The head is known, and hyper reads on.
    pub(super) fn reads_body(&self) {
        self.0.store(BODY, Relaxed);
    }

    /// The head is known, and hyper reads no more.
    pub(super) fn leaves_body(&self) {
        self.0.store(OPEN_BODY, Relaxed);
    }

    pub(super) fn has_head(&self) -> bool {
        self.0.load(Relaxed) != HEAD
    }
}

/// A socket under hyper.
pub(super) struct Wire<'p> {
    ahead: Bytes,
    stream: TokioIo<TcpStream>,
    pub(super) refused: Option<StatusCode>,
    progress: &'p Progress,
    /// What the request began with: what was ahead, and copies of what was read since. hyper decodes
    /// some of a body before it can be told not to. Nothing once the body is left to it.
    begun: Bytes,
    since: BytesMut,
}

impl<'p> Wire<'p> {
    pub(super) fn new(socket: Socket, progress: &'p Progress) -> Self {
        let (stream, ahead) = socket.into_parts();
        Self {
            begun: ahead.clone(),
            since: BytesMut::new(),
            ahead,
            stream: TokioIo::new(stream),
            refused: None,
            progress,
        }
    }

    /// Gives the socket back; hyper had read `unused` last, before what it has not read yet.
    pub(super) fn into_socket(self, unused: Bytes) -> Socket {
        // What nobody else holds is not copied.
        drop(self.begun);
        let ahead = match (unused.is_empty(), self.ahead.is_empty()) {
            (_, true) => unused,
            (true, false) => self.ahead,
            (false, false) => [unused, self.ahead].concat().into(),
        };
        Socket::new(self.stream.into_inner(), ahead)
    }

    /// Gives the socket back as it was behind the request's head, and how the body comes.
    pub(super) fn into_open(self, max_headers: usize) -> (Socket, Result<Transfer, Malformed>) {
        let mut begun = if self.since.is_empty() {
            self.begun
        } else {
            [self.begun, self.since.freeze()].concat().into()
        };
        drop(self.ahead);
        let mut headers = vec![httparse::EMPTY_HEADER; max_headers];
        let mut request = httparse::Request::new(&mut headers);
        // It is the parser that hyper has, which found the end.
        let (length, transfer) = match request.parse(&begun) {
            Ok(Status::Complete(length)) => (length, Transfer::of(request.headers)),
            Ok(Status::Partial) | Err(_) => (0, Err(Malformed::HEAD)),
        };
        begun.advance(length);
        (Socket::new(self.stream.into_inner(), begun), transfer)
    }

    /// Reads more of a head, and keeps a copy.
    fn poll_head(
        &mut self,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut space = [MaybeUninit::uninit(); READ_SIZE];
        let size = buffer.remaining().min(READ_SIZE);
        let mut copy = ReadBuf::uninit(&mut space[..size]);
        let stream = Pin::new(self.stream.inner_mut());
        ready!(stream.poll_read(context, &mut copy))?;
        self.since.extend_from_slice(copy.filled());
        buffer.put_slice(copy.filled());
        Poll::Ready(Ok(()))
    }
}

impl Read for Wire<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.progress.0.load(Relaxed) {
            // Nobody waits for it: the request has been taken.
            OPEN_BODY => return Poll::Pending,
            BODY => {
                self.begun = Bytes::new();
                self.since = BytesMut::new();
            }
            _ => {}
        }
        if self.ahead.is_empty() {
            if self.progress.has_head() {
                return Pin::new(&mut self.stream).poll_read(context, buffer);
            }
            return self.poll_head(context, buffer);
        }
        let size = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(&self.ahead[..size]);
        self.ahead.advance(size);
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let status = bytes
            .strip_prefix(b"HTTP/1.")
            .and_then(|rest| StatusCode::from_bytes(rest.get(2..5)?).ok());
        if status.is_some_and(|status| !status.is_informational()) {
            self.refused = status;
        }
        if self.refused.is_some() {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
