//! How many sessions one user and one address may have.

use std::sync::Arc;

use mirant::access::Identity;
use mirant::bayeux::{Message, text};
use mirant::extensions::{Begun, Extension};
use mirant::metrics::Limit;
use mirant::run::{Additions, ListenAddress};
use serde_json::json;

use crate::support::{Client, Events, Folder, Request, TestServer};

fn counted(server: &TestServer, limit: Limit) -> u64 {
    server.metrics().limit_count(limit)
}

/// Says who somebody is whose handshake names a user.
#[derive(Debug)]
struct Naming;

impl Extension for Naming {
    fn begin(&self, handshake: &Message<'_>, begun: &mut Begun) {
        let name = handshake.extension("user");
        begun.identity = name.map(|user| {
            Arc::new(Identity {
                user: text(user).unwrap().into_owned(),
                ..Identity::default()
            })
        });
    }
}

#[tokio::test]
async fn a_user_may_have_max_sessions_per_user() {
    let additions = Additions {
        extensions: vec![Box::new(Naming)],
        handlers: Vec::new(),
    };
    let server = TestServer::start_with(&["bayeux.max_sessions_per_user=2"], additions);
    let begin = async |user: &str| {
        let mut client = Client::new(server.address);
        let reply = client.handshake_with(json!({"ext": {"user": user}})).await;
        (client, reply)
    };
    let (mut first, _) = begin("alice").await;
    let (_second, reply) = begin("alice").await;
    assert_eq!(reply["successful"], true);
    let (_, reply) = begin("alice").await;
    assert_eq!(reply["error"], "429:user:too_many_sessions");
    let advice = json!({"reconnect": "retry", "interval": 10_000, "timeout": 30_000});
    assert_eq!(reply["advice"], advice);
    assert_eq!(reply.get("clientId"), None);
    assert_eq!(counted(&server, Limit::MaxSessionsPerUser), 1);
    assert_eq!(begin("bob").await.1["successful"], true);
    for _ in 0..3 {
        let reply = Client::new(server.address).handshake().await;
        assert_eq!(reply["successful"], true, "nobody knows whose it is");
    }
    first.disconnect().await;
    assert_eq!(begin("alice").await.1["successful"], true);
    let reply = begin("alice").await.1;
    assert_eq!(reply["error"], "429:user:too_many_sessions");
}

#[tokio::test]
async fn an_address_may_have_max_sessions_per_address() {
    let server = TestServer::start(&["bayeux.max_sessions_per_address=2"]);
    let mut first = server.client().await;
    let (_stream, _) = Events::open(server.address, "/events?channel=/a").await;
    let reply = Client::new(server.address).handshake().await;
    assert_eq!(reply["error"], "429:address:too_many_sessions");
    assert_eq!(reply["advice"]["reconnect"], "retry");
    assert_eq!(reply["advice"]["interval"], 10_000);
    let request = Request::new("GET", "/events?channel=/a");
    let response = server.open().await.exchange(request).await;
    assert_eq!(
        (response.status, &*response.reason()),
        (429, "too_many_sessions")
    );
    assert_eq!(response.header("Retry-After"), Some("10"));
    assert_eq!(response.text().lines().count(), 1);
    assert_eq!(counted(&server, Limit::MaxSessionsPerAddress), 2);
    assert_eq!(server.metrics().sessions.value(), 2);
    assert_eq!(first.publish("/a", 1).await.len(), 1, "who is in stays in");
    first.disconnect().await;
    assert_eq!(
        Client::new(server.address).handshake().await["successful"],
        true
    );
}

#[tokio::test]
async fn clients_of_a_unix_socket_have_no_address_to_be_counted() {
    let folder = Folder::new("shares");
    let listen = ListenAddress::Unix(folder.file("http"));
    let server = TestServer::start_at(listen, &["bayeux.max_sessions_per_address=1"]);
    for _ in 0..3 {
        assert_eq!(
            Client::new(server.address).handshake().await["successful"],
            true
        );
    }
}
