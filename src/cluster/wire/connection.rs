//! One connection to another node.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::body::Body;
use super::proof::{Claim, HEADER, Secret, digest_of};
use crate::cluster::node::NodeId;
use crate::traces::Span;

/// What the other node may send by a stream before it is read, and by all of them.
pub(super) const STREAM_WINDOW: u32 = 64 * 1024;
pub(super) const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What is kept of a stream that the other node does not read.
pub(super) const SEND_BUFFER: usize = 64 * 1024;
/// Requests are long but for their heads.
pub(super) const MAX_HEAD: u32 = 4096;
/// How many streams that were given up are remembered, as the other node may still answer by them.
const GIVEN_UP: usize = 16 * 1024;

/// One connection to another node.
#[derive(Debug)]
pub(super) struct Connection {
    authority: Authority,
    to: NodeId,
    series: u128,
    sending: Mutex<Numbered>,
}

#[derive(Debug)]
struct Numbered {
    sender: SendRequest<Body>,
    number: u64,
}

impl Connection {
    /// Connects, within a Tokio runtime. The connection is given up if the node does not answer for so long.
    ///
    /// # Errors
    /// It cannot be reached.
    pub(super) async fn open(
        to: NodeId,
        authority: &Authority,
        node_timeout: Duration,
    ) -> Result<Self, String> {
        let stream = TcpStream::connect(authority.as_str()).await;
        let stream = stream.map_err(|error| error.to_string())?;
        stream
            .set_nodelay(true)
            .map_err(|error| error.to_string())?;
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEAD)
            .max_send_buf_size(SEND_BUFFER)
            .max_concurrent_reset_streams(GIVEN_UP)
            .max_local_error_reset_streams(None)
            .keep_alive_interval(node_timeout / 2)
            .keep_alive_timeout(node_timeout)
            .keep_alive_while_idle(true);
        let made = builder.handshake(TokioIo::new(stream)).await;
        let (sender, connection) = made.map_err(|error| error.to_string())?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(node = %to, %error, "the connection to another node broke");
            }
        });
        let mut series = [0; 16];
        getrandom::fill(&mut series).expect("the operating system gives random bytes");
        Ok(Self {
            authority: authority.clone(),
            to,
            series: u128::from_le_bytes(series),
            sending: Mutex::new(Numbered { sender, number: 0 }),
        })
    }

    /// Tells whether requests can be sent by it, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        let sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        !sending.sender.is_closed()
    }

    /// Sends a request, and returns what it shows. If it cannot be sent any more it is in the error.
    pub(super) fn send(
        &self,
        (from, secret): (NodeId, &Secret),
        path: &'static str,
        body: Body,
        span: &Span,
    ) -> (
        HeaderValue,
        impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Body>>>> + Send + use<>,
    ) {
        let said = digest_of(body.said());
        let uri = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.authority.clone())
            .path_and_query(PathAndQuery::from_static(path));
        let uri = uri.build().expect("its parts are there");
        let mut request = Request::post(uri).body(body).expect("it has no headers");
        // Numbers grow in the order in which requests arrive.
        let mut sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        sending.number += 1;
        let claim = Claim {
            from,
            to: self.to,
            time: seconds(),
            series: self.series,
            number: sending.number,
            said,
        };
        let proof = secret.prove(path, &claim).try_into();
        let proof: HeaderValue = proof.expect("it is of letters, digits and blanks");
        request.headers_mut().insert(HEADER, proof.clone());
        span.carry(request.headers_mut());
        (proof, sending.sender.try_send_request(request))
    }
}

/// Returns the time, in seconds since 1970.
pub(super) fn seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
