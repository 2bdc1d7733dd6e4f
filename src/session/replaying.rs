//! What a session has yet to get of the past, and which live events wait for that; knows no store and no queue.
//!
//! Each subscribe that asks for the past begins a *run*, which is read page by page. Messages are numbered, and
//! are offered live in the order of their numbers, so a run and what is live meet without a gap: while a run
//! goes on, live messages of its channels are passed over, since it will come to them; once it has read up to a
//! number and passed over none above it, it is done, and only messages up to that number are passed over still.
//!
//! Channels that another subscription of the session brings anyway stay live during a run. Whatever it has
//! reached before it is offered live is passed over, and the run leaves out what was offered live before it came
//! there.

use super::record::{PatternRecord, RunRecord};
use crate::bayeux::ChannelPattern;
use crate::history::{Kept, Query, Selection, Want};

/// The runs of a session, in the order in which they are read.
#[derive(Debug, Default)]
pub(super) struct Replaying {
    runs: Vec<Run>,
    next: u64,
    /// Somebody is about to read a page.
    is_asked: bool,
}

/// What is to be read for one subscribe.
#[derive(Debug)]
struct Run {
    number: u64,
    wants: Vec<Want>,
    /// What brings some of its channels anyway.
    live: Vec<ChannelPattern>,
    selection: Selection,
    /// All up to this has been read.
    position: u64,
    /// From this on those channels were offered live, which the run leaves out, but for what it had read before.
    live_from: Option<LiveFrom>,
    /// The largest number that was passed over.
    passed: u64,
    stage: Stage,
}

#[derive(Debug, Clone, Copy)]
struct LiveFrom {
    id: u64,
    /// How far the run had come then.
    position: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It is not known yet from where on.
    Undecided,
    Reading,
    /// All is read; it passes over what it has read until all of that was offered live.
    Done,
}

/// From where on a run reads.
#[derive(Debug)]
pub struct Begins {
    /// What is wanted.
    pub wants: Vec<Want>,
    /// Which of that first; behind it all.
    pub selection: Selection,
    /// The largest number that had been given out.
    pub head: u64,
}

impl Run {
    fn covers(&self, channel: &str) -> bool {
        self.wants.iter().any(|want| want.pattern.covers(channel))
    }

    fn is_live(&self, channel: &str) -> bool {
        self.live.iter().any(|pattern| pattern.covers(channel))
    }

    fn takes(&self, channel: &str, id: u64) -> bool {
        let mut wants = self.wants.iter();
        wants.any(|want| id > want.after && want.pattern.covers(channel))
    }

    /// Returns the channels that are live although the run covers them.
    fn overlaps(&self) -> impl Iterator<Item = &ChannelPattern> {
        self.wants.iter().flat_map(|want| {
            let live = self.live.iter();
            live.filter_map(|live| overlap(&want.pattern, live))
        })
    }

    fn finish_if_level(&mut self) {
        if self.stage == Stage::Reading && self.passed <= self.position {
            self.stage = Stage::Done;
        }
    }
}

/// Returns the channels that both name: two patterns are nested, or have none in common.
fn overlap<'p>(one: &'p ChannelPattern, other: &'p ChannelPattern) -> Option<&'p ChannelPattern> {
    if one.covers(other.as_str()) {
        Some(other)
    } else if other.covers(one.as_str()) {
        Some(one)
    } else {
        None
    }
}

impl Run {
    /// Makes its record; nothing of one that has not begun to read, since the subscribe that it is for was not
    /// answered.
    fn record(&self) -> Option<RunRecord> {
        let Self {
            number: _,
            wants,
            live,
            selection,
            position,
            live_from,
            passed,
            stage,
        } = self;
        let is_done = match stage {
            Stage::Undecided => return None,
            Stage::Reading => false,
            Stage::Done => true,
        };
        let want = |want: &Want| (PatternRecord(want.pattern.clone()), want.after);
        Some(RunRecord {
            wants: wants.iter().map(want).collect(),
            live: live.iter().cloned().map(PatternRecord).collect(),
            last_of_each: match selection {
                Selection::All => None,
                Selection::LastOfEach(up_to) => Some(*up_to),
            },
            position: *position,
            live_from: live_from.map(|from| (from.id, from.position)),
            passed: *passed,
            is_done,
        })
    }

