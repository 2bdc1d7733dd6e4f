//! What a stream writes at once, and what becomes of its events if it cannot.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::{Carried, Delivery};
use crate::bayeux::Event;
use crate::memory::{Charge, Kind, sizes};
use crate::metrics::{Limit, Metrics};
use crate::server::STEP;
use crate::session::{BeingWritten, Session, Stream};
use crate::web::{NotWritten, Patience, Slowness, Socket, Why};

/// Bytes of a write, read and to write, above which nothing more is added to it.
pub const MAX_WRITE: usize = 64 * 1024;

/// Bytes that leave in one write.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// All of them, if they are shared with other clients.
    shared: Bytes,
    own: Vec<u8>,
    /// Bytes of the messages it answers, inflated.
    read: usize,
    /// What was done for them, in what a `STEP` counts.
    work: usize,
    /// Each event, and where it ends.
    events: Vec<(usize, Arc<Event>)>,
    /// What hears what becomes of the events, if they came with a reply and not by the stream; and where that ends.
    replied: Option<(usize, Delivery)>,
    /// Whose reply it holds, if that is not known by the stream.
    session: Option<Arc<Session>>,
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

/// A write on its way: mostly it is there already.
pub enum Writing<'w> {
    /// This became of it.
    Done(Written),
    /// The kernel did not take all at once.
    Waits(Pin<Box<dyn Future<Output = Written> + Send + 'w>>),
}

/// What became of a write.
#[derive(Debug, PartialEq, Eq)]
pub enum Written {
    /// It was written.
    All,
    /// It was written, and was the last.
    Last,
    /// The client is gone, or took too long.
    Lost,
}

impl Outgoing {
    /// Tells whether there is nothing to write, and no end.
    pub fn is_empty(&self) -> bool {
        self.size() == 0 && self.end == End::None
    }

    /// Tells whether the connection ends without a word.
    pub fn is_lost(&self) -> bool {
        self.end == End::Lost
    }

    /// Tells whether the connection ends after it.
    pub fn closes(&self) -> bool {
        self.end != End::None
    }

    /// Tells whether there are events in it.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Tells whether more may be read and answered in this write: not after events of replies, which
    /// are all of one session.
    pub fn goes_on(&self) -> bool {
        let is_of_another_node = matches!(self.replied, Some((_, Delivery::Elsewhere(_))));
        self.end == End::None && self.events.is_empty() && !is_of_another_node && !self.is_full()
    }

    /// Tells whether it was so much work that others have theirs first.
    pub fn is_full(&self) -> bool {
        self.size() + self.read >= MAX_WRITE || self.work >= STEP
    }

    /// Notes a message that it answers.
    pub fn note_read(&mut self, bytes: usize) {
        self.read += bytes;
    }

    /// Notes what was done for a message.
    pub fn note_work(&mut self, work: usize) {
        self.work += work;
    }

    fn size(&self) -> usize {
        self.shared.len() + self.own.len()
    }

