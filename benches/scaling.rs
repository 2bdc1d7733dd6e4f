//! One thread against two, of which each serves rooms of its own: on one server, and, to compare with,
//! each on a server of its own.
//!
//! A round of a room is a publish to its receivers, whose connects are held, and that each of them
//! takes the event and connects anew. The three kinds of runs take turns, because the machine may be
//! busy otherwise; what counts is the median of the ratios of runs that follow each other.

use std::env;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use mirant::server::BayeuxServer;
use mirant::session::Settings;

mod support {
    pub(crate) mod clients;
    pub(crate) mod kernel;
    pub(crate) mod room;
}

use support::clients::server;
use support::kernel;
use support::room::Room;

#[global_allocator]
static GLOBAL: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const ROOMS: usize = 20;
const RECEIVERS: usize = 100;
const ROUNDS: usize = 100;
const TURNS: usize = 21;

/// The rooms that one thread serves.
struct Share<'s> {
    server: &'s BayeuxServer,
    rooms: Vec<Room>,
}

impl<'s> Share<'s> {
    fn new(server: &'s BayeuxServer, name: &str) -> Self {
        let rooms = (0..ROOMS)
            .map(|room| Room::new(server, &format!("/{name}/{room}"), RECEIVERS))
            .collect();
        Self { server, rooms }
    }

    /// Runs all rounds; returns when they began and ended, and their processor time.
    fn serve(&mut self, begin: &Barrier) -> (Instant, Instant, Duration) {
        begin.wait();
        let (start, before) = (Instant::now(), kernel::processor_of_thread());
        for _ in 0..ROUNDS {
            for room in &mut self.rooms {
                room.publish(self.server);
                room.receive(self.server);
            }
        }
        let processor = kernel::processor_of_thread() - before;
        (start, Instant::now(), processor)
    }
}

/// What a run took.
#[derive(Clone, Copy)]
struct Run {
    rounds_a_second: f64,
    /// Processor time of all threads, in seconds.
    processor_a_round: f64,
}

impl Run {
    /// Runs the rounds of each share on a thread of its own.
    fn of(shares: &mut [Share<'_>]) -> Self {
        let rounds = (shares.len() * ROOMS * ROUNDS) as f64;
        let begin = Barrier::new(shares.len());
        let times: Vec<(Instant, Instant, Duration)> = thread::scope(|scope| {
            let started: Vec<_> = shares
                .iter_mut()
                .map(|share| scope.spawn(|| share.serve(&begin)))
                .collect();
            let ended = started.into_iter().map(thread::ScopedJoinHandle::join);
            ended.map(|ended| ended.expect("no panic")).collect()
        });
        let start = times.iter().map(|(start, ..)| *start).min();
        let end = times.iter().map(|(_, end, _)| *end).max();
        let wall = end.zip(start).map(|(end, start)| end - start);
        let processor: Duration = times.iter().map(|(.., processor)| *processor).sum();
        Self {
            rounds_a_second: rounds / wall.expect("a thread").as_secs_f64(),
            processor_a_round: processor.as_secs_f64() / rounds,
        }
    }
}

fn main() {
    // As a test it only has to run.
    let is_measured = env::args().any(|argument| argument == "--bench");
    let turns = if is_measured { TURNS } else { 1 };
    let shared = server(Settings::default());
    let mut sharing = ["a", "b"].map(|name| Share::new(&shared, name));
    let own = [(); 2].map(|()| server(Settings::default()));
    let mut apart = own.each_ref().map(|server| Share::new(server, "a"));
    let runs: Vec<[Run; 3]> = (0..turns)
        .map(|_| {
            let one = Run::of(&mut sharing[..1]);
            [one, Run::of(&mut sharing), Run::of(&mut apart)]
        })
        .collect();

    println!("{ROOMS} rooms a thread, {RECEIVERS} receivers a room; medians of {turns} turns");
    println!("                       rounds/s   ratio   processor µs a round   ratio");
    let names = ["one thread", "two, one server", "two, two servers"];
    for (kind, name) in names.into_iter().enumerate() {
        let of = |figure: &dyn Fn(&[Run; 3]) -> f64| median(runs.iter().map(figure).collect());
        let rate = of(&|runs| runs[kind].rounds_a_second);
        let faster = of(&|runs| runs[kind].rounds_a_second / runs[0].rounds_a_second);
        let cost = of(&|runs| runs[kind].processor_a_round * 1e6);
        let dearer = of(&|runs| runs[kind].processor_a_round / runs[0].processor_a_round);
        println!("{name:<20} {rate:>10.0} {faster:>7.2} {cost:>22.1} {dearer:>7.2}");
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
