//! A WebSocket by hand: any frame can be sent, and every frame that comes is seen.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use mirant::web::websocket::{CloseCode, FrameKind, Incoming, Reader, Side, deflate, encode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Http, Request, Response, SILENCE, Stream, only, within};

const MASK: [u8; 4] = [0xa5, 0x5a, 0x00, 0xff];

/// An open WebSocket, and the session of its client if there is one.
pub(crate) struct WebSocket {
    stream: Stream,
    arrived: BytesMut,
    reader: Reader,
    pub(crate) response: Response,
    pub(crate) id: String,
}

/// The request that asks for a WebSocket.
pub(crate) fn upgrade() -> Request {
    Request::new("GET", "/cometd")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
}

impl WebSocket {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::open_with(address, upgrade()).await
    }

    pub(crate) async fn open_with(address: SocketAddr, request: Request) -> Self {
        Self::over(Http::open(address).await, request).await
    }

    /// A client with a session, by a connection whose kernel keeps little that was not read yet.
    pub(crate) async fn narrow_client(address: SocketAddr) -> Self {
        Self::over(Http::open_narrow(address).await, upgrade())
            .await
            .connected()
            .await
    }

    async fn over(mut http: Http, request: Request) -> Self {
        let response = http.exchange(request).await;
        assert_eq!(response.status, 101, "{response:?}");
        let deflates = response.header("Sec-WebSocket-Extensions").is_some();
        let (stream, arrived) = http.into_parts();
        Self {
            stream,
            arrived: BytesMut::from(&arrived[..]),
            reader: Reader::new(Side::Client, deflates, usize::MAX),
            response,
            id: String::new(),
        }
    }

    /// A client that has made its session by this socket, and its first connect.
    pub(crate) async fn client(address: SocketAddr) -> Self {
        Self::open(address).await.connected().await
    }

    /// Such a client, who shows a token.
    pub(crate) async fn client_with(address: SocketAddr, token: &str) -> Self {
        let request = upgrade().header("Authorization", &format!("Bearer {token}"));
        Self::open_with(address, request).await.connected().await
    }

    async fn connected(mut self) -> Self {
        self.handshake().await;
        let reply = self.call(json!({"channel": "/meta/connect"})).await;
        assert_eq!(reply["successful"], true);
        self
    }

    pub(crate) async fn handshake(&mut self) -> Value {
        let reply = self
            .call(json!({
                "channel": "/meta/handshake", "id": "1", "version": "1.0", "clientId": null,
                "supportedConnectionTypes": ["websocket"],
            }))
            .await;
        reply["clientId"].as_str().unwrap().clone_into(&mut self.id);
        reply
    }

    /// Sends a message with the client's id in it, unless it has one.
    pub(crate) async fn send(&mut self, mut message: Value) {
        let fields = message.as_object_mut().unwrap();
        fields.entry("clientId").or_insert(json!(self.id));
        self.text(&json!([message]).to_string()).await;
    }

    /// Sends a message and gets its reply, before which nothing else may come.
    pub(crate) async fn call(&mut self, message: Value) -> Value {
        let channel = message["channel"].clone();
        self.send(message).await;
        let reply = self.message().await;
        assert_eq!(reply["channel"], channel);
        assert!(reply["successful"].is_boolean(), "{reply}");
        reply
    }

    /// Sends a connect that is held.
    pub(crate) async fn hold(&mut self, id: &str) {
        self.send(json!({"channel": "/meta/connect", "id": id, "connectionType": "websocket"}))
            .await;
    }

    pub(crate) async fn subscribe(&mut self, channel: &str) {
        let reply = self
            .call(json!({"channel": "/meta/subscribe", "subscription": channel}))
            .await;
        assert_eq!(reply["successful"], true);
    }

    pub(crate) async fn text(&mut self, text: &str) {
        self.frame(0x81, text.as_bytes()).await;
    }

    /// Sends a text message deflated.
    pub(crate) async fn deflated(&mut self, text: &str) {
        self.frame(0xc1, &deflate::deflate(text.as_bytes())).await;
    }

    /// Sends a frame with this first byte.
    pub(crate) async fn frame(&mut self, first: u8, payload: &[u8]) {
        let mut frame = Vec::new();
        encode(FrameKind::Text, payload, Some(MASK), &mut frame);
        frame[0] = first;
        self.bytes(&frame).await;
    }

    pub(crate) async fn bytes(&mut self, bytes: &[u8]) {
        within(self.stream.write_all(bytes)).await.unwrap();
    }

    /// Sends bytes, if the other side still takes any.
    pub(crate) async fn try_bytes(&mut self, bytes: &[u8]) -> bool {
        within(self.stream.write_all(bytes)).await.is_ok()
    }

    /// What comes next; nothing at the connection's end.
    pub(crate) async fn next(&mut self) -> Option<Incoming> {
        loop {
            if let Some(incoming) = self.reader.next(&mut self.arrived).unwrap() {
                return Some(incoming);
            }
            let read = within(self.stream.read_buf(&mut self.arrived)).await;
            if !read.is_ok_and(|read| read > 0) {
                return None;
            }
        }
    }

    /// The text of the next frame.
    pub(crate) async fn next_text(&mut self) -> Bytes {
        match self.next().await {
            Some(Incoming::Text(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    /// The messages of the next frame.
    pub(crate) async fn messages(&mut self) -> Vec<Value> {
        serde_json::from_slice(&self.next_text().await).unwrap()
    }

    /// The only message of the next frame.
    pub(crate) async fn message(&mut self) -> Value {
        only(self.messages().await)
    }

    /// The code that the server closes with; then it ends the connection.
    pub(crate) async fn closed(&mut self) -> CloseCode {
        let code = match self.next().await {
            Some(Incoming::Close(Some(code))) => code,
            other => panic!("{other:?}"),
        };
        assert_eq!(self.next().await, None);
        code
    }

    /// Tells whether nothing comes.
    pub(crate) async fn is_silent(&mut self) -> bool {
        self.arrived.is_empty()
            && tokio::time::timeout(SILENCE, self.stream.read_buf(&mut self.arrived))
                .await
                .is_err()
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(self) {
        self.stream.tcp().set_zero_linger().unwrap();
    }
}
