//! What comes of messages that waited: their replies, and what was done.

use serde_json::{Value, json};

use super::{Admit, House, Sender, Settle, Stage, Way, channels, publish};
use crate::support::{Client, Embedded, Request, Streamed, only, upgrade};

/// Sends a batch whose first message waits, and lets that pass or refuses it.
async fn try_batch(way: Way, stage: Stage, passes: bool) {
    let name = format!("{way:?}, {stage:?}, {passes}");
    let mut house = House::new();
    let mut subscriber = house.subscriber().await;
    let mut sender = Sender::new(&house.server, way).await;
    sender
        .send([publish("/a", &[stage]), publish("/b", &[])])
        .await;
    let waiter = house.waiter_at(stage, "/a").await;
    house.waits(1).await;
    let done = if stage == Settle { 2 } else { 0 };
    assert_eq!(house.published(), done, "{name}");
    if passes {
        waiter.pass();
    } else {
        waiter.refuse();
    }
    let replies = sender.replies().await;
    let errors: Vec<_> = replies.iter().map(|reply| &reply["error"]).collect();
    let error = if passes {
        Value::Null
    } else {
        json!("403::no")
    };
    assert_eq!(errors, [&error, &Value::Null], "{name}");
    if stage == Settle || passes {
        assert_eq!(channels(&mut subscriber).await, ["/a", "/b"], "{name}");
    } else {
        assert_eq!(channels(&mut subscriber).await, ["/b"], "{name}");
        assert_eq!(house.published(), 1, "{name}");
    }
    assert_eq!(house.waiting(), 0, "{name}");
    // The connection goes on.
    sender.send([publish("/c", &[])]).await;
    assert_eq!(sender.replies().await[0]["successful"], true, "{name}");
    assert_eq!(channels(&mut subscriber).await, ["/c"], "{name}");
    assert!(house.has_no_waiter());
}

#[tokio::test]
async fn a_message_waits_before_it_is_processed_and_its_neighbours_with_it() {
    for way in Way::ALL {
        for passes in [true, false] {
            try_batch(way, Admit, passes).await;
        }
    }
}

#[tokio::test]
async fn replies_wait_after_their_messages_were_processed() {
    for way in Way::ALL {
        for passes in [true, false] {
            try_batch(way, Settle, passes).await;
        }
    }
}

#[tokio::test]
async fn a_message_can_wait_for_both() {
    for way in Way::ALL {
        let mut house = House::new();
        let mut sender = Sender::new(&house.server, way).await;
        sender.send([publish("/a", &[Admit, Settle])]).await;
        house.waiter_at(Admit, "/a").await.pass();
        house.waiter_at(Settle, "/a").await.pass();
        assert_eq!(only(sender.replies().await)["successful"], true, "{way:?}");
        assert_eq!((house.waiting(), house.published()), (0, 1), "{way:?}");
    }
}

#[tokio::test]
async fn a_connect_that_waited_is_held_and_answered_with_the_event() {
    for stream in [false, true] {
        let mut house = House::new();
        let mut client = house.server.client().await;
        client.subscribe("/a").await;
        let name = if stream {
            "xhr-streaming"
        } else {
            "long-polling"
        };
        let connect = json!({
            "channel": "/meta/connect", "connectionType": name, "ext": Admit.ext(),
        });
        let request = client.request(json!([client.message(connect)]).to_string());
        let mut http = house.server.open().await;
        http.send(request.bytes()).await;
        let waiter = house.waiter_at(Admit, "/meta/connect").await;
        assert_eq!(house.server.metrics().held_connects.value(), 0);
        waiter.pass();
        house.server.holds(1).await;
        house.server.client().await.publish("/a", 7).await;
        if stream {
            let mut streamed = Streamed::begun(http).await;
            let text = streamed.until("7}]").await;
            assert!(text.contains("\"/a\""), "{text}");
        } else {
            let messages = http.response().await.messages();
            assert_eq!(messages[0]["data"], 7);
            assert_eq!(messages[1]["channel"], "/meta/connect");
        }
    }
}

#[tokio::test]
async fn a_streamed_connect_that_is_refused_is_answered() {
    for name in ["xhr-streaming", "message-http"] {
        let mut house = House::new();
        let client = house.server.client().await;
        let connect = json!({
            "channel": "/meta/connect", "connectionType": name, "ext": Admit.ext(),
        });
        let request = client.request(json!([client.message(connect)]).to_string());
        let mut http = house.server.open().await;
        http.send(request.bytes()).await;
        house.waiter_at(Admit, "/meta/connect").await.refuse();
        let mut streamed = Streamed::begun(http).await;
        let text = streamed.rest().await;
        assert!(text.contains("403::no"), "{name}: {text}");
        assert_eq!(house.server.metrics().held_connects.value(), 0);
    }
}

