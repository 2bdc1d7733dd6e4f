//! What reaches clients by every transport, with and without acknowledgement, over connections whose
//! kernels do not take a response at once.

use std::future::Future;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Client, Receiver, TestServer, Way};

/// So many events are queued when a response begins; together more than the kernels keep, and more
/// than one response may carry.
const QUEUED: u64 = 8;
const FILLER: usize = 30_000;

/// A transport, and whether its client acknowledges.
#[derive(Debug, Clone, Copy)]
struct Case {
    way: Way,
    acknowledges: bool,
}

/// A server, a client of it, and events that are queued for it.
struct Scene {
    server: TestServer,
    publisher: Client,
    published: u64,
    receiver: Receiver,
}

impl Scene {
    async fn new(case: Case) -> Self {
        let server =
            TestServer::start(&["bayeux.max_response_size=150KiB", "bayeux.max_interval=5m"]);
        let mut scene = Self {
            receiver: Receiver::new(&server, case.way, case.acknowledges).await,
            publisher: server.client().await,
            published: 0,
            server,
        };
        scene.publish(QUEUED).await;
        scene
    }

    async fn publish(&mut self, count: u64) {
        for number in self.published..self.published + count {
            let data = json!({"number": number, "filler": "x".repeat(FILLER)});
            self.publisher.publish("/flood", data).await;
        }
        self.published += count;
    }

    /// Receives all there is, and one more, behind which repeated events would stand.
    async fn receive_all(&mut self) {
        self.receiver
            .receive(usize::try_from(self.published).unwrap())
            .await;
        self.publish(1).await;
        self.receiver
            .receive(usize::try_from(self.published).unwrap())
            .await;
    }

    fn assert_nothing_is_missing(&self) {
        let numbers = &self.receiver.numbers;
        assert!(numbers.iter().copied().eq(0..self.published), "{numbers:?}");
        assert_eq!(self.server.metrics().sessions.value(), 2);
    }
}

/// Runs all cases at once, and names those that failed.
async fn in_all_cases<F>(scenario: fn(Case) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut cases = JoinSet::new();
    for way in Way::ALL {
        for acknowledges in [false, true] {
            let case = Case { way, acknowledges };
            if acknowledges && !way.may_acknowledge() {
                continue;
            }
            cases.spawn(async move {
                let result = tokio::spawn(scenario(case)).await;

                (case, result)
            });
        }
    }
    let failed: Vec<Case> = cases
        .join_all()
        .await
        .into_iter()
        .filter_map(|(case, result)| result.is_err().then_some(case))
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[tokio::test]
async fn a_reply_that_the_kernel_does_not_take_at_once_is_whole() {
    in_all_cases(|case| async move {
        let mut scene = Scene::new(case).await;
        scene.receive_all().await;
        scene.assert_nothing_is_missing();
    })
    .await;
}

#[tokio::test]
async fn events_that_come_while_a_slow_client_reads_are_behind_what_it_reads() {
    in_all_cases(|case| async move {
        let mut scene = Scene::new(case).await;
        scene.receiver.pace = Duration::from_millis(1);
        let line = scene.receiver.begin().await;
        scene.publish(3).await;
        scene.receiver.resume(line);
        scene.receive_all().await;
        scene.assert_nothing_is_missing();
    })
    .await;
}

#[tokio::test]
async fn what_a_connection_was_cut_in_comes_by_the_next() {
    in_all_cases(|case| async move {
        let mut scene = Scene::new(case).await;
        scene.receiver.begin().await.reset();
        scene.publish(3).await;
        if case.acknowledges || !case.way.is_stream() || case.way == Way::EventSource {
            scene.receive_all().await;
            return scene.assert_nothing_is_missing();
        }
        // What the kernel had taken whole is lost, and nothing else: the rest is there in order.
        scene.publish(1).await;
        while scene.receiver.numbers.last() != Some(&(scene.published - 1)) {
            let count = scene.receiver.numbers.len() + 1;
            scene.receiver.receive(count).await;
        }
        let numbers = &scene.receiver.numbers;
        let first = numbers[0];
        assert!(first < QUEUED, "{numbers:?}");
        assert!(
            numbers.iter().copied().eq(first..scene.published),
            "{numbers:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_newer_connection_has_what_the_older_does_not_write_any_more() {
    in_all_cases(|case| async move {
        let mut scene = Scene::new(case).await;
        // Nobody reads what is written to it, so it would be written for long.
        let older = scene.receiver.begin().await;
        scene.publish(3).await;
        // What it has whole counts, and is not asked for again by an event stream.
        let is_asked_for = case.way == Way::EventSource;
        let line = scene.receiver.begin().await;
        let mut by_the_older = Vec::new();
        if !is_asked_for {
            scene.receiver.drain(older).await;
            by_the_older = std::mem::take(&mut scene.receiver.numbers);
        }
        scene.receiver.resume(line);
        let missing = usize::try_from(scene.published).unwrap() - by_the_older.len();
        scene.receiver.receive(missing).await;
        scene.receiver.numbers.splice(0..0, by_the_older);
        scene.receive_all().await;
        scene.assert_nothing_is_missing();
    })
    .await;
}
