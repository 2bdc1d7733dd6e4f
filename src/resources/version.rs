//! Which state of a resource is meant: versions, and conditions on them.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One state of one resource: when it came to be, and the how-manieth change of all it was; or of a channel with
/// history, the number of its message, so that it is the same after a restart.
///
/// The number tells changes of the same second, or even microsecond, apart; the time tells the
/// numbers of a server from those it gave before it was started again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Version {
    micros: u64,
    number: u64,
}

impl Version {
    /// Makes the version after another; time does not go back, whatever the clock says.
    pub(super) fn after(previous: Self, at: SystemTime, number: u64) -> Self {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        Self {
            micros: micros.max(previous.micros),
            number,
        }
    }

    /// Returns the number.
    #[must_use]
    pub fn number(self) -> u64 {
        self.number
    }

    /// Returns when the resource changed to it.
    #[must_use]
    pub fn modified(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(self.micros)
    }

    /// Tells whether it is of a later second than a date.
    #[must_use]
    pub fn is_after(self, date: SystemTime) -> bool {
        self.second() > second_of(date)
    }

    /// Tells whether it is of an earlier second than a date.
    #[must_use]
    pub fn is_before(self, date: SystemTime) -> bool {
        self.second() < second_of(date)
    }

    fn second(self) -> u64 {
        self.micros / 1_000_000
    }
}

fn second_of(date: SystemTime) -> u64 {
    date.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.micros, self.number)
    }
}

impl FromStr for Version {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let (micros, number) = text.split_once('-').unwrap_or((text, ""));
        Ok(Self {
            micros: u64::from_str_radix(micros, 16)?,
            number: u64::from_str_radix(number, 16)?,
        })
    }
}

/// Versions that somebody named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Versions {
    /// Whichever there is.
    Any,
    /// One of these.
    OneOf(Vec<Version>),
}

impl Versions {
    /// Tells whether a version is among them.
    #[must_use]
    pub fn hold(&self, version: Version) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(versions) => versions.contains(&version),
        }
    }

    /// Returns the version, if only one is named.
    #[must_use]
    pub fn sole(&self) -> Option<Version> {
        match self {
            Self::OneOf(versions) if versions.len() == 1 => versions.first().copied(),
            Self::OneOf(_) | Self::Any => None,
        }
    }
}

/// On which representations a change depends; by default on none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// There has to be one of these.
    pub present: Option<Versions>,
    /// There may be none of these.
    pub absent: Option<Versions>,
    /// It may not have changed after the second of this time.
    pub unchanged_since: Option<SystemTime>,
}

impl Conditions {
    /// Makes the condition that nothing has changed since.
    #[must_use]
    pub fn still(version: Version) -> Self {
        Self {
            present: Some(Versions::OneOf(vec![version])),
            ..Self::default()
        }
    }

    /// Tells whether the present representation's version meets them.
    #[must_use]
    pub fn are_met(&self, current: Option<Version>) -> bool {
        let is_among = |versions: &Versions| current.is_some_and(|current| versions.hold(current));
        let is_newer = |date: &SystemTime| current.is_some_and(|current| current.is_after(*date));
        self.present.as_ref().is_none_or(is_among)
            && !self.absent.as_ref().is_some_and(is_among)
            && !self.unchanged_since.as_ref().is_some_and(is_newer)
    }
}
