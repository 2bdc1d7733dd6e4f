//! Event streams: plain ones of channels, and those of sessions that were made by POST.

use serde_json::{Value, json};

use crate::support::{Block, Client, Events, Http, Request, TestServer, only, until};

/// The number in an event's id.
fn number(id: Option<&String>) -> u64 {
    let (_, number) = id.unwrap().split_once('-').unwrap();
    number.parse().unwrap()
}

#[tokio::test]
async fn a_shell_sees_events_as_they_come() {
    let server = TestServer::start(&["eventsource.retry=3s"]);
    let target = "/events?channel=/chat/demo&channel=/stock/**";
    let (mut events, beginning) =
        Events::open_with(server.address, Request::new("GET", target)).await;
    assert_eq!(beginning.retry.as_deref(), Some("3000"));
    assert_eq!(number(beginning.id.as_ref()), 0);
    assert_eq!(beginning.data, [""; 0], "it is no event");
    let headers = [
        ("Content-Type", "text/event-stream; charset=utf-8"),
        ("Cache-Control", "no-cache, no-store"),
        ("X-Accel-Buffering", "no"),
        ("Connection", "close"),
        ("Vary", "Origin"),
    ];
    for (name, value) in headers {
        assert_eq!(events.response.header(name), Some(value));
    }
    assert_eq!(events.response.header("Content-Length"), None);
    assert_eq!(events.response.header("Set-Cookie"), None);

    let mut publisher = server.client().await;
    for (nth, channel) in ["/chat/demo", "/chat/other", "/stock/a/b"]
        .iter()
        .enumerate()
    {
        publisher.publish(channel, nth).await;
    }
    for (nth, data, channel) in [(1, 0, "/chat/demo"), (2, 2, "/stock/a/b")] {
        let event = events.next().await;
        assert_eq!(number(event.id.as_ref()), nth);
        assert_eq!(event.event, None);
        assert_eq!(event.json(), json!({"channel": channel, "data": data}));
    }
}

#[tokio::test]
async fn data_with_line_ends_is_the_same_json() {
    let server = TestServer::start(&[]);
    let (mut events, _) = Events::open(server.address, "/events?channel=/a").await;
    let mut publisher = server.client().await;
    let body = format!(
        "[{{\"channel\":\"/a\",\"clientId\":\"{}\",\"data\":{{\n\"n\": 1.10,\r\n\"s\":\"\\n\"}}}}]",
        publisher.id
    );
    publisher.post(body).await;
    let event = events.next().await;
    assert!(event.text().contains("1.10"));
    assert_eq!(event.json()["data"], json!({"n": 1.1, "s": "\n"}));
}

#[tokio::test]
async fn a_client_that_comes_back_gets_what_it_missed_once_and_in_order() {
    let server = TestServer::start(&[]);
    let target = "/events?channel=/a";
    let (mut events, _) = Events::open(server.address, target).await;
    let mut publisher = server.client().await;
    for data in 1..=3 {
        publisher.publish("/a", data).await;
    }
    let first = events.next().await.id.unwrap();
    // The second and the third are on their way, and lost there.
    events.reset();
    until(|| server.metrics().event_streams.value() == 0).await;
    publisher.publish("/a", 4).await;
    let (mut events, beginning) = Events::after(server.address, target, &first).await;
    assert_eq!(beginning.event, None);
    assert_eq!(beginning.id.as_ref(), Some(&first));
    for data in 2..=4 {
        let event = events.next().await;
        assert_eq!(event.json()["data"], data);
        assert_eq!(number(event.id.as_ref()), data);
    }
    publisher.publish("/a", 5).await;
    assert_eq!(events.next().await.json()["data"], 5);
    assert_eq!(
        server.metrics().sessions.value(),
        2,
        "it is the same session"
    );
}

