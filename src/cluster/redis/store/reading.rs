//! Pages.

use std::collections::HashMap;

use redis::Pipeline;

use super::super::{Redis, number, wire};
use super::finding::{Channel, Found, wanted};
use crate::history::{Failed, Kept, Page, Query, Selection};

/// How many messages of all are looked at in one step, and how many steps make a page.
const STEP: usize = 1000;
const MAX_STEPS: usize = 5;
/// How many channels that have let go of messages are looked at.
const MAX_LOST: usize = 1000;
/// The newest messages of so many channels are asked for together.
const NEWEST: usize = 64;

/// A message in a stream: its place there, and what it says.
pub(super) type Streamed = (String, (String, Vec<u8>));
/// A message in the stream of all: its place there, and its channel.
pub(super) type Logged = (String, (String, String));

/// A page that is being filled.
struct Filling {
    page: Page,
    bytes: usize,
    max_messages: usize,
    max_bytes: usize,
}

impl Filling {
    fn new(query: &Query) -> Self {
        let page = Page {
            messages: Vec::new(),
            position: query.position,
            is_end: false,
            lost: 0,
        };
        Self {
            page,
            bytes: 0,
            max_messages: query.max_messages,
            max_bytes: query.max_bytes,
        }
    }

    /// Counts one more message, if there is room.
    fn admit(&mut self, count: usize, len: usize) -> bool {
        let is_full = count >= self.max_messages || self.bytes + len > self.max_bytes;
        if is_full && count > 0 {
            return false;
        }
        self.bytes += len;
        true
    }

    fn end(mut self, head: u64) -> Page {
        self.page.is_end = true;
        self.page.position = self.page.position.max(head);
        self.page
    }
}

impl Redis {
    pub(super) async fn read_page(&self, query: Query) -> Result<Page, Failed> {
        let position = query.position;
        let after = |after: u64| i128::from(after.max(position));
        let wants = query.wants.iter();
        let found = self
            .find_channels(wants.map(|want| (&want.pattern, after(want.after))))
            .await?;
        let Some(head) = found.iter().map(|found| found.head).min() else {
            let head = self.link.head().await?.id;
            return Ok(Filling::new(&query).end(head));
        };
        match (query.selection, few(found, self.few)) {
            (Selection::All, Some(channels)) => self.merge(&query, head, &channels).await,
            (Selection::All, None) => self.walk(&query, head).await,
            (Selection::LastOfEach(limit), Some(channels)) => {
                let mut newest: Vec<_> = channels
                    .into_iter()
                    .map(|channel| (channel.name, channel.last))
                    .filter(|(_, last)| *last <= limit)
                    .collect();
                newest.sort_unstable_by_key(|(_, last)| *last);
                self.newest(&query, head, newest, true).await
            }
            (Selection::LastOfEach(limit), None) => self.walk_newest(&query, head, limit).await,
        }
    }

    /// Merges the messages of few channels.
    async fn merge(&self, query: &Query, head: u64, channels: &[Channel]) -> Result<Page, Failed> {
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        let counts: Vec<_> = channels
            .iter()
            .map(|channel| {
                let after = wanted(&query.wants, &channel.name).unwrap_or(u64::MAX);
                let after = after.max(query.position);
                let count = chunk(query, channel, channels.len());
                let stream = self.link.keys.stream(&channel.name);
                range(&mut pipeline, &stream, after.saturating_add(1), head, count);
                count
            })
            .collect();
        let names = channels.iter().map(|channel| channel.name.as_str());
        self.ask_lost(&mut pipeline, query, Some(names.collect()));
        let mut answers: Vec<redis::Value> = self.link.ask_all(&pipeline).await?;
        let lost = answers.split_off(channels.len());
        // Up to here all are known of.
        let mut end = head;
        let mut streamed = Vec::new();
        for (answer, count) in answers.into_iter().zip(counts) {
            let entries: Vec<Streamed> = parsed(answer)?;
            if entries.len() == count {
                end = end.min(entries.last().map_or(end, |entry| place(&entry.0).0));
            }
            streamed.extend(
                entries
                    .into_iter()
                    .map(|entry| (place(&entry.0).0, entry.1.1)),
            );
        }
        streamed.retain(|(id, _)| *id <= end);
        streamed.sort_unstable_by_key(|(id, _)| *id);
        let mut filling = Filling::new(query);
        filling.page.lost = told_lost(query, Some(channels), lost)?;
        for (id, payload) in streamed {
            let kept = kept(payload)?;
            if !filling.admit(filling.page.messages.len(), kept.entry.body.len()) {
                return Ok(filling.page);
            }
            filling.page.messages.push(kept);
            filling.page.position = id;
        }
        filling.page.position = filling.page.position.max(end);
        if end < head {
            return Ok(filling.page);
        }
        Ok(filling.end(head))
    }

