//! One simulated client: a session, and what a run wants of it.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Error;
use super::marker::Content;
use super::run::Run;
pub use super::who::Who;
use crate::client::fault::excerpt;
use crate::client::incoming::{count_acknowledged, read_reply};
use crate::client::messages::CONNECT;
use crate::client::transport::Arrival;
use crate::client::{self, Fault, Identity, KEEP, Server};

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

/// A session with the server, of one of a run's clients.
#[derive(Debug)]
pub(super) struct Session {
    who: Who,
    run: Arc<Run>,
    server: Arc<Server>,
    inner: client::Session,
}

impl Session {
    /// Opens a connection and handshakes.
    pub(super) async fn open(run: &Arc<Run>, who: Who) -> Result<Self, Error> {
        let server = run.server(who, 0);
        let mut session = Self::over(run, who, server, Identity::default()).await?;
        let handshaken = session.inner.handshake(server).await;
        handshaken.map_err(failed(who, Phase::Handshaking))?;
        Ok(session)
    }

    /// Opens a connection for a client that may have a session already.
    pub(super) async fn over(
        run: &Arc<Run>,
        who: Who,
        server: &Arc<Server>,
        identity: Identity,
    ) -> Result<Self, Error> {
        let dialled = server.dial().await;
        let dialled = dialled.map_err(failed(who, Phase::Dialling))?;
        let inner = client::Session::over(dialled, server, identity).await;
        Ok(Self {
            who,
            run: Arc::clone(run),
            server: Arc::clone(server),
            inner: inner.map_err(failed(who, Phase::Upgrading))?,
        })
    }

    /// What another connection needs to speak for the same session.
    pub(super) fn identity(&self) -> Identity {
        self.inner.identity()
    }

    /// Publishes messages in one batch, each given by its number and its channel, without awaiting
    /// the reply; `about_to` is called just before they leave.
    pub(super) async fn publish<'a>(
        &mut self,
        messages: impl ExactSizeIterator<Item = (usize, &'a str)>,
        about_to: impl FnOnce(),
    ) -> Result<(), Error> {
        let server = &self.server;
        let batch = self.run.marker.publish(self.inner.client_id(), messages);
        let connection = self.inner.connection();
        let published = async {
            let encoded = connection.encode(&server.url, &batch)?;
            about_to();
            connection.send_within(&encoded, server.timeout).await
        };
        published.await.map_err(failed(self.who, Phase::Publishing))
    }

    /// Awaits the reply to one of these requests, each of so many messages, and takes it off them. Requests that
    /// are on their way side by side are answered in any order.
    pub(super) async fn acknowledged(&mut self, unanswered: &mut Vec<usize>) -> Result<(), Error> {
        let timeout = self.server.timeout;
        let replies = self.inner.connection().receive_within(timeout).await;
        let answered = replies.and_then(|replies| {
            let count = count_acknowledged(replies)?;
            let one = unanswered.iter().position(|&messages| messages == count);
            one.ok_or_else(|| Fault::Refused(excerpt(replies)))
        });
        unanswered.remove(answered.map_err(failed(self.who, Phase::Publishing))?);
        Ok(())
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
        let kept = self.inner.connect(&self.server).await.map(drop);
        kept.map_err(failed(self.who, Phase::Publishing))
    }

    /// First connect, subscription and the connect that is left parked, which is returned.
    pub(super) async fn park(&mut self, channel: &str) -> Result<Vec<u8>, Error> {
        let (who, server) = (self.who, &*self.server);
        let reply = self.inner.connect(server).await;
        let reply = reply.map_err(failed(who, Phase::Connecting))?;
        let subscribed = self.inner.subscribe(server, channel).await;
        subscribed.map_err(failed(who, Phase::Subscribing))?;
        let interval = reply.interval.min(server.timeout);
        if !interval.is_zero() {
            tokio::time::sleep(interval).await;
        }
        let parked = self.inner.leave_held(server).await;
        parked.map_err(failed(who, Phase::Parked))
    }

    /// Connects again, as a client does that has lost its connection: the first connect is answered at
    /// once, with the messages that were kept; returns the connect that is left parked.
    pub(super) async fn come_back(&mut self, note: &mut impl Note) -> Result<Vec<u8>, Fault> {
        let server = &*Arc::clone(&self.server);
        self.inner.send_connect(server).await?;
        let interval = loop {
            let connection = self.inner.connection();
            connection.receive_within(server.timeout).await?;
            let arrival = connection.arrival();
            let count = note(arrival)?;
            match self.run.marker.content(arrival.batch, count > 0) {
                Content::Messages if server.connection_type.pushes() => {}
                _ => break read_reply(arrival.batch, CONNECT)?.interval,
            }
        };
        self.pause(interval, note).await?;
        self.inner.leave_held(server).await
    }

    /// Waits for the next batch; nothing is lost if it is not asked again.
    pub(super) fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.connection().poll_next(cx)
    }

    /// Hands on the batch that was waited for, and sends the next connect if that one is answered.
    pub(super) async fn take(&mut self, connect: &[u8], note: &mut impl Note) -> Result<(), Fault> {
        let arrival = self.inner.arrived().arrival();
        let count = note(arrival)?;
        let pushes = self.server.connection_type.pushes();
        match self.run.marker.content(arrival.batch, count > 0) {
            Content::Messages | Content::Acknowledgements if pushes => return Ok(()),
            Content::MessagesAndConnect => {}
            Content::Messages | Content::Acknowledgements | Content::Other => {
                let reply = read_reply(arrival.batch, CONNECT)?;
                self.pause(reply.interval, note).await?;
            }
        }
        self.inner.connection().send(connect).await?;
        self.run.reconnects.add(1);
        Ok(())
    }

    /// Lets the interval pass that the server asks for, in which messages may come.
    async fn pause(&mut self, interval: Duration, note: &mut impl Note) -> Result<(), Fault> {
        if interval.is_zero() {
            return Ok(());
        }
        let end = Instant::now() + interval;
        while let Some(arrival) = self.inner.connection().receive_before(end).await? {
            note(arrival)?;
        }
        Ok(())
    }
}

/// Says who failed, and while doing what.
pub(super) fn failed(who: Who, phase: Phase) -> impl Fn(Fault) -> Error {
    move |source| Error::Client { who, phase, source }
}
