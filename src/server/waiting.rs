//! Messages that wait before they are processed, and replies that wait before they leave. Time does not
//! pass, but a test may say when a batch came.

use std::future::ready;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::*;
use crate::bayeux::{BayeuxError, ChannelName, Event, Limits, Reply};
use crate::extensions::{Extension, MessageInfo, Refusal, Wait};
use crate::metrics::Limit;
use crate::operations::Actor;
use crate::session::{Resume, Session, Settings, Stream};

type Answer = oneshot::Sender<Result<(), Refusal>>;

/// Lets a message wait as its `ext` says, each for its own answer.
#[derive(Debug, Clone, Default)]
struct Gate {
    admits: Arc<Mutex<Vec<Answer>>>,
    settles: Arc<Mutex<Vec<Answer>>>,
    /// Whose messages settled.
    settled: Arc<Mutex<Vec<Option<ClientId>>>>,
}

impl Gate {
    fn wait(message: &Message<'_>, name: &str, answers: &Mutex<Vec<Answer>>) -> Option<Wait> {
        match message.extension(name).map(RawValue::get)? {
            "\"yes\"" => Some(Box::pin(ready(Ok(())))),
            "\"no\"" => Some(Box::pin(ready(Err(no())))),
            "\"end\"" => Some(Box::pin(ready(Err(Refusal::Disconnect)))),
            "\"panic\"" => Some(Box::pin(async { panic!("it was told to") })),
            _ => {
                let (answer, answered) = oneshot::channel();
                answers.lock().expect("no panic").push(answer);
                Some(Box::pin(async { answered.await.expect("an answer") }))
            }
        }
    }

    fn take(answers: &Mutex<Vec<Answer>>) -> Vec<Answer> {
        std::mem::take(&mut *answers.lock().expect("no panic"))
    }
}

fn no() -> Refusal {
    Refusal::Failed("403::no".into())
}

impl Extension for Gate {
    fn may_wait(&self) -> bool {
        true
    }

    fn admit(&self, message: &Message<'_>, _: &MessageInfo) -> Option<Wait> {
        Self::wait(message, "admit", &self.admits)
    }

    fn settle(&self, message: &Message<'_>, info: &MessageInfo) -> Option<Wait> {
        let wait = Self::wait(message, "settle", &self.settles)?;
        self.settled.lock().expect("no panic").push(info.client_id);
        Some(wait)
    }

    fn incoming(&self, message: &mut Message<'_>, _: &MessageInfo) -> Result<(), Refusal> {
        match message.extension("refuse") {
            Some(_) => Err(Refusal::Disconnect),
            None => Ok(()),
        }
    }

    fn reply(&self, reply: &mut Reply<'_>, to: &Message<'_>, info: &MessageInfo) {
        if let Some(ext) = to.extension("echo") {
            reply.extend("echo", ext.get().to_owned());
            reply.extend("own", info.client_id.is_some().to_string());
        }
    }
}

struct Rig {
    server: BayeuxServer,
    gate: Gate,
    /// How long ago what is processed now came.
    ago: Duration,
}

/// Who sends.
#[derive(Default)]
struct By<'s> {
    stream: Option<&'s mut Stream>,
    may_be_held: bool,
    admitted: Verdicts,
}

impl Rig {
    fn new() -> Self {
        Self::of(10_000, vec![])
    }

    fn of(max_waiting: usize, more: Vec<Box<dyn Extension>>) -> Self {
        let gate = Gate::default();
        let mut row: Vec<Box<dyn Extension>> = vec![Box::new(gate.clone())];
        row.extend(more);
        let server = BayeuxServer::new(Parts {
            extensions: row.into(),
            waits: WaitBounds {
                max_waiting,
                ..WaitBounds::default()
            },
            ..Parts::default()
        });
        Self {
            server,
            gate,
            ago: Duration::ZERO,
        }
    }

