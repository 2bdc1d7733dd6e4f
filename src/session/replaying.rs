//! What a session has yet to get of the past, and which live events wait for that; knows no store and no queue.
//!
//! Each subscribe that asks for the past begins a *run*, which is read page by page. Messages are numbered, and
//! are offered live in the order of their numbers, so a run and what is live meet without a gap: while a run
//! goes on, live messages of its channels are passed over, since it will come to them; once it has read up to a
//! number and passed over none above it, it is done, and only messages up to that number are passed over still.
//!
//! Channels that another subscription of the session brings anyway stay live during a run. Whatever it has
//! reached before it is offered live is passed over, and the run leaves out what was offered live before it came
//! there. Runs are read one after the other; what one brings, a later one leaves out, unless it had come before
//! the later one was asked for.

mod patterns;
mod run;

use super::record::RunRecord;
use crate::bayeux::ChannelPattern;
use crate::history::{Kept, Query, Selection, Want};
use patterns::Names;
use run::{Brought, Live, LiveFrom, Run, Stage};

/// The runs of a session, in the order in which they are read.
#[derive(Debug, Default)]
pub(super) struct Replaying {
    runs: Vec<Run>,
    next: u64,
    /// Somebody is about to read a page.
    is_asked: bool,
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
    /// Up to this its client was told that messages are lost.
    pub told: u64,
    /// Whether it ends if more are, instead of going on with what there is.
    pub fails: bool,
}

/// What a page has led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// Of each of its messages whether it is to be queued.
    Queued(Vec<bool>),
    /// The same, of a run that goes on although something was lost of these.
    Overtaken(Vec<bool>, Vec<ChannelPattern>),
    /// The run has ended, because something was lost of these.
    Lost(Vec<ChannelPattern>),
}

impl Replaying {
    /// Returns the records of the runs. A page that is being read is read again.
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

    /// Tells whether it is not known yet from where on some run reads.
    pub(super) fn is_undecided(&self) -> bool {
        let mut runs = self.runs.iter();
        runs.any(|run| run.stage == Stage::Undecided)
    }

    /// Returns the number up to which all that runs were to bring has come.
    pub(super) fn read_up_to(&self) -> Option<u64> {
        let read = self.unfinished().map(|run| {
            let after = run.wants.iter().map(|(_, after)| after).min();
            match run.stage {
                Stage::Undecided => run.begun,
                Stage::Reading | Stage::Done => run.position.max(after.unwrap_or(0)),
            }
        });
        read.min()
    }

    /// Tells up to where something has come of a pattern, of all up to `sent`: nothing if a run is yet to bring what
    /// came since.
    pub(super) fn came_up_to(&self, pattern: &ChannelPattern, sent: u64) -> Option<u64> {
        let mut runs = self.runs.iter().filter(|run| run.wants.have(pattern));
        runs.try_fold(sent, |sent, run| {
            let is_done = run.stage == Stage::Done;
            is_done.then(|| sent.max(run.position))
        })
    }

    /// Begins a run for these, of a session that is subscribed to `subscriptions` already; returns its number.
    /// All up to `sent` has been offered to whom it concerns.
    pub(super) fn begin(
        &mut self,
        patterns: &[ChannelPattern],
        subscriptions: &[ChannelPattern],
        sent: u64,
    ) -> u64 {
        self.release(|run| run.position <= sent);
        let begun = self.read_up_to().map_or(sent, |read| read.min(sent));
        // What a run that is done still passes over is not live yet.
        let held = self.runs.iter().flat_map(|run| run.wants.names());
        let held: Names = held.collect();
        let subscribed = subscriptions.iter().filter(|other| !held.have(other));
        let brought = self.runs.iter().flat_map(|run| &run.live);
        let brought = brought.flat_map(|live| live.names.iter());
        let others: Names = subscribed.chain(brought).cloned().collect();
        let wanted: Names = patterns.iter().cloned().collect();
        // Who asks again for what is being read has it read anew; what was read of it is not offered live as well.
        let reading = self.runs.iter_mut().filter(|run| run.stage != Stage::Done);
        let stopped: Vec<Run> = reading.filter_map(|run| run.stop(&wanted)).collect();
        self.forget_if(|run| run.wants.is_empty());
        self.runs.splice(0..0, stopped);
        let number = self.next;
        self.next += 1;
        let run = Run {
            number,
            wants: patterns
                .iter()
                .map(|pattern| (pattern.clone(), 0))
                .collect(),
            live: vec![Live {
                names: wanted.overlaps(&others),
                from: None,
            }],
            selection: Selection::All,
            position: 0,
            begun,
            passed: 0,
            told: 0,
            fails: false,
            before: self
                .runs
                .iter()
                .map(|run| (run.number, run.position))
                .collect(),
            brought: Vec::new(),
            stage: Stage::Undecided,
        };
        self.runs.push(run);
        number
    }

