//! What is counted about TLS.

use super::render::{counter, family, gauge};
use super::{Counter, Gauge};

/// The figures of TLS.
#[derive(Debug, Default)]
pub struct Tls {
    handshakes: [Counter; TlsHandshake::ALL.len()],
    /// Changes of certificates that were taken up.
    pub reloads: Counter,
    /// Changes of certificates that could not be.
    pub failed_reloads: Counter,
    /// When the first certificate expires, in seconds since 1970; 0 without TLS.
    pub expiry: Gauge,
}

/// What became of a handshake; its label says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsHandshake {
    /// It was done.
    Full,
    /// It was done in a short form, by a client that came back.
    Resumed,
    /// It took too long.
    Timeout,
    /// The client went away, or the server stopped.
    Closed,
    /// The client did not speak TLS.
    NotTls,
    /// The client refused, such as for a certificate that it does not trust.
    Refused,
    /// Client and server have no version, cipher or protocol in common.
    Incompatible,
    /// The client said what it may not.
    Malformed,
    /// Memory was short.
    Memory,
}

impl TlsHandshake {
    const ALL: [Self; 9] = [
        Self::Full,
        Self::Resumed,
        Self::Timeout,
        Self::Closed,
        Self::NotTls,
        Self::Refused,
        Self::Incompatible,
        Self::Malformed,
        Self::Memory,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Resumed => "resumed",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::NotTls => "not_tls",
            Self::Refused => "refused",
            Self::Incompatible => "incompatible",
            Self::Malformed => "malformed",
            Self::Memory => "memory",
        }
    }
}

impl Tls {
    /// Counts what became of a handshake.
    pub fn shaken(&self, outcome: TlsHandshake) {
        self.handshakes[outcome as usize].increment();
    }

    /// Returns how many handshakes came out so.
    #[must_use]
    pub fn handshakes(&self, outcome: TlsHandshake) -> u64 {
        self.handshakes[outcome as usize].value()
    }

    pub(super) fn render(&self, out: &mut String) {
        let outcomes = TlsHandshake::ALL.map(TlsHandshake::label);
        family(
            out,
            (
                "tls_handshakes_total",
                "TLS handshakes, by what became of them.",
                "outcome",
            ),
            &outcomes,
            &self.handshakes,
        );
        counter(
            out,
            (
                "tls_reloads_total",
                "Changes of certificates that were taken up.",
            ),
            &self.reloads,
        );
        counter(
            out,
            (
                "tls_failed_reloads_total",
                "Changes of certificates that could not be taken up.",
            ),
            &self.failed_reloads,
        );
        gauge(
            out,
            (
                "tls_certificate_expiry_seconds",
                "When the first certificate expires, in seconds since 1970; 0 without TLS.",
            ),
            &self.expiry,
        );
    }
}
