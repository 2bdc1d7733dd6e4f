//! What a program can add to the server that it is built on: extensions and handlers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mirant::bayeux::{ChannelName, ChannelPattern, ClientId, Draft, Event, Limits, Message, Reply};
use mirant::extensions::{Begun, Extension, MessageInfo, Refusal};
use mirant::run::Additions;
use mirant::services::{Call, Handler};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::{Client, Request, TestServer, only};

fn with(extension: impl Extension + 'static) -> TestServer {
    TestServer::start_with(
        &["bayeux.allow_message_delivery_during_handshake=true"],
        Additions {
            extensions: vec![Box::new(extension)],
            handlers: Vec::new(),
        },
    )
}

/// Refuses what says so.
#[derive(Debug)]
struct Refusing;

impl Extension for Refusing {
    fn incoming(&self, message: &mut Message<'_>, info: &MessageInfo) -> Result<(), Refusal> {
        if message.extension("end").is_some() {
            assert!(info.client_id.is_some());
            return Err(Refusal::Disconnect);
        }
        match message.extension("bad") {
            Some(_) => Err(Refusal::Failed("403:\"x\":bad".into())),
            None => Ok(()),
        }
    }
}

#[tokio::test]
async fn a_publish_without_a_session_passes_the_extensions_too() {
    let additions = Additions {
        extensions: vec![Box::new(Refusing)],
        handlers: Vec::new(),
    };
    let server = TestServer::start_with(&["bayeux.publish_without_session=true"], additions);
    let mut subscriber = server.client().await;
    subscriber.subscribe("/a").await;
    for (ext, error) in [
        (json!({"bad": 1}), Some("403:\"x\":bad")),
        (json!({}), None),
    ] {
        let message = json!({"channel": "/a", "data": 1, "ext": ext});
        let reply = only(server.post(message.to_string()).await.messages());
        assert_eq!(reply.get("error"), error.map(Value::from).as_ref());
    }
    assert_eq!(subscriber.queued().await.len(), 1);
}

#[tokio::test]
async fn a_refused_message_fails_with_the_extension_s_error_and_does_nothing() {
    let server = with(Refusing);
    let mut client = server.client().await;
    let bad = json!({"bad": true});
    let subscribe = json!({"channel": "/meta/subscribe", "subscription": "/a", "ext": bad});
    let publish = json!({"channel": "/a", "data": 1, "ext": bad});
    let good = json!({"channel": "/meta/subscribe", "subscription": "/b"});
    let replies = client.send([subscribe, publish, good]).await;
    for reply in &replies[..2] {
        assert_eq!(reply["successful"], false);
        assert_eq!(reply["error"], "403:\"x\":bad");
    }
    assert_eq!(
        replies[2]["successful"], true,
        "its neighbour is not touched"
    );
    assert_eq!(server.metrics().published.value(), 0);

    let reply = Client::new(server.address)
        .handshake_with(json!({"ext": bad}))
        .await;
    assert_eq!(reply["error"], "403:\"x\":bad");
    assert_eq!(reply["advice"]["reconnect"], "none");
    assert_eq!(server.metrics().sessions.value(), 1);
}

#[tokio::test]
async fn an_extension_can_end_a_session() {
    let server = with(Refusing);
    let mut client = server.client().await;
    client.poll().await;
    server.holds(1).await;
    let end = json!({"channel": "/a", "data": 1, "ext": {"end": 1}});
    let reply = only(client.send([end]).await);
    assert_eq!(reply["advice"]["reconnect"], "none");
    let held = only(client.polled().await);
    assert_eq!(held["advice"]["reconnect"], "none");
    assert_eq!(server.metrics().sessions.value(), 0);
}

/// Has no time for anybody now.
#[derive(Debug)]
struct Busy;

impl Extension for Busy {
    fn incoming(&self, _: &mut Message<'_>, _: &MessageInfo) -> Result<(), Refusal> {
        Err(Refusal::Later(
            "503::directory_down".into(),
            Duration::from_millis(2500),
        ))
    }
}

