//! The certificate authorities that a command trusts instead of the system's.

use std::sync::Arc;

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

/// Reads them from a PEM file.
///
/// # Errors
/// The file cannot be read, or holds no certificate that could be one's.
pub(super) fn authorities(path: &str) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("there is no certificate in it (PEM)".to_owned());
    }
    Ok(Arc::new(roots))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_certificate_or_more() {
        let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys");
        let read = |name: &str| authorities(&format!("{keys}/{name}"));
        assert_eq!(read("tls-ca.pem").unwrap().len(), 1);
        for (name, why) in [("p256.pem", "no certificate"), ("none.pem", "No such file")] {
            let error = read(name).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
