//! TLS on listeners: certificates from files, one of which is chosen by the name that a client asks for, and
//! handshakes within bounds.

mod certificate;
mod certificates;
mod handshake;
pub mod settings;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use tokio_rustls::rustls::server::NoServerSessionStorage;
use tokio_rustls::rustls::{Error, ServerConfig, ServerConnection};

use crate::live::Live;
use crate::metrics::Metrics;
use crate::web::tls::HTTP2;
use certificate::Certificate;
pub use certificate::Unusable;
use certificates::{Certificates, Seen};
pub(super) use handshake::{Kept, shake_hands};
pub use settings::{Pair, Settings};

/// What clients may speak over TLS, as ALPN names it; the first that a client offers too is spoken. The first of
/// these may be off.
const PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum NoTls {
    /// A certificate or its key cannot be used.
    #[error(transparent)]
    Certificate(#[from] Unusable),
    /// The library refuses to.
    #[error("cannot speak TLS")]
    Library(#[from] Error),
}

/// What is new of certificates, read and not taken up yet.
#[derive(Debug)]
pub struct Renewal {
    certificates: Certificates,
    times: Times,
}

#[derive(Debug)]
struct Times {
    /// How long a handshake may take.
    handshake: Duration,
    /// How often the files are looked at.
    reload: Duration,
}

impl Times {
    fn of(settings: &Settings) -> Self {
        Self {
            handshake: settings.handshake_timeout,
            reload: settings.reload_interval,
        }
    }
}

/// Reads the certificates that can be used; of each the key that names it, and from when on it is valid and how long,
/// in seconds since 1970.
#[must_use]
pub fn validities(settings: &Settings) -> Vec<(String, (u64, u64))> {
    let read = settings.pairs().filter_map(|(place, pair)| {
        let valid = Certificate::read(&place, &pair).ok()?.valid;
        Some((place, valid))
    });
    read.collect()
}

/// What speaks TLS with clients.
#[derive(Debug)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
    times: Live<Times>,
    metrics: Arc<Metrics>,
}

impl Acceptor {
    /// Reads the certificates; HTTP/2 is spoken or not.
    ///
    /// # Errors
    /// One of them, or its key, cannot be used.
    pub fn new(settings: &Settings, http2: bool, metrics: &Arc<Metrics>) -> Result<Self, NoTls> {
        let certificates = Arc::new(Certificates::read(settings)?);
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificates) as Arc<_>);
        let spoken = if http2 {
            &PROTOCOLS[..]
        } else {
            &PROTOCOLS[1..]
        };
        config.alpn_protocols = spoken.iter().map(|name| name.to_vec()).collect();
        // Clients that come back bring what they need to go on: nothing is kept for them.
        config.ticketer = Ticketer::new()?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        let acceptor = Self {
            config: Arc::new(config),
            certificates,
            times: Times::of(settings).into(),
            metrics: Arc::clone(metrics),
        };
        acceptor.note_expiry();
        Ok(acceptor)
    }

    /// Begins a connection.
    fn connection(&self) -> io::Result<ServerConnection> {
        ServerConnection::new(Arc::clone(&self.config)).map_err(io::Error::other)
    }

    /// Takes up what changes in the files, for ever.
    pub async fn follow(self: Arc<Self>) {
        loop {
            let interval = self.times.get().reload;
            tokio::time::sleep(interval).await;
            let acceptor = Arc::clone(&self);
            // Files may be on a disk that takes its time.
            let looked = tokio::task::spawn_blocking(move || acceptor.look());
            if let Err(error) = looked.await {
                tracing::error!(%error, "certificates were not looked at");
            }
        }
    }

    /// Reads what settings say, whatever the files were before; nothing is changed yet.
    ///
    /// # Errors
    /// A certificate, or its key, cannot be used.
    pub fn read(settings: &Settings) -> Result<Renewal, NoTls> {
        Ok(Renewal {
            certificates: Certificates::read(settings)?,
            times: Times::of(settings),
        })
    }

    /// Takes up what was read, for the next handshakes. Connections go on as they are.
    pub fn renew(&self, renewal: Renewal) {
        self.certificates.renew(renewal.certificates);
        self.times.set(renewal.times);
        self.note_expiry();
    }

    fn look(&self) {
        match self.certificates.look() {
            Seen::Nothing => {}
            Seen::Taken => {
                self.metrics.tls.reloads.increment();
                self.note_expiry();
            }
            Seen::Unusable(error) => {
                self.metrics.tls.failed_reloads.increment();
                tracing::error!("the certificates stay as they were: {error}");
            }
        }
    }

    fn note_expiry(&self) {
        let expiry = &self.metrics.tls.expiry;
        let seconds = i64::try_from(self.certificates.expiry()).unwrap_or(i64::MAX);
        expiry.add(seconds - expiry.value());
    }
}
