//! Messages out of the frames of the other side (RFC 6455 sections 5 to 8).

use std::io::Cursor;

use bytes::{Bytes, BytesMut};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use super::deflate::{self, InflateError};
use super::frame::{MAX_CONTROL, apply_mask};
use crate::memory::sizes;

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A text message, in UTF-8.
    Text(Bytes),
    /// A binary message.
    Binary(Bytes),
    /// A ping, to be answered with the same bytes.
    Ping(Bytes),
    /// A pong.
    Pong,
    /// The other side closes, with a code unless it gave none.
    Close(Option<CloseCode>),
}

/// Why a connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Failure {
    /// The code to close with.
    pub code: CloseCode,
    /// What to tell the other side.
    pub reason: &'static str,
}

impl Failure {
    const UTF8: Self = Self {
        code: CloseCode::Invalid,
        reason: "the text is not UTF-8",
    };
    const SIZE: Self = Self {
        code: CloseCode::Size,
        reason: "the message is larger than bayeux.max_message_size",
    };

    const fn protocol(reason: &'static str) -> Self {
        Self {
            code: CloseCode::Protocol,
            reason,
        }
    }
}

/// Which side reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// A server: what it reads is masked.
    Server,
    /// A client: what it reads is not.
    Client,
}

/// Reads messages up to a size.
#[derive(Debug)]
pub struct Reader {
    side: Side,
    may_be_deflated: bool,
    /// In a word as small as it may be: there is one for every WebSocket.
    max_size: u32,
    /// A message whose last frame is yet to come.
    partial: Option<Box<Partial>>,
}

#[derive(Debug)]
struct Partial {
    is_text: bool,
    is_deflated: bool,
    payload: BytesMut,
    /// So much of the payload is UTF-8.
    checked: usize,
}

impl Reader {
    /// Makes a reader of messages of at most so many bytes, deflated or not.
    #[must_use]
    pub fn new(side: Side, may_be_deflated: bool, max_size: usize) -> Self {
        Self {
            side,
            may_be_deflated,
            max_size: u32::try_from(max_size).unwrap_or(u32::MAX),
            partial: None,
        }
    }

    /// Tells whether the frames of a message have come in part.
    #[must_use]
    pub fn is_within_message(&self) -> bool {
        self.partial.is_some()
    }

