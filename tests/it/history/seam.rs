//! Where what is read meets what is live: by every transport, while others publish, and for clients that go and
//! come back.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{publish, server};
use crate::support::{Receiver, Way, WebSocket};

const FLOOD: &str = "{pattern = '/flood', history = {messages = 100000}}";

#[tokio::test]
async fn by_every_transport_what_was_comes_before_what_is_new_once_and_in_order() {
    for way in Way::ALL {
        for acknowledges in [false, true] {
            if acknowledges && !way.may_acknowledge() {
                continue;
            }
            let server = Arc::new(server(&[FLOOD], &["bayeux.max_queue=300"]));
            let filler = "x".repeat(200);
            let data = move |number: u64| json!({"filler": filler, "number": number});
            for number in 0..700 {
                publish(&server, "/flood", data(number)).await;
            }
            let mut receiver = Receiver::replaying(&server, way, acknowledges, json!(-2)).await;
            let publisher = tokio::spawn({
                let server = Arc::clone(&server);
                async move {
                    for number in 700..900 {
                        publish(&server, "/flood", data(number)).await;
                    }
                }
            });
            receiver.receive(900).await;
            publisher.await.expect("all is published");
            let expected: Vec<u64> = (0..900).collect();
            assert_eq!(receiver.numbers, expected, "{:?}", receiver.name());
        }
    }
}

#[tokio::test]
async fn a_client_that_goes_and_comes_back_while_many_publish_gets_each_message_once_in_order() {
    const PUBLISHERS: u64 = 8;
    const EACH: u64 = 250;
    let kept = "{pattern = '/s/**', history = {messages = 100000}}";
    let server = Arc::new(server(&[kept], &[]));
    let mut publishers = JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let server = Arc::clone(&server);
        publishers.spawn(async move {
            for number in 0..EACH {
                publish(
                    &server,
                    &format!("/s/{publisher}"),
                    json!([publisher, number]),
                )
                .await;
            }
        });
    }
    let mut had: Vec<(u64, Value)> = Vec::new();
    let mut lives = 0;
    while had.len() < usize::try_from(PUBLISHERS * EACH).unwrap() {
        lives += 1;
        let mut socket = WebSocket::client(server.address).await;
        let last = had.last().map_or(json!(-2), |(id, _)| json!(id));
        let position =
            json!({"channel": "/meta/subscribe", "subscription": "/s/**", "ext": {"replay": last}});
        socket.send(position).await;
        let mut left = 7 * lives;
        while left > 0 && had.len() < usize::try_from(PUBLISHERS * EACH).unwrap() {
            for message in socket.messages().await {
                if message["channel"] == "/meta/subscribe" {
                    let told = &message["ext"]["replay"]["/s/**"];
                    assert_eq!(told["recovered"], true, "{message}");
                } else if let Some(id) = message["ext"]["replay"].as_u64() {
                    had.push((id, message["data"].clone()));
                }
            }
            left -= 1;
        }
    }
    publishers.join_all().await;
    assert!(lives > 3, "it came back {lives} times");
    assert!(
        had.is_sorted_by(|one, other| one.0 < other.0),
        "not in order"
    );
    for publisher in 0..PUBLISHERS {
        let of = had.iter().filter(|(_, data)| data[0] == publisher);
        let numbers: Vec<u64> = of.map(|(_, data)| data[1].as_u64().unwrap()).collect();
        assert_eq!(numbers, (0..EACH).collect::<Vec<_>>(), "of {publisher}");
    }
}
