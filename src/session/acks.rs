//! What a client that acknowledges has yet to acknowledge (CometD's `ack` extension).
//!
//! The replies to connects are numbered, and the next connect names the last that arrived. What went
//! with later ones goes again with its reply, before what is new.

use std::collections::VecDeque;
use std::sync::Arc;

use super::queue::Beside;
use super::record::{AcksRecord, EventRecord, PatternRecord, Revive, Unreadable};
use crate::bayeux::{ChannelPattern, Event};
use crate::memory::sizes;

/// The events that were sent, until a connect names the reply that they went with first.
#[derive(Debug, Default)]
pub(super) struct Acks {
    /// The number of the last reply, from 1.
    last: u64,
    /// Each with the number of its reply, in order.
    sent: VecDeque<(u64, Arc<Event>)>,
    bytes: usize,
    /// Some was acknowledged that nobody has taken notice of.
    is_news: bool,
    /// In a cluster: the subscriptions that began after what its client has acknowledged, each with the number that was
    /// last when its messages came to this node; nothing while that is not known.
    begun: Vec<(ChannelPattern, Option<u64>)>,
}

impl Acks {
    /// Makes the record of it.
    pub(super) fn record(&self) -> Result<AcksRecord, Unreadable> {
        let Self {
            last,
            sent,
            bytes: _,
            // All of it is known to who reads this.
            is_news: _,
            begun: _,
        } = self;
        let record = |(number, event): &(u64, Arc<Event>)| Ok((*number, EventRecord::of(event)?));
        Ok(AcksRecord {
            last: *last,
            sent: sent.iter().map(record).collect::<Result<_, _>>()?,
            begun: self.begun_record(),
        })
    }

    /// Makes one of its record.
    pub(super) fn of_record(
        record: AcksRecord,
        revive: &mut Revive<'_>,
    ) -> Result<Self, Unreadable> {
        let begun = record.begun.into_iter();
        let mut acks = Self {
            last: record.last,
            begun: begun.map(|(it, since)| (it.0, Some(since))).collect(),
            ..Self::default()
        };
        for (number, event) in record.sent {
            let event = revive(event)?;
            acks.bytes += event.json().len();
            acks.sent.push_back((number, event));
        }
        Ok(acks)
    }

    /// Takes what a connect says: the number of the last reply that its client has received, if it is
    /// one. A number that was never given, as any other nonsense, acknowledges nothing.
    pub(super) fn acknowledge(&mut self, number: Option<u64>) {
        let number = number.filter(|number| *number <= self.last).unwrap_or(0);
        while self.sent.front().is_some_and(|(sent, _)| *sent <= number) {
            let sent = self.sent.pop_front();
            self.is_news = true;
            self.bytes -= sent.map_or(0, |(_, event)| event.json().len());
        }
        if self.sent.is_empty() {
            self.sent = VecDeque::new();
        }
    }

