//! Where the client of a session is: its address, the transport it uses, and when it was heard last.
//!
//! All of it can be read without the session's lock, since a list of sessions reads it of all of them.

use core::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use crate::bayeux::Transport;

/// Where the client of a session is.
#[derive(Debug, Default)]
pub struct Origin {
    address: Option<IpAddr>,
    /// The place of its transport among all, from 1; zero: it is not known.
    transport: AtomicU8,
    /// How many seconds after its handshake it has sent its last message.
    heard: AtomicU32,
}

impl Origin {
    /// Makes the origin of a client with the address that its handshake came from, if that is known, and by
    /// what that came.
    #[must_use]
    pub fn new(address: Option<IpAddr>, transport: Option<Transport>) -> Self {
        let origin = Self {
            address,
            ..Self::default()
        };
        origin.comes_by(transport);
        origin
    }

    /// Returns the address that its handshake came from, if it has one and it is known.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Returns the transport that its last connect or stream came by, or before the first its handshake.
    #[must_use]
    pub fn transport(&self) -> Option<Transport> {
        let place = self.transport.load(Relaxed).checked_sub(1)?;
        Transport::ALL.get(usize::from(place)).copied()
    }

    /// Returns how long after its handshake it has sent its last message, in whole seconds.
    #[must_use]
    pub fn heard(&self) -> Duration {
        Duration::from_secs(self.heard.load(Relaxed).into())
    }

    /// Notes what a connect or a stream comes by, if that is known.
    pub(super) fn comes_by(&self, transport: Option<Transport>) {
        if let Some(transport) = transport {
            self.transport.store(transport as u8 + 1, Relaxed);
        }
    }

    /// Notes a message that comes so long after its handshake.
    pub(super) fn hear(&self, after: Duration) {
        let seconds = u32::try_from(after.as_secs()).unwrap_or(u32::MAX);
        self.heard.store(seconds, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_what_was_noted_last() {
        let origin = Origin::new(None, None);
        assert_eq!(origin.transport(), None);
        for transport in Transport::ALL {
            origin.comes_by(Some(transport));
            origin.comes_by(None);
            assert_eq!(origin.transport(), Some(transport));
        }
        origin.hear(Duration::from_millis(61_999));
        assert_eq!(origin.heard(), Duration::from_secs(61));
        origin.hear(Duration::MAX);
        assert_eq!(origin.heard(), Duration::from_secs(u32::MAX.into()));
    }
}
