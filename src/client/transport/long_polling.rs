//! Long-polling: a POST for each batch of messages, and cookies.

use std::task::{Context, Poll, ready};
use std::time::Instant;

use super::http;
use crate::client::fault::{Fault, excerpt};
use crate::client::url::Url;

/// A connection that carries requests and responses, and the cookies of its client.
#[derive(Debug)]
pub(super) struct LongPolling {
    http: http::Connection,
    /// The `Cookie` header's value, or nothing.
    cookies: String,
}

impl LongPolling {
    /// Speaks over a connection that is open.
    pub(super) fn over(http: http::Connection) -> Self {
        Self {
            http,
            cookies: String::new(),
        }
    }

    /// The request that carries a batch, head and all.
    pub(super) fn encode(&self, url: &Url, batch: &[u8]) -> Vec<u8> {
        let cookie = match &*self.cookies {
            "" => String::new(),
            cookies => format!("Cookie: {cookies}\r\n"),
        };
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             {cookie}Content-Length: {}\r\n\r\n",
            url.path(),
            url.authority,
            batch.len()
        );
        [head.as_bytes(), batch].concat()
    }

    /// Sends a request.
    pub(super) async fn send(&mut self, request: &[u8]) -> Result<(), Fault> {
        self.http.send(request).await
    }

    /// Reads the next response; nothing is lost if it is not asked again.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        ready!(self.http.poll_next(cx))?;
        let response = self.http.response();
        Poll::Ready(match response.status {
            200 => Ok(()),
            status => Err(Fault::Status {
                status,
                answer: excerpt(response.body),
            }),
        })
    }

    /// The batch in the response that was read last.
    pub(super) fn batch(&self) -> &[u8] {
        self.http.response().body
    }

    /// The bytes that have come, the last response's among them.
    pub(super) fn arrived(&self) -> &[u8] {
        self.http.arrived()
    }

    /// When the last of them came.
    pub(super) fn read_at(&self) -> Instant {
        self.http.read_at()
    }

    /// The connection.
    pub(super) fn http(&mut self) -> &mut http::Connection {
        &mut self.http
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
        self.cookies = self.http.response().cookies();
    }
}
