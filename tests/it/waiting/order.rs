//! What one connection sends is processed in its order, also if some of it waits; the rest goes on.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Admit, House, Sender, Settle, Way, channels, publish};
use crate::support::{WebSocket, only};

#[tokio::test]
async fn what_came_later_does_not_overtake_what_waits_to_be_admitted() {
    for way in Way::ALL {
        for passes in [true, false] {
            let mut house = House::new();
            let mut subscriber = house.subscriber().await;
            let mut sender = Sender::new(&house.server, way).await;
            sender.send([publish("/1", &[Admit])]).await;
            sender.send([publish("/2", &[])]).await;
            sender.send([publish("/3", &[Admit])]).await;
            sender.send([publish("/4", &[])]).await;
            let first = house.waiter_at(Admit, "/1").await;
            house.waits(1).await;
            assert!(subscriber.is_silent().await, "{way:?}");
            assert!(house.has_no_waiter(), "{way:?}");
            if passes {
                first.pass();
                assert_eq!(channels(&mut subscriber).await, ["/1", "/2"], "{way:?}");
            } else {
                first.refuse();
                assert_eq!(channels(&mut subscriber).await, ["/2"], "{way:?}");
            }
            house.waiter_at(Admit, "/3").await.pass();
            assert_eq!(channels(&mut subscriber).await, ["/3", "/4"], "{way:?}");
            for number in 1..=4 {
                let reply = only(sender.replies().await);
                assert_eq!(reply["channel"], format!("/{number}"), "{way:?}");
                assert_eq!(reply["successful"], passes || number != 1, "{way:?}");
            }
            assert_eq!(house.waiting(), 0, "{way:?}");
        }
    }
}

#[tokio::test]
async fn what_came_together_is_kept_in_order_too() {
    let mut house = House::new();
    let mut subscriber = house.subscriber().await;
    let mut socket = WebSocket::client(house.server.address).await;
    for round in 0..20 {
        for number in 0..10 {
            let stages: &[_] = if number % 3 == 0 { &[Admit] } else { &[] };
            socket
                .send(publish(&format!("/{round}/{number}"), stages))
                .await;
        }
        for number in 0..10 {
            if number % 3 == 0 {
                house.waiter().await.pass();
            }
            assert_eq!(
                channels(&mut subscriber).await,
                [format!("/{round}/{number}")]
            );
        }
    }
    for _ in 0..200 {
        assert_eq!(socket.message().await["successful"], true);
    }
}

#[tokio::test]
async fn events_reach_a_websocket_whose_message_waits() {
    for stage in [Admit, Settle] {
        let mut house = House::new();
        let mut socket = WebSocket::client(house.server.address).await;
        socket.subscribe("/a").await;
        socket.hold("c").await;
        house.server.holds(1).await;
        socket.send(publish("/b", &[stage])).await;
        let waiter = house.waiter_at(stage, "/b").await;
        let mut publisher = house.server.client().await;
        for number in 0..3 {
            publisher.publish("/a", number).await;
            assert_eq!(socket.message().await["data"], number);
        }
        waiter.pass();
        assert_eq!(socket.message().await["channel"], "/b");
        publisher.publish("/a", 3).await;
        assert_eq!(socket.message().await["data"], 3);
    }
}

#[tokio::test]
async fn a_held_connect_of_a_websocket_is_answered_while_another_message_waits() {
    let mut house = House::new();
    let mut socket = WebSocket::client(house.server.address).await;
    socket.send(publish("/b", &[Admit])).await;
    let waiter = house.waiter_at(Admit, "/b").await;
    // It came behind, and has its turn behind.
    socket.hold("c").await;
    assert!(socket.is_silent().await);
    waiter.pass();
    assert_eq!(socket.message().await["channel"], "/b");
    house.server.holds(1).await;
}

#[tokio::test]
async fn many_replies_of_a_websocket_settle_at_once_and_in_any_order() {
    let mut house = House::new();
    let mut socket = WebSocket::client(house.server.address).await;
    let mut waiters = Vec::new();
    for number in 0..100 {
        let mut message = publish("/a", &[Settle]);
        message["id"] = json!(number);
        socket.send(message).await;
    }
    // More are not read while so many wait.
    for _ in 0..64 {
        waiters.push(house.waiter().await);
    }
    house.waits(64).await;
    assert!(socket.is_silent().await);
    assert!(house.has_no_waiter());
    assert_eq!(house.published(), 64);
    while waiters.len() > 1 {
        waiters.remove(waiters.len() / 2).pass();
    }
    for _ in 0..36 {
        waiters.push(house.waiter().await);
    }
    waiters.into_iter().for_each(super::Waiter::pass);
    let mut ids = BTreeSet::new();
    while ids.len() < 100 {
        for reply in socket.messages().await {
            assert_eq!(reply["successful"], true);
            assert!(ids.insert(reply["id"].as_u64().unwrap()), "{reply}");
        }
    }
    assert_eq!(house.waiting(), 0);
}

#[tokio::test]
async fn a_reply_that_is_settled_does_not_wait_for_one_that_came_before() {
    let mut house = House::new();
    let mut socket = WebSocket::client(house.server.address).await;
    socket.send(publish("/1", &[Settle])).await;
    let first = house.waiter_at(Settle, "/1").await;
    socket.send(publish("/2", &[Settle])).await;
    house.waiter_at(Settle, "/2").await.pass();
    assert_eq!(socket.message().await["channel"], "/2");
    let reply: Value = socket.call(publish("/3", &[])).await;
    assert_eq!(reply["successful"], true);
    first.pass();
    assert_eq!(socket.message().await["channel"], "/1");
}
