//! What happens on this node, second by second, and over the last quarter of an hour: for whoever watches.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use super::BayeuxServer;
use super::core::Core;
use crate::memory::Kind;
use crate::metrics::latency::{Counts, within};
use crate::metrics::{Dropped, Metrics};

/// How often there are new figures.
const SECOND: Duration = Duration::from_secs(1);
/// How often they are remembered, in seconds, and how many of them.
const EVERY: u32 = 10;
const REMEMBERED: usize = 90;

/// The figures of a moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// When, in milliseconds since 1970.
    at: u64,
    sessions: i64,
    connections: i64,
    /// By what clients wait, or have open: held polls, WebSockets, and streams.
    transports: Transports,
    /// Channels and patterns with subscribers.
    channels: usize,
    published: Flow,
    delivered: Flow,
    dropped: Flow,
    handshakes: Flow,
    /// What the places of queued events take.
    queued_bytes: u64,
    latency: Latency,
    memory: Memory,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Transports {
    held_polls: i64,
    websockets: i64,
    event_streams: i64,
    streamed_connects: i64,
    message_streams: i64,
}

/// A count since the start, and how many a second lately.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Flow {
    total: u64,
    rate: f64,
}

/// From the arrival of a batch of messages to when all who receive them have them in their queues; in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Latency {
    count: u64,
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Memory {
    used: u64,
    allocated: u64,
    budget: u64,
    kinds: std::collections::BTreeMap<&'static str, u64>,
}

/// Counts at a moment, from which the next figures count.
#[derive(Debug, Clone)]
struct Counted {
    at: Instant,
    published: u64,
    delivered: u64,
    dropped: u64,
    handshakes: u64,
    latency: Counts,
}

/// The figures that are remembered.
#[derive(Debug, Default)]
pub(super) struct Past(Mutex<VecDeque<Figures>>);

impl Counted {
    fn now(metrics: &Metrics) -> Self {
        Self {
            at: Instant::now(),
            published: metrics.published.value(),
            delivered: metrics.delivered.value(),
            dropped: Dropped::ALL
                .map(|which| metrics.dropped_count(which))
                .iter()
                .sum(),
            handshakes: metrics.handshakes.value(),
            latency: metrics.latency.counts(),
        }
    }

    /// Returns how many of something there were a second since an earlier moment.
    fn flow(&self, before: &Self, of: fn(&Self) -> u64) -> Flow {
        let seconds = self.at.saturating_duration_since(before.at).as_secs_f64();
        let (total, more) = (of(self), of(self).saturating_sub(of(before)));
        #[expect(clippy::cast_precision_loss, reason = "it is a rate")]
        let rate = if seconds > 0.0 {
            more as f64 / seconds
        } else {
            0.0
        };
        Flow {
            total,
            rate: (rate * 10.0).round() / 10.0,
        }
    }

    fn latency(&self, before: &Self) -> Latency {
        let counts: Counts =
            std::array::from_fn(|class| self.latency[class].saturating_sub(before.latency[class]));
        Latency {
            count: counts.iter().sum(),
            p50: within(&counts, 0.5),
            p90: within(&counts, 0.9),
            p99: within(&counts, 0.99),
        }
    }
}

impl Core {
    /// Returns the figures of now, with rates since an earlier moment.
    fn figures(&self, before: &Counted, now: &Counted) -> Figures {
        let metrics = &*self.shared.metrics;
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let memory = &metrics.memory;
        let kinds = Kind::ALL.map(|kind| (kind.label(), memory.of(kind)));
        Figures {
            at: u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or_default(),
            sessions: metrics.sessions.value(),
            connections: metrics.connections.value(),
            transports: Transports {
                held_polls: metrics.held_connects.value(),
                websockets: metrics.websockets.value(),
                event_streams: metrics.event_streams.value(),
                streamed_connects: metrics.streamed_connects.value(),
                message_streams: metrics.message_streams.value(),
            },
            channels: self.router.len(),
            published: now.flow(before, |counted| counted.published),
            delivered: now.flow(before, |counted| counted.delivered),
            dropped: now.flow(before, |counted| counted.dropped),
            handshakes: now.flow(before, |counted| counted.handshakes),
            queued_bytes: memory.of(Kind::Queues),
            latency: now.latency(before),
            memory: Memory {
                used: memory.used(),
                allocated: memory.allocated(),
                budget: memory.bytes(),
                kinds: kinds.into(),
            },
        }
    }
}

impl Past {
    fn remember(&self, figures: Figures) {
        let mut past = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if past.len() >= REMEMBERED {
            past.pop_front();
        }
        past.push_back(figures);
    }
}

impl BayeuxServer {
    /// Takes the figures, and shows them to whoever watches, for ever.
    pub async fn count(&self) {
        let core = &self.core;
        let counted = || Counted::now(&core.shared.metrics);
        let (mut before, mut remembered) = (counted(), counted());
        let mut ticks = interval(SECOND);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first is at once, and there is nothing to tell.
        ticks.tick().await;
        for second in 1_u32.. {
            ticks.tick().await;
            let now = counted();
            let figures = core.figures(&before, &now);
            let json = serde_json::to_vec(&figures).unwrap_or_default();
            core.shared.feeds.counted(&Bytes::from(json));
            if second.is_multiple_of(EVERY) {
                self.figures.remember(core.figures(&remembered, &now));
                remembered = now.clone();
            }
            before = now;
        }
    }

    /// Returns the figures of the last quarter of an hour, each of ten seconds, as a JSON array.
    #[must_use]
    pub fn past_figures(&self) -> Vec<u8> {
        let past = self
            .figures
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        serde_json::to_vec(&*past).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(metrics: &Metrics, at: Instant) -> Counted {
        Counted {
            at,
            ..Counted::now(metrics)
        }
    }

    #[test]
    fn rates_and_latencies_are_of_what_came_in_between() {
        let metrics = Metrics::default();
        let begin = Instant::now();
        metrics.published.add(5);
        metrics.latency.observe(Duration::from_secs(1));
        let before = counted(&metrics, begin);
        metrics.published.add(25);
        metrics.dropped(Dropped::Newest, 3);
        metrics.latency.observe(Duration::from_micros(15));
        let now = counted(&metrics, begin + SECOND * 10);
        let published = now.flow(&before, |counted| counted.published);
        assert_eq!((published.total, published.rate), (30, 2.5));
        let dropped = now.flow(&before, |counted| counted.dropped);
        assert_eq!((dropped.total, dropped.rate), (3, 0.3));
        assert_eq!(
            now.latency(&before),
            Latency {
                count: 1,
                p50: Some(0.02),
                p90: Some(0.02),
                p99: Some(0.02)
            }
        );
        assert_eq!(before.flow(&before, |counted| counted.published).rate, 0.0);
    }

    #[test]
    fn a_quarter_of_an_hour_is_remembered() {
        let server = BayeuxServer::new(super::super::Parts::default());
        let counted = Counted::now(server.metrics());
        for at in 0..100 {
            let figures = server.core.figures(&counted, &counted);
            server.figures.remember(Figures { at, ..figures });
        }
        let past: Vec<serde_json::Value> =
            serde_json::from_slice(&server.past_figures()).expect("an array");
        assert_eq!(past.len(), REMEMBERED);
        assert_eq!((&past[0]["at"], &past[89]["at"]), (&10.into(), &99.into()));
    }
}
