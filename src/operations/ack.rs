//! What clients say of acknowledgement in `ext` (CometD's `ack` extension).

use serde_json::value::RawValue;

use crate::bayeux::{Message, whole};

/// The name of the extension in `ext`.
pub const NAME: &str = "ack";

/// Tells whether a handshake asks for acknowledgement.
pub(super) fn is_asked(handshake: &Message<'_>) -> bool {
    handshake.extension(NAME).map(RawValue::get) == Some("true")
}

/// Reads the number of the last reply that a connect's client has received. Clients begin with
/// numbers below the first; whatever is no whole number acknowledges nothing.
pub(super) fn number(connect: &Message<'_>) -> Option<u64> {
    connect.extension(NAME).and_then(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_true_asks_and_only_numbers_acknowledge() {
        let cases = [
            (r#"{"ack":true}"#, true, None),
            (r#"{"ack":false}"#, false, None),
            (r#"{"ack":"true"}"#, false, None),
            (r#"{"ack":{"enabled":true}}"#, false, None),
            (r#"{"other":1,"ack":7}"#, false, Some(7)),
            (r#"{"ack":-1}"#, false, None),
            (r#"{"ack":"7"}"#, false, None),
            (r#"{"ack":7.5}"#, false, None),
            (r#"{"ack":1e3}"#, false, Some(1000)),
            (r#"{"ack":7.0}"#, false, Some(7)),
            (r#"{"ack":0.7E+1}"#, false, Some(7)),
            (r#"{"ack":-1.0}"#, false, None),
            (r#"{"ack":1e300}"#, false, None),
            (r#"{"ack":99999999999999999999999}"#, false, None),
            (r#"{"ack":null}"#, false, None),
            ("{}", false, None),
            ("[true]", false, None),
            ("7", false, None),
        ];
        for (ext, asked, expected) in cases {
            let text = format!(r#"{{"channel":"/meta/connect","ext":{ext}}}"#);
            let message: Message<'_> = serde_json::from_str(&text).expect("a message");
            assert_eq!(
                (is_asked(&message), number(&message)),
                (asked, expected),
                "{ext}"
            );
        }
    }
}
