//! The `ack` extension: numbered replies to connects, and what is sent again.

use serde_json::{Value, json};

use crate::support::{Client, Events, Request, Streamed, TestServer, WebSocket, only, upgrade};

/// A client that asked for acknowledgement, is subscribed to `/chat`, and has reply 1.
async fn acknowledging(server: &TestServer) -> Client {
    let mut client = Client::new(server.address);
    let reply = client.handshake_with(json!({"ext": {"ack": true}})).await;
    assert_eq!(reply["ext"], json!({"ack": true}));
    client.subscribe("/chat").await;
    let first = client.connect_with(json!({"ext": {"ack": -1}})).await;
    assert_eq!(only(first)["ext"], json!({"ack": 1}));
    client
}

async fn connect(client: &mut Client, ack: impl Into<Value>) -> Vec<Value> {
    client
        .connect_with(json!({"ext": {"ack": ack.into()}, "advice": {"timeout": 0}}))
        .await
}

/// The data of the events, and the number of the reply, which comes last.
fn read(mut messages: Vec<Value>) -> (Vec<Value>, Value) {
    let reply = messages.pop().unwrap();
    assert_eq!(reply["channel"], "/meta/connect");
    let data = messages.iter().map(|event| event["data"].clone());
    (data.collect(), reply["ext"]["ack"].clone())
}

fn batch(data: &[&str], number: u64) -> (Vec<Value>, Value) {
    (data.iter().map(|data| json!(data)).collect(), json!(number))
}

#[tokio::test]
async fn who_does_not_ask_gets_no_numbers() {
    let server = TestServer::start(&[]);
    for ext in [
        json!({"ack": false}),
        json!({"ack": "true"}),
        json!({}),
        json!(7),
    ] {
        let mut client = Client::new(server.address);
        let reply = client.handshake_with(json!({"ext": ext})).await;
        assert_eq!(reply.get("ext"), None);
        let reply = only(connect(&mut client, 7).await);
        assert_eq!(reply.get("ext"), None);
    }
}

#[tokio::test]
async fn every_reply_to_a_connect_has_the_next_number() {
    let server = TestServer::start(&["bayeux.timeout=100ms"]);
    let mut client = acknowledging(&server).await;
    for number in 2..5 {
        let held = client
            .connect_with(json!({"ext": {"ack": number - 1}}))
            .await;
        assert_eq!(read(held), batch(&[], number));
    }
}

#[tokio::test]
async fn what_is_not_acknowledged_comes_again_with_what_is_new() {
    let server = TestServer::start(&[]);
    let mut client = acknowledging(&server).await;
    let mut publisher = server.client().await;
    publisher.publish("/chat", "m1").await;
    assert_eq!(read(connect(&mut client, 1).await), batch(&["m1"], 2));
    publisher.publish("/chat", "m2").await;
    publisher.publish("/chat", "m3").await;
    let all = ["m1", "m2", "m3"];
    assert_eq!(read(connect(&mut client, 1).await), batch(&all, 3));
    // Without a word of its timeout a connect would be held, if nothing came again.
    let again = client.connect_with(json!({"ext": {"ack": 1}})).await;
    assert_eq!(read(again), batch(&all, 4));
    assert_eq!(read(connect(&mut client, 4).await), batch(&[], 5));
    assert_eq!(server.metrics().resent.value(), 4);
}

#[tokio::test]
async fn a_number_acknowledges_however_it_is_written() {
    let server = TestServer::start(&["bayeux.timeout=10s"]);
    let mut publisher = server.client().await;
    for two in ["2", "2.0", "2e0", "2.00E+0", "0.2e1", "20E-1"] {
        let mut client = acknowledging(&server).await;
        publisher.publish("/chat", "m1").await;
        assert_eq!(read(connect(&mut client, 1).await), batch(&["m1"], 2));
        let message = json!([client.message(json!({
            "channel": "/meta/connect", "ext": {"ack": "TWO"}
        }))]);
        let body = message.to_string().replace("\"TWO\"", two);
        let request = client.request(body).bytes();
        client.poll_connection().await.send(request).await;
        // Nothing is left to be sent, so the connect is held.
        server.holds(1).await;
        publisher.publish("/chat", "m2").await;
        assert_eq!(read(client.polled().await), batch(&["m2"], 3), "{two}");
        client.disconnect().await;
    }
}

