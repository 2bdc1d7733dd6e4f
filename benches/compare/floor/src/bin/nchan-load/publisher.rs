//! The publisher: one connection, and requests that may leave before the last is answered.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;

use crate::http::Response;
use crate::nchan::{self, malformed};

const BUFFER: usize = 4096;
/// Requests without an answer, at most, as with `mirant bench`.
const PIPELINE: usize = 64;

/// A connection that publishes.
pub(crate) struct Publisher {
    pub(crate) stream: TcpStream,
    arrived: Vec<u8>,
    unanswered: usize,
}

impl Publisher {
    /// Connects.
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: TcpStream::from_std(stream),
            arrived: Vec::new(),
            unanswered: 0,
        })
    }

    /// Whether another message may leave.
    pub(crate) fn is_free(&self) -> bool {
        self.unanswered < PIPELINE
    }

    /// Whether all that was published is acknowledged.
    pub(crate) fn is_done(&self) -> bool {
        self.unanswered == 0
    }

    /// Publishes a message.
    pub(crate) fn publish(&mut self, channel: &str, data: &str) -> io::Result<()> {
        self.unanswered += 1;
        self.write(&nchan::publish(channel, data))
    }

    /// Sends a request.
    pub(crate) fn write(&mut self, request: &str) -> io::Result<()> {
        if self.stream.write(request.as_bytes())? == request.len() {
            Ok(())
        } else {
            Err(ErrorKind::WriteZero.into())
        }
    }

    /// Reads what has come; answers to what was published are counted.
    pub(crate) fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; BUFFER];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.arrived.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        while self.unanswered > 0
            && let Some(is_published) = self.answer(nchan::is_published)
        {
            if !is_published {
                return Err(malformed(b"the answer to a publish"));
            }
            self.unanswered -= 1;
        }
        Ok(())
    }

    /// What is to be known of the first answer, which is taken off; nothing if none is there.
    pub(crate) fn answer<T>(&mut self, known: impl FnOnce(&Response<'_>) -> T) -> Option<T> {
        let response = Response::first(&self.arrived)?;
        let (known, length) = (known(&response), response.length);
        self.arrived.drain(..length);
        Some(known)
    }
}
