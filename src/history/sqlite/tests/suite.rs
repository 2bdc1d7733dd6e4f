//! What every store does, this one too.

use std::sync::Mutex;

use super::*;
use crate::history::suite::{self, Bounds, Factory};

/// Opens stores in directories of their own, and the last one again.
#[derive(Default)]
struct Directories(Mutex<Vec<Scratch>>);

impl Directories {
    fn in_last(&self, bounds: Bounds) -> Arc<dyn Store> {
        let settings = Settings {
            max_bytes: bounds.max_bytes,
            max_channels: bounds.max_channels,
            sync: Sync::Os,
            ..Settings::default()
        };
        let directories = self.0.lock().unwrap();
        Arc::new(
            directories
                .last()
                .unwrap()
                .open_with(&settings, bounds.policy),
        )
    }
}

impl Factory for Directories {
    fn open(&self, bounds: Bounds) -> Arc<dyn Store> {
        self.0.lock().unwrap().push(Scratch::new());
        self.in_last(bounds)
    }

    fn reopen(&self, bounds: Bounds) -> Arc<dyn Store> {
        self.in_last(bounds)
    }
}

#[test]
fn it_does_what_every_store_does() {
    suite::all(&Directories::default());
}

#[test]
fn it_is_like_the_model_of_a_store() {
    suite::model::check(&Directories::default(), 40);
}
