//! Who may use a session by its client id: every transport × the browser cookie of the request, before
//! and after the session's client returned its own. Ages are in `src/server/admission.rs`.

use serde_json::json;

use crate::support::{
    Client, Embedded, Events, Request, TestServer, WebSocket, percent, two_way, upgrade,
};

/// By what a client id comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Json,
    Form,
    Jsonp,
    Embedded,
    /// A connect that names this connection type.
    Connect(&'static str),
    /// Faye's event stream.
    EventStream,
    /// An event stream that continues another.
    Continued,
    /// A WebSocket that was opened at the handshake.
    WebSocket,
    /// A WebSocket that has had another session.
    UsedWebSocket,
}

const WAYS: [Way; 13] = [
    Way::Json,
    Way::Form,
    Way::Jsonp,
    Way::Embedded,
    Way::Connect("long-polling"),
    Way::Connect("xhr-streaming"),
    Way::Connect("multipart"),
    Way::Connect("iframe"),
    Way::Connect("message-http"),
    Way::EventStream,
    Way::Continued,
    Way::WebSocket,
    Way::UsedWebSocket,
];

/// Tells whether a text is of a success, and not of a session that is not known.
fn is_success(text: &str) -> bool {
    let is_unknown = text.contains("402::session_unknown");
    assert!(
        is_unknown || text.contains(r#""successful":true"#),
        "{text}"
    );
    !is_unknown
}

impl Way {
    /// Tells whether a client may use a session so.
    async fn is_admitted(self, server: &TestServer, client: &Client) -> bool {
        let publish = json!([client.message(json!({"channel": "/service/x", "data": 1}))]);
        let publish = publish.to_string();
        let request = match self {
            Self::Json => Request::post(publish),
            Self::Form => form(&publish),
            Self::Jsonp => Request::jsonp("f", &publish),
            Self::Embedded => return embedded(server, client, &publish).await,
            Self::Connect(by) => {
                let connect = json!([client.message(json!({
                    "channel": "/meta/connect", "connectionType": by, "advice": {"timeout": 0},
                }))]);
                form(&connect.to_string()).header("Origin", "http://localhost")
            }
            Self::EventStream => Request::new("GET", &format!("/cometd/{}", client.id))
                .header("Accept", "text/event-stream"),
            Self::Continued => return continued(server, client).await,
            Self::WebSocket | Self::UsedWebSocket => {
                return socket(server, client, self == Self::UsedWebSocket).await;
            }
        };
        let mut http = server.open().await;
        let response = http.exchange(client.with_cookie(request)).await;
        assert_eq!(response.status, 200, "{response:?}");
        let is_stream = response.header("Content-Length").is_none();
        assert!(!is_stream || self == Self::EventStream, "{response:?}");
        is_stream || is_success(response.text())
    }
}

fn form(messages: &str) -> Request {
    let body = format!("message={}", percent(messages));
    Request::post(body).header("Content-Type", "application/x-www-form-urlencoded")
}

async fn embedded(server: &TestServer, client: &Client, messages: &str) -> bool {
    let head = two_way().header("Transfer-Encoding", "chunked");
    let mut stream = Embedded::open(server.address, client.with_cookie(head)).await;
    let response = stream.exchange(Request::post(messages)).await;
    is_success(response.text())
}

async fn continued(server: &TestServer, client: &Client) -> bool {
    let request = Request::new("GET", "/events?channel=/a")
        .header("Accept", "text/event-stream")
        .header("Last-Event-ID", &format!("{}-0", client.id));
    let (_, block) = Events::open_with(server.address, client.with_cookie(request)).await;
    block.id.unwrap().starts_with(&client.id)
}

async fn socket(server: &TestServer, client: &Client, is_used: bool) -> bool {
    let mut socket = WebSocket::open_with(server.address, client.with_cookie(upgrade())).await;
    if is_used {
        socket.handshake().await;
    }
    socket.id.clone_from(&client.id);
    let publish = socket.call(json!({"channel": "/service/x", "data": 1}));
    is_success(&publish.await.to_string())
}

/// A client with a session that is subscribed to `/a`.
async fn subscribed(server: &TestServer, is_bound: bool) -> Client {
    let mut client = Client::new(server.address);
    client.handshake().await;
    let own = client.cookie.take();
    assert_eq!(client.subscribe("/a").await["successful"], true);
    client.cookie = own;
    if is_bound {
        client.publish("/service/x", 1).await;
    }
    client
}

#[tokio::test]
async fn a_client_id_is_enough_until_the_cookie_was_returned_and_then_both_are_needed() {
    let server = TestServer::start(&["bayeux.max_sessions_per_browser=-1"]);
    let other = server.client().await.cookie;
    let invented = Some("0123456789abcdefghijkl".to_owned());
    for way in WAYS {
        for is_bound in [false, true] {
            for (cookie, which) in [
                (None, "none"),
                (other.clone(), "another's"),
                (invented.clone(), "invented"),
            ] {
                let mut client = subscribed(&server, is_bound).await;
                client.cookie = cookie;
                // It could have no cookie when it was on its way while its session was made.
                let is_young = way == Way::WebSocket && client.cookie.is_none();
                assert_eq!(
                    way.is_admitted(&server, &client).await,
                    !is_bound || is_young,
                    "{way:?} with the cookie: {which}; bound: {is_bound}"
                );
            }
            let client = subscribed(&server, is_bound).await;
            assert!(way.is_admitted(&server, &client).await, "{way:?}: its own");
        }
    }
}

#[tokio::test]
async fn a_socket_that_was_there_before_is_no_way_around_the_cookie() {
    let server = TestServer::start(&[]);
    let attacker = server.client().await;
    let mut early = WebSocket::open_with(server.address, attacker.with_cookie(upgrade())).await;
    let mut victim = subscribed(&server, true).await;
    early.id.clone_from(&victim.id);
    let reply = early
        .call(json!({"channel": "/meta/connect", "advice": {"timeout": 0}}))
        .await;
    assert_eq!(reply["error"], "402::session_unknown");
    server.client().await.publish("/a", "for the victim").await;
    assert!(early.is_silent().await);
    assert_eq!(victim.queued().await[0]["data"], "for the victim");
}
