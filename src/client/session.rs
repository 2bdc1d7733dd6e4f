//! A session over one connection, from its handshake to connects that are held.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_rustls::rustls::RootCertStore;

use super::Url;
use super::credentials::Credentials;
use super::fault::Fault;
use super::incoming::{self, Reply};
use super::messages::{self, CONNECT, DISCONNECT, HANDSHAKE, SUBSCRIBE};
use super::transport::{Connection, ConnectionType, Dialled, Tls};

/// How long a client waits at the end for the server to know of it.
pub(super) const LEAVE: Duration = Duration::from_secs(2);

/// How long a session that only publishes is silent; servers end those that are for much longer.
pub(crate) const KEEP: Duration = Duration::from_secs(3);

/// Where a server is, and how it is spoken to.
#[derive(Debug)]
pub(crate) struct Server {
    /// The address of its endpoint.
    pub(crate) url: Url,
    /// What the host in it resolves to.
    pub(crate) addresses: Vec<SocketAddr>,
    /// How TLS is spoken to it, if it is.
    pub(crate) tls: Option<Arc<Tls>>,
    /// How sessions speak.
    pub(crate) connection_type: ConnectionType,
    /// What its handshakes show of who their client is.
    pub(crate) credentials: Credentials,
    /// How long it may take to answer.
    pub(crate) timeout: Duration,
}

impl Server {
    /// Looks for the server of a URL, which is trusted by these certificate authorities, or by the system's.
    pub(crate) async fn find(
        url: Url,
        connection_type: ConnectionType,
        credentials: Credentials,
        timeout: Duration,
        authorities: Option<Arc<RootCertStore>>,
    ) -> Result<Self, Fault> {
        let tls = match url.is_secure {
            true => Some(Arc::new(
                Tls::to(&url.host, authorities, connection_type.protocols()).map_err(Fault::Tls)?,
            )),
            false => None,
        };
        let mut server = Self {
            url,
            addresses: Vec::new(),
            tls,
            connection_type,
            credentials,
            timeout,
        };
        server.resolve().await?;
        Ok(server)
    }

    /// Looks up where it is now.
    pub(crate) async fn resolve(&mut self) -> Result<(), Fault> {
        let unresolved = |source| Fault::Resolve {
            host: self.url.authority.clone(),
            source,
        };
        self.addresses = self.url.resolve().await.map_err(unresolved)?;
        Ok(())
    }

    /// Opens a connection to it.
    pub(crate) async fn dial(&self) -> Result<Dialled, Fault> {
        Dialled::to(&self.addresses, self.tls.as_ref(), self.timeout).await
    }
}

/// What a client is known by; nothing before its handshake.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identity {
    client_id: String,
    /// The value of the `Cookie` header.
    cookies: String,
}

/// A session with a server and the connection it lives on.
///
/// Replies come in the order of what was sent, and none is matched by its id: ask for the next thing
/// when nothing else is due.
#[derive(Debug)]
pub(crate) struct Session {
    client_id: String,
    connection: Connection,
}

impl Session {
    /// Makes a connection carry batches, for a client that may have a session already.
    pub(crate) async fn over(
        dialled: Dialled,
        server: &Server,
        identity: Identity,
    ) -> Result<Self, Fault> {
        let mut connection = dialled
            .speak(server.connection_type, &server.url, server.timeout)
            .await?;
        connection.set_cookies(identity.cookies);
        Ok(Self {
            client_id: identity.client_id,
            connection,
        })
    }

    /// What another connection needs to speak for the same session.
    pub(crate) fn identity(&self) -> Identity {
        Identity {
            client_id: self.client_id.clone(),
            cookies: self.connection.cookies().to_owned(),
        }
    }

    /// The name that the server gave it; empty before its handshake.
    pub(crate) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The connection it lives on.
    pub(crate) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// The connection, to look at what has come.
    pub(crate) fn arrived(&self) -> &Connection {
        &self.connection
    }

    /// Handshakes, and keeps the cookies that come with the reply.
    pub(crate) async fn handshake(&mut self, server: &Server) -> Result<(), Fault> {
        let batch = messages::handshake(server.connection_type, &server.credentials, false);
        self.client_id = self.ask(server, &batch, HANDSHAKE).await?.client_id;
        self.connection.keep_cookies();
        Ok(())
    }

    /// Handshakes, and returns the reply, be it a refusal.
    pub(crate) async fn begin(&mut self, server: &Server, asks_ack: bool) -> Result<Reply, Fault> {
        let (kind, credentials) = (server.connection_type, &server.credentials);
        self.say(server, &messages::handshake(kind, credentials, asks_ack))
            .await?;
        let batch = self.connection.receive_within(server.timeout).await?;
        let reply = incoming::find_reply(batch, HANDSHAKE)?;
        self.client_id.clone_from(&reply.client_id);
        self.connection.keep_cookies();
        Ok(reply)
    }

    /// Sends a batch, and does not wait for what comes of it.
    pub(crate) async fn say(&mut self, server: &Server, batch: &[u8]) -> Result<(), Fault> {
        let encoded = self.connection.encode(&server.url, batch)?;
        self.connection.send_within(&encoded, server.timeout).await
    }

    /// Ends the session, and waits for the reply, but not for long; no other may be due, unless they come
    /// as they please.
    pub(crate) async fn leave(&mut self, server: &Server) {
        if self.client_id.is_empty() {
            return;
        }
        let leaving = async {
            self.say(server, &messages::disconnect(&self.client_id.clone()))
                .await?;
            loop {
                let batch = self.connection.receive_within(LEAVE).await?;
                if incoming::find_reply(batch, DISCONNECT).is_ok() {
                    return Ok::<_, Fault>(());
                }
            }
        };
        // A session that is not ended so ends by itself.
        let _ = timeout(LEAVE, leaving).await;
    }

    /// Subscribes to a channel whose name needs no escapes.
    pub(crate) async fn subscribe(&mut self, server: &Server, channel: &str) -> Result<(), Fault> {
        let batch = messages::subscribe(&self.client_id, channel);
        self.ask(server, &batch, SUBSCRIBE).await.map(drop)
    }

    /// Connects, and asks to be answered at once.
    pub(crate) async fn connect(&mut self, server: &Server) -> Result<Reply, Fault> {
        let batch = messages::connect(server.connection_type, &self.client_id, true);
        self.ask(server, &batch, CONNECT).await
    }

    /// Sends a connect, and does not wait for what comes of it.
    pub(crate) async fn send_connect(&mut self, server: &Server) -> Result<(), Fault> {
        let batch = messages::connect(server.connection_type, &self.client_id, true);
        let connect = self.connection.encode(&server.url, &batch)?;
        self.connection.send_within(&connect, server.timeout).await
    }

    /// Sends a connect that the server is to hold; returns its bytes, to be sent again.
    pub(crate) async fn leave_held(&mut self, server: &Server) -> Result<Vec<u8>, Fault> {
        let batch = messages::connect(server.connection_type, &self.client_id, false);
        let connect = self.connection.encode(&server.url, &batch)?;
        self.connection
            .send_within(&connect, server.timeout)
            .await?;
        Ok(connect)
    }

    async fn ask(&mut self, server: &Server, batch: &[u8], channel: &str) -> Result<Reply, Fault> {
        let encoded = self.connection.encode(&server.url, batch)?;
        let replies = self.connection.exchange(&encoded, server.timeout).await?;
        incoming::read_reply(replies, channel)
    }
}
