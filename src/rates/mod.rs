//! How fast clients may be: messages of a session and of an address, and handshakes of an address. Time is an
//! argument, and whoever asks says what becomes of what is too fast.

mod addresses;
mod bucket;
pub mod settings;

use core::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::metrics::Limit;
use addresses::Addresses;
pub use bucket::Bucket;
use bucket::Rate;
pub use settings::Settings;

/// What is limited; what is not costs a look.
#[derive(Debug)]
pub struct Rates {
    settings: Settings,
    since: Instant,
    session: Option<Rate>,
    messages: Option<Addresses>,
    handshakes: Option<Addresses>,
}

/// Something came too soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooSoon {
    /// What limits it.
    pub limit: Limit,
    /// How long to wait.
    pub wait: Duration,
}

impl Rates {
    /// Makes all buckets, which are full.
    #[must_use]
    pub fn new(settings: &Settings, now: Instant) -> Self {
        let rate = |per_second: Option<u32>, burst: Option<u32>| {
            let per_second = per_second?;
            let burst = burst.unwrap_or(settings::burst(per_second));
            Some(Rate::new(per_second, burst))
        };
        let addresses = |per_second, burst| {
            let rate = rate(per_second, burst)?;
            Some(Addresses::new(rate, settings.max_addresses))
        };
        Self {
            settings: settings.clone(),
            since: now,
            session: rate(
                settings.messages_per_session,
                settings.messages_per_session_burst,
            ),
            messages: addresses(
                settings.messages_per_address,
                settings.messages_per_address_burst,
            ),
            handshakes: addresses(
                settings.handshakes_per_address,
                settings.handshakes_per_address_burst,
            ),
        }
    }

    /// Returns what limits by these settings from now on: itself if they are the same; else all buckets of addresses
    /// are full, and those of sessions go on as they are.
    #[must_use]
    pub fn renewed(self: &Arc<Self>, settings: &Settings) -> Arc<Self> {
        if self.settings == *settings {
            return Arc::clone(self);
        }
        Arc::new(Self::new(settings, self.since))
    }

    /// Tells whether nothing is limited.
    #[must_use]
    pub fn are_off(&self) -> bool {
        self.session.is_none() && self.messages.is_none() && self.handshakes.is_none()
    }

    /// Counts a message, of a session and of an address as far as it has them.
    ///
    /// # Errors
    /// It comes too soon.
    pub fn message(
        &self,
        session: Option<&Bucket>,
        address: Option<IpAddr>,
        now: Instant,
    ) -> Result<(), TooSoon> {
        if let Some((rate, bucket)) = self.session.zip(session) {
            bucket.take(rate, self.time(now)).map_err(|wait| TooSoon {
                limit: Limit::MessagesPerSession,
                wait,
            })?;
        }
        self.take(&self.messages, Limit::MessagesPerAddress, address, now)
    }

    /// Counts a handshake of an address.
    ///
    /// # Errors
    /// It comes too soon.
    pub fn handshake(&self, address: Option<IpAddr>, now: Instant) -> Result<(), TooSoon> {
        self.take(&self.handshakes, Limit::HandshakesPerAddress, address, now)
    }

    fn take(
        &self,
        addresses: &Option<Addresses>,
        limit: Limit,
        address: Option<IpAddr>,
        now: Instant,
    ) -> Result<(), TooSoon> {
        let Some((addresses, address)) = addresses.as_ref().zip(address) else {
            return Ok(());
        };
        addresses
            .take(address, self.time(now))
            .map_err(|empty| TooSoon {
                limit: if empty.is_shared {
                    Limit::MaxAddresses
                } else {
                    limit
                },
                wait: empty.wait,
            })
    }

    /// Returns a time in nanoseconds.
    fn time(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.since);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}
