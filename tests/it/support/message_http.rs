//! A response of type `message/http`, and the responses in it.

use std::net::SocketAddr;

use super::{Http, Request, Response, Streamed};

/// A request whose body holds requests, without a body yet.
pub(crate) fn two_way() -> Request {
    Request::new("POST", "/cometd").header("Content-Type", "message/http")
}

/// A response with responses in it.
pub(crate) struct Embedded {
    pub(crate) outer: Streamed,
}

impl Embedded {
    pub(crate) async fn open(address: SocketAddr, request: Request) -> Self {
        Self::over(Http::open(address).await, request).await
    }

    pub(crate) async fn over(http: Http, request: Request) -> Self {
        let outer = Streamed::over(http, request).await;
        assert_eq!(outer.response.header("Content-Type"), Some("message/http"));
        Self { outer }
    }

    /// Opens a request whose body holds requests, in chunks, and reads what answers it.
    pub(crate) async fn two_way(address: SocketAddr) -> Self {
        let request = two_way().header("Transfer-Encoding", "chunked");
        Self::over(Http::open(address).await, request).await
    }

    /// Sends bytes of the request's body as a chunk; no bytes are its end.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let size = format!("{:x}\r\n", bytes.len());
        let chunk = [size.as_bytes(), bytes, b"\r\n"].concat();
        self.outer.http.send(chunk).await;
    }

    /// Sends an embedded request.
    pub(crate) async fn request(&mut self, request: &Request) {
        self.send(request.bytes()).await;
    }

    /// Sends an embedded request, and reads the response.
    pub(crate) async fn exchange(&mut self, request: Request) -> Response {
        self.request(&request).await;
        self.next().await
    }

    /// The next response; those that are not final are passed over.
    pub(crate) async fn next(&mut self) -> Response {
        loop {
            let response = self.any().await;
            if response.status >= 200 {
                return response;
            }
        }
    }

    /// The next response of any kind.
    pub(crate) async fn any(&mut self) -> Response {
        let head = self.outer.until("\r\n\r\n").await;
        let mut response = Response::of_head(head.into_bytes());
        let length = response.header("Content-Length");
        let length = length.map_or(0, |length| length.parse().unwrap());
        response.body = self.outer.exactly(length).await;
        response
    }

    /// All whole responses before the connection's end.
    pub(crate) async fn read_cut(&mut self, mut each: impl FnMut(Response)) {
        let mut rest = self.outer.cut_rest().await;
        while let Some(at) = memchr::memmem::find(&rest, b"\r\n\r\n") {
            let mut response = Response::of_head(rest.drain(..at + 4).collect());
            let length = response.header("Content-Length");
            let length = length.map_or(0, |length| length.parse().unwrap());
            if rest.len() < length {
                return;
            }
            response.body = rest.drain(..length).collect();
            if length > 0 {
                each(response);
            }
        }
    }

    /// Waits for the end, before which nothing else may come.
    pub(crate) async fn ended(&mut self) {
        assert_eq!(self.outer.rest().await, "");
    }
}
