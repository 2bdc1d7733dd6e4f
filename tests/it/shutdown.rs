//! Stopping: held connects are answered, nothing queued is lost, and it does not take long.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Request, TestServer, only};

#[tokio::test]
pub(crate) async fn held_connects_are_answered_with_retry_and_the_server_ends() {
    let mut server = TestServer::start(&[]);
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = server.client().await;
        client.poll().await;
        clients.push(client);
    }
    server.holds(5).await;
    server.stop();
    for client in &mut clients {
        let response = client.poll_connection().await.response().await;
        assert_eq!(response.header("Connection"), Some("close"));
        let reply = only(response.messages());
        assert_eq!(reply["successful"], true);
        let advice = json!({"reconnect": "retry", "interval": 0, "timeout": 30000});
        assert_eq!(reply["advice"], advice);
        client.poll_connection().await.ended().await;
    }
    server.stopped().await;
    assert_eq!(server.metrics().held_connects.value(), 0);
}

#[tokio::test]
async fn queued_events_leave_with_the_answers() {
    let mut server =
        TestServer::start(&[r#"channel=[{pattern="/lazy", lazy=true, lazy_timeout="10m"}]"#]);
    let (mut client, mut publisher) = (server.client().await, server.client().await);
    client.subscribe("/lazy").await;
    client.poll().await;
    server.holds(1).await;
    publisher.publish("/lazy", 1).await;
    server.stop();
    assert_eq!(client.polled().await[0]["data"], 1);
    server.stopped().await;
}

#[tokio::test]
pub(crate) async fn idle_connections_do_not_delay_the_end() {
    let mut server = TestServer::start(&[]);
    let mut idle = server.open().await;
    let mut used = server.open().await;
    used.exchange(Request::post("{}")).await;
    let start = Instant::now();
    server.stop();
    server.stopped().await;
    assert!(start.elapsed() < Duration::from_secs(5));
    idle.ended().await;
    used.ended().await;
}

#[tokio::test]
async fn a_server_that_is_given_up_closes_its_idle_connections() {
    let server = TestServer::start(&[]);
    let mut idle = server.open().await;
    idle.exchange(Request::post("{}")).await;
    drop(server);
    idle.ended().await;
}

#[tokio::test]
async fn a_connection_that_hangs_delays_the_end_no_longer_than_shutdown_timeout() {
    let mut server = TestServer::start(&["http.shutdown_timeout=200ms"]);
    let mut http = server.open().await;
    http.send("POST /cometd HTTP/1.1\r\n").await;
    crate::support::until(|| server.metrics().connections.value() == 1).await;
    server.stop();
    server.stopped().await;
}

#[tokio::test]
async fn requests_that_arrive_meanwhile_are_answered_and_connects_are_not_held() {
    let mut server = TestServer::start(&[]);
    let client = server.cookieless().await;
    let connect = client.message(json!({"channel": "/meta/connect", "id": "c"}));
    let request = Request::post(connect.to_string()).bytes();
    let mut http = server.open().await;
    let (begin, end) = request.split_at(request.len() - 5);
    http.send(begin).await;
    // A publish that is answered shows that the server had time to read the beginning.
    server.client().await.publish("/a", 1).await;
    server.stop();
    http.send(end).await;
    let response = http.response().await;
    assert_eq!(response.header("Connection"), Some("close"));
    assert_eq!(only(response.messages())["successful"], true);
    server.stopped().await;
}

#[tokio::test]
async fn no_connection_is_accepted_any_more() {
    let mut server = TestServer::start(&[]);
    server.stop();
    server.stopped().await;
    let refused = tokio::net::TcpStream::connect(server.address).await;
    assert!(refused.is_err());
}
