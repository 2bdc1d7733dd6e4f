//! History in the model of Redis.

use std::time::SystemTime;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::Mutant;
use super::way::{Way, away};
use crate::bayeux::ChannelPattern;
use crate::history::{
    Entry, Epoch, Failed, Figures, Page, Place, Query, Saved, Store, Survey, Want,
};

impl Store for Way {
    fn epoch(&self) -> Epoch {
        "e".into()
    }

    fn append(&self, _batch: Vec<Entry>) -> BoxFuture<'_, Result<Vec<Place>, Failed>> {
        std::future::ready(Err(away())).boxed()
    }

    fn read(&self, query: Query) -> BoxFuture<'_, Result<Page, Failed>> {
        let is_skipped = self.redis.mutant == Mutant::NoReplay;
        self.ask(move |data| {
            let log = if is_skipped { &[] } else { &data.log[..] };
            let wanted = log.iter().filter(|kept| {
                let id = kept.place.id;
                let mut wants = query.wants.iter();
                id > query.position && wants.any(|want| want.takes(&kept.entry.channel, id))
            });
            let messages: Vec<_> = wanted.take(query.max_messages).cloned().collect();
            let is_end = messages.len() < query.max_messages;
            let last = messages.last().map_or(0, |kept| kept.place.id);
            Page {
                position: if is_end { data.last } else { last },
                messages,
                is_end,
                lost: 0,
            }
        })
    }

    fn survey(&self, want: Want, _max: usize) -> BoxFuture<'_, Result<Survey, Failed>> {
        self.ask(move |data| {
            let all = Want {
                after: 0,
                pattern: want.pattern,
            };
            let ids = data.log.iter();
            let ids = ids.filter(|kept| all.takes(&kept.entry.channel, kept.place.id));
            let ids: Vec<_> = ids.map(|kept| kept.place.id).collect();
            Survey {
                first: ids.first().copied(),
                last: ids.last().copied(),
                lost: 0,
                head: data.last,
                too_many: None,
            }
        })
    }

    fn remove(&self, _pattern: ChannelPattern, _up_to: u64) -> BoxFuture<'_, Result<u64, Failed>> {
        std::future::ready(Ok(0)).boxed()
    }

    fn trim(&self, _now: SystemTime) -> BoxFuture<'_, Result<(), Failed>> {
        std::future::ready(Ok(())).boxed()
    }

    fn figures(&self) -> Figures {
        Figures::default()
    }

    fn health(&self) -> Result<(), Failed> {
        Ok(())
    }

    fn is_durable(&self) -> bool {
        false
    }

    fn is_synced(&self) -> bool {
        false
    }

    fn save_sessions(&self, _batch: Vec<Saved>) -> BoxFuture<'_, Result<(), Failed>> {
        std::future::ready(Ok(())).boxed()
    }

    fn take_sessions(
        &self,
        _max_sessions: usize,
        _max_bytes: usize,
    ) -> BoxFuture<'_, Result<Vec<Saved>, Failed>> {
        std::future::ready(Ok(Vec::new())).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }
}