#[tokio::test]
async fn an_extension_can_say_when_to_try_again() {
    let additions = Additions {
        extensions: vec![Box::new(Busy)],
        handlers: Vec::new(),
    };
    let set = "channel=[{ pattern = '/a', resource = true }]";
    let server = TestServer::start_with(&[set], additions);
    let reply = Client::new(server.address).handshake().await;
    assert_eq!(reply["error"], "503::directory_down");
    let advice = json!({"reconnect": "retry", "interval": 2500, "timeout": 30_000});
    assert_eq!(reply["advice"], advice);
    for request in [
        Request::new("GET", "/events?channel=/a"),
        Request::new("GET", "/resources/a"),
        Request::new("PUT", "/resources/a").body("1"),
        Request::new("DELETE", "/resources/a"),
    ] {
        let response = server.open().await.exchange(request).await;
        assert_eq!(
            (response.status, &*response.reason()),
            (503, "directory_down")
        );
        assert_eq!(response.header("Retry-After"), Some("3"));
    }
    let reply = only(server.post(r#"{"channel":"/a"}"#).await.messages());
    assert_eq!(
        reply.get("advice"),
        None,
        "it is about more than this message"
    );
}

/// Panics when it is told to.
#[derive(Debug)]
struct Panicking;

impl Extension for Panicking {
    fn incoming(&self, message: &mut Message<'_>, _: &MessageInfo) -> Result<(), Refusal> {
        assert!(message.extension("panic").is_none(), "it was told to");
        Ok(())
    }
}

#[tokio::test]
async fn a_session_receives_events_after_an_extension_has_panicked() {
    let server = with(Panicking);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let fatal = client.message(json!({"channel": "/a", "data": 1, "ext": {"panic": 1}}));
    let mut http = server.open().await;
    http.send(client.request(json!([fatal]).to_string()).bytes())
        .await;
    http.ended().await;
    client.poll().await;
    server.holds(1).await;
    server.client().await.publish("/a", "x").await;
    assert_eq!(client.polled().await[0]["data"], "x");
}

/// Says in a reply whose it is.
#[derive(Debug)]
struct Naming;

impl Extension for Naming {
    fn reply(&self, reply: &mut Reply<'_>, _: &Message<'_>, info: &MessageInfo) {
        let id = info.client_id.map(|id| id.to_string());
        reply.extend("of", json!(id).to_string());
    }
}

#[tokio::test]
async fn an_extension_knows_whose_a_reply_is() {
    let server = with(Naming);
    let mut client = Client::new(server.address);
    let reply = client.handshake().await;
    assert_eq!(reply["ext"]["of"], client.id);
    let own = json!({"channel": "/a", "data": 1});
    let other = json!({"channel": "/a", "data": 1, "clientId": "nobody"});
    let replies = client.send([own, other]).await;
    assert_eq!(replies[0]["ext"]["of"], client.id);
    assert_eq!(replies[1]["ext"]["of"], Value::Null);
}

/// Changes all that passes.
#[derive(Debug)]
struct Changing;

impl Extension for Changing {
    fn incoming(&self, message: &mut Message<'_>, _: &MessageInfo) -> Result<(), Refusal> {
        if let Some(data) = &mut message.data {
            let text = format!("[{}]", data.get());
            *data = std::borrow::Cow::Owned(RawValue::from_string(text).unwrap());
        }
        Ok(())
    }

    fn reply(&self, reply: &mut Reply<'_>, to: &Message<'_>, _: &MessageInfo) {
        if to.extension("mark").is_some() {
            reply.extend("mark", "\"seen\"".to_owned());
        }
    }

    fn publish(&self, event: &mut Draft<'_>, _: std::time::SystemTime) {
        event.set("marked", "true");
    }

    fn sees_deliveries(&self) -> bool {
        true
    }

    fn deliver(&self, event: Arc<Event>, _: ClientId, _: Instant) -> Option<Arc<Event>> {
        let text = String::from_utf8(event.json().to_vec()).unwrap();
        (!text.contains("secret")).then_some(event)
    }
}

#[tokio::test]
async fn an_extension_can_change_data_replies_and_events_and_keep_events_back() {
    let server = with(Changing);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let mark = json!({"mark": 1});
    let messages = client
        .send([
            json!({"channel": "/a", "id": "1", "data": 1.10, "ext": mark}),
            json!({"channel": "/a", "data": "secret"}),
        ])
        .await;
    let event = json!({"channel": "/a", "data": [1.1], "ext": mark, "marked": true});
    assert_eq!(messages[0], event);
    assert_eq!(messages[1]["ext"]["mark"], "seen");
    assert_eq!(messages.len(), 3, "the second event was kept back");
    // Of a held connect the extension sees id, channel and ext.
    client.poll_with(json!({"ext": mark})).await;
    server.holds(1).await;
    client.disconnect().await;
    assert_eq!(only(client.polled().await)["ext"]["mark"], "seen");
}

/// Takes a word out of what is published.
#[derive(Debug)]
struct Filtering;

impl Extension for Filtering {
    fn publish(&self, event: &mut Draft<'_>, _: std::time::SystemTime) {
        let text = event.data.get().replace("bad", "");
        event.data = std::borrow::Cow::Owned(RawValue::from_string(text).unwrap());
    }
}

#[tokio::test]
async fn a_resource_has_the_data_that_subscribers_receive() {
    let additions = Additions {
        extensions: vec![Box::new(Filtering)],
        handlers: Vec::new(),
    };
    let on = "channel=[{ pattern = '/r', resource = true }]";
    let server = TestServer::start_with(&[on], additions);
    let mut client = server.client().await;
    client.subscribe("/r").await;
    let target = "/resources/r";
    let put = Request::new("PUT", target).body(" \"bad 2\" ");
    let append = Request::new("PATCH", target)
        .header("Content-Range", "bytes 3-8/*")
        .body("bad 3\"");
    let kept = Request::new("PUT", target).body(" 4 ");
    let changes = [
        (None, "\" 1\""),
        (Some(put), "\" 2\""),
        (Some(append), "\" 2 3\""),
        (Some(kept), " 4 "),
    ];
    for (change, expected) in changes {
        match change {
            Some(request) => {
                let response = server.open().await.exchange(request).await;
                assert_eq!(response.status, 200, "{response:?}");
            }
            None => drop(server.client().await.publish("/r", "bad 1").await),
        }
        let get = Request::new("GET", target);
        let response = server.open().await.exchange(get).await;
        assert_eq!(response.text(), expected);
        let received = client.queued().await[0]["data"].to_string();
        assert_eq!(received, expected.trim());
    }
}

/// Gives every session what the handshake asks for.
#[derive(Debug)]
struct Generous;

impl Extension for Generous {
    fn begin(&self, handshake: &Message<'_>, begun: &mut Begun) {
        if handshake.extension("fast").is_some() {
            begun.timeout = Some(Duration::from_millis(50));
            begun.interval = Some(Duration::from_millis(7));
            begun.max_interval = Some(Duration::from_millis(100));
        }
        if handshake.extension("own").is_some() {
            begun.extensions.push(Box::new(Changing));
        }
        if handshake.extension("welcome").is_some() {
            let channel = ChannelName::parse("/welcome", &Limits::default()).unwrap();
            let event = Draft::new(&channel, RawValue::TRUE).encode();
            begun.events.push(Arc::new(event));
        }
    }
}

#[tokio::test]
async fn a_session_can_have_times_of_its_own() {
    let server = with(Generous);
    let mut slow = server.client().await;
    slow.poll().await;
    let mut fast = Client::new(server.address);
    let reply = fast.handshake_with(json!({"ext": {"fast": 1}})).await;
    assert_eq!(
        reply["advice"],
        json!({"reconnect": "retry", "interval": 7, "timeout": 50})
    );
    fast.connect().await;
    assert_eq!(
        only(fast.connect().await)["successful"],
        true,
        "it was held shortly"
    );
    crate::support::until(|| server.metrics().sessions.value() == 1).await;
    assert_eq!(only(fast.connect().await)["error"], "402::session_unknown");
    assert!(slow.poll_connection().await.is_silent().await);
}

#[tokio::test]
async fn a_session_can_have_extensions_of_its_own() {
    let server = with(Generous);
    let mut own = Client::new(server.address);
    own.handshake_with(json!({"ext": {"own": 1}})).await;
    own.connect().await;
    let mut other = server.client().await;
    for client in [&mut own, &mut other] {
        client.subscribe("/a").await;
    }
    own.publish("/a", "x").await;
    other.publish("/a", "secret").await;
    let data = |messages: Vec<Value>| -> Vec<Value> {
        messages.iter().map(|event| event["data"].clone()).collect()
    };
    assert_eq!(data(own.queued().await), [] as [Value; 0]);
    assert_eq!(data(other.queued().await), [] as [Value; 0]);
    own.publish("/a", "y").await;
    assert_eq!(data(other.queued().await), [json!(["y"])]);
}

#[tokio::test]
async fn what_an_extension_queues_comes_with_the_handshake_s_reply() {
    let server = with(Generous);
    let mut client = Client::new(server.address);
    let handshake = json!([{
        "channel": "/meta/handshake", "version": "1.0", "ext": {"welcome": 1},
    }]);
    let messages = client.post(handshake.to_string()).await.messages();
    assert_eq!(messages[0]["x-messages"], 1);
    assert_eq!(messages[1], json!({"channel": "/welcome", "data": true}));
    assert_eq!(messages.len(), 2);
}

/// Hands its calls on.
#[derive(Debug)]
struct Later(mpsc::UnboundedSender<Call>);

impl Handler for Later {
    fn handle(&self, call: Call) -> Result<(), Call> {
        if call.data.get() == "\"pass\"" {
            return Err(call);
        }
        self.0.send(call).unwrap();
        Ok(())
    }
}

#[tokio::test]
async fn a_handler_may_answer_later_pass_a_call_on_and_reach_others() {
    let (send, mut calls) = mpsc::unbounded_channel();
    let (send_rest, mut rest) = mpsc::unbounded_channel();
    let pattern = |text| ChannelPattern::parse(text, &Limits::default()).unwrap();
    let server = TestServer::start_with(
        &[],
        Additions {
            extensions: Vec::new(),
            handlers: vec![
                (
                    pattern("/service/a"),
                    Arc::new(Later(send)) as Arc<dyn Handler>,
                ),
                (pattern("/service/**"), Arc::new(Later(send_rest))),
            ],
        },
    );
    let mut client = server.client().await;
    let mut other = server.client().await;
    other.subscribe("/news").await;
    let message = json!({"channel": "/service/a", "id": "9", "data": "later"});
    assert_eq!(
        client.send([message]).await.len(),
        1,
        "only acknowledged so far"
    );
    client.poll().await;
    server.holds(1).await;
    let call = calls.recv().await.unwrap();
    assert_eq!(call.client_id.to_string(), client.id);
    let data = RawValue::from_string("{\"b\" : 1.10}".to_owned()).unwrap();
    assert!(call.reply(&data));
    let messages = client.polled().await;
    assert_eq!(
        (&messages[0]["id"], &messages[0]["data"]),
        (&json!("9"), &json!({"b": 1.1}))
    );
    call.publish(
        &ChannelName::parse("/news", &call.limits()).unwrap(),
        RawValue::TRUE,
    );
    assert_eq!(only(other.queued().await)["data"], true);
    client.disconnect().await;
    assert!(!call.fail(RawValue::NULL), "the caller is gone");

    for (channel, data) in [("/service/a", "pass"), ("/service/b", "x")] {
        other.publish(channel, data).await;
        if data == "pass" {
            // Nobody takes it: it is acknowledged, and that is all.
            assert_eq!(other.queued().await, [] as [Value; 0]);
            continue;
        }
        assert_eq!(rest.recv().await.unwrap().channel.as_str(), channel);
    }
    assert!(calls.try_recv().is_err());
}
