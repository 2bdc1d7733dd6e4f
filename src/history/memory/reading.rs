//! Pages, and what there is to be read: of few channels by merging them, of many by walking all messages.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::channel::Channel;
use super::state::{Slot, State};
use crate::history::{Page, Query, Selection, Survey, Want};

/// What a page may look at, wanted or not: a fraction of a millisecond, for which appends wait.
const MAX_STEPS: usize = 5000;

/// Up to how many channels of each pattern are merged: above, all messages are walked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Few(pub(super) usize);

impl Default for Few {
    fn default() -> Self {
        Self(64)
    }
}

/// A message that is looked at: its number, and where it is if it is wanted.
type Step<'a> = (u64, Option<(&'a Channel, usize)>);

/// Reads a page.
pub(super) fn read(state: &State, query: &Query, few: Few) -> Page {
    let mut page = match merged(state, &query.wants, few) {
        Some(sources) => fill(state, query, merge(state, query, &sources)),
        None => fill(state, query, walk(state, query)),
    };
    if query.selection == Selection::All {
        page.lost = lost(state, query);
    }
    page
}

/// Returns the wanted channels and from where on each is wanted, unless they are too many to be merged.
fn merged(state: &State, wants: &[Want], few: Few) -> Option<HashMap<Slot, u64>> {
    let mut sources: HashMap<Slot, u64> = HashMap::new();
    for want in wants {
        // What `/*` leaves out has to be looked at too.
        if state.below(&want.pattern).nth(few.0).is_some() {
            return None;
        }
        for (slot, _) in state.matching(&want.pattern) {
            let after = sources.entry(slot).or_insert(want.after);
            *after = want.after.min(*after);
        }
    }
    Some(sources)
}

/// Returns the wanted messages of some channels, in order.
fn merge<'a>(
    state: &'a State,
    query: &Query,
    sources: &HashMap<Slot, u64>,
) -> impl Iterator<Item = Step<'a>> {
    let start = |(slot, after): (&Slot, &u64)| {
        let channel = state.channel(*slot)?;
        let index = match query.selection {
            Selection::All => channel.index_after(query.position.max(*after)),
            Selection::LastOfEach(_) => channel.len().checked_sub(1)?,
        };
        let id = channel.get(index)?.id;
        let is_wanted = id > query.position.max(*after) && is_selected(query, channel, id);
        is_wanted.then_some(Reverse((id, *slot, index)))
    };
    let mut next: BinaryHeap<_> = sources.iter().filter_map(start).collect();
    std::iter::from_fn(move || {
        let mut top = next.peek_mut()?;
        let Reverse((id, slot, index)) = *top;
        let channel = state.channel(slot)?;
        match channel.get(index + 1) {
            Some(message) => *top = Reverse((message.id, slot, index + 1)),
            None => {
                std::collections::binary_heap::PeekMut::pop(top);
            }
        }
        Some((id, Some((channel, index))))
    })
}

/// Returns all messages that may be wanted, and says which are.
fn walk<'a>(state: &'a State, query: &'a Query) -> impl Iterator<Item = Step<'a>> {
    let after = query.wants.iter().map(|want| want.after).min();
    let start = query.position.max(after.unwrap_or(u64::MAX));
    let end = match query.selection {
        Selection::All => u64::MAX,
        Selection::LastOfEach(limit) => limit,
    };
    // From where on a channel is wanted, which is found once for each that is met.
    let mut known: HashMap<Slot, Option<u64>> = HashMap::new();
    let steps = state.after(start).take_while(move |(id, _)| *id <= end);
    steps.map(move |(id, slot)| {
        let found = state.channel(slot).and_then(|channel| {
            let wanted = known.entry(slot).or_insert_with(|| wanted(query, channel));
            let is_wanted = wanted.is_some_and(|after| id > after);
            (is_wanted && is_selected(query, channel, id)).then_some(channel)
        });
        (
            id,
            found.map(|channel| (channel, channel.index_after(id - 1))),
        )
    })
}

/// Returns from where on a channel is wanted, if it is.
fn wanted(query: &Query, channel: &Channel) -> Option<u64> {
    let is_of = |want: &&Want| want.pattern.covers(channel.name.as_str());
    let wants = query.wants.iter().filter(is_of);
    wants.map(|want| want.after).min()
}

