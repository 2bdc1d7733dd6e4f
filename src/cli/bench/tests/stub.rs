//! A Bayeux server just good enough to be loaded, which can misbehave in one chosen way.

mod event_source;
mod websocket;
mod xhr_streaming;

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// How long a connect is held.
const HOLD: Duration = Duration::from_secs(20);
const SHORT_HOLD: Duration = Duration::from_millis(50);

/// How the stub misbehaves; numbered messages are those to the first subscriber.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mischief {
    None,
    Lose(usize),
    Repeat(usize),
    /// Delivers a message after the next one.
    Reorder(usize),
    /// Delivers a message to the subscribers of other channels, too.
    Stray(usize),
    /// Refuses clients that come back.
    Forget,
    /// Answers the first publish only after this many milliseconds.
    Stall(u64),
    /// Answers `successful: false` on channels that begin so.
    Refuse(&'static str),
    /// Answers 503 on channels that begin so.
    Status(&'static str),
    /// Never answers on channels that begin so.
    Silent(&'static str),
    /// Closes the connection instead of answering on channels that begin so.
    Hangup(&'static str),
    /// Closes the connection of each parked connect.
    DropParked,
    /// Answers without counting the body.
    Chunked,
    /// Sends streams in chunks that end anywhere, as a proxy may.
    Recut,
    /// Sends responses in small pieces.
    Dribble,
    /// Answers connects that have nothing after a short while.
    ShortHold,
    /// Refuses to go over to WebSocket.
    NoUpgrade,
    /// Agrees to another key's upgrade.
    WrongKey,
    /// Sends a close frame instead of answering on channels that begin so.
    CloseFrame(&'static str),
    /// Sends a ping before each message, or comments, or line ends.
    Ping,
    /// Sends a binary message instead of answering.
    Binary,
    /// Answers with something else than an event stream.
    NoStream,
    /// Says at the beginning of an event stream that events are gone.
    Gap,
    /// Leaves out an id of the first event stream.
    SkipId,
    /// Ends the stream of a connect without its reply.
    NoReply,
}

#[derive(Default)]
struct Session {
    channel: Option<String>,
    is_connected: bool,
    queue: VecDeque<Value>,
    wake: Arc<Notify>,
}

#[derive(Default)]
struct State {
    sessions: Vec<Session>,
    published: usize,
    held_back: Option<Value>,
    connects: usize,
    pings: usize,
    pongs: usize,
    complaint: Option<String>,
}

pub(super) struct Stub {
    pub(super) url: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stub {
    pub(super) async fn start(mischief: Mischief) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/cometd", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared), mischief));
            }
        });
        Self { url, state, task }
    }

    /// What was wrong with a request, if anything was.
    pub(super) fn complaint(&self) -> Option<String> {
        self.state.lock().unwrap().complaint.take()
    }

    /// How many connects have come.
    pub(super) fn connects(&self) -> usize {
        self.state.lock().unwrap().connects
    }

    /// How many messages were published.
    pub(super) fn published(&self) -> usize {
        self.state.lock().unwrap().published
    }

    /// How many pings went out, and how many pongs came for them.
    pub(super) fn pings_and_pongs(&self) -> (usize, usize) {
        let state = self.state.lock().unwrap();
        (state.pings, state.pongs)
    }

    /// How many sessions there are, those of event streams among them.
    pub(super) fn sessions(&self) -> usize {
        self.state.lock().unwrap().sessions.len()
    }

    /// How many different channels are subscribed to.
    pub(super) fn channels(&self) -> usize {
        let state = self.state.lock().unwrap();
        let channels = state
            .sessions
            .iter()
            .filter_map(|session| session.channel.as_ref());
        channels.collect::<HashSet<_>>().len()
    }
}

/// Serves one connection until it ends or the mischief ends it.
async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>, mischief: Mischief) {
    let mut buffer = Vec::new();
    while let Some((head, messages)) = read_request(&mut stream, &mut buffer).await {
        if head.starts_with("GET ") && !head.starts_with("GET /cometd ") {
            event_source::serve(stream, &head, &state, mischief).await;
            return;
        }
        if head.starts_with("GET ") {
            websocket::serve(stream, &head, &state, mischief).await;
            return;
        }
        let channel = messages[0]["channel"].as_str().unwrap().to_owned();
        let is_hit = |prefix: &str| channel.starts_with(prefix);
        match mischief {
            Mischief::Silent(prefix) if is_hit(prefix) => std::future::pending().await,
            Mischief::Hangup(prefix) if is_hit(prefix) => return,
            Mischief::Chunked => {
                let response = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n";
                stream.write_all(response.as_bytes()).await.unwrap();
                continue;
            }
            Mischief::Stall(milliseconds)
                if is_hit("/bench/") && state.lock().unwrap().published == 0 =>
            {
                tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            }
            Mischief::Status(prefix) if is_hit(prefix) => {
                let response = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy";
                stream.write_all(response.as_bytes()).await.unwrap();
                continue;
            }
            _ => {}
        }
        let number = client(&messages[0]);
        if let Some(number) = number
            && !head.contains(&format!("Cookie: STUB=s{number}\r\n"))
        {
            state.lock().unwrap().complaint = Some(head.clone());
        }
        let (mut replies, is_good) = answer_all(&state, &messages, mischief);
        if is_good && channel == "/meta/connect" {
            let number = number.unwrap();
            let is_at_once = messages[0]["advice"]["timeout"] == 0;
            if !is_at_once && mischief == Mischief::DropParked {
                return;
            }
            if !is_at_once && messages[0]["connectionType"] == "xhr-streaming" {
                xhr_streaming::serve(stream, &replies[0], &state, number, mischief).await;
                return;
            }
            let held = tokio::select! {
                biased;
                () = gone(&stream) => None,
                events = hold(&state, number, is_at_once, mischief) => Some(events),
            };
            let Some(mut events) = held else { return };
            events.append(&mut replies);
            replies = events;
        }
        respond(&mut stream, &Value::Array(replies), mischief).await;
    }
}

