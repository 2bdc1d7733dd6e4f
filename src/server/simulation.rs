//! Many sessions on one server in virtual time: whatever happens to their requests and responses,
//! what is promised to each of them holds.
//!
//! A seed makes a whole run. A run that fails names its seed; put that into `replay` to see it again.

use std::task::Poll;
use std::time::{Duration, Instant};

use super::*;
use crate::bayeux::Message;
use crate::extensions::Extension;
use crate::session::{Resume, Settings, Taken};

mod settling;
mod tools;

use settling::{Storing, Unsettled};
use tools::{Dice, between, context, data, number, written};

const SEEDS: u64 = 2000;
const CHANNELS: usize = 4;

/// What happens to a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Arrives,
    /// The server sees that it could not be written.
    Fails,
    /// It is lost behind the server's back.
    Vanishes,
}

/// A client, and what it knows.
struct Client {
    id: String,
    session: ClientId,
    acknowledges: bool,
    channels: Vec<usize>,
    held: Option<HeldConnect>,
    /// Every event that was published for it, in order.
    promised: Vec<u32>,
    /// How many of them it has received, or lost where that is allowed.
    have: usize,
    /// How many of them it has acknowledged.
    acknowledged: usize,
    /// The number of the last reply it received.
    last: Option<u64>,
    /// The reply to a connect that is being written, and its number.
    slow: Option<(Taken, Option<u64>)>,
    /// Whether it has connected anew since.
    has_given_up: bool,
    unsettled: Option<Unsettled>,
}

struct World {
    seed: u64,
    dice: Dice,
    server: BayeuxServer,
    max_queue: usize,
    now: Instant,
    clients: Vec<Client>,
    published: u32,
}

