//! How messages travel between a client and the server; knows no Bayeux.

mod chunked;
mod event_source;
mod fetching;
mod head;
mod http;
mod http2;
mod inbox;
mod long_polling;
mod stream;
mod websocket;
mod xhr_streaming;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

pub(crate) use self::event_source::{EventStream, Position};
pub(crate) use self::fetching::Fetched;
use self::http2::Http2;
use self::long_polling::LongPolling;
pub(crate) use self::stream::Tls;
use self::websocket::WebSocket;
use self::xhr_streaming::XhrStreaming;
use super::fault::{Fault, excerpt};
use super::url::Url;

/// How a session speaks, in batches that go both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionType {
    /// In HTTP requests and responses.
    LongPolling,
    /// In such by HTTP/2.
    LongPollingByHttp2,
    /// In frames.
    WebSocket,
    /// In HTTP requests and responses, of which one has many batches.
    XhrStreaming,
}

impl ConnectionType {
    /// The name that handshakes and connects give it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LongPolling | Self::LongPollingByHttp2 => "long-polling",
            Self::WebSocket => "websocket",
            Self::XhrStreaming => "xhr-streaming",
        }
    }

    /// Whether events come when they please, not only in the answer to a connect.
    pub(crate) fn pushes(self) -> bool {
        matches!(self, Self::WebSocket | Self::XhrStreaming)
    }

    /// What is asked for over TLS, if that has to be said.
    pub(crate) fn protocols(self) -> &'static [&'static [u8]] {
        match self {
            Self::LongPollingByHttp2 => &[http2::PROTOCOL, b"http/1.1"],
            Self::LongPolling | Self::WebSocket | Self::XhrStreaming => &[],
        }
    }
}

/// A connection that nothing has been said on.
pub(crate) struct Dialled(http::Connection);

impl Dialled {
    /// Connects to the first address that accepts, and speaks TLS if that is to be spoken.
    pub(crate) async fn to(
        addresses: &[SocketAddr],
        tls: Option<&Arc<Tls>>,
        limit: Duration,
    ) -> Result<Self, Fault> {
        let opened = http::Connection::open(addresses, tls, limit).await;
        opened.map(Self)
    }

    /// The address that it has at this end.
    pub(crate) fn local(&self) -> io::Result<SocketAddr> {
        self.0.local()
    }

    /// Asks for what is at a target of the server's, which must answer within `limit`.
    pub(crate) async fn fetch(
        self,
        authority: &str,
        target: &str,
        limit: Duration,
    ) -> Result<Fetched, Fault> {
        Fetched::over(self.0, authority, target, limit).await
    }

    /// Makes it carry batches, for which a WebSocket or HTTP/2 has to be agreed on within `limit`.
    pub(crate) async fn speak(
        self,
        connection_type: ConnectionType,
        url: &Url,
        limit: Duration,
    ) -> Result<Connection, Fault> {
        let speaker = match connection_type {
            ConnectionType::LongPolling => Speaker::LongPolling(LongPolling::over(self.0)),
            ConnectionType::LongPollingByHttp2 => {
                let stream = self.0.into_inbox().into_stream();
                Speaker::Http2(Box::new(Http2::over(stream, url, limit).await?))
            }
            ConnectionType::WebSocket => {
                Speaker::WebSocket(WebSocket::upgrade(self.0, url, limit).await?)
            }
            ConnectionType::XhrStreaming => Speaker::XhrStreaming(XhrStreaming::over(self.0)),
        };
        Ok(Connection { speaker })
    }

    /// Makes it an event stream of a channel, which must begin within `limit`.
    pub(crate) async fn listen(
        self,
        authority: &str,
        path: &str,
        channel: &str,
        limit: Duration,
    ) -> Result<EventStream, Fault> {
        let target = format!("{path}?channel={channel}");
        EventStream::open(self.0, authority, &target, "", None, limit).await
    }

    /// Makes it the event stream of a session, as its browser's cookies let it; that must begin within `limit`.
    pub(crate) async fn listen_as(
        self,
        url: &Url,
        client_id: &str,
        cookies: &str,
        limit: Duration,
    ) -> Result<EventStream, Fault> {
        let target = format!("{}/{client_id}", url.path());
        EventStream::open(self.0, &url.authority, &target, cookies, None, limit).await
    }

    /// Goes on with an event stream that broke off at a position.
    pub(crate) async fn listen_again(
        self,
        authority: &str,
        path: &str,
        channel: &str,
        position: Position,
        limit: Duration,
    ) -> Result<EventStream, Fault> {
        let target = format!("{path}?channel={channel}");
        EventStream::open(self.0, authority, &target, "", Some(position), limit).await
    }
}

/// A batch that has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival<'a> {
    /// The messages; of an event stream, one event.
    pub(crate) batch: &'a [u8],
    /// When the last bytes of it were read.
    pub(crate) at: std::time::Instant,
}

/// The connection of one client, over which batches go both ways.
#[derive(Debug)]
pub(crate) struct Connection {
    speaker: Speaker,
}

#[derive(Debug)]
enum Speaker {
    LongPolling(LongPolling),
    Http2(Box<Http2>),
    WebSocket(WebSocket),
    XhrStreaming(XhrStreaming),
}