    fn of_record(number: u64, record: RunRecord) -> Self {
        let want = |(PatternRecord(pattern), after)| Want { pattern, after };
        let live_from = record.live_from;
        Self {
            number,
            wants: record.wants.into_iter().map(want).collect(),
            live: record.live.into_iter().map(|live| live.0).collect(),
            selection: record
                .last_of_each
                .map_or(Selection::All, Selection::LastOfEach),
            position: record.position,
            live_from: live_from.map(|(id, position)| LiveFrom { id, position }),
            passed: record.passed,
            stage: if record.is_done {
                Stage::Done
            } else {
                Stage::Reading
            },
        }
    }
}

impl Replaying {
    /// Makes the records of the runs. A page that is being read is read again.
    pub(super) fn record(&self) -> Vec<RunRecord> {
        let Self {
            runs,
            next: _,
            is_asked: _,
        } = self;
        runs.iter().filter_map(Run::record).collect()
    }

    /// Makes one of the records of its runs.
    pub(super) fn of_record(records: Vec<RunRecord>) -> Self {
        let next = records.len() as u64;
        let runs = (0..next).zip(records);
        Self {
            next,
            runs: runs
                .map(|(number, record)| Run::of_record(number, record))
                .collect(),
            is_asked: false,
        }
    }

    /// Begins a run for these, of a session that is subscribed to `subscriptions` already; returns its number.
    pub(super) fn begin(
        &mut self,
        patterns: &[ChannelPattern],
        subscriptions: &[ChannelPattern],
    ) -> u64 {
        let mut live: Vec<ChannelPattern> = Vec::new();
        for pattern in patterns {
            let subscribed = subscriptions.iter().filter(|other| !self.holds(other));
            let others = subscribed.chain(self.runs.iter().flat_map(Run::overlaps));
            let overlaps = others.filter_map(|other| overlap(pattern, other));
            live.extend(overlaps.cloned());
        }
        live.sort_unstable();
        live.dedup();
        // Who asks again for what is being read has it read anew.
        for run in self.runs.iter_mut().filter(|run| run.stage != Stage::Done) {
            run.wants.retain(|want| !patterns.contains(&want.pattern));
        }
        self.forget_if(|run| run.wants.is_empty());
        let number = self.next;
        self.next += 1;
        let wants = patterns.iter().cloned();
        self.runs.push(Run {
            number,
            wants: wants.map(|pattern| Want { pattern, after: 0 }).collect(),
            live,
            selection: Selection::All,
            position: 0,
            live_from: None,
            passed: 0,
            stage: Stage::Undecided,
        });
        number
    }

    /// Tells whether a run that is not over yet holds the live messages of a subscription back.
    fn holds(&self, pattern: &ChannelPattern) -> bool {
        let mut runs = self.runs.iter().filter(|run| run.stage != Stage::Done);
        runs.any(|run| run.wants.iter().any(|want| want.pattern == *pattern))
    }

    /// Says from where on a run reads; false if it is gone.
    pub(super) fn decide(&mut self, number: u64, begins: Begins) -> bool {
        let Some(run) = self.runs.iter_mut().find(|run| run.number == number) else {
            return false;
        };
        // What was unsubscribed meanwhile is not wanted any more.
        let is_wanted = |want: &Want| run.wants.iter().any(|own| own.pattern == want.pattern);
        let wants: Vec<Want> = begins.wants.into_iter().filter(is_wanted).collect();
        if let Selection::LastOfEach(_) = begins.selection {
            // Whoever has a channel anyway has had its last message.
            run.live_from = Some(LiveFrom { id: 0, position: 0 });
        }
        let is_new = wants.iter().all(|want| want.after >= begins.head);
        run.wants = wants;
        run.selection = begins.selection;
        run.stage = Stage::Reading;
        if is_new {
            run.position = begins.head;
            run.finish_if_level();
        }
        self.forget_if(|run| run.wants.is_empty());
        true
    }

