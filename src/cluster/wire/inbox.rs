//! What comes by a stream: first something whole, with its length before it, then single bytes that say something.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use hyper::body::{Body as _, Incoming};

use super::MAX_SIZE;
use crate::memory::{Budget, Charge, Kind};

/// Bytes of a length.
const LENGTH: usize = 4;

/// The words that are said when the first thing is said: one byte each.
pub(super) mod word {
    /// By who has passed a request on: it is to be answered soon.
    pub(in super::super) const SOON: u8 = b's';
    /// By the same: the answer was written.
    pub(in super::super) const WRITTEN: u8 = b'w';
    /// By the same: it was not, and will not be; or there is no use any more in answering it.
    pub(in super::super) const NOT_WRITTEN: u8 = b'n';
    /// By the same: its client reads, and sends nothing more; what there is for it is to stay.
    pub(in super::super) const CLOSED: u8 = b'c';
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

/// What has come of a thing that is sent whole.
#[derive(Debug)]
pub(super) enum Whole {
    /// All of it.
    Here(Bytes),
    /// A part.
    Partial,
    /// It is larger than it may be.
    TooLarge,
}

/// Takes such a thing off what has arrived.
pub(super) fn take_whole(arrived: &mut BytesMut) -> Whole {
    let Some((length, rest)) = arrived.split_first_chunk::<LENGTH>() else {
        return Whole::Partial;
    };
    match usize::try_from(u32::from_be_bytes(*length)) {
        Ok(length) if length > MAX_SIZE => Whole::TooLarge,
        Err(_) => Whole::TooLarge,
        Ok(length) if rest.len() < length => Whole::Partial,
        Ok(length) => {
            arrived.advance(LENGTH);
            Whole::Here(arrived.split_to(length).freeze())
        }
    }
}

impl Inbox {
    pub(super) fn new(body: Incoming) -> Self {
        Self {
            body,
            ahead: Bytes::new(),
        }
    }

    /// Reads the thing that is sent whole, and counts it; nothing if it is too large, there is no memory for it, or it
    /// breaks off.
    pub(super) async fn whole(&mut self, memory: &Arc<Budget>, kind: Kind) -> Option<Counted> {
        let mut gathered = Gathered::new(memory, kind);
        loop {
            match take_whole(&mut gathered.bytes) {
                Whole::Here(whole) => {
                    self.ahead = gathered.bytes.freeze();
                    return Some((whole, gathered.charge));
                }
                Whole::Partial => {}
                Whole::TooLarge => return None,
            }
            gathered
                .more(&mut self.body)
                .await
                .filter(|is_more| *is_more)?;
        }
    }

    /// Waits for the next word; nothing if there is none any more.
    pub(super) fn poll_word(&mut self, context: &mut Context<'_>) -> Poll<Option<u8>> {
        while self.ahead.is_empty() {
            match ready!(poll_more(&mut self.body, context)) {
                Some(Ok(more)) => self.ahead = more,
                Some(Err(_)) | None => return Poll::Ready(None),
            }
        }
        Poll::Ready(Some(self.ahead.get_u8()))
    }
}

/// What is sent whole, and what counts the memory that it takes.
pub(super) type Counted = (Bytes, Charge);

/// Reads a body to its end, and counts it; nothing if it is too large, there is no memory for it, or it breaks off.
pub(super) async fn read(mut body: Incoming, memory: &Arc<Budget>, kind: Kind) -> Option<Counted> {
    let mut gathered = Gathered::new(memory, kind);
    while gathered.more(&mut body).await? {}
    Some((gathered.bytes.freeze(), gathered.charge))
}

/// What has come of something that is sent whole.
struct Gathered {
    bytes: BytesMut,
    charge: Charge,
}

impl Gathered {
    fn new(memory: &Arc<Budget>, kind: Kind) -> Self {
        Self {
            bytes: BytesMut::new(),
            charge: Charge::new(memory, kind, 0),
        }
    }

    /// Waits for more; tells whether there is any. Nothing: it breaks off, or is to be let go of.
    async fn more(&mut self, body: &mut Incoming) -> Option<bool> {
        let more = poll_fn(|context| match self.charge.poll_cut(context) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => poll_more(body, context).map(Some),
        });
        let Some(more) = more.await? else {
            return Some(false);
        };
        let more = more.ok()?;
        let size = self.bytes.len() + more.len();
        if size > LENGTH + MAX_SIZE {
            return None;
        }
        self.charge.set(size);
        self.bytes.extend_from_slice(&more);
        self.charge.may_grow().then_some(true)
    }
}

fn poll_more(
    body: &mut Incoming,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Bytes, hyper::Error>>> {
    loop {
        match ready!(Pin::new(&mut *body).poll_frame(context)) {
            // What is no data says nothing.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Poll::Ready(Some(Ok(data)));
                }
            }
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => return Poll::Ready(None),
        }
    }
}
