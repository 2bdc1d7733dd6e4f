//! Logins over every way that a handshake may come: by a password, and by a webhook that decides.

mod operators;
mod passwords;
mod secrets;
mod webhook;

use std::net::SocketAddr;

use bytesize::ByteSize;
use mirant::authentication::passwords::{Cost, hash};
use serde_json::{Value, json};

use crate::one_door::Way;
use crate::support::{Client, Embedded, Http, Request, WebSocket, only, percent};

/// The ways that a handshake of Bayeux may come.
const WAYS: [Way; 6] = [
    Way::LongPolling,
    Way::RepeatedHead,
    Way::CallbackPolling,
    Way::Form,
    Way::WebSocket,
    Way::Embedded,
];

/// A hash that is quickly checked.
pub(crate) fn hash_of(password: &str) -> String {
    hash_that_takes(password, ByteSize::kib(8), 1)
}

fn hash_that_takes(password: &str, memory: ByteSize, passes: u32) -> String {
    let lanes = 1;
    let cost = Cost {
        memory,
        passes,
        lanes,
    };
    hash(password, cost).unwrap()
}

fn handshake(ext: &Value) -> Value {
    json!({
        "channel": "/meta/handshake", "version": "1.0", "ext": ext,
        "supportedConnectionTypes": ["long-polling", "callback-polling", "websocket"],
    })
}

/// Handshakes by a way; the reply.
async fn shake(address: SocketAddr, way: Way, ext: &Value) -> Value {
    shake_with(address, way, handshake(ext)).await
}

async fn shake_with(address: SocketAddr, way: Way, message: Value) -> Value {
    let text = json!([message]).to_string();
    let mut http = Http::open(address).await;
    let reply = match way {
        Way::CallbackPolling => {
            let response = http.exchange(Request::jsonp("cb", &text)).await;
            only(response.messages_for("cb"))
        }
        Way::Form => {
            let request = Request::post(format!("message={}", percent(&text)));
            let request = request.header("Content-Type", "application/x-www-form-urlencoded");
            only(http.exchange(request).await.messages())
        }
        Way::WebSocket => {
            let mut socket = WebSocket::open(address).await;
            socket.text(&text).await;
            socket.message().await
        }
        Way::Embedded => {
            let mut stream = Embedded::two_way(address).await;
            only(stream.exchange(Request::post(text)).await.messages())
        }
        Way::RepeatedHead => {
            for _ in 0..3 {
                let other = text.replace("/meta/handshake", "/meta/none");
                http.exchange(Request::post(other)).await;
            }
            only(http.exchange(Request::post(text)).await.messages())
        }
        _ => only(http.exchange(Request::post(text)).await.messages()),
    };
    assert_eq!(reply["channel"], "/meta/handshake", "{reply}");
    reply
}

/// The client whose session a handshake has made.
fn client_of(address: SocketAddr, reply: &Value) -> Client {
    let mut client = Client::new(address).without_cookies();
    let id = reply["clientId"].as_str();
    id.unwrap_or_else(|| panic!("{reply}"))
        .clone_into(&mut client.id);
    client
}

/// Says what is wrong with the reply to a handshake: its error, and what its client is to do. `error` is
/// null if it is to succeed.
fn problem(reply: &Value, error: &Value, reconnect: &str) -> Option<String> {
    let is_so = reply["error"] == *error
        && reply["successful"] == error.is_null()
        && reply["clientId"].is_string() == error.is_null()
        && reply["advice"]["reconnect"] == reconnect;
    (!is_so).then(|| format!("{reply}, not {error} and {reconnect}"))
}
