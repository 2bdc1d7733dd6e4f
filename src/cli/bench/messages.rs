//! The few Bayeux messages a simulated client sends, as bytes, and how it reads the replies.

use std::io::Write;
use std::time::Duration;

use memchr::memmem::Finder;
use serde_json::{Value, json};

use super::http::{Fault, Response, Url, excerpt};

/// The channel of handshakes.
pub(super) const HANDSHAKE: &str = "/meta/handshake";
/// The channel of connects.
pub(super) const CONNECT: &str = "/meta/connect";
/// The channel of subscriptions.
pub(super) const SUBSCRIBE: &str = "/meta/subscribe";

/// Who the server thinks a client is: what every request after the handshake carries.
#[derive(Debug, Clone, Default)]
pub(super) struct Identity {
    /// The session's `clientId`.
    pub(super) client_id: String,
    /// The `Cookie` header's value, or nothing.
    pub(super) cookies: String,
}

/// The request that carries `body`, head and all.
pub(super) fn request(url: &Url, identity: &Identity, body: &[u8]) -> Vec<u8> {
    let cookie = match &*identity.cookies {
        "" => String::new(),
        cookies => format!("Cookie: {cookies}\r\n"),
    };
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         {cookie}Content-Length: {}\r\n\r\n",
        url.path,
        url.authority,
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A handshake.
pub(super) fn handshake(url: &Url) -> Vec<u8> {
    let body = json!([{
        "id": "1",
        "channel": HANDSHAKE,
        "version": "1.0",
        "minimumVersion": "1.0",
        "supportedConnectionTypes": ["long-polling"],
    }]);
    request(url, &Identity::default(), body.to_string().as_bytes())
}

/// A connect; the first asks, as CometD's clients do, to be answered at once.
pub(super) fn connect(url: &Url, identity: &Identity, is_first: bool) -> Vec<u8> {
    let mut message = json!({
        "id": "2",
        "channel": CONNECT,
        "connectionType": "long-polling",
        "clientId": identity.client_id,
    });
    if is_first {
        message["advice"] = json!({"timeout": 0});
    }
    request(url, identity, json!([message]).to_string().as_bytes())
}

/// A subscription to one channel.
pub(super) fn subscribe(url: &Url, identity: &Identity, channel: &str) -> Vec<u8> {
    let body = json!([{
        "id": "3",
        "channel": SUBSCRIBE,
        "subscription": channel,
        "clientId": identity.client_id,
    }]);
    request(url, identity, body.to_string().as_bytes())
}

/// What the reply to a meta message tells.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Reply {
    /// The session a handshake made; empty in other replies.
    pub(super) client_id: String,
    /// How long the server asks to wait before the next connect.
    pub(super) interval: Duration,
}

/// Finds the successful reply of a meta channel in a response.
pub(super) fn read_reply(response: &Response<'_>, channel: &str) -> Result<Reply, Fault> {
    let refused = || Fault::Refused(excerpt(response.body));
    let messages = read_messages(response)?;
    let reply = messages
        .iter()
        .find(|message| message["channel"] == channel)
        .filter(|message| message["successful"] == true)
        .ok_or_else(refused)?;
    let advice = &reply["advice"];
    if matches!(advice["reconnect"].as_str(), Some("none" | "handshake")) {
        return Err(refused());
    }
    let client_id = reply["clientId"].as_str().unwrap_or_default().to_owned();
    if channel == HANDSHAKE && client_id.is_empty() {
        return Err(refused());
    }
    Ok(Reply {
        client_id,
        interval: Duration::from_millis(advice["interval"].as_u64().unwrap_or(0)),
    })
}

/// Checks that a response acknowledges `count` publishes.
pub(super) fn check_acknowledged(response: &Response<'_>, count: usize) -> Result<(), Fault> {
    let messages = read_messages(response)?;
    let acknowledged = messages
        .iter()
        .filter(|message| message.get("data").is_none() && message["successful"] == true)
        .count();
    if acknowledged == count {
        Ok(())
    } else {
        Err(Fault::Refused(excerpt(response.body)))
    }
}

