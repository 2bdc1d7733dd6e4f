//! An event stream by hand: what `text/event-stream` says, block by block.

use std::net::SocketAddr;

use bytes::BytesMut;
use memchr::memmem;
use serde_json::Value;

use super::{Http, Request, Response};

/// An open event stream.
pub(crate) struct Events {
    http: Http,
    arrived: BytesMut,
    pub(crate) response: Response,
}

/// One block of a stream: an event, or what is not one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) id: Option<String>,
    pub(crate) event: Option<String>,
    pub(crate) retry: Option<String>,
    pub(crate) data: Vec<String>,
    pub(crate) is_comment: bool,
}

impl Block {
    fn parse(text: &str) -> Self {
        let mut block = Self::default();
        for line in text.lines() {
            let (name, value) = line.split_once(':').unwrap();
            let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
            match name {
                "" => block.is_comment = true,
                "id" => block.id = Some(value),
                "event" => block.event = Some(value),
                "retry" => block.retry = Some(value),
                "data" => block.data.push(value),
                _ => panic!("{line}"),
            }
        }
        block
    }

    /// The data, as a client puts its lines together.
    pub(crate) fn text(&self) -> String {
        self.data.join("\n")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text()).unwrap()
    }
}

impl Events {
    /// Opens a stream, and reads what it begins with.
    pub(crate) async fn open(address: SocketAddr, target: &str) -> (Self, Block) {
        let request = Request::new("GET", target).header("Accept", "text/event-stream");
        Self::open_with(address, request).await
    }

    /// Opens a stream that goes on after the event with this id.
    pub(crate) async fn after(address: SocketAddr, target: &str, id: &str) -> (Self, Block) {
        let request = Request::new("GET", target)
            .header("Accept", "text/event-stream")
            .header("Last-Event-ID", id);
        Self::open_with(address, request).await
    }

    pub(crate) async fn open_with(address: SocketAddr, request: Request) -> (Self, Block) {
        Self::over(Http::open(address).await, request).await
    }

    pub(crate) async fn over(mut http: Http, request: Request) -> (Self, Block) {
        http.send(request.bytes()).await;
        Self::begun(http).await
    }

    /// Reads what a stream begins with that was asked for.
    pub(crate) async fn begun(mut http: Http) -> (Self, Block) {
        let response = http.response().await;
        assert_eq!(response.status, 200, "{response:?}");
        let mut events = Self {
            http,
            arrived: BytesMut::new(),
            response,
        };
        let beginning = events.next().await;
        (events, beginning)
    }

    /// The next block.
    pub(crate) async fn next(&mut self) -> Block {
        let mut searched = 0;
        loop {
            if let Some(end) = memmem::find(&self.arrived[searched..], b"\n\n") {
                let block = self.arrived.split_to(searched + end + 2);
                return Block::parse(std::str::from_utf8(&block).unwrap().trim_end());
            }
            searched = self.arrived.len().saturating_sub(1);
            self.arrived.extend(self.http.some().await);
        }
    }

    /// What comes before the stream's end, if anything does.
    pub(crate) async fn last(&mut self) -> Option<Block> {
        while let Some(bytes) = self.http.more().await {
            self.arrived.extend(bytes);
        }
        let text = std::str::from_utf8(&self.arrived).unwrap().trim_end();
        (!text.is_empty()).then(|| Block::parse(text))
    }

    pub(crate) async fn is_silent(&mut self) -> bool {
        self.arrived.is_empty() && self.http.is_silent().await
    }

    /// Waits for the stream's end, before which nothing else may come.
    pub(crate) async fn ended(&mut self) {
        assert!(self.arrived.is_empty());
        self.http.ended().await;
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(self) {
        self.http.reset();
    }
}
