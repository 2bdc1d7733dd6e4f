//! Messages that wait before they are processed, and replies that wait before they leave, by every transport.

mod bounds;
mod ends;
mod implied;
mod order;
mod replies;

use std::sync::{Arc, Mutex};

use mirant::bayeux::Message;
use mirant::extensions::{Extension, MessageInfo, Refusal, Wait};
use mirant::run::Additions;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::support::{
    Client, Embedded, Http, Request, TestServer, WebSocket, percent, until, within,
};

/// What a message waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Admit,
    Settle,
}

use Stage::{Admit, Settle};

impl Stage {
    /// The `ext` of a message that waits for it.
    fn ext(self) -> Value {
        match self {
            Admit => json!({"admit": true}),
            Settle => json!({"settle": true}),
        }
    }
}

/// A message that waits, until the test says how it goes on.
#[derive(Debug)]
struct Waiter {
    stage: Stage,
    channel: String,
    verdict: oneshot::Sender<Result<(), Refusal>>,
}

impl Waiter {
    fn pass(self) {
        self.verdict.send(Ok(())).unwrap();
    }

    fn refuse(self) {
        self.verdict.send(Err(no())).unwrap();
    }

    fn disconnect(self) {
        self.verdict.send(Err(Refusal::Disconnect)).unwrap();
    }

    /// Waits until nobody waits for it any more.
    async fn given_up(mut self) {
        within(self.verdict.closed()).await;
    }
}

fn no() -> Refusal {
    Refusal::Failed("403::no".into())
}

/// Lets those messages wait whose `ext` says so, or at one stage all.
#[derive(Debug)]
struct Porter {
    asked: mpsc::UnboundedSender<Waiter>,
    all_at: Arc<Mutex<Option<Stage>>>,
}

impl Porter {
    fn wait(&self, stage: Stage, message: &Message<'_>) -> Option<Wait> {
        let name = match stage {
            Admit => "admit",
            Settle => "settle",
        };
        if *self.all_at.lock().unwrap() != Some(stage) {
            message.extension(name)?;
        }
        let (verdict, given) = oneshot::channel();
        let channel = message.channel_text().unwrap().into_owned();
        let waiter = Waiter {
            stage,
            channel,
            verdict,
        };
        self.asked.send(waiter).unwrap();
        Some(Box::pin(async { given.await.unwrap() }))
    }
}

impl Extension for Porter {
    fn may_wait(&self) -> bool {
        true
    }

    fn admit(&self, message: &Message<'_>, _: &MessageInfo) -> Option<Wait> {
        self.wait(Admit, message)
    }

    fn settle(&self, message: &Message<'_>, _: &MessageInfo) -> Option<Wait> {
        self.wait(Settle, message)
    }

    fn incoming(&self, message: &mut Message<'_>, _: &MessageInfo) -> Result<(), Refusal> {
        match message.extension("incoming").map(RawValue::get) {
            Some(_) => Err(Refusal::Failed("403::incoming".into())),
            None => Ok(()),
        }
    }
}

/// A server whose messages wait, and who waits.
struct House {
    server: TestServer,
    waiters: mpsc::UnboundedReceiver<Waiter>,
    all_at: Arc<Mutex<Option<Stage>>>,
}

impl House {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(set: &[&str]) -> Self {
        let (asked, waiters) = mpsc::unbounded_channel();
        let all_at = Arc::<Mutex<Option<Stage>>>::default();
        let porter = Porter {
            asked,
            all_at: Arc::clone(&all_at),
        };
        let additions = Additions {
            extensions: vec![Box::new(porter)],
            ..Additions::default()
        };
        Self {
            server: TestServer::start_with(set, additions),
            waiters,
            all_at,
        }
    }

    /// From now on all messages wait at this stage, whatever they say; or none does.
    fn all_wait(&self, stage: Option<Stage>) {
        *self.all_at.lock().unwrap() = stage;
    }

    /// The next that waits.
    async fn waiter(&mut self) -> Waiter {
        within(self.waiters.recv()).await.unwrap()
    }

    /// The next that waits, which is known.
    async fn waiter_at(&mut self, stage: Stage, channel: &str) -> Waiter {
        let waiter = self.waiter().await;
        assert_eq!((waiter.stage, &*waiter.channel), (stage, channel));
        waiter
    }

