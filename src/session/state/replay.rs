//! The part of a session's life in which it gets what it missed, a page at a time as its queue empties.

use std::sync::Arc;

use super::{Phase, State, Wake};
use crate::bayeux::{ChannelPattern, Event};
use crate::history::{Page, Query};
use crate::session::Settings;
use crate::session::replaying::{Begins, Read};

/// A page is asked for while fewer events are queued, and of fewer bytes.
const FEW: usize = 64;
const FEW_BYTES: usize = 16 * 1024;
/// What a page holds at most.
const PAGE: usize = 256;
const PAGE_BYTES: usize = 64 * 1024;

/// What is not kept any more that a run was to read.
#[derive(Debug)]
pub struct Lost {
    /// Of which channels something is.
    pub patterns: Vec<ChannelPattern>,
    /// The number up to which the client has it.
    pub after: u64,
}

/// What a page has led to.
#[derive(Debug, Default)]
pub(in crate::session) struct Replayed {
    pub(in crate::session) queued: usize,
    /// Something is lost that a run was to read.
    pub(in crate::session) lost: Option<Lost>,
}

impl State {
    /// Begins a run for what is about to be subscribed to; returns its number, or nothing if the session has
    /// ended.
    pub(in crate::session) fn begin_replay(
        &mut self,
        patterns: &[ChannelPattern],
        sent: u64,
    ) -> Option<u64> {
        if matches!(self.phase, Phase::Ended(_)) {
            return None;
        }
        let subscriptions = self.subscriptions.to_vec();
        let replaying = self.replaying.get_or_insert_default();
        Some(replaying.begin(patterns, &subscriptions, sent))
    }

    /// Begins a run for what it is subscribed to already, each with the number after which nothing has come of it;
    /// returns the run's number.
    pub(in crate::session) fn begin_replay_again(
        &mut self,
        patterns: &[(ChannelPattern, u64)],
    ) -> u64 {
        let replaying = self.replaying.get_or_insert_default();
        replaying.begin_again(patterns)
    }

    /// Tells up to where it has got what it is subscribed to by a pattern, of which all up to `sent` was offered to it:
    /// nothing if a run is yet to bring some of that, and what came since.
    pub(in crate::session) fn came_up_to(
        &self,
        pattern: &ChannelPattern,
        sent: u64,
    ) -> Option<u64> {
        match &self.replaying {
            Some(replaying) => replaying.came_up_to(pattern, sent),
            None => Some(sent),
        }
    }

    /// Says from where on a run reads; false if it is gone.
    pub(in crate::session) fn decide_replay(&mut self, run: u64, begins: Begins) -> bool {
        let replaying = self.replaying.as_mut();
        let is_decided = replaying.is_some_and(|replaying| replaying.decide(run, begins));
        self.end_replays();
        is_decided
    }

    /// Returns how many runs are not over.
    pub(in crate::session) fn replay_count(&self) -> usize {
        self.replaying
            .as_ref()
            .map_or(0, |replaying| replaying.len())
    }

    /// Tells whether a run is about a pattern.
    pub(in crate::session) fn replays(&self, pattern: &ChannelPattern) -> bool {
        let replaying = self.replaying.as_ref();
        replaying.is_some_and(|replaying| replaying.wants(pattern))
    }

    /// Gives a run up.
    pub(in crate::session) fn cancel_replay(&mut self, run: u64) {
        if let Some(replaying) = &mut self.replaying {
            replaying.cancel(run);
        }
        self.end_replays();
    }

    pub(super) fn forget_replay(&mut self, pattern: &ChannelPattern) {
        if let Some(replaying) = &mut self.replaying {
            replaying.forget(pattern);
        }
        self.end_replays();
    }

    fn end_replays(&mut self) {
        self.replaying.take_if(|replaying| replaying.is_empty());
    }

    /// Tells whether a live event is to be queued: not if it was, or will be, read from what is kept.
    pub(in crate::session) fn takes_live(&mut self, event: &Event) -> bool {
        if event.order() > 0 && event.order() <= self.floor {
            return false;
        }
        let Some(replaying) = &mut self.replaying else {
            return true;
        };
        let is_taken = event.id() == 0 || replaying.offer(event.channel(), event.id());
        self.end_replays();
        is_taken
    }

    /// Notes that the session has come with all messages of the cluster up to one.
    pub(in crate::session) fn set_floor(&mut self, order: u64) {
        self.floor = self.floor.max(order);
    }

    /// Asks for a page if there is room for one, and somebody has to read it.
    pub(in crate::session) fn asks_for_page(&mut self, settings: &Settings) -> bool {
        let Some(replaying) = &mut self.replaying else {
            return false;
        };
        let few = FEW.min(settings.max_queue / 4 + 1);
        self.queue.has_fewer(few, FEW_BYTES) && replaying.ask()
    }

    /// Returns what to read next, and for which run.
    pub(in crate::session) fn next_replay(&mut self, settings: &Settings) -> Option<(u64, Query)> {
        let max = PAGE.min(settings.max_queue / 2 + 1);
        self.replaying.as_mut()?.query(max, PAGE_BYTES)
    }

    /// Notes that nothing can be read now.
    pub(in crate::session) fn give_up_replay(&mut self) {
        if let Some(replaying) = &mut self.replaying {
            replaying.give_up();
        }
    }

    /// Queues a page that was read, whatever the bounds are: it was asked for when there was room.
    pub(in crate::session) fn replay_page(
        &mut self,
        run: u64,
        page: &Page,
        events: Vec<Option<Arc<Event>>>,
        overtaken: impl Fn(&[ChannelPattern], u64) -> Vec<Arc<Event>>,
        settings: &Settings,
    ) -> (Replayed, Wake) {
        let Some(replaying) = &mut self.replaying else {
            return (Replayed::default(), Wake::NONE);
        };
        let mut replayed = Replayed::default();
        let after = replaying.position(run);
        let read = replaying.read(run, &page.messages, page.position, page.is_end, page.lost);
        let is_queued = match read {
            Read::Queued(is_queued) => is_queued,
            Read::Overtaken(is_queued, patterns) => {
                // It is said where it happens.
                for event in overtaken(&patterns, after) {
                    self.queue.push_read(&event);
                }
                is_queued
            }
            Read::Lost(patterns) => {
                replayed.lost = Some(Lost { patterns, after });
                Vec::new()
            }
        };
        let queued = events.into_iter().zip(is_queued);
        let queued = queued.filter_map(|(event, is_queued)| event.filter(|_| is_queued));
        for event in queued {
            self.queue.push_read(&event);
            replayed.queued += 1;
        }
        self.end_replays();
        (replayed, self.resume_for_events(settings))
    }
}
