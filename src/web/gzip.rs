//! gzip (RFC 1952): bodies as a whole, and a stream in pieces that can be read as soon as each has arrived.
//!
//! Between two pieces the stream keeps no compressor, which would cost a stream that is silent far more than
//! all else: only the end of what was written before, to which the next piece may refer back.

use std::cell::RefCell;
use std::io::Read;

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use flate2::{Compress, Compression, Crc, FlushCompress};
use http::header;

use super::Headers;

/// How much of what was written before is kept: about two responses with a short event each.
const MAX_HISTORY: usize = 768;
/// An empty block, which is the last.
const LAST_BLOCK: [u8; 2] = [0x03, 0x00];

/// A body that cannot be inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotInflated {
    /// It is not gzip, or not all of it.
    #[error("the body is not gzip, as its Content-Encoding says")]
    Malformed,
    /// It inflates to more than it may.
    #[error("the body inflates to more than bayeux.max_message_size")]
    TooLarge,
}

/// Tells whether a client would rather read gzip than what is not compressed (RFC 9110 section 12.5.3).
#[must_use]
pub fn is_accepted(headers: &Headers) -> bool {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    let values = headers.texts(&header::ACCEPT_ENCODING);
    for coding in values.flat_map(|value| value.split(',')) {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let is = |coding: &str| name.trim().eq_ignore_ascii_case(coding);
        let named = if is("gzip") || is("x-gzip") {
            &mut gzip
        } else if is("identity") {
            &mut identity
        } else if is("*") {
            &mut any
        } else {
            continue;
        };
        *named = Some(weight(parameters));
    }
    let gzip = gzip.or(any).unwrap_or(0.0);
    gzip > 0.0 && gzip >= identity.unwrap_or(0.0)
}

/// Reads a weight from 0 to 1; what is none counts as 0, as if it had not been named.
fn weight(parameters: &str) -> f32 {
    let named = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let Some(value) = named else { return 1.0 };
    let is_number = value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.'));
    let weight = value.parse().ok().filter(|_| is_number);
    weight.filter(|weight| *weight <= 1.0).unwrap_or(0.0)
}

/// Compresses a body, sooner than well: a connection's task has others beside it.
#[must_use]
pub fn whole(plain: &[u8]) -> Vec<u8> {
    thread_local! {
        static DEFLATER: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
    }
    let mut out = Vec::with_capacity(plain.len() / 3 + 64);
    out.extend_from_slice(&Gzip::HEAD);
    DEFLATER.with_borrow_mut(|deflater| {
        deflater.reset();
        run(deflater, plain, FlushCompress::Finish, &mut out);
    });
    let mut crc = Crc::new();
    crc.update(plain);
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(&crc.amount().to_le_bytes());
    out
}

/// Inflates a body to `max` bytes at most.
///
/// # Errors
/// It is not gzip, or larger.
pub fn inflate(body: &[u8], max: u64) -> Result<Bytes, NotInflated> {
    let mut plain = Vec::new();
    let decoder = MultiGzDecoder::new(body);
    match decoder.take(max.saturating_add(1)).read_to_end(&mut plain) {
        Ok(_) if plain.len() as u64 > max => Err(NotInflated::TooLarge),
        Ok(_) => Ok(plain.into()),
        Err(_) => Err(NotInflated::Malformed),
    }
}

/// What has to be known of a stream for it to go on.
#[derive(Debug, Default)]
pub struct Gzip {
    history: Vec<u8>,
    crc: Crc,
}

impl Gzip {
    /// What every stream begins with: deflated, no name, no time, some system.
    pub const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

    /// Appends a piece, which may refer to those before.
    pub fn piece(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        self.crc.update(plain);
        deflate(&self.history, plain, out);
        let keeps = MAX_HISTORY.saturating_sub(plain.len());
        let forgets = self.history.len().saturating_sub(keeps);
        self.history.drain(..forgets);
        let newest = plain.len().saturating_sub(MAX_HISTORY);
        // All at once: it would grow to that soon, and leave holes behind.
        self.history.reserve_exact(MAX_HISTORY - self.history.len());
        self.history.extend_from_slice(&plain[newest..]);
    }

    /// Appends what comes after all pieces.
    pub fn end(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&LAST_BLOCK);
        out.extend_from_slice(&self.crc.sum().to_le_bytes());
        out.extend_from_slice(&self.crc.amount().to_le_bytes());
    }
}

/// Appends blocks that end with a byte, after others that held `history`.
fn deflate(history: &[u8], plain: &[u8], out: &mut Vec<u8>) {
    thread_local! {
        static DEFLATER: RefCell<Compress> =
            RefCell::new(Compress::new(Compression::default(), false));
    }
    DEFLATER.with_borrow_mut(|deflater| {
        deflater.reset();
        if !history.is_empty() {
            deflater
                .set_dictionary(history)
                .expect("a compressor that has just begun takes every dictionary");
        }
        out.reserve(plain.len() / 2 + 64);
        run(deflater, plain, FlushCompress::Sync, out);
    });
}

