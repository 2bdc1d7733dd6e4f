//! Messages on their way to Redis: each is one call of a script, many in one write.

use std::time::SystemTime;

use redis::Cmd;

use super::Redis;
use super::keys::Keys;
use super::{scripts, wire};
use crate::cluster::{NotPublished, Outgoing};
use crate::history::{Failed, Place, Retention};

/// So much is no bound.
const UNBOUNDED: u64 = 1 << 53;
/// What scripts answer if something else was published under a key.
const REUSED: i64 = -2;

impl Redis {
    /// Publishes messages; they came when their numbers say, unless they say it themselves.
    pub(super) async fn publish_all(
        &self,
        batch: Vec<Outgoing>,
        has_times: bool,
    ) -> Result<Vec<Result<Place, NotPublished>>, Failed> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let calls = batch.iter().map(|outgoing| {
            let at = has_times.then_some(outgoing.entry.at);
            let retention = self.policy.of(&outgoing.entry.channel);
            call(&self.link.keys, outgoing, at, retention, self.max_channels)
        });
        let answers = self.link.run_all(calls.collect()).await?;
        let places = answers.into_iter().map(|answer| {
            let (id, before): (i64, u64) = answer.map_err(NotPublished::Failed)?;
            let id = u64::try_from(id).map_err(|_| match id {
                REUSED => NotPublished::Reused,
                _ => NotPublished::Unexpected(before),
            })?;
            self.link.saw(id);
            Ok(Place { id, before })
        });
        Ok(places.collect())
    }
}

/// Returns the call that publishes a message.
fn call(
    keys: &Keys,
    outgoing: &Outgoing,
    at: Option<SystemTime>,
    retention: Retention,
    max_channels: usize,
) -> Cmd {
    let Outgoing {
        entry,
        publisher,
        expected,
        once,
    } = outgoing;
    let channel = entry.channel.as_str();
    let mut names = vec![keys.numbers.clone(), keys.lasts.clone()];
    if retention.is_on() {
        names.extend(
            [
                &keys.log,
                &keys.channels,
                &keys.names,
                &keys.empty,
                &keys.due,
                &keys.lost,
                &keys.sizes,
            ]
            .map(String::clone),
        );
        names.push(keys.stream(channel));
    }
    names.extend(once.as_ref().map(|once| keys.once(&once.key)));
    let script = if retention.is_on() {
        &scripts::KEEP
    } else {
        &scripts::PUBLISH
    };
    let mut call = script.call(&names);
    match expected {
        Some(expected) => call.arg(expected),
        None => call.arg(""),
    };
    match once {
        Some(once) => {
            let within = millis(once.within.as_millis());
            call.arg(format!("{within} {} {}", once.index, once.body))
        }
        None => call.arg(""),
    };
    call.arg(max_channels);
    call.arg(wire::tail(entry, at, *publisher)).arg(channel);
    if retention.is_on() {
        let bounds = Bounds::of(&retention);
        call.arg(at.map_or(0, wire::micros))
            .arg(entry.body.len())
            .arg(bounds.messages)
            .arg(bounds.bytes)
            .arg(bounds.age);
    }
    let mut form = keys.forms();
    let start = form.len();
    entry.channel.each_pattern(|pattern| {
        form.truncate(start);
        form.push_str(pattern);
        call.arg(&form);
    });
    call
}

fn millis(millis: u128) -> u64 {
    u64::try_from(millis)
        .unwrap_or(UNBOUNDED)
        .clamp(1, UNBOUNDED)
}

/// A retention as scripts take it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    /// In microseconds; 0: any.
    pub(super) age: u64,
}

impl Bounds {
    /// Everything is kept.
    pub(super) const NONE: Self = Self {
        messages: UNBOUNDED,
        bytes: UNBOUNDED,
        age: 0,
    };

    pub(super) fn of(retention: &Retention) -> Self {
        let age = retention.age.map_or(0, |age| age.as_micros().max(1));
        let messages = retention.messages.unwrap_or(UNBOUNDED);
        let bytes = retention.bytes.map_or(UNBOUNDED, |bytes| bytes.as_u64());
        Self {
            messages: if retention.is_on() { messages } else { 0 },
            bytes,
            age: u64::try_from(age).unwrap_or(UNBOUNDED).min(UNBOUNDED),
        }
    }
}
