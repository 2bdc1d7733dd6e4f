//! The head of a request from its bytes, which all its parts share.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Uri, Version};

/// Makes the head that was parsed from these bytes; nothing if a part of it is not what it should be.
/// The body has been cut off already, so its length is left out.
#[must_use]
pub fn parts(parsed: &httparse::Request<'_, '_>, head: &Bytes) -> Option<Parts> {
    let mut parts = Request::new(()).into_parts().0;
    parts.method = Method::from_bytes(parsed.method?.as_bytes()).ok()?;
    let target = head.slice_ref(parsed.path?.as_bytes());
    parts.uri = Uri::from_maybe_shared(target).ok()?;
    parts.version = match parsed.version? {
        0 => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    parts.headers.reserve(parsed.headers.len());
    for header in parsed.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            continue;
        }
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        let value = HeaderValue::from_maybe_shared(shared(head, header.value)).ok()?;
        parts.headers.append(name, value);
    }
    Some(parts)
}

/// An empty value may stand nowhere.
fn shared(head: &Bytes, value: &[u8]) -> Bytes {
    if value.is_empty() {
        Bytes::new()
    } else {
        head.slice_ref(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &'static str) -> Option<Parts> {
        let head = Bytes::from_static(text.as_bytes());
        let mut headers = [httparse::EMPTY_HEADER; 8];
        let mut request = httparse::Request::new(&mut headers);
        request.parse(&head).expect("a head");
        parts(&request, &head)
    }

    #[test]
    fn every_part_is_there() {
        let text = "PUT /a/b?c HTTP/1.0\r\nHost: x\r\nEmpty:\r\nX-A: 1 2\r\nx-a: 3\r\n\r\n";
        let parts = parsed(text).expect("a head");
        assert_eq!(
            (parts.method, parts.version),
            (Method::PUT, Version::HTTP_10)
        );
        assert_eq!(
            parts.uri.path_and_query().map(|both| both.as_str()),
            Some("/a/b?c")
        );
        let values: Vec<_> = parts.headers.get_all("x-a").iter().collect();
        assert_eq!(values, ["1 2", "3"]);
        assert_eq!(parts.headers["empty"], "");
        assert_eq!(parts.headers["host"], "x");
    }

    #[test]
    fn a_target_has_to_be_one() {
        assert!(parsed("GET http:// HTTP/1.1\r\n\r\n").is_none());
    }
}
