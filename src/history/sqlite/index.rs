//! What is known of each channel, in memory: where its messages begin and end, and which came lately.
//!
//! One changes it, the writer; those who read hold it for as long as it takes to copy what they need.

use std::collections::{BTreeMap, VecDeque};

use crate::bayeux::{ChannelName, ChannelPattern};
use crate::history::names::below;
use crate::history::{Figures, Retention};

/// What stands for a channel in the tables.
pub(super) type Number = u32;

/// A message without what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) id: u64,
    /// Bytes of its body.
    pub(super) size: u64,
}

/// What leaves a channel: all up to a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) lost: u64,
    /// How many messages that are.
    pub(super) messages: u64,
    /// How many bytes.
    pub(super) bytes: u64,
    /// The oldest message that stays; 0: none.
    pub(super) first: u64,
}

/// A channel that is known.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) name: ChannelName,
    pub(super) retention: Retention,
    /// The oldest message; 0: there is none.
    pub(super) first: u64,
    /// The newest message there ever was.
    pub(super) last: u64,
    /// All up to this number are gone, for whoever reads.
    pub(super) lost: u64,
    /// As the table of channels says.
    pub(super) written_lost: u64,
    /// All up to this number are gone from the tables too.
    pub(super) cleared: u64,
    /// All up to this number have their place in the tables.
    pub(super) filed: u64,
    pub(super) messages: u64,
    pub(super) bytes: u64,
    /// Those without a place in the tables, in order.
    pub(super) recent: VecDeque<Item>,
    /// It has a row in the table of channels.
    pub(super) is_written: bool,
}

impl Channel {
    /// Makes one without messages; what the tables may still have under its number is older than that.
    pub(super) fn new(name: ChannelName, retention: Retention, forgotten: u64) -> Self {
        Self {
            name,
            retention,
            first: 0,
            last: 0,
            lost: forgotten,
            written_lost: forgotten,
            cleared: forgotten,
            filed: forgotten,
            messages: 0,
            bytes: 0,
            recent: VecDeque::new(),
            is_written: false,
        }
    }

    /// Returns its newest message, if that is kept.
    pub(super) fn newest(&self) -> Option<u64> {
        (self.messages > 0).then_some(self.last)
    }

    /// Tells whether any of its messages has a place in the tables.
    pub(super) fn has_places(&self) -> bool {
        self.messages > self.recent.len() as u64
    }

    /// Returns how many of its messages have a place in the tables, and their bytes.
    pub(super) fn in_places(&self) -> (u64, u64) {
        let recent: u64 = self.recent.iter().map(|item| item.size).sum();
        let messages = self.messages.saturating_sub(self.recent.len() as u64);
        (messages, self.bytes.saturating_sub(recent))
    }

    /// Tells whether the tables know less of it than it does.
    pub(super) fn is_behind(&self) -> bool {
        !self.recent.is_empty() || self.written_lost < self.lost || self.filed < self.last
    }

    /// Returns how many messages, and bytes, are above what is to be kept, with some that are to come.
    pub(super) fn excess(&self, new: &[Item]) -> (u64, u64) {
        let messages = self.messages + new.len() as u64;
        if !self.retention.is_on() {
            return (messages, 0);
        }
        let bytes = self.bytes + new.iter().map(|item| item.size).sum::<u64>();
        let max_bytes = self.retention.bytes.map(|bytes| bytes.as_u64());
        let above = |value: u64, max: Option<u64>| max.map_or(0, |max| value.saturating_sub(max));
        (
            above(messages, self.retention.messages),
            above(bytes, max_bytes),
        )
    }
}

/// Returns the first number that no channel has had.
fn next(channels: &[Option<Channel>]) -> Number {
    Number::try_from(channels.len()).expect("fewer channels than there are numbers")
}

/// All channels.
#[derive(Debug, Default)]
pub(super) struct Index {
    channels: Vec<Option<Channel>>,
    free: Vec<Number>,
    names: BTreeMap<ChannelPattern, Number>,
    /// The largest number given out.
    pub(super) head: u64,
    /// What is forgotten of channels had numbers up to this, as had what was before this store.
    pub(super) forgotten: u64,
    /// The largest number of a message that is gone.
    pub(super) lost: u64,
    /// Messages that are kept.
    messages: u64,
    /// Messages in [`Channel::recent`].
    pub(super) recent: usize,
    /// Messages that are gone without having had a place: they are still to be deleted.
    pub(super) garbage: Vec<u64>,
}

