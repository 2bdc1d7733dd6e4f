//! What fuzzers do to the messages that application servers send.

use serde::de::IgnoredAny;

use super::message::{Batch, Element};
use crate::bayeux::{Limits, parse_body};
use crate::fuzzing::target::Target;

pub(crate) const TARGETS: &[Target] = &[Target {
    name: "api_body",
    check: body,
    seeds: &[
        br#"{"channel":"/a","data":{"b" : 1.10},"ext":{},"id":"1"}"#,
        br#"[{"d\u0061ta":null,"channel":"/a","session":"x"},5,{"channel":"/*","data":"\ud83d","user":"u"},{"x":1}]"#,
    ],
}];

/// A body is JSON, and what is taken of its messages are slices of it.
fn body(bytes: &[u8]) -> bool {
    let limits = Limits {
        max_depth: 8,
        ..Limits::default()
    };
    let Ok(batch) = parse_body::<Batch<'_>>(bytes, &limits) else {
        return false;
    };
    assert!(serde_json::from_slice::<IgnoredAny>(bytes).is_ok());
    let elements = match batch {
        Batch::One(element) => vec![element],
        Batch::Many(elements) => elements,
    };
    let is_slice = |text: &str| bytes.as_ptr_range().contains(&text.as_ptr());
    let mut are_messages = false;
    for Element(posted) in elements {
        let Ok(posted) = posted else { continue };
        assert!(posted.data.is_none_or(|data| is_slice(data.get())));
        if let (Ok(channel), Ok(message)) = (posted.channel(&limits), posted.message()) {
            assert_eq!(
                message
                    .channel_text()
                    .map(|it| it.trim_end_matches('/').to_owned())
                    .as_deref(),
                Some(channel.as_str())
            );
            are_messages = true;
        }
    }
    are_messages
}
