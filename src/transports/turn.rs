//! What one turn of a stream writes, and what becomes of its events if it cannot.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::Bytes;

use crate::bayeux::Event;
use crate::metrics::{Limit, Metrics};
use crate::session::{Session, Stream};
use crate::web::Socket;

/// Bytes of a turn above which nothing more is added to it.
pub(super) const MAX_TURN: usize = 64 * 1024;

/// Bytes that leave in one write.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// All of them, if they are shared with other clients.
    shared: Bytes,
    own: Vec<u8>,
    /// Each event, and where it ends.
    events: Vec<(usize, Arc<Event>)>,
    /// The session whose events they are, if they came with a reply and not by the stream.
    replied: Option<Arc<Session>>,
    end: End,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum End {
    #[default]
    None,
    /// The connection ends after it.
    Closes,
    /// The client is gone.
    Lost,
}

/// What became of a turn.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It was written.
    All,
    /// It was written, and was the last.
    Last,
    /// The client is gone, or took too long.
    Lost,
}

impl Turn {
    pub(super) fn is_empty(&self) -> bool {
        self.size() == 0 && self.end == End::None
    }

    pub(super) fn is_lost(&self) -> bool {
        self.end == End::Lost
    }

    pub(super) fn closes(&self) -> bool {
        self.end != End::None
    }

    pub(super) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Tells whether more may be read and answered in this turn: not after events of replies, which
    /// are all of one session.
    pub(super) fn goes_on(&self) -> bool {
        self.end == End::None && self.events.is_empty() && self.size() < MAX_TURN
    }

    fn size(&self) -> usize {
        self.shared.len() + self.own.len()
    }

    /// Returns where to add bytes.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        self.unshare();
        &mut self.own
    }

    /// Adds an event, as bytes that others share.
    pub(super) fn share(&mut self, event: Arc<Event>, bytes: &Bytes) {
        if self.size() == 0 {
            self.shared = bytes.clone();
        } else {
            self.bytes().extend_from_slice(bytes);
        }
        self.events.push((self.size(), event));
    }

    /// Notes that the bytes added last are an event.
    pub(super) fn note(&mut self, event: Arc<Event>) {
        self.events.push((self.size(), event));
    }

    /// Notes that the events of this turn come with a reply.
    pub(super) fn come_with_reply(&mut self, session: Arc<Session>) {
        self.replied = Some(session);
    }

    /// Ends the connection after this turn.
    pub(super) fn close(&mut self) {
        self.end = End::Closes;
    }

    /// Ends the connection without a word.
    pub(super) fn lose(&mut self) {
        self.end = End::Lost;
    }

    fn unshare(&mut self) {
        if !self.shared.is_empty() {
            self.own.extend_from_slice(&self.shared);
            self.shared = Bytes::new();
        }
    }

    fn all(&self) -> &[u8] {
        if self.shared.is_empty() {
            &self.own
        } else {
            &self.shared
        }
    }

    /// Writes it all, or gives back the events that were not written whole.
    pub(super) async fn write(
        self,
        socket: &mut Socket,
        stream: &mut Stream,
        timeout: Duration,
        metrics: &Metrics,
    ) -> Written {
        if self.is_lost() {
            return Written::Lost;
        }
        let mut written = 0;
        let result = match socket.write_some(self.all()) {
            Ok(some) if some == self.size() => Ok(()),
            Ok(some) => {
                written = some;
                let rest = Box::pin(self.write_rest(&mut written, socket, stream));
                let rest = tokio::time::timeout(timeout, rest).await;
                rest.unwrap_or_else(|elapsed| Err(elapsed.into()))
            }
            Err(error) => Err(error),
        };
        let Err(error) = result else {
            return if self.closes() {
                Written::Last
            } else {
                Written::All
            };
        };
        tracing::trace!(%error, "a stream's bytes were not taken");
        if error.kind() == io::ErrorKind::TimedOut {
            metrics.limited(Limit::WriteTimeout);
        }
        self.give_back(written, stream);
        Written::Lost
    }

    /// Writes until all is written, or another connection waits for the events.
    async fn write_rest(
        &self,
        written: &mut usize,
        socket: &mut Socket,
        stream: &mut Stream,
    ) -> io::Result<()> {
        let is_streaming = self.has_events() && self.replied.is_none();
        poll_fn(|context| {
            while let Some(rest) = self.all().get(*written..).filter(|rest| !rest.is_empty()) {
                if is_streaming && stream.poll_lost(context).is_ready() {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
                }
                match ready!(socket.poll_write(rest, context)) {
                    Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Ok(more) => *written += more,
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    fn give_back(self, written: usize, stream: &Stream) {
        let unwritten = self.events.into_iter().filter(|(end, _)| *end > written);
        let unwritten: Vec<_> = unwritten.map(|(_, event)| event).collect();
        match self.replied {
            Some(session) => session.restore(unwritten),
            None => stream.give_back(unwritten),
        }
    }
}
