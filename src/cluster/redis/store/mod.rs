//! Messages that can be had again, in Redis: a stream of each channel, and one of all that says in which order they
//! came.
//!
//! Few channels are read by merging their streams; of many, all that came is walked. What is to be read is fixed by the
//! largest number at the beginning of a page, and what is missing is asked together with the messages, so both are as
//! of one moment.

mod back;
mod finding;
mod reading;
mod surveying;
mod trimming;

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::Redis;
use crate::bayeux::ChannelPattern;
use crate::cluster::{NotPublished, Outgoing};
use crate::history::{
    Entry, Epoch, Failed, Figures, Page, Place, Query, Saved, Settings, Store, Survey, Want,
};

/// Up to how many channels of a pattern are merged: above, all messages are walked.
pub(super) const FEW: usize = 64;

/// What the store knows beside what is in Redis.
#[derive(Debug)]
pub(super) struct Known {
    max_bytes: u64,
    max_channels: usize,
    figures: Mutex<Figures>,
    /// Who this is among those who trim, and behind which channel it goes on.
    pub(super) name: String,
    cursor: Mutex<String>,
}

impl Known {
    pub(super) fn new(settings: &Settings, name: String) -> Self {
        Self {
            max_bytes: settings.max_bytes.as_u64(),
            max_channels: settings.max_channels,
            figures: Mutex::default(),
            name,
            cursor: Mutex::default(),
        }
    }
}

impl Redis {
    async fn keep(&self, batch: Vec<Entry>) -> Result<Vec<Place>, Failed> {
        let batch = batch.into_iter().map(|entry| Outgoing {
            entry,
            publisher: None,
            expected: None,
            once: None,
        });
        let places = self.publish_all(batch.collect(), true).await?;
        let kept = places.into_iter().map(|place| match place {
            Ok(place) => Ok(place),
            Err(NotPublished::Failed(failed)) => Err(failed),
            Err(NotPublished::Unexpected(_) | NotPublished::Reused) => {
                Err(Failed::Io("nothing was expected".into()))
            }
        });
        kept.collect()
    }
}

impl Store for Redis {
    fn epoch(&self) -> Epoch {
        self.link.epoch()
    }

    /// Those who have subscribed hear of them.
    fn append(&self, batch: Vec<Entry>) -> BoxFuture<'_, Result<Vec<Place>, Failed>> {
        self.keep(batch).boxed()
    }

    fn read(&self, query: Query) -> BoxFuture<'_, Result<Page, Failed>> {
        self.read_page(query).boxed()
    }

    fn survey(&self, want: Want, max: usize) -> BoxFuture<'_, Result<Survey, Failed>> {
        self.find_what_there_is(want, max).boxed()
    }

    fn remove(&self, pattern: ChannelPattern, up_to: u64) -> BoxFuture<'_, Result<u64, Failed>> {
        self.remove_all(pattern, up_to).boxed()
    }

    fn trim(&self, now: SystemTime) -> BoxFuture<'_, Result<(), Failed>> {
        self.trim_all(now).boxed()
    }

    fn figures(&self) -> Figures {
        *self
            .known
            .figures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self) -> Result<(), Failed> {
        self.link.health()
    }

    fn is_durable(&self) -> bool {
        false
    }

    fn is_synced(&self) -> bool {
        false
    }

    /// Sessions go to other nodes instead.
    fn save_sessions(&self, _batch: Vec<Saved>) -> BoxFuture<'_, Result<(), Failed>> {
        let why = "sessions are not kept in Redis over a restart";
        ready(Err(Failed::Io(why.into()))).boxed()
    }

    fn take_sessions(
        &self,
        _max_sessions: usize,
        _max_bytes: usize,
    ) -> BoxFuture<'_, Result<Vec<Saved>, Failed>> {
        ready(Ok(Vec::new())).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }
}
