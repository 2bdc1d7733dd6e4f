//! What is let go of: what is too old, or too much, or not wanted any more.
//!
//! A publish lets go of what it makes too much on its channel. Here is what no publish does; one node of all does it.

use std::sync::PoisonError;
use std::time::SystemTime;

use redis::Cmd;

use super::super::publishing::Bounds;
use super::super::{Redis, scripts, wire};
use super::finding::kind_and_base;
use super::reading::Logged;
use crate::bayeux::{ChannelName, ChannelPattern, Limits};
use crate::history::{Failed, Figures};

/// For how many milliseconds a node is the one that trims.
const LOCK: u64 = 5000;
/// How many messages of a channel go in one call.
const STEPS: usize = 200;
/// How many channels are looked at together.
const CHANNELS: usize = 128;
/// How many rounds there are at most: the rest waits until the next time.
const ROUNDS: usize = 50;
/// What a message, and a channel, take beside the bytes of bodies: about that.
const MESSAGE: u64 = 200;
const CHANNEL: u64 = 600;

/// What goes of a channel.
struct Cut {
    channel: String,
    bounds: Bounds,
    up_to: u64,
}

impl Redis {
    pub(super) async fn trim_all(&self, now: SystemTime) -> Result<(), Failed> {
        let keys = &self.link.keys;
        let mut lock = scripts::LOCK.call(&[&keys.trimmer]);
        lock.arg(&self.known.name).arg(LOCK);
        let is_mine: u64 = self.link.ask(&lock).await?;
        if is_mine == 1 {
            self.trim_old(wire::micros(now)).await?;
            self.sweep(wire::micros(now)).await?;
            self.forget_channels().await?;
            self.cut_oldest().await?;
        }
        self.count().await.map(drop)
    }

    /// Lets go of what has become too old.
    async fn trim_old(&self, now: u64) -> Result<(), Failed> {
        for _ in 0..ROUNDS {
            let mut due = redis::cmd("ZRANGEBYSCORE");
            due.arg(&self.link.keys.due).arg("-inf");
            due.arg(format!("({now}"))
                .arg(&["LIMIT", "0"])
                .arg(CHANNELS);
            let channels: Vec<String> = self.link.ask(&due).await?;
            let count = channels.len();
            self.cut_as_configured(channels, now).await?;
            if count < CHANNELS {
                break;
            }
        }
        Ok(())
    }

    /// Looks at some channels of all in turn, as their retention may be another than it was.
    async fn sweep(&self, now: u64) -> Result<(), Failed> {
        let cursor = {
            let cursor = self.known.cursor.lock();
            cursor.unwrap_or_else(PoisonError::into_inner).clone()
        };
        let channels = self.names_from(format!("({cursor}"), "+").await?;
        let next = if channels.len() < CHANNELS {
            String::new()
        } else {
            channels.last().cloned().unwrap_or_default()
        };
        *self
            .known
            .cursor
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = next;
        self.cut_as_configured(channels, now).await
    }

    async fn cut_as_configured(&self, channels: Vec<String>, now: u64) -> Result<(), Failed> {
        let cuts = channels.into_iter().filter_map(|channel| {
            let name = ChannelName::parse(&channel, &Limits::of_known_channels()).ok()?;
            let bounds = Bounds::of(&self.policy.of(&name));
            Some(Cut {
                channel,
                bounds,
                up_to: 0,
            })
        });
        self.cut(cuts.collect(), now).await.map(drop)
    }

    /// Makes cuts; returns how many messages went.
    ///
    /// # Errors
    /// One of them, or all, could not be made.
    async fn cut(&self, mut cuts: Vec<Cut>, now: u64) -> Result<u64, Failed> {
        let (mut count, mut failed) = (0, None);
        while !cuts.is_empty() {
            let calls = cuts.iter().map(|cut| self.cut_call(cut, now));
            let gone: Vec<Result<u64, Failed>> = self.link.run_all(calls.collect()).await?;
            count += gone.iter().flatten().sum::<u64>();
            let mut gone = gone.into_iter();
            cuts.retain(|_| match gone.next() {
                Some(Ok(gone)) => gone == STEPS as u64,
                Some(Err(error)) => {
                    failed = Some(error);
                    false
                }
                None => false,
            });
        }
        failed.map_or(Ok(count), Err)
    }

