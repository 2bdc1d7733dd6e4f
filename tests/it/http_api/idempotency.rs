//! What comes again is not sent again.

use std::sync::Arc;

use mirant::bayeux::Message;
use mirant::extensions::{Extension, MessageInfo, Refusal, Wait};
use mirant::run::Additions;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{LISTEN, ask, json_of, key, kind, post, problem, server, server_with};
use crate::support::{Http, Request, TestServer, within};

const PUBLISH: &str = "/api/v1/publish";

fn under(key: &str, path: &str, body: &str) -> Request {
    post(path, body).header("Idempotency-Key", key)
}

#[tokio::test]
async fn a_request_that_comes_again_gets_the_first_receipt() {
    let server = server();
    let mut client = server.client().await;
    client.subscribe("/**").await;
    let list = r#"[{"channel":"/a","data":1},{"channel":"/b"},{"channel":"/c","data":3}]"#;
    let one = r#"{"channel":"/a","data":1}"#;
    let user = r#"{"user":"u","channel":"/a","data":1}"#;
    for (key, path, body, events) in [
        ("k1", PUBLISH, list, 2),
        ("k2", PUBLISH, one, 1),
        ("k3", "/api/v1/publish/a", "1", 1),
        ("k4", "/api/v1/deliver", user, 0),
    ] {
        let first = json_of(&ask(&server, under(key, path, body)).await);
        assert_eq!(client.queued().await.len(), events, "{path}");
        // The receipt stays as it was, whoever is there by now.
        let _more = server.client().await.subscribe("/**").await;
        let second = json_of(&ask(&server, under(key, path, body)).await);
        assert_eq!(second, first, "{path}");
        assert!(client.queued().await.is_empty(), "{path}");
        for (path, body) in [(path, "2"), ("/api/v1/publish/other", body)] {
            let other = ask(&server, under(key, path, body)).await;
            let expected = (422, "idempotency_key_reused");
            let (status, of_kind) = problem(&other);
            // What is no message is refused as that before.
            let is_read = path.starts_with("/api/v1/publish/");
            assert_eq!(
                (status, &*of_kind),
                if is_read { expected } else { (400, &*of_kind) }
            );
        }
    }
    let figures = server.metrics().render();
    assert!(
        figures.contains("mirant_api_messages_total{outcome=\"repeated\"} 5"),
        "{figures}"
    );
}

#[tokio::test]
async fn a_message_with_an_id_is_sent_once_on_its_channel() {
    let server = server();
    let mut client = server.client().await;
    client.subscribe("/**").await;
    let message =
        |channel: &str, id: &str, data: u32| json!({"channel": channel, "id": id, "data": data});
    let first = message("/a", "x", 1);
    let batch = json!([
        first,
        first,
        message("/b", "x", 1),
        message("/a", "y", 1),
        message("/a", "x", 2)
    ]);
    let answer = json_of(&ask(&server, post(PUBLISH, batch.to_string())).await);
    let receipts = answer["receipts"].as_array().unwrap();
    let sent: Vec<&Value> = receipts
        .iter()
        .map(|receipt| &receipt["accepted"])
        .collect();
    assert_eq!(sent, [true, true, true, true, false]);
    assert_eq!(kind(&receipts[4]["error"]), "idempotency_key_reused");
    assert_eq!(client.queued().await.len(), 3);
    let again = ask(&server, post(PUBLISH, first.to_string())).await;
    assert_eq!(json_of(&again), receipts[0]);
    assert!(client.queued().await.is_empty());
}

#[tokio::test]
async fn a_key_of_no_length_or_too_much_is_refused() {
    let server = server();
    let long = "k".repeat(256);
    let response = ask(&server, under(&long, "/api/v1/publish/a", "1")).await;
    assert_eq!(problem(&response), (400, "parameter".to_owned()));
    let fits = ask(&server, under(&long[..255], "/api/v1/publish/a", "1")).await;
    assert_eq!(fits.status, 200);
}

