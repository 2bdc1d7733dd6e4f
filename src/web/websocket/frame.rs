//! Frames to write (RFC 6455 section 5.2).

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// What a control frame may hold at most (section 5.5).
pub(super) const MAX_CONTROL: usize = 125;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// A whole text message.
    Text,
    /// A whole text message that is deflated (RFC 7692).
    DeflatedText,
    /// A whole binary message.
    Binary,
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
    /// The last one.
    Close,
}

/// Appends a frame as a server sends it, or masked as a client does.
pub fn encode(kind: FrameKind, payload: &[u8], mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let opcode = match kind {
        FrameKind::Text | FrameKind::DeflatedText => OpCode::Data(Data::Text),
        FrameKind::Binary => OpCode::Data(Data::Binary),
        FrameKind::Ping => OpCode::Control(Control::Ping),
        FrameKind::Pong => OpCode::Control(Control::Pong),
        FrameKind::Close => OpCode::Control(Control::Close),
    };
    let header = FrameHeader {
        rsv1: kind == FrameKind::DeflatedText,
        opcode,
        mask,
        ..FrameHeader::default()
    };
    out.reserve(payload.len() + header.len(payload.len() as u64));
    header
        .format(payload.len() as u64, out)
        .expect("a Vec takes every write");
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(mask) = mask {
        apply_mask(&mut out[start..], mask);
    }
}

/// Returns a text message in a frame of its own.
#[must_use]
pub fn text(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(FrameKind::Text, payload, None, &mut out);
    out
}

/// Appends a close frame; of the reason as much as fits.
pub fn close(code: CloseCode, reason: &str, out: &mut Vec<u8>) {
    let mut payload = u16::from(code).to_be_bytes().to_vec();
    let room = reason.len().min(MAX_CONTROL - payload.len());
    let end = (0..=room).rfind(|end| reason.is_char_boundary(*end));
    payload.extend_from_slice(&reason.as_bytes()[..end.unwrap_or(0)]);
    encode(FrameKind::Close, &payload, None, out);
}

/// Masks bytes, or takes the mask away (section 5.3).
pub(super) fn apply_mask(bytes: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let mask = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ mask).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.to_ne_bytes()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_shortest_length_that_fits() {
        let cases = [
            (0, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (65_535, vec![0x81, 126, 0xff, 0xff]),
            (65_536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ];
        for (length, head) in cases {
            let payload = vec![b'x'; length];
            assert_eq!(text(&payload), [head, payload].concat(), "{length}");
        }
    }

    #[test]
    fn a_reason_is_cut_at_a_character() {
        let mut out = Vec::new();
        close(CloseCode::Policy, &"é".repeat(100), &mut out);
        assert_eq!(out[..4], [0x88, 124, 0x03, 0xf0]);
        assert_eq!(&out[4..], "é".repeat(61).as_bytes());
    }

    #[test]
    fn a_mask_goes_as_it_came() {
        for length in 0..20 {
            let plain: Vec<u8> = (0..length).collect();
            let mut masked = plain.clone();
            apply_mask(&mut masked, [1, 2, 3, 4]);
            let by_byte = plain.iter().zip([1, 2, 3, 4].into_iter().cycle());
            let by_byte: Vec<u8> = by_byte.map(|(byte, mask)| byte ^ mask).collect();
            assert_eq!(masked, by_byte);
            apply_mask(&mut masked, [1, 2, 3, 4]);
            assert_eq!(masked, plain);
        }
    }
}
