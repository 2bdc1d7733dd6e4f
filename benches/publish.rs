//! One publish through the server: by how many receive it, and by how many it does not concern.

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use mirant::server::BayeuxServer;
use mirant::session::Settings;

mod support {
    pub(crate) mod clients;
    pub(crate) mod room;
}

use support::clients::{handshake, server, subscribe};
use support::room::Room;

#[global_allocator]
static GLOBAL: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Subscriptions of each client that does not receive what is published.
const SUBSCRIPTIONS: usize = 10;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    fan_out(&mut criterion);
    unrelated(&mut criterion);
    criterion.final_summary();
}

/// A server, and a room on it.
struct World {
    server: BayeuxServer,
    room: Room,
    /// Subscriptions to channels that nobody publishes to.
    unrelated: usize,
}

impl World {
    fn new(receivers: usize) -> Self {
        let server = server(Settings::default());
        let room = Room::new(&server, "/rooms/1", receivers);
        Self {
            server,
            room,
            unrelated: 0,
        }
    }

    /// Makes subscriptions to other channels until there are so many.
    fn fill(&mut self, count: usize) {
        let now = Instant::now();
        while self.unrelated < count {
            let id = handshake(&self.server, now);
            for number in self.unrelated..self.unrelated + SUBSCRIPTIONS {
                subscribe(&self.server, &id, &format!("/others/{number}"), now);
            }
            self.unrelated += SUBSCRIPTIONS;
        }
    }

    /// Publishes so many times, and returns how long that took. Between, and not measured, every
    /// receiver takes the event and connects anew.
    fn publish(&mut self, times: u64) -> Duration {
        let publish = |_| {
            let taken = self.room.publish(&self.server);
            self.room.receive(&self.server);
            taken
        };
        (0..times).map(publish).sum()
    }
}

/// A publish to clients whose connects are held, all of which it resumes.
fn fan_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fan_out");
    group.sample_size(20);
    group.sampling_mode(SamplingMode::Flat);
    for receivers in [1, 10, 100, 1000, 10_000, 100_000] {
        let mut world = None;
        group.throughput(Throughput::Elements(receivers as u64));
        group.bench_function(BenchmarkId::from_parameter(receivers), |bencher| {
            // Only if it was asked for.
            let world = world.get_or_insert_with(|| World::new(receivers));
            bencher.iter_custom(|times| world.publish(times));
        });
    }
    group.finish();
}

/// A publish to one client, beside so many subscriptions to other channels.
fn unrelated(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("unrelated");
    let mut world = World::new(1);
    for count in [10, 100, 1000, 10_000, 100_000, 1_000_000] {
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            world.fill(count);
            bencher.iter_custom(|times| world.publish(times));
        });
    }
    group.finish();
}