    fn cut_call(&self, cut: &Cut, now: u64) -> Cmd {
        let keys = &self.link.keys;
        let stream = keys.stream(&cut.channel);
        let mut call = scripts::CUT.call(&[
            &keys.numbers,
            &keys.log,
            &keys.empty,
            &keys.due,
            &keys.lost,
            &keys.sizes,
            &stream,
        ]);
        call.arg(&cut.channel)
            .arg(cut.bounds.messages)
            .arg(cut.bounds.bytes)
            .arg(cut.bounds.age)
            .arg(cut.up_to)
            .arg(now)
            .arg(STEPS);
        call
    }

    /// Forgets channels while there are more than `history.max_channels`.
    async fn forget_channels(&self) -> Result<(), Failed> {
        let keys = &self.link.keys;
        let mut call = scripts::FORGET.call(&[
            &keys.numbers,
            &keys.log,
            &keys.channels,
            &keys.names,
            &keys.empty,
            &keys.due,
            &keys.lost,
            &keys.sizes,
        ]);
        call.arg(self.known.max_channels)
            .arg(keys.streams())
            .arg(STEPS);
        for _ in 0..ROUNDS {
            let is_more: u64 = self.link.ask(&call).await?;
            if is_more == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Lets go of the oldest of all messages while they take more than `history.max_bytes`.
    async fn cut_oldest(&self) -> Result<(), Failed> {
        for _ in 0..ROUNDS {
            let over = self
                .count()
                .await?
                .bytes
                .saturating_sub(self.known.max_bytes);
            if over == 0 {
                break;
            }
            let mut oldest = redis::cmd("XRANGE");
            oldest.arg(&self.link.keys.log).arg(&["-", "+", "COUNT"]);
            let entries: Vec<Logged> = self.link.ask(oldest.arg(CHANNELS)).await?;
            if entries.is_empty() {
                break;
            }
            let mut left = over;
            let mut cuts: Vec<Cut> = Vec::new();
            for (place, (_, channel)) in entries {
                let (up_to, len) = super::reading::place(&place);
                cuts.push(Cut {
                    channel,
                    bounds: Bounds::NONE,
                    up_to,
                });
                left = left.saturating_sub(len as u64 + MESSAGE);
                if left == 0 {
                    break;
                }
            }
            self.cut(cuts, 0).await?;
        }
        Ok(())
    }

    /// Finds out how much is kept.
    async fn count(&self) -> Result<Figures, Failed> {
        let keys = &self.link.keys;
        let mut pipeline = redis::pipe();
        let numbers = pipeline.cmd("HMGET").arg(&keys.numbers);
        numbers.arg(&["messages", "bytes"]);
        pipeline.cmd("ZCARD").arg(&keys.channels);
        type Counts = ((Option<u64>, Option<u64>), u64);
        let ((messages, bytes), channels): Counts = self.link.ask_all(&pipeline).await?;
        let messages = messages.unwrap_or(0);
        let figures = Figures {
            messages,
            bytes: bytes.unwrap_or(0) + messages * MESSAGE + channels * CHANNEL,
            channels,
        };
        *self
            .known
            .figures
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = figures;
        Ok(figures)
    }

    pub(super) async fn remove_all(
        &self,
        pattern: ChannelPattern,
        up_to: u64,
    ) -> Result<u64, Failed> {
        let cut = |channel: String| Cut {
            channel,
            bounds: Bounds::NONE,
            up_to,
        };
        let (kind, base) = kind_and_base(&pattern);
        let mut count = 0;
        if kind == "channel" {
            count = self.cut(vec![cut(base.to_owned())], 0).await?;
        } else {
            let end = format!("[{base}\u{7f}");
            let mut from = format!("[{base}");
            loop {
                let channels = self.names_from(from, &end).await?;
                let last = channels.last().cloned();
                let is_end = channels.len() < CHANNELS;
                let channels = channels.into_iter();
                let channels = channels.filter(|channel| pattern.covers(channel));
                count += self.cut(channels.map(cut).collect(), 0).await?;
                match last {
                    Some(last) if !is_end => from = format!("({last}"),
                    _ => break,
                }
            }
        }
        self.count().await?;
        Ok(count)
    }

    /// Returns some names of channels, from one on.
    async fn names_from(&self, from: String, to: &str) -> Result<Vec<String>, Failed> {
        let mut ranged = redis::cmd("ZRANGEBYLEX");
        ranged.arg(&self.link.keys.names).arg(from).arg(to);
        self.link
            .ask(ranged.arg(&["LIMIT", "0"]).arg(CHANNELS))
            .await
    }
}
