//! A certificate and its key from PEM files; and what is said of files that cannot be used.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, InconsistentKeys};
use webpki::{EndEntityCert, KeyUsage};

use super::settings::Pair;

/// More than any chain of certificates and its key.
const MAX_FILE: u64 = 1024 * 1024;

/// Why a certificate or its key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{key} = {path:?}: {why}")]
pub struct Unusable {
    /// The configuration's key that names the file.
    key: String,
    path: PathBuf,
    why: String,
}

/// A certificate with its key.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) certified: Arc<CertifiedKey>,
    /// The names that it is for, in lower case, some of which may begin with `*.`.
    pub(super) names: Vec<String>,
    /// From when on it is valid, and how long, in seconds since 1970.
    pub(super) valid: (u64, u64),
}

impl Certificate {
    /// Reads a certificate and its key, which are named by keys below this one.
    ///
    /// # Errors
    /// They cannot be used.
    pub(super) fn read(place: &str, pair: &Pair) -> Result<Self, Unusable> {
        let of_certificate = Source::read(format!("{place}.certificate"), &pair.certificate)?;
        let chain = of_certificate.chain()?;
        let of_key = match &pair.key {
            Some(path) => Source::read(format!("{place}.key"), path)?,
            None => of_certificate.clone(),
        };
        let key = of_key.private_key()?;
        let leaf = EndEntityCert::try_from(&chain[0]).map_err(|error| {
            of_certificate.unusable(format!("the certificate is none: {error}"))
        })?;
        let names = leaf.valid_dns_names().map(str::to_ascii_lowercase);
        let (names, valid) = (names.collect(), validity(&leaf));
        let certified = CertifiedKey::from_der(chain, key, &default_provider());
        let certified = certified.map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                let certificate = pair.certificate.display();
                of_key.unusable(format!(
                    "the key is not that of the certificate in {certificate}, whose first certificate has to be the \
                     server's own"
                ))
            }
            error => of_key.unusable(format!("the key cannot be used: {error}")),
        })?;
        Ok(Self {
            certified: Arc::new(certified),
            names,
            valid,
        })
    }

    /// Warns if it is not valid now.
    pub(super) fn warn_if_invalid(&self, pair: &Pair) {
        let now = UnixTime::now().as_secs();
        let (since, until) = self.valid;
        let path = pair.certificate.display();
        if until < now {
            let expired = date(until);
            tracing::warn!(%path, %expired, "a certificate has expired: clients will refuse it");
        } else if since > now {
            let valid_from = date(since);
            tracing::warn!(%path, %valid_from, "a certificate is not valid yet: clients will refuse it");
        }
    }
}

/// A file that was read, and the key that names it.
#[derive(Clone)]
struct Source {
    key: String,
    path: PathBuf,
    pem: Vec<u8>,
}

impl Source {
    fn read(key: String, path: &Path) -> Result<Self, Unusable> {
        let mut source = Self {
            key,
            path: path.to_owned(),
            pem: Vec::new(),
        };
        match read_bounded(path) {
            Ok(pem) => source.pem = pem,
            Err(error) => return Err(source.unusable(error.to_string())),
        }
        Ok(source)
    }

