//! What a simulated subscriber receives by: a session, or an event stream.

use std::future::poll_fn;
use std::sync::Arc;

use super::Error;
use super::client::{Note, Phase, Session, Who, failed};
use super::run::Run;
use super::transport::Transport;
use crate::client::transport::{Dialled, EventStream, Position};
use crate::client::{Fault, Identity, Server};

/// What a subscriber receives by.
#[derive(Debug)]
pub(super) enum Subscriber {
    /// A Bayeux session, and the connect that is sent again and again.
    Session(Session, Vec<u8>),
    /// An event stream, which opens and subscribes in one.
    Stream(EventStream),
}

impl Subscriber {
    /// Subscribes to a channel, and gets as far as waiting for its messages.
    pub(super) async fn set_up(run: &Arc<Run>, who: Who, channel: &str) -> Result<Self, Error> {
        match run.transport {
            Transport::LongPolling | Transport::WebSocket | Transport::XhrStreaming => {
                let mut session = Session::open(run, who).await?;
                let connect = session.park(channel).await?;
                Ok(Self::Session(session, connect))
            }
            Transport::EventSource => open_stream(run, who, channel).await.map(Self::Stream),
        }
    }

    /// Closes the connection without a word.
    pub(super) fn cut(self) -> Absent {
        match self {
            Self::Session(session, _) => Absent::Session(session.identity()),
            Self::Stream(stream) => Absent::Stream(stream.into_position()),
        }
    }

    /// The session, if this is one.
    pub(super) fn session(&mut self) -> Option<&mut Session> {
        match self {
            Self::Session(session, _) => Some(session),
            Self::Stream(_) => None,
        }
    }

    /// Waits for what comes next; nothing is lost if this is dropped before.
    pub(super) async fn wait(&mut self) -> Result<(), Fault> {
        poll_fn(|cx| match self {
            Self::Session(session, _) => session.poll_wait(cx),
            Self::Stream(stream) => stream.poll_next(cx),
        })
        .await
    }

    /// Hands on what was waited for, and sends the next connect if that one is answered.
    pub(super) async fn take(&mut self, note: &mut impl Note) -> Result<(), Fault> {
        match self {
            Self::Session(session, connect) => session.take(connect, note).await,
            Self::Stream(stream) => note(stream.arrival()).map(drop),
        }
    }
}

async fn open_stream(run: &Run, who: Who, channel: &str) -> Result<EventStream, Error> {
    let server = run.server(who, 0);
    let (authority, path) = (&server.url.authority, &run.events_path);
    dial(server, who)
        .await?
        .listen(authority, path, channel, run.timeout)
        .await
        .map_err(failed(who, Phase::Opening))
}

async fn dial(server: &Server, who: Who) -> Result<Dialled, Error> {
    let dialled = server.dial().await;
    dialled.map_err(failed(who, Phase::Dialling))
}

/// What is left of a subscriber whose connection was cut.
#[derive(Debug)]
pub(super) enum Absent {
    /// Who the client is to the server.
    Session(Identity),
    /// The last event that was read.
    Stream(Position),
}

impl Absent {
    /// Connects again, and gets as far as waiting for messages; those that were kept are handed on,
    /// now or as they come; `turn` tells how often this client has done so with this.
    pub(super) async fn come_back(
        self,
        run: &Arc<Run>,
        who: Who,
        turn: usize,
        channel: &str,
        note: &mut impl Note,
    ) -> Result<Subscriber, Error> {
        let server = run.server(who, turn);
        match self {
            Self::Session(identity) => {
                let mut session = Session::over(run, who, server, identity).await?;
                let returned = session.come_back(note).await;
                let connect = returned.map_err(failed(who, Phase::Returning))?;
                Ok(Subscriber::Session(session, connect))
            }
            Self::Stream(position) => {
                let (authority, path) = (&server.url.authority, &run.events_path);
                let stream = dial(server, who)
                    .await?
                    .listen_again(authority, path, channel, position, run.timeout)
                    .await
                    .map_err(failed(who, Phase::Returning))?;
                Ok(Subscriber::Stream(stream))
            }
        }
    }
}
