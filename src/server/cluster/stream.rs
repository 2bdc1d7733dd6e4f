//! Messages as they come from the backplane: to the sessions of this node, in the order of their numbers.
//!
//! One task takes them. What has to be exact about that order (a session that leaves this node, or comes to it) is
//! a job of that task, done between two messages.

mod gaps;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use self::gaps::Known;
use super::super::batch::STEP;
use super::super::core::Core;
use super::super::node::recent::Recent;
use super::super::node::stream::Job;
use super::super::resources;
use super::Cluster;
use crate::bayeux::ChannelPattern;
use crate::cluster::{Feed, Head, Incoming};
use crate::history::{Epoch, Failed, Query, Selection, Want};
use crate::metrics::Notice;

/// How often what was missed is looked for, and after which time again.
const TRIES: usize = 10;
const RETRY: Duration = Duration::from_millis(200);
/// How much is read at once of what was missed.
const PAGE: usize = 1000;
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// What the task knows.
struct Delivering<'c> {
    core: &'c Core,
    cluster: &'c Cluster,
    recent: Recent,
    known: Known,
    /// Jobs that wait for their marks.
    waiting: HashMap<u64, Job<Core>>,
    /// Where the numbers stood when all of interest came here last; nothing at first.
    epoch: Option<Epoch>,
    work: usize,
}

/// Delivers what comes from the backplane, for ever; without a cluster there is nothing to do.
pub(in crate::server) async fn run(core: &Arc<Core>) {
    let Some(cluster) = &core.cluster else {
        return std::future::pending().await;
    };
    let Some(mut jobs) = cluster.stream.take() else {
        return std::future::pending().await;
    };
    core.shared.metrics.cluster.set_up(false);
    let mut delivering = Delivering {
        core,
        cluster,
        recent: Recent::default(),
        known: Known::default(),
        waiting: HashMap::new(),
        epoch: None,
        work: 0,
    };
    loop {
        tokio::select! {
            Some((mark, job)) = jobs.recv() => delivering.job(mark, job),
            feed = cluster.links.backplane.next() => {
                // A job that waits for a mark was queued before that was made.
                while let Ok((mark, job)) = jobs.try_recv() {
                    delivering.job(mark, job);
                }
                delivering.feed(feed).await;
            }
        }
    }
}

