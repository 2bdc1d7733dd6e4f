//! When clients come back that lose their sessions: not all at once, and not too early.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Client, Events, Http, Request, Response, Streamed, TestServer, WebSocket, only, until,
};

/// So that two clients are many already.
const SLOWLY: &str = "bayeux.reconnect_rate=1";

/// The `interval` of advice, which is complete.
fn interval(reply: &Value) -> u64 {
    let advice = &reply["advice"];
    assert!(advice["reconnect"].is_string(), "{reply}");
    assert_eq!(advice["timeout"], 30000, "{reply}");
    advice["interval"].as_u64().unwrap()
}

fn unknown(number: usize) -> Value {
    json!({"channel": "/meta/connect", "clientId": format!("{number:022}")})
}

#[tokio::test]
async fn a_few_unknown_clients_come_back_at_once() {
    let server = TestServer::start(&[]);
    let mut http = server.open().await;
    for number in 0..100 {
        let request = Request::post(unknown(number).to_string());
        let reply = only(http.exchange(request).await.messages());
        assert_eq!(reply["error"], "402::session_unknown");
        assert_eq!(interval(&reply), 0);
    }
    assert_eq!(server.metrics().spread_reconnects.value(), 0);
}

#[tokio::test]
async fn many_unknown_clients_come_back_one_after_the_other() {
    let server = TestServer::start(&[SLOWLY, "bayeux.max_reconnect_spread=20s"]);
    let mut http = server.open().await;
    let mut last = 0;
    for number in 0..40 {
        let request = Request::post(unknown(number).to_string());
        let reply = only(http.exchange(request).await.messages());
        let interval = interval(&reply);
        assert!(interval <= 20_000);
        if (3..10).contains(&number) {
            assert!(interval > last, "{interval} after {last}");
        }
        last = interval;
    }
    assert!(server.metrics().spread_reconnects.value() > 30);
}

/// A client, and how its held connect came.
struct Held {
    transport: &'static str,
    /// Whether it does not see that nothing listens.
    is_blind: bool,
}

const HELD: [Held; 5] = [
    Held {
        transport: "long-polling",
        is_blind: false,
    },
    Held {
        transport: "callback-polling",
        is_blind: true,
    },
    Held {
        transport: "xhr-streaming",
        is_blind: false,
    },
    Held {
        transport: "iframe",
        is_blind: true,
    },
    Held {
        transport: "websocket",
        is_blind: false,
    },
];

/// The replies to connects that were held by each transport when the server stops.
async fn at_stop(set: &[&str]) -> Vec<(&'static Held, u64)> {
    let mut server = TestServer::start(set);
    let mut socket = WebSocket::client(server.address).await;
    socket.hold("held").await;
    let mut polls = Vec::new();
    for held in &HELD[..4] {
        let client = server.cookieless().await;
        let connect = client.message(json!({
            "channel": "/meta/connect", "connectionType": held.transport,
        }));
        let text = json!([connect]).to_string();
        let request = match held.transport {
            "callback-polling" => Request::jsonp("cb", &text),
            _ => Request::post(text).header("Origin", "http://localhost"),
        };
        let mut http = server.open().await;
        http.send(request.bytes()).await;
        polls.push(http);
    }
    server.holds(5).await;
    server.stop();
    let mut intervals = Vec::new();
    for (held, mut http) in HELD.iter().zip(polls) {
        let reply = match held.transport {
            "long-polling" => only(http.response().await.messages()),
            "callback-polling" => only(http.response().await.messages_for("cb")),
            _ => only(last_array(&Streamed::begun(http).await.rest().await)),
        };
        assert_eq!(reply["successful"], true);
        intervals.push((held, interval(&reply)));
    }
    intervals.push((&HELD[4], interval(&socket.message().await)));
    intervals
}

/// The last array that stands in a stream.
fn last_array(text: &str) -> Vec<Value> {
    let begin = text.rfind("[{").unwrap();
    let end = text[begin..].find("}]").unwrap() + begin + 2;
    serde_json::from_str(&text[begin..end]).unwrap()
}

