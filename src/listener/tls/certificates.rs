//! All certificates: one is chosen by the name that a client asks for; and the files, as they change.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

use super::certificate::{Certificate, Unusable, date};
use super::settings::{Pair, Settings};

/// The certificates as they are now.
#[derive(Debug)]
pub(super) struct Certificates {
    now: RwLock<Arc<Names>>,
    files: Mutex<Files>,
}

/// Which certificate is for which name.
#[derive(Debug, Default)]
struct Names {
    first: Option<Arc<CertifiedKey>>,
    /// By whole names.
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what follows `*.`, which stands for one label.
    below: HashMap<String, Arc<CertifiedKey>>,
    /// When the first of them expires, in seconds since 1970.
    expiry: u64,
}

/// What tells a file that has changed: none if it cannot be asked for.
type Look = Vec<Option<(u64, i64, i64, u64)>>;

#[derive(Debug)]
struct Files {
    pairs: Vec<(String, Pair)>,
    /// As they were when they were read, or when that failed.
    read: Look,
    /// As they were seen last.
    seen: Look,
}

/// What came of a look at the files.
#[derive(Debug)]
pub(super) enum Seen {
    /// Nothing new, or something that may still be written.
    Nothing,
    /// New certificates.
    Taken,
    /// New files that cannot be used.
    Unusable(Unusable),
}

impl Certificates {
    /// Reads all of them.
    ///
    /// # Errors
    /// One of them, or its key, cannot be used.
    pub(super) fn read(settings: &Settings) -> Result<Self, Unusable> {
        let pairs: Vec<_> = settings.pairs().collect();
        let look = look(&pairs);
        Ok(Self {
            now: RwLock::new(Arc::new(Names::read(&pairs)?)),
            files: Mutex::new(Files {
                pairs,
                read: look.clone(),
                seen: look,
            }),
        })
    }

    /// Looks at the files, and reads all if some have changed and then stayed as they are since the last look: who
    /// replaces them does one after the other.
    pub(super) fn look(&self) -> Seen {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let look = look(&files.pairs);
        let is_still = files.seen == look;
        files.seen.clone_from(&look);
        if !is_still || files.read == look {
            return Seen::Nothing;
        }
        files.read = look;
        match Names::read(&files.pairs) {
            Ok(names) => {
                tracing::info!(expires = %date(names.expiry), "new certificates are in use");
                *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(names);
                Seen::Taken
            }
            Err(error) => Seen::Unusable(error),
        }
    }

    /// Takes others up in place of these, with the files that they are in.
    pub(super) fn renew(&self, others: Self) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let (read, now) = (others.files.into_inner(), others.now.into_inner());
        *files = read.unwrap_or_else(PoisonError::into_inner);
        let now = now.unwrap_or_else(PoisonError::into_inner);
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Returns when the first of them expires, in seconds since 1970.
    pub(super) fn expiry(&self) -> u64 {
        self.now().expiry
    }

    fn now(&self) -> Arc<Names> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.now().find(hello.server_name())
    }
}

impl Names {
    fn read(pairs: &[(String, Pair)]) -> Result<Self, Unusable> {
        let mut names = Self {
            expiry: u64::MAX,
            ..Self::default()
        };
        for (place, pair) in pairs {
            let certificate = Certificate::read(place, pair)?;
            certificate.warn_if_invalid(pair);
            names.add(certificate);
        }
        Ok(names)
    }

    /// Adds one; of a name that several have the first is taken.
    fn add(&mut self, certificate: Certificate) {
        let Certificate {
            certified,
            names,
            valid: (_, until),
        } = certificate;
        for name in names {
            let (map, name) = match name.strip_prefix("*.") {
                Some(domain) => (&mut self.below, domain.to_owned()),
                None => (&mut self.exact, name),
            };
            map.entry(name).or_insert_with(|| Arc::clone(&certified));
        }
        self.expiry = self.expiry.min(until);
        self.first.get_or_insert(certified);
    }

    fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let name = name.map(str::to_ascii_lowercase);
        let found = name.and_then(|name| {
            let exact = self.exact.get(&name);
            exact.or_else(|| self.below.get(name.split_once('.')?.1))
        });
        found.or(self.first.as_ref()).cloned()
    }
}

fn look(pairs: &[(String, Pair)]) -> Look {
    let files = pairs.iter().flat_map(|(_, pair)| {
        let key = pair.key.as_ref();
        std::iter::once(&pair.certificate).chain(key)
    });
    files
        .map(|path| {
            let file = std::fs::metadata(path).ok()?;
            Some((file.ino(), file.ctime(), file.ctime_nsec(), file.len()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn others_take_the_place_of_those_that_there_are_with_their_files() {
        let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys");
        let read = |name: &str| {
            let settings = Settings {
                certificate: Some(keys.join(format!("{name}.pem"))),
                key: Some(keys.join(format!("{name}.key"))),
                ..Settings::default()
            };
            Certificates::read(&settings).unwrap()
        };
        let first = |all: &Certificates| all.now().find(None).unwrap().cert.clone();
        let all = read("tls-localhost");
        let (before, others) = (first(&all), read("tls-other"));
        let expected = first(&others);
        all.renew(others);
        assert!(first(&all) == expected && first(&all) != before);
        assert!(matches!(all.look(), Seen::Nothing));
        let files = all.files.lock().unwrap();
        assert!(files.pairs[0].1.certificate.ends_with("tls-other.pem"));
    }

    #[test]
    fn a_certificate_is_found_by_the_name_that_is_asked_for() {
        let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys");
        let read = |names: &[&str]| {
            let pair = Pair {
                certificate: keys.join("tls-localhost.pem"),
                key: Some(keys.join("tls-localhost.key")),
            };
            let mut certificate = Certificate::read("tls", &pair).unwrap();
            certificate.names = names.iter().map(|&name| name.to_owned()).collect();
            certificate
        };
        let all = [
            read(&["localhost"]),
            read(&["*.example.com", "a.example.com"]),
            read(&["b.example.com", "a.example.com", "*.b.example.com"]),
        ];
        let keys = [0, 1, 2].map(|at: usize| Arc::clone(&all[at].certified));
        let mut names = Names::default();
        all.into_iter()
            .for_each(|certificate| names.add(certificate));
        for (name, expected) in [
            (None, 0),
            (Some("localhost"), 0),
            (Some("elsewhere.example"), 0),
            (Some("example.com"), 0),
            (Some("a.example.com"), 1),
            (Some("C.Example.com"), 1),
            (Some("b.example.com"), 2),
            (Some("c.b.example.com"), 2),
            (Some("d.c.b.example.com"), 0),
        ] {
            let found = names.find(name).unwrap();
            assert!(Arc::ptr_eq(&found, &keys[expected]), "{name:?}");
        }
    }
}