    /// Walks all messages.
    async fn walk(&self, query: &Query, head: u64) -> Result<Page, Failed> {
        let mut filling = Filling::new(query);
        let first = query.wants.iter().map(|want| want.after).min();
        let mut position = query.position.max(first.unwrap_or(0));
        let mut chosen: Vec<Logged> = Vec::new();
        let mut known: HashMap<String, Option<u64>> = HashMap::new();
        let mut is_end = false;
        'steps: for _ in 0..MAX_STEPS {
            let mut pipeline = redis::pipe();
            let log = &self.link.keys.log;
            range(&mut pipeline, log, position.saturating_add(1), head, STEP);
            let (entries,): (Vec<Logged>,) = self.link.ask_all(&pipeline).await?;
            let count = entries.len();
            for entry in entries {
                let (id, len) = place(&entry.0);
                let channel = &entry.1.1;
                let after = known
                    .entry(channel.clone())
                    .or_insert_with(|| wanted(&query.wants, channel));
                if after.is_some_and(|after| id > after) {
                    if !filling.admit(chosen.len(), len) {
                        break 'steps;
                    }
                    chosen.push(entry);
                }
                position = id;
            }
            is_end = count < STEP;
            if is_end || !chosen.is_empty() {
                break;
            }
        }
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        for (place, (_, channel)) in &chosen {
            let stream = self.link.keys.stream(channel);
            pipeline.cmd("XRANGE").arg(stream).arg(place).arg(place);
        }
        self.ask_lost(&mut pipeline, query, None);
        let mut answers: Vec<redis::Value> = self.link.ask_all(&pipeline).await?;
        let lost = answers.split_off(chosen.len());
        for answer in answers {
            // Some may have gone meanwhile.
            for (_, (_, payload)) in parsed::<Vec<Streamed>>(answer)? {
                filling.page.messages.push(kept(payload)?);
            }
        }
        filling.page.position = position.max(query.position);
        filling.page.lost = told_lost(query, None, lost)?;
        if is_end {
            return Ok(filling.end(head));
        }
        Ok(filling.page)
    }

    /// Walks all channels in the order of their last messages.
    async fn walk_newest(&self, query: &Query, head: u64, limit: u64) -> Result<Page, Failed> {
        let first = query.wants.iter().map(|want| want.after).min();
        let position = query.position.max(first.unwrap_or(0));
        let mut command = redis::cmd("ZRANGEBYSCORE");
        command
            .arg(&self.link.keys.channels)
            .arg(format!("({position}"))
            .arg(limit)
            .arg("WITHSCORES")
            .arg(&["LIMIT", "0"])
            .arg(STEP);
        let scores: Vec<(String, f64)> = self.link.ask(&command).await?;
        let is_end = scores.len() < STEP;
        let end = scores.last().map_or(position, |(_, score)| number(*score));
        let newest = scores
            .into_iter()
            .map(|(name, score)| (name, number(score)))
            .filter(|(name, last)| wanted(&query.wants, name).is_some_and(|after| *last > after));
        let newest: Vec<_> = newest.collect();
        let mut page = self.newest(query, head, newest, is_end).await?;
        if !page.is_end && page.messages.is_empty() && page.position == query.position {
            page.position = end.max(query.position);
        }
        Ok(page)
    }

    /// Reads the newest messages of channels, which are in order; `is_all`: there are no more.
    async fn newest(
        &self,
        query: &Query,
        head: u64,
        newest: Vec<(String, u64)>,
        is_all: bool,
    ) -> Result<Page, Failed> {
        let mut filling = Filling::new(query);
        let mut rest = newest.as_slice();
        while !rest.is_empty() {
            let (some, others) = rest.split_at(rest.len().min(NEWEST));
            rest = others;
            let mut pipeline = redis::pipe();
            for (name, _) in some {
                let stream = self.link.keys.stream(name);
                let newest = pipeline.cmd("XREVRANGE").arg(stream);
                newest.arg(&["+", "-", "COUNT", "1"]);
            }
            let answers: Vec<Vec<Streamed>> = self.link.ask_all(&pipeline).await?;
            for ((_, last), entries) in some.iter().zip(answers) {
                // It may have got another meanwhile, or have lost it.
                let entry = entries.into_iter().find(|entry| place(&entry.0).0 == *last);
                if let Some((_, (_, payload))) = entry {
                    let kept = kept(payload)?;
                    if !filling.admit(filling.page.messages.len(), kept.entry.body.len()) {
                        return Ok(filling.page);
                    }
                    filling.page.messages.push(kept);
                }
                filling.page.position = filling.page.position.max(*last);
            }
        }
        if is_all {
            return Ok(filling.end(head));
        }
        Ok(filling.page)
    }

    /// Asks what is missing: of some channels, or of all.
    fn ask_lost(&self, pipeline: &mut Pipeline, query: &Query, names: Option<Vec<&str>>) {
        let keys = &self.link.keys;
        pipeline.cmd("HGET").arg(&keys.numbers).arg("forgotten");
        match names {
            Some(names) if names.is_empty() => {}
            Some(names) => {
                pipeline.cmd("ZMSCORE").arg(&keys.lost).arg(names);
            }
            None => {
                let after = first_after(query);
                let ranged = pipeline.cmd("ZREVRANGEBYSCORE").arg(&keys.lost);
                let ranged = ranged.arg("+inf").arg(format!("({after}"));
                ranged.arg("WITHSCORES").arg(&["LIMIT", "0"]).arg(MAX_LOST);
            }
        }
    }
}

