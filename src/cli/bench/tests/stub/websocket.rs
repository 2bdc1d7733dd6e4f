//! The stub over WebSocket: events in frames of their own, and connects that they do not end.

use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tungstenite::handshake::derive_accept_key;

use super::{HOLD, Mischief, SHORT_HOLD, State, answer_all, client};
use crate::web::websocket::{CloseCode, FrameKind, Incoming, Reader, Side, close, encode};

/// The socket of a client and what the stub knows of it.
struct Peer<'a> {
    stream: TcpStream,
    state: &'a Mutex<State>,
    mischief: Mischief,
    session: Option<usize>,
    /// The reply to the connect that is held, and when it is due.
    held: Option<(Instant, Value)>,
}

/// Goes over from HTTP and serves a client until it ends or the mischief ends it.
pub(super) async fn serve(
    mut stream: TcpStream,
    head: &str,
    state: &Mutex<State>,
    mischief: Mischief,
) {
    let response = match mischief {
        Mischief::NoUpgrade => "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno".to_owned(),
        _ => agree(head, state, mischief),
    };
    stream.write_all(response.as_bytes()).await.unwrap();
    let peer = Peer {
        stream,
        state,
        mischief,
        session: None,
        held: None,
    };
    peer.run().await;
}

fn agree(head: &str, state: &Mutex<State>, mischief: Mischief) -> String {
    let header = |name: &str| {
        let (_, rest) = head.split_once(&format!("\r\n{name}: "))?;
        rest.split("\r\n").next()
    };
    let expected = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
    ];
    let is_good = expected
        .iter()
        .all(|(name, value)| header(name) == Some(value));
    if !is_good || !head.starts_with("GET /cometd HTTP/1.1\r\nHost: 127.0.0.1:") {
        state.lock().unwrap().complaint = Some(head.to_owned());
    }
    let key = match mischief {
        Mischief::WrongKey => "other",
        _ => header("Sec-WebSocket-Key").unwrap(),
    };
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    )
}

impl Peer<'_> {
    async fn run(mut self) {
        let mut reader = Reader::new(Side::Server, false, 1 << 20);
        let mut arrived = BytesMut::new();
        loop {
            match reader.next(&mut arrived).unwrap() {
                Some(Incoming::Text(text)) => {
                    let messages: Vec<Value> = serde_json::from_slice(&text).unwrap();
                    if !self.take(&messages).await {
                        return;
                    }
                    continue;
                }
                Some(Incoming::Pong) => {
                    self.state.lock().unwrap().pongs += 1;
                    continue;
                }
                Some(other) => panic!("{other:?}"),
                None => {}
            }
            let due = self.held.as_ref().map(|(due, _)| *due);
            let wake = self
                .session
                .map(|number| Arc::clone(&self.state.lock().unwrap().sessions[number].wake));
            tokio::select! {
                read = self.stream.read_buf(&mut arrived) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                },
                () = async { wake.unwrap().notified().await }, if wake.is_some() => {
                    self.push_events().await;
                }
                () = async { sleep_until(due.unwrap()).await }, if due.is_some() => {
                    let (_, reply) = self.held.take().unwrap();
                    self.send(&json!([reply])).await;
                }
            }
        }
    }

    /// Does what a batch asks; false when the connection is to end.
    async fn take(&mut self, messages: &[Value]) -> bool {
        let channel = messages[0]["channel"].as_str().unwrap();
        let is_hit = |prefix: &str| channel.starts_with(prefix);
        match self.mischief {
            Mischief::Silent(prefix) if is_hit(prefix) => return true,
            Mischief::Hangup(prefix) if is_hit(prefix) => return false,
            Mischief::CloseFrame(prefix) if is_hit(prefix) => {
                // Within a message, as far as it has come.
                let mut frames = vec![0x01, 1, b'['];
                close(CloseCode::Error, "no more", &mut frames);
                self.write(&frames).await;
                return false;
            }
            Mischief::Binary => {
                let mut frame = Vec::new();
                encode(FrameKind::Binary, b"[]", None, &mut frame);
                self.write(&frame).await;
                return true;
            }
            _ => {}
        }
        let (replies, is_good) = answer_all(self.state, messages, self.mischief);
        self.session = client(&messages[0]).or(self.session);
        let is_held = channel == "/meta/connect" && messages[0]["advice"]["timeout"] != 0;
        if is_held && self.mischief == Mischief::DropParked {
            return false;
        }
        self.check(messages, is_held);
        if is_good && is_held {
            let hold = match self.mischief {
                Mischief::ShortHold => SHORT_HOLD,
                _ => HOLD,
            };
            self.held = Some((Instant::now() + hold, replies[0].clone()));
        } else {
            self.send(&Value::Array(replies)).await;
        }
        true
    }

    /// Notes what is wrong with a batch.
    fn check(&self, messages: &[Value], is_held: bool) {
        let types = &messages[0]["supportedConnectionTypes"];
        let kind = &messages[0]["connectionType"];
        let is_wrong = is_held && self.held.is_some()
            || !types.is_null() && *types != json!(["websocket", "long-polling"])
            || !kind.is_null() && kind != "websocket";
        if is_wrong {
            self.state.lock().unwrap().complaint = Some(format!("{messages:?}"));
        }
    }

    /// Sends each event in a frame of its own.
    async fn push_events(&mut self) {
        let number = self.session.unwrap();
        let events: Vec<_> = self.state.lock().unwrap().sessions[number]
            .queue
            .drain(..)
            .collect();
        for event in events {
            self.send(&json!([event])).await;
        }
    }

    async fn send(&mut self, batch: &Value) {
        let mut frames = Vec::new();
        if self.mischief == Mischief::Ping {
            self.state.lock().unwrap().pings += 1;
            encode(FrameKind::Ping, b"there?", None, &mut frames);
        }
        encode(
            FrameKind::Text,
            batch.to_string().as_bytes(),
            None,
            &mut frames,
        );
        self.write(&frames).await;
    }

    async fn write(&mut self, frames: &[u8]) {
        let piece = match self.mischief {
            Mischief::Dribble => 700,
            _ => frames.len(),
        };
        for piece in frames.chunks(piece) {
            // The client may be gone when a test ends.
            if self.stream.write_all(piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}
