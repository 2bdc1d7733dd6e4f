//! How streams and connections end: clients that leave lose nothing, and a server that stops says so.

use h2::Reason;
use mirant::metrics::Limit;
use serde_json::{Value, json};

use super::{call, client, poll, publish, server, subscribe};
use crate::support::{Client, Http2, Link, Request, TestServer, only, until};

/// The data of what is queued for a client.
async fn queued(client: &Client, http: &mut Http2) -> Vec<Value> {
    let connect = json!({"channel": "/meta/connect", "id": "q", "advice": {"timeout": 0}});
    let messages = call(client, http, connect).await;
    let (_, events) = messages.split_last().unwrap();
    events.iter().map(|event| event["data"].clone()).collect()
}

#[tokio::test]
async fn a_poll_that_is_reset_is_released_and_the_others_go_on() {
    let server = server(&[]);
    let mut http = Http2::open(server.address).await;
    let (one, other) = (
        client(&server, &mut http).await,
        client(&server, &mut http).await,
    );
    subscribe(&one, &mut http, "/a").await;
    subscribe(&other, &mut http, "/a").await;
    let reset = poll(&one, &mut http, "long-polling").await;
    let kept = poll(&other, &mut http, "long-polling").await;
    server.holds(2).await;
    reset.reset();
    server.holds(1).await;
    assert_eq!(server.metrics().lost_connects.value(), 1);
    let publisher = client(&server, &mut http).await;
    publish(&publisher, &mut http, "/a", 1).await;
    assert_eq!(kept.response().await.messages()[0]["data"], 1);
    assert_eq!(queued(&one, &mut http).await, [1]);
}

#[tokio::test]
async fn a_client_that_is_gone_without_a_word_is_found_and_loses_nothing() {
    let server = server(&[
        "http.http2_ping_interval=100ms",
        "http.http2_ping_timeout=3s",
    ]);
    let link = Link::to(server.address).await;
    let mut here = Http2::open(server.address).await;
    let mut away = Http2::open(link.address).await;
    let one = client(&server, &mut here).await;
    let other = client(&server, &mut away).await;
    subscribe(&other, &mut away, "/a").await;
    // Older than the one that goes: if answers did not count, it would be given up before.
    let kept = poll(&one, &mut here, "long-polling").await;
    let _cut = poll(&other, &mut away, "long-polling").await;
    server.holds(2).await;
    link.stall();
    server.holds(1).await;
    until(|| server.metrics().connections.value() == 1).await;
    assert_eq!(server.metrics().limit_count(Limit::Http2PingTimeout), 1);
    publish(&one, &mut here, "/a", 1).await;
    assert_eq!(queued(&other, &mut here).await, [1]);
    kept.reset();
    server.holds(0).await;
}

#[tokio::test]
async fn a_connection_that_is_lost_is_the_end_of_all_its_streams() {
    let server = server(&[]);
    let mut http = Http2::open(server.address).await;
    let mut clients = Vec::new();
    let mut polls = Vec::new();
    for _ in 0..3 {
        let client = client(&server, &mut http).await;
        subscribe(&client, &mut http, "/a").await;
        polls.push(poll(&client, &mut http, "long-polling").await);
        clients.push(client);
    }
    server.holds(3).await;
    http.lose().await;
    server.holds(0).await;
    until(|| server.metrics().connections.value() == 0).await;
    assert_eq!(server.metrics().http2_streams.value(), 0);
    let mut http = Http2::open(server.address).await;
    let publisher = client(&server, &mut http).await;
    publish(&publisher, &mut http, "/a", 1).await;
    for client in &clients {
        assert_eq!(queued(client, &mut http).await, [1]);
    }
}

/// A client of whose reply the server may send only the beginning, and who has a poll held.
async fn narrow(server: &TestServer) -> (Client, Http2, crate::support::Exchange) {
    let mut http = Http2::open(server.address).await;
    let client = client(server, &mut http).await;
    subscribe(&client, &mut http, "/a").await;
    let mut narrow = Http2::narrow(server.address, 10).await;
    let held = poll(&client, &mut narrow, "long-polling").await;
    server.holds(1).await;
    (client, narrow, held)
}

