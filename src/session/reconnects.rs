//! When the clients come back that have lost their sessions: not all at once.
//!
//! A server that starts anew does not know how many clients the last one had. So every client that is
//! sent away, by a stop or because its session is unknown, gets the next of places that are
//! `1 / reconnect_rate` seconds apart. While few come, all places are now; the more come at once, the
//! later is the next.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Settings;
use crate::metrics::{Limit, Metrics};

/// A shorter wait is none: some clients read the milliseconds as seconds, and this much is no storm.
const SHORTEST: Duration = Duration::from_secs(1);

/// The places of the clients that are to come back.
#[derive(Debug, Default)]
pub struct Reconnects {
    places: Mutex<Places>,
    is_stopping: AtomicBool,
    is_cut: AtomicBool,
}

#[derive(Debug, Default)]
struct Places {
    /// The next that is free.
    next: Option<Instant>,
    /// How many clients came beyond the last.
    beyond: u32,
    /// How the server sends its clients away before it is gone, if it does.
    drain: Option<Drain>,
    /// How many clients came meanwhile.
    drained: u32,
}

/// Clients are sent away one after the other, and come back one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Drain {
    /// When the server has sent all of them away.
    pub until: Instant,
    /// From when on they may come back: there is a server then.
    pub back: Instant,
    /// For how long.
    pub spread: Duration,
}

impl Reconnects {
    /// Notes that the server stops.
    pub fn stop(&self) {
        self.is_stopping.store(true, SeqCst);
    }

    /// Notes how clients are sent away meanwhile.
    pub fn drain(&self, drain: Drain) {
        self.places().drain = Some(drain);
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        // It is whole between any two calls, so also after a panic elsewhere.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether the server stops.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(SeqCst)
    }

    /// Notes that whatever comes now comes too late.
    pub fn cut(&self) {
        self.is_cut.store(true, SeqCst);
    }

    /// Tells whether nothing more may be done for clients.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.is_cut.load(SeqCst)
    }

    /// Gives one more client a place, and returns how long it is until then.
    pub(super) fn wait(&self, settings: &Settings, metrics: &Metrics, now: Instant) -> Duration {
        let (wait, is_beyond, drained) = {
            let mut places = self.places();
            let (wait, is_beyond) = places.take(settings, now);
            (wait, is_beyond, places.drained(settings, now))
        };
        if is_beyond {
            metrics.limited(Limit::MaxReconnectSpread);
        }
        let wait = if wait < SHORTEST {
            Duration::ZERO
        } else {
            wait
        } + drained;
        if !wait.is_zero() {
            metrics.spread_reconnects.increment();
        }
        wait
    }
}

impl Places {
    /// Takes the next place; true if there is none within `max_reconnect_spread`, and it is one of
    /// those that are taken.
    fn take(&mut self, settings: &Settings, now: Instant) -> (Duration, bool) {
        let max = settings.max_reconnect_spread;
        if max.is_zero() {
            return (Duration::ZERO, false);
        }
        let next = self.next.map_or(now, |next| next.max(now));
        let wait = next.saturating_duration_since(now);
        if wait < max {
            self.next = Some(next + Duration::from_secs(1) / settings.reconnect_rate.max(1));
            return (wait, false);
        }
        (max.mul_f64(part(&mut self.beyond)), true)
    }

    /// Returns how long one more client is to wait whom the server sends away before it is gone: until there is one
    /// again, and then for a part of the time that clients are spread over. It never waits for longer than its session
    /// lives, and comes back if need be to be sent away again.
    fn drained(&mut self, settings: &Settings, now: Instant) -> Duration {
        let Some(drain) = self.drain.filter(|drain| now < drain.until) else {
            return Duration::ZERO;
        };
        let longest = settings.max_interval / 2;
        let left = drain.back.saturating_duration_since(now).min(longest);
        let spread = drain.spread.min(longest);
        (left + spread.mul_f64(part(&mut self.drained))).max(SHORTEST)
    }
}

