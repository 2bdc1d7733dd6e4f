//! What fuzzers do to the headers and queries of requests for resources and for history.

use http::{HeaderName, header};

use super::history::reading;
use super::resources::headers::{content_range, date, if_none_match};
use crate::fuzzing::target::{Target, line_and_rest};
use crate::resources::Versions;
use crate::web::Headers;

pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "date",
        check: dates,
        seeds: &[
            b"Sun, 06 Nov 1994 08:49:37 GMT",
            b"Wed, 1 Jan 1970 00:00:00 GMT",
            b"Sunday, 06-Nov-94 08:49:37 GMT",
            b"Sun Nov  6 08:49:37 1994",
        ],
    },
    Target {
        name: "resource_headers",
        check: resource_headers,
        seeds: &[b"W/\"a-1\", \"b-2\"\nbytes 0-4/10", b"*\nbytes 5-9/*"],
    },
    Target {
        name: "history_query",
        check: history_query,
        seeds: &[
            b"after=5&limit=10&epoch=x1",
            b"limit=%31",
            b"after=18446744073709551615",
        ],
    },
];

/// A date is written, and read as the same.
fn dates(bytes: &[u8]) -> bool {
    let found = str::from_utf8(bytes).ok().and_then(date);
    if let Some(found) = found {
        assert_eq!(date(&httpdate::fmt_http_date(found)), Some(found));
    }
    found.is_some()
}

fn one(name: &HeaderName, value: &[u8]) -> Headers {
    [(name.as_str().as_bytes(), value)].into_iter().collect()
}

/// The same for tags and ranges.
fn resource_headers(bytes: &[u8]) -> bool {
    let (tags, range) = line_and_rest(bytes);
    let tags = if_none_match(&one(&header::IF_NONE_MATCH, tags));
    if let Some(Versions::OneOf(versions)) = &tags {
        let again: Vec<_> = versions
            .iter()
            .map(|version| format!("\"{version}\""))
            .collect();
        let again = if_none_match(&one(&header::IF_NONE_MATCH, again.join(",").as_bytes()));
        assert_eq!(again, tags);
    }
    let range = content_range(&one(&header::CONTENT_RANGE, range));
    if let Some(found) = range {
        let total = found
            .total
            .map_or("*".to_owned(), |total| total.to_string());
        let again = format!("bytes {}-{}/{total}", found.first, found.last);
        let again = content_range(&one(&header::CONTENT_RANGE, again.as_bytes()));
        assert_eq!(again, range);
    }
    range.is_some()
}

/// What is wrong names its parameter.
fn history_query(bytes: &[u8]) -> bool {
    let Ok(query) = str::from_utf8(bytes) else {
        return false;
    };
    match reading(query, 1000) {
        Ok(_) => true,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}
