//! HTTP/1 by hand: requests as bytes, responses by their Content-Length, nothing hidden.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};

use serde_json::Value;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::{SILENCE, Stream, within};

thread_local! {
    /// Header lines that every request of this test has besides its own.
    static BORNE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Gives every request of this test a header line besides its own from now on; an empty one is none.
pub(crate) fn bear(line: &str) {
    let line = if line.is_empty() {
        String::new()
    } else {
        format!("{line}\r\n")
    };
    BORNE.set(line);
}

/// A request under construction.
#[derive(Clone)]
pub(crate) struct Request {
    method: String,
    target: String,
    version: &'static str,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            version: "HTTP/1.1",
            headers: vec![("Host".to_owned(), "localhost".to_owned())],
            body: None,
        }
    }

    /// A POST of JSON to the endpoint.
    pub(crate) fn post(body: impl Into<Vec<u8>>) -> Self {
        let mut request = Self::new("POST", "/cometd").header("Content-Type", "application/json");
        request.body = Some(body.into());
        request
    }

    /// A JSONP request of a page of the server's own, in a browser that knows of `Referer` only.
    pub(crate) fn jsonp(callback: &str, message: &str) -> Self {
        let target = format!("/cometd?jsonp={callback}&message={}", percent(message));
        Self::new("GET", &target).header("Referer", "http://localhost/page")
    }

    pub(crate) fn to(mut self, target: &str) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    pub(crate) fn version(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    /// Sets a header; an empty value takes it away.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(have, _)| have != name);
        if !value.is_empty() {
            self.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The body.
    pub(crate) fn payload(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_default()
    }

    /// The same for a client of HTTP/2: its head, and its body.
    pub(crate) fn by_http2(&self, scheme: &str) -> (http::Request<()>, Option<bytes::Bytes>) {
        let mut host = "localhost";
        let mut request = http::Request::builder().method(&*self.method);
        for (name, value) in &self.headers {
            match &**name {
                "Host" => host = value,
                name => request = request.header(name, value),
            }
        }
        if let Some(body) = &self.body {
            request = request.header("Content-Length", body.len());
        }
        let uri = format!("{scheme}://{host}{}", self.target);
        let head = request.uri(uri).body(()).unwrap();
        (head, self.body.clone().map(bytes::Bytes::from))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} {}\r\n", self.method, self.target, self.version);
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = &self.body {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        BORNE.with_borrow(|line| text += line);
        text += "\r\n";
        [text.as_bytes(), self.body.as_deref().unwrap_or_default()].concat()
    }
}

/// Encodes all but letters and digits.
pub(crate) fn percent(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// A response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) version: String,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// Reads a response's head, up to its empty line.
    pub(crate) fn of_head(head: Vec<u8>) -> Self {
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let mut status_line = lines.next().unwrap().split(' ');
        let mut response = Self {
            version: status_line.next().unwrap().to_owned(),
            status: status_line.next().unwrap().parse().unwrap(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            response.headers.push((name.to_owned(), value.to_owned()));
        }
        response
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self
            .headers
            .iter()
            .filter(|(have, _)| have.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is there twice: {self:?}");
        value
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The messages of a JSON response.
    pub(crate) fn messages(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The messages of a script that calls `callback`.
    pub(crate) fn messages_for(&self, callback: &str) -> Vec<Value> {
        serde_json::from_str(self.argument_of(callback)).unwrap()
    }

    /// What a script calls `callback` with.
    pub(crate) fn argument_of(&self, callback: &str) -> &str {
        assert_eq!(self.status, 200, "{self:?}");
        self.text()
            .strip_prefix(&format!("/**/{callback}("))
            .and_then(|text| text.strip_suffix(");"))
            .unwrap()
    }

    /// The reason of a refusal, which is one line of JSON with nothing else in it.
    pub(crate) fn reason(&self) -> String {
        let line = self.text().strip_suffix('\n').unwrap();
        assert!(!line.contains('\n'), "{line}");
        let json: Value = serde_json::from_str(line).unwrap();
        assert_eq!(json.as_object().unwrap().len(), 1, "{line}");
        json["error"].as_str().unwrap().to_owned()
    }

    /// The value of the browser cookie it sets.
    pub(crate) fn cookie(&self) -> Option<&str> {
        let value = self.header("Set-Cookie")?;
        let pair = value.split(';').next().unwrap();
        pair.split_once('=').map(|(_, value)| value)
    }
}

/// A connection.
pub(crate) struct Http {
    stream: Stream,
    buffer: Vec<u8>,
}

impl Http {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::of(within(TcpStream::connect(address)).await.unwrap()).await
    }

    /// Opens a connection from an address of this machine's own.
    pub(crate) async fn open_from(address: SocketAddr, from: Ipv4Addr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        Self::of(within(socket.connect(address)).await.unwrap()).await
    }

    /// Opens a connection with segments as over Ethernet, whose kernel keeps little of what was not
    /// read yet: over loopback's own segments one write takes megabytes.
    pub(crate) async fn open_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        SockRef::from(&socket).set_tcp_mss(1448).unwrap();
        Self::of(within(socket.connect(address)).await.unwrap()).await
    }

    pub(crate) async fn of(tcp: TcpStream) -> Self {
        Self::over(Stream::over(tcp).await)
    }

    pub(crate) fn over(stream: Stream) -> Self {
        let buffer = Vec::new();
        Self { stream, buffer }
    }

    pub(crate) fn local_address(&self) -> SocketAddr {
        self.stream.tcp().local_addr().unwrap()
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Sends as much as the server takes; false if it has closed the connection.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> bool {
        within(self.stream.write_all(bytes)).await.is_ok()
    }

    /// Closes its own side for writing, unless the connection has ended.
    pub(crate) async fn try_half_close(&mut self) {
        // What the server said before it closed the connection is read all the same.
        let _ = within(self.stream.shutdown()).await;
    }

    /// Lets the server, in whose thread this runs, see what was sent so far: its runtime asks for that
    /// every so many turns.
    pub(crate) async fn apart(&self) {
        for _ in 0..128 {
            tokio::task::yield_now().await;
        }
    }

    /// Sends a request and reads its response.
    pub(crate) async fn exchange(&mut self, request: Request) -> Response {
        self.send(request.bytes()).await;
        self.response().await
    }

    /// Reads one response.
    pub(crate) async fn response(&mut self) -> Response {
        within(self.read_response())
            .await
            .expect("a response, not the connection's end")
    }

    /// The next response; nothing if the connection ends before all of it is there.
    pub(crate) async fn try_response(&mut self) -> Option<Response> {
        within(self.read_response()).await
    }

    async fn read_response(&mut self) -> Option<Response> {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.fill().await?;
        };
        let mut response = Response::of_head(self.buffer.drain(..end).collect());
        let length = response.header("Content-Length");
        let length = length.map_or(0, |length| length.parse().unwrap());
        while self.buffer.len() < length {
            self.fill().await?;
        }
        response.body = self.buffer.drain(..length).collect();
        Some(response)
    }

    async fn fill(&mut self) -> Option<()> {
        // An empty buffer grows by 64 bytes, one read at a time.
        self.buffer.reserve(16 * 1024);
        let read = self.stream.read_buf(&mut self.buffer).await.ok()?;
        (read > 0).then_some(())
    }

    /// Takes the connection, and what has arrived on it.
    pub(crate) fn into_parts(self) -> (Stream, Vec<u8>) {
        (self.stream, self.buffer)
    }

    /// Some bytes that arrived.
    pub(crate) async fn some(&mut self) -> Vec<u8> {
        self.more().await.expect("more to come")
    }

    /// Some bytes that arrived; nothing at the connection's end.
    pub(crate) async fn more(&mut self) -> Option<Vec<u8>> {
        if self.buffer.is_empty() {
            within(self.fill()).await?;
        }
        Some(std::mem::take(&mut self.buffer))
    }

    /// Tells whether nothing arrives, so that a request is held.
    pub(crate) async fn is_silent(&mut self) -> bool {
        self.buffer.is_empty() && tokio::time::timeout(SILENCE, self.fill()).await.is_err()
    }

    /// Waits for the connection's end, before which nothing else may come.
    pub(crate) async fn ended(&mut self) {
        let end = within(self.fill()).await;
        let rest = String::from_utf8_lossy(&self.buffer);
        assert!(end.is_none() && self.buffer.is_empty(), "{rest}");
    }

    /// Reads all there is to the connection's end.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        within(async { while self.fill().await.is_some() {} }).await;
        std::mem::take(&mut self.buffer)
    }

    /// Closes its own side for writing.
    pub(crate) async fn half_close(&mut self) {
        within(self.stream.shutdown()).await.unwrap();
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(self) {
        self.stream.tcp().set_zero_linger().unwrap();
    }
}
