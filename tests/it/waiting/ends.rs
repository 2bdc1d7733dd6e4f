//! What ends while messages wait: clients, sessions, and the server.

use serde_json::json;

use super::{Admit, House, Line, Sender, Settle, Way, channels, publish};
use crate::support::{Embedded, WebSocket, only, until};

#[tokio::test]
async fn nothing_is_done_for_a_client_that_goes_away_before_it_is_admitted() {
    for way in Way::ALL {
        let mut house = House::new();
        let mut subscriber = house.subscriber().await;
        let mut sender = Sender::new(&house.server, way).await;
        sender.send([publish("/a", &[Admit])]).await;
        sender.send([publish("/b", &[])]).await;
        let waiter = house.waiter_at(Admit, "/a").await;
        sender.leave();
        waiter.given_up().await;
        house.waits(0).await;
        assert!(subscriber.is_silent().await, "{way:?}");
        assert_eq!(house.published(), 0, "{way:?}");
    }
}

#[tokio::test]
async fn what_is_done_stays_done_if_the_client_goes_away_before_it_settles() {
    for way in Way::ALL {
        let mut house = House::with(&["extensions.max_wait=1m"]);
        let mut subscriber = house.subscriber().await;
        let mut sender = Sender::new(&house.server, way).await;
        sender.send([publish("/a", &[Settle])]).await;
        let waiter = house.waiter_at(Settle, "/a").await;
        assert_eq!(channels(&mut subscriber).await, ["/a"], "{way:?}");
        // It resets its connection; one that closes its own side only is owed the reply.
        sender.leave();
        waiter.given_up().await;
        house.waits(0).await;
        let metrics = house.server.metrics();
        until(|| metrics.websockets.value() == 1 && metrics.message_streams.value() == 0).await;
    }
}

#[tokio::test]
async fn a_client_that_has_closed_its_side_gets_the_reply_when_it_settles() {
    for way in [Way::LongPolling, Way::Form, Way::CallbackPolling] {
        let mut house = House::new();
        let mut sender = Sender::new(&house.server, way).await;
        sender.send([publish("/1", &[Settle])]).await;
        sender.send([publish("/2", &[])]).await;
        let waiter = house.waiter_at(Settle, "/1").await;
        let Line::Http(http, _) = &mut sender.line else {
            unreachable!()
        };
        http.half_close().await;
        assert!(http.is_silent().await);
        waiter.pass();
        for channel in ["/1", "/2"] {
            let reply = only(sender.replies().await);
            assert_eq!(reply["successful"], true, "{way:?}");
            assert_eq!(reply["channel"], channel, "{way:?}");
        }
        let Line::Http(http, _) = &mut sender.line else {
            unreachable!()
        };
        http.ended().await;
        assert_eq!(house.waiting(), 0);
    }
}

#[tokio::test]
async fn a_websocket_is_closed_behind_a_disconnect_when_all_replies_have_left() {
    let mut house = House::new();
    let mut socket = WebSocket::client(house.server.address).await;
    socket.send(publish("/a", &[Settle])).await;
    let first = house.waiter_at(Settle, "/a").await;
    socket
        .send(json!({"channel": "/meta/disconnect", "ext": Settle.ext()}))
        .await;
    let second = house.waiter_at(Settle, "/meta/disconnect").await;
    assert_eq!(house.server.metrics().sessions.value(), 0);
    assert!(socket.is_silent().await);
    first.pass();
    assert_eq!(socket.message().await["channel"], "/a");
    second.pass();
    let reply = socket.message().await;
    assert_eq!(reply["channel"], "/meta/disconnect");
    assert_eq!(reply["successful"], true);
    assert_eq!(
        socket.closed().await,
        mirant::web::websocket::CloseCode::Normal
    );
}

#[tokio::test]
async fn a_session_that_ends_while_its_message_waits_is_unknown_to_it() {
    for way in [Way::LongPolling, Way::Embedded] {
        let mut house = House::new();
        let mut sender = Sender::new(&house.server, way).await;
        sender.send([publish("/a", &[Admit])]).await;
        let waiter = house.waiter_at(Admit, "/a").await;
        let mut tab = sender.client.tab();
        tab.id.clone_from(&sender.client.id);
        tab.disconnect().await;
        waiter.pass();
        let reply = only(sender.replies().await);
        assert_eq!(reply["error"], "402::session_unknown", "{way:?}");
        assert_eq!(house.published(), 0, "{way:?}");
    }
}

