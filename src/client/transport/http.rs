//! One HTTP/1.1 connection of a client: sends ready bytes, reads counted responses; knows no Bayeux.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::head::{Head, Response};
use super::inbox::Inbox;
use super::stream::Tls;
use crate::client::fault::Fault;

/// A TCP connection and the response that was read last.
#[derive(Debug)]
pub(super) struct Connection {
    inbox: Inbox,
    /// The response that was read last, where the unused bytes begin.
    last: Head,
    /// Whether a response may come in chunks, which are not read here.
    takes_chunks: bool,
}

impl Connection {
    /// Connects to the first address that accepts, and speaks TLS if that is to be spoken.
    pub(super) async fn open(
        addresses: &[SocketAddr],
        tls: Option<&Arc<Tls>>,
        limit: Duration,
    ) -> Result<Self, Fault> {
        Ok(Self {
            inbox: Inbox::open(addresses, tls, limit).await?,
            last: Head::default(),
            takes_chunks: false,
        })
    }

    /// The address that it has at this end.
    pub(super) fn local(&self) -> io::Result<SocketAddr> {
        self.inbox.local()
    }

    /// Reads only the head of a response that comes in chunks.
    pub(super) fn taking_chunks(mut self) -> Self {
        self.takes_chunks = true;
        self
    }

    /// Connects anew to the same address, and forgets what had come.
    pub(super) async fn redial(&mut self) -> Result<(), Fault> {
        self.last = Head::default();
        self.inbox.redial().await
    }

    /// Sends a whole request, head and body, that is ready as bytes.
    pub(super) async fn send(&mut self, request: &[u8]) -> Result<(), Fault> {
        self.inbox.send(request).await
    }

    /// Reads the next response; nothing is lost if this is dropped before.
    pub(super) async fn next(&mut self) -> Result<(), Fault> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Reads the next response; nothing is lost if it is not asked again.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.forget_last();
        loop {
            let bytes = self.inbox.bytes();
            if !bytes.is_empty()
                && let Some(head) = Head::parse(bytes, self.takes_chunks)?
            {
                let missing = head.whole().saturating_sub(bytes.len());
                if missing == 0 {
                    self.last = head;
                    return Poll::Ready(Ok(()));
                }
                self.inbox.expect(missing);
            }
            ready!(self.inbox.poll_more(cx))?;
        }
    }

    fn forget_last(&mut self) {
        let last = std::mem::take(&mut self.last);
        self.inbox.advance(last.whole());
    }

    /// The response that was read last.
    pub(super) fn response(&self) -> Response<'_> {
        let (head, rest) = self.inbox.bytes().split_at(self.last.length);
        Response {
            status: self.last.status,
            head,
            body: &rest[..self.last.body],
        }
    }

    /// Whether what follows the head of the response that was read last comes in chunks.
    pub(super) fn is_chunked(&self) -> bool {
        self.last.is_chunked
    }

    /// The bytes that have come, the last response's among them.
    pub(super) fn arrived(&self) -> &[u8] {
        self.inbox.bytes()
    }

    /// When the last of them came.
    pub(super) fn read_at(&self) -> Instant {
        self.inbox.read_at()
    }

    /// The socket and what has come after the last response.
    pub(super) fn inbox(&mut self) -> &mut Inbox {
        self.forget_last();
        &mut self.inbox
    }

    /// The socket and what has come after the last response, for good.
    pub(super) fn into_inbox(mut self) -> Inbox {
        self.forget_last();
        self.inbox
    }
}
