//! A client of HTTP/2, whose requests are in turn or at once, and may be left or reset.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::Request as Head;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::rustls::version;

use super::{Request, Response, SILENCE, shake_hands, tls_client, within};

/// A connection.
pub(crate) struct Http2 {
    requests: SendRequest<Bytes>,
    scheme: &'static str,
    driving: JoinHandle<Result<(), h2::Error>>,
}

/// A request and its response.
pub(crate) struct Exchange {
    response: Option<ResponseFuture>,
    body: Option<RecvStream>,
    pub(crate) out: SendStream<Bytes>,
}

impl Http2 {
    /// Opens a connection without TLS.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let tcp = within(TcpStream::connect(address)).await.unwrap();
        Self::over(tcp, "http", &Builder::new()).await
    }

    /// Opens one with TLS.
    pub(crate) async fn secure(address: SocketAddr) -> Self {
        let tcp = within(TcpStream::connect(address)).await.unwrap();
        let mut client = tls_client(&[&version::TLS13]);
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let tls = shake_hands(tcp, "localhost", client).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        Self::over(tls, "https", &Builder::new()).await
    }

    /// Opens one without TLS whose streams have room for so many bytes at first.
    pub(crate) async fn narrow(address: SocketAddr, window: u32) -> Self {
        let tcp = within(TcpStream::connect(address)).await.unwrap();
        let mut builder = Builder::new();
        builder.initial_window_size(window);
        Self::over(tcp, "http", &builder).await
    }

    async fn over(
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        scheme: &'static str,
        builder: &Builder,
    ) -> Self {
        let (requests, connection) = within(builder.handshake(io)).await.unwrap();
        Self {
            requests,
            scheme,
            driving: tokio::spawn(connection),
        }
    }

    /// Sends a request whole.
    pub(crate) async fn send(&mut self, request: &Request) -> Exchange {
        let (head, body) = request.by_http2(self.scheme);
        let mut exchange = self.begin(head, body.is_none()).await;
        if let Some(body) = body {
            exchange.out.send_data(body, true).unwrap();
        }
        exchange
    }

    /// Sends the head of a request, which may be all of it.
    pub(crate) async fn begin(&mut self, head: Head<()>, ends: bool) -> Exchange {
        within(std::future::poll_fn(|context| {
            self.requests.poll_ready(context)
        }))
        .await
        .unwrap();
        let (response, out) = self.requests.send_request(head, ends).unwrap();
        Exchange {
            response: Some(response),
            body: None,
            out,
        }
    }

    /// Sends a request whole, and returns its response.
    pub(crate) async fn exchange(&mut self, request: &Request) -> Response {
        self.send(request).await.response().await
    }

    /// Tells whether the server says that it speaks RFC 8441.
    pub(crate) fn may_connect(&self) -> bool {
        self.requests.is_extended_connect_protocol_enabled()
    }

    /// Loses the connection, without a word by HTTP/2.
    pub(crate) async fn lose(self) {
        self.driving.abort();
        let _ = self.driving.await;
    }

    /// Waits for the connection's end; the reason, if it is one of HTTP/2.
    pub(crate) async fn ended(self) -> Option<Reason> {
        let ended = within(self.driving).await.unwrap();
        ended.err().and_then(|error| error.reason())
    }
}

impl Exchange {
    /// The head of the response.
    pub(crate) async fn head(&mut self) -> Response {
        self.try_head().await.unwrap()
    }

    /// The head of the response, or why there is none.
    pub(crate) async fn try_head(&mut self) -> Result<Response, h2::Error> {
        let response = self.response.take().expect("its head was read already");
        let (head, body) = within(response).await?.into_parts();
        self.body = Some(body);
        let headers = head.headers.iter();
        Ok(Response {
            version: "HTTP/2".to_owned(),
            status: head.status.as_u16(),
            headers: headers
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect(),
            body: Vec::new(),
        })
    }

    /// The response, whole.
    pub(crate) async fn response(mut self) -> Response {
        let mut response = self.head().await;
        response.body = self.rest().await;
        let length = response.header("Content-Length");
        if let Some(length) = length.filter(|_| !response.body.is_empty()) {
            assert_eq!(length, response.body.len().to_string());
        }
        response
    }

    /// Some bytes of the response's body; nothing at its end.
    pub(crate) async fn some(&mut self) -> Option<Bytes> {
        if self.body.is_none() {
            self.head().await;
        }
        let body = self.body.as_mut().unwrap();
        let piece = within(body.data()).await?.unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        Some(piece)
    }

    /// All that comes up to a text, and that.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        let mut all = Vec::new();
        while !String::from_utf8_lossy(&all).contains(text) {
            let piece = self.some().await;
            all.extend(piece.expect("more before the end"));
        }
        String::from_utf8_lossy(&all).into_owned()
    }

    /// The rest of the body.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(piece) = self.some().await {
            all.extend(piece);
        }
        all
    }

    /// Tells whether there is no response, so that the request is held.
    pub(crate) async fn is_silent(&mut self) -> bool {
        let response = self.response.as_mut().expect("its head was not read yet");
        tokio::time::timeout(SILENCE, response).await.is_err()
    }

    /// Resets the stream.
    pub(crate) fn reset(mut self) {
        self.out.send_reset(Reason::CANCEL);
    }
}