fn read_messages(response: &Response<'_>) -> Result<Vec<Value>, Fault> {
    if response.status != 200 {
        return Err(Fault::Status {
            status: response.status,
            answer: excerpt(response.body),
        });
    }
    serde_json::from_slice(response.body).map_err(|_| Fault::Refused(excerpt(response.body)))
}

/// Makes the published messages of one run and finds them again without parsing JSON.
///
/// The `data` of message 17 is `{"bench":"<run>#17#xxx"}`: the run's name keeps strangers apart.
#[derive(Debug)]
pub(super) struct Marker {
    prefix: String,
    payload: usize,
    sequence: Finder<'static>,
    refusal: Finder<'static>,
    connect: Finder<'static>,
}

impl Marker {
    /// A marker for the run of that name, and messages of `payload` bytes.
    pub(super) fn new(run: &str, payload: usize) -> Self {
        let prefix = format!("{run}#");
        Self {
            sequence: Finder::new(prefix.as_bytes()).into_owned(),
            refusal: Finder::new(b"\"successful\":false"),
            connect: Finder::new(CONNECT.as_bytes()),
            prefix,
            payload,
        }
    }

    /// The request that publishes the messages of these numbers to one channel, in one batch.
    pub(super) fn publish(
        &self,
        url: &Url,
        identity: &Identity,
        channel: &str,
        numbers: std::ops::Range<usize>,
    ) -> Vec<u8> {
        let mut body = Vec::with_capacity(numbers.len() * (self.payload + 128) + 2);
        for number in numbers {
            body.push(if body.is_empty() { b'[' } else { b',' });
            let mut data = format!("{{\"bench\":\"{}{number}#", self.prefix);
            while data.len() + 2 < self.payload {
                data.push('x');
            }
            let client_id = json!(identity.client_id);
            write!(
                body,
                "{{\"id\":\"{number}\",\"channel\":\"{channel}\",\"clientId\":{client_id},\"data\":{data}\"}}}}"
            )
            .expect("a vector takes every write");
        }
        body.push(b']');
        request(url, identity, &body)
    }

    /// The numbers of this run's messages in a body, in their order there.
    pub(super) fn sequences<'a>(&'a self, body: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        self.sequence.find_iter(body).map(|at| {
            body[at + self.prefix.len()..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .fold(0, |number: usize, digit| {
                    number
                        .saturating_mul(10)
                        .saturating_add(usize::from(digit - b'0'))
                })
        })
    }

    /// Whether a connect's response needs no closer look: messages of this run and a success.
    pub(super) fn is_delivery(&self, response: &Response<'_>) -> bool {
        response.status == 200
            && self.sequence.find(response.body).is_some()
            && self.connect.find(response.body).is_some()
            && self.refusal.find(response.body).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_messages_it_made() {
        let url = "http://h:1/c".parse().unwrap();
        let marker = Marker::new("ab12", 60);
        let identity = Identity {
            client_id: "me".to_owned(),
            cookies: "B=1".to_owned(),
        };
        let request = marker.publish(&url, &identity, "/bench/ab12", 8..11);
        let text = String::from_utf8(request).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("Cookie: B=1\r\n"));
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())));
        assert_eq!(
            marker.sequences(body.as_bytes()).collect::<Vec<_>>(),
            [8, 9, 10]
        );
        let messages: Vec<Value> = serde_json::from_str(body).unwrap();
        assert_eq!(messages[2]["id"], "10");
        for message in messages {
            assert_eq!(message["data"].to_string().len(), 60);
        }
    }

    #[test]
    fn small_payloads_still_carry_the_number() {
        let url = "http://h:1/c".parse().unwrap();
        let marker = Marker::new("ab12", 0);
        let request = marker.publish(&url, &Identity::default(), "/x", 5..6);
        assert_eq!(marker.sequences(&request).collect::<Vec<_>>(), [5]);
    }
}