fn is_selected(query: &Query, channel: &Channel, id: u64) -> bool {
    match query.selection {
        Selection::All => true,
        Selection::LastOfEach(limit) => id <= limit && channel.newest() == Some(id),
    }
}

/// Takes messages until the page is full, or was looked for long enough.
fn fill<'a>(state: &State, query: &Query, steps: impl Iterator<Item = Step<'a>>) -> Page {
    let mut page = Page {
        messages: Vec::new(),
        position: query.position,
        is_end: false,
        lost: 0,
    };
    let mut bytes = 0;
    for (count, (id, found)) in steps.enumerate() {
        if count == MAX_STEPS {
            return page;
        }
        if let Some((channel, index)) = found {
            let len = channel.get(index).map_or(0, |message| message.len());
            let is_first = page.messages.is_empty();
            let is_full =
                page.messages.len() >= query.max_messages || bytes + len > query.max_bytes;
            if is_full && !is_first {
                return page;
            }
            bytes += len;
            page.messages.extend(channel.kept(index));
        }
        page.position = id;
    }
    page.is_end = true;
    page.position = page.position.max(state.head());
    page
}

/// Returns the largest number of a message that the page, or one after it, lacks.
fn lost(state: &State, query: &Query) -> u64 {
    let mut lost = 0;
    for want in &query.wants {
        let after = want.after.max(query.position).max(lost);
        if state.lost() <= after {
            continue;
        }
        let channels = state.matching(&want.pattern);
        let newest = channels.map(|(_, channel)| channel.lost()).max();
        let newest = newest.unwrap_or(0).max(state.forgotten());
        if newest > after {
            lost = newest;
        }
    }
    lost
}

/// Finds what there is of something that is wanted, and how many messages of that are to be read.
pub(super) fn survey(state: &State, want: &Want) -> (Survey, usize) {
    let mut survey = Survey {
        first: None,
        last: None,
        lost: state.forgotten(),
        head: state.head(),
        too_many: None,
    };
    let mut count = 0;
    for (_, channel) in state.matching(&want.pattern) {
        let first = channel.first();
        survey.first = survey.first.into_iter().chain(first).min();
        survey.last = survey.last.max(channel.newest());
        survey.lost = survey.lost.max(channel.lost());
        count += channel.len() - channel.index_after(want.after);
    }
    (survey, count)
}

/// The way back through all messages to where so many are left; it is gone in parts, between which others may
/// use the store.
#[derive(Debug)]
pub(super) struct WayBack<'a> {
    want: &'a Want,
    /// Up to here messages are yet to be counted.
    from: u64,
    left: usize,
}

impl<'a> WayBack<'a> {
    pub(super) fn new(want: &'a Want, last: u64, max: usize) -> Self {
        Self {
            want,
            from: last,
            left: max,
        }
    }

    /// Goes a part of it; returns after which number so many come, once that is found.
    pub(super) fn go(&mut self, state: &State, few: Few) -> Option<u64> {
        let pattern = &self.want.pattern;
        if state.below(pattern).nth(few.0).is_none() {
            let channels: Vec<_> = state
                .matching(pattern)
                .map(|(_, channel)| channel)
                .collect();
            return Some(self.divide(&channels));
        }
        let mut known: HashMap<Slot, bool> = HashMap::new();
        for (id, slot) in state.down_from(self.from).take(MAX_STEPS) {
            self.from = id - 1;
            let is_wanted = *known.entry(slot).or_insert_with(|| {
                let channel = state.channel(slot);
                channel.is_some_and(|channel| pattern.covers(channel.name.as_str()))
            });
            if is_wanted && self.left == 0 {
                // Some may have gone meanwhile.
                return Some(id.max(self.want.after));
            }
            self.left -= usize::from(is_wanted);
        }
        let is_done = state.down_from(self.from).next().is_none();
        is_done.then_some(self.want.after)
    }

    /// Finds the number among few channels by halves.
    fn divide(&self, channels: &[&Channel]) -> u64 {
        let count = |after: u64| {
            let counts = channels.iter().map(|channel| {
                let end = channel.index_after(self.from);
                end.saturating_sub(channel.index_after(after))
            });
            counts.sum::<usize>()
        };
        // More than that are left after `low`, and at most so many after `high`.
        let (mut low, mut high) = (self.want.after, self.from);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if count(middle) > self.left {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }
}
