//! When messages are due at an even rate, whatever has become of those before.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use tokio::sync::Notify;

use super::Error;
use super::clock::Clock;

/// The lowest rate: a message in a thousand seconds.
const LOWEST: f64 = 0.001;

/// Messages in a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rate(f64);

impl Rate {
    /// The rate as a number.
    pub(super) fn per_second(self) -> f64 {
        self.0
    }
}

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rate = text.parse().ok().filter(|&rate: &f64| rate.is_finite());
        rate.filter(|&rate| rate >= LOWEST)
            .map(Self)
            .ok_or_else(|| format!("a number of at least {LOWEST} is needed"))
    }
}

/// The moments at which consecutive messages are due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    /// The first message, and when it is due, in nanoseconds.
    first: usize,
    start: u64,
    rate: Rate,
}

impl Schedule {
    /// Messages from `first` on, that one at `start`.
    pub(super) fn new(first: usize, start: u64, rate: Rate) -> Self {
        Self { first, start, rate }
    }

    /// When a message is due.
    pub(super) fn at(&self, number: usize) -> u64 {
        let seconds = (number - self.first) as f64 / self.rate.0;
        let after = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        let after = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        self.start.saturating_add(after)
    }
}

/// Announces messages when they are due, until dropped.
///
/// It is a thread, since tokio's timers tick in milliseconds.
#[derive(Debug)]
pub(super) struct Pacer {
    _stop: mpsc::Sender<()>,
}

impl Pacer {
    /// Begins to announce the messages of these numbers.
    pub(super) fn start(
        clock: Clock,
        schedule: Schedule,
        numbers: Range<usize>,
        announce: impl Fn(usize) + Send + 'static,
    ) -> Result<Self, Error> {
        let (stop, stopped) = mpsc::channel();
        let pace = move || {
            for number in numbers {
                let early = schedule.at(number).saturating_sub(clock.elapsed());
                if early > 0 {
                    let wait = stopped.recv_timeout(Duration::from_nanos(early));
                    if wait == Err(RecvTimeoutError::Disconnected) {
                        return;
                    }
                }
                announce(number);
            }
        };
        thread::Builder::new()
            .name("pacer".to_owned())
            .spawn(pace)
            .map_err(Error::Runtime)?;
        Ok(Self { _stop: stop })
    }
}

/// How many messages are due to be sent, for one who sends them.
#[derive(Debug, Default)]
pub(super) struct Due {
    count: AtomicUsize,
    more: Notify,
}

impl Due {
    /// Says that one more message is due.
    pub(super) fn add(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.more.notify_one();
    }

    /// How many messages have become due.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Waits until more may be due than when this was last waited for.
    pub(super) async fn more(&self) {
        self.more.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn rates_are_positive_numbers() {
        assert_eq!("2.5".parse(), Ok(Rate(2.5)));
        for bad in ["", "0", "-1", "nan", "inf", "0.0001", "1/s"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }

    #[test]
    fn messages_are_due_evenly() {
        let schedule = Schedule::new(10, 500, Rate(4e6));
        let due = [10, 11, 12, 14].map(|number| schedule.at(number));
        assert_eq!(due, [500, 750, 1000, 1500]);
        assert_eq!(Schedule::new(0, 1, Rate(LOWEST)).at(usize::MAX), u64::MAX);
    }

    #[tokio::test]
    async fn announces_all_and_none_too_early() {
        let clock = Clock::start();
        let schedule = Schedule::new(0, clock.elapsed(), Rate(1000.0));
        let due = Arc::new(Due::default());
        let announced = Arc::clone(&due);
        let _pacer = Pacer::start(clock, schedule, 0..20, move |_| announced.add()).unwrap();
        while due.count() < 20 {
            due.more().await;
            let count = due.count();
            assert!(clock.elapsed() >= schedule.at(count - 1), "{count}");
        }
    }

    #[tokio::test]
    async fn ends_when_dropped() {
        let clock = Clock::start();
        let schedule = Schedule::new(0, clock.elapsed(), Rate(LOWEST));
        let due = Arc::new(Due::default());
        let announced = Arc::clone(&due);
        let pacer = Pacer::start(clock, schedule, 0..2, move |_| announced.add()).unwrap();
        due.more().await;
        drop(pacer);
        // The thread holds the other half until it ends.
        while Arc::strong_count(&due) > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(due.count(), 1);
    }
}
