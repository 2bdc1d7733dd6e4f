//! Heads of HTTP/2: a request's as if it had come by HTTP/1.1, a response's out of its lines.
//!
//! What HTTP/2 says by fields of its own is said by those of HTTP/1.1 (RFC 9113 section 8.3), so that a head means the
//! same however it came: `:authority` is the `Host`, and an extended `CONNECT` the upgrade that it stands for
//! (RFC 8441 section 5).

use h2::ext::Protocol;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode, Uri, Version, request};

use crate::web::response::write_date;
use crate::web::strict::is_host;
use crate::web::transfer::Malformed;
use crate::web::{self, Head};

/// The key of an upgrade that needs none: that of the example in RFC 6455 section 1.3.
const NO_KEY: &[u8] = b"dGhlIHNhbXBsZSBub25jZQ==";
/// Fields of responses that are of a connection by HTTP/1.1.
const OF_CONNECTION: [&str; 3] = ["connection", "upgrade", "sec-websocket-accept"];

/// A request's head.
#[derive(Debug)]
pub struct Heading {
    /// As if it had come by HTTP/1.1.
    pub head: Head,
    /// It asks for a tunnel.
    pub is_tunnel: bool,
}

/// Reads a request's head.
///
/// # Errors
/// It does not say clearly for whom it is, or asks for a tunnel to something else.
pub fn read_head(parts: &request::Parts) -> Result<Heading, Malformed> {
    let protocol = parts.extensions.get::<Protocol>();
    let is_tunnel = match (&parts.method, protocol.map(Protocol::as_str)) {
        (&Method::CONNECT, Some("websocket")) => true,
        (&Method::CONNECT, _) => return Err(Malformed("CONNECT is for WebSocket alone")),
        _ => false,
    };
    let host = host(parts)?;
    let mut fields: Vec<(&[u8], &[u8])> = vec![(b"host", host)];
    if is_tunnel {
        fields.extend([
            (b"connection".as_slice(), b"Upgrade".as_slice()),
            (b"upgrade", b"websocket"),
            (b"sec-websocket-key", NO_KEY),
        ]);
    }
    // A browser may send each cookie in a field of its own.
    let cookies: Vec<_> = parts.headers.get_all(header::COOKIE).iter().collect();
    let cookies = cookies.iter().map(|value| value.as_bytes());
    let cookies = cookies.collect::<Vec<_>>().join(b"; ".as_slice());
    if parts.headers.contains_key(header::COOKIE) {
        fields.push((b"cookie", &cookies));
    }
    let others = parts.headers.iter();
    let others = others.filter(|(name, _)| !matches!(**name, header::HOST | header::COOKIE));
    fields.extend(others.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())));
    let target = parts.uri.path_and_query().cloned();
    let head = Head {
        method: if is_tunnel {
            Method::GET
        } else {
            parts.method.clone()
        },
        uri: target.map_or_else(Uri::default, Uri::from),
        version: Version::HTTP_2,
        headers: fields.into_iter().collect(),
    };
    Ok(Heading { head, is_tunnel })
}

fn host(parts: &request::Parts) -> Result<&[u8], Malformed> {
    let authority = parts.uri.authority().map(|it| it.as_str().as_bytes());
    let mut fields = parts.headers.get_all(header::HOST).iter();
    let field = fields.next().map(HeaderValue::as_bytes);
    if fields.next().is_some() {
        return Err(Malformed("there is more than one Host header"));
    }
    let host = match (authority, field) {
        (Some(authority), Some(field)) if !authority.eq_ignore_ascii_case(field) => {
            return Err(Malformed("the Host is not the :authority"));
        }
        (Some(host), _) | (None, Some(host)) => host,
        (None, None) => return Err(Malformed("an HTTP/2 request needs an :authority")),
    };
    if is_host(host) {
        Ok(host)
    } else {
        Err(Malformed("the Host is malformed"))
    }
}