#[tokio::test]
async fn a_stop_sends_few_clients_back_at_once_but_those_that_do_not_see_a_closed_port() {
    for (held, interval) in at_stop(&[]).await {
        let expected = if held.is_blind { 3000 } else { 0 };
        assert_eq!(interval, expected, "{}", held.transport);
    }
}

/// Connections see the end on several threads, each as soon as it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_sees_the_stop_first_hears_of_it_too() {
    const CLIENTS: usize = 100;
    let mut server = TestServer::start(&["bayeux.reconnect_rate=1000000"]);
    let mut polls = Vec::new();
    for _ in 0..CLIENTS {
        let client = server.cookieless().await;
        let connect = client.message(json!({
            "channel": "/meta/connect", "connectionType": "callback-polling",
        }));
        let mut http = server.open().await;
        http.send(Request::jsonp("cb", &json!([connect]).to_string()).bytes())
            .await;
        polls.push(http);
    }
    server.holds(100).await;
    server.stop();
    for mut http in polls {
        let reply = only(http.response().await.messages_for("cb"));
        assert_eq!(interval(&reply), 3000);
    }
}

#[tokio::test]
async fn a_stop_sends_many_clients_back_one_after_the_other() {
    let mut waits: Vec<_> = at_stop(&[SLOWLY, "bayeux.callback_reconnect_interval=0s"])
        .await
        .into_iter()
        .map(|(_, interval)| interval)
        .collect();
    waits.sort_unstable();
    // The first two may be within a second.
    assert_eq!(waits[0], 0);
    for wait in waits[1..].windows(2) {
        assert!(wait[1] > wait[0], "{waits:?}");
    }
}

#[tokio::test]
async fn a_connect_that_comes_while_the_server_stops_is_told_too() {
    let mut server = TestServer::start(&[]);
    let client = server.cookieless().await;
    let connect = client.message(json!({"channel": "/meta/connect"}));
    let request = Request::jsonp("cb", &json!([connect]).to_string()).bytes();
    let mut http = server.open().await;
    let (begin, end) = request.split_at(request.len() - 5);
    http.send(begin).await;
    until(|| server.metrics().connections.value() > 1).await;
    // A publish that is answered shows that the server had time to read the beginning.
    server.client().await.publish("/a", 1).await;
    server.stop();
    http.send(end).await;
    let response: Response = http.response().await;
    let reply = only(response.messages_for("cb"));
    assert_eq!(reply["successful"], true);
    assert_eq!(interval(&reply), 3000);
}

#[tokio::test]
async fn event_streams_are_told_when_to_come_back_if_they_are_many() {
    let mut server = TestServer::start(&[SLOWLY]);
    let mut streams = Vec::new();
    for _ in 0..4 {
        let (stream, begin) = Events::open(server.address, "/events?channel=/a").await;
        assert_eq!(begin.retry.as_deref(), Some("1000"));
        streams.push(stream);
    }
    server.stop();
    let mut told = 0;
    for mut stream in streams {
        if let Some(block) = stream.last().await {
            let retry: u64 = block.retry.unwrap().parse().unwrap();
            assert!(retry >= 2000, "{retry}");
            told += 1;
        }
    }
    assert!(
        told > 0 && told < 4,
        "the first comes back as always: {told}"
    );
}

#[tokio::test]
async fn a_server_without_room_does_not_ask_all_back_at_once() {
    let server = TestServer::start(&["bayeux.max_sessions=1", SLOWLY]);
    let _only = server.client().await;
    let mut intervals = Vec::new();
    for _ in 0..4 {
        let reply = Client::new(server.address).handshake().await;
        assert_eq!(reply["successful"], false);
        intervals.push(interval(&reply));
    }
    assert_eq!(intervals[0], 10_000);
    assert!(intervals[3] > 11_000, "{intervals:?}");
}

/// Asks again and again with an id, as clients do that ignore the advice; how often it is answered
/// within a time in which it would be thousands of times.
async fn insist(http: &mut Http, id: &Value) -> Vec<Value> {
    let request = Request::post(json!({"channel": "/meta/connect", "clientId": id}).to_string());
    let mut replies = Vec::new();
    let end = tokio::time::sleep(Duration::from_millis(1500));
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return replies,
            response = http.exchange(request.clone()) => replies.extend(response.messages()),
        }
    }
}

