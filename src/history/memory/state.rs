//! All channels, and the one order of their messages; what is too much leaves here.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::time::SystemTime;

use super::channel::{Channel, Message, Turn};
use crate::bayeux::{ChannelName, ChannelPattern};
use crate::history::names::below;
use crate::history::{Figures, Policy};
use crate::metrics::Limit;

/// Where a channel stands in [`State::channels`].
pub(super) type Slot = usize;

/// What the store knows.
#[derive(Debug)]
pub(super) struct State {
    max_bytes: usize,
    max_channels: usize,
    policy: Policy,
    channels: Vec<Option<Channel>>,
    free: Vec<Slot>,
    names: BTreeMap<ChannelPattern, Slot>,
    /// The channels by when they can be forgotten. A channel's turn may have come to be later than it says.
    turns: BTreeMap<Turn, Slot>,
    /// Every message that is kept.
    log: BTreeMap<u64, Slot>,
    /// What all of it takes.
    bytes: usize,
    /// The last number given out.
    head: u64,
    /// What is forgotten of channels had numbers up to this, as had what was before this store.
    forgotten: u64,
    /// The largest number of a message that went.
    lost: u64,
    /// The bounds that made something go since that was asked.
    pub(super) passed: Vec<Limit>,
}

impl State {
    /// Makes one without channels, whose first number is the one after `head`.
    pub(super) fn new(max_bytes: usize, max_channels: usize, policy: Policy, head: u64) -> Self {
        Self {
            max_bytes,
            max_channels,
            policy,
            channels: Vec::new(),
            free: Vec::new(),
            names: BTreeMap::new(),
            turns: BTreeMap::new(),
            log: BTreeMap::new(),
            bytes: 0,
            head,
            forgotten: head,
            lost: head,
            passed: Vec::new(),
        }
    }

