//! When connections hear that the server stops: in slices one after the other, and then all the rest at once.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// In how many slices connections are told. Each connection belongs to one of them.
pub(super) const SLICES: usize = 50;

/// How often it is looked whether it is over anyway.
const LOOK: Duration = Duration::from_millis(100);

/// Tells connections that the server stops.
#[derive(Debug)]
pub struct Stops {
    slices: Vec<watch::Sender<bool>>,
    /// For what belongs to no slice: that nothing is accepted any more.
    all: watch::Sender<bool>,
    /// That the end has begun: another server accepts in this one's place, if there is one.
    begun: watch::Sender<bool>,
}

impl Stops {
    /// Returns what hears when each slice is told.
    pub(super) fn of_slices(&self) -> impl Iterator<Item = watch::Receiver<bool>> {
        self.slices.iter().map(watch::Sender::subscribe)
    }

    /// Returns what hears when nothing is accepted any more.
    pub(super) fn of_all(&self) -> watch::Receiver<bool> {
        self.all.subscribe()
    }

    /// Returns what hears when the end has begun.
    pub(super) fn of_begun(&self) -> watch::Receiver<bool> {
        self.begun.subscribe()
    }

    /// Tells one slice after the other, so that all of them take so long; until it is over anyway.
    pub async fn drain(&self, time: Duration, is_over: impl Fn() -> bool) {
        self.begun.send_replace(true);
        let count = u32::try_from(self.slices.len()).unwrap_or(u32::MAX);
        let mut next = Instant::now();
        for slice in &self.slices {
            slice.send_replace(true);
            next += time / count;
            while Instant::now() < next {
                if is_over() {
                    return;
                }
                sleep_until(next.min(Instant::now() + LOOK)).await;
            }
        }
    }

    /// Tells all that have not been told.
    pub fn stop(&self) {
        self.all.send_replace(true);
        for slice in &self.slices {
            slice.send_if_modified(|is_told| !std::mem::replace(is_told, true));
        }
    }
}

impl Default for Stops {
    fn default() -> Self {
        Self {
            slices: (0..SLICES).map(|_| watch::Sender::new(false)).collect(),
            all: watch::Sender::new(false),
            begun: watch::Sender::new(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn slices_are_told_one_after_the_other_and_what_is_left_at_the_end() {
        let stops = Stops::default();
        let slices: Vec<_> = stops.of_slices().collect();
        let all = stops.of_all();
        let told = || slices.iter().filter(|slice| *slice.borrow()).count();
        let begun = Instant::now();
        let half = || begun.elapsed() >= Duration::from_secs(1);
        stops.drain(Duration::from_secs(2), half).await;
        assert!(
            (SLICES / 2..=SLICES / 2 + 2).contains(&told()),
            "{}",
            told()
        );
        assert!(!*all.borrow());
        stops.stop();
        assert_eq!((told(), *all.borrow()), (SLICES, true));
        assert!(
            slices
                .iter()
                .all(|slice| slice.has_changed().is_ok_and(|has| has))
        );
    }
}
