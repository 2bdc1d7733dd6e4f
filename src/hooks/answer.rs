//! What a hook answers to a call, read strictly: what is not understood is no answer.

use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::bayeux::{ChannelKind, ChannelName, Limits};

/// Longer than what a client should be told in a line.
const MAX_ERROR: usize = 200;

/// An answer.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    /// What to publish before the caller hears.
    pub(super) publishes: Vec<(ChannelName, &'a RawValue)>,
    pub(super) outcome: Outcome<'a>,
}

/// What the caller is told.
#[derive(Debug)]
pub(super) enum Outcome<'a> {
    /// This.
    Reply(&'a RawValue),
    /// That it failed, and why.
    Error(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(borrow)]
    reply: Option<&'a RawValue>,
    error: Option<String>,
    #[serde(default, borrow)]
    publish: Vec<Publish<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Publish<'a> {
    channel: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// Reads an answer. 204 has nothing to say, which the caller hears as data `null`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read<'a, B: AsRef<[u8]>>(
    response: &'a Response<B>,
    max_publishes: usize,
    limits: &Limits,
) -> Result<Answer<'a>, String> {
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NO_CONTENT => {
            return Ok(Answer {
                publishes: Vec::new(),
                outcome: Outcome::Reply(RawValue::NULL),
            });
        }
        other => return Err(format!("its status is {other}")),
    }
    let text = response.body().as_ref();
    if !text.trim_ascii_start().starts_with(b"{") {
        return Err("it is no JSON object".to_owned());
    }
    let body: Body<'_> =
        serde_json::from_slice(text).map_err(|error| format!("it is not understood: {error}"))?;
    if body.publish.len() > max_publishes {
        return Err("it has more to publish than max_publishes".to_owned());
    }
    let publishes = body.publish.into_iter().map(|publish| {
        let channel = ChannelName::parse(&publish.channel, limits).ok();
        let channel = channel.filter(|channel| channel.kind() == ChannelKind::Broadcast);
        channel
            .map(|channel| (channel, publish.data))
            .ok_or("it publishes on what is no broadcast channel".to_owned())
    });
    let outcome = match (body.reply, body.error) {
        (Some(_), Some(_)) => return Err("it has both a reply and an error".to_owned()),
        (_, Some(error)) => Outcome::Error(line(&error)),
        (reply, None) => Outcome::Reply(reply.unwrap_or(RawValue::NULL)),
    };
    Ok(Answer {
        publishes: publishes.collect::<Result<_, _>>()?,
        outcome,
    })
}

/// Makes a text a line that is not long.
fn line(text: &str) -> String {
    let line = text.chars().map(|char| match char.is_control() {
        true => ' ',
        false => char,
    });
    line.take(MAX_ERROR).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(status: u16, text: &str) -> String {
        let response = Response::builder()
            .status(status)
            .body(text.as_bytes().to_vec());
        let response = response.expect("a response");
        match read(&response, 2, &Limits::default()) {
            Err(error) => error,
            Ok(answer) => {
                let publishes = answer.publishes.iter();
                let publishes = publishes.map(|(channel, data)| format!("{channel:?}={data} "));
                let outcome = match answer.outcome {
                    Outcome::Reply(data) => format!("reply {data}"),
                    Outcome::Error(error) => format!("error {error}"),
                };
                publishes.collect::<String>() + &outcome
            }
        }
    }

    #[test]
    fn answers_are_read_to_the_byte_or_not_at_all() {
        let both = "it has both a reply and an error";
        let none = "it is no JSON object";
        let cases = [
            (200, "{\"reply\": {\"a\" : 1e0 } }", "reply {\"a\" : 1e0 }"),
            (200, "{}", "reply null"),
            (200, " \n{\"reply\":null}", "reply null"),
            (200, "{\"error\":\"out of\\nstock\"}", "error out of stock"),
            (200, "{\"error\":null,\"reply\":7}", "reply 7"),
            (
                200,
                r#"{"publish":[{"channel":"/a","data":[ 1]},{"channel":"/b/","data":{}}],"reply":0}"#,
                "/a=[ 1] /b={} reply 0",
            ),
            (
                200,
                r#"{"publish":[{"channel":"/a","data":1}]}"#,
                "/a=1 reply null",
            ),
            (204, "", "reply null"),
            (200, "", none),
            (200, "null", none),
            (200, "[]", none),
            (200, "\"yes\"", none),
            (200, r#"{"reply":1,"error":"a"}"#, both),
            (500, "{}", "its status is 500 Internal Server Error"),
            (201, "{}", "its status is 201 Created"),
            (302, "{}", "its status is 302 Found"),
        ];
        for (status, text, expected) in cases {
            assert_eq!(shown(status, text), expected, "{status} {text}");
        }
        for text in [
            "{",
            "{\"reply\":}",
            "{\"replay\":1}",
            "{\"reply\":1,\"reply\":2}",
            "{\"error\":7}",
            "{} {}",
            "{\"publish\":{}}",
            "{\"publish\":[{\"channel\":\"/a\"}]}",
            "{\"publish\":[{\"channel\":\"/a\",\"data\":1,\"ext\":{}}]}",
        ] {
            let error = shown(200, text);
            assert!(
                error.starts_with("it is not understood: "),
                "{text}: {error}"
            );
        }
        for channel in ["/meta/connect", "/service/a", "/a/*", "a", ""] {
            let text = format!(r#"{{"publish":[{{"channel":"{channel}","data":1}}]}}"#);
            let expected = "it publishes on what is no broadcast channel";
            assert_eq!(shown(200, &text), expected, "{channel}");
        }
        let one = r#"{"channel":"/a","data":1}"#;
        let three = format!("{{\"publish\":[{one},{one},{one}]}}");
        let expected = "it has more to publish than max_publishes";
        assert_eq!(shown(200, &three), expected);
        let long = format!("{{\"error\":\"{}\"}}", "ü".repeat(1000));
        assert_eq!(shown(200, &long), format!("error {}", "ü".repeat(200)));
    }
}