    fn unusable(&self, why: String) -> Unusable {
        Unusable {
            key: self.key.clone(),
            path: self.path.clone(),
            why,
        }
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>, Unusable> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.pem).collect();
        let chain = chain.map_err(|error| self.unusable(error.to_string()))?;
        if chain.is_empty() {
            let found = self.found();
            return Err(self.unusable(format!("there is no certificate in it (PEM), but {found}")));
        }
        Ok(chain)
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, Unusable> {
        // The older form says in a line of its own that it is encrypted.
        let has = |text: &[u8]| memchr::memmem::find(&self.pem, text).is_some();
        if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
            let why = "the key is encrypted, and there is nobody to ask for its passphrase: write it without one \
                (openssl pkey -in OLD -out NEW), readable for the server alone";
            return Err(self.unusable(why.to_owned()));
        }
        PrivateKeyDer::from_pem_slice(&self.pem).map_err(|error| match error {
            rustls::pki_types::pem::Error::NoItemsFound => {
                let found = self.found();
                self.unusable(format!("there is no private key in it (PEM), but {found}"))
            }
            error => self.unusable(error.to_string()),
        })
    }

    /// Names what is in it.
    fn found(&self) -> String {
        let text = String::from_utf8_lossy(&self.pem);
        let kinds = text.lines().filter_map(|line| {
            let kind = line.trim().strip_prefix("-----BEGIN ")?;
            kind.strip_suffix("-----")
        });
        let kinds: Vec<&str> = kinds.take(5).collect();
        if kinds.is_empty() {
            "nothing that begins with -----BEGIN".to_owned()
        } else {
            kinds.join(", ")
        }
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    let file = File::open(path)?;
    if file.take(MAX_FILE + 1).read_to_end(&mut read)? as u64 > MAX_FILE {
        return Err(io::Error::other("the file is larger than 1 MiB"));
    }
    Ok(read)
}

/// Asks from when on a certificate is valid, and how long: at the beginning of time it is not yet, and at its end
/// it is not any more.
fn validity(leaf: &EndEntityCert<'_>) -> (u64, u64) {
    let at = |seconds| {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        leaf.verify_for_usage(&[], &[], &[], time, KeyUsage::server_auth(), None, None)
            .err()
    };
    let since = match at(0) {
        Some(webpki::Error::CertNotValidYet { not_before, .. }) => not_before.as_secs(),
        _ => 0,
    };
    let until = match at(u64::MAX) {
        Some(webpki::Error::CertExpired { not_after, .. }) => not_after.as_secs(),
        _ => u64::MAX,
    };
    (since, until)
}

/// A day and a time, as logs have it.
pub(super) fn date(seconds: u64) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    time.filter(|_| seconds < END_OF_DATES)
        .map_or("never".to_owned(), |time| {
            humantime::format_rfc3339_seconds(time).to_string()
        })
}

/// The beginning of the year 10000, which has no date any more.
const END_OF_DATES: u64 = 253_402_300_800;

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/keys")
            .join(name)
    }

    fn read(certificate: &str, key: Option<&str>) -> Result<Certificate, Unusable> {
        let pair = Pair {
            certificate: keys(certificate),
            key: key.map(keys),
        };
        Certificate::read("tls", &pair)
    }

    #[test]
    fn a_certificate_knows_its_names_and_how_long_it_is_valid() {
        let certificate = read("tls-localhost.pem", Some("tls-localhost.key")).unwrap();
        assert_eq!(certificate.names, ["localhost"]);
        let (since, until) = certificate.valid;
        assert_eq!(date(since), "2020-01-01T00:00:00Z");
        assert_eq!(date(until), "2120-01-01T00:00:00Z");
        assert_eq!(date(u64::MAX), "never");
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_key_and_its_file() {
        let cases = [
            ("none.pem", None, "tls.certificate", "No such file"),
            ("README.md", None, "tls.certificate", "nothing that begins"),
            ("p256.pub.pem", None, "tls.certificate", "but PUBLIC KEY"),
            ("tls-localhost.pem", None, "tls.key", "but CERTIFICATE"),
            ("tls-localhost.pem", Some("none.key"), "tls.key", "No such"),
            (
                "tls-localhost.pem",
                Some("p256.pem"),
                "tls.key",
                "is not that of the certificate in",
            ),
            (
                "tls-localhost.pem",
                Some("tls-encrypted.key"),
                "tls.key",
                "is encrypted",
            ),
        ];
        for (certificate, key, named, why) in cases {
            let error = read(certificate, key).unwrap_err().to_string();
            // A key that is to be in the file of the certificate is looked for there.
            let named = if key.is_none() {
                "tls.certificate"
            } else {
                named
            };
            let file = keys(key.unwrap_or(certificate));
            assert!(error.starts_with(named), "{error}");
            assert!(error.contains(file.to_str().unwrap()), "{error}");
            assert!(error.contains(why), "{error}");
        }
    }
}