    /// Tells whether something was acknowledged since this was asked.
    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.is_news)
    }

    /// Makes the record of it without events.
    pub(super) fn skeleton(&self) -> AcksRecord {
        AcksRecord {
            last: self.last,
            sent: Vec::new(),
            begun: self.begun_record(),
        }
    }

    fn begun_record(&self) -> Vec<(PatternRecord, u64)> {
        let record = |(pattern, since): &(ChannelPattern, Option<u64>)| {
            Some((PatternRecord(pattern.clone()), (*since)?))
        };
        self.begun.iter().filter_map(record).collect()
    }

    /// Notes that a subscription has begun.
    pub(super) fn begin(&mut self, pattern: &ChannelPattern) {
        self.begun.push((pattern.clone(), None));
    }

    /// Notes that a subscription is over.
    pub(super) fn forget(&mut self, pattern: &ChannelPattern) {
        self.begun.retain(|(begun, _)| begun != pattern);
    }

    /// Returns the subscriptions of which it is not known since when their messages come.
    pub(super) fn beginning(&self) -> Vec<ChannelPattern> {
        let unknown = self.begun.iter().filter(|(_, since)| since.is_none());
        unknown.map(|(pattern, _)| pattern.clone()).collect()
    }

    /// Notes that the messages of these come since a number, and forgets what does not matter any more, as all up to
    /// `position` is acknowledged.
    pub(super) fn have_begun(&mut self, patterns: &[ChannelPattern], at: u64, position: u64) {
        for (pattern, since) in &mut self.begun {
            if since.is_none() && patterns.contains(pattern) {
                *since = Some(at);
            }
        }
        self.begun
            .retain(|(_, since)| since.is_none_or(|since| since > position));
    }

    /// Returns the least of the numbers in history of what is to be acknowledged.
    pub(super) fn first_id(&self) -> Option<u64> {
        let ids = self.sent.iter().map(|(_, event)| event.id());
        ids.filter(|id| *id > 0).min()
    }

    /// Tells whether there is nothing to be sent again.
    pub(super) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// Returns what is to be sent again.
    pub(super) fn again(&self) -> Vec<Arc<Event>> {
        let again = self.sent.iter();
        again.map(|(_, event)| Arc::clone(event)).collect()
    }

    /// Takes what would go again beyond so many bytes, the newest, to be sent as if it were new; one
    /// event goes again in any case.
    pub(super) fn take_back(&mut self, max_bytes: u64) -> Vec<Arc<Event>> {
        let mut taken = Vec::new();
        while self.bytes as u64 > max_bytes && self.sent.len() > 1 {
            let Some((_, event)) = self.sent.pop_back() else {
                break;
            };
            self.bytes -= event.json().len();
            taken.push(event);
        }
        taken.reverse();
        taken
    }

    /// Returns how much that is.
    pub(super) fn size(&self) -> Beside {
        Beside {
            events: self.sent.len(),
            bytes: self.bytes,
        }
    }

    /// Returns the bytes of the places of events.
    pub(super) fn places(&self) -> usize {
        let places = self.sent.capacity() * size_of::<(u64, Arc<Event>)>();
        let begun = self.begun.capacity() * size_of::<(ChannelPattern, Option<u64>)>();
        sizes::block(size_of::<Self>()) + sizes::block(places) + sizes::block(begun)
    }

    /// Notes what goes for the first time with the next reply, and returns that reply's number.
    pub(super) fn send(&mut self, events: &[Arc<Event>]) -> u64 {
        self.last += 1;
        for event in events {
            self.bytes += event.json().len();
            self.sent.push_back((self.last, Arc::clone(event)));
        }
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::state::tests::event;

    #[test]
    fn what_is_too_much_to_go_again_is_taken_back() {
        let size = event("a").json().len() as u64;
        for (max, again, taken_back) in [
            (3 * size, "abc", ""),
            (3 * size - 1, "ab", "c"),
            (size, "a", "bc"),
            // One event goes in any case.
            (0, "a", "bc"),
        ] {
            let mut acks = Acks::default();
            acks.send(&[event("a"), event("b")]);
            acks.send(&[event("c")]);
            let taken = acks.take_back(max);
            let letters = |events: &[Arc<Event>]| -> String {
                let letter = |event: &Arc<Event>| char::from(event.json()[24]);
                events.iter().map(letter).collect()
            };
            assert_eq!(letters(&taken), taken_back, "{max}");
            assert_eq!(letters(&acks.again()), again, "{max}");
            assert_eq!(acks.size().bytes as u64, again.len() as u64 * size, "{max}");
        }
    }

    #[test]
    fn a_number_acknowledges_what_went_with_its_reply_and_those_before() {
        let cases = [
            (Some(3), 0),
            (Some(2), 1),
            (Some(1), 2),
            (Some(0), 2),
            // It was never given.
            (Some(4), 2),
            (Some(u64::MAX), 2),
            (None, 2),
        ];
        for (number, again) in cases {
            let mut acks = Acks::default();
            assert_eq!(acks.send(&[]), 1);
            assert_eq!(acks.send(&[event("a")]), 2);
            // With this reply the first event goes again.
            assert_eq!(acks.send(&[event("b")]), 3);
            acks.acknowledge(number);
            assert_eq!(acks.again().len(), again, "{number:?}");
            let bytes = event("a").json().len() * again;
            assert_eq!(
                acks.size(),
                Beside {
                    events: again,
                    bytes
                }
            );
        }
    }
}
