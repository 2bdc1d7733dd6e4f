//! What an operator sets about TLS.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The settings of TLS.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct Settings {
    /// The file with the certificate of whoever asks for no name, or for one that no other certificate has.
    pub certificate: Option<PathBuf>,
    /// The file with its key; absent: that of the certificate.
    pub key: Option<PathBuf>,
    /// How long a handshake may take.
    #[serde(with = "humantime_serde")]
    pub handshake_timeout: Duration,
    /// How often the files are looked at.
    #[serde(with = "humantime_serde")]
    pub reload_interval: Duration,
    /// More certificates.
    pub sni: Vec<Pair>,
}

/// A certificate and its key; it is for the names that stand in it.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Pair {
    /// The file with the certificate, and those behind it.
    pub certificate: PathBuf,
    /// The file with the key; absent: that of the certificate.
    pub key: Option<PathBuf>,
}

impl Settings {
    /// Returns the certificates, the first of which is for all else; by the keys that name them.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (String, Pair)> {
        let first = self.certificate.clone().map(|certificate| Pair {
            certificate,
            key: self.key.clone(),
        });
        let first = first.map(|pair| ("tls".to_owned(), pair));
        let more = self.sni.iter().cloned().enumerate();
        let more = more.map(|(at, pair)| (format!("tls.sni[{at}]"), pair));
        first.into_iter().chain(more)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            certificate: None,
            key: None,
            handshake_timeout: Duration::from_secs(10),
            reload_interval: Duration::from_secs(10),
            sni: Vec::new(),
        }
    }
}
