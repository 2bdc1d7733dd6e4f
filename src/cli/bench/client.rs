//! One simulated client: a session over one connection, from handshake to parked connects.

use std::convert::Infallible;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Error;
use super::deliveries::Ledger;
use super::fault::Fault;
use super::fleet::Run;
use super::messages::{self, CONNECT, Content, HANDSHAKE, Reply, SUBSCRIBE};
use super::transport::{Connection, Dialled};

/// Which simulated client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The subscriber of that number, from 0.
    Client(usize),
    /// The one that publishes.
    Publisher,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(number) => write!(f, "client {number}"),
            Self::Publisher => write!(f, "the publisher"),
        }
    }
}

/// What a client is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Opening its TCP connection.
    Dialling,
    /// Going over from HTTP to WebSocket.
    Upgrading,
    /// Awaiting the beginning of its event stream.
    Opening,
    /// Awaiting the reply to its handshake.
    Handshaking,
    /// Awaiting the reply to its first connect.
    Connecting,
    /// Awaiting the reply to its subscription.
    Subscribing,
    /// Holding a connect, or sending the next one; or reading an event stream.
    Parked,
    /// Publishing.
    Publishing,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dialling => "opening its TCP connection",
            Self::Upgrading => "upgrading to WebSocket",
            Self::Opening => "opening its event stream",
            Self::Handshaking => "handshaking",
            Self::Connecting => "awaiting its first connect",
            Self::Subscribing => "subscribing",
            Self::Parked => "parked",
            Self::Publishing => "publishing",
        })
    }
}

/// A session with the server and the connection it lives on.
#[derive(Debug)]
pub(super) struct Session {
    who: Who,
    run: Arc<Run>,
    client_id: String,
    connection: Connection,
}

impl Session {
    /// Opens a connection and handshakes.
    pub(super) async fn open(run: &Arc<Run>, who: Who) -> Result<Self, Error> {
        let dialled = Dialled::to(&run.addresses, run.timeout)
            .await
            .map_err(failed(who, Phase::Dialling))?;
        let connection = dialled
            .speak(run.connection_type, &run.url, run.timeout)
            .await
            .map_err(failed(who, Phase::Upgrading))?;
        let mut session = Self {
            who,
            run: Arc::clone(run),
            client_id: String::new(),
            connection,
        };
        session
            .handshake()
            .await
            .map_err(failed(who, Phase::Handshaking))?;
        Ok(session)
    }

    async fn handshake(&mut self) -> Result<(), Fault> {
        let batch = messages::handshake(self.run.connection_type);
        self.client_id = self.ask(&batch, HANDSHAKE).await?.client_id;
        self.connection.keep_cookies();
        Ok(())
    }

    async fn ask(&mut self, batch: &[u8], channel: &str) -> Result<Reply, Fault> {
        let encoded = self.connection.encode(&self.run.url, batch)?;
        let replies = self.connection.exchange(&encoded, self.run.timeout).await?;
        messages::read_reply(replies, channel)
    }

    /// Publishes the messages of these numbers in one batch, without awaiting the reply.
    pub(super) async fn publish(&mut self, numbers: Range<usize>) -> Result<(), Error> {
        let run = Arc::clone(&self.run);
        let batch = run
            .marker
            .publish(&self.client_id, &run.channel, numbers.clone());
        let published = async {
            let encoded = self.connection.encode(&run.url, &batch)?;
            run.note_published(numbers);
            self.connection.send_within(&encoded, run.timeout).await
        };
        published.await.map_err(failed(self.who, Phase::Publishing))
    }

    /// Awaits the reply to the oldest publish batch that has none yet, of `count` messages.
    pub(super) async fn acknowledged(&mut self, count: usize) -> Result<(), Error> {
        self.connection
            .receive_within(self.run.timeout)
            .await
            .and_then(|replies| messages::check_acknowledged(replies, count))
            .map_err(failed(self.who, Phase::Publishing))
    }

    /// First connect, subscription and the connect that is left parked, which is returned.
    pub(super) async fn park(&mut self, channel: &str) -> Result<Vec<u8>, Error> {
        let run = Arc::clone(&self.run);
        let first = messages::connect(run.connection_type, &self.client_id, true);
        let reply = self
            .ask(&first, CONNECT)
            .await
            .map_err(failed(self.who, Phase::Connecting))?;
        let subscribe = messages::subscribe(&self.client_id, channel);
        self.ask(&subscribe, SUBSCRIBE)
            .await
            .map_err(failed(self.who, Phase::Subscribing))?;
        let interval = reply.interval.min(run.timeout);
        if !interval.is_zero() {
            tokio::time::sleep(interval).await;
        }
        self.leave_parked()
            .await
            .map_err(failed(self.who, Phase::Parked))
    }

    async fn leave_parked(&mut self) -> Result<Vec<u8>, Fault> {
        let batch = messages::connect(self.run.connection_type, &self.client_id, false);
        let connect = self.connection.encode(&self.run.url, &batch)?;
        self.connection
            .send_within(&connect, self.run.timeout)
            .await?;
        Ok(connect)
    }

    /// Reads what comes and sends the next connect when one has been answered, for ever.
    pub(super) async fn stay(
        &mut self,
        connect: &[u8],
        ledger: &Mutex<Ledger>,
    ) -> Result<Infallible, Fault> {
        let run = Arc::clone(&self.run);
        loop {
            let batch = self.connection.receive().await?;
            let fresh = note_deliveries(&run, batch, ledger)?;
            match run.marker.content(batch) {
                Content::Messages if run.connection_type.pushes() => {
                    run.arrived.add(fresh);
                    continue;
                }
                Content::MessagesAndConnect => {}
                Content::Messages | Content::Other => {
                    let reply = messages::read_reply(batch, CONNECT)?;
                    self.pause(reply.interval, ledger).await?;
                }
            }
            self.connection.send(connect).await?;
            run.reconnects.add(1);
            run.arrived.add(fresh);
        }
    }

    /// Lets the interval pass that the server asks for, in which messages may come.
    async fn pause(&mut self, interval: Duration, ledger: &Mutex<Ledger>) -> Result<(), Fault> {
        if interval.is_zero() {
            return Ok(());
        }
        let end = Instant::now() + interval;
        while let Some(batch) = self.connection.receive_before(end).await? {
            let fresh = note_deliveries(&self.run, batch, ledger)?;
            self.run.arrived.add(fresh);
        }
        Ok(())
    }
}

/// Enters the messages of a batch into the ledger; tells how many are new.
pub(super) fn note_deliveries(
    run: &Run,
    batch: &[u8],
    ledger: &Mutex<Ledger>,
) -> Result<u64, Fault> {
    let mut fresh = 0;
    let mut now = None;
    for number in run.marker.sequences(batch) {
        let now = *now.get_or_insert_with(|| run.elapsed());
        let Some(published) = run.published_at(number) else {
            let text = format!("message {number}, which was never published");
            return Err(Fault::Malformed(text));
        };
        run.latency.record(now.saturating_sub(published));
        fresh += u64::from(lock(ledger).note(number));
    }
    Ok(fresh)
}

/// A ledger stays valid whatever its holder did, as each entry is one step.
pub(super) fn lock(ledger: &Mutex<Ledger>) -> std::sync::MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says who failed, and while doing what.
pub(super) fn failed(who: Who, phase: Phase) -> impl Fn(Fault) -> Error {
    move |source| Error::Client { who, phase, source }
}