#[tokio::test]
async fn what_a_client_had_no_room_for_was_not_written() {
    for resets in [true, false] {
        let server = server(&[]);
        let (client, narrow, mut held) = narrow(&server).await;
        let mut http = Http2::open(server.address).await;
        let publisher = super::client(&server, &mut http).await;
        publish(&publisher, &mut http, "/a", 1).await;
        assert_eq!(held.head().await.status, 200);
        assert_eq!(server.metrics().restored.value(), 0);
        if resets {
            held.reset();
        } else {
            narrow.lose().await;
        }
        until(|| server.metrics().restored.value() == 1).await;
        assert_eq!(queued(&client, &mut http).await, [1]);
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_given_up_and_its_stream_alone() {
    let server = server(&["http.write_timeout=200ms"]);
    let (client, mut narrow, mut held) = narrow(&server).await;
    let mut http = Http2::open(server.address).await;
    let publisher = super::client(&server, &mut http).await;
    publish(&publisher, &mut http, "/a", 1).await;
    held.head().await;
    let limit = mirant::metrics::Limit::WriteTimeout;
    until(|| server.metrics().limit_count(limit) == 1).await;
    assert_eq!(queued(&client, &mut http).await, [1]);
    // A response without a body has room.
    assert_eq!(
        narrow
            .exchange(&Request::new("OPTIONS", "/cometd"))
            .await
            .status,
        204
    );
}

#[tokio::test]
async fn a_response_larger_than_the_window_comes_as_the_client_reads() {
    let server = server(&[
        "bayeux.max_message_size=1MiB",
        "bayeux.max_response_size=8MiB",
        "bayeux.max_queue_bytes=8MiB",
    ]);
    let mut http = Http2::open(server.address).await;
    let client = client(&server, &mut http).await;
    subscribe(&client, &mut http, "/a").await;
    let publisher = super::client(&server, &mut http).await;
    let long = "x".repeat(100_000);
    for _ in 0..3 {
        publish(&publisher, &mut http, "/a", long.clone()).await;
    }
    let mut narrow = Http2::narrow(server.address, 1000).await;
    let messages = poll(&client, &mut narrow, "long-polling").await;
    let messages = messages.response().await.messages();
    assert!(
        messages
            .iter()
            .filter(|event| event["data"] == long.as_str())
            .count()
            >= 1
    );
    assert_eq!(server.metrics().restored.value(), 0);
}

#[tokio::test]
async fn a_server_that_stops_answers_what_is_held_and_says_goodbye() {
    let mut server = server(&["streaming.lifetime=10m"]);
    let mut http = Http2::open(server.address).await;
    let one = client(&server, &mut http).await;
    let other = client(&server, &mut http).await;
    let held = poll(&one, &mut http, "long-polling").await;
    let mut streamed = poll(&other, &mut http, "xhr-streaming").await;
    streamed.head().await;
    server.holds(2).await;
    let idle = Http2::open(server.address).await;
    server.stop();
    let reply = only(held.response().await.messages());
    assert_eq!(reply["successful"], true);
    let rest = String::from_utf8(streamed.rest().await).unwrap();
    assert!(rest.contains("/meta/connect"), "{rest}");
    assert_eq!(
        http.ended().await.unwrap_or(Reason::NO_ERROR),
        Reason::NO_ERROR
    );
    assert_eq!(
        idle.ended().await.unwrap_or(Reason::NO_ERROR),
        Reason::NO_ERROR
    );
    server.stopped().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_with_a_held_poll_is_not() {
    let server = server(&["http.keep_alive_timeout=300ms"]);
    let mut http = Http2::open(server.address).await;
    let client = client(&server, &mut http).await;
    let mut held = poll(&client, &mut http, "long-polling").await;
    server.holds(1).await;
    let idle = Http2::open(server.address).await;
    assert_eq!(
        idle.ended().await.unwrap_or(Reason::NO_ERROR),
        Reason::NO_ERROR
    );
    assert!(held.is_silent().await);
    assert_eq!(http.exchange(&Request::post("{}")).await.status, 200);
}
