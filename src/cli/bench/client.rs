//! One simulated client: a session over one connection, from handshake to parked connects.

use std::convert::Infallible;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::Error;
use super::deliveries::Ledger;
use super::fleet::Run;
use super::http::{Connection, Fault, Response};
use super::messages::{self, CONNECT, HANDSHAKE, Identity, Reply, SUBSCRIBE};

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
    /// Awaiting the reply to its handshake.
    Handshaking,
    /// Awaiting the reply to its first connect.
    Connecting,
    /// Awaiting the reply to its subscription.
    Subscribing,
    /// Holding a connect, or sending the next one.
    Parked,
    /// Publishing.
    Publishing,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dialling => "opening its TCP connection",
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
    identity: Identity,
    connection: Connection,
}

impl Session {
    /// Opens a connection and handshakes.
    pub(super) async fn open(run: &Arc<Run>, who: Who) -> Result<Self, Error> {
        let connection = Connection::open(&run.addresses, run.timeout)
            .await
            .map_err(failed(who, Phase::Dialling))?;
        let mut session = Self {
            who,
            run: Arc::clone(run),
            identity: Identity::default(),
            connection,
        };
        session
            .handshake()
            .await
            .map_err(failed(who, Phase::Handshaking))?;
        Ok(session)
    }

    async fn handshake(&mut self) -> Result<(), Fault> {
        let request = messages::handshake(&self.run.url);
        let response = self.connection.exchange(&request, self.run.timeout).await?;
        let reply = messages::read_reply(&response, HANDSHAKE)?;
        self.identity = Identity {
            client_id: reply.client_id,
            cookies: response.cookies(),
        };
        Ok(())
    }

    async fn ask(&mut self, request: &[u8], channel: &str) -> Result<Reply, Fault> {
        let response = self.connection.exchange(request, self.run.timeout).await?;
        messages::read_reply(&response, channel)
    }

    /// Publishes the messages of these numbers in one request, without awaiting the reply.
    pub(super) async fn publish(&mut self, numbers: Range<usize>) -> Result<(), Error> {
        let run = Arc::clone(&self.run);
        let request = run
            .marker
            .publish(&run.url, &self.identity, &run.channel, numbers.clone());
        run.note_published(numbers);
        self.connection
            .send_within(&request, run.timeout)
            .await
            .map_err(failed(self.who, Phase::Publishing))
    }

    /// Awaits the reply to the oldest publish request that has none yet, of `count` messages.
    pub(super) async fn acknowledged(&mut self, count: usize) -> Result<(), Error> {
        self.connection
            .receive_within(self.run.timeout)
            .await
            .and_then(|response| messages::check_acknowledged(&response, count))
            .map_err(failed(self.who, Phase::Publishing))
    }

    /// First connect, subscription and the connect that is left parked, which is returned.
    async fn park(&mut self, channel: &str) -> Result<Vec<u8>, Error> {
        let run = Arc::clone(&self.run);
        let first = messages::connect(&run.url, &self.identity, true);
        let reply = self
            .ask(&first, CONNECT)
            .await
            .map_err(failed(self.who, Phase::Connecting))?;
        let subscribe = messages::subscribe(&run.url, &self.identity, channel);
        self.ask(&subscribe, SUBSCRIBE)
            .await
            .map_err(failed(self.who, Phase::Subscribing))?;
        pause(reply.interval.min(run.timeout)).await;
        let connect = messages::connect(&run.url, &self.identity, false);
        self.connection
            .send_within(&connect, run.timeout)
            .await
            .map_err(failed(self.who, Phase::Parked))?;
        Ok(connect)
    }

    /// Reads the replies to parked connects and sends the next ones, for ever.
    async fn stay(&mut self, connect: &[u8], ledger: &Mutex<Ledger>) -> Result<Infallible, Fault> {
        loop {
            let response = self.connection.receive().await?;
            let fresh = note_deliveries(&self.run, &response, ledger)?;
            if !self.run.marker.is_delivery(&response) {
                let reply = messages::read_reply(&response, CONNECT)?;
                pause(reply.interval).await;
            }
            self.connection.send(connect).await?;
            self.run.reconnects.add(1);
            self.run.arrived.add(fresh);
        }
    }
}

/// Lives as a subscriber of one channel until something fails; `permit` is held while setting up.
pub(super) async fn live(
    run: Arc<Run>,
    number: usize,
    channel: String,
    ledger: Arc<Mutex<Ledger>>,
    permit: OwnedSemaphorePermit,
) -> Error {
    let who = Who::Client(number);
    let lived = async {
        let mut session = Session::open(&run, who).await?;
        let connect = session.park(&channel).await?;
        drop((permit, channel));
        run.parked.add(1);
        let parked = session.stay(&connect, &ledger).await;
        parked.map_err(failed(who, Phase::Parked))
    };
    match lived.await {
        Err(error) => error,
    }
}

/// Enters the messages of a response into the ledger; tells how many are new.
fn note_deliveries(
    run: &Run,
    response: &Response<'_>,
    ledger: &Mutex<Ledger>,
) -> Result<u64, Fault> {
    let mut fresh = 0;
    let mut now = None;
    for number in run.marker.sequences(response.body) {
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

async fn pause(interval: Duration) {
    if !interval.is_zero() {
        tokio::time::sleep(interval).await;
    }
}

fn failed(who: Who, phase: Phase) -> impl Fn(Fault) -> Error {
    move |source| Error::Client { who, phase, source }
}
