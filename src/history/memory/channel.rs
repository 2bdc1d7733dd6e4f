//! One channel: its messages in their order, and where those were that went.

use std::collections::VecDeque;
use std::time::SystemTime;

use bytes::Bytes;

use crate::bayeux::ChannelName;
use crate::history::{Body, Entry, Kept, Place, Retention};
use crate::memory::sizes;

/// What a message takes beside its bytes: its place here, with room for half as many again, what counts who
/// shares its bytes, and its place in the order of all.
const MESSAGE: usize = size_of::<Message>() * 3 / 2 + 32 + 28;
/// What a channel takes: its place, and those in what finds it and in what forgets it.
const CHANNEL: usize = size_of::<Channel>() * 3 / 2 + 2 * 48;
/// As many places as are never given back.
const LEAST_ROOM: usize = 16;

/// A message, with a copy of its bytes: what came was a part of a request, and would keep all of that.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) id: u64,
    at: SystemTime,
    /// `data`, then `ext`, then the rest.
    bytes: Bytes,
    data: usize,
    ext: usize,
}

impl Message {
    pub(super) fn new(id: u64, at: SystemTime, body: &Body) -> Self {
        let part = |part: &Option<Bytes>| part.clone().unwrap_or_default();
        let (ext, custom) = (part(&body.ext), part(&body.custom));
        let bytes = [&body.data[..], &ext[..], &custom[..]].concat();
        Self {
            id,
            at,
            bytes: bytes.into(),
            data: body.data.len(),
            ext: ext.len(),
        }
    }

    fn body(&self) -> Body {
        let part = |start: usize, end: usize| (start < end).then(|| self.bytes.slice(start..end));
        let ext_end = self.data + self.ext;
        Body {
            data: self.bytes.slice(..self.data),
            ext: part(self.data, ext_end),
            custom: part(ext_end, self.bytes.len()),
        }
    }

    /// Returns how many bytes its body has.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns how much memory it takes.
    pub(super) fn size(&self) -> usize {
        MESSAGE + sizes::block(self.bytes.len())
    }
}

/// A channel that is known.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) name: ChannelName,
    retention: Retention,
    messages: VecDeque<Message>,
    /// Bytes of bodies.
    bytes: u64,
    /// The number of the newest message that went; all before it went too. 0: none is known of.
    lost: u64,
    /// Where it stands among those that can be forgotten.
    pub(super) turn: Turn,
}

/// When a channel is forgotten: first those without messages, and of equal ones the least recently used.
pub(super) type Turn = (bool, u64);

impl Channel {
    pub(super) fn new(name: ChannelName, retention: Retention) -> Self {
        Self {
            name,
            retention,
            messages: VecDeque::new(),
            bytes: 0,
            lost: 0,
            turn: (false, 0),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(super) fn get(&self, index: usize) -> Option<&Message> {
        self.messages.get(index)
    }

    pub(super) fn first(&self) -> Option<u64> {
        self.messages.front().map(|message| message.id)
    }

    pub(super) fn newest(&self) -> Option<u64> {
        self.messages.back().map(|message| message.id)
    }

    /// Returns the number of its last message, kept or not.
    pub(super) fn last(&self) -> u64 {
        self.newest().unwrap_or(self.lost)
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Returns when it should be forgotten, as of now.
    pub(super) fn due(&self) -> Turn {
        (!self.is_empty(), self.last())
    }

    /// Returns how much memory it takes itself.
    pub(super) fn size(&self) -> usize {
        CHANNEL + sizes::shared(self.name.as_str().len())
    }

    /// Returns where its messages after a number begin.
    pub(super) fn index_after(&self, id: u64) -> usize {
        self.messages.partition_point(|message| message.id <= id)
    }

    /// Returns a message as it is read.
    pub(super) fn kept(&self, index: usize) -> Option<Kept> {
        let message = self.messages.get(index)?;
        let earlier = index.checked_sub(1).and_then(|index| self.get(index));
        Some(Kept {
            place: Place {
                id: message.id,
                before: earlier.map_or(self.lost, |message| message.id),
            },
            entry: Entry {
                channel: self.name.clone(),
                at: message.at,
                body: message.body(),
            },
        })
    }

    /// Adds a message; returns the number of the one before.
    pub(super) fn push(&mut self, message: Message) -> u64 {
        let before = self.last();
        self.bytes += message.len() as u64;
        self.messages.push_back(message);
        before
    }

    /// Lets go of its oldest message.
    pub(super) fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.len() as u64;
        self.lost = message.id;
        if self.messages.len().max(LEAST_ROOM) < self.messages.capacity() / 4 {
            self.messages.shrink_to(2 * self.messages.len());
        }
        Some(message)
    }

    /// Tells whether more is there than is to be kept.
    pub(super) fn has_too_much(&self, now: SystemTime) -> bool {
        let Some(oldest) = self.messages.front() else {
            return false;
        };
        let retention = &self.retention;
        let is_above = |value: u64, bound: Option<u64>| bound.is_some_and(|bound| value > bound);
        let age = now.duration_since(oldest.at).unwrap_or_default();
        !retention.is_on()
            || is_above(self.messages.len() as u64, retention.messages)
            || is_above(self.bytes, retention.bytes.map(|bytes| bytes.as_u64()))
            || retention.age.is_some_and(|bound| age > bound)
    }
}