#[tokio::test]
async fn the_oldest_are_forgotten_above_the_bound() {
    let server = server_with(&["api.max_idempotency_keys=2"]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    for (key, events) in [
        ("k1", 1),
        ("k2", 1),
        ("k3", 1),
        ("k3", 0),
        ("k2", 0),
        ("k1", 1),
    ] {
        json_of(&ask(&server, under(key, "/api/v1/publish/a", "1")).await);
        assert_eq!(client.queued().await.len(), events, "{key}");
    }
    let figures = server.metrics().render();
    let reached = "mirant_limit_reached_total{limit=\"api.max_idempotency_keys\"} 2";
    assert!(figures.contains(reached), "{figures}");
}

/// Lets messages wait until it is told, before or after they are sent, and refuses some.
#[derive(Debug, Clone, Default)]
struct Gate {
    settles: bool,
    asked: Arc<Notify>,
    open: Arc<Notify>,
}

impl Gate {
    fn server(&self) -> TestServer {
        let additions = Additions {
            extensions: vec![Box::new(self.clone())],
            ..Additions::default()
        };
        TestServer::start_with(&[LISTEN, &key("publish")], additions)
    }

    fn wait(&self, message: &Message<'_>) -> Option<Wait> {
        let data = message.data.as_ref()?.get().to_owned();
        let (asked, open) = (Arc::clone(&self.asked), Arc::clone(&self.open));
        Some(Box::pin(async move {
            asked.notify_one();
            open.notified().await;
            match &*data {
                "\"bad\"" => Err(Refusal::Failed("507::disk_full".into())),
                _ => Ok(()),
            }
        }))
    }
}

impl Extension for Gate {
    fn may_wait(&self) -> bool {
        true
    }

    fn admit(&self, message: &Message<'_>, info: &MessageInfo) -> Option<Wait> {
        if info.is_backend && !self.settles {
            return self.wait(message);
        }
        None
    }

    fn settle(&self, message: &Message<'_>, info: &MessageInfo) -> Option<Wait> {
        if info.is_backend && self.settles {
            return self.wait(message);
        }
        None
    }
}

#[tokio::test]
async fn while_the_first_is_under_way_the_second_is_told_so() {
    for settles in [false, true] {
        let gate = Gate {
            settles,
            ..Gate::default()
        };
        let server = gate.server();
        let mut http = Http::open(server.api.unwrap()).await;
        let request = || under("k", "/api/v1/publish/a", "1");
        http.send(request().bytes()).await;
        within(gate.asked.notified()).await;
        let second = ask(&server, request()).await;
        if settles {
            // It is sent: what is missing is only that it is settled.
            assert_eq!(json_of(&second)["accepted"], true);
        } else {
            assert_eq!(problem(&second), (409, "in_progress".to_owned()));
        }
        gate.open.notify_one();
        let first = json_of(&http.response().await);
        assert_eq!(first["accepted"], true);
        assert_eq!(json_of(&ask(&server, request()).await), first);
        assert_eq!(server.metrics().published.value(), 1);
    }
}

#[tokio::test]
async fn what_was_not_settled_has_no_receipt_and_may_be_sent_again() {
    let gate = Gate {
        settles: true,
        ..Gate::default()
    };
    let server = gate.server();
    for published in 1..=2 {
        gate.open.notify_one();
        let response = ask(&server, under("k", "/api/v1/publish/a", "\"bad\"")).await;
        assert_eq!(problem(&response), (507, "refused".to_owned()));
        assert_eq!(server.metrics().published.value(), published);
    }
}

#[tokio::test]
async fn a_client_that_is_gone_before_its_message_is_sent_leaves_its_key_free() {
    let gate = Gate::default();
    let server = gate.server();
    let mut http = Http::open(server.api.unwrap()).await;
    http.send(under("k", "/api/v1/publish/a", "1").bytes())
        .await;
    within(gate.asked.notified()).await;
    http.reset();
    let waiting = &server.metrics().waiting_batches;
    crate::support::until(|| waiting.value() == 0).await;
    gate.open.notify_one();
    let response = ask(&server, under("k", "/api/v1/publish/a", "1")).await;
    assert_eq!(json_of(&response)["accepted"], true);
    assert_eq!(server.metrics().published.value(), 1);
}