    /// Returns where to add bytes.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        self.unshare();
        &mut self.own
    }

    /// Adds an event, as bytes that others share.
    pub fn share(&mut self, event: Arc<Event>, bytes: &Bytes) {
        if self.size() == 0 {
            self.shared = bytes.clone();
        } else {
            self.bytes().extend_from_slice(bytes);
        }
        self.events.push((self.size(), event));
    }

    /// Notes that the bytes added last are an event.
    pub fn note(&mut self, event: Arc<Event>) {
        self.events.push((self.size(), event));
    }

    /// Notes that the bytes added last are all these events.
    pub fn note_all(&mut self, events: Vec<Arc<Event>>) {
        let end = self.size();
        self.events
            .extend(events.into_iter().map(|event| (end, event)));
    }

    /// Notes whose reply the bytes added last are, and the events that they hold beside it.
    pub fn carry(&mut self, carried: Option<Carried>) {
        let Some((session, delivery, events)) = carried.map(Carried::into_parts) else {
            return;
        };
        self.session = session.or(self.session.take());
        if let Some(delivery) = delivery {
            self.replied = Some((self.size(), delivery));
            self.note_all(events);
        }
    }

    /// Ends the connection after this write.
    pub fn close(&mut self) {
        self.end = End::Closes;
    }

    /// Ends the connection without a word.
    pub fn lose(&mut self) {
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
    ///
    /// Mostly the kernel takes all at once; the memory for waiting is asked for only if it does not.
    pub fn write<'w>(
        self,
        socket: &'w mut Socket,
        stream: &'w mut Stream,
        patience: Patience,
        metrics: &'w Metrics,
    ) -> Writing<'w> {
        if self.is_lost() {
            self.give_back(0, stream);
            return Writing::Done(Written::Lost);
        }
        let written = match socket.write_some(self.all()) {
            Ok(written) if written < self.size() => {
                let rest = self.write_rest(written, socket, stream, patience, metrics);
                return Writing::Waits(Box::pin(rest));
            }
            Ok(_) => self.written(),
            Err(error) => self.fail(&Why::Failed(error), 0, stream, metrics),
        };
        Writing::Done(written)
    }

    async fn write_rest(
        mut self,
        written: usize,
        socket: &mut Socket,
        stream: &mut Stream,
        patience: Patience,
        metrics: &Metrics,
    ) -> Written {
        let replied = self.replied.as_ref();
        let to_connect = replied.is_some_and(|(_, delivery)| delivery.is_to_connect());
        let written_to = |session| BeingWritten::of(&session, to_connect);
        let sessions = [self.session.take(), stream.session().cloned()];
        let _writing = sessions.map(|session| session.map(written_to));
        // What is shared is counted with the event.
        let places = self.events.capacity() * size_of::<(usize, Arc<Event>)>();
        let bytes = sizes::block(self.own.capacity()) + sizes::block(places);
        let charge = Charge::new(&metrics.memory, Kind::Responses, bytes);
        // Another connection waits for what this one does not write.
        let poll_lost = |context: &mut Context<'_>| {
            if charge.poll_cut(context).is_ready() {
                return Poll::Ready(());
            }
            match &self.replied {
                Some((_, delivery)) => delivery.poll_useless(context),
                None if self.has_events() => stream.poll_lost(context),
                None => Poll::Pending,
            }
        };
        let rest = socket.write_rest(self.all(), written, patience, poll_lost);
        match rest.await {
            Ok(()) => self.written(),
            Err(NotWritten { written, why }) => self.fail(&why, written, stream, metrics),
        }
    }

    fn written(&self) -> Written {
        if self.closes() {
            Written::Last
        } else {
            Written::All
        }
    }

    fn fail(self, why: &Why, written: usize, stream: &Stream, metrics: &Metrics) -> Written {
        tracing::trace!(?why, "a stream's bytes were not taken");
        if let Some(limit) = limit_of(why) {
            metrics.limited(limit);
        }
        self.give_back(written, stream);
        Written::Lost
    }

    fn give_back(self, written: usize, stream: &Stream) {
        let unwritten = self.events.into_iter().filter(|(end, _)| *end > written);
        let unwritten: Vec<_> = unwritten.map(|(_, event)| event).collect();
        match self.replied {
            Some((end, Delivery::Elsewhere(_))) if end <= written => {}
            Some((end, _)) if end <= written && unwritten.is_empty() => {}
            Some((_, delivery)) => delivery.give_back(unwritten),
            None => stream.give_back(unwritten),
        }
    }
}

/// Returns the bound that a client was too slow for, if that is why something was not written.
#[must_use]
pub fn limit_of(why: &Why) -> Option<Limit> {
    match why {
        Why::Slow(Slowness::Stalled) => Some(Limit::WriteTimeout),
        Why::Slow(Slowness::Trickles) => Some(Limit::MinWriteRate),
        // The kernel has given up what it had taken.
        Why::Failed(error) if error.kind() == io::ErrorKind::TimedOut => Some(Limit::WriteTimeout),
        Why::Failed(_) | Why::Useless => None,
    }
}
