//! How many streams there may be: each counts like a connection, but for one of each connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::OwnedSemaphorePermit;

use super::super::Shared;
use super::super::per_address::Counted;
use super::super::refusal::Full;
use super::Streams;
use crate::memory::Kind;
use crate::peer::Peer;

/// What a stream takes while it waits: its task, what `h2` keeps of it, and what it waits for, such as a held connect.
const STREAM: usize = 3 * 1024;

/// The streams of a connection that are open.
#[derive(Debug)]
pub(super) struct Room {
    open: AtomicUsize,
    /// They count among the connections of an address.
    counts: bool,
}

/// A stream, for as long as it is open.
pub(super) struct Place {
    pub(super) streams: Arc<Streams>,
    /// What its connection shared when its request came.
    pub(super) shared: Arc<Shared>,
    _beside: Option<Box<Beside>>,
}

/// What a stream takes beside its connection: room for one more, and if those of its address are counted, a place there.
type Beside = (OwnedSemaphorePermit, Option<Counted>);

impl Room {
    pub(super) fn new(counts: bool) -> Self {
        Self {
            open: AtomicUsize::new(0),
            counts,
        }
    }

    /// Asks for what a stream needs beside its connection.
    fn ask(&self, peer: Peer, shared: &Shared) -> Result<Option<Box<Beside>>, Full> {
        if self.open.load(Relaxed) == 0 {
            return Ok(None);
        }
        let permit = Arc::clone(&shared.room).try_acquire_owned();
        let permit = permit.map_err(|_| Full::Connections(shared.max_connections))?;
        let Some(address) = peer.ip().filter(|_| self.counts) else {
            return Ok(Some(Box::new((permit, None))));
        };
        let full = Full::Address(shared.per_address.max());
        let counted = shared.per_address.count(address).ok_or(full)?;
        Ok(Some(Box::new((permit, Some(counted)))))
    }
}

impl Place {
    /// Takes one for another stream; it is there also for one that is only to hear that there is no room, which
    /// is then said.
    pub(super) fn take(streams: &Arc<Streams>, shared: Arc<Shared>) -> (Self, Option<Full>) {
        let (beside, full) = match streams.room.ask(streams.peer, &shared) {
            Ok(beside) => (beside, None),
            Err(full) => (None, Some(full)),
        };
        streams.room.open.fetch_add(1, Relaxed);
        shared.metrics.http2_streams.increment();
        shared.metrics.memory.add(Kind::Connections, STREAM);
        let place = Self {
            streams: Arc::clone(streams),
            shared,
            _beside: beside,
        };
        (place, full)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let metrics = &self.shared.metrics;
        metrics.http2_streams.decrement();
        metrics.memory.sub(Kind::Connections, STREAM);
        self.streams.room.open.fetch_sub(1, Relaxed);
    }
}