/// Returns all channels that were found, each once, if they are few together.
fn few(found: Vec<Found>, few: usize) -> Option<Vec<Channel>> {
    let mut channels: HashMap<String, Channel> = HashMap::new();
    for found in found {
        for channel in found.channels? {
            channels.insert(channel.name.clone(), channel);
        }
    }
    (channels.len() <= few).then(|| channels.into_values().collect())
}

/// Returns how many messages of a channel are asked for: about as many as the page has room for.
fn chunk(query: &Query, channel: &Channel, channels: usize) -> usize {
    let count = if channels == 1 {
        query.max_messages + 1
    } else {
        8 + 2 * query.max_messages / channels
    };
    let average = channel.size / channel.count.max(1);
    let bytes = 2 * query.max_bytes as u64 / channels as u64;
    let by_size = usize::try_from(bytes / average.max(1)).unwrap_or(usize::MAX);
    count.min(by_size.saturating_add(1))
}

/// Asks for messages with numbers from one to another.
fn range(pipeline: &mut Pipeline, stream: &str, from: u64, to: u64, count: usize) {
    // Redis does not take a range that ends before it begins.
    let to = to.max(from);
    let ranged = pipeline.cmd("XRANGE").arg(stream).arg(from).arg(to);
    ranged.arg("COUNT").arg(count);
}

/// Returns the number that a place in a stream has, and how many bytes the body.
pub(super) fn place(place: &str) -> (u64, usize) {
    let (id, len) = place.split_once('-').unwrap_or((place, "0"));
    (id.parse().unwrap_or(0), len.parse().unwrap_or(0))
}

pub(super) fn parsed<T: redis::FromRedisValue>(value: redis::Value) -> Result<T, Failed> {
    redis::from_redis_value(value).map_err(|error| Failed::Io(error.to_string().into()))
}

fn kept(payload: Vec<u8>) -> Result<Kept, Failed> {
    let message = wire::read(payload);
    let message = message.ok_or_else(|| Failed::Io("what is kept is no message".into()))?;
    let (place, entry) = (message.place, message.entry);
    Ok(Kept { place, entry })
}

fn first_after(query: &Query) -> u64 {
    let first = query.wants.iter().map(|want| want.after).min();
    first.unwrap_or(u64::MAX).max(query.position)
}

/// Returns the largest number of a message that is missing.
fn told_lost(
    query: &Query,
    channels: Option<&[Channel]>,
    answers: Vec<redis::Value>,
) -> Result<u64, Failed> {
    let mut answers = answers.into_iter();
    let forgotten: Option<u64> = parsed(answers.next().unwrap_or_default())?;
    let forgotten = forgotten.filter(|forgotten| *forgotten > first_after(query));
    let mut most = forgotten.unwrap_or(0);
    let is_missing = |channel: &str, lost: u64| {
        let after = wanted(&query.wants, channel);
        after.is_some_and(|after| lost > after.max(query.position))
    };
    let answer = answers.next().unwrap_or_default();
    if let Some(channels) = channels {
        let scores: Option<Vec<Option<f64>>> = parsed(answer)?;
        for (channel, score) in channels.iter().zip(scores.into_iter().flatten()) {
            let lost = score.map_or(0, number);
            if is_missing(&channel.name, lost) {
                most = most.max(lost);
            }
        }
        return Ok(most);
    }
    let scores: Vec<(String, f64)> = parsed(answer)?;
    let count = scores.len();
    let mut scores = scores
        .into_iter()
        .map(|(name, score)| (name, number(score)));
    let mut last = 0;
    let found = scores.find(|(name, lost)| {
        last = *lost;
        is_missing(name, *lost)
    });
    let lost = found.map_or(0, |(_, lost)| lost);
    // Among those that were not looked at there may be one.
    Ok(most.max(if lost == 0 && count == MAX_LOST {
        last
    } else {
        lost
    }))
}
