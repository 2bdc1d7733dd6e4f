//! All subscribers and the publisher, in one thread.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token, Waker};

use crate::durations::Durations;
use crate::http::Response;
use crate::nchan;
use crate::options::Options;
use crate::pacer::Schedule;
use crate::publisher::Publisher;
use crate::subscriber::{Flaws, Lane, Subscriber};

const EVENTS: usize = 1024;
const PUBLISHER: Token = Token(usize::MAX);
const PACER: Token = Token(usize::MAX - 1);
/// How long the server is left alone before it is asked again how many subscribers it has.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest wait for the next delivery.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long messages are awaited that come once too often.
const LINGER: Duration = Duration::from_millis(200);

/// The subscribers of some channels, and their publisher.
pub(crate) struct Fleet {
    poll: Poll,
    events: Events,
    subscribers: Vec<Subscriber>,
    publisher: Publisher,
    /// The name of the run, which its channels begin with.
    name: String,
    rooms: usize,
    payload: usize,
    /// When each message was published, or was due.
    published: Vec<Instant>,
    pub(crate) latencies: Durations,
    /// How long after they were due messages were published.
    pub(crate) lateness: Durations,
    arrived: u64,
}

impl Fleet {
    /// Sets all subscribers up, and returns when the server says that they wait.
    pub(crate) fn launch(options: &Options) -> io::Result<Self> {
        let mut fleet = Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            subscribers: Vec::with_capacity(options.clients),
            publisher: Publisher::open(options.address)?,
            name: format!("bench{}", std::process::id()),
            rooms: options.rooms,
            payload: options.payload,
            published: Vec::with_capacity(options.messages),
            latencies: Durations::default(),
            lateness: Durations::default(),
            arrived: 0,
        };
        let registry = fleet.poll.registry().try_clone()?;
        registry.register(&mut fleet.publisher.stream, PUBLISHER, Interest::READABLE)?;
        for number in 0..options.clients {
            let lane = Lane {
                first: number % fleet.rooms,
                step: fleet.rooms,
            };
            let channel = fleet.channel(number);
            let mut subscriber =
                Subscriber::open(options.address, &channel, options.is_websocket, lane)?;
            registry.register(&mut subscriber.stream, Token(number), Interest::READABLE)?;
            fleet.subscribers.push(subscriber);
        }
        while !fleet.subscribers.iter().all(Subscriber::is_ready) {
            fleet.turn(TIMEOUT)?;
        }
        fleet.await_counts()?;
        Ok(fleet)
    }

    /// Asks the server, which confirms nothing, until it has all subscribers.
    fn await_counts(&mut self) -> io::Result<()> {
        for room in 0..self.rooms {
            while !self.is_complete(room)? {
                std::thread::sleep(PAUSE);
            }
        }
        Ok(())
    }

    /// Whether the server says that a room has all its subscribers.
    fn is_complete(&mut self, room: usize) -> io::Result<bool> {
        let expected = self.audience(room);
        let ask = nchan::count(&self.channel(room));
        self.publisher.write(&ask)?;
        loop {
            self.turn(TIMEOUT)?;
            let counts = |response: &Response<'_>| nchan::counts(response, expected);
            if let Some(is_complete) = self.publisher.answer(counts) {
                return Ok(is_complete);
            }
        }
    }

    /// Publishes a message, and returns when all its subscribers have it and wait again.
    pub(crate) fn publish_and_wait(&mut self, number: usize) -> io::Result<()> {
        let goal = self.arrived + self.audience(number) as u64;
        self.publish(number, Instant::now())?;
        while !self.publisher.is_done() || self.arrived < goal {
            self.turn(TIMEOUT)?;
        }
        Ok(())
    }

    /// Publishes messages when they are due, and returns when all have arrived.
    pub(crate) fn publish_at(&mut self, rate: f64, messages: usize) -> io::Result<()> {
        let goal: usize = (0..messages).map(|number| self.audience(number)).sum();
        let waker = Arc::new(Waker::new(self.poll.registry(), PACER)?);
        let schedule = Schedule::begin(rate);
        // What the pacer alone held would take its last call along when it ends.
        schedule.announce(messages, Arc::clone(&waker))?;
        let mut next = 0;
        while next < messages || !self.publisher.is_done() || self.arrived < goal as u64 {
            while next < messages && self.publisher.is_free() && schedule.at(next) <= Instant::now()
            {
                let due = schedule.at(next);
                self.lateness.note(due.elapsed());
                self.publish(next, due)?;
                next += 1;
            }
            self.turn(TIMEOUT)?;
        }
        Ok(())
    }

    fn publish(&mut self, number: usize, at: Instant) -> io::Result<()> {
        let mut data = format!("{{\"bench\":\"{}#{number}#", self.name);
        while data.len() + 2 < self.payload {
            data.push('x');
        }
        data.push_str("\"}");
        self.published.push(at);
        let channel = self.channel(number);
        self.publisher.publish(&channel, &data)
    }

    /// The channel that belongs to a number, of a subscriber or of a message.
    fn channel(&self, number: usize) -> String {
        format!("{}_{}", self.name, number % self.rooms)
    }

    /// How many subscribers the channel of a message has.
    fn audience(&self, number: usize) -> usize {
        let (room, subscribers) = (number % self.rooms, self.subscribers.len());
        subscribers.saturating_sub(room).div_ceil(self.rooms)
    }

    /// Messages that have arrived.
    pub(crate) fn deliveries(&self) -> u64 {
        self.arrived
    }

    /// Listens a little longer, then says what was wrong.
    pub(crate) fn flaws(&mut self) -> io::Result<Flaws> {
        let end = Instant::now() + LINGER;
        while Instant::now() < end {
            self.turn_or_pause(PAUSE)?;
        }
        let mut total = Flaws::default();
        for subscriber in &self.subscribers {
            total.lost += subscriber.flaws.lost + subscriber.missing(self.published.len());
            total.repeated += subscriber.flaws.repeated;
        }
        Ok(total)
    }

    /// Reads what comes next.
    ///
    /// # Errors
    ///
    /// When nothing comes in that time, too.
    fn turn(&mut self, limit: Duration) -> io::Result<()> {
        self.turn_or_pause(limit)?;
        if self.events.is_empty() {
            let published = self.published.len();
            let due: usize = (0..published).map(|number| self.audience(number)).sum();
            let missing = (due as u64).saturating_sub(self.arrived);
            let text = format!(
                "nothing came for {limit:?}, and {missing} deliveries of {due} are missing"
            );
            return Err(io::Error::new(ErrorKind::TimedOut, text));
        }
        Ok(())
    }

    fn turn_or_pause(&mut self, limit: Duration) -> io::Result<()> {
        // A signal is not the end of the wait: this process was stopped for a while, say.
        while let Err(error) = self.poll.poll(&mut self.events, Some(limit)) {
            if error.kind() != ErrorKind::Interrupted {
                return Err(error);
            }
        }
        for event in &self.events {
            match event.token() {
                PUBLISHER => self.publisher.read()?,
                PACER => {}
                Token(number) => {
                    let (latencies, published) = (&mut self.latencies, &self.published);
                    self.arrived += self.subscribers[number].read(|number| {
                        let at = published.get(number).ok_or(ErrorKind::InvalidData)?;
                        latencies.note(at.elapsed());
                        Ok(())
                    })?;
                }
            }
        }
        Ok(())
    }
}
