//! Frames of WebSocket: whole ones of up to 65,535 bytes; does no I/O.

use std::io::{self, ErrorKind};

const FINAL_TEXT: u8 = 0x81;
const MASKED: u8 = 0x80;
/// The length that says two bytes of length follow.
const TWO_BYTES: u8 = 126;

/// A text message.
pub(crate) fn text(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![FINAL_TEXT];
    match u8::try_from(message.len()) {
        Ok(length) if length < TWO_BYTES => frame.push(length),
        _ => {
            let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
            frame.push(TWO_BYTES);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend_from_slice(message);
    frame
}

/// Takes the first message off, without its mask; nothing when there is none.
///
/// # Errors
///
/// When there is anything but a whole text message, of a client.
pub(crate) fn take(arrived: &mut [u8]) -> io::Result<Option<(&mut [u8], &mut [u8])>> {
    let (length, head) = match *arrived {
        [] => return Ok(None),
        [FINAL_TEXT, length, a, b, ..] if length == MASKED | TWO_BYTES => {
            (usize::from(u16::from_be_bytes([a, b])), 4)
        }
        [FINAL_TEXT, length, ..] if length >= MASKED => (usize::from(length ^ MASKED), 2),
        _ => return Err(ErrorKind::InvalidData.into()),
    };
    let whole = arrived
        .split_at_mut_checked(head + 4)
        .and_then(|(head, rest)| Some((head, rest.split_at_mut_checked(length)?)));
    let Some((start, (message, after))) = whole else {
        return Err(ErrorKind::InvalidData.into());
    };
    let mask = &start[head..];
    for (at, byte) in message.iter_mut().enumerate() {
        *byte ^= mask[at % 4];
    }
    Ok(Some((message, after)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_messages_one_by_one() {
        let mut arrived = b"\x81\x82\0\x01\0\x01[\\\x81\xfe\0\x02\0\0\0\0{}".to_vec();
        let (first, rest) = take(&mut arrived).unwrap().unwrap();
        assert_eq!(first, b"[]");
        let (second, rest) = take(rest).unwrap().unwrap();
        assert_eq!(second, b"{}");
        assert!(take(rest).unwrap().is_none());
    }

    #[test]
    fn refuses_all_but_whole_masked_texts() {
        for wrong in [
            &b"\x81"[..],
            b"\x81\x02[]",
            b"\x81\x82\0\0\0\0[",
            b"\x88\x80",
        ] {
            assert!(take(&mut wrong.to_vec()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn says_how_long_a_message_is() {
        assert_eq!(text(b"[]"), b"\x81\x02[]");
        assert_eq!(text(&[b'x'; 300])[..5], *b"\x81\x7e\x01\x2cx");
    }
}
