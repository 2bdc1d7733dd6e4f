//! How a request that comes again is known: each connection has a series of its own, in which numbers grow.
//!
//! A series lives as long as its connection. It is remembered for as long after that as what was said in it could
//! pass for new, so there are as many as connections, and not as requests.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::proof::Claim;
use crate::cluster::node::NodeId;

/// How far the clocks of two nodes may be apart, in seconds.
pub(super) const MAX_DIFFERENCE: u64 = 60;

/// Why a request whose sender knows the secret is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stale {
    /// Its time is too far from that of this node: so many seconds.
    Clock(u64),
    /// It was sent before.
    Repeated,
}

/// The series of all connections to this node.
#[derive(Debug, Default)]
pub(super) struct AllSeries(Mutex<HashMap<u128, Option<u64>>>);

/// The series of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Series {
    pub(super) from: NodeId,
    id: u128,
    number: u64,
}

impl AllSeries {
    /// Takes a request by a connection, whose series it begins if that has none, at a time of this node's clock.
    ///
    /// # Errors
    /// It comes too late, or was there before.
    pub(super) fn take(
        &self,
        series: &mut Option<Series>,
        claim: &Claim,
        now: u64,
    ) -> Result<(), Stale> {
        let difference = now.abs_diff(claim.time);
        if difference > MAX_DIFFERENCE {
            return Err(Stale::Clock(difference));
        }
        match series {
            Some(series) => {
                let is_next = (series.from, series.id) == (claim.from, claim.series)
                    && claim.number > series.number;
                series.number = series.number.max(claim.number);
                is_next.then_some(()).ok_or(Stale::Repeated)
            }
            None => {
                self.begin(claim.series, now)?;
                *series = Some(Series {
                    from: claim.from,
                    id: claim.series,
                    number: claim.number,
                });
                Ok(())
            }
        }
    }

    fn begin(&self, id: u128, now: u64) -> Result<(), Stale> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, ended| ended.is_none_or(|ended| now <= ended + 2 * MAX_DIFFERENCE));
        match all.insert(id, None) {
            None => Ok(()),
            Some(ended) => {
                all.insert(id, ended);
                Err(Stale::Repeated)
            }
        }
    }

    /// Notes that the connection of a series has ended.
    pub(super) fn end(&self, series: Series, now: u64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(series.id, Some(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(series: u128, number: u64, time: u64) -> Claim {
        Claim {
            from: NodeId(1),
            to: NodeId(2),
            time,
            series,
            number,
            said: [0; 32],
        }
    }

    #[test]
    fn nothing_is_taken_twice() {
        let all = AllSeries::default();
        let mut first = None;
        let mut take = |number, time| all.take(&mut first, &claim(1, number, time), 1000);
        assert_eq!(take(1, 1000), Ok(()));
        assert_eq!(take(1, 1000), Err(Stale::Repeated));
        assert_eq!(take(4, 1060), Ok(()));
        assert_eq!(take(3, 1000), Err(Stale::Repeated));
        assert_eq!(take(5, 939), Err(Stale::Clock(61)));
        assert_eq!(take(5, 1061), Err(Stale::Clock(61)));
        assert_eq!(take(5, 940), Ok(()));
        // By another connection, while the first lives and as long as it could pass for new.
        let again = |now| all.take(&mut None, &claim(1, 6, now), now);
        assert_eq!(again(1000), Err(Stale::Repeated));
        assert_eq!(again(9000), Err(Stale::Repeated));
        all.end(first.expect("a series"), 9000);
        assert_eq!(again(9120), Err(Stale::Repeated));
        assert_eq!(again(9121), Ok(()));
    }

    #[test]
    fn a_connection_has_one_series() {
        let all = AllSeries::default();
        let mut series = None;
        assert_eq!(all.take(&mut series, &claim(1, 1, 10), 10), Ok(()));
        let other = all.take(&mut series, &claim(2, 2, 10), 10);
        assert_eq!(other, Err(Stale::Repeated));
    }
}
