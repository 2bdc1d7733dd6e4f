//! The response to a connect that is a stream, byte by byte as it comes.

use std::net::SocketAddr;

use super::{Http, Request, Response};

/// A response that is a stream.
pub(crate) struct Streamed {
    pub(crate) http: Http,
    is_chunked: bool,
    raw: Vec<u8>,
    /// What has come of the body and was not taken.
    text: Vec<u8>,
    pub(crate) has_ended: bool,
    pub(crate) response: Response,
}

impl Streamed {
    pub(crate) async fn open(address: SocketAddr, request: Request) -> Self {
        Self::over(Http::open(address).await, request).await
    }

    pub(crate) async fn over(mut http: Http, request: Request) -> Self {
        http.send(request.bytes()).await;
        Self::begun(http).await
    }

    /// Reads what answers a request that was sent, or has begun to be.
    pub(crate) async fn begun(mut http: Http) -> Self {
        let response = http.response().await;
        assert_eq!(response.status, 200, "{response:?}");
        let is_chunked = response.header("Transfer-Encoding") == Some("chunked");
        let has_ended = response.header("Content-Length").is_some();
        let text = response.body.clone();
        Self {
            http,
            is_chunked,
            raw: Vec::new(),
            text,
            has_ended,
            response,
        }
    }

    /// The body up to and with the next `end`.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let mut searched = 0;
        loop {
            let at = memchr::memmem::find(&self.text[searched..], end.as_bytes());
            if let Some(at) = at {
                let end = searched + at + end.len();
                let taken: Vec<u8> = self.text.drain(..end).collect();
                return String::from_utf8(taken).unwrap();
            }
            searched = self.text.len().saturating_sub(end.len() - 1);
            assert!(
                !self.has_ended,
                "{end}: {:?}",
                String::from_utf8_lossy(&self.text)
            );
            self.fill().await;
        }
    }

    /// Some bytes of the body.
    pub(crate) async fn some(&mut self) -> Vec<u8> {
        while self.text.is_empty() {
            assert!(!self.has_ended);
            self.fill().await;
        }
        std::mem::take(&mut self.text)
    }

    /// All the rest of the body, whatever it is.
    pub(crate) async fn raw_rest(&mut self) -> Vec<u8> {
        while !self.has_ended {
            self.fill().await;
        }
        std::mem::take(&mut self.text)
    }

    /// All the rest of the body, which may be cut off.
    pub(crate) async fn cut_rest(&mut self) -> Vec<u8> {
        while let Some(bytes) = self.http.more().await {
            self.raw.extend(bytes);
        }
        while let Some(chunk) = take_chunk(&mut self.raw) {
            self.text.extend(chunk);
        }
        std::mem::take(&mut self.text)
    }

    /// So many bytes of the body.
    pub(crate) async fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.text.len() < length {
            assert!(!self.has_ended);
            self.fill().await;
        }
        self.text.drain(..length).collect()
    }

    /// All the rest of the body.
    pub(crate) async fn rest(&mut self) -> String {
        String::from_utf8(self.raw_rest().await).unwrap()
    }

    /// All the rest that came in whole chunks, of a stream that breaks off.
    pub(crate) async fn broken_off(&mut self) -> String {
        while let Some(bytes) = self.http.more().await {
            self.take(bytes);
        }
        assert!(!self.has_ended, "it breaks off");
        String::from_utf8(std::mem::take(&mut self.text)).unwrap()
    }

    pub(crate) async fn is_silent(&mut self) -> bool {
        self.text.is_empty() && self.http.is_silent().await
    }

    async fn fill(&mut self) {
        match self.http.more().await {
            Some(bytes) => self.take(bytes),
            None => {
                assert!(!self.is_chunked, "it ends with an empty chunk");
                self.has_ended = true;
            }
        }
    }

    fn take(&mut self, bytes: Vec<u8>) {
        if !self.is_chunked {
            self.text.extend(bytes);
            return;
        }
        self.raw.extend(bytes);
        while let Some(chunk) = take_chunk(&mut self.raw) {
            self.has_ended |= chunk.is_empty();
            self.text.extend(chunk);
        }
    }
}

/// Takes a whole chunk, which is empty if it is the last.
pub(crate) fn take_chunk(raw: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = memchr::memmem::find(raw, b"\r\n")?;
    let size = usize::from_str_radix(std::str::from_utf8(&raw[..end]).unwrap(), 16).unwrap();
    let whole = end + 2 + size + 2;
    if raw.len() < whole {
        return None;
    }
    let chunk = raw[end + 2..end + 2 + size].to_vec();
    assert_eq!(&raw[whole - 2..whole], b"\r\n");
    raw.drain(..whole);
    Some(chunk)
}
