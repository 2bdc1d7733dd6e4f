//! The stream of bytes under everything: a TCP connection, with TLS over it or without.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_rustls::ConfigBuilderExt;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, pki_types::ServerName};

use crate::client::fault::Fault;

/// How TLS is spoken to one host.
pub(crate) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// Trusts these certificate authorities; without any the system's, or those that `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR` say. The protocols are those that the server is asked for (ALPN), if any.
    ///
    /// # Errors
    /// There are none, or a certificate cannot be for such a host.
    pub(crate) fn to(
        host: &str,
        authorities: Option<Arc<RootCertStore>>,
        protocols: &[&[u8]],
    ) -> io::Result<Self> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let config = match authorities {
            Some(authorities) => config.with_root_certificates(authorities),
            None => config.with_native_roots()?,
        };
        let mut config = config.with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            name,
        })
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tls").field(&self.name).finish()
    }
}

/// A stream of bytes.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>, Arc<Tls>),
}

impl Stream {
    /// Begins to speak TLS if that is to be spoken.
    pub(super) async fn over(tcp: TcpStream, tls: Option<Arc<Tls>>) -> Result<Self, Fault> {
        tcp.set_nodelay(true)?;
        let Some(tls) = tls else {
            return Ok(Self::Plain(tcp));
        };
        let secured = tls.connector.connect(tls.name.clone(), tcp).await;
        let stream = secured.map_err(Fault::Tls)?;
        Ok(Self::Secure(Box::new(stream), tls))
    }

    /// Connects anew to the same address, in the same way.
    pub(super) async fn redial(&self) -> Result<Self, Fault> {
        let tls = match self {
            Self::Plain(_) => None,
            Self::Secure(_, tls) => Some(Arc::clone(tls)),
        };
        Self::over(TcpStream::connect(self.peer()?).await?, tls).await
    }

    fn peer(&self) -> io::Result<SocketAddr> {
        self.tcp().peer_addr()
    }

    /// The address that it has at this end.
    pub(super) fn local(&self) -> io::Result<SocketAddr> {
        self.tcp().local_addr()
    }

    /// The protocol that is agreed on; empty if the server has said nothing, and nothing without TLS.
    pub(super) fn protocol(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(_) => None,
            Self::Secure(stream, _) => Some(stream.get_ref().1.alpn_protocol().unwrap_or_default()),
        }
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Secure(stream, _) => stream.get_ref().0,
        }
    }

    /// Sends bytes.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => {
                // Mostly the kernel takes all at once.
                let sent = match tcp.try_write(bytes) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                    sent => sent?,
                };
                if sent < bytes.len() {
                    tcp.write_all(&bytes[sent..]).await?;
                }
                Ok(())
            }
            Self::Secure(stream, _) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    /// Sends some of the bytes, and tells how many.
    pub(super) fn poll_send(
        &mut self,
        bytes: &[u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Secure(stream, _) => {
                let sent = Pin::new(&mut **stream).poll_write(cx, bytes);
                // What it has taken and not sent leaves with what is sent next.
                let _ = Pin::new(&mut **stream).poll_flush(cx);
                sent
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Secure(stream, _) => Pin::new(&mut **stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Secure(stream, _) => Pin::new(&mut **stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Secure(stream, _) => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Secure(stream, _) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }
}
