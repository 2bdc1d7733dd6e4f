//! How a client comes to speak to a server: by WebSocket, or by long-polling where that is refused.

use super::fault::Fault;
use super::incoming::Reply;
use super::session::{Identity, Server, Session};
use super::transport::ConnectionType;

/// The way to a server.
#[derive(Debug)]
pub(crate) struct Approach {
    server: Server,
    /// How to speak is settled: it was asked for, or a server has answered so.
    is_settled: bool,
    refused: Option<Fault>,
}

impl Approach {
    /// Speaks as the server's settings say, or, if `may_fall_back`, by long-polling if nothing else works.
    pub(crate) fn new(server: Server, may_fall_back: bool) -> Self {
        Self {
            server,
            is_settled: !may_fall_back,
            refused: None,
        }
    }

    /// The server, and how it is spoken to.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// Why the first way to speak is not used, said once.
    pub(crate) fn take_refused(&mut self) -> Option<Fault> {
        self.refused.take()
    }

    /// Opens a connection and handshakes; the reply may be a refusal.
    pub(crate) async fn handshake(&mut self, asks_ack: bool) -> Result<(Session, Reply), Fault> {
        self.server.resolve().await?;
        let preferred = self.server.connection_type;
        let mut handshaken = self.attempt(asks_ack).await;
        if !self.is_settled
            && let Err(fault) = handshaken
        {
            if fault.is_of_network() {
                return Err(fault);
            }
            self.server.connection_type = ConnectionType::LongPolling;
            handshaken = self.attempt(asks_ack).await;
            match &handshaken {
                Ok(_) => self.refused = Some(fault),
                Err(_) => self.server.connection_type = preferred,
            }
        }
        self.is_settled |= handshaken.is_ok();
        handshaken
    }

    async fn attempt(&self, asks_ack: bool) -> Result<(Session, Reply), Fault> {
        let mut session = self.open(Identity::default()).await?;
        let reply = session.begin(&self.server, asks_ack).await?;
        Ok((session, reply))
    }

    /// Opens a connection for a session that there is.
    pub(crate) async fn reopen(&mut self, identity: Identity) -> Result<Session, Fault> {
        self.server.resolve().await?;
        self.open(identity).await
    }

    async fn open(&self, identity: Identity) -> Result<Session, Fault> {
        let dialled = self.server.dial().await?;
        Session::over(dialled, &self.server, identity).await
    }
}
