//! The bounds of waiting, and the times that do not pass while a message waits.

use mirant::metrics::Limit;
use serde_json::{Value, json};

use super::{Admit, House, Sender, Settle, Stage, Way, channels, publish};
use crate::support::{Request, WebSocket, only};

#[tokio::test]
async fn who_waits_too_long_is_refused() {
    for stage in [Admit, Settle] {
        for way in Way::ALL {
            let mut house = House::with(&["extensions.max_wait=50ms"]);
            let mut subscriber = house.subscriber().await;
            let mut sender = Sender::new(&house.server, way).await;
            sender
                .send([publish("/a", &[stage]), publish("/b", &[])])
                .await;
            let waiter = house.waiter_at(stage, "/a").await;
            let replies = sender.replies().await;
            assert_eq!(replies[0]["error"], "503::wait_timed_out", "{way:?}");
            assert_eq!(replies[1]["successful"], true, "{way:?}");
            waiter.given_up().await;
            if stage == Settle {
                assert_eq!(channels(&mut subscriber).await, ["/a", "/b"]);
            } else {
                assert_eq!(channels(&mut subscriber).await, ["/b"]);
            }
            assert_eq!(house.waiting(), 0, "{way:?}");
            assert_eq!(
                house.server.metrics().limit_count(Limit::MaxWait),
                1,
                "{way:?}"
            );
        }
    }
}

#[tokio::test]
async fn only_so_many_batches_wait_at_once() {
    for stage in [Admit, Settle] {
        for way in Way::ALL {
            let mut house = House::with(&["extensions.max_waiting=1"]);
            let mut first = Sender::new(&house.server, Way::LongPolling).await;
            first.send([publish("/1", &[stage])]).await;
            let waiter = house.waiter_at(stage, "/1").await;
            let mut second = Sender::new(&house.server, way).await;
            second
                .send([publish("/2", &[stage]), publish("/3", &[])])
                .await;
            let replies = second.replies().await;
            assert_eq!(replies[0]["error"], "503::too_many_waiting", "{way:?}");
            assert_eq!(replies[1]["successful"], true, "{way:?}");
            house.waiter_at(stage, "/2").await.given_up().await;
            assert_eq!(house.server.metrics().limit_count(Limit::MaxWaiting), 1);
            waiter.pass();
            assert_eq!(only(first.replies().await)["successful"], true);
            // There is room again.
            second.send([publish("/4", &[stage])]).await;
            house.waiter_at(stage, "/4").await.pass();
            assert_eq!(only(second.replies().await)["successful"], true, "{way:?}");
        }
    }
}

#[tokio::test]
async fn a_handshake_that_waited_in_vain_is_told_when_to_come_back() {
    let bounds = [
        ("extensions.max_wait=50ms", "503::wait_timed_out"),
        ("extensions.max_waiting=1", "503::too_many_waiting"),
    ];
    for (bound, error) in bounds {
        for stage in [Admit, Settle] {
            for way in Way::ALL {
                let mut house = House::with(&[bound]);
                let mut first = Sender::new(&house.server, Way::LongPolling).await;
                let mut second = Sender::new(&house.server, way).await;
                let sessions = house.server.metrics().sessions.value();
                let _waiter = if error == "503::too_many_waiting" {
                    first.send([publish("/1", &[Admit])]).await;
                    Some(house.waiter_at(Admit, "/1").await)
                } else {
                    None
                };
                second.send([handshake(stage)]).await;
                check(&only(second.replies().await), error);
                assert_eq!(house.server.metrics().sessions.value(), sessions, "{way:?}");
            }
        }
    }
}

fn handshake(stage: Stage) -> Value {
    json!({
        "channel": "/meta/handshake", "version": "1.0", "ext": stage.ext(),
        "supportedConnectionTypes": ["long-polling", "callback-polling", "websocket"],
    })
}

fn check(reply: &Value, error: &str) {
    assert_eq!(reply["channel"], "/meta/handshake", "{reply}");
    assert_eq!(reply["error"], error, "{reply}");
    assert_eq!(reply["advice"]["reconnect"], "retry", "{reply}");
    assert_eq!(reply["advice"]["interval"], 1000, "{reply}");
}