    fn request<'r>(by: By<'r>) -> Request<'r> {
        Request {
            actor: Actor {
                may_be_held: by.may_be_held,
                is_request: true,
                ..Actor::default()
            },
            is_client_gone: &|| false,
            delivers_on_publish: true,
            stream: by.stream,
            aside: |work| work(),
            needs_own_handshake: false,
            admitted: by.admitted,
        }
    }

    fn admission(&self, text: &str) -> Option<Admission> {
        let mut request = Self::request(By::default());
        self.server
            .admission(&parsed(text), &mut request, now() - self.ago)
    }

    fn process<'a>(&self, text: &'a str, by: By<'_>) -> Outcome<'a> {
        self.server
            .process(&mut parsed(text), Self::request(by), now() - self.ago)
    }

    /// Admits and processes a batch; its replies.
    async fn pass(&self, text: &str) -> Vec<Value> {
        let admitted = match self.admission(text) {
            Some(admission) => admission.await,
            None => Verdicts::default(),
        };
        let by = By {
            admitted,
            ..By::default()
        };
        replies(&self.process(text, by))
    }

    fn conclude(&self, settled: Settled) -> Outcome<'static> {
        self.server.conclude(settled, &|| false, None, now())
    }

    /// Processes a batch whose replies wait, and are concluded when that is over.
    async fn settle(&self, text: &str) -> Outcome<'static> {
        let unsettled = self.process(text, By::default()).unsettled;
        self.conclude(unsettled.expect("it waits").await)
    }

    fn client(&self, acknowledges: bool) -> Client {
        let text = format!(
            r#"{{"channel":"/meta/handshake","version":"1.0","ext":{{"ack":{acknowledges}}}}}"#
        );
        let session = self.process(&text, By::default()).session;
        let session = session.expect("a session");
        let client = Client { session };
        let subscribe = client.says(json!({"channel": "/meta/subscribe", "subscription": "/a"}));
        self.process(&subscribe, By::default());
        client
    }

    /// Connects for the first time, which is answered at once.
    fn connected(&self, acknowledges: bool) -> Client {
        let client = self.client(acknowledges);
        self.process(
            &client.says(json!({"channel": "/meta/connect"})),
            By::default(),
        );
        client
    }

    /// Another client publishes.
    fn publish(&self, data: u32) {
        let text = self
            .client(false)
            .says(json!({"channel": "/a", "data": data}));
        self.process(&text, By::default());
    }

    fn waiting(&self) -> i64 {
        self.server.metrics().waiting_batches.value()
    }

    fn published(&self) -> u64 {
        self.server.metrics().published.value()
    }
}

struct Client {
    session: Arc<Session>,
}

impl Client {
    /// A message of its.
    fn message(&self, mut message: Value) -> Value {
        message["clientId"] = self.session.id().to_string().into();
        message
    }

    fn says(&self, message: Value) -> String {
        json!([self.message(message)]).to_string()
    }

    fn says_all<const N: usize>(&self, messages: [Value; N]) -> String {
        Value::from(messages.map(|message| self.message(message)).to_vec()).to_string()
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn parsed(text: &str) -> Vec<Message<'_>> {
    if text.starts_with('{') {
        return vec![serde_json::from_str(text).expect("a message")];
    }
    serde_json::from_str(text).expect("a batch")
}

fn replies(outcome: &Outcome<'_>) -> Vec<Value> {
    assert!(outcome.unsettled.is_none(), "it has to wait");
    let json = |reply: &Reply<'_>| {
        let mut out = Vec::new();
        reply.write(&mut out);
        serde_json::from_slice(&out).expect("JSON")
    };
    outcome.replies.iter().map(json).collect()
}

/// The errors of replies; nothing for a success.
fn errors(replies: &[Value]) -> Vec<Option<&str>> {
    replies
        .iter()
        .map(|reply| {
            let error = reply
                .get("error")
                .map(|error| error.as_str().expect("text"));
            assert_eq!(reply["successful"], error.is_none(), "{reply}");
            error
        })
        .collect()
}

