//! A value that is replaced as a whole while others read it: what of the configuration takes effect at once.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

/// A value that is replaced as a whole.
#[derive(Default)]
pub struct Live<T>(ArcSwap<T>);

/// The value as it was when it was asked for. It is for a short while: not to be kept over an await.
pub struct Current<T>(Guard<Arc<T>>);

impl<T> Live<T> {
    /// Begins with a value.
    pub fn new(value: impl Into<Arc<T>>) -> Self {
        Self(ArcSwap::new(value.into()))
    }

    /// Returns the value as it is now.
    pub fn get(&self) -> Current<T> {
        Current(self.0.load())
    }

    /// Returns it to be kept.
    pub fn shared(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Replaces it, for whoever asks from now on.
    pub fn set(&self, value: impl Into<Arc<T>>) {
        self.0.store(value.into());
    }
}

impl<T> Current<T> {
    /// Returns it to be kept.
    pub fn shared(&self) -> Arc<T> {
        Arc::clone(&self.0)
    }
}

impl<T> Deref for Current<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> From<T> for Live<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: fmt::Debug> fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for Current<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_again_gets_the_new_value_and_who_has_asked_keeps_the_old() {
        let live = Live::from(1);
        let before = live.get();
        live.set(2);
        assert_eq!((*before, *before.shared()), (1, 1));
        assert_eq!((*live.get(), *live.shared()), (2, 2));
    }
}
