//! A room: a client that publishes, and clients that receive it.

use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use mirant::server::{BayeuxServer, HeldConnect};

use super::clients::{Body, body, handshake, hold, parsed, process, wait};

/// A publisher and its receivers, whose connects are held.
pub(crate) struct Room {
    publish: Body,
    receivers: Vec<(Body, HeldConnect)>,
    now: Instant,
}

impl Room {
    /// Lets so many receivers in. What is published has data of 100 bytes.
    pub(crate) fn new(server: &BayeuxServer, channel: &str, receivers: usize) -> Self {
        let now = Instant::now();
        let (id, data) = (handshake(server, now), "x".repeat(98));
        let publish = body(format!(
            r#"[{{"channel":"{channel}","clientId":"{id}","data":"{data}","id":"4"}}]"#
        ));
        let receivers = (0..receivers).map(|_| wait(server, channel, now)).collect();
        Self {
            publish,
            receivers,
            now,
        }
    }

    /// Publishes, which resumes every held connect; returns the time from the parsed message to its
    /// reply.
    pub(crate) fn publish(&self, server: &BayeuxServer) -> Duration {
        let mut batch = parsed(&self.publish);
        let start = Instant::now();
        let outcome = process(server, &mut batch, self.now);
        let taken = start.elapsed();
        drop(outcome);
        taken
    }

    /// Has every receiver take what was published, and connect anew.
    pub(crate) fn receive(&mut self, server: &BayeuxServer) {
        let now = self.now;
        let mut context = Context::from_waker(Waker::noop());
        for (connect, held) in &mut self.receivers {
            let Poll::Ready(resume) = held.poll_resumed(|| now, &mut context) else {
                panic!("a receiver was passed over");
            };
            let (taken, reply) = held.answer(resume).expect("no other connect came");
            assert_eq!(taken.events.len(), 1);
            drop((taken, reply));
            *held = hold(server, connect, now);
        }
    }
}
