//! How much of what each stream has sent the kernel has taken, and whether anything comes. `h2` does not tell, so the frames are looked at as
//! they leave (RFC 9113 section 4.1): what a client may not have got is given back to its session.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The bytes before a frame's payload.
const HEAD: usize = 9;
/// The types of frames that are looked at.
const DATA: u8 = 0;
const RST_STREAM: u8 = 3;
/// The code that says that there are too many streams.
const REFUSED_STREAM: u32 = 7;

/// The streams of a connection that have sent something.
#[derive(Debug, Default)]
pub struct Receipts {
    streams: Mutex<HashMap<u32, Arc<Taken>>>,
    is_lost: AtomicBool,
    was_heard: AtomicBool,
    refused: AtomicUsize,
}

/// What became of the bytes that a stream has sent.
#[derive(Debug, Default)]
pub(super) struct Taken {
    bytes: AtomicUsize,
    waker: AtomicWaker,
}

impl Taken {
    /// Returns how many bytes of its body the kernel has.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }

    /// Has a task woken when there are more, or the connection is lost.
    pub(super) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }
}

impl Receipts {
    /// Counts, from now on, what a stream has sent.
    pub(super) fn begin(&self, stream: u32) -> Arc<Taken> {
        let taken = Arc::<Taken>::default();
        self.lock().insert(stream, Arc::clone(&taken));
        taken
    }

    /// Counts it no longer.
    pub(super) fn end(&self, stream: u32) {
        self.lock().remove(&stream);
    }

    /// Tells whether the connection has ended, so that nothing leaves any more.
    pub(super) fn are_over(&self) -> bool {
        self.is_lost.load(Ordering::Acquire)
    }

    /// Returns how many streams were refused since this was asked last, because there were too many.
    pub fn take_refused(&self) -> usize {
        self.refused.swap(0, Ordering::Relaxed)
    }

    /// Tells whether anything has come of the client since this was asked last.
    pub fn take_heard(&self) -> bool {
        self.was_heard.swap(false, Ordering::Relaxed)
    }

    fn lose(&self) {
        self.is_lost.store(true, Ordering::Release);
        for taken in self.lock().values() {
            taken.waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Arc<Taken>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What carries a connection, under `h2`: what was read before comes first, and what leaves is counted.
#[derive(Debug)]
pub struct Counting<T> {
    ahead: Bytes,
    io: T,
    frames: Frames,
}

impl<T> Counting<T> {
    /// Counts what leaves by this, of which these bytes have been read already.
    pub fn new(io: T, ahead: Bytes, receipts: Arc<Receipts>) -> Self {
        Self {
            ahead,
            io,
            frames: Frames::new(receipts),
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Counting<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            let before = buffer.filled().len();
            let read = ready!(Pin::new(&mut this.io).poll_read(context, buffer));
            if buffer.filled().len() > before {
                this.frames
                    .receipts
                    .was_heard
                    .store(true, Ordering::Relaxed);
            }
            return Poll::Ready(read);
        }
        let size = this.ahead.len().min(buffer.remaining());
        buffer.put_slice(&this.ahead[..size]);
        this.ahead.advance(size);
        if this.ahead.is_empty() {
            // An empty one may still hold on to its memory.
            this.ahead = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Counting<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.io).poll_write(context, bytes))?;
        this.frames.note(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}

/// Frames as they leave.
#[derive(Debug)]
struct Frames {
    receipts: Arc<Receipts>,
    /// What has left of the next frame's head.
    head: [u8; HEAD],
    has: usize,
    /// What is to come of a payload, and whose it is.
    left: usize,
    of: Payload,
}

#[derive(Debug)]
enum Payload {
    /// A part of a stream's body.
    Body(Arc<Taken>),
    /// The code of a reset, as far as it has left.
    Code(u32),
    Other,
}

impl Frames {
    fn new(receipts: Arc<Receipts>) -> Self {
        Self {
            receipts,
            head: [0; HEAD],
            has: 0,
            left: 0,
            of: Payload::Other,
        }
    }

    /// Takes notice of bytes that have left.
    fn note(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let wanted = if self.left > 0 {
                self.left
            } else {
                HEAD - self.has
            };
            let (part, rest) = bytes.split_at(wanted.min(bytes.len()));
            bytes = rest;
            if self.left > 0 {
                self.note_payload(part);
                continue;
            }
            self.head[self.has..][..part.len()].copy_from_slice(part);
            self.has += part.len();
            if self.has == HEAD {
                self.has = 0;
                self.begin();
            }
        }
    }

    fn begin(&mut self) {
        let [l1, l2, l3, kind, _, s1, s2, s3, s4] = self.head;
        self.left = u32::from_be_bytes([0, l1, l2, l3]) as usize;
        let stream = u32::from_be_bytes([s1, s2, s3, s4]);
        self.of = match kind {
            DATA if self.left > 0 => {
                let taken = self.receipts.lock().get(&stream).cloned();
                taken.map_or(Payload::Other, Payload::Body)
            }
            RST_STREAM => Payload::Code(0),
            _ => Payload::Other,
        };
    }

    fn note_payload(&mut self, part: &[u8]) {
        self.left -= part.len();
        match &mut self.of {
            Payload::Body(taken) => {
                taken.bytes.fetch_add(part.len(), Ordering::Release);
                taken.waker.wake();
            }
            Payload::Code(code) => {
                *code = part
                    .iter()
                    .fold(*code, |code, byte| code << 8 | u32::from(*byte));
                if self.left == 0 && *code == REFUSED_STREAM {
                    self.receipts.refused.fetch_add(1, Ordering::Relaxed);
                }
            }
            Payload::Other => {}
        }
        if self.left == 0 {
            self.of = Payload::Other;
        }
    }
}

impl Drop for Frames {
    /// Nothing leaves any more.
    fn drop(&mut self) {
        self.receipts.lose();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).expect("a short payload");
        [&[0, 0, length, kind, 0, 0, 0, 0, stream], payload].concat()
    }

    #[test]
    fn what_has_left_is_counted_for_its_stream_however_it_is_cut() {
        let bytes = [
            frame(4, 0, &[0; 12]),
            frame(1, 1, b"head"),
            frame(DATA, 1, b"abcde"),
            frame(DATA, 3, b"xyz"),
            frame(RST_STREAM, 5, &[0, 0, 0, 7]),
            frame(RST_STREAM, 7, &[0, 0, 0, 8]),
            frame(DATA, 1, b""),
            frame(DATA, 9, b"of nobody"),
            frame(DATA, 1, b"fg"),
        ]
        .concat();
        for size in 1..=bytes.len() {
            let receipts = Arc::<Receipts>::default();
            let (first, second) = (receipts.begin(1), receipts.begin(3));
            let mut frames = Frames::new(Arc::clone(&receipts));
            for part in bytes.chunks(size) {
                frames.note(part);
            }
            assert_eq!((first.bytes(), second.bytes()), (7, 3), "{size}");
            assert_eq!(receipts.take_refused(), 1);
            assert!(!receipts.are_over());
            drop(frames);
            assert!(receipts.are_over());
        }
    }

    #[test]
    fn of_a_frame_that_has_left_in_part_that_part_is_counted() {
        let receipts = Arc::<Receipts>::default();
        let taken = receipts.begin(1);
        let mut frames = Frames::new(receipts);
        let bytes = frame(DATA, 1, b"abcde");
        frames.note(&bytes[..HEAD]);
        assert_eq!(taken.bytes(), 0);
        frames.note(&bytes[HEAD..HEAD + 3]);
        assert_eq!(taken.bytes(), 3);
    }
}
