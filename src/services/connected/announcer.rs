//! What connected application servers hear of sessions and channels: events on a service channel, many in one
//! message, in their order.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::to_raw_value;

use super::{Connected, Handed, Reach};
use crate::bayeux::{ChannelName, Draft};
use crate::lifecycle::{LifecycleEvent, Listener, Queue, Taken};
use crate::metrics::Metrics;

/// How many events one message has at most.
const MAX_BATCH: usize = 100;
/// How long it is waited for an application server that has much to read.
const PATIENCE: Duration = Duration::from_millis(50);
/// They may take a quarter of what its session may have queued, and leave the rest to calls.
const ROOM_FOR_EVENTS: usize = 4;

/// Tells connected application servers of sessions and channels.
#[derive(Debug)]
pub struct Announcer {
    channel: ChannelName,
    queue: Queue,
    connected: Arc<Connected>,
    metrics: Arc<Metrics>,
}

impl Announcer {
    /// Makes one for a channel, with room for so many events.
    #[must_use]
    pub fn new(channel: ChannelName, max_events: usize, connected: Arc<Connected>) -> Self {
        Self {
            channel,
            queue: Queue::new(max_events),
            metrics: Arc::clone(&connected.metrics),
            connected,
        }
    }

    /// Sends what happens to those who are subscribed to the channel, for ever. What they do not read yet waits
    /// here, where the oldest are dropped and counted.
    pub async fn run(&self, reach: &dyn Reach) {
        loop {
            let taken = self.queue.take(MAX_BATCH).await;
            self.send(&taken, reach).await;
        }
    }

    async fn send(&self, taken: &Taken, reach: &dyn Reach) {
        let mut to = self.connected.takers(&self.channel);
        if to.is_empty() {
            return;
        }
        let data = to_raw_value(taken).expect("events are JSON");
        let event = reach.encode(&Draft::new(&self.channel, &data));
        loop {
            to.retain(
                |backend| match reach.offer(*backend, &event, ROOM_FOR_EVENTS) {
                    Handed::Queued => false,
                    Handed::Full => true,
                    Handed::Gone => {
                        self.connected.remove_all(*backend);
                        false
                    }
                },
            );
            if to.is_empty() {
                return;
            }
            tokio::time::sleep(PATIENCE).await;
            // Who reads nothing at all expires.
            let takers = self.connected.takers(&self.channel);
            to.retain(|backend| takers.contains(backend));
        }
    }
}

impl Listener for Announcer {
    fn note(&self, event: &Arc<LifecycleEvent>) {
        // What nobody could hear is not kept for who comes later.
        if !self.connected.are_there() {
            return;
        }
        let dropped = self.queue.push(event);
        self.metrics.dropped_events.add(dropped);
    }
}