#[tokio::test]
async fn a_stopping_server_answers_what_settles_in_time() {
    for stage in [Admit, Settle] {
        for way in Way::ALL {
            let mut house = House::new();
            let mut sender = Sender::new(&house.server, way).await;
            sender.send([publish("/a", &[stage])]).await;
            let waiter = house.waiter_at(stage, "/a").await;
            let server = &mut house.server;
            server.stop();
            waiter.pass();
            let reply = only(sender.replies().await);
            assert_eq!(reply["successful"], true, "{way:?}, {stage:?}");
            house.server.stopped().await;
            assert_eq!((house.waiting(), house.published()), (0, 1));
        }
    }
}

#[tokio::test]
async fn a_stopping_server_waits_for_those_who_left_no_longer() {
    for way in [Way::Embedded, Way::WebSocket] {
        let mut house = House::new();
        let mut sender = Sender::new(&house.server, way).await;
        sender.send([publish("/a", &[Settle])]).await;
        let waiter = house.waiter_at(Settle, "/a").await;
        house.server.stop();
        sender.leave();
        waiter.given_up().await;
        house.server.stopped().await;
        assert_eq!(house.waiting(), 0);
    }
}

#[tokio::test]
async fn a_request_of_requests_ends_when_all_replies_have_left() {
    let mut house = House::new();
    let client = house.server.client().await;
    let mut stream = Embedded::two_way(house.server.address).await;
    for (channel, stage) in [("/1", Settle), ("/2", Admit)] {
        let message = client.message(publish(channel, &[stage]));
        stream
            .request(&client.request(json!([message]).to_string()))
            .await;
    }
    stream.send("").await;
    let first = house.waiter_at(Settle, "/1").await;
    house.waiter_at(Admit, "/2").await.pass();
    assert_eq!(only(stream.next().await.messages())["channel"], "/2");
    first.pass();
    assert_eq!(only(stream.next().await.messages())["channel"], "/1");
    stream.ended().await;
}

/// An embedded publish that is done, and waits for its reply to leave.
async fn embedded_publish(
    house: &mut House,
    stream: &mut Embedded,
    channel: &str,
) -> super::Waiter {
    let client = house.server.client().await;
    let message = client.message(publish(channel, &[Settle]));
    let request = client.request(json!([message]).to_string());
    stream.request(&request).await;
    house.waiter_at(Settle, channel).await
}

#[tokio::test]
async fn what_an_embedded_request_did_is_answered_whatever_comes_behind_it() {
    for is_fault in [true, false] {
        let mut house = House::new();
        let mut stream = Embedded::two_way(house.server.address).await;
        let waiter = embedded_publish(&mut house, &mut stream, "/a").await;
        if is_fault {
            stream.send("no request\r\n\r\n").await;
            assert_eq!(stream.next().await.status, 400);
        } else {
            stream.send("").await;
            stream.outer.http.half_close().await;
            assert!(stream.outer.http.is_silent().await);
        }
        waiter.pass();
        let reply = only(stream.next().await.messages());
        assert_eq!(reply["successful"], true, "{is_fault}");
        stream.ended().await;
        assert_eq!(house.waiting(), 0);
    }
}

#[tokio::test]
async fn what_embedded_requests_did_is_answered_however_many_there_are() {
    let mut house = House::with(&["streaming.max_embedded_requests=2"]);
    let mut stream = Embedded::two_way(house.server.address).await;
    let mut waiters = Vec::new();
    for channel in ["/1", "/2"] {
        waiters.push(embedded_publish(&mut house, &mut stream, channel).await);
    }
    // It is read when there is room.
    let client = house.server.client().await;
    let message = client.message(publish("/3", &[]));
    let request = client.request(json!([message]).to_string());
    stream.request(&request).await;
    assert!(stream.outer.http.is_silent().await);
    waiters.into_iter().for_each(super::Waiter::pass);
    let mut answered = Vec::new();
    for _ in 0..3 {
        let reply = only(stream.next().await.messages());
        assert_eq!(reply["successful"], true);
        answered.push(reply["channel"].as_str().unwrap().to_owned());
    }
    answered.sort();
    assert_eq!(answered, ["/1", "/2", "/3"]);
}

#[tokio::test]
async fn a_stopping_server_answers_late_replies_of_embedded_requests_at_once() {
    let mut house = House::new();
    let mut stream = Embedded::two_way(house.server.address).await;
    let client = house.server.client().await;
    let connect =
        json!([{"channel": "/meta/connect", "clientId": "gone", "connectionType": "long-polling"}]);
    let request = client.request(connect.to_string());
    // The first is answered at once, each further one later than that before.
    for _ in 0..6 {
        stream.request(&request).await;
    }
    stream.next().await;
    until(|| house.server.metrics().delayed_unknown.value() == 5).await;
    house.server.stop();
    for _ in 0..5 {
        stream.next().await;
    }
    house.server.stopped().await;
}
