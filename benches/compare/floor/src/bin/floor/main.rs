//! The least code that answers `mirant bench` fan-out, rooms and idle: a yardstick, not a server.
//!
//! One thread, one read for a request, one write for an answer. It knows no timers, no sessions, and
//! no patterns: what is published goes to those who have subscribed to that very channel. A client
//! that sends what `mirant bench` does not send, or reads too slowly, is dropped.

mod answers;
mod client;
mod frames;

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};

use crate::answers::{Event, Request};
use crate::client::Client;

const LISTENER: Token = Token(usize::MAX);
/// More than a socket has at once: a publisher who had to wait sends all that was due in the meantime.
const BUFFER: usize = 256 * 1024;
const EVENTS: usize = 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).ok_or("usage: floor ADDRESS:PORT")?;
    Floor::listen(address.parse()?)?.run()?;
    Ok(())
}

struct Floor {
    poll: Poll,
    listener: TcpListener,
    clients: Vec<Option<Client>>,
    free: Vec<usize>,
    /// Who has subscribed, by channel.
    subscribers: HashMap<String, Vec<usize>>,
}

impl Floor {
    fn listen(address: SocketAddr) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(address)?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            clients: Vec::new(),
            free: Vec::new(),
            subscribers: HashMap::new(),
        })
    }

    fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        let mut buffer = vec![0; BUFFER];
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                if event.token() == LISTENER {
                    self.accept()?;
                    continue;
                }
                let Token(number) = event.token();
                let served = self.serve(number, &mut buffer);
                if served.is_err() || event.is_read_closed() {
                    self.drop_client(number);
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let number = self.free.pop().unwrap_or(self.clients.len());
            self.poll
                .registry()
                .register(&mut stream, Token(number), Interest::READABLE)?;
            let client = Some(Client::new(stream));
            match self.clients.get_mut(number) {
                Some(slot) => *slot = client,
                None => self.clients.push(client),
            }
        }
    }

    fn drop_client(&mut self, number: usize) {
        if self.clients[number].take().is_some() {
            for subscribers in self.subscribers.values_mut() {
                subscribers.retain(|&subscriber| subscriber != number);
            }
            self.free.push(number);
        }
    }

    /// Answers what a client has sent.
    ///
    /// A read that does not fill the buffer has emptied the socket, so that one read is enough.
    fn serve(&mut self, number: usize, buffer: &mut [u8]) -> io::Result<()> {
        let Some(client) = &mut self.clients[number] else {
            return Ok(());
        };
        let length = match client.read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            read => read?,
        };
        let arrived = &mut buffer[..length];
        if client.is_websocket() {
            let mut rest = arrived;
            while let Some((message, after)) = frames::take(rest)? {
                self.answer(number, message)?;
                rest = after;
            }
            return Ok(());
        }
        if let Some(upgrade) = answers::upgrade(arrived) {
            return client.upgrade(&upgrade);
        }
        let mut rest = &*arrived;
        while let Some((batch, after)) = answers::take(rest)? {
            self.answer(number, batch)?;
            rest = after;
        }
        Ok(())
    }

    fn answer(&mut self, number: usize, batch: &[u8]) -> io::Result<()> {
        let request = Request::of(batch)?;
        match &request {
            Request::Publish(events) => events.iter().for_each(|event| self.publish(event)),
            Request::Subscribe { channel } => self.subscribe(number, channel),
            Request::Handshake | Request::Connect { .. } => {}
        }
        let Some(client) = &mut self.clients[number] else {
            return Ok(());
        };
        match request {
            Request::Handshake => client.send(answers::handshake(number).as_bytes()),
            Request::Connect { is_held: false } => client.send(answers::CONNECTED.as_bytes()),
            Request::Connect { is_held: true } => client.hold(),
            Request::Subscribe { .. } => client.send(answers::SUBSCRIBED.as_bytes()),
            Request::Publish(events) => client.send(answers::acknowledgement(&events).as_bytes()),
        }
    }

    fn subscribe(&mut self, number: usize, channel: &str) {
        let subscribers = self.subscribers.entry(channel.to_owned());
        subscribers.or_default().push(number);
    }

    fn publish(&mut self, event: &Event<'_>) {
        let response = answers::response(&answers::delivery(&event.text));
        let frame = frames::text(format!("[{}]", event.text).as_bytes());
        let Some(subscribers) = self.subscribers.get(event.channel) else {
            return;
        };
        let mut gone = Vec::new();
        for &number in subscribers {
            if let Some(client) = &mut self.clients[number]
                && client.deliver(&event.text, &response, &frame).is_err()
            {
                gone.push(number);
            }
        }
        for number in gone {
            self.drop_client(number);
        }
    }
}