impl Index {
    /// Makes one that goes on after a number, with nothing before.
    pub(super) fn new(head: u64) -> Self {
        Self {
            head,
            forgotten: head,
            lost: head,
            ..Self::default()
        }
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Returns how many numbers there are, used or not.
    pub(super) fn slots(&self) -> usize {
        self.channels.len()
    }

    pub(super) fn figures(&self) -> Figures {
        Figures {
            messages: self.messages,
            bytes: 0,
            channels: self.names.len() as u64,
        }
    }

    pub(super) fn get(&self, number: Number) -> Option<&Channel> {
        self.channels.get(number as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: Number) -> Option<&mut Channel> {
        self.channels.get_mut(number as usize)?.as_mut()
    }

    pub(super) fn number(&self, name: &str) -> Option<Number> {
        self.names.get(name).copied()
    }

    /// Returns all channels.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Number, &Channel)> {
        let numbered = (0..).zip(&self.channels);
        numbered.filter_map(|(number, channel)| Some((number, channel.as_ref()?)))
    }

    /// Takes a channel up under a number that is larger than any other's.
    pub(super) fn insert(&mut self, number: Number, channel: Channel) {
        let slot = number as usize;
        while self.channels.len() < slot {
            self.free.push(next(&self.channels));
            self.channels.push(None);
        }
        self.messages += channel.messages;
        self.recent += channel.recent.len();
        self.lost = self.lost.max(channel.lost);
        self.names.insert(channel.name.clone().into(), number);
        self.channels.push(Some(channel));
    }

    /// Takes up a new channel.
    pub(super) fn add(&mut self, channel: Channel) -> Number {
        let number = self.free.pop().unwrap_or_else(|| {
            self.channels.push(None);
            next(&self.channels) - 1
        });
        self.names.insert(channel.name.clone().into(), number);
        self.channels[number as usize] = Some(channel);
        number
    }

    /// Forgets a channel, which has no messages any more.
    pub(super) fn forget(&mut self, number: Number) {
        let Some(channel) = self
            .channels
            .get_mut(number as usize)
            .and_then(Option::take)
        else {
            return;
        };
        self.names.remove(channel.name.as_str());
        self.free.push(number);
        self.forgotten = self.forgotten.max(channel.last);
        self.lost = self.lost.max(channel.last);
    }

    /// Adds messages to the end of a channel.
    pub(super) fn push(&mut self, number: Number, new: &[Item]) {
        let Some(channel) = self
            .channels
            .get_mut(number as usize)
            .and_then(Option::as_mut)
        else {
            return;
        };
        let (Some(first), Some(last)) = (new.first(), new.last()) else {
            return;
        };
        if channel.messages == 0 {
            channel.first = first.id;
        }
        channel.last = last.id;
        channel.messages += new.len() as u64;
        channel.bytes += new.iter().map(|item| item.size).sum::<u64>();
        channel.recent.extend(new);
        self.messages += new.len() as u64;
        self.recent += new.len();
    }

    /// Lets go of messages at the front of a channel.
    pub(super) fn cut(&mut self, number: Number, cut: &Cut) {
        let Some(channel) = self
            .channels
            .get_mut(number as usize)
            .and_then(Option::as_mut)
        else {
            return;
        };
        channel.lost = channel.lost.max(cut.lost);
        channel.first = cut.first;
        channel.messages = channel.messages.saturating_sub(cut.messages);
        channel.bytes = channel.bytes.saturating_sub(cut.bytes);
        let count = channel.recent.partition_point(|item| item.id <= cut.lost);
        self.garbage
            .extend(channel.recent.drain(..count).map(|item| item.id));
        self.recent -= count;
        self.messages = self.messages.saturating_sub(cut.messages);
        self.lost = self.lost.max(cut.lost);
    }

    /// Notes that a channel's row says all of it, and that so many more of its messages have places.
    pub(super) fn note_written(&mut self, number: Number, count: usize) {
        let Some(channel) = self
            .channels
            .get_mut(number as usize)
            .and_then(Option::as_mut)
        else {
            return;
        };
        channel.is_written = true;
        channel.written_lost = channel.lost;
        let count = count.min(channel.recent.len());
        self.recent -= count;
        if let Some(item) = channel.recent.drain(..count).next_back() {
            channel.filed = item.id;
        }
        if channel.recent.is_empty() {
            channel.filed = channel.filed.max(channel.last);
            channel.recent = VecDeque::new();
        }
    }

    /// Returns the channels that are below a pattern, as far as a name tells, or the one of its name. Those of
    /// a pattern that ends in `/*` have to be checked.
    pub(super) fn below(&self, pattern: &ChannelPattern) -> impl Iterator<Item = Number> {
        below(&self.names, pattern)
    }

    /// Returns the channels that a pattern matches.
    pub(super) fn matching(
        &self,
        pattern: &ChannelPattern,
    ) -> impl Iterator<Item = (Number, &Channel)> {
        let below = self.below(pattern);
        let channels = below.filter_map(|number| Some((number, self.get(number)?)));
        channels.filter(|(_, channel)| pattern.covers(channel.name.as_str()))
    }
}
