//! The request headers of resources: entity tags, dates, and ranges.

use std::time::SystemTime;

use http::{HeaderName, header};

use crate::resources::{Conditions, Version, Versions};
use crate::web::Headers;

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// A `Content-Range` in bytes; `last` is within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) struct ContentRange {
    pub(in crate::api) first: usize,
    pub(in crate::api) last: usize,
    pub(in crate::api) total: Option<usize>,
}

/// Reads the conditions of a request but those on which a GET answers 304; in `If-Match` weak tags
/// match nothing, and its presence outweighs a date (RFC 9110 section 13.1).
pub(super) fn conditions(headers: &Headers) -> Conditions {
    let present = versions(headers, &header::IF_MATCH, false);
    let unchanged_since = headers
        .text(&header::IF_UNMODIFIED_SINCE)
        .filter(|_| present.is_none())
        .and_then(date);
    Conditions {
        present,
        absent: None,
        unchanged_since,
    }
}

/// Reads `If-None-Match`; a proxy that compressed a response has made its tag weak.
pub(in crate::api) fn if_none_match(headers: &Headers) -> Option<Versions> {
    versions(headers, &header::IF_NONE_MATCH, true)
}

/// Reads `If-Modified-Since`, which is passed over if it is no date.
pub(super) fn if_modified_since(headers: &Headers) -> Option<SystemTime> {
    date(headers.text(&header::IF_MODIFIED_SINCE)?)
}

/// Reads a date, be it with a day of one digit, or of another weekday than that day was.
pub(in crate::api) fn date(value: &str) -> Option<SystemTime> {
    let text = value.trim();
    if let Ok(date) = httpdate::parse_http_date(text) {
        return Some(date);
    }
    let (_, rest) = text.split_once(", ")?;
    let pad = rest
        .find(' ')
        .filter(|length| *length == 1)
        .map_or("", |_| "0");
    WEEKDAYS
        .iter()
        .find_map(|day| httpdate::parse_http_date(&format!("{day}, {pad}{rest}")).ok())
}

/// Reads the place of a part.
pub(in crate::api) fn content_range(headers: &Headers) -> Option<ContentRange> {
    let text = headers.text(&header::CONTENT_RANGE)?;
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let total = match total {
        "*" => None,
        total => Some(number(total)?),
    };
    Some(ContentRange {
        first: number(first)?,
        last: number(last)?,
        total,
    })
}

fn number(text: &str) -> Option<usize> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_digits)
}

/// Reads a list of entity tags; those that this server never gave are passed over.
fn versions(headers: &Headers, name: &HeaderName, takes_weak: bool) -> Option<Versions> {
    let mut of_this = headers.get_all(name).peekable();
    of_this.peek()?;
    let mut versions = Vec::new();
    for value in of_this {
        for tag in str::from_utf8(value).unwrap_or_default().split(',') {
            let tag = tag.trim();
            if tag == "*" {
                return Some(Versions::Any);
            }
            let tag = match tag.strip_prefix("W/") {
                Some(_) if !takes_weak => continue,
                Some(strong) => strong,
                None => tag,
            };
            let inner = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            versions.extend(inner.and_then(|inner| inner.parse::<Version>().ok()));
        }
    }
    Some(Versions::OneOf(versions))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn one(name: &HeaderName, value: &str) -> Headers {
        Headers::from_iter([(name.as_str().as_bytes(), value.as_bytes())])
    }

    #[test]
    fn dates_may_be_as_sloppy_as_those_of_their_inventor() {
        let cases = [
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Wed, 1 Jan 1970 00:00:00 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("1 Jan 1970", None),
            ("Wed, 32 Jan 1970 00:00:00 GMT", None),
            ("", None),
            ("0", None),
        ];
        for (text, seconds) in cases {
            let expected = seconds.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
            assert_eq!(date(text), expected, "{text}");
        }
    }

    #[test]
    fn tags_that_are_not_ours_match_nothing() {
        let one_of = |tags: &[&str]| {
            let versions = tags.iter().map(|tag| tag.parse().expect("a version"));
            Some(Versions::OneOf(versions.collect()))
        };
        let cases = [
            ("*", Some(Versions::Any), Some(Versions::Any)),
            ("\"a-1\"", one_of(&["a-1"]), one_of(&["a-1"])),
            (
                "W/\"a-1\", \"b-2\"",
                one_of(&["a-1", "b-2"]),
                one_of(&["b-2"]),
            ),
            ("\"x,y\", a-1, \"", one_of(&[]), one_of(&[])),
            ("", one_of(&[]), one_of(&[])),
        ];
        for (text, none_match, matching) in cases {
            let headers = one(&header::IF_NONE_MATCH, text);
            assert_eq!(if_none_match(&headers), none_match, "{text}");
            let conditions = conditions(&one(&header::IF_MATCH, text));
            assert_eq!(conditions.present, matching, "{text}");
        }
        assert_eq!(conditions(&Headers::default()), Conditions::default());
    }

    #[test]
    fn ranges_are_of_bytes() {
        let range = |first, last, total| Some(ContentRange { first, last, total });
        let cases = [
            ("bytes 0-4/*", range(0, 4, None)),
            ("bytes 5-9/10", range(5, 9, Some(10))),
            ("bytes */10", None),
            ("bytes 0-4", None),
            ("bytes +0-4/*", None),
            ("bytes 0-4/x", None),
            ("bytes 0-99999999999999999999999/*", None),
            ("lines 0-4/*", None),
        ];
        for (text, expected) in cases {
            let headers = one(&header::CONTENT_RANGE, text);
            assert_eq!(content_range(&headers), expected, "{text}");
        }
    }
}
