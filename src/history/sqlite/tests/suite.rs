//! It does what every store does.

use std::sync::{Arc, Mutex, PoisonError};

use super::Scratch;
use crate::history::suite::{self, Bounds, Factory};
use crate::history::{Settings, Store};

/// Opens stores, each in a directory of its own; the last of them again.
#[derive(Default)]
struct Files(Mutex<Vec<Scratch>>);

impl Files {
    fn open_in(scratch: &Scratch, bounds: Bounds) -> Arc<dyn Store> {
        let settings = Settings {
            max_bytes: bounds.max_bytes,
            max_channels: bounds.max_channels,
            ..super::settings()
        };
        Arc::new(scratch.open_with(&settings, bounds.policy))
    }
}

impl Factory for Files {
    fn open(&self, bounds: Bounds) -> Arc<dyn Store> {
        let scratch = Scratch::new();
        let store = Self::open_in(&scratch, bounds);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(scratch);
        store
    }

    fn reopen(&self, bounds: Bounds) -> Arc<dyn Store> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Self::open_in(all.last().expect("it was opened"), bounds)
    }
}

#[test]
fn it_does_what_every_store_does() {
    suite::all(&Files::default());
}

#[test]
fn it_does_what_plain_lists_do() {
    suite::model::check(&Files::default(), 40);
}