/// Appends what a compressor makes of all these bytes.
fn run(deflater: &mut Compress, plain: &[u8], flush: FlushCompress, out: &mut Vec<u8>) {
    let before = deflater.total_in();
    loop {
        let taken = usize::try_from(deflater.total_in() - before).unwrap_or(usize::MAX);
        let rest = plain.get(taken..).unwrap_or_default();
        deflater
            .compress_vec(rest, out, flush)
            .expect("everything can be deflated");
        // All is written once there is room left.
        if out.len() < out.capacity() {
            break;
        }
        out.reserve(out.len());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_piece_is_there_as_soon_as_it_has_come(
            pieces in prop::collection::vec((0usize..5000, any::<u8>(), any::<bool>()), 1..15),
        ) {
            let mut gzip = Gzip::default();
            let mut decoder = GzDecoder::new(Vec::new());
            decoder.write_all(&Gzip::HEAD).expect("a head");
            let mut whole = Vec::new();
            for (size, seed, is_noise) in pieces {
                let byte = |at: usize| {
                    let noise = at.wrapping_mul(2_654_435_761).to_le_bytes()[2];
                    let text = (at % 90).to_le_bytes()[0];
                    seed.wrapping_add(if is_noise { noise } else { text })
                };
                let plain: Vec<u8> = (0..size).map(byte).collect();
                let mut out = Vec::new();
                gzip.piece(&plain, &mut out);
                prop_assert!(gzip.history.capacity() <= MAX_HISTORY);
                decoder.write_all(&out).expect("a piece");
                decoder.flush().expect("a piece");
                whole.extend(plain);
                prop_assert!(*decoder.get_ref() == whole);
            }
            let mut end = Vec::new();
            gzip.end(&mut end);
            decoder.write_all(&end).expect("an end");
            prop_assert!(decoder.finish().expect("checked") == whole);
        }
    }

    #[test]
    fn what_is_compressed_inflates_up_to_a_bound() {
        let noise = (0..70_000_usize).map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[2]);
        let texts = [
            Vec::new(),
            b"a".to_vec(),
            vec![b'x'; 100_000],
            noise.collect(),
        ];
        for text in texts {
            let size = text.len() as u64;
            let small = whole(&text);
            assert_eq!(inflate(&small, size).as_deref(), Ok(&*text));
            if size > 0 {
                assert_eq!(inflate(&small, size - 1), Err(NotInflated::TooLarge));
                let twice = [&*small, &*small].concat();
                assert_eq!(
                    inflate(&twice, size * 2),
                    Ok([&*text, &*text].concat().into())
                );
                assert_eq!(inflate(&twice, size * 2 - 1), Err(NotInflated::TooLarge));
            }
            let half = &small[..small.len() / 2];
            assert_eq!(inflate(half, size), Err(NotInflated::Malformed));
            let more = [&*small, b"more"].concat();
            assert_eq!(inflate(&more, size), Err(NotInflated::Malformed));
        }
        assert_eq!(inflate(b"[{}]", 100), Err(NotInflated::Malformed));
    }

    #[test]
    fn a_piece_like_the_one_before_is_short() {
        let mut gzip = Gzip::default();
        let head = b"HTTP/1.1 200 OK\r\nContent-Location: /cometd\r\nContent-Length: 5\r\n\r\n";
        let sizes = [(); 2].map(|()| {
            let mut out = Vec::new();
            gzip.piece(head, &mut out);
            out.len()
        });
        assert!(sizes[1] < 16, "{sizes:?}");
    }

    #[test]
    fn what_a_client_accepts_may_have_a_weight() {
        let cases = [
            ("gzip", true),
            ("deflate, gzip;q=0.5", true),
            ("gzip; q=0", false),
            ("gzip;q=0.000, *", false),
            ("*", true),
            ("*;q=0", false),
            ("br", false),
            ("", false),
            ("GZIP", true),
            ("x-gzip ; Q=1", true),
            ("gzip;q=0.1, identity", false),
            ("gzip;q=0.5, identity;q=0.5", true),
            ("identity;q=0.4, gzip;q=0.5", true),
            ("gzip;level=9;q=0", false),
            ("gzip;q=nan", false),
            ("gzip;q=-1", false),
            ("gzip;q=2", false),
            ("gzip;q=", false),
            ("gzipped", false),
        ];
        for (text, expected) in cases {
            let headers = Headers::from_iter([(b"Accept-Encoding".as_slice(), text.as_bytes())]);
            assert_eq!(is_accepted(&headers), expected, "{text}");
        }
        assert!(!is_accepted(&Headers::default()));
    }
}