#[tokio::test]
async fn the_last_event_is_said_by_header_or_query_and_an_empty_one_is_none() {
    let server = TestServer::start(&[]);
    let mut publisher = server.client().await;
    let (events, _) = Events::open(server.address, "/events?channel=/a").await;
    let (mut client, stream) = faye(&server).await;
    client.subscribe("/a").await;
    for data in 1..=3 {
        publisher.publish("/a", data).await;
    }
    let plain = Source::of(&server, events, "/events?channel=/a", None).await;
    let target = format!("/cometd/{}", client.id);
    let faye = Source::of(&server, stream, &target, client.cookie.as_deref()).await;
    for source in [plain, faye] {
        let [first, second] = &source.ids;
        // The header, the query, and the event that comes next; nothing if it begins anew.
        let cases = [
            (Some(first), None, Some(2)),
            (None, Some(first.clone()), Some(2)),
            (Some(second), Some(first.clone()), Some(3)),
            (Some(&String::new()), Some(second.clone()), Some(3)),
            (Some(&String::new()), None, None),
            (None, Some(String::new()), None),
            (Some(&String::new()), Some(String::new()), None),
            (None, None, None),
            // The newest stands last.
            (None, Some(format!("{first}&lastEventId={second}")), Some(3)),
        ];
        for (header, query, next) in cases {
            let shown = format!("{} {header:?} {query:?}", source.target);
            let (mut events, beginning) = source.open(header, query.as_deref()).await;
            assert_eq!(beginning.event, None, "{shown}");
            match next {
                Some(next) => assert_eq!(number(events.next().await.id.as_ref()), next, "{shown}"),
                None => assert!(events.is_silent().await, "{shown}"),
            }
        }
    }
    // What is no id of ours says as well that something was received.
    for query in ["7", "x-7", "%FF"] {
        let target = format!("/events?channel=/a&lastEventId={query}");
        let (_events, beginning) = Events::open(server.address, &target).await;
        assert_eq!(beginning.event.as_deref(), Some("gap"), "{query}");
    }
}

/// A stream that can be opened again, and the ids of its first events.
struct Source {
    address: std::net::SocketAddr,
    target: String,
    cookie: Option<String>,
    ids: [String; 2],
}

impl Source {
    async fn of(
        server: &TestServer,
        mut events: Events,
        target: &str,
        cookie: Option<&str>,
    ) -> Self {
        let ids = [
            events.next().await.id.unwrap(),
            events.next().await.id.unwrap(),
        ];
        Self {
            address: server.address,
            target: target.to_owned(),
            cookie: cookie.map(|value| format!("BAYEUX_BROWSER={value}")),
            ids,
        }
    }

    async fn open(&self, header: Option<&String>, query: Option<&str>) -> (Events, Block) {
        let separator = if self.target.contains('?') { '&' } else { '?' };
        let query = query.map(|id| format!("{separator}lastEventId={id}"));
        let target = format!("{}{}", self.target, query.unwrap_or_default());
        let mut text = format!("GET {target} HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n");
        if let Some(cookie) = &self.cookie {
            text += &format!("Cookie: {cookie}\r\n");
        }
        if let Some(id) = header {
            text += &format!("Last-Event-ID: {id}\r\n");
        }
        let mut http = Http::open(self.address).await;
        http.send(text + "\r\n").await;
        Events::begun(http).await
    }
}

#[tokio::test]
async fn a_client_hears_that_events_are_gone() {
    let server = TestServer::start(&["bayeux.max_replay=2", "bayeux.max_interval=300ms"]);
    let target = "/events?channel=/a";
    let mut publisher = server.client().await;

    // Some of them: the others come.
    let (mut events, beginning) = Events::open(server.address, target).await;
    for data in 1..=4 {
        publisher.publish("/a", data).await;
    }
    for _ in 1..=4 {
        events.next().await;
    }
    let start = beginning.id.unwrap();
    let (mut again, beginning) = Events::after(server.address, target, &start).await;
    assert_eq!(beginning.event.as_deref(), Some("gap"));
    assert!(beginning.json()["error"].is_string());
    assert_eq!(again.next().await.json()["data"], 3);
    assert_eq!(again.next().await.json()["data"], 4);
    events.ended().await;

    // The session, and all that it had.
    again.reset();
    publisher.disconnect().await;
    until(|| server.metrics().sessions.value() == 0).await;
    for id in [start.as_str(), "nonsense", "0000000000000000000000-1"] {
        let (mut events, beginning) = Events::after(server.address, target, id).await;
        assert_eq!(beginning.event.as_deref(), Some("gap"), "{id}");
        assert_ne!(beginning.id.as_deref(), Some(id));
        server.client().await.publish("/a", "x").await;
        assert_eq!(events.next().await.json()["data"], "x");
    }
}