/// Returns the next of parts that lie evenly between nothing and the whole, however many they are: multiples of the
/// golden ratio, without their whole parts.
fn part(last: &mut u32) -> f64 {
    *last = last.wrapping_add(0x9e37_79b9);
    f64::from(*last) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(rate: u32, spread: u64) -> Settings {
        Settings {
            reconnect_rate: rate,
            max_reconnect_spread: Duration::from_secs(spread),
            ..Settings::default()
        }
    }

    fn waits(count: usize, settings: &Settings) -> Vec<Duration> {
        let (reconnects, metrics) = (Reconnects::default(), Metrics::default());
        let now = Instant::now();
        let wait = |_| reconnects.wait(settings, &metrics, now);
        (0..count).map(wait).collect()
    }

    #[test]
    fn who_is_sent_away_before_the_end_comes_back_after_it_and_not_all_at_once() {
        let (reconnects, metrics) = (Reconnects::default(), Metrics::default());
        let settings = settings(1_000_000, 30);
        let now = Instant::now();
        let after = |millis| now + Duration::from_millis(millis);
        reconnects.drain(Drain {
            until: after(4000),
            back: after(4000),
            spread: Duration::from_secs(4),
        });
        let mut seconds = [0; 9];
        for client in 0..4000 {
            let wait = reconnects.wait(&settings, &metrics, after(client));
            // Sessions live for 10 s without a connect.
            assert!((1000..=9000).contains(&wait.as_millis()), "{wait:?}");
            let back = Duration::from_millis(client) + wait;
            seconds[usize::try_from(back.as_secs()).expect("a few")] += 1;
        }
        assert_eq!(seconds[..4], [0; 4]);
        for clients in &seconds[4..8] {
            assert!((900..1300).contains(clients), "{seconds:?}");
        }
        // The end has come.
        assert!(reconnects.wait(&settings, &metrics, after(4000)).is_zero());
    }

    #[test]
    fn the_more_clients_the_longer_is_their_spread() {
        let cases = [
            // Clients, rate, longest spread; the longest wait in seconds.
            (1, 1000, 30, 0),
            (5, 1000, 30, 0),
            (1000, 1000, 30, 0),
            (2001, 1000, 30, 2),
            (10_001, 1000, 30, 10),
            (101, 10, 30, 10),
            (10_001, 1000, 0, 0),
        ];
        for (count, rate, spread, expected) in cases {
            let longest = waits(count, &settings(rate, spread)).into_iter().max();
            let longest = longest.expect("some").as_secs();
            assert_eq!(longest, expected, "{count} clients at {rate}/s");
        }
    }

    #[test]
    fn no_second_has_much_more_than_its_share() {
        for (count, rate, spread) in [(10_000, 1000, 30), (100_000, 1000, 30), (100_000, 1000, 7)] {
            let mut seconds = vec![0; 31];
            for wait in waits(count, &settings(rate, spread)) {
                assert!(wait <= Duration::from_secs(spread));
                assert!(wait.is_zero() || wait >= SHORTEST);
                seconds[usize::try_from(wait.as_secs()).expect("a few")] += 1;
            }
            let share = (count / usize::try_from(spread).expect("a few")).max(1000);
            for (second, clients) in seconds.iter().enumerate().skip(1) {
                assert!(*clients <= share + share / 10, "{clients} at {second}");
            }
        }
    }

    #[test]
    fn places_that_are_past_are_not_given_again() {
        let (reconnects, metrics) = (Reconnects::default(), Metrics::default());
        let settings = settings(1, 30);
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let wait = |at| reconnects.wait(&settings, &metrics, at).as_secs();
        assert_eq!([wait(at(0)), wait(at(0)), wait(at(0))], [0, 1, 2]);
        assert_eq!(wait(at(1)), 2);
        assert_eq!([wait(at(60)), wait(at(60))], [0, 1]);
        assert_eq!(metrics.spread_reconnects.value(), 4);
    }
}
