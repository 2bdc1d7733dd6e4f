//! xhr-streaming: requests as in long-polling, but the response to a connect is a stream of batches.

use std::task::{Context, Poll, ready};
use std::time::Instant;

use memchr::memrchr_iter;

use super::chunked::Chunked;
use super::http;
use super::long_polling::LongPolling;
use crate::client::fault::Fault;
use crate::client::url::Url;

/// A connection that carries requests, and then a stream; the next request opens another.
#[derive(Debug)]
pub(super) struct XhrStreaming {
    polling: LongPolling,
    stream: Option<Stream>,
}

/// The response to a connect while it goes on.
#[derive(Debug, Default)]
struct Stream {
    text: Chunked,
    /// The length of the batch that was read last, at the text's start.
    last: usize,
}

impl XhrStreaming {
    /// Speaks over a connection that is open.
    pub(super) fn over(http: http::Connection) -> Self {
        Self {
            polling: LongPolling::over(http.taking_chunks()),
            stream: None,
        }
    }

    /// The request that carries a batch, head and all.
    pub(super) fn encode(&self, url: &Url, batch: &[u8]) -> Vec<u8> {
        self.polling.encode(url, batch)
    }

    /// Sends a request, over a connection of its own if this one carries a stream.
    pub(super) async fn send(&mut self, request: &[u8]) -> Result<(), Fault> {
        if self.stream.take().is_some() {
            self.polling.http().redial().await?;
        }
        self.polling.send(request).await
    }

    /// Reads the next batch; nothing is lost if it is not asked again.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        if self.stream.is_none() {
            ready!(self.polling.poll_next(cx))?;
            if !self.polling.http().is_chunked() {
                return Poll::Ready(Ok(()));
            }
        }
        let stream = self.stream.get_or_insert_default();
        stream.text.advance(std::mem::take(&mut stream.last));
        loop {
            stream.last = whole_arrays(stream.text.bytes());
            if stream.last > 0 {
                return Poll::Ready(Ok(()));
            }
            let inbox = self.polling.http().inbox();
            ready!(stream.text.poll_more(inbox, cx))?;
        }
    }

    /// The batch that was read last: an array, or several if they came at once.
    pub(super) fn batch(&self) -> &[u8] {
        match &self.stream {
            Some(stream) => &stream.text.bytes()[..stream.last],
            None => self.polling.batch(),
        }
    }

    /// The bytes that have come, the last batch's among them.
    pub(super) fn arrived(&self) -> &[u8] {
        match &self.stream {
            Some(stream) => stream.text.bytes(),
            None => self.polling.arrived(),
        }
    }

    /// When the last of them came.
    pub(super) fn read_at(&self) -> Instant {
        self.polling.read_at()
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

/// How long the arrays of messages are that a text begins with, as far as they are whole.
///
/// In what a run sends and is answered, an object ends right before a bracket only where an array
/// of messages does.
fn whole_arrays(text: &[u8]) -> usize {
    let mut brackets = memrchr_iter(b']', text);
    let end = brackets.find(|&at| text[..at].trim_ascii_end().ends_with(b"}"));
    end.map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_end_behind_an_object() {
        // (text, how much of it is whole)
        let cases = [
            ("", 0),
            ("\n", 0),
            (r#"[{"a":"b"}"#, 0),
            (r#"[{"a":["b"]"#, 0),
            ("[{}]", 4),
            ("\n[{}]\n", 5),
            ("[{} ]\n[{\"a\":", 5),
            ("[{}][{}]", 8),
            (r#"[{}][{"a":["b"]"#, 4),
        ];
        for (text, expected) in cases {
            assert_eq!(whole_arrays(text.as_bytes()), expected, "{text}");
        }
    }
}
