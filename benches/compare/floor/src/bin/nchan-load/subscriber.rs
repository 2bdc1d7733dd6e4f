//! One subscriber: a request that waits, again and again, or a WebSocket.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;

use crate::http::Response;
use crate::nchan::{self, Message, malformed};

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
    is_websocket: bool,
    channel: String,
    arrived: Vec<u8>,
    is_upgraded: bool,
    lane: Lane,
    /// How many messages of its lane have come, or were left out.
    next: usize,
    pub(crate) flaws: Flaws,
}

/// Which messages a subscriber is to get: every `step`th, from `first` on.
#[derive(Clone, Copy)]
pub(crate) struct Lane {
    pub(crate) first: usize,
    pub(crate) step: usize,
}

impl Subscriber {
    /// Connects and sends the first request; nothing is read yet.
    pub(crate) fn open(
        address: SocketAddr,
        channel: &str,
        is_websocket: bool,
        lane: Lane,
    ) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut subscriber = Self {
            stream: TcpStream::from_std(stream),
            is_websocket,
            channel: channel.to_owned(),
            arrived: Vec::new(),
            is_upgraded: false,
            lane,
            next: 0,
            flaws: Flaws::default(),
        };
        subscriber.write(nchan::subscribe(channel, is_websocket).as_bytes())?;
        Ok(subscriber)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.stream.write(bytes)? == bytes.len() {
            Ok(())
        } else {
            Err(ErrorKind::WriteZero.into())
        }
    }

    /// Whether it will get what is published once the server knows it.
    pub(crate) fn is_ready(&self) -> bool {
        self.is_upgraded || !self.is_websocket
    }

    /// Reads what has come, and asks for more; tells how many messages were new, after `note` was
    /// called with the number of each.
    pub(crate) fn read(
        &mut self,
        mut note: impl FnMut(usize) -> io::Result<()>,
    ) -> io::Result<u64> {
        let mut buffer = [0; BUFFER];
        let mut fresh = 0;
        loop {
            let length = match self.stream.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(fresh),
                read => read?,
            };
            self.arrived.extend_from_slice(&buffer[..length]);
            while let Some(message) = self.take()? {
                note(message.number)?;
                fresh += u64::from(self.enter(message.number)?);
                if let Some(again) = message.again {
                    self.write(again.as_bytes())?;
                }
            }
            if length < BUFFER {
                return Ok(fresh);
            }
        }
    }

    /// Takes off one message, if it is there.
    fn take(&mut self) -> io::Result<Option<Message>> {
        if self.is_websocket && !self.is_upgraded && !self.take_upgrade()? {
            return Ok(None);
        }
        let message = if self.is_websocket {
            nchan::in_frame(&self.arrived)?
        } else {
            nchan::in_response(&self.arrived, &self.channel)?
        };
        if let Some(Message { length, .. }) = message {
            self.arrived.drain(..length);
        }
        Ok(message)
    }

    fn take_upgrade(&mut self) -> io::Result<bool> {
        let Some(response) = Response::first(&self.arrived) else {
            return Ok(false);
        };
        if response.status != 101 {
            return Err(malformed(&self.arrived));
        }
        let length = response.length;
        self.arrived.drain(..length);
        self.is_upgraded = true;
        Ok(true)
    }

    /// Tells whether a message is new. None that is late is still new: nothing comes out of order,
    /// or it counts as lost and as repeated.
    fn enter(&mut self, number: usize) -> io::Result<bool> {
        let Some(index) = self.lane.index(number) else {
            return Err(malformed(
                format!("message {number} of another channel").as_bytes(),
            ));
        };
        if index < self.next {
            self.flaws.repeated += 1;
            return Ok(false);
        }
        self.flaws.lost += (index - self.next) as u64;
        self.next = index + 1;
        Ok(true)
    }

    /// Counts what has not come of so many messages of the run.
    pub(crate) fn missing(&self, published: usize) -> u64 {
        self.lane.count(published).saturating_sub(self.next) as u64
    }
}

impl Lane {
    /// Where in the lane a message is, if it is one of the lane's.
    fn index(self, number: usize) -> Option<usize> {
        let after = number.checked_sub(self.first)?;
        after.is_multiple_of(self.step).then_some(after / self.step)
    }

    /// How many messages of the lane are among the run's first `published`.
    fn count(self, published: usize) -> usize {
        published.saturating_sub(self.first).div_ceil(self.step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_take_turns() {
        let lane = Lane { first: 3, step: 4 };
        let found: Vec<_> = (0..12).filter_map(|number| lane.index(number)).collect();
        assert_eq!(found, [0, 1, 2]);
        assert_eq!(
            [3, 4, 7, 8, 12].map(|published| lane.count(published)),
            [0, 1, 1, 2, 3]
        );
    }
}
