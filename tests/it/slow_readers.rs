//! Clients that read slowly, or not at all: who is waited for, how long, and what it costs.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use mirant::metrics::Limit;
use serde_json::json;

use crate::support::{Http, Receiver, Request, TestServer, Way, until};

const FILLER: usize = 30_000;

async fn publish(server: &TestServer, numbers: Range<u64>) {
    let mut publisher = server.client().await;
    for number in numbers {
        let data = json!({"number": number, "filler": "x".repeat(FILLER)});
        publisher.publish("/flood", data).await;
    }
}

/// Clients of one server by all these transports, with and without acknowledgement, who are to receive
/// the same events.
async fn clients(server: &TestServer, ways: &[Way]) -> Vec<Receiver> {
    let mut clients = Vec::new();
    for &way in ways {
        for acknowledges in [false, true] {
            if !acknowledges || way.may_acknowledge() {
                clients.push(Receiver::new(server, way, acknowledges).await);
            }
        }
    }
    clients
}

/// Has all of them do something at once.
async fn all<F>(clients: Vec<Receiver>, act: impl Fn(Receiver) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let acting: Vec<_> = clients
        .into_iter()
        .map(|client| (client.name(), tokio::spawn(act(client))))
        .collect();
    let mut failed = Vec::new();
    for (name, acting) in acting {
        if acting.await.is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

/// Waits for events, and for nothing else.
async fn receive(client: &mut Receiver, count: usize) {
    client.receive(count).await;
    let numbers = &client.numbers;
    assert!(numbers.iter().copied().eq(0..count as u64), "{numbers:?}");
}

#[tokio::test]
pub(crate) async fn a_session_does_not_expire_while_its_client_reads() {
    const MAX_INTERVAL: Duration = Duration::from_secs(2);
    // Faye's clients connect beside their event stream.
    let ways = Way::ALL.into_iter().filter(|way| *way != Way::EventSource);
    let ways: Vec<_> = ways.collect();
    let server = TestServer::start(&["bayeux.max_interval=2s"]);
    let clients = clients(&server, &ways).await;
    let (count, has_six) = (clients.len(), Arc::new(AtomicUsize::new(0)));
    publish(&server, 0..6).await;
    let receiving = all(clients, |mut client| {
        let has_six = Arc::clone(&has_six);
        async move {
            let line = client.begin().await;
            // It is busy with something else for longer than a session without a connect lives.
            tokio::time::sleep(MAX_INTERVAL + MAX_INTERVAL / 2).await;
            client.resume(line);
            receive(&mut client, 6).await;
            has_six.fetch_add(1, Relaxed);
            receive(&mut client, 7).await;
        }
    });
    let publishing = async {
        until(|| has_six.load(Relaxed) == count).await;
        publish(&server, 6..7).await;
    };
    tokio::join!(receiving, publishing);
    assert_eq!(server.metrics().restored.value(), 0);
    assert_eq!(server.metrics().resent.value(), 0);
}

#[tokio::test]
pub(crate) async fn a_client_that_goes_on_reading_may_take_long() {
    let server = TestServer::start(&[
        "http.write_timeout=1500ms",
        "http.min_write_rate=1B",
        "bayeux.max_interval=5m",
    ]);
    let clients = clients(&server, &Way::ALL).await;
    publish(&server, 0..6).await;
    all(clients, |mut client| async move {
        // The whole takes it some 45 reads.
        client.pace = Duration::from_millis(50);
        receive(&mut client, 6).await;
    })
    .await;
    for limit in [Limit::WriteTimeout, Limit::MinWriteRate] {
        assert_eq!(server.metrics().limit_count(limit), 0);
    }
}

#[tokio::test]
pub(crate) async fn after_a_reply_that_was_too_much_the_next_are_smaller() {
    let server = TestServer::start(&[
        "http.write_timeout=500ms",
        "http.min_write_rate=10MiB",
        "bayeux.max_interval=5m",
    ]);
    let ways = [Way::LongPolling, Way::CallbackPolling, Way::Embedded];
    let clients = clients(&server, &ways).await;
    let count = clients.len() as u64;
    publish(&server, 0..10).await;
    all(clients, |mut client| async move {
        // For all of it that is several seconds.
        client.pace = Duration::from_millis(50);
        receive(&mut client, 10).await;
    })
    .await;
    assert!(server.metrics().limit_count(Limit::MinWriteRate) >= count);
}

#[tokio::test]
pub(crate) async fn what_the_kernel_has_taken_for_a_client_that_does_not_read_is_bounded_in_time() {
    let server = TestServer::start(&["http.write_timeout=300ms", "http.keep_alive_timeout=1h"]);
    let mut client = server.client().await;
    client.subscribe("/flood").await;
    publish(&server, 0..1).await;
    // Those of the client, which reads what it gets.
    until(|| server.metrics().connections.value() == 2).await;
    let mut deaf = Http::open_narrow(server.address).await;
    let connect = json!([client.message(json!({"channel": "/meta/connect"}))]);
    let request: Request = client.request(connect.to_string());
    deaf.send(request.bytes()).await;
    // The kernel takes it all, and the client's has room for a part.
    deaf.some().await;
    assert_eq!(server.metrics().connections.value(), 3);
    until(|| server.metrics().connections.value() == 2).await;
}

#[tokio::test]
pub(crate) async fn what_the_kernel_takes_for_a_client_that_does_not_read_is_bounded_in_size() {
    let server = TestServer::start(&["http.write_timeout=300ms"]);
    let mut client = server.client().await;
    client.subscribe("/flood").await;
    publish(&server, 0..25).await;
    let mut deaf = server.open().await;
    let connect = json!([client.message(json!({"channel": "/meta/connect"}))]);
    deaf.send(client.request(connect.to_string()).bytes()).await;
    until(|| server.metrics().restored.value() == 25).await;
    let taken = deaf.rest().await.len();
    assert!(taken > 0 && taken < 400_000, "{taken} of 750,000");
}
