//! The request headers of resources: entity tags, dates, and ranges.

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::resources::{Version, Versions};

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// A `Content-Range` in bytes; `last` is within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) first: usize,
    pub(super) last: usize,
    pub(super) total: Option<usize>,
}

/// Reads `If-Match`, for which weak tags match nothing (RFC 9110 section 13.1.1).
pub(super) fn if_match(headers: &HeaderMap) -> Option<Versions> {
    versions(headers, &header::IF_MATCH, false)
}

/// Reads `If-None-Match`; a proxy that compressed a response has made its tag weak.
pub(super) fn if_none_match(headers: &HeaderMap) -> Option<Versions> {
    versions(headers, &header::IF_NONE_MATCH, true)
}

/// Reads `If-Modified-Since`, which is passed over if it is no date.
pub(super) fn if_modified_since(headers: &HeaderMap) -> Option<SystemTime> {
    date(headers.get(header::IF_MODIFIED_SINCE)?)
}

/// Reads a date, be it with a day of one digit, or of another weekday than that day was.
pub(super) fn date(value: &HeaderValue) -> Option<SystemTime> {
    let text = value.to_str().ok()?.trim();
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
pub(super) fn content_range(headers: &HeaderMap) -> Option<ContentRange> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
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
fn versions(headers: &HeaderMap, name: &HeaderName, takes_weak: bool) -> Option<Versions> {
    let mut of_this = headers.get_all(name).iter().peekable();
    of_this.peek()?;
    let mut versions = Vec::new();
    for value in of_this {
        for tag in value.to_str().unwrap_or_default().split(',') {
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

    fn one(name: HeaderName, value: &str) -> HeaderMap {
        let value = HeaderValue::from_str(value).expect("a value");
        HeaderMap::from_iter([(name, value)])
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
            assert_eq!(date(&HeaderValue::from_static(text)), expected, "{text}");
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
            let headers = one(header::IF_NONE_MATCH, text);
            assert_eq!(if_none_match(&headers), none_match, "{text}");
            assert_eq!(if_match(&one(header::IF_MATCH, text)), matching, "{text}");
        }
        assert_eq!(if_match(&HeaderMap::new()), None);
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
            let headers = one(header::CONTENT_RANGE, text);
            assert_eq!(content_range(&headers), expected, "{text}");
        }
    }
}
