//! permessage-deflate (RFC 7692), each message on its own.
//!
//! Neither side keeps its window from one message to the next, so a socket costs no memory for it,
//! and a message deflated once is the same bytes for every client.

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// What the end of every deflated message is known to be, and left out (section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// Memory that is asked for at once while a message is inflated.
const STEP: usize = 4096;

/// The answer to an offer that is accepted.
const RESPONSE: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
/// The same, to one that names the server's window, which has to be answered (section 7.1.2.1).
const RESPONSE_WITH_WINDOW: &str = "permessage-deflate; server_no_context_takeover; \
    client_no_context_takeover; server_max_window_bits=15";

/// Why a message cannot be inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InflateError {
    /// It is not deflated.
    Malformed,
    /// It is larger than the bound.
    TooLarge,
}

/// Returns the answer to the first of a client's offers that can be accepted (section 7.1).
///
/// An offer that asks for a smaller window of the server is not: the same bytes could not be for
/// all clients.
#[must_use]
pub fn accept(offers: &str) -> Option<&'static str> {
    offers.split(',').find_map(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        let is_acceptable = parts.next() == Some("permessage-deflate") && are_acceptable(parts);
        is_acceptable.then_some(if offer.contains("server_max_window_bits") {
            RESPONSE_WITH_WINDOW
        } else {
            RESPONSE
        })
    })
}

fn are_acceptable<'p>(parameters: impl Iterator<Item = &'p str>) -> bool {
    let mut seen = Vec::new();
    for parameter in parameters {
        let (name, value) = match parameter.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
            None => (parameter, None),
        };
        let is_acceptable = match name {
            "server_no_context_takeover" | "client_no_context_takeover" => value.is_none(),
            "server_max_window_bits" => value == Some("15"),
            "client_max_window_bits" => value.is_none_or(is_window),
            _ => false,
        };
        if !is_acceptable || seen.contains(&name) {
            return false;
        }
        seen.push(name);
    }
    true
}

fn is_window(value: &str) -> bool {
    matches!(value.parse::<u8>(), Ok(8..=15)) && !value.starts_with('0')
}

/// Deflates a message.
#[must_use]
pub fn deflate(message: &[u8]) -> Vec<u8> {
    thread_local! {
        static DEFLATER: RefCell<Compress> =
            RefCell::new(Compress::new(Compression::default(), false));
    }
    DEFLATER.with_borrow_mut(|deflater| {
        deflater.reset();
        let mut out = Vec::with_capacity(message.len() / 2 + 64);
        loop {
            let taken = usize::try_from(deflater.total_in()).unwrap_or(usize::MAX);
            let rest = message.get(taken..).unwrap_or_default();
            deflater
                .compress_vec(rest, &mut out, FlushCompress::Sync)
                .expect("every message can be deflated");
            // All is written once there is room left.
            if out.len() < out.capacity() {
                break;
            }
            out.reserve(out.len());
        }
        if out.ends_with(&TAIL) {
            out.truncate(out.len() - TAIL.len());
        }
        out
    })
}

/// Inflates a message to at most so many bytes.
///
/// # Errors
/// It is not deflated, or larger than that.
pub fn inflate(message: &[u8], max: usize) -> Result<Vec<u8>, InflateError> {
    thread_local! {
        static INFLATER: RefCell<Decompress> = RefCell::new(Decompress::new(false));
    }
    INFLATER.with_borrow_mut(|inflater| {
        inflater.reset(false);
        let mut out = Vec::with_capacity((message.len() * 2).min(max) + 64);
        let ended = inflate_into(&mut out, inflater, message, max)?;
        // A client may end its last block instead of flushing it.
        if !ended {
            inflate_into(&mut out, inflater, &TAIL, max)?;
        }
        Ok(out)
    })
}

/// Inflates a part of a message; true if the stream ended with it.
fn inflate_into(
    out: &mut Vec<u8>,
    inflater: &mut Decompress,
    part: &[u8],
    max: usize,
) -> Result<bool, InflateError> {
    let start = inflater.total_in();
    loop {
        let taken = usize::try_from(inflater.total_in() - start).unwrap_or(usize::MAX);
        let rest = part.get(taken..).unwrap_or_default();
        let before = (inflater.total_in(), out.len());
        let status = inflater
            .decompress_vec(rest, out, FlushDecompress::Sync)
            .map_err(|_| InflateError::Malformed)?;
        if out.len() > max {
            return Err(InflateError::TooLarge);
        }
        if status == Status::StreamEnd {
            return Ok(true);
        }
        if out.len() == out.capacity() {
            out.reserve(STEP);
        } else if before == (inflater.total_in(), out.len()) || rest.is_empty() {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_are_accepted_as_far_as_one_window_serves_all() {
        let cases = [
            ("permessage-deflate", true),
            ("permessage-deflate; client_max_window_bits", true),
            ("permessage-deflate;client_max_window_bits=9", true),
            ("permessage-deflate; client_max_window_bits=\"15\"", true),
            ("permessage-deflate; client_max_window_bits=16", false),
            ("permessage-deflate; client_max_window_bits=08", false),
            ("permessage-deflate; server_max_window_bits=15", true),
            ("permessage-deflate; server_max_window_bits=10", false),
            ("permessage-deflate; server_max_window_bits", false),
            (
                "permessage-deflate; server_max_window_bits=10, permessage-deflate",
                true,
            ),
            (
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
                true,
            ),
            ("permessage-deflate; server_no_context_takeover=1", false),
            ("permessage-deflate; x", false),
            (
                "permessage-deflate; client_max_window_bits; client_max_window_bits",
                false,
            ),
            ("x-webkit-deflate-frame", false),
            ("", false),
        ];
        for (offers, expected) in cases {
            assert_eq!(accept(offers).is_some(), expected, "{offers}");
        }
    }

    #[test]
    fn the_server_s_window_is_named_in_the_answer_if_it_was_in_the_offer() {
        let answer = accept("permessage-deflate; server_max_window_bits=15");
        assert!(answer.is_some_and(|answer| answer.ends_with("; server_max_window_bits=15")));
        assert_eq!(accept("permessage-deflate"), Some(RESPONSE));
    }

    #[test]
    fn what_is_deflated_inflates_and_every_message_is_on_its_own() {
        let random: Vec<u8> = (0..100_000u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0])
            .collect();
        let cases: [&[u8]; 5] = [b"", b"x", b"[{\"data\":1}]", &[b'a'; 300_000], &random];
        for message in cases {
            let deflated = deflate(message);
            assert_eq!(deflated, deflate(message));
            assert_eq!(inflate(&deflated, message.len()).as_deref(), Ok(message));
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_bound() {
        let bomb = deflate(&vec![0; 10_000_000]);
        assert!(bomb.len() < 20_000);
        assert_eq!(inflate(&bomb, 65_536), Err(InflateError::TooLarge));
        assert_eq!(
            inflate(&deflate(&[0; 100]), 99),
            Err(InflateError::TooLarge)
        );
    }

    #[test]
    fn what_is_not_deflated_is_malformed() {
        assert_eq!(inflate(&[0xff; 20], 1000), Err(InflateError::Malformed));
    }

    #[test]
    fn a_stream_that_ended_is_inflated_too() {
        let mut deflater = Compress::new(Compression::default(), false);
        let mut ended = Vec::with_capacity(100);
        deflater
            .compress_vec(b"the end", &mut ended, FlushCompress::Finish)
            .expect("it fits");
        assert_eq!(inflate(&ended, 100).as_deref(), Ok(b"the end".as_slice()));
    }
}