fn data(events: &[Arc<Event>]) -> Vec<Value> {
    let data = |event: &Arc<Event>| -> Value {
        let event: Value = serde_json::from_slice(event.json()).expect("JSON");
        event["data"].clone()
    };
    events.iter().map(data).collect()
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn publish(admit: &str) -> Value {
    json!({"channel": "/b", "data": 1, "ext": {"admit": admit}})
}

fn stored(channel: &str) -> Value {
    json!({"channel": channel, "data": 1, "ext": {"settle": "wait"}})
}

const TIMED_OUT: Option<&str> = Some("503::wait_timed_out");

#[tokio::test]
async fn a_message_that_is_refused_after_a_wait_hides_none_of_its_batch() {
    let rig = Rig::new();
    let batch = rig
        .client(false)
        .says_all(["wait", "no", "wait", "yes"].map(publish));
    let mut admission = rig.admission(&batch).expect("it waits");
    assert!(poll(&mut admission).is_pending());
    let [first, third] = Gate::take(&rig.gate.admits).try_into().expect("two");
    third.send(Ok(())).expect("it waits");
    assert!(poll(&mut admission).is_pending());
    assert_eq!((rig.waiting(), rig.published()), (1, 0));
    first.send(Ok(())).expect("it waits");
    let admitted = admission.await;
    assert_eq!((rig.waiting(), rig.published()), (0, 0));
    let by = By {
        admitted,
        ..By::default()
    };
    let replies = replies(&rig.process(&batch, by));
    assert_eq!(errors(&replies), [None, Some("403::no"), None, None]);
    assert_eq!(rig.published(), 3);
}

#[tokio::test]
async fn what_waits_for_nothing_is_not_asked_to() {
    let rig = Rig::new();
    let client = rig.client(false);
    let plain = client.says(json!({"channel": "/b", "data": 1}));
    assert!(rig.admission(&plain).is_none());
    let outcome = rig.process(&plain, By::default());
    assert_eq!(errors(&replies(&outcome)), [None]);
    // Those beside a handshake are passed over.
    let beside = client.message(publish("wait"));
    let batch = json!([beside, {"channel": "/meta/handshake", "version": "1.0"}]);
    assert!(rig.admission(&batch.to_string()).is_none());
}

#[tokio::test]
async fn a_session_ends_whose_message_is_so_refused() {
    let rig = Rig::new();
    let client = rig.client(false);
    let [reply] = rig
        .pass(&client.says(publish("end")))
        .await
        .try_into()
        .expect("one");
    assert_eq!(reply["advice"]["reconnect"], "none");
    assert_eq!(rig.server.metrics().sessions.value(), 0);
}

#[tokio::test]
async fn a_handshake_that_is_refused_after_a_wait_makes_no_session() {
    let rig = Rig::new();
    let handshake = json!({"channel": "/meta/handshake", "version": "1.0", "ext": {"admit": "no"}});
    // Whatever stands before it, it is its own verdict that counts.
    let batch = json!([{"channel": "/b", "data": 1}, handshake]).to_string();
    let replies = rig.pass(&batch).await;
    assert_eq!(errors(&replies), [Some("403::no")]);
    assert_eq!(replies[0]["advice"]["reconnect"], "none");
    assert_eq!(rig.server.metrics().sessions.value(), 0);
}

#[tokio::test]
async fn a_wait_that_takes_too_long_fails_its_message() {
    let mut rig = Rig::new();
    let client = rig.client(false);
    let batch = client.says_all(["wait", "no", "yes"].map(publish));
    let stored = client.says(stored("/b"));
    let second = Duration::from_secs(1);
    rig.ago = WaitBounds::default().max_wait - second;
    assert!(poll(&mut rig.admission(&batch).expect("it waits")).is_pending());
    let mut unsettled = rig.process(&stored, By::default()).unsettled;
    assert!(poll(unsettled.as_mut().expect("it waits")).is_pending());
    Gate::take(&rig.gate.admits);
    Gate::take(&rig.gate.settles);

    rig.ago = WaitBounds::default().max_wait;
    let late = rig.pass(&batch).await;
    assert_eq!(errors(&late), [TIMED_OUT, Some("403::no"), None]);
    assert!(Gate::take(&rig.gate.admits)[0].is_closed());
    let outcome = rig.settle(&stored).await;
    assert_eq!(errors(&replies(&outcome)), [TIMED_OUT]);
    assert!(Gate::take(&rig.gate.settles)[0].is_closed());
    assert_eq!(rig.server.metrics().limit_count(Limit::MaxWait), 2);
    drop(unsettled);
    assert_eq!(rig.waiting(), 0);
}

#[tokio::test]
async fn so_many_batches_may_wait() {
    const FULL: Option<&str> = Some("503::too_many_waiting");
    let rig = Rig::of(1, vec![]);
    let client = rig.client(false);
    let batch = client.says_all(["wait", "yes"].map(publish));
    let first = rig.admission(&batch).expect("it waits");
    let plain = client.message(json!({"channel": "/b", "data": 1}));
    let mixed = json!([plain, client.message(publish("wait"))]).to_string();
    assert_eq!(errors(&rig.pass(&mixed).await), [None, FULL]);
    let unsettled = client.says_all([json!({"channel": "/b", "data": 1}), stored("/b")]);
    let outcome = rig.settle(&unsettled).await;
    assert_eq!(errors(&replies(&outcome)), [None, FULL]);
    assert_eq!(rig.server.metrics().limit_count(Limit::MaxWaiting), 2);
    assert_eq!(rig.waiting(), 1);
    drop(first);
    assert_eq!(
        errors(&rig.pass(&client.says(publish("yes"))).await),
        [None]
    );
    assert_eq!(rig.waiting(), 0);
}

#[tokio::test]
async fn what_a_client_that_is_gone_waited_for_is_given_up() {
    let rig = Rig::new();
    let client = rig.client(false);
    let batch = client.says(publish("wait"));
    let mut admission = rig.admission(&batch).expect("it waits");
    assert!(poll(&mut admission).is_pending());
    drop(admission);
    assert!(Gate::take(&rig.gate.admits)[0].is_closed());
    assert_eq!((rig.waiting(), rig.published()), (0, 0));

    let batch = client.says(stored("/a"));
    let mut unsettled = rig
        .process(&batch, By::default())
        .unsettled
        .expect("it waits");
    assert!(poll(&mut unsettled).is_pending());
    assert_eq!((rig.waiting(), rig.published()), (1, 1));
    drop(unsettled);
    assert!(Gate::take(&rig.gate.settles)[0].is_closed());
    assert_eq!(rig.waiting(), 0);
    // Its event is still there.
    let connect = client.says(json!({"channel": "/meta/connect"}));
    assert_eq!(data(&rig.process(&connect, By::default()).events), [1]);
}

#[tokio::test]
async fn an_extension_that_panics_fails_its_message_only() {
    let failed = Some(BayeuxError::ExtensionFailed.text());
    let rig = Rig::new();
    let client = rig.client(false);
    let batch = client.says_all(["yes", "panic", "yes"].map(publish));
    assert_eq!(errors(&rig.pass(&batch).await), [None, failed, None]);
    let panics = json!({"channel": "/b", "data": 1, "ext": {"settle": "panic"}});
    let outcome = rig.settle(&client.says_all([panics, publish("yes")])).await;
    assert_eq!(errors(&replies(&outcome)), [failed, None]);
    assert_eq!(rig.waiting(), 0);
}

#[tokio::test]
async fn the_row_is_waited_for_one_after_the_other() {
    let second = Gate::default();
    let rig = Rig::of(10, vec![Box::new(second.clone())]);
    let batch = rig.client(false).says_all(["wait", "wait"].map(publish));
    let mut admission = rig.admission(&batch).expect("it waits");
    let [first, other] = Gate::take(&rig.gate.admits).try_into().expect("two");
    first.send(Ok(())).expect("it waits");
    other.send(Err(no())).expect("it waits");
    assert!(poll(&mut admission).is_pending());
    let [first, other] = Gate::take(&second.admits).try_into().expect("two");
    assert!(other.is_closed(), "the first has refused it");
    first.send(Err(no())).expect("it waits");
    let Poll::Ready(verdicts) = poll(&mut admission) else {
        panic!("it is over");
    };
    assert_eq!(Vec::from_iter(verdicts), [(0, no()), (1, no())]);
}

#[tokio::test]
async fn replies_leave_together_and_in_order() {
    let rig = Rig::new();
    let client = rig.client(false);
    let subscribe = json!({"channel": "/meta/subscribe", "subscription": ["/x"], "id": "7",
        "ext": {"settle": "no", "echo": [1]}});
    let other = json!({"channel": "/b", "data": 1, "clientId": "nobody", "id": 2});
    let batch = json!([
        client.message(stored("/b")),
        other,
        client.message(subscribe)
    ])
    .to_string();
    let mut outcome = rig.process(&batch, By::default());
    assert!(outcome.replies.is_empty() && outcome.events.is_empty());
    assert_eq!(
        outcome.session.as_ref().map(|s| s.id()),
        Some(client.session.id())
    );
    let mut unsettled = outcome.unsettled.take().expect("it waits");
    assert!(poll(&mut unsettled).is_pending());
    let [first] = Gate::take(&rig.gate.settles).try_into().expect("one");
    first.send(Ok(())).expect("it waits");
    let replies = replies(&rig.conclude(unsettled.await));
    let unknown = Some("402::session_unknown");
    assert_eq!(errors(&replies), [None, unknown, Some("403::no")]);
    assert_eq!(replies[1]["id"], 2);
    let expected = json!({"successful": false, "channel": "/meta/subscribe", "id": "7",
        "subscription": ["/x"], "error": "403::no", "ext": {"echo": [1], "own": true}});
    assert_eq!(replies[2], expected, "as a refusal of the message itself");
}

#[tokio::test]
async fn what_fails_or_is_refused_settles_nothing() {
    let rig = Rig::new();
    let client = rig.client(false);
    let ext = json!({"settle": "wait"});
    let no_data = json!({"channel": "/b", "ext": ext});
    let connect = json!({"channel": "/meta/connect", "ext": ext});
    let refused = json!({"channel": "/b", "data": 1, "ext": {"settle": "wait", "refuse": 1}});
    let batch = client.says_all([no_data, connect, refused]);
    let outcome = rig.process(&batch, By::default());
    assert_eq!(replies(&outcome).len(), 3);
    assert!(Gate::take(&rig.gate.settles).is_empty());
}

#[tokio::test]
async fn a_session_begins_when_its_handshake_is_settled() {
    let rig = Rig::new();
    let text = json!({"channel": "/meta/handshake", "version": "1.0", "ext": {"settle": "wait"}});
    let text = text.to_string();
    for verdict in [Ok(()), Err(no())] {
        let mut stream = Stream::opened(now());
        let by = By {
            stream: Some(&mut stream),
            ..By::default()
        };
        let outcome = rig.process(&text, by);
        let session = outcome.session.expect("a session");
        let settled = std::mem::take(&mut *rig.gate.settled.lock().expect("no panic"));
        assert_eq!(settled, [Some(session.id())]);
        assert!(!stream.is_of(&session), "no event leaves before");
        let [answer] = Gate::take(&rig.gate.settles).try_into().expect("one");
        answer.send(verdict.clone()).expect("it waits");
        let settled = outcome.unsettled.expect("it waits").await;
        let stream_of = Some(&mut stream);
        let outcome = rig.server.conclude(settled, &|| false, stream_of, now());
        let [reply] = replies(&outcome).try_into().expect("one");
        let is_there = verdict.is_ok();
        assert_eq!(outcome.session.is_some(), is_there);
        assert_eq!(outcome.new_cookie.is_some(), is_there);
        assert_eq!(stream.is_of(&session), is_there);
        assert_eq!(reply.get("clientId").is_some(), is_there);
        if !is_there {
            assert_eq!(errors(std::slice::from_ref(&reply)), [Some("403::no")]);
            assert_eq!(reply["advice"]["reconnect"], "none");
        }
    }
    assert_eq!(rig.server.metrics().sessions.value(), 1);
}

#[tokio::test]
async fn a_disconnect_whose_settlement_fails_has_ended_the_session_all_the_same() {
    let rig = Rig::new();
    let client = rig.client(false);
    let disconnect = json!({"channel": "/meta/disconnect", "ext": {"settle": "no"}});
    let outcome = rig.settle(&client.says(disconnect)).await;
    let replies = replies(&outcome);
    assert_eq!(errors(&replies), [Some("403::no")]);
    assert_eq!(replies[0]["advice"]["reconnect"], "none");
    assert_eq!(rig.server.metrics().sessions.value(), 0);
}

#[tokio::test]
async fn events_of_the_meantime_go_with_the_connect_of_the_batch_and_its_number() {
    for acknowledges in [false, true] {
        let rig = Rig::new();
        let client = rig.connected(acknowledges);
        rig.publish(1);
        let batch = client.says_all([json!({"channel": "/meta/connect"}), stored("/b")]);
        let mut unsettled = rig
            .process(&batch, By::default())
            .unsettled
            .expect("it waits");
        assert!(poll(&mut unsettled).is_pending());
        rig.publish(2);
        let [answer] = Gate::take(&rig.gate.settles).try_into().expect("one");
        answer.send(Ok(())).expect("it waits");
        let outcome = rig.conclude(unsettled.await);
        assert_eq!(data(&outcome.events), [1, 2]);
        assert!(outcome.in_flight.is_some());
        let number = if acknowledges { json!(2) } else { Value::Null };
        let [reply, _] = replies(&outcome).try_into().expect("two");
        assert_eq!(reply["ext"]["ack"], number);

        // Nothing is repeated to who has it.
        let connect = client.says(json!({"channel": "/meta/connect", "ext": {"ack": number}}));
        drop(outcome);
        rig.publish(3);
        let outcome = rig.process(&connect, By::default());
        assert_eq!(data(&outcome.events), [3]);
    }
}

#[tokio::test]
async fn a_connect_that_came_meanwhile_takes_the_events() {
    for acknowledges in [false, true] {
        let rig = Rig::new();
        let client = rig.connected(acknowledges);
        let batch = client.says_all([json!({"channel": "/meta/connect"}), stored("/b")]);
        let mut unsettled = rig
            .process(&batch, By::default())
            .unsettled
            .expect("it waits");
        assert!(poll(&mut unsettled).is_pending());
        let by = By {
            may_be_held: true,
            ..By::default()
        };
        let connect = client.says(json!({"channel": "/meta/connect"}));
        let mut held = rig.process(&connect, by).held.expect("nothing to take");
        rig.publish(1);
        let context = &mut Context::from_waker(Waker::noop());
        let Poll::Ready(Resume::Answer { .. }) = held.poll_resumed(now, context) else {
            panic!("it is held back by a batch that is over");
        };
        let (taken, _) = held
            .answer(Resume::Answer { advise: false })
            .expect("an answer");
        assert_eq!(data(&taken.events), [1]);
        let [answer] = Gate::take(&rig.gate.settles).try_into().expect("one");
        answer.send(Ok(())).expect("it waits");
        let outcome = rig.conclude(unsettled.await);
        assert_eq!(data(&outcome.events), [Value::Null; 0]);
        assert_eq!(replies(&outcome)[0].get("ext"), None, "it has no number");
    }
}

#[tokio::test]
async fn a_client_that_is_gone_gets_no_events() {
    let rig = Rig::new();
    let client = rig.connected(false);
    rig.publish(1);
    let batch = client.says_all([json!({"channel": "/meta/connect"}), stored("/b")]);
    let unsettled = rig
        .process(&batch, By::default())
        .unsettled
        .expect("it waits");
    let [answer] = Gate::take(&rig.gate.settles).try_into().expect("one");
    answer.send(Ok(())).expect("it waits");
    let settled = unsettled.await;
    let outcome = rig.server.conclude(settled, &|| true, None, now());
    assert_eq!(data(&outcome.events), [Value::Null; 0]);
    assert_eq!(client.session.kept(), 1);
}

#[tokio::test]
async fn a_session_lives_while_its_client_waits() {
    let max_interval = Settings::default().max_interval;
    let rig = Rig::new();
    let client = rig.client(false);
    let begun = now();
    let expires = |rig: &Rig, after: Duration| {
        let now = begun + after;
        rig.server.fire_due(now);
        rig.server.metrics().sessions.value() == 0
    };
    let batch = client.says(publish("wait"));
    let admission = rig.admission(&batch).expect("it waits");
    assert!(!expires(&rig, max_interval + Duration::from_secs(1)));
    drop(admission);
    let handshake =
        json!({"channel": "/meta/handshake", "version": "1.0", "ext": {"settle": "wait"}});
    let handshake = handshake.to_string();
    let outcome = rig.process(&handshake, By::default());
    assert!(
        !expires(&rig, 20 * max_interval),
        "but the other has expired"
    );
    assert_eq!(rig.server.metrics().sessions.value(), 1);
    drop(outcome);
    assert!(expires(&rig, 21 * max_interval));
}

/// Has everything wait.
#[derive(Debug)]
struct Slow;

impl Extension for Slow {
    fn may_wait(&self) -> bool {
        true
    }

    fn admit(&self, _: &Message<'_>, _: &MessageInfo) -> Option<Wait> {
        Some(Box::pin(ready(Ok(()))))
    }
}

#[tokio::test]
async fn what_stands_for_messages_waits_as_these_would() {
    let rig = Rig::of(10, vec![Box::new(Slow)]);
    let id = rig.client(false).session.id();
    let unknown = ClientId(random_id());
    let channel = ChannelName::parse("/a", &Limits::default()).expect("a channel");
    let channels = ["/a".into()];
    for (implied, waits) in [
        (Implied::Begun(&channels), true),
        (Implied::Continued(&channels, id), true),
        // The session is not there: something else is done, and asked about.
        (Implied::Continued(&channels, unknown), false),
        (Implied::Joined(id), true),
        (Implied::Joined(unknown), false),
        (Implied::Read(&channel), true),
        (Implied::Changed(&channel, Some(b"1")), true),
        (Implied::Changed(&channel, None), true),
        // It fails in any case.
        (Implied::Changed(&channel, Some(b"no JSON")), false),
    ] {
        let actor = Actor::default();
        let admission =
            rig.server
                .implied_admission(&implied, &actor, &mut Verdicts::default(), now());
        assert_eq!(admission.is_some(), waits, "{implied:?}");
        assert_eq!(
            rig.server.metrics().waiting_batches.value(),
            i64::from(waits)
        );
        let none = Rig::new();
        let admission =
            none.server
                .implied_admission(&implied, &actor, &mut Verdicts::default(), now());
        assert!(admission.is_none(), "{implied:?}");
    }
}
