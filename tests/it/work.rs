//! Much work for one client: others have their turn meanwhile.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use mirant::bayeux::Message;
use mirant::extensions::{Extension, MessageInfo, Refusal};
use mirant::run::Additions;
use serde_json::{Value, json};

use crate::support::{
    Client, Embedded, PATIENCE, Request, TestServer, WebSocket, only, percent, within,
};

const SETTINGS: [&str; 3] = [
    "bayeux.max_message_size=1MiB",
    "bayeux.max_subscriptions=12000",
    "bayeux.max_batch=1000",
];

/// A subscribe that is more work than is done at a stretch.
fn much(client_id: &str) -> Value {
    let channels: Vec<String> = (0..10_000).map(|number| format!("/{number}")).collect();
    json!({"channel": "/meta/subscribe", "clientId": client_id, "subscription": channels})
}

fn server_with(extension: impl Extension + 'static) -> TestServer {
    let additions = Additions {
        extensions: vec![Box::new(extension)],
        handlers: Vec::new(),
    };
    TestServer::start_with(&SETTINGS, additions)
}

/// Keeps the thread that processes a message which says so, until it is let go.
#[derive(Debug)]
struct Blocking {
    blocked: Sender<()>,
    released: Mutex<Receiver<()>>,
}

impl Extension for Blocking {
    fn incoming(&self, message: &mut Message<'_>, _: &MessageInfo) -> Result<(), Refusal> {
        if message.extension("block").is_some() {
            self.blocked.send(()).unwrap();
            let released = self.released.lock().unwrap();
            released.recv_timeout(PATIENCE).unwrap();
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
enum By {
    Json,
    Form,
    Embedded,
    WebSocket,
}

/// Sends a batch, and returns its replies.
async fn send_by(by: By, address: std::net::SocketAddr, batch: String) -> Vec<Value> {
    match by {
        By::Json => Client::new(address).post(batch).await.messages(),
        By::Form => {
            let form = format!("message={}", percent(&batch));
            Client::new(address).post(form).await.messages()
        }
        By::Embedded => {
            let mut embedded = Embedded::two_way(address).await;
            embedded.exchange(Request::post(batch)).await.messages()
        }
        By::WebSocket => {
            let mut socket = WebSocket::open(address).await;
            socket.text(&batch).await;
            socket.messages().await
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_batch_that_is_much_work_keeps_nobody_waiting() {
    let (blocked, is_blocked) = channel();
    let (release, released) = channel();
    let server = server_with(Blocking {
        blocked,
        released: Mutex::new(released),
    });
    let address = server.address;
    let is_blocked = Arc::new(Mutex::new(is_blocked));
    for by in [By::Json, By::Form, By::Embedded, By::WebSocket] {
        let client = server.cookieless().await;
        let publish = |data: &str, ext: Value| {
            client.message(json!({"channel": "/0", "id": data, "data": data, "ext": ext}))
        };
        let batch = json!([
            publish("unheard", json!({})),
            much(&client.id),
            publish("a", json!({"block": 1})),
            publish("b", json!({})),
        ]);
        let sent = tokio::spawn(send_by(by, address, batch.to_string()));
        let waiting = Arc::clone(&is_blocked);
        let wait = move || waiting.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        tokio::task::spawn_blocking(wait).await.unwrap();
        // The only thread there is is busy with the rest of the batch.
        let other = only(
            within(server.post(r#"[{"channel":"/a"}]"#))
                .await
                .messages(),
        );
        assert_eq!(other["successful"], false, "{by:?}");
        release.send(()).unwrap();
        let messages = within(sent).await.unwrap();
        let replies: Vec<_> = messages
            .iter()
            .filter(|m| m.get("successful").is_some())
            .collect();
        assert!(
            replies.iter().all(|reply| reply["successful"] == true),
            "{by:?}"
        );
        let ids: Vec<_> = replies
            .iter()
            .filter_map(|reply| reply["id"].as_str())
            .collect();
        assert_eq!(ids, ["unheard", "a", "b"], "{by:?}");
    }
}

/// Notes whose messages come.
#[derive(Debug)]
struct Noting(Arc<Mutex<String>>);

impl Extension for Noting {
    fn incoming(&self, message: &mut Message<'_>, _: &MessageInfo) -> Result<(), Refusal> {
        if let Some(name) = message.extension("name") {
            self.0.lock().unwrap().push_str(name.get());
        }
        Ok(())
    }
}

/// As much as is done at a stretch in few bytes: calls, of which nobody knows what is done for them. The
/// first says by whom it is.
fn calls(client_id: &str, name: u8) -> String {
    batch_of_calls(8, client_id, name)
}

fn batch_of_calls(count: usize, client_id: &str, name: u8) -> String {
    let call = json!({"channel": "/service/x", "clientId": client_id, "data": 1});
    let mut batch = vec![call; count];
    batch[0]["ext"] = json!({ "name": name });
    Value::from(batch).to_string()
}

fn are_successful(replies: &[Value]) -> bool {
    replies.len() == 8 && replies.iter().all(|reply| reply["successful"] == true)
}

#[tokio::test]
async fn who_sends_much_by_websockets_lets_others_have_their_turn() {
    let noted = Arc::new(Mutex::new(String::new()));
    let server = server_with(Noting(Arc::clone(&noted)));
    let mut one = WebSocket::client(server.address).await;
    let mut two = WebSocket::client(server.address).await;
    let sockets = [(&mut one, 1), (&mut two, 2)];
    // All of it is there before the server's tasks run, which are of the same thread.
    for (socket, name) in sockets {
        let batch = calls(&socket.id, name);
        for _ in 0..3 {
            socket.text(&batch).await;
        }
    }
    for socket in [&mut one, &mut two] {
        for _ in 0..3 {
            assert!(are_successful(&socket.messages().await));
        }
    }
    assert_turns(&noted);
}

#[tokio::test]
async fn who_sends_many_requests_ahead_lets_others_have_their_turn() {
    let noted = Arc::new(Mutex::new(String::new()));
    let server = server_with(Noting(Arc::clone(&noted)));
    let clients = (server.cookieless().await, server.cookieless().await);
    let (mut one, mut two) = (server.open().await, server.open().await);
    for (http, client, name) in [(&mut one, clients.0, 1), (&mut two, clients.1, 2)] {
        let request = Request::post(calls(&client.id, name)).bytes();
        http.send(request.repeat(3)).await;
    }
    for http in [&mut one, &mut two] {
        for _ in 0..3 {
            assert!(are_successful(&http.response().await.messages()));
        }
    }
    assert_turns(&noted);
}

/// The bytes of a request whose body comes in a chunk.
fn chunked(request: &Request) -> Vec<u8> {
    let body = request.payload();
    let request = Request::new("POST", "/cometd").header("Transfer-Encoding", "chunked");
    let request = request.header("Content-Type", "application/json");
    let size = format!("{:x}\r\n", body.len());
    [&request.bytes(), size.as_bytes(), body, b"\r\n0\r\n\r\n"].concat()
}

#[tokio::test]
async fn what_a_connection_has_worked_adds_up_however_its_requests_come() {
    let by_length = |request: &Request| request.bytes();
    for encode in [by_length, chunked] {
        let noted = Arc::new(Mutex::new(String::new()));
        let server = server_with(Noting(Arc::clone(&noted)));
        let clients = (server.cookieless().await, server.cookieless().await);
        let (mut one, mut two) = (server.open().await, server.open().await);
        for (http, client, name) in [(&mut one, clients.0, 1), (&mut two, clients.1, 2)] {
            // Half of what is done at a stretch.
            let request = Request::post(batch_of_calls(4, &client.id, name));
            http.send(encode(&request).repeat(6)).await;
        }
        for http in [&mut one, &mut two] {
            for _ in 0..6 {
                let replies = http.response().await.messages();
                assert!(replies.iter().all(|reply| reply["successful"] == true));
            }
        }
        let noted = noted.lock().unwrap();
        let rounds = [&noted[..4], &noted[4..8], &noted[8..]];
        assert!(
            rounds.iter().all(|round| ["1122", "2211"].contains(round)),
            "{noted}"
        );
    }
}

#[tokio::test]
async fn who_embeds_many_requests_lets_others_have_their_turn() {
    let noted = Arc::new(Mutex::new(String::new()));
    let server = server_with(Noting(Arc::clone(&noted)));
    let clients = (server.cookieless().await, server.cookieless().await);
    let mut one = Embedded::two_way(server.address).await;
    let mut two = Embedded::two_way(server.address).await;
    for (embedded, client, name) in [(&mut one, clients.0, 1), (&mut two, clients.1, 2)] {
        let request = Request::post(calls(&client.id, name)).bytes();
        embedded.send(request.repeat(3)).await;
    }
    for embedded in [&mut one, &mut two] {
        for _ in 0..3 {
            assert!(are_successful(&embedded.next().await.messages()));
        }
    }
    assert_turns(&noted);
}

/// Both have one turn, then both have the next.
fn assert_turns(noted: &Mutex<String>) {
    let noted = noted.lock().unwrap();
    let rounds = [&noted[..2], &noted[2..4], &noted[4..]];
    assert!(
        rounds.iter().all(|round| ["12", "21"].contains(round)),
        "{noted}"
    );
}
