//! A store that keeps sessions in this process, for the servers that follow each other in it; and can fail.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use mirant::bayeux::ChannelPattern;
use mirant::history::{
    Entry, Epoch, Failed, Figures, History, Page, Place, Query, Saved, Settings, Store, Survey,
    Want,
};

/// What outlives a server.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    sessions: Mutex<BTreeMap<String, Saved>>,
    /// Nothing can be written, or read.
    pub(crate) is_broken: AtomicBool,
    /// Nothing is ever written.
    pub(crate) hangs: AtomicBool,
}

impl Keeper {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn history(self: &Arc<Self>) -> History {
        let settings = Settings {
            save_timeout: Duration::from_millis(500),
            ..Settings::default()
        };
        History::new(Arc::clone(self) as Arc<dyn Store>, settings)
    }

    /// How many sessions it has.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Changes what there is of all sessions.
    pub(crate) fn edit(&self, edit: impl Fn(&str) -> String) {
        for saved in self.lock().values_mut() {
            let text = std::str::from_utf8(&saved.state).unwrap();
            saved.state = edit(text).into();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Saved>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self) -> Result<(), Failed> {
        if self.is_broken.load(SeqCst) {
            return Err(Failed::Io("the disk is gone".into()));
        }
        Ok(())
    }
}

fn ready<'a, T: Send + 'a>(value: Result<T, Failed>) -> BoxFuture<'a, Result<T, Failed>> {
    Box::pin(std::future::ready(value))
}

fn nothing<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T, Failed>> {
    ready(Err(Failed::Io("it keeps sessions only".into())))
}

impl Store for Keeper {
    fn epoch(&self) -> Epoch {
        "test".into()
    }

    fn append(&self, _: Vec<Entry>) -> BoxFuture<'_, Result<Vec<Place>, Failed>> {
        nothing()
    }

    fn read(&self, _: Query) -> BoxFuture<'_, Result<Page, Failed>> {
        nothing()
    }

    fn survey(&self, _: Want, _: usize) -> BoxFuture<'_, Result<Survey, Failed>> {
        nothing()
    }

    fn remove(&self, _: ChannelPattern, _: u64) -> BoxFuture<'_, Result<u64, Failed>> {
        nothing()
    }

    fn trim(&self, _: SystemTime) -> BoxFuture<'_, Result<(), Failed>> {
        ready(Ok(()))
    }

    fn figures(&self) -> Figures {
        Figures::default()
    }

    fn health(&self) -> Result<(), Failed> {
        self.check()
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn is_synced(&self) -> bool {
        true
    }

    fn save_sessions(&self, batch: Vec<Saved>) -> BoxFuture<'_, Result<(), Failed>> {
        if self.hangs.load(SeqCst) {
            return Box::pin(std::future::pending());
        }
        let checked = self.check();
        if checked.is_ok() {
            let sessions = batch.into_iter();
            self.lock()
                .extend(sessions.map(|saved| (saved.key.clone(), saved)));
        }
        ready(checked)
    }

    fn take_sessions(
        &self,
        max_sessions: usize,
        max_bytes: usize,
    ) -> BoxFuture<'_, Result<Vec<Saved>, Failed>> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        let mut sessions = self.lock();
        while taken.len() < max_sessions
            && let Some(first) = sessions.first_entry()
        {
            bytes += first.get().state.len();
            if bytes > max_bytes && !taken.is_empty() {
                break;
            }
            taken.push(first.remove());
        }
        ready(self.check().map(|()| taken))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