#[tokio::test]
async fn a_request_that_waited_in_vain_is_told_when_to_come_back() {
    for (bound, reason) in [
        ("extensions.max_wait=50ms", "wait_timed_out"),
        ("extensions.max_waiting=1", "too_many_waiting"),
    ] {
        let mut house = House::with(&[bound]);
        let mut first = house.server.open().await;
        house.all_wait(Some(Admit));
        let stream = Request::new("GET", "/events?channel=/a").bytes();
        first.send(stream.clone()).await;
        let _handshake = house.waiter_at(Admit, "/meta/handshake").await;
        let mut last = first;
        if reason == "too_many_waiting" {
            last = house.server.open().await;
            last.send(stream).await;
        }
        let response = last.response().await;
        assert_eq!((response.status, &*response.reason()), (503, reason));
        assert_eq!(response.header("Retry-After"), Some("1"), "{response:?}");
    }
}

#[tokio::test]
async fn a_message_that_came_behind_one_that_waits_is_not_late() {
    let mut house = House::with(&["http.body_timeout=50ms"]);
    let mut subscriber = WebSocket::client(house.server.address).await;
    subscriber.subscribe("/*").await;
    subscriber.send(publish("/a", &[Admit])).await;
    let waiter = house.waiter_at(Admit, "/a").await;
    subscriber.send(publish("/b", &[])).await;
    // An event has it look at the connection.
    house.server.client().await.publish("/event", 1).await;
    assert_eq!(channels(&mut subscriber).await, ["/event"]);
    assert!(
        subscriber.is_silent().await,
        "more than the time has passed"
    );
    waiter.pass();
    for _ in 0..4 {
        let message = subscriber.message().await;
        assert_ne!(message["successful"], false, "{message}");
    }
}

#[tokio::test]
async fn a_websocket_whose_message_waits_is_not_taken_for_dead_or_idle() {
    let set = [
        "websocket.ping_interval=30ms",
        "http.keep_alive_timeout=50ms",
    ];
    for stage in [Admit, Settle] {
        let mut house = House::with(&set);
        let mut socket = WebSocket::open(house.server.address).await;
        let mut handshake = publish("/meta/handshake", &[stage]);
        handshake["version"] = json!("1.0");
        handshake["supportedConnectionTypes"] = json!(["websocket"]);
        handshake["clientId"] = json!(null);
        socket.send(handshake).await;
        let waiter = house.waiter_at(stage, "/meta/handshake").await;
        for _ in 0..5 {
            match socket.next().await {
                Some(mirant::web::websocket::Incoming::Ping(payload)) => {
                    socket.frame(0x8a, &payload).await;
                }
                other => panic!("{stage:?}: {other:?}"),
            }
        }
        waiter.pass();
        let reply = loop {
            match socket.next().await {
                Some(mirant::web::websocket::Incoming::Ping(_)) => {}
                Some(mirant::web::websocket::Incoming::Text(text)) => break text,
                other => panic!("{stage:?}: {other:?}"),
            }
        };
        let text = String::from_utf8(reply.to_vec()).unwrap();
        assert!(text.contains("\"successful\":true"), "{text}");
        assert_eq!(house.server.metrics().dead_peers.value(), 0);
    }
}

#[tokio::test]
async fn a_request_that_does_not_wait_is_answered_while_all_places_are_taken() {
    let mut house = House::with(&["extensions.max_waiting=1"]);
    let mut first = Sender::new(&house.server, Way::WebSocket).await;
    first.send([publish("/1", &[Settle])]).await;
    let _waiter = house.waiter_at(Settle, "/1").await;
    let client = house.server.client().await;
    let text = client.message(publish("/2", &[])).to_string();
    let mut http = house.server.open().await;
    let request: Request = client.request(text);
    let reply = only(http.exchange(request).await.messages());
    assert_eq!(reply["successful"], true);
}
