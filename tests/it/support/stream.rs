//! The stream under a test's client: TCP, or TLS over it where the server speaks that.
//!
//! A test that has said [`speak_tls`] starts servers which speak TLS, and its clients do too; with the variable
//! `MIRANT_TEST_TLS` all do.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};

use super::within;

thread_local! {
    static SPEAKS_TLS: Cell<bool> = Cell::new(std::env::var_os("MIRANT_TEST_TLS").is_some());
    /// The addresses of this test's servers that speak it.
    static ADDRESSES: RefCell<HashSet<SocketAddr>> = RefCell::default();
}

/// Has the servers of this test speak TLS from now on.
pub(crate) fn speak_tls() {
    SPEAKS_TLS.set(true);
}

/// Tells whether they do.
pub(crate) fn speaks_tls() -> bool {
    SPEAKS_TLS.get()
}

/// Has clients speak TLS to an address.
pub(crate) fn note_tls(address: SocketAddr) {
    ADDRESSES.with_borrow_mut(|addresses| addresses.insert(address));
}

/// A file of `tests/keys`.
pub(crate) fn key_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/keys")
        .join(name)
}

/// The settings by which a server is `localhost`.
pub(crate) fn tls_settings() -> [String; 2] {
    [
        format!(
            "tls.certificate={}",
            key_file("tls-localhost.pem").display()
        ),
        format!("tls.key={}", key_file("tls-localhost.key").display()),
    ]
}

/// A client that trusts the authorities of the tests.
pub(crate) fn tls_client(versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for name in ["tls-ca.pem", "tls-other-ca.pem"] {
        let root = CertificateDer::from_pem_file(key_file(name)).unwrap();
        roots.add(root).unwrap();
    }
    ClientConfig::builder_with_provider(default_provider().into())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Shakes hands as a client, which asks for a name.
pub(crate) async fn shake_hands(
    stream: TcpStream,
    name: &str,
    client: impl Into<Arc<ClientConfig>>,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(client.into());
    within(connector.connect(name, stream)).await
}

/// A stream of bytes.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Goes on as the server at the other end does.
    pub(crate) async fn over(tcp: TcpStream) -> Self {
        tcp.set_nodelay(true).unwrap();
        let address = tcp.peer_addr().unwrap();
        if !ADDRESSES.with_borrow(|addresses| addresses.contains(&address)) {
            return Self::Plain(tcp);
        }
        let client = tls_client(&[&version::TLS13]);
        // A server that has no room closes the connection, which reading tells.
        match shake_hands(tcp, "localhost", client).await {
            Ok(stream) => Self::Tls(Box::new(stream)),
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(context, bytes),
            Self::Tls(stream) => {
                let written = Pin::new(&mut **stream).poll_write(context, bytes);
                // What it has taken and not sent leaves with what is sent next.
                let _ = Pin::new(&mut **stream).poll_flush(context);
                written
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(context),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(context),
        }
    }
}
