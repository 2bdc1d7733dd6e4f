//! What a reader makes of frames, whole, in parts, and wrong.

use super::super::frame::{FrameKind, encode};
use super::*;

const MASK: [u8; 4] = [0x11, 0x22, 0x33, 0x44];
const MAX: usize = 1000;

/// A frame of a client, its first byte as given.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(FrameKind::Text, payload, Some(MASK), &mut out);
    out[0] = first;
    out
}

fn read_all(bytes: &[u8], chunk: usize) -> (Vec<Incoming>, Option<Failure>) {
    let mut reader = Reader::new(Side::Server, true, MAX);
    let mut arrived = BytesMut::new();
    let mut all = Vec::new();
    for part in bytes.chunks(chunk) {
        arrived.extend_from_slice(part);
        loop {
            match reader.next(&mut arrived) {
                Ok(Some(incoming)) => all.push(incoming),
                Ok(None) => break,
                Err(failure) => return (all, Some(failure)),
            }
        }
    }
    (all, None)
}

fn text(text: &str) -> Incoming {
    Incoming::Text(Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn messages_come_whole_however_they_arrive() {
    let long = "x".repeat(700);
    let bytes = [
        frame(0x81, b"one"),
        frame(0x01, b"t"),
        frame(0x89, b"ping"),
        frame(0x00, b""),
        frame(0x80, b"wo"),
        frame(0x81, long.as_bytes()),
        frame(0x8a, b""),
        frame(0x82, b"\xff"),
        frame(0xc1, &deflate::deflate(b"three")),
        frame(0x88, &[0x03, 0xe8, b'b', b'y', b'e']),
    ]
    .concat();
    let expected = [
        text("one"),
        Incoming::Ping(Bytes::from_static(b"ping")),
        text("two"),
        text(&long),
        Incoming::Pong,
        Incoming::Binary(Bytes::from_static(b"\xff")),
        text("three"),
        Incoming::Close(Some(CloseCode::Normal)),
    ];
    for chunk in [1, 2, 3, 7, 64, 10_000] {
        assert_eq!(
            read_all(&bytes, chunk),
            (expected.to_vec(), None),
            "{chunk}"
        );
    }
}

#[test]
fn what_breaks_the_protocol_gets_its_code() {
    let mut unmasked = Vec::new();
    encode(FrameKind::Text, b"x", None, &mut unmasked);
    let size = vec![b'x'; MAX + 1];
    let half = vec![b'x'; MAX / 2 + 1];
    let bomb = deflate::deflate(&vec![b'x'; MAX + 1]);
    let cases = [
        ("unmasked", unmasked, CloseCode::Protocol),
        ("reserved bit 2", frame(0xa1, b"x"), CloseCode::Protocol),
        ("deflated ping", frame(0xc9, b"x"), CloseCode::Protocol),
        ("opcode 3", frame(0x83, b"x"), CloseCode::Protocol),
        ("opcode 11", frame(0x8b, b"x"), CloseCode::Protocol),
        (
            "nothing to continue",
            frame(0x80, b"x"),
            CloseCode::Protocol,
        ),
        (
            "a message within a message",
            [frame(0x01, b"x"), frame(0x81, b"y")].concat(),
            CloseCode::Protocol,
        ),
        ("fragmented ping", frame(0x09, b"x"), CloseCode::Protocol),
        ("long ping", frame(0x89, &[0; 126]), CloseCode::Protocol),
        ("close of one byte", frame(0x88, &[3]), CloseCode::Protocol),
        (
            "close code 1005",
            frame(0x88, &[3, 0xed]),
            CloseCode::Protocol,
        ),
        (
            "close reason",
            frame(0x88, &[3, 0xe8, 0xff]),
            CloseCode::Invalid,
        ),
        ("no UTF-8", frame(0x81, b"\xff"), CloseCode::Invalid),
        ("no UTF-8 yet", frame(0x01, b"x\xff"), CloseCode::Invalid),
        ("not deflated", frame(0xc1, b"\xff\xff"), CloseCode::Invalid),
        ("too large", frame(0x81, &size), CloseCode::Size),
        (
            "too large together",
            [frame(0x01, &half), frame(0x80, &half)].concat(),
            CloseCode::Size,
        ),
        ("too large inflated", frame(0xc1, &bomb), CloseCode::Size),
    ];
    for (what, bytes, code) in cases {
        let (messages, failure) = read_all(&bytes, 5);
        assert_eq!(messages, [], "{what}");
        assert_eq!(failure.map(|failure| failure.code), Some(code), "{what}");
    }
}

#[test]
fn a_length_is_refused_before_its_payload_is_waited_for() {
    let mut arrived = BytesMut::from(&[0x81, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4][..]);
    let failure = Reader::new(Side::Server, false, MAX).next(&mut arrived);
    assert_eq!(failure, Err(Failure::SIZE));
}

#[test]
fn a_ping_within_a_message_does_not_count_as_a_part_of_it() {
    let whole = "x".repeat(MAX);
    let bytes = [
        frame(0x01, whole.as_bytes()),
        frame(0x89, b"ping"),
        frame(0x80, b""),
    ]
    .concat();
    let expected = vec![Incoming::Ping(Bytes::from_static(b"ping")), text(&whole)];
    assert_eq!(read_all(&bytes, 100), (expected, None));
}

#[test]
fn a_character_may_be_cut_by_a_fragment() {
    let bytes = [frame(0x01, b"\xe2\x98"), frame(0x80, b"\x84")].concat();
    assert_eq!(read_all(&bytes, 100), (vec![text("\u{2604}")], None));
}

#[test]
fn a_client_reads_what_is_not_masked() {
    let mut arrived = BytesMut::new();
    let mut bytes = Vec::new();
    encode(FrameKind::Text, b"x", None, &mut bytes);
    arrived.extend_from_slice(&bytes);
    let mut reader = Reader::new(Side::Client, false, MAX);
    assert_eq!(reader.next(&mut arrived), Ok(Some(text("x"))));
    arrived.extend_from_slice(&frame(0x81, b"x"));
    assert!(reader.next(&mut arrived).is_err());
}
