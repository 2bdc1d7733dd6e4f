//! Chance, which spreads clients that come back at the same time.

/// What chance says; without any, the longest waits.
pub(crate) fn chance() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX)
}
