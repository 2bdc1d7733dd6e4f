//! The few batches of Bayeux messages that a client sends.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::credentials::Credentials;
use super::position::Since;
use super::transport::ConnectionType;

/// The channel of handshakes.
pub(crate) const HANDSHAKE: &str = "/meta/handshake";
/// The channel of connects.
pub(crate) const CONNECT: &str = "/meta/connect";
/// The channel of subscriptions.
pub(crate) const SUBSCRIBE: &str = "/meta/subscribe";
/// The channel of the end.
pub(crate) const DISCONNECT: &str = "/meta/disconnect";

/// A handshake, which may show who its client is, and may ask for acknowledgement.
pub(crate) fn handshake(
    connection_type: ConnectionType,
    credentials: &Credentials,
    asks_ack: bool,
) -> Vec<u8> {
    let types = match connection_type {
        ConnectionType::LongPolling | ConnectionType::LongPollingByHttp2 => {
            vec![connection_type.name()]
        }
        ConnectionType::WebSocket | ConnectionType::XhrStreaming => {
            vec![connection_type.name(), ConnectionType::LongPolling.name()]
        }
    };
    let mut message = json!({
        "id": "1",
        "channel": HANDSHAKE,
        "version": "1.0",
        "minimumVersion": "1.0",
        "supportedConnectionTypes": types,
    });
    if let Some(authentication) = credentials.authentication() {
        message["ext"]["authentication"] = authentication;
    }
    if asks_ack {
        message["ext"]["ack"] = true.into();
    }
    batch(&message)
}

/// A connect; the first asks, as CometD's clients do, to be answered at once.
pub(crate) fn connect(connection_type: ConnectionType, client_id: &str, is_first: bool) -> Vec<u8> {
    connect_with(connection_type, client_id, is_first, None)
}

/// A connect that may acknowledge a reply, and those before.
pub(crate) fn connect_with(
    connection_type: ConnectionType,
    client_id: &str,
    is_first: bool,
    ack: Option<i64>,
) -> Vec<u8> {
    let advice = match is_first {
        true => r#","advice":{"timeout":0}"#,
        false => "",
    };
    let ext = ack.map(|number| format!(r#","ext":{{"ack":{number}}}"#));
    let ext = ext.unwrap_or_default();
    let (name, client_id) = (connection_type.name(), Value::from(client_id));
    format!(
        r#"[{{"id":"2","channel":"{CONNECT}","connectionType":"{name}","clientId":{client_id}{advice}{ext}}}]"#
    )
    .into_bytes()
}

/// A subscription to a channel.
pub(crate) fn subscribe(client_id: &str, channel: &str) -> Vec<u8> {
    subscribe_to(client_id, &[channel], None)
}

/// A subscription to channels, which may say from where on their messages are wanted.
pub(crate) fn subscribe_to(
    client_id: &str,
    channels: &[impl AsRef<str>],
    since: Option<&Since>,
) -> Vec<u8> {
    let subscription = match channels {
        [channel] => Value::from(channel.as_ref()),
        several => several.iter().map(AsRef::as_ref).collect(),
    };
    let mut message = json!({
        "id": "3",
        "channel": SUBSCRIBE,
        "subscription": subscription,
        "clientId": client_id,
    });
    if let Some(since) = since {
        message["ext"]["replay"] = since.json();
    }
    batch(&message)
}

/// The end of a session.
pub(crate) fn disconnect(client_id: &str) -> Vec<u8> {
    batch(&json!({ "id": "4", "channel": DISCONNECT, "clientId": client_id }))
}

/// Messages that are published on one channel, each with an id, in their order.
pub(crate) fn publish<'a>(
    client_id: &str,
    channel: &str,
    messages: impl Iterator<Item = (&'a str, &'a RawValue)>,
) -> Vec<u8> {
    let (client_id, channel) = (Value::from(client_id), Value::from(channel));
    let messages: Vec<String> = messages
        .map(|(id, data)| {
            format!(
                r#"{{"id":"{id}","channel":{channel},"clientId":{client_id},"data":{}}}"#,
                data.get()
            )
        })
        .collect();
    format!("[{}]", messages.join(",")).into_bytes()
}

fn batch(message: &Value) -> Vec<u8> {
    json!([message]).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::credentials::Secret;

    fn parsed(batch: &[u8]) -> Value {
        serde_json::from_slice(batch).unwrap()
    }

    #[test]
    fn handshakes_say_who_and_what() {
        let token = Credentials::Token(Secret::new("t\"".to_owned()));
        // (credentials, whether acknowledgement is asked for, `ext`)
        let cases = [
            (Credentials::None, false, Value::Null),
            (Credentials::None, true, json!({"ack": true})),
            (
                token,
                true,
                json!({"authentication": {"token": "t\""}, "ack": true}),
            ),
        ];
        for (credentials, asks_ack, expected) in cases {
            let sent = handshake(ConnectionType::LongPolling, &credentials, asks_ack);
            assert_eq!(parsed(&sent)[0]["ext"], expected);
        }
    }

    #[test]
    fn connects_and_subscriptions_are_json() {
        let sent = connect(ConnectionType::WebSocket, "m\"e", true);
        let mut expected = json!([{
            "id": "2",
            "channel": "/meta/connect",
            "connectionType": "websocket",
            "clientId": "m\"e",
            "advice": {"timeout": 0},
        }]);
        assert_eq!(parsed(&sent), expected);
        let sent = connect_with(ConnectionType::WebSocket, "m\"e", true, Some(-1));
        expected[0]["ext"] = json!({"ack": -1});
        assert_eq!(parsed(&sent), expected);
        for (channels, subscription) in [
            (&["/x"][..], json!("/x")),
            (&["/x", "/\"/**"], json!(["/x", "/\"/**"])),
        ] {
            let expected = json!([{
                "id": "3",
                "channel": "/meta/subscribe",
                "subscription": subscription,
                "clientId": "m\"e",
            }]);
            assert_eq!(parsed(&subscribe_to("m\"e", channels, None)), expected);
            let mut with_replay = expected;
            with_replay[0]["ext"] = json!({"replay": -2});
            let sent = subscribe_to("m\"e", channels, Some(&Since::All));
            assert_eq!(parsed(&sent), with_replay);
        }
    }

    #[test]
    fn what_is_published_is_not_touched() {
        let data: Vec<&RawValue> = ["1.10", "{ \"b\":1, \"a\":2 }"]
            .iter()
            .map(|text| serde_json::from_str(text).unwrap())
            .collect();
        let sent = publish("me", "/a\"", ["7", "8"].into_iter().zip(data));
        let expected = concat!(
            r#"[{"id":"7","channel":"/a\"","clientId":"me","data":1.10},"#,
            r#"{"id":"8","channel":"/a\"","clientId":"me","data":{ "b":1, "a":2 }}]"#
        );
        assert_eq!(String::from_utf8(sent).unwrap(), expected);
    }
}