#[tokio::test]
async fn another_stream_s_id_is_of_no_use_for_other_channels() {
    let server = TestServer::start(&[]);
    let (mut secret, _) = Events::open(server.address, "/events?channel=/secret").await;
    server.client().await.publish("/secret", 1).await;
    let id = secret.next().await.id.unwrap();
    let (_other, beginning) = Events::after(server.address, "/events?channel=/open", &id).await;
    assert_eq!(beginning.event.as_deref(), Some("gap"));
    assert!(secret.is_silent().await, "it goes on");
    assert_eq!(server.metrics().event_streams.value(), 2);
}

#[tokio::test]
async fn the_session_of_a_stream_ends_with_it_after_a_while() {
    let server = TestServer::start(&["bayeux.max_interval=100ms"]);
    let (events, _) = Events::open(server.address, "/events?channel=/a").await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(
        server.metrics().sessions.value(),
        1,
        "it lives as long as the stream"
    );
    drop(events);
    until(|| server.metrics().sessions.value() == 0).await;
}

#[tokio::test]
async fn what_may_not_be_subscribed_to_is_refused() {
    let server = TestServer::start(&["bayeux.max_subscriptions=2"]);
    let cases = [
        ("GET", "/events", 400, "channel="),
        ("GET", "/events?x=1", 400, "channel="),
        (
            "GET",
            "/events?channel=nonsense",
            400,
            "subscription_invalid",
        ),
        (
            "GET",
            "/events?channel=/meta/connect",
            403,
            "subscribe_denied",
        ),
        ("GET", "/events?channel=/meta/x", 403, "create_denied"),
        (
            "GET",
            "/events?channel=/a&channel=/b&channel=/c",
            403,
            "too_many_subscriptions",
        ),
        ("POST", "/events?channel=/a", 405, "GET"),
    ];
    for (method, target, status, reason) in cases {
        let response = server
            .open()
            .await
            .exchange(Request::new(method, target))
            .await;
        assert_eq!(response.status, status, "{target}");
        assert!(response.reason().contains(reason), "{target}");
    }
    assert_eq!(server.metrics().sessions.value(), 0);
    let server = TestServer::start(&["bayeux.max_sessions=1"]);
    let (_events, _) = Events::open(server.address, "/events?channel=/a").await;
    let request = Request::new("GET", "/events?channel=/a");
    assert_eq!(server.open().await.exchange(request).await.status, 503);
}

