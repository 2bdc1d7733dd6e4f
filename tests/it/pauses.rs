//! The process is stopped for a while, as on a machine that is suspended: that is not its clients'
//! silence.

use std::time::Duration;

use bytes::Bytes;
use mirant::web::websocket::Incoming;
use serde_json::json;

use crate::support::program::Serving;
use crate::support::{Client, Http, Request, WebSocket, only};

/// Longer than anything here may be silent.
const PAUSE: Duration = Duration::from_secs(7);

/// Stops the process for a while.
async fn pause(serving: &Serving) {
    serving.signal("STOP");
    tokio::time::sleep(PAUSE).await;
    serving.signal("CONT");
}

#[tokio::test]
async fn a_session_between_two_connects_lives_on() {
    let serving = Serving::start(&["--set", "bayeux.max_interval=5s"]);
    let mut client = Client::new(serving.address());
    client.handshake().await;
    client.connect().await;
    pause(&serving).await;
    let reply = only(client.connect_with(json!({"advice": {"timeout": 0}})).await);
    assert_eq!(reply["successful"], true, "{reply}");
}

#[tokio::test]
async fn a_websocket_that_was_pinged_is_pinged_again() {
    let serving = Serving::start(&["--set", "websocket.ping_interval=3s"]);
    let mut client = WebSocket::client(serving.address()).await;
    for is_paused in [true, false] {
        let ping = client.next().await;
        assert_eq!(ping, Some(Incoming::Ping(Bytes::new())));
        if is_paused {
            pause(&serving).await;
        }
    }
    client.frame(0x8a, b"").await;
    client.subscribe("/a").await;
}

#[tokio::test]
async fn an_idle_connection_is_kept() {
    let serving = Serving::start(&["--set", "http.keep_alive_timeout=2s"]);
    let mut connection = Http::open(serving.address()).await;
    connection.send(Request::post("[]").bytes()).await;
    assert_eq!(connection.response().await.status, 400);
    serving.signal("STOP");
    connection.send(Request::post("[]").bytes()).await;
    tokio::time::sleep(PAUSE).await;
    serving.signal("CONT");
    assert_eq!(connection.response().await.status, 400);
}
