//! A Bayeux client over long-polling: two connections, a cookie if it likes, and no judgement.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{Http, Request, Response, TestServer};

/// A client; it asserts nothing that a test does not ask for, but that requests are answered.
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) id: String,
    pub(crate) cookie: Option<String>,
    keeps_cookies: bool,
    messages: Option<Http>,
    poll: Option<Http>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            id: String::new(),
            cookie: None,
            keeps_cookies: true,
            messages: None,
            poll: None,
        }
    }

    /// A client with connections that are open.
    pub(crate) fn over(address: SocketAddr, messages: Http, poll: Http) -> Self {
        Self {
            messages: Some(messages),
            poll: Some(poll),
            ..Self::new(address)
        }
    }

    pub(crate) fn without_cookies(mut self) -> Self {
        self.keeps_cookies = false;
        self
    }

    /// Goes on with another server, over new connections.
    pub(crate) fn go_to(&mut self, server: &TestServer) {
        self.move_to(server.address);
    }

    /// Goes on at another address, over new connections.
    pub(crate) fn move_to(&mut self, address: SocketAddr) {
        self.address = address;
        self.messages = None;
        self.poll = None;
    }

    /// Another client with the same cookie: a tab of the same browser.
    pub(crate) fn tab(&self) -> Self {
        let mut tab = Self::new(self.address);
        tab.cookie.clone_from(&self.cookie);
        tab
    }

    pub(crate) async fn handshake(&mut self) -> Value {
        self.handshake_with(json!({})).await
    }

    /// Handshakes with more fields, or with others.
    pub(crate) async fn handshake_with(&mut self, fields: Value) -> Value {
        let mut message = json!({
            "channel": "/meta/handshake", "id": "1", "version": "1.0",
            "supportedConnectionTypes": ["long-polling"],
        });
        merge(&mut message, fields);
        let response = self.post(json!([message]).to_string()).await;
        if self.keeps_cookies
            && let Some(cookie) = response.cookie()
        {
            self.cookie = Some(cookie.to_owned());
        }
        let reply = only(response.messages());
        if let Some(id) = reply["clientId"].as_str() {
            id.clone_into(&mut self.id);
        }
        reply
    }

    /// Adds the client's cookie to a request.
    pub(crate) fn request(&self, body: impl Into<Vec<u8>>) -> Request {
        self.with_cookie(Request::post(body))
    }

    pub(crate) fn with_cookie(&self, request: Request) -> Request {
        let cookie = self.cookie.as_ref();
        let cookie = cookie.map(|value| format!("BAYEUX_BROWSER={value}"));
        request.header("Cookie", &cookie.unwrap_or_default())
    }

    /// Posts a body on the connection for messages.
    pub(crate) async fn post(&mut self, body: impl Into<Vec<u8>>) -> Response {
        let request = self.request(body);
        let http = match &mut self.messages {
            Some(http) => http,
            none => none.insert(Http::open(self.address).await),
        };
        http.exchange(request).await
    }

    /// The message with the client's id in it, unless it has one.
    pub(crate) fn message(&self, message: Value) -> Value {
        let mut whole = json!({ "clientId": self.id });
        merge(&mut whole, message);
        whole
    }

    /// Sends messages as one batch; the response's messages.
    pub(crate) async fn send<const N: usize>(&mut self, messages: [Value; N]) -> Vec<Value> {
        let batch: Vec<Value> = messages
            .into_iter()
            .map(|message| self.message(message))
            .collect();
        self.post(Value::from(batch).to_string()).await.messages()
    }

    /// Sends one message; the reply, with which nothing may come.
    pub(crate) async fn call(&mut self, message: Value) -> Value {
        only(self.send([message]).await)
    }

    pub(crate) async fn subscribe(&mut self, subscription: impl Into<Value>) -> Value {
        let subscription = subscription.into();
        self.call(json!({"channel": "/meta/subscribe", "id": "s", "subscription": subscription}))
            .await
    }

    pub(crate) async fn unsubscribe(&mut self, subscription: impl Into<Value>) -> Value {
        let subscription = subscription.into();
        self.call(json!({"channel": "/meta/unsubscribe", "id": "u", "subscription": subscription}))
            .await
    }

    pub(crate) async fn disconnect(&mut self) -> Value {
        self.call(json!({"channel": "/meta/disconnect", "id": "d"}))
            .await
    }

    /// Publishes; the response's messages, events before the reply.
    pub(crate) async fn publish(&mut self, channel: &str, data: impl Into<Value>) -> Vec<Value> {
        self.send([json!({"channel": channel, "id": "p", "data": data.into()})])
            .await
    }

    /// Sends a connect with more fields on the connection for connects, and does not wait.
    pub(crate) async fn poll_with(&mut self, fields: Value) {
        let mut message = json!({
            "channel": "/meta/connect", "id": "c", "connectionType": "long-polling",
        });
        merge(&mut message, fields);
        let request = self.request(json!([self.message(message)]).to_string());
        self.poll_connection().await.send(request.bytes()).await;
    }

    /// Sends a connect, and does not wait.
    pub(crate) async fn poll(&mut self) {
        self.poll_with(json!({})).await;
    }

    /// The response to the connect that was sent.
    pub(crate) async fn polled(&mut self) -> Vec<Value> {
        self.poll_connection().await.response().await.messages()
    }

    /// Sends a connect, which is not to be held, and gets its response.
    pub(crate) async fn connect(&mut self) -> Vec<Value> {
        self.connect_with(json!({})).await
    }

    pub(crate) async fn connect_with(&mut self, fields: Value) -> Vec<Value> {
        self.poll_with(fields).await;
        self.polled().await
    }

    /// What is queued: the messages of a connect that may not be held, without its reply.
    pub(crate) async fn queued(&mut self) -> Vec<Value> {
        let mut messages = self.connect_with(json!({"advice": {"timeout": 0}})).await;
        assert_eq!(messages.pop().unwrap()["channel"], "/meta/connect");
        messages
    }

    /// What comes first: the messages of a connect that is held until there are any, without its reply.
    pub(crate) async fn events(&mut self) -> Vec<Value> {
        let mut messages = self.connect().await;
        assert_eq!(messages.pop().unwrap()["channel"], "/meta/connect");
        messages
    }

    /// The connection for connects.
    pub(crate) async fn poll_connection(&mut self) -> &mut Http {
        match &mut self.poll {
            Some(http) => http,
            none => none.insert(Http::open(self.address).await),
        }
    }

    /// Gives the connection for connects away; the next connect opens another.
    pub(crate) fn take_poll(&mut self) -> Http {
        self.poll.take().unwrap()
    }
}

/// The one message there is.
pub(crate) fn only(messages: Vec<Value>) -> Value {
    let [message] = <[Value; 1]>::try_from(messages).unwrap();
    message
}

fn merge(message: &mut Value, fields: Value) {
    let (Value::Object(message), Value::Object(fields)) = (message, fields) else {
        panic!("messages are objects");
    };
    for (name, value) in fields {
        if value.is_null() && name != "data" && name != "id" {
            message.remove(&name);
        } else {
            message.insert(name, value);
        }
    }
}
