//! The stub's event streams: sessions that a GET makes and subscribes, and events with ids.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::xhr_streaming::chunks;
use super::{Mischief, Session, State, gone, write};

/// Streams what is published to the channel in the query, until the client or the mischief ends it.
pub(super) async fn serve(
    mut stream: TcpStream,
    head: &str,
    state: &Mutex<State>,
    mischief: Mischief,
) {
    let Some(channel) = channel(head) else {
        state.lock().unwrap().complaint = Some(head.to_owned());
        return;
    };
    let is_forgotten = mischief == Mischief::Forget && last_event(head).is_some();
    let mischief = match mischief {
        Mischief::Forget if is_forgotten => Mischief::Status("/events"),
        other => other,
    };
    if let Some(response) = refusal(mischief) {
        write(&mut stream, response, mischief).await;
        return;
    }
    let (number, last, wake) = join(state, channel, last_event(head));
    let encoding = match mischief {
        Mischief::Recut => "Transfer-Encoding: chunked\r\n",
        _ => "",
    };
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n";
    write(&mut stream, &format!("{head}{encoding}\r\n"), mischief).await;
    match mischief {
        Mischief::Silent("/events") => std::future::pending().await,
        Mischief::Hangup("/events") => return,
        Mischief::Gap => {
            let gap = format!("id: s{number}-0\nevent: gap\ndata: {{}}\n\n");
            write(&mut stream, &gap, mischief).await;
        }
        _ => {}
    }
    let beginning = format!("retry: 1000\nid: s{number}-{last}\n\n");
    write(&mut stream, &cut(beginning, mischief), mischief).await;
    if mischief == Mischief::DropParked {
        return;
    }
    let mut id = last;
    loop {
        tokio::select! {
            biased;
            () = gone(&stream) => return,
            () = wake.notified() => {}
        }
        let events: Vec<_> = state.lock().unwrap().sessions[number]
            .queue
            .drain(..)
            .collect();
        for event in events {
            id += match mischief {
                Mischief::SkipId if (number, id) == (0, 1) => 2,
                _ => 1,
            };
            let block = cut(block(number, id, &event, mischief), mischief);
            if !write(&mut stream, &block, mischief).await {
                return;
            }
        }
    }
}

/// A part of a stream, as it is or in chunks.
fn cut(text: String, mischief: Mischief) -> String {
    match mischief {
        Mischief::Recut => chunks(&text, mischief),
        _ => text,
    }
}

/// The channel that a request asks for, if it is as it should be.
fn channel(head: &str) -> Option<&str> {
    let (target, headers) = head.split_once(" HTTP/1.1\r\n")?;
    let is_good = headers.starts_with("Host: 127.0.0.1:")
        && headers.contains("\r\nAccept: text/event-stream\r\n");
    target
        .strip_prefix("GET /events?channel=")
        .filter(|_| is_good)
}

fn refusal(mischief: Mischief) -> Option<&'static str> {
    match mischief {
        Mischief::Status("/events") => Some("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"),
        Mischief::Chunked => Some("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        Mischief::NoStream => Some("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"),
        _ => None,
    }
}

/// The stream and the number of the last event that a client has.
fn last_event(head: &str) -> Option<(usize, usize)> {
    let (_, id) = head.split_once("Last-Event-ID: s")?;
    let (stream, number) = id.trim_end().split_once('-')?;
    Some((stream.parse().ok()?, number.parse().ok()?))
}

fn join(
    state: &Mutex<State>,
    channel: &str,
    last: Option<(usize, usize)>,
) -> (usize, usize, Arc<Notify>) {
    if let Some((session, number)) = last {
        let wake = Arc::clone(&state.lock().unwrap().sessions[session].wake);
        // There may be events already.
        wake.notify_one();
        return (session, number, wake);
    }
    let session = Session {
        channel: Some(channel.to_owned()),
        ..Session::default()
    };
    let wake = Arc::clone(&session.wake);
    let mut state = state.lock().unwrap();
    state.sessions.push(session);
    (state.sessions.len() - 1, 0, wake)
}

fn block(session: usize, id: usize, event: &Value, mischief: Mischief) -> String {
    match mischief {
        Mischief::Ping => format!(":\n\n:\nid: s{session}-{id}\ndata: {event}\n\n"),
        _ => format!("id: s{session}-{id}\ndata: {event}\n\n"),
    }
}