    pub(super) fn head(&self) -> u64 {
        self.head
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn figures(&self) -> Figures {
        Figures {
            messages: self.log.len() as u64,
            bytes: self.bytes as u64,
            channels: self.names.len() as u64,
        }
    }

    /// Returns how many slots there are, used or not.
    pub(super) fn slots(&self) -> usize {
        self.channels.len()
    }

    pub(super) fn channel(&self, slot: Slot) -> Option<&Channel> {
        self.channels.get(slot)?.as_ref()
    }

    /// Returns the messages with numbers above one, oldest first.
    pub(super) fn after(&self, id: u64) -> impl DoubleEndedIterator<Item = (u64, Slot)> {
        let range = self.log.range((Excluded(id), Unbounded));
        range.map(|(id, slot)| (*id, *slot))
    }

    /// Returns the messages with numbers up to one, newest first.
    pub(super) fn down_from(&self, id: u64) -> impl Iterator<Item = (u64, Slot)> {
        self.log.range(..=id).rev().map(|(id, slot)| (*id, *slot))
    }

    /// Returns the channels that are below a pattern, as far as a name tells, or the one of its name. Those of
    /// a pattern that ends in `/*` have to be checked.
    pub(super) fn below(&self, pattern: &ChannelPattern) -> impl Iterator<Item = Slot> {
        below(&self.names, pattern)
    }

    /// Returns the channels that a pattern matches.
    pub(super) fn matching(
        &self,
        pattern: &ChannelPattern,
    ) -> impl Iterator<Item = (Slot, &Channel)> {
        let below = self.below(pattern);
        let channels = below.filter_map(|slot| Some((slot, self.channel(slot)?)));
        channels.filter(|(_, channel)| pattern.covers(channel.name.as_str()))
    }

    /// Adds a message, made of the number it gets; returns the number of the one before on its channel.
    pub(super) fn push(&mut self, name: &ChannelName, message: Message, now: SystemTime) -> u64 {
        let slot = self.slot(name);
        self.head = message.id;
        let Some(Some(channel)) = self.channels.get_mut(slot) else {
            return 0;
        };
        self.bytes += message.size();
        self.log.insert(message.id, slot);
        let was_empty = channel.is_empty();
        let before = channel.push(message);
        if was_empty {
            self.set_turn(slot);
        }
        self.trim(slot, now, usize::MAX);
        self.make_room();
        before
    }

    /// Returns the number that the next message gets.
    pub(super) fn next(&self) -> u64 {
        self.head + 1
    }

    /// Lets go of what a channel has too much of, of at most so many messages; returns how many went.
    pub(super) fn trim(&mut self, slot: Slot, now: SystemTime, max: usize) -> usize {
        let mut count = 0;
        let has_too_much = |channel: &Channel| channel.has_too_much(now);
        while count < max && self.channel(slot).is_some_and(has_too_much) {
            self.pop(slot);
            count += 1;
        }
        count
    }

    /// Lets go of a channel's messages up to a number; returns how many went.
    pub(super) fn remove(&mut self, slot: Slot, up_to: u64) -> u64 {
        let mut count = 0;
        let is_old = |channel: &Channel| channel.first().is_some_and(|first| first <= up_to);
        while self.channel(slot).is_some_and(is_old) {
            self.pop(slot);
            count += 1;
        }
        count
    }

    /// Lets go of the oldest messages of all while there is too much.
    fn make_room(&mut self) {
        while self.bytes > self.max_bytes {
            self.pass(Limit::MaxHistoryBytes);
            let oldest = self.log.first_key_value().map(|(_, slot)| *slot);
            match oldest {
                Some(slot) => self.pop(slot),
                None if self.forget() => {}
                None => return,
            }
        }
    }

    fn pass(&mut self, limit: Limit) {
        if !self.passed.contains(&limit) {
            self.passed.push(limit);
        }
    }

    /// Lets go of a channel's oldest message.
    fn pop(&mut self, slot: Slot) {
        let channel = self.channels.get_mut(slot).and_then(Option::as_mut);
        let Some(channel) = channel else {
            return;
        };
        let Some(message) = channel.pop() else {
            return;
        };
        let is_empty = channel.is_empty();
        self.bytes -= message.size();
        self.lost = self.lost.max(message.id);
        self.log.remove(&message.id);
        if is_empty {
            self.set_turn(slot);
        }
    }

    /// Returns where a channel stands, which may be new.
    fn slot(&mut self, name: &ChannelName) -> Slot {
        if let Some(slot) = self.names.get(name.as_str()) {
            return *slot;
        }
        while self.names.len() >= self.max_channels.max(1) && self.forget() {
            self.pass(Limit::MaxHistoryChannels);
        }
        let channel = Channel::new(name.clone(), self.policy.of(name));
        self.bytes += channel.size();
        let slot = self.free.pop().unwrap_or_else(|| {
            self.channels.push(None);
            self.channels.len() - 1
        });
        self.channels[slot] = Some(channel);
        self.names.insert(name.clone().into(), slot);
        slot
    }

    /// Puts a channel where it is to be forgotten as of now: when its turn has come to be earlier.
    fn set_turn(&mut self, slot: Slot) {
        let Some(Some(channel)) = self.channels.get_mut(slot) else {
            return;
        };
        let due = channel.due();
        let earlier = std::mem::replace(&mut channel.turn, due);
        self.turns.remove(&earlier);
        self.turns.insert(due, slot);
    }

    /// Forgets the channel whose turn it is, with what it has; false: there is none.
    fn forget(&mut self) -> bool {
        while let Some((turn, slot)) = self.turns.pop_first() {
            let Some(channel) = self.channel(slot) else {
                continue;
            };
            if channel.due() != turn {
                self.set_turn(slot);
                continue;
            }
            let last = channel.last();
            self.remove(slot, last);
            self.forgotten = self.forgotten.max(last);
            if let Some(channel) = self.channels[slot].take() {
                self.turns.remove(&channel.turn);
                self.names.remove(channel.name.as_str());
                self.bytes -= channel.size();
                self.free.push(slot);
            }
            return true;
        }
        false
    }
}
