//! The way back through the numbers of messages, from the newest.

use std::collections::VecDeque;

use super::super::{Redis, scripts};
use super::finding::wanted;
use super::reading::{Logged, place};
use crate::history::{Failed, Want};

/// How many numbers are asked for together.
const CHUNK: usize = 500;

/// Goes through the numbers of what is wanted, the largest first.
pub(super) struct Back<'a> {
    redis: &'a Redis,
    want: &'a Want,
    sources: Vec<Source>,
}

/// One channel, or all.
struct Source {
    /// A channel; nothing: all that came, of which some is wanted.
    channel: Option<String>,
    ids: VecDeque<u64>,
    /// From where the next are asked for, unless there are no more.
    from: Option<u64>,
}

impl<'a> Back<'a> {
    /// Begins at a number: by the streams of these channels, or by that of all.
    pub(super) fn new(
        redis: &'a Redis,
        want: &'a Want,
        head: u64,
        channels: Option<Vec<String>>,
    ) -> Self {
        let source = |channel| Source {
            channel,
            ids: VecDeque::new(),
            from: Some(head),
        };
        let sources = match channels {
            Some(channels) => channels.into_iter().map(Some).map(source).collect(),
            None => vec![source(None)],
        };
        Self {
            redis,
            want,
            sources,
        }
    }

    /// Returns the next number that is larger than the one after which messages are wanted.
    pub(super) async fn next(&mut self) -> Result<Option<u64>, Failed> {
        let mut largest: Option<&mut Source> = None;
        for source in &mut self.sources {
            while let (true, Some(from)) = (source.ids.is_empty(), source.from) {
                look_up(self.redis, self.want, source, from).await?;
            }
            let is_larger = largest
                .as_ref()
                .is_none_or(|largest| source.ids.front() > largest.ids.front());
            if is_larger {
                largest = Some(source);
            }
        }
        Ok(largest.and_then(|source| source.ids.pop_front()))
    }
}

async fn look_up(redis: &Redis, want: &Want, source: &mut Source, from: u64) -> Result<(), Failed> {
    let after = want.after.saturating_add(1);
    if from < after {
        source.from = None;
        return Ok(());
    }
    let (count, last) = match &source.channel {
        Some(channel) => {
            let mut call = scripts::IDS.call(&[redis.link.keys.stream(channel)]);
            call.arg(from).arg(after).arg(CHUNK);
            let ids: Vec<u64> = redis.link.ask(&call).await?;
            source.ids.extend(&ids);
            (ids.len(), ids.last().copied())
        }
        None => {
            let mut ranged = redis::cmd("XREVRANGE");
            ranged.arg(&redis.link.keys.log).arg(from).arg(after);
            ranged.arg("COUNT").arg(CHUNK);
            let entries: Vec<Logged> = redis.link.ask(&ranged).await?;
            let ids = entries
                .iter()
                .map(|(id, (_, channel))| (place(id).0, channel));
            let wants = std::slice::from_ref(want);
            let ids = ids.filter(|(_, channel)| wanted(wants, channel).is_some());
            source.ids.extend(ids.map(|(id, _)| id));
            (entries.len(), entries.last().map(|(id, _)| place(id).0))
        }
    };
    source.from = last.filter(|_| count == CHUNK).map(|last| last - 1);
    Ok(())
}