/// Writes the head of a response; returns also how long its body is, if that is known. One that answers the request
/// for a tunnel has none.
#[must_use]
pub fn write_head(response: &web::Response) -> (Response<()>, Option<usize>) {
    let mut head = Response::new(());
    let is_tunnel = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    *head.status_mut() = if is_tunnel {
        StatusCode::OK
    } else {
        response.status()
    };
    let length = response.length().filter(|_| !is_tunnel);
    let fields = head.headers_mut();
    for (name, value) in response.fields() {
        if !OF_CONNECTION
            .iter()
            .any(|of| name.eq_ignore_ascii_case(of.as_bytes()))
        {
            add(fields, name, value);
        }
    }
    fields.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    let mut date = Vec::new();
    write_date(&mut date);
    add(fields, b"date", date.trim_ascii_end());
    if let Some(length) = length.filter(|_| response.has_length()) {
        fields.insert(header::CONTENT_LENGTH, length.into());
    }
    (head, length)
}

fn add(fields: &mut HeaderMap, name: &[u8], value: &[u8]) {
    let name = HeaderName::from_bytes(name);
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
        fields.append(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uri: &str, fields: &[(&str, &str)]) -> Result<Head, &'static str> {
        let mut request = http::Request::builder().uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        let read = read_head(&parts).map_err(Malformed::reason);
        read.map(|heading| heading.head)
    }

    #[test]
    fn the_authority_is_the_host() {
        type Case = (
            &'static str,
            &'static [(&'static str, &'static str)],
            Result<&'static str, &'static str>,
        );
        let cases: [Case; 8] = [
            ("https://h/a", &[], Ok("h")),
            ("https://h:80/a", &[("host", "H:80")], Ok("h:80")),
            ("/a", &[("host", "h")], Ok("h")),
            (
                "https://h/a",
                &[("host", "evil")],
                Err("the Host is not the :authority"),
            ),
            (
                "/a",
                &[("host", "h"), ("host", "h")],
                Err("there is more than one Host header"),
            ),
            ("/a", &[], Err("an HTTP/2 request needs an :authority")),
            ("https://u@h/a", &[], Err("the Host is malformed")),
            ("/a", &[("host", "")], Err("the Host is malformed")),
        ];
        for (uri, fields, expected) in cases {
            let head = read(uri, fields);
            let host = head.map(|head| head.headers.text(&header::HOST).map(str::to_owned));
            assert_eq!(
                host,
                expected.map(|host| Some(host.to_owned())),
                "{uri} {fields:?}"
            );
        }
    }

    #[test]
    fn a_head_is_as_if_it_had_come_by_http_1_1() {
        let fields = [
            ("cookie", "a=1"),
            ("x-a", "1"),
            ("cookie", "b=2"),
            ("x-a", "2"),
        ];
        let head = read("https://h/a/b?c", &fields).expect("a head");
        assert_eq!(head.uri.to_string(), "/a/b?c");
        let cookies: Vec<_> = head.headers.texts(&header::COOKIE).collect();
        assert_eq!(cookies, ["a=1; b=2"]);
        let others: Vec<_> = head
            .headers
            .texts(&HeaderName::from_static("x-a"))
            .collect();
        assert_eq!(others, ["1", "2"]);
    }

    #[test]
    fn a_response_has_no_field_of_a_connection() {
        let response = web::Response::new(StatusCode::SWITCHING_PROTOCOLS)
            .header_lines(b"Upgrade: websocket\r\nConnection: Upgrade\r\n")
            .header("Sec-WebSocket-Accept", b"x")
            .header("X-A", b"1")
            .header("x-a", b"2: 3");
        let (head, length) = write_head(&response);
        assert_eq!((head.status(), length), (StatusCode::OK, None));
        let names: Vec<_> = head.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-a", "x-content-type-options", "date"]);
        let values: Vec<_> = head.headers().get_all("x-a").iter().collect();
        assert_eq!(values, ["1", "2: 3"]);
    }

    #[test]
    fn the_length_of_a_body_is_said_if_there_may_be_one() {
        let text = || b"ab".to_vec();
        let whole = web::Response::with_body(StatusCode::OK, "text/plain", text());
        let cases = [
            (whole, Some(2), Some("2")),
            (web::Response::new(StatusCode::OK), Some(0), Some("0")),
            (web::Response::new(StatusCode::NO_CONTENT), Some(0), None),
            (web::Response::open(b"", text()), None, None),
        ];
        for (response, length, field) in cases {
            let (head, found) = write_head(&response);
            assert_eq!(found, length);
            let found = head.headers().get("content-length");
            assert_eq!(found.and_then(|value| value.to_str().ok()), field);
        }
    }
}
