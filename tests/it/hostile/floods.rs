//! HTTP/2 as only an attacker speaks it: frames that cost their sender little.

use std::io;

use mirant::metrics::Limit;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::bystanders::Bystanders;
use crate::support::{Http2, Request, TestServer, until, within};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const PRIOR: &str = "http.http2_prior_knowledge=true";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const UNKNOWN: u8 = 0x20;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A POST to `/cometd` at `localhost`, by the static table and two literals.
const POST: &[u8] = b"\x83\x86\x04\x07/cometd\x01\x09localhost";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut out = length[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// Sends bytes behind the preface while it reads, and returns what came: up to the connection's end, or until all is
/// sent and the answer to a last ping is there.
async fn flood(server: &TestServer, bytes: &[u8]) -> Vec<u8> {
    const LAST: &[u8; 8] = b"the last";
    let tcp = within(TcpStream::connect(server.address)).await.unwrap();
    let (mut reading, mut writing) = tcp.into_split();
    let send = async {
        writing.write_all(PREFACE).await?;
        writing.write_all(&frame(SETTINGS, 0, 0, b"")).await?;
        writing.write_all(bytes).await?;
        writing.write_all(&frame(PING, 0, 0, LAST)).await?;
        Ok::<_, io::Error>(())
    };
    let read = async {
        let mut answer = Vec::new();
        let is_last = |answer: &[u8]| answer.windows(LAST.len()).any(|part| part == LAST);
        let mut searched = 0;
        while !is_last(&answer[searched..]) {
            searched = answer.len().saturating_sub(LAST.len());
            match reading.read_buf(&mut answer).await {
                Ok(size) if size > 0 => {}
                _ => break,
            }
        }
        answer
    };
    // It may be cut before all is sent.
    let (_, answer) = within(futures_util::future::join(send, read)).await;
    answer
}

#[tokio::test]
async fn requests_that_are_reset_at_once() {
    let server = TestServer::start(&[PRIOR]);
    let mut bystanders = Bystanders::of(&server).await;
    let mut bytes = Vec::new();
    for n in 0..5000 {
        bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, 2 * n + 1, POST));
        bytes.extend(frame(RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8]));
    }
    bystanders.notice_nothing(flood(&server, &bytes)).await;
    until(|| server.metrics().limit_count(Limit::Http2Flood) == 1).await;
    until(|| server.metrics().http2_streams.value() == 0).await;
}

#[tokio::test]
async fn a_head_that_does_not_end() {
    let server = TestServer::start(&[PRIOR]);
    let mut bystanders = Bystanders::of(&server).await;
    for (part, count) in [(&b"\x00\x01a\x01b"[..], 100_000), (&b""[..], 100_000)] {
        let mut bytes = frame(HEADERS, END_STREAM, 1, POST);
        for _ in 0..count {
            bytes.extend(frame(CONTINUATION, 0, 1, part));
        }
        let answer = bystanders.notice_nothing(flood(&server, &bytes)).await;
        assert!(!answer.ends_with(b"the last"), "it goes on");
    }
    until(|| server.metrics().http2_streams.value() == 0).await;
}

#[tokio::test]
async fn a_head_that_unpacks_to_megabytes() {
    let server = TestServer::start(&[PRIOR]);
    let mut bystanders = Bystanders::of(&server).await;
    // A field of 4,000 bytes that the table is to have, and then again and again.
    let mut block = POST.to_vec();
    block.extend(b"\x40\x01a\x7f\xa1\x1e");
    block.extend([b'x'; 4000]);
    block.extend([0xbe; 10_000]);
    let mut bytes = Vec::new();
    for n in 0..20 {
        let flags = END_STREAM | END_HEADERS;
        bytes.extend(frame(HEADERS, flags, 2 * n + 1, &block[..]));
    }
    let answer = bystanders.notice_nothing(flood(&server, &bytes)).await;
    assert!(answer.len() < 100_000, "{}", answer.len());
    until(|| server.metrics().http2_streams.value() == 0).await;
}

#[tokio::test]
async fn frames_that_mean_nothing() {
    let server = TestServer::start(&[PRIOR]);
    let mut bystanders = Bystanders::of(&server).await;
    let open = frame(HEADERS, END_HEADERS, 1, POST);
    let floods = [
        frame(PING, 0, 0, b"12345678"),
        frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]),
        frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        frame(UNKNOWN, 0, 1, b"?"),
        frame(DATA, 0, 1, b""),
    ];
    for one in floods {
        let bytes = [open.clone(), one.repeat(20_000)].concat();
        let floods = || server.metrics().limit_count(Limit::Http2Flood);
        let before = floods();
        let answer = bystanders.notice_nothing(flood(&server, &bytes)).await;
        // It is answered as a whole, or too much.
        if !answer.ends_with(b"the last") {
            until(|| floods() == before + 1).await;
        }
        until(|| server.metrics().http2_streams.value() == 0).await;
    }
}

#[tokio::test]
async fn windows_of_one_byte() {
    const MANY: usize = 20;
    let server = TestServer::start(&[PRIOR, "http.write_timeout=300ms"]);
    let mut bystanders = Bystanders::of(&server).await;
    let attack = async {
        let mut narrow = Http2::narrow(server.address, 1).await;
        let mut held = Vec::new();
        for _ in 0..MANY {
            let mut exchange = narrow.send(&Request::post("{}")).await;
            assert_eq!(exchange.head().await.status, 200);
            held.push(exchange);
        }
        // What they have no room for is given up, each by itself.
        until(|| server.metrics().http2_streams.value() == 0).await;
    };
    bystanders.notice_nothing(attack).await;
}
