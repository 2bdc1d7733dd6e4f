//! One run: what it wants of the past, how far it has come, and what it leaves to others.

use super::patterns::{Names, Wants};
use crate::bayeux::ChannelPattern;
use crate::history::Selection;
use crate::session::record::{PatternRecord, RunRecord};

/// What is to be read for one subscribe.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) number: u64,
    pub(super) wants: Wants,
    /// What brings some of its channels anyway, at first and since others were done.
    pub(super) live: Vec<Live>,
    pub(super) selection: Selection,
    /// All up to this has been read.
    pub(super) position: u64,
    /// All up to this had come of what it is for when it began.
    pub(super) begun: u64,
    /// The largest number that was passed over.
    pub(super) passed: u64,
    /// Up to this its client was told that messages are lost.
    pub(super) told: u64,
    /// Whether it ends if more are.
    pub(super) fails: bool,
    /// The runs that there were when it began, and how far they had come.
    pub(super) before: Vec<(u64, u64)>,
    /// What these have brought since.
    pub(super) brought: Vec<Brought>,
    pub(super) stage: Stage,
}

/// Channels that something else brings.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) names: Names,
    /// From where on they were offered live, which the run leaves out, but for what it had read before.
    pub(super) from: Option<LiveFrom>,
}

/// Returns what brings a channel, if something does.
fn live_of<'l>(live: &'l [Live], channel: &str) -> Option<&'l Live> {
    live.iter().find(|live| live.names.cover(channel))
}

/// Tells whether a message is left to what brings its channel.
fn is_left(live: &[Live], channel: &str, id: u64) -> bool {
    let from = live_of(live, channel).and_then(|live| live.from);
    from.is_some_and(|from| id >= from.id)
}

#[derive(Debug, Clone, Copy)]
pub(super) struct LiveFrom {
    pub(super) id: u64,
    /// How far the run had come then.
    pub(super) position: u64,
}

/// What another run has brought: what it wants, between two numbers, but for what it left out because it was live.
#[derive(Debug)]
pub(super) struct Brought {
    pub(super) wants: Wants,
    pub(super) from: u64,
    pub(super) up_to: u64,
    pub(super) live: Vec<Live>,
}

impl Brought {
    pub(super) fn has(&self, channel: &str, id: u64) -> bool {
        id > self.from
            && id <= self.up_to
            && self.wants.take(channel, id)
            && !is_left(&self.live, channel, id)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is not known yet from where on.
    Undecided,
    Reading,
    /// All is read; it passes over what it has read until all of that was offered live.
    Done,
}

impl Run {
    pub(super) fn finish_if_level(&mut self) {
        if self.stage == Stage::Reading && self.passed <= self.position {
            self.stage = Stage::Done;
        }
    }

    /// Stops reading some of what it wants; returns what passes over what it has read of that.
    pub(super) fn stop(&mut self, names: &Names) -> Option<Self> {
        let stopped: Wants = self
            .wants
            .iter()
            .filter(|(name, _)| names.have(name))
            .map(|(name, after)| (name.clone(), after))
            .collect();
        self.wants.retain(|name| !names.have(name));
        (self.position > 0 && !stopped.is_empty()).then(|| Self {
            // It is not a subscription of its own.
            number: u64::MAX,
            wants: stopped,
            live: self.live.clone(),
            selection: self.selection,
            position: self.position,
            begun: self.begun,
            passed: self.passed,
            told: self.told,
            fails: self.fails,
            before: Vec::new(),
            brought: Vec::new(),
            stage: Stage::Done,
        })
    }

    /// Tells whether a live message of its channels may be queued, as far as it is concerned: something else brings
    /// those, and it has not brought it itself.
    pub(super) fn takes_live(&self, channel: &str, id: u64) -> bool {
        live_of(&self.live, channel).is_some_and(|live| {
            let position = live.from.map_or(self.position, |from| from.position);
            id > position || !self.wants.take(channel, id)
        })
    }

    /// Tells whether it has to bring a message, which is neither live nor brought by another.
    pub(super) fn brings(&self, channel: &str, id: u64) -> bool {
        let is_live = is_left(&self.live, channel, id);
        let is_brought = self.brought.iter().any(|other| other.has(channel, id));
        self.wants.take(channel, id) && !is_live && !is_brought
    }

    /// Returns what the next process is to know; nothing of one that has not begun to read, since the subscribe
    /// that it is for was not answered.
    pub(super) fn record(&self) -> Option<RunRecord> {
        let Self {
            number: _,
            wants,
            live,
            selection,
            position,
            // It has read since.
            begun: _,
            passed,
            told,
            fails,
            // That a later run leaves something out is worth no more than that it comes twice.
            before: _,
            brought: _,
            stage,
        } = self;
        let is_done = match stage {
            Stage::Undecided => return None,
            Stage::Reading => false,
            Stage::Done => true,
        };
        let want =
            |(pattern, after): (&ChannelPattern, u64)| (PatternRecord(pattern.clone()), after);
        Some(RunRecord {
            wants: wants.iter().map(want).collect(),
            live: live
                .iter()
                .flat_map(|live| live.names.iter())
                .cloned()
                .map(PatternRecord)
                .collect(),
            last_of_each: match selection {
                Selection::All => None,
                Selection::LastOfEach(up_to) => Some(*up_to),
            },
            position: *position,
            live_from: live
                .first()
                .and_then(|live| live.from)
                .map(|from| (from.id, from.position)),
            passed: *passed,
            told: *told,
            fails: *fails,
            is_done,
        })
    }

    pub(super) fn of_record(number: u64, record: RunRecord) -> Self {
        let wants = record.wants.into_iter();
        Self {
            number,
            wants: wants.map(|(pattern, after)| (pattern.0, after)).collect(),
            live: vec![Live {
                names: record.live.into_iter().map(|live| live.0).collect(),
                from: record
                    .live_from
                    .map(|(id, position)| LiveFrom { id, position }),
            }],
            selection: match record.last_of_each {
                None => Selection::All,
                Some(up_to) => Selection::LastOfEach(up_to),
            },
            position: record.position,
            begun: record.position,
            passed: record.passed,
            told: record.told,
            fails: record.fails,
            before: Vec::new(),
            brought: Vec::new(),
            stage: if record.is_done {
                Stage::Done
            } else {
                Stage::Reading
            },
        }
    }
}