    /// Tells that nobody waits but those that were taken.
    fn has_no_waiter(&mut self) -> bool {
        self.waiters.is_empty()
    }

    fn waiting(&self) -> i64 {
        self.server.metrics().waiting_batches.value()
    }

    /// Waits until so many batches wait.
    async fn waits(&self, batches: i64) {
        until(|| self.waiting() == batches).await;
    }

    fn published(&self) -> u64 {
        self.server.metrics().published.value()
    }

    /// A client by WebSocket that is subscribed to all channels.
    async fn subscriber(&self) -> WebSocket {
        let mut subscriber = WebSocket::client(self.server.address).await;
        subscriber.subscribe("/**").await;
        subscriber
    }
}

/// A publish, which waits for these.
fn publish(channel: &str, stages: &[Stage]) -> Value {
    let mut message = json!({"channel": channel, "data": channel, "ext": {}});
    for stage in stages {
        for (name, value) in stage.ext().as_object().unwrap() {
            message["ext"][name] = value.clone();
        }
    }
    message
}

/// The channels of the next events, one a frame.
async fn channels<const N: usize>(subscriber: &mut WebSocket) -> [String; N] {
    let mut channels = std::array::from_fn(|_| String::new());
    for channel in &mut channels {
        let event = subscriber.message().await;
        event["channel"].as_str().unwrap().clone_into(channel);
    }
    channels
}

/// By what messages come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    LongPolling,
    Form,
    CallbackPolling,
    Embedded,
    WebSocket,
}

impl Way {
    const ALL: [Self; 5] = [
        Self::LongPolling,
        Self::Form,
        Self::CallbackPolling,
        Self::Embedded,
        Self::WebSocket,
    ];
}

/// A client with a session, and one connection.
struct Sender {
    client: Client,
    line: Line,
}

enum Line {
    Http(Http, Way),
    Embedded(Embedded),
    WebSocket(WebSocket),
}

impl Sender {
    async fn new(server: &TestServer, way: Way) -> Self {
        let client = server.client().await;
        let line = match way {
            Way::WebSocket => {
                let socket = WebSocket::client(server.address).await;
                Line::WebSocket(socket)
            }
            Way::Embedded => Line::Embedded(Embedded::two_way(server.address).await),
            way => Line::Http(server.open().await, way),
        };
        Self { client, line }
    }

    /// Sends a batch, and does not wait.
    async fn send<const N: usize>(&mut self, messages: [Value; N]) {
        let id = match &self.line {
            Line::WebSocket(socket) => &socket.id,
            _ => &self.client.id,
        };
        let batch: Vec<Value> = messages
            .into_iter()
            .map(|mut message| {
                message["clientId"] = json!(id);
                message
            })
            .collect();
        let text = Value::from(batch).to_string();
        match &mut self.line {
            Line::WebSocket(socket) => socket.text(&text).await,
            Line::Embedded(embedded) => embedded.request(&self.client.request(text)).await,
            Line::Http(http, way) => {
                let request = request(*way, &self.client, &text);
                http.send(request.bytes()).await;
            }
        }
    }

    /// The replies to a batch.
    async fn replies(&mut self) -> Vec<Value> {
        match &mut self.line {
            Line::WebSocket(socket) => socket.messages().await,
            Line::Embedded(embedded) => embedded.next().await.messages(),
            Line::Http(http, Way::CallbackPolling) => http.response().await.messages_for("cb"),
            Line::Http(http, _) => http.response().await.messages(),
        }
    }

    /// Ends the connection.
    fn leave(self) {
        match self.line {
            Line::WebSocket(socket) => socket.reset(),
            Line::Embedded(embedded) => embedded.outer.http.reset(),
            Line::Http(http, _) => http.reset(),
        }
    }
}

fn request(way: Way, client: &Client, text: &str) -> Request {
    match way {
        Way::CallbackPolling => client.with_cookie(Request::jsonp("cb", text)),
        Way::Form => client
            .request(format!("message={}", percent(text)))
            .header("Content-Type", "application/x-www-form-urlencoded"),
        _ => client.request(text),
    }
}
