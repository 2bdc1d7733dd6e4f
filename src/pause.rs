//! Pauses of the whole process: a suspended machine, a debugger, SIGSTOP. What its clients do in the
//! meantime waits in the kernel, so a pause must not be taken for their silence.

use std::time::{Duration, Instant};

/// How late a timer is that no mere work has held up.
const LATENESS: Duration = Duration::from_secs(1);
/// How long a task that looks out for pauses sleeps at most.
const WATCH: Duration = Duration::from_secs(1);

/// Tells whether the process was paused, of a timer that fires now.
#[must_use]
pub fn was_paused(due: Instant, now: Instant) -> bool {
    now.saturating_duration_since(due) >= LATENESS
}

/// What a task that sleeps knows of pauses.
#[derive(Debug, Default)]
pub struct Pauses {
    /// When its sleep is over, at the latest.
    until: Option<Instant>,
    resumed: Option<Instant>,
}

impl Pauses {
    /// Begins a sleep until something is due next, and returns when to wake: earlier, if that is far,
    /// so that a pause is noticed that is over by then. With nothing due there is nobody to wait for.
    pub fn sleep(&mut self, next: Option<Instant>, now: Instant) -> Option<Instant> {
        // What has become due already has not been slept over.
        self.until = next.map(|next| next.clamp(now, now + WATCH));
        self.until
    }

    /// Ends a sleep, at which this is the first that was due, and returns when the last pause ended.
    pub fn wake(&mut self, first: Option<Instant>, now: Instant) -> Option<Instant> {
        // What became due while there was nobody to wait for came in the middle of a pause.
        if self.until.or(first).is_some_and(|due| was_paused(due, now)) {
            self.resumed = Some(now);
        }
        self.resumed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_that_lasts_much_too_long_was_a_pause() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        // What is due next, when the sleep is to end, when it ends, and whether that is a pause.
        let cases = [
            (None, None, 60_000, false),
            (Some(500), Some(500), 500, false),
            (Some(500), Some(500), 1499, false),
            (Some(500), Some(500), 1500, true),
            // It was woken for something else.
            (Some(500), Some(500), 100, false),
            // It does not sleep so long, or the pause would be over by then.
            (Some(30_000), Some(1000), 1000, false),
            (Some(30_000), Some(1000), 20_000, true),
        ];
        for (next, until, woken, is_pause) in cases {
            let mut pauses = Pauses::default();
            assert_eq!(pauses.sleep(next.map(at), start), until.map(at));
            let resumed = is_pause.then(|| at(woken));
            assert_eq!(pauses.wake(None, at(woken)), resumed, "{next:?} {woken}");
        }
    }

    #[test]
    fn what_was_overdue_before_the_sleep_is_no_pause() {
        let start = Instant::now();
        let later = start + Duration::from_secs(5);
        let mut pauses = Pauses::default();
        assert_eq!(pauses.sleep(Some(start), later), Some(later));
        assert_eq!(pauses.wake(Some(start), later), None);
    }

    #[test]
    fn what_is_overdue_though_nobody_was_waited_for_came_just_before_a_pause() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for (due, resumed) in [(5, Some(at(7))), (7, None)] {
            let mut pauses = Pauses::default();
            assert_eq!(pauses.sleep(None, start), None);
            assert_eq!(pauses.wake(Some(at(due)), at(7)), resumed);
        }
    }

    #[test]
    fn the_end_of_the_last_pause_is_remembered() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pauses = Pauses::default();
        pauses.sleep(Some(at(1)), start);
        assert_eq!(pauses.wake(None, at(9)), Some(at(9)));
        pauses.sleep(Some(at(10)), at(9));
        assert_eq!(pauses.wake(None, at(10)), Some(at(9)));
        pauses.sleep(Some(at(11)), at(10));
        assert_eq!(pauses.wake(None, at(20)), Some(at(20)));
    }
}