impl Delivering<'_> {
    fn job(&mut self, mark: Option<u64>, job: Job<Core>) {
        match mark {
            None => job(self.core, &self.recent),
            Some(mark) => {
                self.waiting.insert(mark, job);
            }
        }
    }

    async fn feed(&mut self, feed: Feed) {
        match feed {
            Feed::Message(message) => {
                self.fill(&message).await;
                self.deliver(*message);
                if self.work >= STEP {
                    self.work = 0;
                    tokio::task::yield_now().await;
                }
            }
            Feed::Mark(mark) => {
                if let Some(job) = self.waiting.remove(&mark) {
                    job(self.core, &self.recent);
                }
            }
            Feed::Up(head) => self.up(head).await,
            Feed::Down => {
                // What they wait for may be lost.
                self.waiting.clear();
                self.core.shared.metrics.cluster.set_up(false);
                tracing::warn!("the cluster's Redis is away");
            }
        }
    }

    fn deliver(&mut self, message: Incoming) {
        let id = message.place.id;
        if id <= self.recent.last() {
            return;
        }
        let scope = self.core.scope(Instant::now());
        let (event, is_heard) = scope.send_incoming(&message);
        self.known.note(message.entry.channel.clone(), id, is_heard);
        match event {
            Some(event) => self.recent.push(id, message.entry.channel, event),
            None => self.recent.pass(id),
        }
        self.cluster.stream.note_reached(id);
        self.work += 1 + scope.work.get();
    }

    /// Gets what has to come before a message, if something on its channel did not.
    async fn fill(&mut self, message: &Incoming) {
        let interest = &self.cluster.links.interest;
        self.known.forget(&interest.take_passed());
        let (channel, place) = (&message.entry.channel, message.place);
        let hole = self.known.hole(channel, place.before);
        // Who has just subscribed is promised nothing yet.
        let Some(after) = hole.filter(|_| !interest.is_settling(channel)) else {
            return;
        };
        let metrics = &self.core.shared.metrics.cluster;
        metrics.holes.increment();
        let pattern = ChannelPattern::from(channel.clone());
        let wants = vec![Want { pattern, after }];
        let has_history = self.core.scope(Instant::now()).has_history(channel);
        let is_filled = has_history && self.read_again(&wants, place.before).await;
        if !is_filled {
            self.core.scope(Instant::now()).tell_gap_of(channel);
        }
    }

    /// Delivers what is kept of these, up to a number, and tries again while the backplane is only slow; false if
    /// some of it cannot be had.
    async fn read_again(&mut self, wants: &[Want], up_to: u64) -> bool {
        for _ in 0..TRIES {
            match self.replay(wants.to_vec(), up_to).await {
                Ok(is_whole) => return is_whole,
                Err(_) if self.cluster.links.backplane.is_up() => sleep(RETRY).await,
                Err(_) => return false,
            }
        }
        false
    }

    /// Delivers what was missed while the backplane was away.
    async fn up(&mut self, head: Head) {
        self.core.shared.metrics.cluster.set_up(true);
        let last = self.recent.last();
        let is_same = self.epoch.as_ref().is_none_or(|epoch| *epoch == head.epoch);
        if !is_same {
            self.cluster.stream.note_renewed();
        }
        let before = self.epoch.replace(head.epoch);
        let is_first = before.is_none();
        if is_first {
            self.recent.begin(head.id);
            self.cluster.stream.note_reached(head.id);
            // Who has come before may have missed something.
            let scope = self.core.scope(Instant::now());
            for pattern in self.cluster.links.interest.patterns() {
                scope.tell_gap(&pattern);
            }
            resources::take_up(self.core).await;
            tracing::info!("the cluster's Redis is there");
            return;
        }
        tracing::info!(
            missed = head.id > last,
            is_same,
            "the cluster's Redis is there again"
        );
        if is_same && head.id <= last {
            return;
        }
        let patterns = self.cluster.links.interest.patterns();
        let scope = self.core.scope(Instant::now());
        let (kept, others): (Vec<_>, Vec<_>) = patterns
            .into_iter()
            .partition(|pattern| scope.router.is_kept(pattern));
        drop(scope);
        let wants: Vec<Want> = kept
            .iter()
            .map(|pattern| Want {
                pattern: pattern.clone(),
                after: last,
            })
            .collect();
        let Some(is_filled) = self.filled(wants, head.id).await else {
            // It is away again: all this is looked for when it is back.
            self.epoch = before;
            return;
        };
        let mut missed = self.missed(others, is_same, last).await;
        // What an empty Redis has got since comes too.
        if !is_filled || !is_same {
            missed.extend(kept);
        }
        let scope = self.core.scope(Instant::now());
        for pattern in &missed {
            scope.tell_gap(pattern);
        }
        drop(scope);
        // Whatever is missed is told of, or has come.
        drop(self.cluster.links.interest.take_passed());
        self.known.clear();
        self.recent.begin(head.id.max(self.recent.last()));
        self.cluster.stream.note_reached(self.recent.last());
    }

    /// Returns those of the channels and patterns without history of which a message may have been missed.
    async fn missed(
        &mut self,
        patterns: Vec<ChannelPattern>,
        is_same: bool,
        before: u64,
    ) -> Vec<ChannelPattern> {
        if !is_same {
            return patterns;
        }
        let channels: Vec<_> = patterns
            .iter()
            .filter_map(|pattern| pattern.channel())
            .collect();
        let last = self.cluster.links.backplane.last_of(channels.clone()).await;
        let Ok(last) = last else {
            return patterns;
        };
        let unmissed: std::collections::HashSet<&str> = channels
            .iter()
            .zip(last)
            .filter(|(_, last)| *last <= before)
            .map(|(channel, _)| channel.as_str())
            .collect();
        let missed = |pattern: &ChannelPattern| !unmissed.contains(pattern.as_str());
        patterns
            .iter()
            .filter(|pattern| missed(pattern))
            .cloned()
            .collect()
    }

    /// Delivers what is kept of these, up to a number; false if some of it cannot be had. Nothing: Redis is away.
    async fn filled(&mut self, mut wants: Vec<Want>, up_to: u64) -> Option<bool> {
        if wants.is_empty() {
            return Some(true);
        }
        for _ in 0..TRIES {
            for want in &mut wants {
                want.after = want.after.max(self.recent.last());
            }
            if let Ok(is_whole) = self.replay(wants.clone(), up_to).await {
                return Some(is_whole);
            }
            if !self.cluster.links.backplane.is_up() {
                return None;
            }
            sleep(RETRY).await;
        }
        Some(false)
    }

    /// Delivers what is kept of these, up to a number; false if some of it is not kept any more.
    ///
    /// # Errors
    /// It cannot be read now.
    async fn replay(&mut self, wants: Vec<Want>, up_to: u64) -> Result<bool, Failed> {
        let Some(store) = self.core.history.store() else {
            return Ok(false);
        };
        let mut position = wants
            .iter()
            .map(|want| want.after)
            .min()
            .unwrap_or_default();
        let mut is_whole = true;
        while position < up_to {
            let query = Query {
                wants: wants.clone(),
                selection: Selection::All,
                position,
                max_messages: PAGE,
                max_bytes: PAGE_BYTES,
            };
            let page = match store.read(query).await {
                Ok(page) => page,
                Err(failed) => {
                    self.log_unfilled(&failed);
                    return Err(failed);
                }
            };
            is_whole &= page.lost == 0;
            position = page.position;
            let is_end = page.is_end;
            let messages: VecDeque<_> = page.messages.into();
            for kept in messages {
                if kept.place.id > up_to {
                    return Ok(is_whole);
                }
                // What others have delivered since came first: it cannot come now.
                is_whole &= kept.place.id > self.recent.last();
                self.core.shared.metrics.cluster.filled.increment();
                self.deliver(Incoming {
                    place: kept.place,
                    entry: kept.entry,
                    publisher: None,
                });
            }
            if is_end {
                break;
            }
        }
        Ok(is_whole)
    }

    fn log_unfilled(&self, failed: &Failed) {
        if let Some(permit) = self.core.shared.metrics.may_log(Notice::History) {
            tracing::error!(
                suppressed = permit.suppressed,
                "messages were missed and cannot be read: {failed}"
            );
        }
    }
}
