//! One subscriber of nchan: a request that waits, again and again, or a WebSocket.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use memchr::memchr;
use mio::net::TcpStream;

use crate::http::{Response, first_frame};

/// Room for a response; longer ones are not asked for.
const BUFFER: usize = 4096;

/// What was wrong with deliveries.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flaws {
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
}

/// A connection, and what has come by it.
pub(crate) struct Subscriber {
    pub(crate) stream: TcpStream,
    arrived: Vec<u8>,
    is_websocket: bool,
    is_upgraded: bool,
    target: String,
    next: usize,
    pub(crate) flaws: Flaws,
}

impl Subscriber {
    /// Connects and sends the first request; nothing is read yet.
    pub(crate) fn open(address: SocketAddr, channel: &str, is_websocket: bool) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut subscriber = Self {
            stream: TcpStream::from_std(stream),
            arrived: Vec::new(),
            is_websocket,
            is_upgraded: false,
            target: format!("GET /sub/{channel} HTTP/1.1\r\nHost: localhost\r\n"),
            next: 0,
            flaws: Flaws::default(),
        };
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        subscriber.ask(if is_websocket { upgrade } else { "" })?;
        Ok(subscriber)
    }

    fn ask(&mut self, headers: &str) -> io::Result<()> {
        let request = format!("{}{headers}\r\n", self.target);
        if self.stream.write(request.as_bytes())? == request.len() {
            Ok(())
        } else {
            Err(ErrorKind::WriteZero.into())
        }
    }

    /// Whether it will get what is published once the server knows it.
    pub(crate) fn is_ready(&self) -> bool {
        self.is_upgraded || !self.is_websocket
    }

    /// Reads what has come, asks for more; tells how many messages were new, after `note` was
    /// called for each.
    pub(crate) fn read(&mut self, mut note: impl FnMut()) -> io::Result<u64> {
        let mut buffer = [0; BUFFER];
        let mut fresh = 0;
        loop {
            let length = match self.stream.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(fresh),
                read => read?,
            };
            self.arrived.extend_from_slice(&buffer[..length]);
            while let Some(number) = self.take()? {
                note();
                fresh += u64::from(self.enter(number));
            }
            if length < BUFFER {
                return Ok(fresh);
            }
        }
    }

    /// Takes off one message, and returns its number.
    fn take(&mut self) -> io::Result<Option<usize>> {
        if self.is_upgraded {
            let Some((message, length)) = first_frame(&self.arrived) else {
                return Ok(None);
            };
            let number = number(message)?;
            self.arrived.drain(..length);
            return Ok(Some(number));
        }
        let Some(response) = Response::first(&self.arrived) else {
            return Ok(None);
        };
        let length = response.length;
        if response.status == 101 {
            self.is_upgraded = true;
            self.arrived.drain(..length);
            return self.take();
        }
        let (200, Some(since), Some(tag)) = (
            response.status,
            response.header("last-modified"),
            response.header("etag"),
        ) else {
            return Err(ErrorKind::InvalidData.into());
        };
        let place = format!("If-Modified-Since: {since}\r\nIf-None-Match: {tag}\r\n");
        let number = number(response.body)?;
        self.arrived.drain(..length);
        self.ask(&place)?;
        Ok(Some(number))
    }

    /// Tells whether a message is new. In lockstep none can be late and still be new.
    fn enter(&mut self, number: usize) -> bool {
        if number < self.next {
            self.flaws.repeated += 1;
            return false;
        }
        self.flaws.lost += (number - self.next) as u64;
        self.next = number + 1;
        true
    }

    /// Counts what has not come of so many messages.
    pub(crate) fn missing(&self, published: usize) -> u64 {
        published.saturating_sub(self.next) as u64
    }
}

/// The number in `{"bench":"run#17#xxx"}`.
fn number(message: &[u8]) -> io::Result<usize> {
    let digits = || {
        let (_, after) = message.split_at_checked(memchr(b'#', message)? + 1)?;
        let digits = &after[..memchr(b'#', after)?];
        std::str::from_utf8(digits).ok()?.parse().ok()
    };
    digits().ok_or_else(|| ErrorKind::InvalidData.into())
}