#[tokio::test]
async fn late_answers_have_the_headers_that_they_would_have_at_once() {
    let origin = "https://good.example";
    let set = r#"http.allowed_origins=["https://good.example"]"#;
    for stages in [&[][..], &[Admit], &[Settle], &[Admit, Settle]] {
        let mut house = House::with(&[set]);
        let mut message = publish("/meta/handshake", stages);
        message["version"] = json!("1.0");
        message["supportedConnectionTypes"] = json!(["long-polling"]);
        let request = Request::post(json!([message]).to_string()).header("Origin", origin);
        let mut http = house.server.open().await;
        http.send(request.bytes()).await;
        for stage in stages {
            house.waiter_at(*stage, "/meta/handshake").await.pass();
        }
        let response = http.response().await;
        assert_eq!(
            response.header("Access-Control-Allow-Origin"),
            Some(origin),
            "{stages:?}"
        );
        assert_eq!(
            response.header("Access-Control-Allow-Credentials"),
            Some("true"),
            "{stages:?}"
        );
        assert_eq!(response.header("Vary"), Some("Origin"), "{stages:?}");
        let cookie = response.cookie().unwrap().to_owned();
        let reply = only(response.messages());
        // The cookie is the session's: with it the client may use it.
        let mut client = Client::new(house.server.address);
        client.id = reply["clientId"].as_str().unwrap().to_owned();
        client.cookie = Some(cookie);
        assert_eq!(client.subscribe("/a").await["successful"], true);
    }
}

#[tokio::test]
async fn a_refused_handshake_makes_no_session_by_any_transport() {
    for stage in [Admit, Settle] {
        let mut house = House::new();
        let mut message = publish("/meta/handshake", &[stage]);
        message["version"] = json!("1.0");
        message["supportedConnectionTypes"] = json!(["long-polling", "websocket"]);
        let text = json!([message]).to_string();
        let check = |reply: &Value| {
            assert_eq!(reply["error"], "403::no", "{reply}");
            assert_eq!(reply["advice"]["reconnect"], "none", "{reply}");
        };
        let mut http = house.server.open().await;
        http.send(Request::post(text.clone()).bytes()).await;
        house.waiter_at(stage, "/meta/handshake").await.refuse();
        let response = http.response().await;
        assert_eq!(response.cookie(), None);
        check(&only(response.messages()));

        let mut socket =
            crate::support::WebSocket::open_with(house.server.address, upgrade()).await;
        socket.text(&text).await;
        house.waiter_at(stage, "/meta/handshake").await.refuse();
        check(&socket.message().await);
        assert_eq!(house.server.metrics().sessions.value(), 0);
        // The same socket may try again.
        socket.handshake().await;
        assert_eq!(house.server.metrics().sessions.value(), 1);
    }
}

#[tokio::test]
async fn the_answer_says_that_the_connection_ends_if_the_client_asked_for_that() {
    for stage in [Admit, Settle] {
        let mut house = House::new();
        let client = house.server.client().await;
        let text = json!([client.message(publish("/a", &[stage]))]).to_string();
        let request = client.request(text).header("Connection", "close");
        let mut http = house.server.open().await;
        http.send(request.bytes()).await;
        house.waiter_at(stage, "/a").await.pass();
        let response = http.response().await;
        assert_eq!(response.header("Connection"), Some("close"));
        assert_eq!(only(response.messages())["successful"], true);
        http.ended().await;
    }
}

#[tokio::test]
async fn the_responses_to_embedded_requests_leave_as_they_may() {
    let mut house = House::new();
    let client = house.server.client().await;
    let mut stream = Embedded::two_way(house.server.address).await;
    let request = |channel: &str, stages: &[Stage]| {
        let mut message = client.message(publish(channel, stages));
        message["id"] = json!(channel);
        client.request(json!([message]).to_string())
    };
    stream.request(&request("/slow", &[Settle])).await;
    let slow = house.waiter_at(Settle, "/slow").await;
    let quick = stream.exchange(request("/quick", &[])).await.messages();
    assert_eq!(only(quick)["id"], "/quick");
    slow.pass();
    assert_eq!(only(stream.next().await.messages())["id"], "/slow");
    assert_eq!(house.waiting(), 0);
}
