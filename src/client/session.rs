//! A session over one connection, from its handshake to connects that are held.

use std::net::SocketAddr;
use std::time::Duration;

use super::Url;
use super::fault::Fault;
use super::messages::{self, CONNECT, HANDSHAKE, Reply, SUBSCRIBE};
use super::transport::{Connection, ConnectionType, Dialled};

/// Where a server is, and how it is spoken to.
#[derive(Debug)]
pub(crate) struct Server {
    /// The address of its endpoint.
    pub(crate) url: Url,
    /// What the host in it resolves to.
    pub(crate) addresses: Vec<SocketAddr>,
    /// How sessions speak.
    pub(crate) connection_type: ConnectionType,
    /// What its handshakes show of who their client is.
    pub(crate) token: Option<String>,
    /// How long it may take to answer.
    pub(crate) timeout: Duration,
}

impl Server {
    /// Opens a TCP connection to it.
    pub(crate) async fn dial(&self) -> Result<Dialled, Fault> {
        Dialled::to(&self.addresses, self.timeout).await
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
        let batch = messages::handshake(server.connection_type, server.token.as_deref());
        self.client_id = self.ask(server, &batch, HANDSHAKE).await?.client_id;
        self.connection.keep_cookies();
        Ok(())
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
        messages::read_reply(replies, channel)
    }
}
