//! Several tabs of one browser: who has the held connect, and what the others are told.

use mirant::metrics::Limit;
use serde_json::json;

use crate::support::{Client, TestServer, only};

/// Two tabs of one browser, of which the first has its connect held.
async fn tabs(server: &TestServer) -> (Client, Client) {
    let mut first = server.client().await;
    let mut second = first.tab();
    second.handshake().await;
    second.connect().await;
    first.poll().await;
    server.holds(1).await;
    (first, second)
}

#[tokio::test]
async fn a_second_tab_is_told_to_poll() {
    let server = TestServer::start(&[]);
    let (_first, mut second) = tabs(&server).await;
    let reply = only(second.connect().await);
    assert_eq!(
        reply,
        json!({
            "channel": "/meta/connect", "id": "c", "successful": true,
            "advice": {
                "reconnect": "retry", "interval": 2000, "timeout": 30000,
                "multiple-clients": true,
            },
        })
    );
    let limit = Limit::MaxSessionsPerBrowser;
    assert_eq!(server.metrics().limit_count(limit), 1);
}

#[tokio::test]
async fn an_interval_of_zero_stops_the_second_tab_but_not_its_session() {
    let server = TestServer::start(&["bayeux.multi_session_interval=0s"]);
    let (mut first, mut second) = tabs(&server).await;
    let reply = only(second.connect().await);
    assert_eq!(
        reply,
        json!({
            "channel": "/meta/connect", "id": "c", "successful": false,
            "advice": {"reconnect": "none", "multiple-clients": true},
        })
    );
    first.disconnect().await;
    first.polled().await;
    second.poll().await;
    server.holds(1).await;
}

#[tokio::test]
async fn once_the_first_tab_is_gone_the_second_is_held_and_told_so() {
    let server = TestServer::start(&[]);
    let (mut first, mut second) = tabs(&server).await;
    second.connect().await;
    first.disconnect().await;
    first.polled().await;
    let reply = only(second.connect_with(json!({"advice": {"timeout": 1}})).await);
    let advice = json!({"reconnect": "retry", "interval": 0, "timeout": 30000});
    assert_eq!(reply["advice"], advice, "multiple-clients is over");
    let reply = only(second.connect_with(json!({"advice": {"timeout": 0}})).await);
    assert_eq!(reply["successful"], true);
}

#[tokio::test]
async fn a_tab_that_goes_on_after_multiple_clients_is_advised_without_asking() {
    let server = TestServer::start(&["bayeux.timeout=1s"]);
    let (mut first, mut second) = tabs(&server).await;
    second.connect().await;
    first.disconnect().await;
    first.polled().await;
    let reply = only(second.connect().await);
    assert_eq!(reply["advice"]["interval"], 0);
    let reply = only(second.connect().await);
    assert!(reply.get("advice").is_none(), "{reply}");
}

#[tokio::test]
async fn the_bound_is_an_option() {
    for (bound, held) in [(-1, true), (2, true), (0, false)] {
        let server = TestServer::start(&[&format!("bayeux.max_sessions_per_browser={bound}")]);
        let mut first = server.client().await;
        let mut second = first.tab();
        second.handshake().await;
        second.connect().await;
        if held {
            first.poll().await;
            second.poll().await;
            server.holds(2).await;
        } else {
            let reply = only(first.connect().await);
            assert_eq!(reply["advice"]["multiple-clients"], true);
        }
    }
}

#[tokio::test]
async fn clients_without_cookies_are_not_one_browser() {
    let server = TestServer::start(&[]);
    let (mut first, mut second) = (server.cookieless().await, server.cookieless().await);
    first.poll().await;
    second.poll().await;
    server.holds(2).await;
}

#[tokio::test]
async fn a_newer_connect_of_the_same_tab_takes_the_place_of_its_older_one() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    client.poll().await;
    server.holds(1).await;
    let mut older = client.take_poll();
    client.poll().await;
    assert_eq!(older.response().await.status, 409);
    assert!(client.poll_connection().await.is_silent().await);
}

#[tokio::test]
async fn a_place_is_free_again_when_the_held_connect_s_socket_dies() {
    let server = TestServer::start(&[]);
    let (mut first, mut second) = tabs(&server).await;
    drop(first.take_poll());
    server.holds(0).await;
    second.poll().await;
    server.holds(1).await;
}

#[tokio::test]
async fn events_reach_a_second_tab_with_its_polls() {
    let server = TestServer::start(&[]);
    let (_first, mut second) = tabs(&server).await;
    second.subscribe("/a").await;
    server.client().await.publish("/a", 1).await;
    let messages = second.connect().await;
    assert_eq!(messages[0], json!({"channel": "/a", "data": 1}));
}

#[tokio::test]
async fn a_surplus_tab_that_does_not_wait_is_held_until_it_should_have() {
    let server = TestServer::start(&["bayeux.multi_session_interval=400ms"]);
    let (_first, mut second) = tabs(&server).await;
    second.connect().await;
    second.poll().await;
    server.holds(2).await;
    let reply = only(second.polled().await);
    assert_eq!(reply["successful"], true);
    let reply = only(second.connect().await);
    assert_eq!(
        reply["advice"]["multiple-clients"], true,
        "the time is over"
    );
}

#[tokio::test]
async fn a_cookie_that_many_clients_were_given_counts_as_one_browser() {
    let server = TestServer::start(&[]);
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::new(server.address);
        client.cookie = Some("0123456789abcdefghijkl".to_owned());
        client.handshake().await;
        client.connect().await;
        clients.push(client);
    }
    clients[0].poll().await;
    server.holds(1).await;
    for client in &mut clients[1..] {
        let reply = only(client.connect().await);
        assert_eq!(reply["advice"]["multiple-clients"], true);
        assert_eq!(reply["successful"], true);
    }
}
