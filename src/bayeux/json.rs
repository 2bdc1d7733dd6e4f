//! Batches of messages from bytes: one JSON array or object, within bounds.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::{Limits, Message};

/// The bytes are not a batch; nothing of it took effect.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Not JSON, or not an object or array of objects.
    #[error("the body must be a Bayeux message, or an array of them: {0}")]
    Malformed(String),
    /// An array without a message.
    #[error("the batch holds no message")]
    Empty,
    /// More messages than allowed.
    #[error("the batch holds more than {0} messages (bayeux.max_batch)")]
    TooManyMessages(usize),
    /// Nested more deeply than allowed.
    #[error("the batch is nested more than {0} levels deep (bayeux.max_depth)")]
    TooDeep(usize),
}

/// The bytes are not what a message can have as `data`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// Not JSON.
    #[error("not JSON: {0}")]
    Malformed(String),
    /// Nested more deeply than a message's data may be.
    #[error("nested more than {0} levels deep (bayeux.max_depth, for a batch and a message)")]
    TooDeep(usize),
}

/// Reads the `data` of a message that has come by itself.
///
/// # Errors
/// It is not JSON, or nested so deep that a message could not carry it.
pub fn parse_data<'a>(text: &'a [u8], limits: &Limits) -> Result<&'a RawValue, DataError> {
    let max = limits.max_depth.saturating_sub(2);
    if depth(text, max) > max {
        return Err(DataError::TooDeep(max));
    }
    serde_json::from_slice(text).map_err(|error| DataError::Malformed(error.to_string()))
}

/// Reads a text that programs which are no clients have sent, within the bounds on how deep a batch may be.
///
/// # Errors
/// It is not what is to be read, or nested too deep.
pub fn parse_body<'a, T: Deserialize<'a>>(text: &'a [u8], limits: &Limits) -> Result<T, DataError> {
    let max = limits.max_depth;
    if depth(text, max) > max {
        return Err(DataError::TooDeep(max));
    }
    // Checked as a whole, no string in it has to be.
    let text = std::str::from_utf8(text);
    let text = text.map_err(|error| DataError::Malformed(error.to_string()))?;
    serde_json::from_str(text).map_err(|error| DataError::Malformed(error.to_string()))
}

/// Reads the messages of one request: of one text, or of the several `message` fields of a form,
/// joined in their order.
///
/// # Errors
/// One text is not a message or an array of messages, or the bounds are passed.
pub fn parse_batches<'a>(
    texts: &'a [Bytes],
    limits: &Limits,
) -> Result<Vec<Message<'a>>, BatchError> {
    let mut batch = Vec::new();
    for text in texts {
        if depth(text, limits.max_depth) > limits.max_depth {
            return Err(BatchError::TooDeep(limits.max_depth));
        }
        let mut messages = parse(text).map_err(BatchError::Malformed)?;
        if batch.is_empty() {
            batch = messages;
        } else {
            batch.append(&mut messages);
        }
        if batch.len() > limits.max_batch {
            return Err(BatchError::TooManyMessages(limits.max_batch));
        }
    }
    if batch.is_empty() {
        return Err(BatchError::Empty);
    }
    Ok(batch)
}

fn parse(text: &[u8]) -> Result<Vec<Message<'_>>, String> {
    // Checked as a whole, no string in it has to be.
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    let parsed = if text.trim_ascii_start().starts_with('{') {
        serde_json::from_str(text).map(|message| vec![message])
    } else {
        serde_json::from_str(text)
    };
    parsed.map_err(|error| reason(&error))
}

/// Says what is wrong, and where; nothing of what a client sent, which may be a secret.
fn reason(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Data => format!(
            "not a JSON object at line {} column {}",
            error.line(),
            error.column()
        ),
        Category::Io | Category::Syntax | Category::Eof => error.to_string(),
    }
}

/// Counts how deep arrays and objects nest, without a stack; what is not JSON is counted too. Of what
/// cannot be deeper than `enough`, it says no more than that.
fn depth(text: &[u8], enough: usize) -> usize {
    let at_most = memchr::memchr2_iter(b'[', b'{', text).count();
    if at_most <= enough {
        return at_most;
    }
    let (mut depth, mut deepest) = (0usize, 0);
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    deepest
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    loop {
        let rest = bytes.as_slice();
        let Some(at) = memchr::memchr2(b'"', b'\\', rest) else {
            *bytes = [].iter();
            return;
        };
        let end = if rest[at] == b'"' {
            at + 1
        } else {
            (at + 2).min(rest.len())
        };
        *bytes = rest[end..].iter();
        if rest[at] == b'"' {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            max_batch: 3,
            max_depth: 4,
            ..Limits::default()
        }
    }

    fn count(texts: &[&'static str]) -> Result<usize, BatchError> {
        let texts: Vec<Bytes> = texts
            .iter()
            .map(|text| Bytes::from_static(text.as_bytes()))
            .collect();
        parse_batches(&texts, &limits()).map(|batch| batch.len())
    }

    #[test]
    fn objects_and_arrays_are_batches() {
        assert_eq!(count(&["{}"]), Ok(1));
        assert_eq!(count(&[" [{},{}]\r\n"]), Ok(2));
        assert_eq!(count(&["{}", "[{},{}]"]), Ok(3));
        assert_eq!(count(&[r#"[{"data":"[[[[[[ \" [[["}]"#]), Ok(1));
    }

    #[test]
    fn data_alone_is_any_json_value() {
        let data = |text: &'static str| parse_data(text.as_bytes(), &limits()).map(RawValue::get);
        assert_eq!(data(" [1.10, {}]\n"), Ok("[1.10, {}]"));
        assert_eq!(data("null"), Ok("null"));
        assert_eq!(data("[[[1]]]"), Err(DataError::TooDeep(2)));
        for text in ["", "1 2", "[1", "x"] {
            assert!(matches!(data(text), Err(DataError::Malformed(_))), "{text}");
        }
        assert!(parse_data(b"\"\xff\"", &limits()).is_err());
    }

    #[test]
    fn depth_is_counted_where_there_are_brackets_enough() {
        // (text, how deep it is, or that it is no deeper than 2)
        let cases = [
            ("[{}]", 2),
            ("[{}", 2),
            ("[[[]]]", 3),
            ("[[],[],[]]", 2),
            ("[{},{},{\"a\":[]}]", 3),
            ("[\"[[[[\",[]]", 2),
            ("[\"\\\"[[[[\",{}]", 2),
            ("]]][[[", 3),
        ];
        for (text, expected) in cases {
            assert_eq!(depth(text.as_bytes(), 2), expected, "{text}");
            assert_eq!(depth(text.as_bytes(), 0), expected, "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "", "null", "5", "\"x\"", "[5]", "[null]", "[{}", "[{}]]", "[{}] x", "{]", "[[{}]]",
            "\"\\",
        ] {
            assert!(
                matches!(count(&[text]), Err(BatchError::Malformed(_))),
                "{text}"
            );
        }
        assert_eq!(count(&["[]"]), Err(BatchError::Empty));
        assert_eq!(
            count(&["[{},{},{},{}]"]),
            Err(BatchError::TooManyMessages(3))
        );
        assert_eq!(count(&["{},{}"]).map_err(|_| ()), Err(()));
        assert_eq!(
            count(&[r#"[{"data":[[[1]]]}]"#]),
            Err(BatchError::TooDeep(4))
        );
    }
}
