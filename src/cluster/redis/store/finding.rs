//! Which channels a pattern has.

use redis::Cmd;

use super::super::{Redis, scripts};
use crate::bayeux::ChannelPattern;
use crate::cluster::redis::keys::Keys;
use crate::history::{Failed, Want};

/// A channel that was found.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    pub(super) name: String,
    /// The number of its last message, kept or not.
    pub(super) last: u64,
    /// How many messages are kept, and how many bytes.
    pub(super) count: u64,
    pub(super) size: u64,
}

/// What was found of a pattern, as of one moment.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) head: u64,
    /// Up to this number messages of channels that are not known any more may be missing.
    pub(super) forgotten: u64,
    /// Its channels; nothing: they are not few.
    pub(super) channels: Option<Vec<Channel>>,
}

type Answer = (u64, u64, u64, Vec<(String, u64, u64, u64)>);

impl Redis {
    /// Finds the channels of each pattern that have messages with larger numbers.
    pub(super) async fn find_channels(
        &self,
        wants: impl Iterator<Item = (&ChannelPattern, i128)>,
    ) -> Result<Vec<Found>, Failed> {
        let keys = &self.link.keys;
        let calls = wants.map(|(pattern, after)| call(keys, pattern, after, self.few));
        let answers: Vec<Result<Answer, Failed>> = self.link.run_all(calls.collect()).await?;
        let found = answers.into_iter().map(|answer| {
            let (head, forgotten, is_too_many, channels) = answer?;
            let channels = channels.into_iter();
            let channels = channels.map(|(name, last, count, size)| Channel {
                name,
                last,
                count,
                size,
            });
            Ok(Found {
                head,
                forgotten,
                channels: (is_too_many == 0).then(|| channels.collect()),
            })
        });
        found.collect()
    }
}

fn call(keys: &Keys, pattern: &ChannelPattern, after: i128, few: usize) -> Cmd {
    let (kind, base) = kind_and_base(pattern);
    let names = [&keys.numbers, &keys.channels, &keys.names, &keys.sizes];
    let mut call = scripts::FIND.call(&names);
    call.arg(kind)
        .arg(base)
        .arg(after.to_string())
        .arg(few)
        .arg(keys.streams());
    call
}

/// Returns which kind of pattern it is, and what the names of its channels begin with.
pub(super) fn kind_and_base(pattern: &ChannelPattern) -> (&'static str, &str) {
    let text = pattern.as_str();
    if let Some(base) = text.strip_suffix("**").filter(|base| base.ends_with('/')) {
        ("all", base)
    } else if let Some(base) = text.strip_suffix('*').filter(|base| base.ends_with('/')) {
        ("children", base)
    } else {
        ("channel", text)
    }
}

/// Returns from where on a channel is wanted, if it is.
pub(super) fn wanted(wants: &[Want], channel: &str) -> Option<u64> {
    let is_of = |want: &&Want| want.pattern.covers(channel);
    let wants = wants.iter().filter(is_of);
    wants.map(|want| want.after).min()
}
