//! What carries a connection's bytes: TCP or a Unix socket, with TLS over it or without, or a stream of HTTP/2; or
//! that it is elsewhere.
//! The only place that knows which.
//!
//! What [`Socket`](super::Socket) asks of it:
//! - *Bytes are read* by `AsyncRead` alone, and never by the readiness of a file descriptor: decrypted
//!   bytes may wait where the kernel knows of none.
//! - *Bytes count as written* when the kernel has what became of them. Who was told of fewer than he gave
//!   goes on with the rest, or closes: of those bytes a record may be encrypted already, and be
//!   finished when the rest comes.
//! - *Whether the client has closed* is asked of the kernel.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::carrier::Carrier;
use super::http2::Stream;
use super::tls::Tls;

/// A connection.
#[derive(Debug)]
pub enum Io {
    /// As the kernel has it.
    Plain(Carrier),
    /// By TLS.
    Tls(Box<Tls>),
    /// One stream of a connection by HTTP/2: the body of a response is written to it.
    Stream(Box<Stream>),
    /// Another node of the cluster has it. Here nothing comes by it, it is never closed, and nothing can be
    /// written.
    Elsewhere,
}

impl Io {
    /// Writes what the kernel takes at once.
    ///
    /// # Errors
    /// `WouldBlock` if it takes nothing, or the client is gone.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(carrier) => carrier.try_write(bytes),
            Self::Tls(tls) => tls.try_write(bytes),
            // What is written leaves with what others write.
            Self::Stream(_) => Err(io::ErrorKind::WouldBlock.into()),
            Self::Elsewhere => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Asks the kernel whether the client has closed or reset the connection, at least for its own
    /// writing, and all that it sent before has been read.
    #[must_use]
    pub fn has_closed(&self) -> bool {
        match self {
            Self::Plain(carrier) => carrier.has_closed(),
            Self::Tls(tls) => tls.has_closed(),
            Self::Stream(stream) => stream.has_closed(),
            Self::Elsewhere => false,
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(carrier) => Pin::new(carrier).poll_read(context, buffer),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_read(context, buffer),
            Self::Stream(stream) => stream.poll_read(buffer, context),
            Self::Elsewhere => Poll::Pending,
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(carrier) => Pin::new(carrier).poll_write(context, bytes),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_write(context, bytes),
            Self::Stream(stream) => stream.poll_write(bytes, context),
            Self::Elsewhere => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(carrier) => Pin::new(carrier).poll_flush(context),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_flush(context),
            Self::Stream(_) | Self::Elsewhere => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(carrier) => Pin::new(carrier).poll_shutdown(context),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_shutdown(context),
            Self::Stream(stream) => {
                stream.end();
                Poll::Ready(Ok(()))
            }
            Self::Elsewhere => Poll::Ready(Ok(())),
        }
    }
}
