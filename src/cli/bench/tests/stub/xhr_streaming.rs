//! The stub's responses to connects that are streams.

use std::sync::Mutex;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{HOLD, Mischief, SHORT_HOLD, State, gone, hold, write};

const HEAD: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";

/// Serves the stream of a connect, to its reply.
pub(super) async fn serve(
    mut stream: TcpStream,
    reply: &Value,
    state: &Mutex<State>,
    number: usize,
    mischief: Mischief,
) {
    let lifetime = match mischief {
        Mischief::ShortHold => SHORT_HOLD,
        _ => HOLD,
    };
    let end = Instant::now() + lifetime;
    if !write(&mut stream, HEAD, mischief).await {
        return;
    }
    let mut is_last = mischief == Mischief::NoReply;
    while !is_last {
        let held = tokio::time::timeout_at(end, hold(state, number, false, mischief));
        let mut batch = tokio::select! {
            biased;
            () = gone(&stream) => return,
            events = held => events.unwrap_or_default(),
        };
        is_last = Instant::now() >= end;
        if is_last {
            batch.push(reply.clone());
        }
        if mischief == Mischief::Ping && !write(&mut stream, &chunk("\n"), mischief).await {
            return;
        }
        if batch.is_empty() {
            continue;
        }
        let batch = format!("{}\n", Value::Array(batch));
        if !write(&mut stream, &chunks(&batch, mischief), mischief).await {
            return;
        }
    }
    write(&mut stream, &chunk(""), mischief).await;
    let _ = stream.shutdown().await;
}

/// The text as a chunk, or cut into many.
pub(super) fn chunks(text: &str, mischief: Mischief) -> String {
    let size = match mischief {
        Mischief::Recut => 7,
        _ => text.len(),
    };
    let pieces = text.as_bytes().chunks(size).map(str::from_utf8);
    pieces.map(|piece| chunk(piece.unwrap())).collect()
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}
