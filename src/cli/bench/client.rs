//! One simulated client: a session over one connection, from handshake to parked connects.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Error;
use super::fault::Fault;

use super::messages::{self, CONNECT, Content, HANDSHAKE, Reply, SUBSCRIBE};
use super::run::Run;
use super::transport::{Arrival, Connection, Dialled};

/// How long a session that only publishes is silent; servers end those that are for much longer.
pub(super) const KEEP: Duration = Duration::from_secs(3);

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
    /// Connecting again after it was cut off.
    Returning,
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
            Self::Returning => "coming back",
        })
    }
}

/// What is done with each batch that comes; tells how many messages of the run are in it.
pub(super) trait Note: FnMut(Arrival<'_>) -> Result<usize, Fault> {}

impl<F: FnMut(Arrival<'_>) -> Result<usize, Fault>> Note for F {}

/// What a client is known by; nothing before its handshake.
#[derive(Debug, Clone, Default)]
pub(super) struct Identity {
    client_id: String,
    /// The value of the `Cookie` header.
    cookies: String,
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
        let mut session = Self::over(run, who, Identity::default()).await?;
        session
            .handshake()
            .await
            .map_err(failed(who, Phase::Handshaking))?;
        Ok(session)
    }

    /// Opens a connection for a client that may have a session already.
    pub(super) async fn over(run: &Arc<Run>, who: Who, identity: Identity) -> Result<Self, Error> {
        let dialled = Dialled::to(&run.addresses, run.timeout)
            .await
            .map_err(failed(who, Phase::Dialling))?;
        let mut connection = dialled
            .speak(run.connection_type, &run.url, run.timeout)
            .await
            .map_err(failed(who, Phase::Upgrading))?;
        connection.set_cookies(identity.cookies);
        Ok(Self {
            who,
            run: Arc::clone(run),
            client_id: identity.client_id,
            connection,
        })
    }

    /// What another connection needs to speak for the same session.
    pub(super) fn identity(&self) -> Identity {
        Identity {
            client_id: self.client_id.clone(),
            cookies: self.connection.cookies().to_owned(),
        }
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

    /// Publishes messages in one batch, each given by its number and its channel, without awaiting
    /// the reply; `about_to` is called just before they leave.
    pub(super) async fn publish<'a>(
        &mut self,
        messages: impl ExactSizeIterator<Item = (usize, &'a str)>,
        about_to: impl FnOnce(),
    ) -> Result<(), Error> {
        let batch = self.run.marker.publish(&self.client_id, messages);
        let published = async {
            let encoded = self.connection.encode(&self.run.url, &batch)?;
            about_to();
            let limit = self.run.timeout;
            self.connection.send_within(&encoded, limit).await
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

    /// Awaits something, and keeps the session meanwhile; no reply may be due.
    pub(super) async fn keep_during<T>(
        &mut self,
        future: impl Future<Output = T>,
    ) -> Result<T, Error> {
        let mut future = pin!(future);
        loop {
            match timeout(KEEP, &mut future).await {
                Ok(value) => return Ok(value),
                Err(_) => self.keep().await?,
            }
        }
    }

    /// Keeps a session that only publishes, by a connect that is answered at once; no reply may be due.
    pub(super) async fn keep(&mut self) -> Result<(), Error> {
        let batch = messages::connect(self.run.connection_type, &self.client_id, true);
        let kept = self.ask(&batch, CONNECT).await.map(drop);
        kept.map_err(failed(self.who, Phase::Publishing))
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

    /// Connects again, as a client does that has lost its connection: the first connect is answered at
    /// once, with the messages that were kept; returns the connect that is left parked.
    pub(super) async fn come_back(&mut self, note: &mut impl Note) -> Result<Vec<u8>, Fault> {
        let run = Arc::clone(&self.run);
        let batch = messages::connect(run.connection_type, &self.client_id, true);
        let connect = self.connection.encode(&run.url, &batch)?;
        self.connection.send_within(&connect, run.timeout).await?;
        let interval = loop {
            self.connection.receive_within(run.timeout).await?;
            let arrival = self.connection.arrival();
            let count = note(arrival)?;
            match run.marker.content(arrival.batch, count > 0) {
                Content::Messages if run.connection_type.pushes() => {}
                _ => break messages::read_reply(arrival.batch, CONNECT)?.interval,
            }
        };
        self.pause(interval, note).await?;
        self.leave_parked().await
    }

    /// Waits for the next batch; nothing is lost if it is not asked again.
    pub(super) fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.connection.poll_next(cx)
    }

    /// Hands on the batch that was waited for, and sends the next connect if that one is answered.
    pub(super) async fn take(&mut self, connect: &[u8], note: &mut impl Note) -> Result<(), Fault> {
        let arrival = self.connection.arrival();
        let count = note(arrival)?;
        let pushes = self.run.connection_type.pushes();
        match self.run.marker.content(arrival.batch, count > 0) {
            Content::Messages | Content::Acknowledgements if pushes => return Ok(()),
            Content::MessagesAndConnect => {}
            Content::Messages | Content::Acknowledgements | Content::Other => {
                let reply = messages::read_reply(arrival.batch, CONNECT)?;
                self.pause(reply.interval, note).await?;
            }
        }
        self.connection.send(connect).await?;
        self.run.reconnects.add(1);
        Ok(())
    }

    /// Lets the interval pass that the server asks for, in which messages may come.
    async fn pause(&mut self, interval: Duration, note: &mut impl Note) -> Result<(), Fault> {
        if interval.is_zero() {
            return Ok(());
        }
        let end = Instant::now() + interval;
        while let Some(arrival) = self.connection.receive_before(end).await? {
            note(arrival)?;
        }
        Ok(())
    }
}

/// Says who failed, and while doing what.
pub(super) fn failed(who: Who, phase: Phase) -> impl Fn(Fault) -> Error {
    move |source| Error::Client { who, phase, source }
}
