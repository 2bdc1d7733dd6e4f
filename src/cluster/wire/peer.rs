//! Another node, as it is reached: by one connection, made when something is asked of it, and again after it broke.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::uri::Authority;
use http::{Request, Response};
use hyper::body::Incoming;

use super::WireSettings;
use super::body::Body;
use super::connection::Connection;
use super::proof::{HEADER, Secret, Signature};
use crate::cluster::node::{NodeId, NodeInfo};
use crate::cluster::peers::CallFailed;
use crate::traces::Span;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a node is left alone that could not be reached.
const PAUSE: Duration = Duration::from_millis(200);

/// Another node.
#[derive(Debug)]
pub(super) struct Peer {
    id: NodeId,
    address: String,
    node_timeout: Duration,
    connect_timeout: Duration,
    open: Mutex<Option<Arc<Connection>>>,
    /// Held by who connects, so that it is done once for all who wait; when it has failed last.
    connecting: tokio::sync::Mutex<Option<Instant>>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.id, self.address)
    }
}

impl Peer {
    pub(super) fn new(node: &NodeInfo, settings: &WireSettings) -> Self {
        Self {
            id: node.id,
            address: node.address.clone(),
            node_timeout: settings.node_timeout,
            connect_timeout: CONNECT_TIMEOUT.min(settings.call_timeout / 2),
            open: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Sends a request, and waits for the head of its response, and what shows whether that is the node's.
    ///
    /// # Errors
    /// The node cannot be reached, or gives no answer.
    pub(super) async fn ask(
        &self,
        sender: (NodeId, &Secret),
        path: &'static str,
        mut body: Body,
        span: &Span,
    ) -> Result<(Response<Incoming>, Signature), CallFailed> {
        // A connection may break unnoticed until something is sent by it.
        for _ in 0..2 {
            let connection = self.connection().await?;
            let (shown, sent) = connection.send(sender, path, body, span);
            drop(connection);
            match sent.await {
                Ok(response) => {
                    let signature = Signature::new(sender.1, shown, response.headers().get(HEADER));
                    return Ok((response, signature));
                }
                Err(mut error) => match error.take_message().map(Request::into_body) {
                    Some(unsent) => body = unsent,
                    None => return Err(CallFailed::NoAnswer(self.id)),
                },
            }
        }
        Err(CallFailed::Unreachable(self.id))
    }

    async fn connection(&self) -> Result<Arc<Connection>, CallFailed> {
        if let Some(open) = self.open() {
            return Ok(open);
        }
        let unreachable = CallFailed::Unreachable(self.id);
        let mut failed = self.connecting.lock().await;
        if let Some(open) = self.open() {
            return Ok(open);
        }
        if failed.is_some_and(|failed| failed.elapsed() < PAUSE) {
            return Err(unreachable);
        }
        // What that takes is not to be kept for each request that waits for its answer.
        let connected = Box::pin(self.connect()).await;
        *failed = connected.is_err().then(Instant::now);
        match connected {
            Ok(connection) => {
                let connection = Arc::new(connection);
                *self.lock() = Some(Arc::clone(&connection));
                Ok(connection)
            }
            Err(error) => {
                tracing::debug!(node = %self.id, address = self.address, error, "a node cannot be reached");
                Err(unreachable)
            }
        }
    }

    async fn connect(&self) -> Result<Connection, String> {
        let authority: Authority = self.address.parse().map_err(|_| "no address".to_owned())?;
        let opening = Connection::open(self.id, &authority, self.node_timeout);
        let opened = tokio::time::timeout(self.connect_timeout, opening).await;
        opened.unwrap_or_else(|_| Err("it takes too long".to_owned()))
    }

    fn open(&self) -> Option<Arc<Connection>> {
        let open = self.lock();
        open.as_ref().filter(|open| open.is_open()).map(Arc::clone)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
