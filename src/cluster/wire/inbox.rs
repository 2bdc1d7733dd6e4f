//! What comes by a stream: first something whole, with its length before it, then single bytes that say something.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use hyper::body::{Body as _, Incoming};

use super::MAX_SIZE;

/// Bytes of a length.
const LENGTH: usize = 4;

/// The words that are said when the first thing is said: one byte each.
pub(super) mod word {
    /// By who has passed a request on: it is to be answered soon.
    pub(in super::super) const SOON: u8 = b's';
    /// By the same: the answer was written.
    pub(in super::super) const WRITTEN: u8 = b'w';
    /// By who has answered: there is no use any more in writing it.
    pub(in super::super) const USELESS: u8 = b'u';
}

/// What comes by a stream.
#[derive(Debug)]
pub(super) struct Inbox {
    body: Incoming,
    ahead: Bytes,
}

/// Puts the length before what is to be sent whole.
pub(super) fn framed(bytes: &[u8]) -> Bytes {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut out = BytesMut::with_capacity(LENGTH + bytes.len());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
    out.freeze()
}

impl Inbox {
    pub(super) fn new(body: Incoming) -> Self {
        Self {
            body,
            ahead: Bytes::new(),
        }
    }

    /// Reads the thing that is sent whole; nothing if it is too large, or breaks off.
    pub(super) async fn whole(&mut self) -> Option<Bytes> {
        let mut read = BytesMut::new();
        loop {
            if let Some((length, rest)) = read.split_first_chunk::<LENGTH>() {
                let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
                if length > MAX_SIZE {
                    return None;
                }
                if rest.len() >= length {
                    read.advance(LENGTH);
                    let whole = read.split_to(length).freeze();
                    self.ahead = read.freeze();
                    return Some(whole);
                }
            }
            let more = poll_fn(|context| self.poll_more(context)).await?;
            read.extend_from_slice(&more);
        }
    }

    /// Waits for the next word; nothing if there is none any more.
    pub(super) fn poll_word(&mut self, context: &mut Context<'_>) -> Poll<Option<u8>> {
        while self.ahead.is_empty() {
            match ready!(self.poll_more(context)) {
                Some(more) => self.ahead = more,
                None => return Poll::Ready(None),
            }
        }
        Poll::Ready(Some(self.ahead.get_u8()))
    }

    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                // What is no data says nothing.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(data));
                    }
                }
                Some(Err(_)) | None => return Poll::Ready(None),
            }
        }
    }
}
