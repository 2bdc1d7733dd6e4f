//! TLS over what carries a connection: what it reads is decrypted, and what it writes is encrypted a record at a
//! time, so that what counts as written is with the kernel.
//!
//! Nothing is kept of a connection that is idle but rustls's own state, which has a buffer of 4 KiB.

use std::future::poll_fn;
use std::io::{self, IoSlice, Read, Write};
use std::mem;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::rustls::{HandshakeKind, ServerConnection};

use super::carrier::Carrier;

/// How much is encrypted at once: the largest record.
const RECORD: usize = 16 * 1024;
/// How much for a client that did not take the last one whole: of a record nothing counts as written until all of
/// it is, and the client can read nothing either.
const SLOW_RECORD: usize = 4 * 1024;

/// What ALPN calls HTTP/2 (RFC 9113 section 3.2).
pub const HTTP2: &[u8] = b"h2";

/// A connection by TLS, whose handshake is done.
#[derive(Debug)]
pub struct Tls {
    carrier: Carrier,
    /// Nobody uses it at the same time: it is locked so that it may be shared.
    session: Mutex<Session>,
}

#[derive(Debug)]
struct Session {
    connection: ServerConnection,
    /// How many of the bytes that are yet to be written are encrypted already.
    encrypted: usize,
    /// The client did not take the last record at once.
    is_slow: bool,
    is_closed: bool,
}

impl Tls {
    /// Shakes hands with a client of whose first bytes these have arrived.
    ///
    /// # Errors
    /// The client is gone, or what it says is not acceptable; that is a `rustls::Error`.
    pub async fn accept(
        carrier: Carrier,
        connection: ServerConnection,
        mut arrived: &[u8],
    ) -> io::Result<Box<Self>> {
        let session = Session {
            connection,
            encrypted: 0,
            is_slow: false,
            is_closed: false,
        };
        let mut tls = Box::new(Self {
            carrier,
            session: Mutex::new(session),
        });
        let (session, carrier) = tls.parts();
        while !arrived.is_empty() {
            session.receive(&mut arrived, carrier)?;
        }
        poll_fn(|context| tls.poll_handshake(context)).await?;
        Ok(tls)
    }

    /// Tells whether the client came back with a ticket.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.lock().connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Tells whether it was agreed to speak HTTP/2.
    #[must_use]
    pub fn is_http2(&self) -> bool {
        self.lock().connection.alpn_protocol() == Some(HTTP2)
    }

    fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (session, carrier) = self.parts();
        loop {
            ready!(session.poll_flush(carrier, context))?;
            if !session.connection.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            ready!(carrier.poll_read_ready(context))?;
            match session.receive(&mut Heard(carrier), carrier) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Writes what the kernel takes at once.
    ///
    /// # Errors
    /// `WouldBlock` if it takes nothing, or the client is gone.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().write(bytes, &self.carrier)
    }

    /// Asks the kernel whether the client has closed or reset the connection, at least for its own
    /// writing, and all that it sent before has been read.
    #[must_use]
    pub fn has_closed(&self) -> bool {
        let mut session = self.lock();
        loop {
            // What tells it may be encrypted, so all there is has to be read.
            match session.connection.process_new_packets() {
                Ok(state) if state.plaintext_bytes_to_read() > 0 => return false,
                Ok(state) if state.peer_has_closed() => return true,
                Ok(_) => {}
                Err(_) => return true,
            }
            match session.receive(&mut Now(&self.carrier), &self.carrier) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
            }
        }
    }

    fn parts(&mut self) -> (&mut Session, &Carrier) {
        let session = self.session.get_mut();
        (
            session.unwrap_or_else(PoisonError::into_inner),
            &self.carrier,
        )
    }

    /// After a panic elsewhere it is as whole as the connection.
    fn lock(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Takes what has come; how many bytes that were.
    fn receive(&mut self, from: &mut dyn Read, carrier: &Carrier) -> io::Result<usize> {
        let read = self.connection.read_tls(from)?;
        let processed = self.connection.process_new_packets();
        // What has to be said to that, such as why the connection ends. What the kernel does not take goes with
        // what is written next.
        let _ = self.flush(carrier);
        match processed {
            Ok(_) => Ok(read),
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }

    /// Writes what is encrypted.
    fn flush(&mut self, carrier: &Carrier) -> io::Result<()> {
        while self.connection.wants_write() {
            if self.connection.write_tls(&mut Taken(carrier))? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    fn poll_flush(&mut self, carrier: &Carrier, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.flush(carrier) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(carrier.poll_write_ready(context))?;
                }
                result => return Poll::Ready(result),
            }
        }
    }

    /// Writes as many of the bytes as the kernel takes, the first of which may be encrypted already.
    fn write(&mut self, bytes: &[u8], carrier: &Carrier) -> io::Result<usize> {
        if bytes.len() < self.encrypted {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut written = 0;
        loop {
            match self.flush(carrier) {
                Ok(()) => written += mem::take(&mut self.encrypted),
                Err(error) => {
                    self.is_slow = true;
                    // Another error comes again with the next write.
                    return if written > 0 { Ok(written) } else { Err(error) };
                }
            }
            let rest = &bytes[written..];
            if rest.is_empty() {
                self.is_slow = false;
                return Ok(written);
            }
            let size = if self.is_slow { SLOW_RECORD } else { RECORD };
            let record = &rest[..rest.len().min(size)];
            self.encrypted = self.connection.writer().write(record)?;
            if self.encrypted == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
    }

    /// Says that nothing more will be written, once.
    fn close(&mut self) {
        if !mem::replace(&mut self.is_closed, true) {
            self.connection.send_close_notify();
        }
    }
}

impl AsyncRead for Tls {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (session, carrier) = self.get_mut().parts();
        loop {
            let unfilled = buffer.initialize_unfilled();
            match session.connection.reader().read(unfilled) {
                Ok(read) => {
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The client has closed without saying so by TLS. HTTP and WebSocket have ends of their own.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Poll::Ready(Ok(()));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
            ready!(carrier.poll_read_ready(context))?;
            match session.receive(&mut Heard(carrier), carrier) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Tls {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let (session, carrier) = self.get_mut().parts();
        loop {
            match session.write(bytes, carrier) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(carrier.poll_write_ready(context))?;
                }
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (session, carrier) = self.get_mut().parts();
        session.poll_flush(carrier, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tls = self.get_mut();
        let (session, carrier) = tls.parts();
        session.close();
        ready!(session.poll_flush(carrier, context))?;
        Pin::new(&mut tls.carrier).poll_shutdown(context)
    }
}

impl Drop for Tls {
    /// Says that this is the end, unless it is in the middle of something.
    fn drop(&mut self) {
        let (session, carrier) = self.parts();
        if !session.connection.wants_write() {
            session.close();
            // Whether the client hears it is its own affair: nothing waits for it.
            let _ = session.flush(carrier);
        }
    }
}

/// What has come, as far as the runtime has heard of it.
struct Heard<'c>(&'c Carrier);

impl Read for Heard<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

/// What has come.
struct Now<'c>(&'c Carrier);

impl Read for Now<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_now(buffer)
    }
}

/// What the kernel takes.
struct Taken<'c>(&'c Carrier);

impl Write for Taken<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