/// A batch by a request of its own.
fn request() -> Request<'static> {
    Request {
        actor: Actor {
            may_be_held: true,
            is_request: true,
            ..Actor::default()
        },
        is_client_gone: &|| false,
        delivers_on_publish: true,
        stream: None,
        aside: |work| work(),
        needs_own_handshake: false,
        admitted: Verdicts::default(),
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let max_queue = [3, 20, 1000][dice.throw(3)];
        let session = Settings {
            max_queue,
            max_response_size: bytesize::ByteSize([80, 400, 100_000][dice.throw(3)]),
            max_sessions_per_browser: -1,
            ..Settings::default()
        };
        let server = BayeuxServer::new(Parts {
            session,
            extensions: vec![Box::new(Storing) as Box<dyn Extension>].into(),
            ..Parts::default()
        });
        Self {
            seed,
            dice,
            server,
            max_queue,
            now: Instant::now(),
            clients: Vec::new(),
            published: 0,
        }
    }

    /// Sends a message; what comes back, if it is not held.
    fn send(&mut self, text: &str) -> Result<(Taken, String), HeldConnect> {
        let message: Message<'_> = serde_json::from_str(text).expect("a message");
        let outcome = self.server.process(&mut [message], request(), self.now);
        match outcome.held {
            Some(held) => Err(held),
            None => {
                let taken = Taken {
                    events: outcome.events,
                    in_flight: outcome.in_flight,
                    ..Taken::default()
                };
                Ok((taken, written(&outcome.replies[0])))
            }
        }
    }

    fn handshake(&mut self, acknowledges: bool) -> Client {
        let ext = format!(r#"{{"ack":{acknowledges}}}"#);
        let text = format!(r#"{{"channel":"/meta/handshake","version":"1.0","ext":{ext}}}"#);
        let (_, reply) = self.send(&text).expect("a reply");
        assert_eq!(reply.contains(r#""ext":{"ack":true}"#), acknowledges);
        let id = between(&reply, r#""clientId":""#, '"')
            .expect("a client id")
            .to_owned();
        let mut client = Client {
            session: id.parse().expect("a client id"),
            id,
            acknowledges,
            channels: Vec::new(),
            held: None,
            promised: Vec::new(),
            have: 0,
            acknowledged: 0,
            last: None,
            slow: None,
            has_given_up: false,
            unsettled: None,
        };
        for channel in 0..CHANNELS {
            if self.dice.is(60) {
                let id = &client.id;
                let text = format!(
                    r#"{{"channel":"/meta/subscribe","clientId":"{id}","subscription":"/{channel}"}}"#
                );
                let (_, reply) = self.send(&text).expect("a reply");
                assert!(reply.contains("true"), "{reply}");
                client.channels.push(channel);
            }
        }
        client
    }

    fn join(&mut self) {
        let acknowledges = self.dice.is(60);
        let client = self.handshake(acknowledges);
        self.clients.push(client);
    }

    fn is_alive(&self, client: usize) -> bool {
        let id = self.clients[client].session;
        self.server.core.sessions.find(id).is_some()
    }

    /// A client publishes; its reply carries events, which arrive or not.
    fn publish(&mut self, publisher: usize) {
        let (channel, number) = self.next_event();
        let id = &self.clients[publisher].id;
        let text = format!(r#"{{"channel":"/{channel}","clientId":"{id}","data":{number}}}"#);
        let before = self.alive();
        let (taken, reply) = self.send(&text).expect("a reply");
        if !before[publisher] {
            assert!(reply.contains("402"), "{reply}");
            return;
        }
        self.promise(channel, number, &before);
        let fate = self.fate();
        self.receive(publisher, taken, None, fate);
    }

    /// What is published next.
    fn next_event(&mut self) -> (usize, u32) {
        let event = (self.dice.throw(CHANNELS), self.published);
        self.published += 1;
        event
    }

    fn alive(&self) -> Vec<bool> {
        let clients = 0..self.clients.len();
        clients.map(|client| self.is_alive(client)).collect()
    }

    /// Notes who is to have an event that was published.
    fn promise(&mut self, channel: usize, number: u32, before: &[bool]) {
        for (client, was_alive) in before.iter().enumerate() {
            let is_subscribed = self.clients[client].channels.contains(&channel);
            // One whose queue was full has ended, and hears of it.
            if is_subscribed && *was_alive && self.is_alive(client) {
                self.clients[client].promised.push(number);
            }
        }
    }

    fn fate(&mut self) -> Fate {
        match self.dice.throw(10) {
            0 => Fate::Fails,
            1 => Fate::Vanishes,
            _ => Fate::Arrives,
        }
    }

    /// A connect, in which a client says the truth, what it said before, or nonsense.
    fn connect_text(&mut self, client: usize) -> String {
        let known = &self.clients[client];
        let truth = known.last.map(|last| last.to_string());
        let said = match self.dice.throw(8) {
            0 => "-1".to_owned(),
            1 => "99999999".to_owned(),
            2 => known.last.unwrap_or(1).saturating_sub(1).to_string(),
            3 => "\"1\"".to_owned(),
            _ => truth.clone().unwrap_or_else(|| "0".to_owned()),
        };
        if Some(&said) == truth.as_ref() {
            self.clients[client].acknowledged = self.clients[client].have;
        }
        let timeout = ["", r#","advice":{"timeout":0}"#][self.dice.throw(2)];
        let id = &self.clients[client].id;
        format!(
            r#"{{"channel":"/meta/connect","clientId":"{id}","ext":{{"ack":{said}}}{timeout}}}"#
        )
    }

    /// What a client that connects anew no longer waits for.
    fn give_up_connects(&mut self, client: usize) {
        self.clients[client].has_given_up = true;
        // Another that was held is displaced.
        if let Some(mut displaced) = self.clients[client].held.take() {
            self.look_at_displaced(&mut displaced);
        }
    }

    fn connect(&mut self, client: usize) {
        let text = self.connect_text(client);
        let sent = self.send(&text);
        self.give_up_connects(client);
        match sent {
            Err(held) => self.clients[client].held = Some(held),
            Ok((_, reply)) if reply.contains("402") => {
                let acknowledges = self.clients[client].acknowledges;
                self.clients[client] = self.handshake(acknowledges);
            }
            Ok((taken, reply)) => self.reply(client, taken, number(&reply)),
        }
    }

    /// The reply to a connect is written: at once, or slowly.
    fn reply(&mut self, client: usize, taken: Taken, number: Option<u64>) {
        if self.clients[client].slow.is_none() && self.dice.is(20) {
            self.clients[client].slow = Some((taken, number));
            self.clients[client].has_given_up = false;
            return;
        }
        let fate = self.fate();
        self.receive(client, taken, number, fate);
    }

    /// A reply that was written slowly is written, or fails. Nobody reads it whose client has connected
    /// anew.
    fn end_slow(&mut self, client: usize) {
        let Some((taken, number)) = self.clients[client].slow.take() else {
            return;
        };
        let Client {
            has_given_up,
            acknowledges,
            ..
        } = self.clients[client];
        if has_given_up && acknowledges {
            // Whatever becomes of it: a newer reply has it all again.
            return;
        }
        let fate = match self.fate() {
            Fate::Arrives if has_given_up => Fate::Fails,
            fate => fate,
        };
        self.receive(client, taken, number, fate);
    }

    fn look_at_displaced(&self, displaced: &mut HeldConnect) {
        let now = self.now;
        match displaced.poll_resumed(|| now, &mut context()) {
            Poll::Ready(Resume::Answer { .. }) => panic!("{}: answered twice", self.seed),
            Poll::Ready(resume) => {
                let answer = displaced.answer(resume);
                assert!(answer.is_none_or(|(taken, _)| taken.events.is_empty()));
            }
            Poll::Pending => panic!("{}: a displaced connect hangs", self.seed),
        }
    }

    /// Whoever holds a client's connect looks whether it was resumed.
    fn look(&mut self, client: usize) {
        let now = self.now;
        if self.dice.is(50) {
            self.end_slow(client);
        }
        if self.dice.is(50) {
            self.conclude(client);
        }
        let Some(mut held) = self.clients[client].held.take() else {
            return;
        };
        if self.dice.is(10) {
            // The client goes away first.
            held.release(now);
            return;
        }
        let Poll::Ready(resume) = held.poll_resumed(|| now, &mut context()) else {
            self.clients[client].held = Some(held);
            return;
        };
        let (taken, reply) = held.answer(resume).expect("no other came");
        let number = number(&written(&reply));
        self.reply(client, taken, number);
    }

    /// A response arrives, or not.
    fn receive(&mut self, index: usize, taken: Taken, number: Option<u64>, fate: Fate) {
        let (seed, client) = (self.seed, &mut self.clients[index]);
        let numbers: Vec<u32> = taken.events.iter().map(|event| data(event)).collect();
        let Some(first) = numbers.first() else {
            if fate == Fate::Arrives && number.is_some() {
                client.last = number;
            }
            return;
        };
        let from = client.promised.binary_search(first);
        let from = from.unwrap_or_else(|_| panic!("{seed}: {first} was not promised"));
        let to = from + numbers.len();
        let expected = client.promised.get(from..to);
        assert_eq!(expected, Some(&numbers[..]), "{seed}: order, or a gap");
        assert!(
            from <= client.have,
            "{seed}: {first} comes before what is missing"
        );
        let repeats_from = if client.acknowledges {
            client.acknowledged
        } else {
            client.have
        };
        assert!(
            from >= repeats_from,
            "{seed}: {first} is repeated to {index}"
        );
        match fate {
            Fate::Arrives => {
                client.have = client.have.max(to);
                client.last = number.or(client.last);
            }
            // At most once: nobody knows of it.
            Fate::Vanishes if !client.acknowledges => client.have = to,
            Fate::Vanishes => {}
            Fate::Fails => {
                if let Some(in_flight) = taken.in_flight {
                    in_flight.give_back(taken.events);
                }
            }
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.server.fire_due(self.now);
    }

    fn check_bounds(&self) {
        for client in &self.clients {
            let Some(session) = self.server.core.sessions.find(client.session) else {
                continue;
            };
            let kept = session.kept();
            // What came back from a response that failed may stand beside a full queue.
            let bound = if client.acknowledges {
                self.max_queue
            } else {
                usize::MAX
            };
            assert!(kept <= bound, "{}: {kept} events are kept", self.seed);
        }
    }

    fn step(&mut self) {
        let client = self.dice.throw(self.clients.len());
        match self.dice.throw(100) {
            0..20 => self.publish(client),
            20..30 => self.publish_stored(client),
            30..60 => self.connect(client),
            60..85 => self.look(client),
            85..93 => {
                let time = Duration::from_millis(self.dice.throw(3000) as u64);
                self.wait(time);
            }
            93 => self.wait(Duration::from_secs(45)),
            94 => {
                for _ in 0..self.max_queue.min(50) * 2 {
                    self.publish(client);
                }
            }
            _ => self.join(),
        }
    }

    /// Every client comes back until it has all.
    fn settle(&mut self) {
        for client in 0..self.clients.len() {
            self.conclude(client);
            self.end_slow(client);
            while self.is_alive(client)
                && self.clients[client].have < self.clients[client].promised.len()
            {
                let before = self.clients[client].have;
                let known = &self.clients[client];
                let (id, last) = (&known.id, known.last.unwrap_or(0));
                let text = format!(
                    r#"{{"channel":"/meta/connect","clientId":"{id}","ext":{{"ack":{last}}},"advice":{{"timeout":0}}}}"#
                );
                let (taken, reply) = self.send(&text).expect("a reply");
                self.receive(client, taken, number(&reply), Fate::Arrives);
                assert!(
                    self.clients[client].have > before,
                    "{}: an event is lost",
                    self.seed
                );
            }
            if let Some(mut held) = self.clients[client].held.take() {
                held.release(self.now);
            }
        }
    }
}

impl BayeuxServer {
    /// Fires what is due until nothing is.
    pub(super) fn fire_due(&self, now: Instant) {
        let mut due = Vec::new();
        loop {
            self.core.shared.timers.take_due(now, &mut due);
            if due.is_empty() {
                return;
            }
            for (at, id) in due.drain(..) {
                self.fire(id, at, Tick::at(now));
            }
        }
    }
}

fn run(seed: u64) {
    let mut world = World::new(seed);
    let (clients, steps) = if seed.is_multiple_of(500) {
        (300, 300)
    } else {
        (world.dice.throw(8) + 1, 80)
    };
    for _ in 0..clients {
        world.join();
    }
    for _ in 0..steps {
        world.step();
        world.check_bounds();
    }
    world.settle();
}

#[test]
fn what_is_promised_holds_in_every_run() {
    // What waits has a deadline, which is never reached.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let _entered = runtime.enter();
    for seed in 0..SEEDS {
        run(seed);
    }
}
