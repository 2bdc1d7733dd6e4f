//! A connection that goes on after its response, and what it needs from the listener.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::{event_source, message_http, streamed, websocket};
use crate::metrics::Metrics;
use crate::web::{Patience, Socket};

/// A connection that is not for requests any more.
#[derive(Debug)]
pub enum Opened {
    /// A WebSocket.
    WebSocket(Box<websocket::Connection>),
    /// An event stream.
    EventSource(Box<event_source::Connection>),
    /// The stream of a connect.
    Streamed(Box<streamed::Connection>),
    /// Responses in a response.
    MessageHttp(Box<message_http::Connection>),
}

/// What a connection that goes on has to know of its server.
#[derive(Debug)]
pub struct Link {
    /// Turns true when the server stops.
    pub stopping: watch::Receiver<bool>,
    /// What connections wait for, and how long.
    pub times: Times,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// How long a connection that goes on waits.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// How slowly a client may read what is written.
    pub patience: Patience,
    /// How long a message may take to arrive once it has begun.
    pub message_timeout: Duration,
    /// How long the connection is kept without a session.
    pub idle_timeout: Duration,
}

impl Opened {
    /// Serves the connection to its end.
    #[must_use]
    pub fn run(self, socket: Socket, link: Link) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        match self {
            Self::WebSocket(connection) => Box::pin(connection.run(socket, link)),
            Self::EventSource(connection) => Box::pin(connection.run(socket, link)),
            Self::Streamed(connection) => Box::pin(connection.run(socket, link)),
            Self::MessageHttp(connection) => Box::pin(connection.run(socket, link)),
        }
    }
}