#[tokio::test]
async fn the_pages_of_other_sites_are_checked_as_for_everything() {
    let server = TestServer::start(&[r#"http.allowed_origins=["https://friend.example"]"#]);
    let request = |origin| Request::new("GET", "/events?channel=/a").header("Origin", origin);
    let response = server
        .open()
        .await
        .exchange(request("https://foe.example"))
        .await;
    assert_eq!(response.status, 403);
    let friend = request("https://friend.example");
    let (events, _) = Events::open_with(server.address, friend).await;
    let allowed = events.response.header("Access-Control-Allow-Origin");
    assert_eq!(allowed, Some("https://friend.example"));
}

#[tokio::test]
async fn a_silent_stream_carries_comments() {
    let server = TestServer::start(&["eventsource.heartbeat_interval=50ms"]);
    let (mut events, _) = Events::open(server.address, "/events?channel=/a").await;
    for _ in 0..3 {
        assert!(events.next().await.is_comment);
    }
    let server = TestServer::start(&["eventsource.heartbeat_interval=0s"]);
    let (mut events, _) = Events::open(server.address, "/events?channel=/a").await;
    assert!(events.is_silent().await);
}

#[tokio::test]
async fn a_stopping_server_ends_streams_with_what_is_queued() {
    let mut server =
        TestServer::start(&[r#"channel=[{pattern="/lazy", lazy=true, lazy_timeout="10m"}]"#]);
    let (mut events, _) = Events::open(server.address, "/events?channel=/lazy").await;
    server.client().await.publish("/lazy", 1).await;
    assert!(events.is_silent().await);
    server.stop();
    assert_eq!(events.next().await.json()["data"], 1);
    events.ended().await;
    server.stopped().await;
}

#[tokio::test]
async fn a_stream_needs_no_http_1_1() {
    let server = TestServer::start(&[]);
    let request = Request::new("GET", "/events?channel=/a").version("HTTP/1.0");
    let (mut events, _) = Events::open_with(server.address, request).await;
    server.client().await.publish("/a", 1).await;
    assert_eq!(events.next().await.json()["data"], 1);
}

#[tokio::test]
pub(crate) async fn a_slow_reader_is_bounded_and_misses_nothing_if_it_comes_back() {
    let server = TestServer::start(&[
        "http.write_timeout=4s",
        "bayeux.max_queue_bytes=100MiB",
        "bayeux.max_replay=1000",
    ]);
    let target = "/events?channel=/a";
    let http = Http::open_narrow(server.address).await;
    let (slow, beginning) = Events::over(http, Request::new("GET", target)).await;
    let mut publisher = server.client().await;
    let filler = "x".repeat(50_000);
    for number in 0..400 {
        publisher
            .publish("/a", json!({"number": number, "filler": filler}))
            .await;
    }
    until(|| server.metrics().event_streams.value() == 0).await;
    // It has read no event, and what the kernel had of them may be gone by now.
    drop(slow);
    let last = beginning.id.unwrap();
    let (mut events, beginning) = Events::after(server.address, target, &last).await;
    assert_eq!(beginning.event, None);
    for number in 0..400 {
        assert_eq!(events.next().await.json()["data"]["number"], number);
    }
}

/// A client of Faye's, which receives by a stream and sends by POST.
async fn faye(server: &TestServer) -> (Client, Events) {
    let mut client = Client::new(server.address);
    client
        .handshake_with(json!({"supportedConnectionTypes": ["eventsource"]}))
        .await;
    let target = format!("/cometd/{}", client.id);
    let cookie = format!("BAYEUX_BROWSER={}", client.cookie.as_ref().unwrap());
    let request = Request::new("GET", &target)
        .header("Accept", "text/event-stream")
        .header("Cookie", &cookie);
    let (events, _) = Events::open_with(server.address, request).await;
    (client, events)
}

async fn connect(client: &mut Client) -> Vec<Value> {
    client
        .connect_with(json!({"connectionType": "eventsource"}))
        .await
}

#[tokio::test]
async fn faye_s_connects_are_answered_at_once_and_events_leave_by_the_stream() {
    let server = TestServer::start(&["bayeux.timeout=20s"]);
    let (mut client, mut events) = faye(&server).await;
    for _ in 0..2 {
        let replies = connect(&mut client).await;
        assert_eq!(replies.len(), 1);
        let advice = json!({"reconnect": "retry", "interval": 20000, "timeout": 20000});
        assert_eq!(replies[0]["advice"], advice);
    }
    client.subscribe("/a").await;
    let mut publisher = server.client().await;
    publisher.publish("/a", 1).await;
    let event = events.next().await;
    assert_eq!(event.json(), json!([{"channel": "/a", "data": 1}]));
    // Not with the reply to its own publish either.
    assert_eq!(client.publish("/a", 2).await.len(), 1);
    assert_eq!(events.next().await.json()[0]["data"], 2);
    client.disconnect().await;
    events.ended().await;
}

#[tokio::test]
async fn faye_s_stream_goes_on_where_it_broke() {
    let server = TestServer::start(&[]);
    let (mut client, mut events) = faye(&server).await;
    client.subscribe("/a").await;
    let mut publisher = server.client().await;
    publisher.publish("/a", 1).await;
    let id = events.next().await.id.unwrap();
    events.reset();
    until(|| server.metrics().event_streams.value() == 0).await;
    publisher.publish("/a", 2).await;
    assert_eq!(
        client.publish("/a", 3).await.len(),
        1,
        "it waits for the stream"
    );
    let cookie = format!("BAYEUX_BROWSER={}", client.cookie.as_ref().unwrap());
    let request = Request::new("GET", &format!("/cometd/{}", client.id))
        .header("Accept", "text/event-stream")
        .header("Cookie", &cookie)
        .header("Last-Event-ID", &id);
    let (mut events, _) = Events::open_with(server.address, request).await;
    for data in 2..=3 {
        assert_eq!(events.next().await.json()[0]["data"], data);
    }
}

#[tokio::test]
async fn a_stream_that_begins_anew_is_told_how_far_the_session_is() {
    let server = TestServer::start(&[]);
    let (mut client, mut events) = faye(&server).await;
    client.subscribe("/a").await;
    let mut publisher = server.client().await;
    publisher.publish("/a", 1).await;
    let id = events.next().await.id.unwrap();
    events.reset();
    until(|| server.metrics().event_streams.value() == 0).await;
    let cookie = format!("BAYEUX_BROWSER={}", client.cookie.as_ref().unwrap());
    let request = Request::new("GET", &format!("/cometd/{}", client.id))
        .header("Accept", "text/event-stream")
        .header("Cookie", &cookie);
    let (_events, beginning) = Events::open_with(server.address, request).await;
    assert_eq!(beginning.id, Some(id), "or the event would come again");
}

#[tokio::test]
async fn the_client_of_a_stream_of_nobody_or_of_another_browser_hears_to_handshake() {
    let server = TestServer::start(&[]);
    let (client, _events) = faye(&server).await;
    for id in [&client.id, "0000000000000000000000"] {
        let request =
            Request::new("GET", &format!("/cometd/{id}")).header("Accept", "text/event-stream");
        let response = server.open().await.exchange(request).await;
        assert_eq!(response.status, 200);
        let (retry, data) = response.text().split_once("\ndata: ").unwrap();
        assert_eq!(retry, "retry: 30000");
        let messages: Value = serde_json::from_str(data.strip_suffix("\n\n").unwrap()).unwrap();
        let expected = json!([{
            "channel": "/meta/connect", "successful": false, "error": "402::session_unknown",
            "advice": {"reconnect": "handshake", "interval": 0, "timeout": 30000},
        }]);
        assert_eq!(messages, expected);
    }
}

#[tokio::test]
async fn a_poll_that_is_held_when_the_stream_opens_is_answered() {
    // Faye polls until its stream is open. A poll that stays until the server stops would be told that
    // its session is gone, as the stream is, and Faye would handshake for each.
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    client.poll().await;
    server.holds(1).await;
    let request = Request::new("GET", &format!("/cometd/{}", client.id));
    let request = client.with_cookie(request.header("Accept", "text/event-stream"));
    let (mut events, _) = Events::open_with(server.address, request).await;
    assert_eq!(only(client.polled().await)["successful"], true);
    server.client().await.publish("/a", 1).await;
    assert_eq!(events.next().await.json()[0]["data"], 1);
}

#[tokio::test]
async fn a_poll_takes_the_session_over_from_its_stream() {
    let server = TestServer::start(&[]);
    let (mut client, mut events) = faye(&server).await;
    connect(&mut client).await;
    client.subscribe("/a").await;
    client.poll().await;
    events.ended().await;
    server.holds(1).await;
    server.client().await.publish("/a", 1).await;
    assert_eq!(client.polled().await[0]["data"], 1);
}
