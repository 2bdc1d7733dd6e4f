//! A response of type `message/http`, and the responses in it.

use std::net::SocketAddr;

use super::{Http, Request, Response, Streamed};

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

    /// Waits for the end, before which nothing else may come.
    pub(crate) async fn ended(&mut self) {
        assert_eq!(self.outer.rest().await, "");
    }
}
