//! The text of a response that comes in chunks, wherever a proxy has cut them.

use std::task::{Context, Poll, ready};

use memchr::memchr;

use super::head::{MAX_BODY, parse_chunk_size};
use super::inbox::Inbox;
use crate::client::fault::Fault;

/// The line end behind a chunk.
const TAIL: usize = 2;

/// What has come of a response in chunks and is not used yet.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    text: Vec<u8>,
    /// The bytes of the text before this are used.
    start: usize,
    part: Part,
}

/// What comes next.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Part {
    /// The length of a chunk.
    #[default]
    Size,
    /// So much of a chunk and of the line end behind it.
    Data(usize),
    /// Nothing: the response is whole.
    End,
}

impl Chunked {
    /// The text that has come and is not used.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.text[self.start..]
    }

    /// Has used so many bytes of the text.
    pub(super) fn advance(&mut self, count: usize) {
        self.start += count;
        if self.start == self.text.len() {
            self.start = 0;
            self.text.clear();
        }
    }

    /// Reads more text; nothing is lost if it is not asked again.
    pub(super) fn poll_more(
        &mut self,
        inbox: &mut Inbox,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Fault>> {
        let before = self.text.len();
        loop {
            let used = self.take(inbox.bytes())?;
            inbox.advance(used);
            if self.text.len() > before {
                return Poll::Ready(Ok(()));
            }
            if self.part == Part::End {
                let text = "a stream without a reply".to_owned();
                return Poll::Ready(Err(Fault::Closed(text)));
            }
            if self.bytes().len() > MAX_BODY {
                let text = format!("more than {MAX_BODY} bytes without an end");
                return Poll::Ready(Err(Fault::Malformed(text)));
            }
            ready!(inbox.poll_more(cx))?;
        }
    }

    /// Takes the text out of bytes, and tells how many of them are used.
    fn take(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            match self.part {
                Part::Size => {
                    let Some(end) = memchr(b'\n', rest) else {
                        return Ok(at);
                    };
                    at += end + 1;
                    self.part = match parse_chunk_size(&rest[..end])? {
                        0 => Part::End,
                        size => Part::Data(size + TAIL),
                    };
                }
                Part::Data(left) => {
                    let text = rest.len().min(left - left.min(TAIL));
                    self.text.extend_from_slice(&rest[..text]);
                    let used = rest.len().min(left);
                    at += used;
                    if used < left {
                        self.part = Part::Data(left - used);
                        return Ok(at);
                    }
                    self.part = Part::Size;
                }
                Part::End => return Ok(at),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_the_same_however_it_is_cut() {
        let bytes = b"4\r\n[{}]\r\n0A;x=y\r\n[{\"a\":1}]\n\r\n0\r\n\r\n";
        let end = bytes.len() - 2;
        for first in 0..bytes.len() {
            for second in first..bytes.len() {
                let mut chunked = Chunked::default();
                let mut at = 0;
                for cut in [first, second, bytes.len()] {
                    at += chunked.take(&bytes[at..cut]).unwrap();
                }
                assert_eq!(chunked.bytes(), b"[{}][{\"a\":1}]\n", "{first} {second}");
                assert_eq!((at, chunked.part), (end, Part::End));
            }
        }
    }

    #[test]
    fn a_length_is_hexadecimal() {
        for wrong in ["\r\n", "x\r\n", "-1\r\n", "ffffffffff\r\n"] {
            let taken = Chunked::default().take(wrong.as_bytes());
            assert!(matches!(taken, Err(Fault::Malformed(_))), "{wrong}");
        }
    }

    #[test]
    fn what_is_used_is_gone() {
        let mut chunked = Chunked::default();
        chunked.take(b"3\r\nabc\r\n").unwrap();
        chunked.advance(2);
        assert_eq!(chunked.bytes(), b"c");
        chunked.advance(1);
        assert_eq!((chunked.start, chunked.text.len()), (0, 0));
    }
}