    /// Gives a run up.
    pub(super) fn cancel(&mut self, number: u64) {
        self.forget_if(|run| run.number == number);
    }

    /// Forgets a pattern, which is not subscribed to any more.
    pub(super) fn forget(&mut self, pattern: &ChannelPattern) {
        for run in &mut self.runs {
            run.wants.retain(|want| want.pattern != *pattern);
        }
        self.forget_if(|run| run.wants.is_empty());
    }

    fn forget_if(&mut self, is_over: impl Fn(&Run) -> bool) {
        self.runs.retain(|run| !is_over(run));
    }

    /// Tells whether there is nothing to be passed over, or read.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Offers a live message, in the order of the numbers; false if it is to be passed over.
    pub(super) fn offer(&mut self, channel: &str, id: u64) -> bool {
        self.forget_if(|run| run.stage == Stage::Done && id > run.position);
        let mut is_taken = true;
        for run in self.runs.iter_mut().filter(|run| run.covers(channel)) {
            if run.is_live(channel) {
                let position = run.live_from.map_or(run.position, |from| from.position);
                if id <= position && run.takes(channel, id) {
                    is_taken = false;
                } else {
                    run.live_from.get_or_insert(LiveFrom { id, position });
                }
            } else {
                run.passed = id;
                is_taken = false;
            }
        }
        is_taken
    }

    /// Asks for a page, unless that was done; tells whether somebody has to read one.
    pub(super) fn ask(&mut self) -> bool {
        let is_new = !self.is_asked && self.reading().is_some();
        self.is_asked |= is_new;
        is_new
    }

    fn reading(&self) -> Option<&Run> {
        self.runs.iter().find(|run| run.stage == Stage::Reading)
    }

    /// Returns what to read next, and for which run; nothing if there is nothing more.
    pub(super) fn query(&mut self, max_messages: usize, max_bytes: usize) -> Option<(u64, Query)> {
        let query = self.reading().map(|run| {
            let query = Query {
                wants: run.wants.clone(),
                selection: run.selection,
                position: run.position,
                max_messages,
                max_bytes,
            };
            (run.number, query)
        });
        self.is_asked = query.is_some();
        query
    }

    /// Notes that what was asked for cannot be read now.
    pub(super) fn give_up(&mut self) {
        self.is_asked = false;
    }

    /// Takes a page; tells of each of its messages whether it is to be queued.
    pub(super) fn read(
        &mut self,
        number: u64,
        messages: &[Kept],
        position: u64,
        is_end: bool,
    ) -> Vec<bool> {
        self.is_asked = false;
        let mut runs = self.runs.iter_mut();
        let run = runs.find(|run| run.number == number && run.stage == Stage::Reading);
        let Some(run) = run else {
            return vec![false; messages.len()];
        };
        let is_queued = |kept: &Kept| {
            let (channel, id) = (kept.entry.channel.as_str(), kept.place.id);
            let is_live = run.live_from.is_some_and(|from| id >= from.id) && run.is_live(channel);
            // Something may have been unsubscribed while it was read.
            run.takes(channel, id) && !is_live
        };
        let queued = messages.iter().map(is_queued).collect();
        run.position = run.position.max(position);
        match run.selection {
            Selection::LastOfEach(head) if is_end => {
                run.selection = Selection::All;
                run.position = head;
                for want in &mut run.wants {
                    want.after = want.after.max(head);
                }
            }
            Selection::All if is_end => run.finish_if_level(),
            Selection::LastOfEach(_) | Selection::All => {}
        }
        queued
    }

    /// Ends a run of which something is lost that was to be read; returns what it was to read, and up to where
    /// it came.
    pub(super) fn lose(&mut self, number: u64) -> Option<(Vec<ChannelPattern>, u64)> {
        self.is_asked = false;
        let at = self.runs.iter().position(|run| run.number == number)?;
        let run = self.runs.remove(at);
        let patterns = run.wants.into_iter().map(|want| want.pattern);
        Some((patterns.collect(), run.position))
    }
}

#[cfg(test)]
mod tests;
