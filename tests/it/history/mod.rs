//! Messages that can be had again: what subscribers get of the past, and how that meets what is new.

mod command;
mod crash;
mod seam;
mod streams;
mod subscribe;

use serde_json::{Value, json};

use crate::support::{Client, TestServer};

/// A server that keeps what these options say, of patterns.
fn server(channels: &[&str], set: &[&str]) -> TestServer {
    let channels = format!("channel=[{}]", channels.join(", "));
    let patient = [
        "bayeux.max_interval=5m",
        "bayeux.publish_without_session=true",
    ];
    TestServer::start(&[&patient[..], &[&*channels], set].concat())
}

/// Publishes without a session.
async fn publish(server: &TestServer, channel: &str, data: Value) {
    let message = json!([{"channel": channel, "data": data}]);
    let reply = server.post(message.to_string()).await.messages();
    assert_eq!(reply[0]["successful"], true, "{reply:?}");
}

/// Subscribes with a position; the reply.
async fn subscribe(client: &mut Client, subscription: Value, position: Value) -> Value {
    let message = json!({
        "channel": "/meta/subscribe", "subscription": subscription, "ext": {"replay": position},
    });
    let mut messages = client.send([message]).await;
    messages.pop().expect("a reply")
}

/// The events that come until one has this data: channel, data and number of each.
async fn until_data(client: &mut Client, last: &Value) -> Vec<(String, Value, u64)> {
    let mut events = Vec::new();
    while events.last().is_none_or(|(_, data, _)| data != last) {
        for event in client.connect().await {
            let channel = event["channel"].as_str().expect("a channel").to_owned();
            if channel != "/meta/connect" {
                let id = event["ext"]["replay"].as_u64().unwrap_or(0);
                events.push((channel, event["data"].clone(), id));
            }
        }
    }
    events
}