#[tokio::test]
async fn who_repeats_an_unknown_id_is_answered_ever_later() {
    let server = TestServer::start(&[]);
    let ids = [json!("0123456789abcdefghijkl"), json!("foreign"), json!(7)];
    for id in ids {
        let mut http = server.open().await;
        let replies = insist(&mut http, &id).await;
        // At once, then after 250 ms, 750 ms and 1750 ms.
        assert!((2..=3).contains(&replies.len()), "{id}: {}", replies.len());
        for reply in replies {
            assert_eq!(reply["error"], "402::session_unknown");
            assert_eq!(interval(&reply), 0);
        }
    }
    assert!(server.metrics().delayed_unknown.value() > 0);
}

#[tokio::test]
async fn another_connection_with_the_same_id_is_late_too_and_nobody_else() {
    let server = TestServer::start(&["bayeux.max_unknown_delay=10m"]);
    let mut insisting = server.open().await;
    let id = json!("0123456789abcdefghijkl");
    insist(&mut insisting, &id).await;
    let connect = |id: &Value| {
        let message = json!([{"channel": "/meta/connect", "clientId": id}]);
        Request::post(message.to_string())
    };
    let mut other = server.open().await;
    other.send(connect(&id).bytes()).await;
    assert!(other.is_silent().await);
    // On the connection of one that was refused, as a proxy has many clients on one.
    let mut shared = server.open().await;
    for number in 0..50 {
        let response = shared
            .exchange(connect(&json!(format!("{number:022}"))))
            .await;
        assert_eq!(only(response.messages())["error"], "402::session_unknown");
    }
    // Who names no id cannot be told from others who name none.
    for _ in 0..20 {
        let response = shared.exchange(connect(&Value::Null)).await;
        assert_eq!(only(response.messages())["error"], "402::session_unknown");
    }
    let mut client = server.client().await;
    client.publish("/a", 1).await;
    // Its other messages are not late, nor are a live session's beside such a connect.
    let publish = json!({"channel": "/a", "clientId": id, "data": 1});
    let response = server.post(publish.to_string()).await;
    assert_eq!(only(response.messages())["error"], "402::session_unknown");
    let live = client.message(json!({"channel": "/a", "data": 1}));
    let late = json!({"channel": "/meta/connect", "clientId": id});
    assert_eq!(
        client
            .post(json!([live, late]).to_string())
            .await
            .messages()
            .len(),
        2
    );
}

#[tokio::test]
async fn a_late_answer_ends_with_its_client_and_comes_when_the_server_stops() {
    let mut server = TestServer::start(&["bayeux.max_unknown_delay=10m"]);
    let id = json!("0123456789abcdefghijkl");
    let connect = Request::post(json!({"channel": "/meta/connect", "clientId": id}).to_string());
    let mut first = server.open().await;
    for _ in 0..3 {
        first.exchange(connect.clone()).await;
    }
    let mut late = Vec::new();
    for _ in 0..10 {
        let mut http = server.open().await;
        http.send(connect.bytes()).await;
        assert!(http.is_silent().await);
        late.push(http);
    }
    until(|| server.metrics().connections.value() == 11).await;
    late.drain(..9).for_each(drop);
    until(|| server.metrics().connections.value() == 2).await;
    server.stop();
    let reply = only(late[0].response().await.messages());
    assert_eq!(reply["error"], "402::session_unknown");
    drop((late, first));
    server.stopped().await;
}

#[tokio::test]
async fn a_websocket_that_repeats_an_unknown_id_is_read_ever_later() {
    let server = TestServer::start(&["bayeux.max_unknown_delay=10m"]);
    let mut socket = WebSocket::open(server.address).await;
    socket.id = "0123456789abcdefghijkl".to_owned();
    let connect = json!({"channel": "/meta/connect"});
    for _ in 0..3 {
        let reply = socket.call(connect.clone()).await;
        assert_eq!(reply["error"], "402::session_unknown");
    }
    socket.send(connect).await;
    assert!(socket.is_silent().await);
    assert_eq!(socket.message().await["error"], "402::session_unknown");
    socket.handshake().await;
}