    /// Begins a run for what it is subscribed to already, each with the number after which nothing has come of it,
    /// also not live; returns the run's number.
    pub(super) fn begin_again(&mut self, patterns: &[(ChannelPattern, u64)]) -> u64 {
        let names: Vec<_> = patterns.iter().map(|(name, _)| name.clone()).collect();
        let number = self.begin(&names, &[], 0);
        if let Some(run) = self.runs.last_mut() {
            run.begun = patterns.iter().map(|(_, after)| *after).min().unwrap_or(0);
        }
        number
    }

    fn unfinished(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| run.stage != Stage::Done)
    }

    /// Says from where on a run reads; false if it is gone.
    pub(super) fn decide(&mut self, number: u64, begins: Begins) -> bool {
        let mut runs = self.runs.iter_mut();
        let undecided = runs.find(|run| run.number == number && run.stage == Stage::Undecided);
        let Some(run) = undecided else {
            return false;
        };
        let is_new = begins.wants.iter().all(|want| want.after >= begins.head);
        // What was unsubscribed meanwhile is not wanted any more.
        let wants = begins.wants.into_iter();
        let wants = wants.filter(|want| run.wants.have(&want.pattern));
        run.wants = wants.map(|want| (want.pattern, want.after)).collect();
        if let Selection::LastOfEach(_) = begins.selection {
            // Whoever has a channel anyway has had its last message.
            for live in &mut run.live {
                live.from = Some(LiveFrom { id: 0, position: 0 });
            }
        }
        run.selection = begins.selection;
        run.told = begins.told;
        run.fails = begins.fails;
        run.stage = Stage::Reading;
        if is_new {
            run.position = begins.head;
            run.finish_if_level();
        }
        self.tell_later_runs(number);
        self.forget_if(|run| run.wants.is_empty());
        true
    }

    /// Gives a run up.
    pub(super) fn cancel(&mut self, number: u64) {
        self.forget_if(|run| run.number == number && run.stage != Stage::Done);
    }

    /// Forgets a pattern, which is not subscribed to any more.
    pub(super) fn forget(&mut self, pattern: &ChannelPattern) {
        for run in &mut self.runs {
            run.wants.retain(|own| own != pattern);
        }
        self.forget_if(|run| run.wants.is_empty());
    }

    /// Lets go of runs that are done and have nothing to pass over any more; what they were for is live now, also for
    /// runs that began before.
    fn release(&mut self, is_over: impl Fn(&Run) -> bool) {
        let is_over = |run: &Run| run.stage == Stage::Done && is_over(run);
        if !self.runs.iter().any(is_over) {
            return;
        }
        let runs = std::mem::take(&mut self.runs);
        let (over, left): (Vec<_>, Vec<_>) = runs.into_iter().partition(is_over);
        self.runs = left;
        for done in over {
            let names: Names = done.wants.names().collect();
            for run in &mut self.runs {
                if run.before.iter().any(|(other, _)| *other == done.number) {
                    let own: Names = run.wants.names().collect();
                    let names = own.overlaps(&names);
                    run.live.push(Live { names, from: None });
                }
            }
        }
    }

    fn forget_if(&mut self, is_over: impl Fn(&Run) -> bool) {
        self.runs.retain(|run| !is_over(run));
    }

    /// Tells whether there is nothing to be passed over, or read.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Tells whether a run is about a pattern.
    pub(super) fn wants(&self, pattern: &ChannelPattern) -> bool {
        self.runs.iter().any(|run| run.wants.have(pattern))
    }

    /// Returns how many runs are not over.
    pub(super) fn len(&self) -> usize {
        self.unfinished().count()
    }

    /// Offers a live message, in the order of the numbers; false if it is to be passed over.
    pub(super) fn offer(&mut self, channel: &str, id: u64) -> bool {
        self.release(|run| id > run.position);
        let runs = self.runs.iter_mut();
        let mut runs: Vec<_> = runs.filter(|run| run.wants.cover(channel)).collect();
        let is_taken = runs.iter().all(|run| run.takes_live(channel, id));
        for run in &mut runs {
            if is_taken {
                let position = run.position;
                if let Some(live) = run.live.iter_mut().find(|live| live.names.cover(channel)) {
                    live.from.get_or_insert(LiveFrom { id, position });
                }
            } else {
                run.passed = id;
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

    /// Returns the run that is read: the first that is not over, once it is known from where on.
    fn reading(&self) -> Option<&Run> {
        let first = self.unfinished().next();
        first.filter(|run| run.stage == Stage::Reading)
    }

    /// Returns what to read next, and for which run; nothing if there is nothing more.
    pub(super) fn query(&mut self, max_messages: usize, max_bytes: usize) -> Option<(u64, Query)> {
        let query = self.reading().map(|run| {
            let want = |(pattern, after): (&ChannelPattern, u64)| Want {
                pattern: pattern.clone(),
                after,
            };
            let query = Query {
                wants: run.wants.iter().map(want).collect(),
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

    /// Takes a page, which has led to a position; of what it was to hold, all up to `lost` may be lost.
    pub(super) fn read(
        &mut self,
        number: u64,
        messages: &[Kept],
        position: u64,
        is_end: bool,
        lost: u64,
    ) -> Read {
        self.is_asked = false;
        let mut runs = self.runs.iter_mut();
        let run = runs.find(|run| run.number == number && run.stage == Stage::Reading);
        let Some(run) = run else {
            return Read::Queued(vec![false; messages.len()]);
        };
        let is_overtaken = lost > run.told;
        if is_overtaken && run.fails {
            let patterns = run.wants.names().collect();
            self.cancel(number);
            return Read::Lost(patterns);
        }
        run.told = run.told.max(lost);
        // Something may have been unsubscribed while it was read, or another page have brought it.
        let is_queued = |kept: &Kept| {
            kept.place.id > run.position && run.brings(kept.entry.channel.as_str(), kept.place.id)
        };
        let queued = messages.iter().map(is_queued).collect();
        run.position = run.position.max(position);
        match run.selection {
            Selection::LastOfEach(head) if is_end => {
                run.selection = Selection::All;
                run.position = head;
                run.wants.raise(head);
            }
            Selection::All if is_end => run.finish_if_level(),
            Selection::LastOfEach(_) | Selection::All => {}
        }
        let patterns = is_overtaken.then(|| run.wants.names().collect());
        self.tell_later_runs(number);
        match patterns {
            Some(patterns) => Read::Overtaken(queued, patterns),
            None => Read::Queued(queued),
        }
    }

    /// Lets the runs that began while another was not over know what that has brought since, once it is done.
    fn tell_later_runs(&mut self, number: u64) {
        let mut runs = self.runs.iter();
        let done = runs.rfind(|run| run.number == number && run.stage == Stage::Done);
        let Some(done) = done else { return };
        let (wants, up_to) = (done.wants.clone(), done.position);
        let live = done.live.clone();
        for run in &mut self.runs {
            let mut before = run.before.iter();
            let Some((_, from)) = before.find(|(other, _)| *other == number) else {
                continue;
            };
            run.brought.push(Brought {
                wants: wants.clone(),
                from: *from,
                up_to,
                live: live.clone(),
            });
        }
    }

    /// Returns up to where a run has come.
    pub(super) fn position(&self, number: u64) -> u64 {
        let mut runs = self.runs.iter();
        let run = runs.find(|run| run.number == number && run.stage == Stage::Reading);
        run.map_or(0, |run| run.position)
    }
}

#[cfg(test)]
mod tests;
