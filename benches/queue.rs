//! A session's queue: events that are put in and taken out, and what happens at its bounds.

use std::sync::Arc;
use std::time::Instant;

use bytesize::ByteSize;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use mirant::bayeux::{ChannelBound, Event, MaxQueuePolicy};
use mirant::session::{Carrier, Delivered, Session, Settings};

mod support {
    pub(crate) mod parts;
}

use support::parts::{event, session, shared};

#[global_allocator]
static GLOBAL: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const DEPTHS: [usize; 5] = [1, 10, 100, 1000, 10_000];

const POLICIES: [(&str, MaxQueuePolicy); 4] = [
    ("end", MaxQueuePolicy::End),
    ("drop_oldest", MaxQueuePolicy::DropOldest),
    ("drop_newest", MaxQueuePolicy::DropNewest),
    ("conflate", MaxQueuePolicy::Conflate),
];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    push_and_take(&mut criterion);
    at_the_session_s_bound(&mut criterion);
    at_a_channel_s_bound(&mut criterion);
    criterion.final_summary();
}

fn settings(max_queue: usize, max_queue_policy: MaxQueuePolicy) -> Settings {
    Settings {
        max_queue,
        max_queue_policy,
        max_queue_bytes: ByteSize::gib(1),
        max_response_size: ByteSize::gib(1),
        ..Settings::default()
    }
}

fn deliver(session: &Session, event: &Arc<Event>, now: Instant) -> Delivered {
    session.deliver(event, None, || now)
}

/// Events of as many channels as there are events.
fn events_of_channels(count: usize) -> Vec<Event> {
    (0..count)
        .map(|number| event(&format!("/stocks/{number}")))
        .collect()
}

/// So many events are put in one by one, and taken all at once. The time is that of all.
fn push_and_take(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("push_and_take");
    let now = Instant::now();
    for depth in DEPTHS {
        let session = session(&shared(settings(depth, MaxQueuePolicy::End)));
        let event = Arc::new(event("/stocks"));
        group.throughput(Throughput::Elements(depth as u64));
        group.bench_function(BenchmarkId::from_parameter(depth), |bencher| {
            bencher.iter(|| {
                for _ in 0..depth {
                    let delivered = deliver(&session, &event, now);
                    debug_assert_eq!(delivered, Delivered::Queued);
                }
                session.take_events(Carrier::Connect(0)).events.len()
            });
        });
    }
    group.finish();
}

/// One event comes to a queue that is full. With `conflate` every queued event has a channel of its
/// own, so that the new one replaces the last of its channel.
fn at_the_session_s_bound(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("at_session_bound");
    let now = Instant::now();
    for (name, policy) in POLICIES {
        for depth in DEPTHS {
            let session = session(&shared(settings(depth, policy)));
            let events: Vec<Arc<Event>> = events_of_channels(depth)
                .into_iter()
                .map(Arc::new)
                .collect();
            deliver_again(
                &mut group,
                BenchmarkId::new(name, depth),
                &session,
                &events,
                now,
            );
        }
    }
    group.finish();
}

/// Queues the events, and then delivers them again and again.
fn deliver_again(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    session: &Arc<Session>,
    events: &[Arc<Event>],
    now: Instant,
) {
    for event in events {
        assert_eq!(deliver(session, event, now), Delivered::Queued);
    }
    let mut next = events.iter().cycle();
    group.bench_function(id, |bencher| {
        bencher.iter(|| next.next().map(|event| deliver(session, event, now)));
    });
}

/// One event comes whose channel has the one event queued that it may have, in a queue of events of
/// other channels.
fn at_a_channel_s_bound(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("at_channel_bound");
    let now = Instant::now();
    for (name, policy) in POLICIES {
        let bound = Some(ChannelBound {
            max_queue: 1,
            policy,
        });
        for depth in DEPTHS {
            let session = session(&shared(settings(depth + 1, MaxQueuePolicy::End)));
            let events: Vec<Arc<Event>> = events_of_channels(depth)
                .into_iter()
                .map(|event| Arc::new(event.bounded(bound)))
                .collect();
            deliver_again(
                &mut group,
                BenchmarkId::new(name, depth),
                &session,
                &events,
                now,
            );
        }
    }
    group.finish();
}