impl Connection {
    /// The bytes that carry a batch, which may be sent more than once.
    pub(crate) fn encode(&self, url: &Url, batch: &[u8]) -> Result<Vec<u8>, Fault> {
        match &self.speaker {
            Speaker::LongPolling(speaker) => Ok(speaker.encode(url, batch)),
            Speaker::Http2(_) => Ok(batch.to_vec()),
            Speaker::WebSocket(_) => websocket::encode(batch),
            Speaker::XhrStreaming(speaker) => Ok(speaker.encode(url, batch)),
        }
    }

    /// Sends encoded bytes.
    pub(crate) async fn send(&mut self, encoded: &[u8]) -> Result<(), Fault> {
        match &mut self.speaker {
            Speaker::LongPolling(speaker) => speaker.send(encoded).await,
            Speaker::Http2(speaker) => speaker.send(encoded).await,
            Speaker::WebSocket(speaker) => speaker.send(encoded).await,
            Speaker::XhrStreaming(speaker) => speaker.send(encoded).await,
        }
    }

    /// Sends encoded bytes, which the server must take within `limit`.
    pub(crate) async fn send_within(
        &mut self,
        encoded: &[u8],
        limit: Duration,
    ) -> Result<(), Fault> {
        let Ok(sent) = timeout(limit, self.send(encoded)).await else {
            let answer = "the server does not read the request".to_owned();
            return Err(Fault::TimedOut { limit, answer });
        };
        sent
    }

    /// Reads the next batch, which must be whole within `limit`.
    pub(crate) async fn receive_within(&mut self, limit: Duration) -> Result<&[u8], Fault> {
        let Ok(received) = timeout(limit, self.next()).await else {
            let answer = excerpt(self.arrived());
            return Err(Fault::TimedOut { limit, answer });
        };
        received?;
        Ok(self.batch())
    }

    /// Reads the next batch if it comes before a moment.
    pub(crate) async fn receive_before(
        &mut self,
        end: Instant,
    ) -> Result<Option<Arrival<'_>>, Fault> {
        match timeout_at(end, self.next()).await {
            Ok(received) => received.map(|()| Some(self.arrival())),
            Err(_) => Ok(None),
        }
    }

    /// Sends encoded bytes and reads the next batch within `limit`.
    pub(crate) async fn exchange(
        &mut self,
        encoded: &[u8],
        limit: Duration,
    ) -> Result<&[u8], Fault> {
        self.send_within(encoded, limit).await?;
        self.receive_within(limit).await
    }

    /// Sends the cookies that came with the last batch with every request from now on.
    ///
    /// A WebSocket makes no further requests.
    pub(crate) fn keep_cookies(&mut self) {
        match &mut self.speaker {
            Speaker::LongPolling(speaker) => speaker.keep_cookies(),
            Speaker::Http2(speaker) => speaker.keep_cookies(),
            Speaker::WebSocket(_) => {}
            Speaker::XhrStreaming(speaker) => speaker.keep_cookies(),
        }
    }

    /// The cookies that are sent with every request; empty on a WebSocket.
    pub(crate) fn cookies(&self) -> &str {
        match &self.speaker {
            Speaker::LongPolling(speaker) => speaker.cookies(),
            Speaker::Http2(speaker) => speaker.cookies(),
            Speaker::WebSocket(_) => "",
            Speaker::XhrStreaming(speaker) => speaker.cookies(),
        }
    }

    /// Sends cookies with every request from now on.
    pub(crate) fn set_cookies(&mut self, cookies: String) {
        match &mut self.speaker {
            Speaker::LongPolling(speaker) => speaker.set_cookies(cookies),
            Speaker::Http2(speaker) => speaker.set_cookies(cookies),
            Speaker::WebSocket(_) => {}
            Speaker::XhrStreaming(speaker) => speaker.set_cookies(cookies),
        }
    }

    async fn next(&mut self) -> Result<(), Fault> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Reads the next batch, however long it takes; nothing is lost if it is not asked again.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        match &mut self.speaker {
            Speaker::LongPolling(speaker) => speaker.poll_next(cx),
            Speaker::Http2(speaker) => speaker.poll_next(cx),
            Speaker::WebSocket(speaker) => speaker.poll_next(cx),
            Speaker::XhrStreaming(speaker) => speaker.poll_next(cx),
        }
    }

    /// The batch that was read last.
    pub(crate) fn batch(&self) -> &[u8] {
        self.arrival().batch
    }

    /// The batch that was read last, and when that was.
    pub(crate) fn arrival(&self) -> Arrival<'_> {
        let (batch, at) = match &self.speaker {
            Speaker::LongPolling(speaker) => (speaker.batch(), speaker.read_at()),
            Speaker::Http2(speaker) => (speaker.batch(), speaker.read_at()),
            Speaker::WebSocket(speaker) => (speaker.batch(), speaker.read_at()),
            Speaker::XhrStreaming(speaker) => (speaker.batch(), speaker.read_at()),
        };
        Arrival { batch, at }
    }

    fn arrived(&self) -> &[u8] {
        match &self.speaker {
            Speaker::LongPolling(speaker) => speaker.arrived(),
            Speaker::Http2(speaker) => speaker.batch(),
            Speaker::WebSocket(speaker) => speaker.arrived(),
            Speaker::XhrStreaming(speaker) => speaker.arrived(),
        }
    }
}