#[tokio::test]
async fn acks_that_make_no_sense_drop_nothing() {
    let server = TestServer::start(&[]);
    let mut client = acknowledging(&server).await;
    let mut publisher = server.client().await;
    publisher.publish("/chat", "m1").await;
    // What was never sent is not dropped by any number.
    assert_eq!(read(connect(&mut client, 999_999).await), batch(&["m1"], 2));
    let nonsense = [
        json!(-1),
        json!(0),
        json!(1),
        json!(100),
        json!(999_999),
        json!(1e300),
        json!("2"),
        json!(2.5),
        json!(null),
        json!([2]),
        json!({"ack": 2}),
        json!(true),
    ];
    for (ack, number) in nonsense.into_iter().zip(3..) {
        let read = read(connect(&mut client, ack.clone()).await);
        assert_eq!(read, batch(&["m1"], number), "{ack}");
    }
    for ext in [json!(null), json!(2), json!("x"), json!([])] {
        let messages = client
            .connect_with(json!({"ext": ext, "advice": {"timeout": 0}}))
            .await;
        assert_eq!(read(messages).0, ["m1"], "{ext}");
    }
}

#[tokio::test]
async fn events_go_with_replies_to_connects_only() {
    let server = TestServer::start(&[]);
    let mut client = acknowledging(&server).await;
    let reply = only(client.publish("/chat", "own").await);
    assert_eq!(reply["channel"], "/chat");
    assert_eq!(read(connect(&mut client, 1).await), batch(&["own"], 2));
}

#[tokio::test]
async fn a_response_that_was_lost_on_its_way_is_sent_again_to_another_connection() {
    let server = TestServer::start(&[]);
    let mut client = acknowledging(&server).await;
    let mut publisher = server.client().await;
    for name in ["m1", "m2"] {
        client.poll_with(json!({"ext": {"ack": 1}})).await;
        publisher.publish("/chat", name).await;
        // The client never reads it.
        let lost = client.take_poll();
        server.holds(0).await;
        drop(lost);
    }
    let messages = connect(&mut client, 1).await;
    assert_eq!(read(messages).0, ["m1", "m2"]);
}

#[tokio::test]
async fn a_page_that_was_loaded_again_goes_on_with_its_client_id() {
    let server = TestServer::start(&["bayeux.max_sessions_per_browser=-1"]);
    let mut client = acknowledging(&server).await;
    let mut publisher = server.client().await;
    client.poll_with(json!({"ext": {"ack": 1}})).await;
    server.holds(1).await;
    let mut reloaded = client.tab();
    reloaded.id.clone_from(&client.id);
    assert_eq!(read(connect(&mut reloaded, -1).await), batch(&[], 2));
    publisher.publish("/chat", "m1").await;
    assert_eq!(read(connect(&mut reloaded, 2).await), batch(&["m1"], 3));
}

#[tokio::test]
async fn a_connect_among_other_messages_is_numbered_too() {
    let server = TestServer::start(&[]);
    let mut client = acknowledging(&server).await;
    let connect = json!({"channel": "/meta/connect", "ext": {"ack": 1}});
    let publish = json!({"channel": "/chat", "data": "m1"});
    let messages = client.send([publish, connect]).await;
    assert_eq!(messages[0]["data"], "m1");
    assert_eq!(messages[1].get("ext"), None);
    assert_eq!(messages[2]["ext"], json!({"ack": 2}));
}

#[tokio::test]
async fn what_comes_again_is_cut_to_the_size_of_a_response_and_nothing_of_it_is_lost() {
    let server = TestServer::start(&["bayeux.max_response_size=1KiB"]);
    let mut client = acknowledging(&server).await;
    let mut publisher = server.client().await;
    let names: Vec<String> = (0..9)
        .map(|name| format!("{name}{}", "x".repeat(300)))
        .collect();
    for name in &names {
        publisher.publish("/chat", name.as_str()).await;
    }
    let mut received = Vec::new();
    let (mut ack, mut is_lost) = (1, true);
    while received.len() < names.len() {
        let (data, number) = read(connect(&mut client, ack).await);
        assert!(!data.is_empty() && data.len() <= 3);
        if !is_lost {
            received.extend(data);
            ack = number.as_u64().unwrap();
        }
        is_lost = !is_lost;
    }
    assert_eq!(received, names);
}