    /// Returns the bytes of memory that hold frames of a message that has come in part.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| {
            sizes::block(size_of::<Partial>()) + sizes::block(partial.payload.capacity())
        })
    }

    /// Takes what comes next out of the bytes that have arrived; nothing if more are needed.
    ///
    /// # Errors
    /// The other side broke the protocol, or a bound; the connection has to be closed.
    pub fn next(&mut self, arrived: &mut BytesMut) -> Result<Option<Incoming>, Failure> {
        while let Some((header, payload)) = self.frame(arrived)? {
            let incoming = match header.opcode {
                OpCode::Control(control) => Some(Self::control(control, payload)?),
                OpCode::Data(data) => self.data(data, &header, payload)?,
            };
            if incoming.is_some() {
                return Ok(incoming);
            }
        }
        Ok(None)
    }

    /// Takes one whole frame, its mask taken away.
    fn frame(&self, arrived: &mut BytesMut) -> Result<Option<(FrameHeader, BytesMut)>, Failure> {
        let mut cursor = Cursor::new(&arrived[..]);
        let Some((header, length)) = FrameHeader::parse(&mut cursor)
            .map_err(|_| Failure::protocol("a frame has an unknown opcode"))?
        else {
            return Ok(None);
        };
        let head = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
        let length = self.checked_length(&header, length)?;
        if arrived.len() < head + length {
            arrived.reserve(head + length - arrived.len());
            return Ok(None);
        }
        let mut frame = arrived.split_to(head + length);
        let mut payload = frame.split_off(head);
        if let Some(mask) = header.mask {
            apply_mask(&mut payload, mask);
        }
        Ok(Some((header, payload)))
    }

    /// Checks a frame as far as its header tells, before its payload is waited for.
    fn checked_length(&self, header: &FrameHeader, length: u64) -> Result<usize, Failure> {
        if header.mask.is_some() != (self.side == Side::Server) {
            return Err(Failure::protocol(
                "a client masks its frames, and a server does not",
            ));
        }
        let begins = matches!(header.opcode, OpCode::Data(Data::Text | Data::Binary));
        let may_have_rsv1 = self.may_be_deflated && begins;
        if header.rsv2 || header.rsv3 || header.rsv1 && !may_have_rsv1 {
            return Err(Failure::protocol("a reserved bit is set"));
        }
        if let OpCode::Control(_) = header.opcode {
            if !header.is_final {
                return Err(Failure::protocol("a control frame is fragmented"));
            }
            if length > MAX_CONTROL as u64 {
                return Err(Failure::protocol("a control frame is too long"));
            }
            // It is no part of the message that it comes within.
            return usize::try_from(length).map_err(|_| Failure::SIZE);
        }
        let before = self
            .partial
            .as_ref()
            .map_or(0, |partial| partial.payload.len());
        usize::try_from(length)
            .ok()
            .filter(|length| before.saturating_add(*length) <= self.max_size as usize)
            .ok_or(Failure::SIZE)
    }

    fn control(control: Control, payload: BytesMut) -> Result<Incoming, Failure> {
        match control {
            Control::Ping => Ok(Incoming::Ping(payload.freeze())),
            Control::Close => Self::close(&payload),
            // The parser lets no other through.
            Control::Pong | Control::Reserved(_) => Ok(Incoming::Pong),
        }
    }

    fn close(payload: &[u8]) -> Result<Incoming, Failure> {
        let Some((code, reason)) = payload.split_first_chunk::<2>() else {
            return if payload.is_empty() {
                Ok(Incoming::Close(None))
            } else {
                Err(Failure::protocol("a close code has two bytes"))
            };
        };
        let code = CloseCode::from(u16::from_be_bytes(*code));
        if !code.is_allowed() {
            return Err(Failure::protocol("that close code is not for use"));
        }
        match std::str::from_utf8(reason) {
            Ok(_) => Ok(Incoming::Close(Some(code))),
            Err(_) => Err(Failure::UTF8),
        }
    }

    fn data(
        &mut self,
        data: Data,
        header: &FrameHeader,
        payload: BytesMut,
    ) -> Result<Option<Incoming>, Failure> {
        let mut partial = match (data, self.partial.take()) {
            (Data::Continue, None) => {
                return Err(Failure::protocol("there is no message to continue"));
            }
            (Data::Continue, Some(mut partial)) => {
                partial.payload.extend_from_slice(&payload);
                partial
            }
            (_, Some(_)) => return Err(Failure::protocol("a message begins within another")),
            (_, None) if header.is_final => {
                let is_text = data == Data::Text;
                return self.finish(is_text, header.rsv1, payload).map(Some);
            }
            (_, None) => Box::new(Partial {
                is_text: data == Data::Text,
                is_deflated: header.rsv1,
                payload,
                checked: 0,
            }),
        };
        if header.is_final {
            let Partial {
                is_text,
                is_deflated,
                payload,
                ..
            } = *partial;
            return self.finish(is_text, is_deflated, payload).map(Some);
        }
        partial.check()?;
        self.partial = Some(partial);
        Ok(None)
    }

    fn finish(
        &self,
        is_text: bool,
        is_deflated: bool,
        payload: BytesMut,
    ) -> Result<Incoming, Failure> {
        let payload = if is_deflated {
            let inflated = deflate::inflate(&payload, self.max_size as usize);
            Bytes::from(inflated.map_err(|error| match error {
                InflateError::TooLarge => Failure::SIZE,
                InflateError::Malformed => Failure {
                    code: CloseCode::Invalid,
                    reason: "the message cannot be inflated",
                },
            })?)
        } else {
            payload.freeze()
        };
        if !is_text {
            return Ok(Incoming::Binary(payload));
        }
        match std::str::from_utf8(&payload) {
            Ok(_) => Ok(Incoming::Text(payload)),
            Err(_) => Err(Failure::UTF8),
        }
    }
}

impl Partial {
    /// Fails as soon as what has come cannot become UTF-8 (section 8.1).
    fn check(&mut self) -> Result<(), Failure> {
        if !self.is_text || self.is_deflated {
            return Ok(());
        }
        match std::str::from_utf8(&self.payload[self.checked..]) {
            Ok(_) => self.checked = self.payload.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(Failure::UTF8),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