/// Waits until a client has closed its connection.
async fn gone(stream: &TcpStream) {
    while let Ok(1..) = stream.peek(&mut [0]).await {
        // A request behind the one that is answered stays where it is.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The number of the session that sent a message.
fn client(message: &Value) -> Option<usize> {
    let id = message["clientId"].as_str()?;
    Some(id[1..].parse().unwrap())
}

/// The replies to a batch, and whether they are as they should be.
fn answer_all(state: &Mutex<State>, messages: &[Value], mischief: Mischief) -> (Vec<Value>, bool) {
    let channel = &messages[0]["channel"];
    let is_refused = match mischief {
        Mischief::Refuse(prefix) => channel.as_str().unwrap().starts_with(prefix),
        Mischief::Forget => {
            messages[0]["advice"]["timeout"] == 0
                && client(&messages[0])
                    .is_some_and(|number| state.lock().unwrap().sessions[number].is_connected)
        }
        _ => false,
    };
    if is_refused {
        let error = "402::session_unknown";
        let reply = json!({"channel": channel, "successful": false, "error": error});
        return (vec![reply], false);
    }
    let replies = messages.iter().map(|message| {
        let mut reply = answer(state, message, mischief);
        reply["id"] = message["id"].clone();
        reply
    });
    (replies.collect(), true)
}

/// Reads one request that carries an array of messages, or none if it is a GET.
async fn read_request(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> Option<(String, Vec<Value>)> {
    loop {
        let text = String::from_utf8_lossy(buffer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            if head.starts_with("GET ") {
                return Some((format!("{head}\r\n"), Vec::new()));
            }
            let (_, length) = head.split_once("Content-Length: ").unwrap();
            let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
            if body.len() >= length {
                let messages = serde_json::from_str(&body[..length]).unwrap();
                let (head, used) = (format!("{head}\r\n"), head.len() + 4 + length);
                buffer.drain(..used);
                return Some((head, messages));
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// Does what a message asks and returns the reply to it.
fn answer(state: &Mutex<State>, message: &Value, mischief: Mischief) -> Value {
    let mut state = state.lock().unwrap();
    let channel = message["channel"].as_str().unwrap();
    let mut reply = json!({"channel": channel, "successful": true});
    let client = client(message);
    match channel {
        "/meta/handshake" => {
            reply["clientId"] = format!("c{}", state.sessions.len()).into();
            state.sessions.push(Session::default());
        }
        "/meta/connect" => {
            state.connects += 1;
            let session = &mut state.sessions[client.unwrap()];
            let is_first = !std::mem::replace(&mut session.is_connected, true);
            // Later ones are so when a client comes back.
            if is_first && message["advice"]["timeout"] != 0 {
                state.complaint = Some(message.to_string());
            }
        }
        "/meta/subscribe" => {
            let subscription = message["subscription"].as_str().unwrap().to_owned();
            state.sessions[client.unwrap()].channel = Some(subscription);
        }
        _ => publish(&mut state, channel, &message["data"], mischief),
    }
    reply
}

fn publish(state: &mut State, channel: &str, data: &Value, mischief: Mischief) {
    let number = state.published;
    state.published += 1;
    let event = json!({"channel": channel, "data": data});
    let held_back = state.held_back.take();
    let mut is_first = true;
    for session in &mut state.sessions {
        if session.channel.as_deref() != Some(channel) {
            if session.channel.is_some() && mischief == Mischief::Stray(number) {
                session.queue.push_back(event.clone());
                session.wake.notify_one();
            }
            continue;
        }
        match mischief {
            Mischief::Lose(which) if is_first && which == number => {}
            Mischief::Reorder(which) if is_first && which == number => {
                state.held_back = Some(event.clone());
            }
            Mischief::Repeat(which) if is_first && which == number => {
                session.queue.extend([event.clone(), event.clone()]);
            }
            _ => session.queue.push_back(event.clone()),
        }
        if is_first {
            session.queue.extend(held_back.clone());
        }
        is_first = false;
        session.wake.notify_one();
    }
}

/// Holds a connect until there are events, and returns them.
async fn hold(
    state: &Mutex<State>,
    number: usize,
    is_at_once: bool,
    mischief: Mischief,
) -> Vec<Value> {
    let hold = match mischief {
        Mischief::ShortHold => SHORT_HOLD,
        _ => HOLD,
    };
    let wake = Arc::clone(&state.lock().unwrap().sessions[number].wake);
    let events = || -> Vec<_> {
        state.lock().unwrap().sessions[number]
            .queue
            .drain(..)
            .collect()
    };
    let held = async {
        loop {
            let events = events();
            if is_at_once || !events.is_empty() {
                return events;
            }
            wake.notified().await;
        }
    };
    tokio::time::timeout(hold, held).await.unwrap_or_default()
}

async fn respond(stream: &mut TcpStream, replies: &Value, mischief: Mischief) {
    let body = replies.to_string();
    let cookie = match replies[0]["clientId"].as_str() {
        Some(id) => format!("Set-Cookie: STUB=s{}; Path=/\r\n", &id[1..]),
        None => String::new(),
    };
    let length = body.len();
    let response = format!("HTTP/1.1 200 OK\r\n{cookie}Content-Length: {length}\r\n\r\n{body}");
    write(stream, &response, mischief).await;
}

/// Writes text; false when the client is gone, as it may be when a test ends.
async fn write(stream: &mut TcpStream, text: &str, mischief: Mischief) -> bool {
    let piece = match mischief {
        Mischief::Dribble => 700,
        _ => text.len(),
    };
    for piece in text.as_bytes().chunks(piece) {
        if stream.write_all(piece).await.is_err() {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}