/// Connects over a WebSocket; what comes with its reply.
async fn connect_by(socket: &mut WebSocket, ack: u64) -> (Vec<Value>, Value) {
    let advice = json!({"timeout": 0});
    socket
        .send(json!({"channel": "/meta/connect", "ext": {"ack": ack}, "advice": advice}))
        .await;
    read(socket.messages().await)
}

#[tokio::test]
async fn over_a_websocket_events_come_with_the_connect_s_reply_and_again_over_the_next() {
    let server = TestServer::start(&[]);
    let client = acknowledging(&server).await;
    let mut publisher = server.client().await;
    let mut socket = WebSocket::open_with(server.address, client.with_cookie(upgrade())).await;
    socket.id.clone_from(&client.id);
    assert_eq!(connect_by(&mut socket, 1).await, batch(&[], 2));
    socket
        .send(json!({"channel": "/meta/connect", "ext": {"ack": 2}}))
        .await;
    server.holds(1).await;
    publisher.publish("/chat", "m1").await;
    assert_eq!(read(socket.messages().await), batch(&["m1"], 3));
    publisher.publish("/chat", "m2").await;
    drop(socket);

    let mut socket = WebSocket::open_with(server.address, client.with_cookie(upgrade())).await;
    socket.id.clone_from(&client.id);
    assert_eq!(connect_by(&mut socket, 2).await, batch(&["m1", "m2"], 4));
    assert_eq!(connect_by(&mut socket, 4).await, batch(&[], 5));
}

#[tokio::test]
async fn what_one_transport_sent_and_lost_comes_by_the_next() {
    let server = TestServer::start(&[]);
    let mut client = acknowledging(&server).await;
    let mut publisher = server.client().await;
    let mut socket = WebSocket::open_with(server.address, client.with_cookie(upgrade())).await;
    socket.id.clone_from(&client.id);
    publisher.publish("/chat", "m1").await;
    assert_eq!(connect_by(&mut socket, 1).await, batch(&["m1"], 2));
    publisher.publish("/chat", "m2").await;
    // The socket is still open, as far as the server knows.
    assert_eq!(read(connect(&mut client, 1).await), batch(&["m1", "m2"], 3));
    assert_eq!(read(connect(&mut client, 3).await), batch(&[], 4));
}

#[tokio::test]
async fn connects_beside_an_event_stream_are_held_and_carry_the_events() {
    let server = TestServer::start(&[]);
    let mut client = acknowledging(&server).await;
    let mut publisher = server.client().await;
    let request = client.with_cookie(Request::new("GET", &format!("/cometd/{}", client.id)));
    let request = request.header("Accept", "text/event-stream");
    let (mut events, _) = Events::open_with(server.address, request).await;
    let named = json!({"connectionType": "eventsource", "ext": {"ack": 1}});
    client.poll_with(named).await;
    server.holds(1).await;
    publisher.publish("/chat", "m1").await;
    assert_eq!(read(client.polled().await), batch(&["m1"], 2));
    assert!(
        events.is_silent().await,
        "it stays open, with nothing to say"
    );
}

#[tokio::test]
async fn a_streamed_connect_ends_with_the_events_it_carries() {
    let server = TestServer::start(&[]);
    let mut client = acknowledging(&server).await;
    let mut publisher = server.client().await;
    for number in 2..4 {
        let connect = json!({
            "channel": "/meta/connect", "connectionType": "xhr-streaming", "clientId": client.id,
            "ext": {"ack": number - 1},
        });
        let request = client.request(json!([connect]).to_string());
        let mut stream = Streamed::open(server.address, request).await;
        server.holds(1).await;
        publisher.publish("/chat", "m").await;
        let messages = serde_json::from_str(&stream.rest().await).unwrap();
        assert_eq!(read(messages), batch(&["m"], number));
    }
    assert_eq!(read(connect(&mut client, 3).await), batch(&[], 4));
}
