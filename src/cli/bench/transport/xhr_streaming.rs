//! xhr-streaming: requests as in long-polling, but the response to a connect is a stream of batches.

use super::http;
use super::long_polling::LongPolling;
use crate::cli::bench::fault::Fault;
use crate::cli::bench::url::Url;

/// A connection that carries requests, and then a stream; the next request opens another.
///
/// A chunk is taken for a batch, as the server writes them; a proxy may cut them differently.
#[derive(Debug)]
pub(super) struct XhrStreaming {
    polling: LongPolling,
}

impl XhrStreaming {
    /// Speaks over a connection that is open.
    pub(super) fn over(http: http::Connection) -> Self {
        Self {
            polling: LongPolling::over(http.taking_chunks()),
        }
    }

    /// The request that carries a batch, head and all.
    pub(super) fn encode(&self, url: &Url, batch: &[u8]) -> Vec<u8> {
        self.polling.encode(url, batch)
    }

    /// Sends a request, over a connection of its own if this one carries a stream.
    pub(super) async fn send(&mut self, request: &[u8]) -> Result<(), Fault> {
        let http = self.polling.http();
        if http.is_in_chunks() {
            http.redial().await?;
        }
        self.polling.send(request).await
    }

    /// Reads the next batch; nothing is lost if this is dropped before.
    pub(super) async fn next(&mut self) -> Result<(), Fault> {
        loop {
            self.polling.next().await?;
            if !self.polling.http().is_in_chunks() {
                return Ok(());
            }
            let chunk = self.polling.batch();
            if chunk.is_empty() {
                return Err(Fault::Closed("a stream without a reply".to_owned()));
            }
            // Heartbeats are line ends.
            if !chunk.trim_ascii().is_empty() {
                return Ok(());
            }
        }
    }

    /// The batch that was read last.
    pub(super) fn batch(&self) -> &[u8] {
        self.polling.batch()
    }

    /// The bytes that have come, the last batch's among them.
    pub(super) fn arrived(&self) -> &[u8] {
        self.polling.arrived()
    }

    /// The cookies that are sent with every request.
    pub(super) fn cookies(&self) -> &str {
        self.polling.cookies()
    }

    /// Sends cookies with every request from now on.
    pub(super) fn set_cookies(&mut self, cookies: String) {
        self.polling.set_cookies(cookies);
    }

    /// Returns the cookies of the response that was read last with every request from now on.
    pub(super) fn keep_cookies(&mut self) {
        self.polling.keep_cookies();
    }
}
