//! Two clients, one that polls and one with a WebSocket, to whom messages come one by one while others attack.

use std::pin::pin;

use serde_json::{Value, json};

use crate::support::{Client, TestServer, WebSocket, only};

/// So many messages come during each attack at least.
const ROUNDS: u64 = 10;

pub(super) struct Bystanders {
    publisher: Client,
    polling: Client,
    socket: WebSocket,
    count: u64,
}

impl Bystanders {
    pub(super) async fn of(server: &TestServer) -> Self {
        let mut polling = server.client().await;
        polling.subscribe("/bystanders").await;
        let mut socket = WebSocket::client(server.address).await;
        socket.subscribe("/bystanders").await;
        polling.poll().await;
        server.holds(1).await;
        Self {
            publisher: server.client().await,
            polling,
            socket,
            count: 0,
        }
    }

    /// Lets messages come to both for as long as an attack lasts, and once it is over.
    pub(super) async fn notice_nothing<T>(&mut self, attack: impl Future<Output = T>) -> T {
        let mut attack = pin!(attack);
        let mut outcome = None;
        let end = self.count + ROUNDS;
        while self.count < end || outcome.is_none() {
            let mut round = pin!(self.round());
            loop {
                tokio::select! {
                    done = &mut attack, if outcome.is_none() => outcome = Some(done),
                    () = &mut round => break,
                }
            }
        }
        self.round().await;
        outcome.expect("it is over")
    }

    async fn round(&mut self) {
        self.count += 1;
        let count = self.count;
        let reply = only(self.publisher.publish("/bystanders", count).await);
        assert_eq!(reply["successful"], true);
        let is_event = |message: &Value| message["data"] == json!(count);
        let polled = self.polling.polled().await;
        assert!(polled.iter().any(is_event), "{polled:?}");
        self.polling.poll().await;
        let event = self.socket.message().await;
        assert!(is_event(&event), "{event}");
    }
}
