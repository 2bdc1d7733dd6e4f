//! Long-polling by HTTP/2: each batch is a request, and each request a stream of one connection; knows no Bayeux.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Error, RecvStream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, SET_COOKIE};
use http::{HeaderMap, Request, StatusCode, Uri};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::head::MAX_BODY;
use super::stream::Stream;
use crate::client::fault::{Fault, excerpt};
use crate::client::url::Url;

/// The name that TLS gives it (ALPN).
pub(super) const PROTOCOL: &[u8] = b"h2";
/// How much a server may send ahead.
const WINDOW: u32 = 1024 * 1024;
/// The longest response head that is read.
const MAX_HEAD: u32 = 16 * 1024;

/// A connection that carries requests and responses, and the cookies of its client.
#[derive(Debug)]
pub(super) struct Http2 {
    requests: SendRequest<Bytes>,
    /// What reads and writes the frames.
    driving: JoinHandle<Result<(), Error>>,
    endpoint: Uri,
    /// The `Cookie` header's value, or nothing.
    cookies: String,
    /// What was sent, in order, and not answered.
    under_way: VecDeque<Exchange>,
    /// The response that was read last.
    last: Answer,
    read_at: Instant,
}

/// A request whose response is to come, or a part of that.
#[derive(Debug)]
enum Exchange {
    Head(ResponseFuture),
    Body(Answer, RecvStream),
}

#[derive(Debug, Default)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: BytesMut,
}

impl Http2 {
    /// Begins with a connection on which nothing was said; over TLS the server must have agreed to it.
    pub(super) async fn over(stream: Stream, url: &Url, limit: Duration) -> Result<Self, Fault> {
        if stream.protocol().is_some_and(|agreed| agreed != PROTOCOL) {
            let text = "the server does not agree to it by ALPN";
            return Err(Fault::Http2(io::Error::other(text)));
        }
        let endpoint = url.endpoint().map_err(io::Error::other)?;
        let shaken = Builder::new()
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_header_list_size(MAX_HEAD)
            .enable_push(false)
            .handshake(stream);
        let Ok(shaken) = timeout(limit, shaken).await else {
            let answer = "HTTP/2 does not begin".to_owned();
            return Err(Fault::TimedOut { limit, answer });
        };
        let (requests, connection) = shaken.map_err(failed)?;
        Ok(Self {
            requests,
            driving: tokio::spawn(connection),
            endpoint,
            cookies: String::new(),
            under_way: VecDeque::new(),
            last: Answer::default(),
            read_at: Instant::now(),
        })
    }

    /// Sends a batch.
    pub(super) async fn send(&mut self, batch: &[u8]) -> Result<(), Fault> {
        let may_send = poll_fn(|cx| self.requests.poll_ready(cx)).await;
        may_send.map_err(failed)?;
        let mut request = Request::post(self.endpoint.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_LENGTH, batch.len());
        if !self.cookies.is_empty() {
            request = request.header(COOKIE, &self.cookies);
        }
        let request = request.body(()).map_err(io::Error::other)?;
        let (response, mut body) = self.requests.send_request(request, false).map_err(failed)?;
        let sent = body.send_data(Bytes::copy_from_slice(batch), true);
        sent.map_err(failed)?;
        self.under_way.push_back(Exchange::Head(response));
        Ok(())
    }

    /// Reads the next response; nothing is lost if it is not asked again.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.last = Answer::default();
        loop {
            let Some(exchange) = self.under_way.front_mut() else {
                return Poll::Ready(Err(ready!(self.poll_end(cx))));
            };
            if ready!(exchange.poll_more(cx))? {
                break;
            }
        }
        if let Some(Exchange::Body(answer, _)) = self.under_way.pop_front() {
            self.last = answer;
        }
        self.read_at = Instant::now();
        Poll::Ready(match self.last.status {
            StatusCode::OK => Ok(()),
            status => Err(Fault::Status {
                status: status.as_u16(),
                answer: excerpt(&self.last.body),
            }),
        })
    }

    /// Waits for the end of the connection; to be asked once more at most after it.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Fault> {
        let ended = ready!(Pin::new(&mut self.driving).poll(cx));
        Poll::Ready(match ended {
            Ok(Err(error)) => failed(error),
            Ok(Ok(())) | Err(_) => Fault::Closed(String::new()),
        })
    }

    /// The batch in the response that was read last.
    pub(super) fn batch(&self) -> &[u8] {
        &self.last.body
    }

    /// When it came.
    pub(super) fn read_at(&self) -> Instant {
        self.read_at
    }

    /// The cookies that are sent with every request.
    pub(super) fn cookies(&self) -> &str {
        &self.cookies
    }

    /// Sends cookies with every request from now on.
    pub(super) fn set_cookies(&mut self, cookies: String) {
        self.cookies = cookies;
    }

    /// Returns the cookies of the response that was read last with every request from now on.
    pub(super) fn keep_cookies(&mut self) {
        let set = self.last.headers.get_all(SET_COOKIE).iter();
        let pairs: Vec<_> = set
            .filter_map(|value| value.to_str().ok()?.split(';').next())
            .collect();
        self.cookies = pairs.join("; ");
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.driving.abort();
    }
}

impl Exchange {
    /// Reads more of the response; true if that was all.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Fault>> {
        match self {
            Self::Head(response) => {
                let response = ready!(Pin::new(response).poll(cx)).map_err(failed)?;
                let (head, body) = response.into_parts();
                let answer = Answer {
                    status: head.status,
                    headers: head.headers,
                    body: BytesMut::new(),
                };
                *self = Self::Body(answer, body);
                Poll::Ready(Ok(false))
            }
            Self::Body(answer, body) => {
                let Some(piece) = ready!(body.poll_data(cx)) else {
                    return Poll::Ready(Ok(true));
                };
                let piece = piece.map_err(failed)?;
                let released = body.flow_control().release_capacity(piece.len());
                released.map_err(failed)?;
                if answer.body.len() + piece.len() > MAX_BODY {
                    let text = format!("its body is longer than {MAX_BODY} bytes");
                    return Poll::Ready(Err(Fault::Malformed(text)));
                }
                answer.body.extend_from_slice(&piece);
                Poll::Ready(Ok(false))
            }
        }
    }
}

fn failed(error: Error) -> Fault {
    if error.is_io() {
        Fault::Io(io::Error::other(error))
    } else {
        Fault::Http2(io::Error::other(error))
    }
}
