//! What nchan is asked, and what it answers; does no I/O.

use std::io::{self, ErrorKind};
use std::str;

use memchr::memchr;

use crate::http::{Response, UPGRADE, first_frame};

/// How much of what is not understood is shown.
const EXCERPT: usize = 200;

/// The request of a subscriber who has nothing yet.
pub(crate) fn subscribe(channel: &str, is_websocket: bool) -> String {
    let upgrade = if is_websocket { UPGRADE } else { "" };
    format!("GET /sub/{channel} HTTP/1.1\r\nHost: localhost\r\n{upgrade}\r\n")
}

/// The request that publishes.
pub(crate) fn publish(channel: &str, data: &str) -> String {
    format!(
        "POST /pub/{channel} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{data}",
        data.len()
    )
}

/// The request that asks how many subscribers a channel has.
pub(crate) fn count(channel: &str) -> String {
    format!("GET /pub/{channel} HTTP/1.1\r\nHost: localhost\r\nAccept: text/json\r\n\r\n")
}

/// Whether that is the answer to [`count`] if there are so many. A channel to which nobody has ever
/// subscribed is not found.
pub(crate) fn counts(answer: &Response<'_>, subscribers: usize) -> bool {
    let body = String::from_utf8_lossy(answer.body);
    answer.is_success() && body.contains(&format!("\"subscribers\": {subscribers},"))
}

/// Whether that is the answer to [`publish`].
pub(crate) fn is_published(answer: &Response<'_>) -> bool {
    answer.is_success() && answer.body.starts_with(b"queued messages")
}

/// A message, and the request for the next if that is needed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) number: usize,
    /// Bytes that it took.
    pub(crate) length: usize,
    pub(crate) again: Option<String>,
}

/// The message in the first response, if that is there.
///
/// # Errors
///
/// When it has none.
pub(crate) fn in_response(arrived: &[u8], channel: &str) -> io::Result<Option<Message>> {
    let Some(response) = Response::first(arrived) else {
        return Ok(None);
    };
    let (200, Some(since), Some(tag)) = (
        response.status,
        response.header("last-modified"),
        response.header("etag"),
    ) else {
        return Err(malformed(arrived));
    };
    let again = format!(
        "GET /sub/{channel} HTTP/1.1\r\nHost: localhost\r\n\
         If-Modified-Since: {since}\r\nIf-None-Match: {tag}\r\n\r\n"
    );
    Ok(Some(Message {
        number: number(response.body)?,
        length: response.length,
        again: Some(again),
    }))
}

/// The message in the first frame, if that is there.
///
/// # Errors
///
/// When it has none.
pub(crate) fn in_frame(arrived: &[u8]) -> io::Result<Option<Message>> {
    let Some((message, length)) = first_frame(arrived) else {
        return Ok(None);
    };
    Ok(Some(Message {
        number: number(message)?,
        length,
        again: None,
    }))
}

/// The number of a message: 17 in `{"bench":"run#17#xxx"}`.
fn number(message: &[u8]) -> io::Result<usize> {
    let digits = || {
        let (_, after) = message.split_at_checked(memchr(b'#', message)? + 1)?;
        let digits = &after[..memchr(b'#', after)?];
        str::from_utf8(digits).ok()?.parse().ok()
    };
    digits().ok_or_else(|| malformed(message))
}

/// The error of what is not understood.
pub(crate) fn malformed(arrived: &[u8]) -> io::Error {
    let excerpt = &arrived[..arrived.len().min(EXCERPT)];
    let text = format!("not understood: {}", String::from_utf8_lossy(excerpt));
    io::Error::new(ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_with_the_place_of_what_it_has() {
        let response =
            b"HTTP/1.1 200 OK\r\nEtag: 3\r\nLast-Modified: now\r\nContent-Length: 19\r\n\
                         \r\n{\"bench\":\"a#17#xx\"}";
        let message = in_response(response, "room").unwrap().unwrap();
        assert_eq!((message.number, message.length), (17, response.len()));
        let again = message.again.unwrap();
        assert!(again.starts_with("GET /sub/room HTTP/1.1\r\n"), "{again}");
        let place = "If-Modified-Since: now\r\nIf-None-Match: 3\r\n\r\n";
        assert!(again.ends_with(place), "{again}");
    }
}
