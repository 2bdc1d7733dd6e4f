//! What fuzzers do to messages, channels, client ids and positions in history.

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{
    BatchError, ChannelName, ChannelPattern, ClientAdvice, ClientId, Draft, Event, EventFields,
    Limits, Message, Positions, ReplayId, Reply, parse_batches,
};
use crate::fuzzing::target::Target;

pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "batch",
        check: batch,
        seeds: &[
            br#"[{"channel":"/chat/1","data":{"text":"hi","event":{"replayId":3}},"id":"1","ext":{"a":[1]},"x":1.10}]"#,
            br#"{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"],"id":7}"#,
            br#"[{"channel":"/meta/connect","clientId":"0000000000000000000001","advice":{"timeout":0,"interval":5}},{"ch\u0061nnel":"/a","data":"\ud83d\/"}]"#,
            br#" [{"channel":"/meta/subscribe","subscription":["/a","/b/**"],"ext":{"replay":{"/a":-2}}},{}]"#,
            br#"[{"channel":"/a","data":{},"ext":{ },"__proto__":1,"c":null},{"channel":"/a/","data":[],"ext":{"replay":1}}]"#,
        ],
    },
    Target {
        name: "channel",
        check: channel,
        seeds: &[b"/a/*\n/a/b", b"/a/b/**\n/a/b/c/d", b"/**\n/x y/", b"/chat/{room}/~\n/ba*/!$"],
    },
    Target {
        name: "client_id",
        check: client_id,
        seeds: &[b"0000000000000000000001", b"7N42dgm5tFLK9N8MT7fHC7", b"00zzzzzzzzzzzzzzzzzzzz"],
    },
    Target {
        name: "positions",
        check: positions,
        seeds: &[
            b"-1",
            b"5.0",
            br#""18446744073709551615""#,
            br#"{"id":5,"epoch":"x1"}"#,
            br#"{"/a":1,"/b/**":{"id":-2},"/c/":null}"#,
        ],
    },
];

fn limits() -> Limits {
    Limits {
        max_batch: 4,
        max_depth: 8,
        max_channel_length: 40,
        max_channel_segments: 4,
        ..Limits::default()
    }
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

/// Messages are slices of JSON, within the bounds; what is made of them is JSON.
fn batch(bytes: &[u8]) -> bool {
    let limits = limits();
    let texts = [Bytes::copy_from_slice(bytes)];
    let batch = match parse_batches(&texts, &limits) {
        Ok(batch) => batch,
        Err(BatchError::Malformed(_)) => {
            assert!(!is_batch(bytes), "it is a batch");
            return false;
        }
        Err(_) => return false,
    };
    assert!(is_json(bytes), "it is none");
    assert!((1..=limits.max_batch).contains(&batch.len()));
    for message in &batch {
        let data = message.data.as_deref().map(RawValue::get);
        assert!(data.is_none_or(|data| texts[0].as_ptr_range().contains(&data.as_ptr())));
        message.advice.and_then(ClientAdvice::parse);
        let mut reply = Vec::new();
        Reply::to(message).write(&mut reply);
        assert!(is_json(&reply), "{}", reply.escape_ascii());
        let channel = message.channel_text();
        let channel = channel.and_then(|text| ChannelName::parse(&text, &limits).ok());
        if let Some(channel) = channel {
            publish(message, &channel);
        }
    }
    true
}

/// Tells whether this is a batch, as another reader has it: which refuses some that are.
fn is_batch(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Vec<Map<String, Value>>>(bytes).is_ok()
        || serde_json::from_slice::<Map<String, Value>>(bytes).is_ok()
}

/// An event is JSON with its channel first, and its number is where it is to be.
fn publish(message: &Message<'_>, channel: &ChannelName) {
    let fields = EventFields {
        ext: true,
        custom: true,
    };
    let Some(draft) = Draft::of(message, channel, fields) else {
        return;
    };
    let plain = draft.encode();
    let parts = draft.parts();
    for place in [ReplayId::None, ReplayId::Ext, ReplayId::Data] {
        let event = parts.encode(channel, 42, place);
        for event in [&plain, &event] {
            assert!(is_json(event.json()), "{}", event.json().escape_ascii());
            let again = Event::of_json(event.json().clone(), event.id()).expect("an event");
            assert_eq!(again.channel(), channel.as_str());
        }
        let Ok(value) = serde_json::from_slice::<Value>(event.json()) else {
            continue;
        };
        let in_data = value.pointer("/data/event/replayId");
        let number = match place {
            ReplayId::None => continue,
            ReplayId::Ext => value.pointer("/ext/replay"),
            ReplayId::Data => in_data
                .filter(|id| **id == 42)
                .or(value.pointer("/ext/replay")),
        };
        assert_eq!(number.and_then(Value::as_u64), Some(42), "{value}");
    }
}

/// A name is a pattern that names itself alone, and to match is to cover.
fn channel(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else {
        return false;
    };
    let (first, second) = text.split_once('\n').unwrap_or((text, text));
    let Ok(pattern) = ChannelPattern::parse(first, &limits()) else {
        return false;
    };
    let again = ChannelPattern::parse(pattern.as_str(), &limits());
    assert_eq!(again.as_ref(), Ok(&pattern));
    assert!(pattern.covers(pattern.as_str()));
    let Ok(name) = ChannelName::parse(second, &limits()) else {
        return false;
    };
    let as_pattern = ChannelPattern::parse(second, &limits()).expect("a name is a pattern");
    assert_eq!(as_pattern.channel().as_ref(), Some(&name));
    assert_eq!(pattern.matches(&name), pattern.covers(name.as_str()));
    let mut count = 0;
    name.each_pattern(|text| {
        count += 1;
        let above = ChannelPattern::parse(text, &Limits::of_known_channels()).expect("a pattern");
        assert!(
            above.matches(&name) && above.covers(name.as_str()),
            "{text}"
        );
    });
    assert_eq!(count, name.as_str().matches('/').count() + 2);
    true
}

/// An id is written one way.
fn client_id(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else {
        return false;
    };
    let id = text.parse::<ClientId>();
    if let Ok(id) = &id {
        assert_eq!(id.to_string(), text);
    }
    id.is_ok()
}

/// What is a position everywhere is one of a channel.
fn positions(bytes: &[u8]) -> bool {
    let Ok(raw) = serde_json::from_slice::<&RawValue>(bytes) else {
        return false;
    };
    let of_one = format!(r#"{{"/a":{raw}}}"#);
    let of_one: &RawValue = serde_json::from_str(&of_one).expect("an object");
    let of_one = Positions::read(of_one);
    let found = Positions::read(raw);
    match (&found, &of_one) {
        (Ok(Positions::Everywhere(since)), Ok(of_one)) => assert_eq!(of_one.of("/a"), Some(since)),
        (Ok(Positions::Everywhere(_)), Err(_)) => panic!("of one channel it is none"),
        // Nothing is said of the channel.
        (_, Ok(_)) => assert_eq!(raw.get(), "null"),
        (_, Err(_)) => {}
    }
    found.is_ok()
}
