//! All subscribers and the publisher, in one thread.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::http::Response;
use crate::options::Options;
use crate::subscriber::{Flaws, Subscriber};

const EVENTS: usize = 1024;
const BUFFER: usize = 4096;
const PUBLISHER: Token = Token(usize::MAX);
/// How long the server is left alone before it is asked again how many subscribers it has.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest wait for the next delivery.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long messages are awaited that come once too often.
const LINGER: Duration = Duration::from_millis(200);

/// The subscribers of one channel, and its publisher.
pub(crate) struct Fleet {
    poll: Poll,
    events: Events,
    subscribers: Vec<Subscriber>,
    publisher: TcpStream,
    answer: Vec<u8>,
    channel: String,
    latencies: Vec<Duration>,
    arrived: u64,
}

impl Fleet {
    /// Sets all subscribers up, and returns when the server says that they wait.
    pub(crate) fn launch(options: &Options) -> io::Result<Self> {
        let poll = Poll::new()?;
        let channel = format!("bench{}", std::process::id());
        let publisher = std::net::TcpStream::connect(options.address)?;
        publisher.set_nodelay(true)?;
        publisher.set_nonblocking(true)?;
        let mut publisher = TcpStream::from_std(publisher);
        poll.registry()
            .register(&mut publisher, PUBLISHER, Interest::READABLE)?;
        let mut subscribers = Vec::with_capacity(options.clients);
        for number in 0..options.clients {
            let mut subscriber = Subscriber::open(options.address, &channel, options.is_websocket)?;
            poll.registry()
                .register(&mut subscriber.stream, Token(number), Interest::READABLE)?;
            subscribers.push(subscriber);
        }
        let mut fleet = Self {
            poll,
            events: Events::with_capacity(EVENTS),
            subscribers,
            publisher,
            answer: Vec::new(),
            channel,
            latencies: Vec::with_capacity(options.clients * options.messages),
            arrived: 0,
        };
        let expected = format!("\"subscribers\": {},", options.clients);
        let ask = format!(
            "GET /pub/{} HTTP/1.1\r\nHost: localhost\r\nAccept: text/json\r\n\r\n",
            fleet.channel
        );
        while !(fleet.subscribers.iter().all(Subscriber::is_ready)
            && fleet.request(&ask)?.contains(&expected))
        {
            fleet.turn(PAUSE, Instant::now())?;
        }
        Ok(fleet)
    }

    /// Publishes one message, and returns when all subscribers have it and wait again.
    pub(crate) fn publish(&mut self, number: usize, payload: usize) -> io::Result<()> {
        let mut data = format!("{{\"bench\":\"{}#{number}#", self.channel);
        while data.len() + 2 < payload {
            data.push('x');
        }
        data.push_str("\"}");
        let request = format!(
            "POST /pub/{} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{data}",
            self.channel,
            data.len()
        );
        let goal = self.arrived + self.subscribers.len() as u64;
        let published = Instant::now();
        self.write(&request)?;
        let mut is_acknowledged = false;
        while !is_acknowledged || self.arrived < goal {
            if self.turn(TIMEOUT, published)? == 0 {
                return Err(ErrorKind::TimedOut.into());
            }
            if let Some(answer) = self.take_answer()? {
                is_acknowledged = answer.starts_with("queued messages");
            }
        }
        Ok(())
    }

    /// Messages that have arrived.
    pub(crate) fn deliveries(&self) -> u64 {
        self.arrived
    }

    /// The latency that so many of a hundred messages do not exceed.
    pub(crate) fn latency(&mut self, percent: usize) -> Duration {
        self.latencies.sort_unstable();
        let at = (self.latencies.len() * percent).div_ceil(100);
        self.latencies
            .get(at.saturating_sub(1))
            .copied()
            .unwrap_or_default()
    }

    /// Listens a little longer, then says what was wrong.
    pub(crate) fn flaws(&mut self, published: usize) -> io::Result<Flaws> {
        let end = Instant::now() + LINGER;
        while Instant::now() < end {
            self.turn(PAUSE, Instant::now())?;
        }
        let mut total = Flaws::default();
        for subscriber in &self.subscribers {
            total.lost += subscriber.flaws.lost + subscriber.missing(published);
            total.repeated += subscriber.flaws.repeated;
        }
        Ok(total)
    }

    fn write(&mut self, request: &str) -> io::Result<()> {
        if self.publisher.write(request.as_bytes())? == request.len() {
            Ok(())
        } else {
            Err(ErrorKind::WriteZero.into())
        }
    }

    fn request(&mut self, request: &str) -> io::Result<String> {
        self.write(request)?;
        loop {
            if self.turn(TIMEOUT, Instant::now())? == 0 {
                return Err(ErrorKind::TimedOut.into());
            }
            if let Some(answer) = self.take_answer()? {
                return Ok(answer);
            }
        }
    }

    /// The body of the response to the publisher, when it is there.
    fn take_answer(&mut self) -> io::Result<Option<String>> {
        let Some(response) = Response::first(&self.answer) else {
            return Ok(None);
        };
        if !(200..300).contains(&response.status) {
            // Nobody has ever subscribed: not yet.
            self.answer.clear();
            return Ok(Some(String::new()));
        }
        let body = String::from_utf8_lossy(response.body).into_owned();
        self.answer.drain(..response.length);
        Ok(Some(body))
    }

    /// Reads what comes next; tells how many connections something has come by.
    fn turn(&mut self, limit: Duration, published: Instant) -> io::Result<usize> {
        self.poll.poll(&mut self.events, Some(limit))?;
        let mut count = 0;
        for event in &self.events {
            count += 1;
            let Token(number) = event.token();
            let latencies = &mut self.latencies;
            match self.subscribers.get_mut(number) {
                Some(subscriber) => {
                    self.arrived += subscriber.read(|| latencies.push(published.elapsed()))?;
                }
                None => read_all(&mut self.publisher, &mut self.answer)?,
            }
        }
        Ok(count)
    }
}

fn read_all(stream: &mut TcpStream, into: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; BUFFER];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(length) => into.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
