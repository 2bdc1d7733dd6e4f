//! What a head has to say so that nobody before this server can have understood it differently: for
//! whom the request is, and where it ends (RFC 9112 sections 3.2 and 6).

use http::uri::Authority;
use httparse::{Header, Request};

use super::Transfer;
use super::transfer::{Malformed, values};

/// Checks a head that was parsed, and returns how its body comes. A connection on which this fails has
/// to be closed: where the next request begins is not certain.
///
/// # Errors
/// It says nothing clear about its host or its body.
pub fn check(request: &Request<'_, '_>) -> Result<Transfer, Malformed> {
    let is_1_1 = request.version == Some(1);
    let is_named = check_host(request.headers)?;
    if is_1_1 && !is_named {
        return Err(Malformed("an HTTP/1.1 request needs a Host header"));
    }
    if !is_1_1
        && values(request.headers, "transfer-encoding")
            .next()
            .is_some()
    {
        return Err(Malformed("Transfer-Encoding is of HTTP/1.1"));
    }
    Transfer::of(request.headers)
}

/// Checks that a head names one host at most, and returns whether it names one.
///
/// # Errors
/// It names several, or what is none.
pub fn check_host(headers: &[Header<'_>]) -> Result<bool, Malformed> {
    let mut hosts = values(headers, "host");
    let Some(host) = hosts.next() else {
        return Ok(false);
    };
    if hosts.next().is_some() {
        return Err(Malformed("there is more than one Host header"));
    }
    if is_host(host) {
        Ok(true)
    } else {
        Err(Malformed("the Host is malformed"))
    }
}

/// Tells whether this is the name or the address of a host, maybe with a port.
pub(super) fn is_host(value: &[u8]) -> bool {
    let Ok(authority) = Authority::try_from(value) else {
        return false;
    };
    let host = authority.host();
    let port = authority.as_str().strip_prefix(host);
    let is_port = |port: &str| match port.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_digit()) && fits(digits),
        None => port.is_empty(),
    };
    // One with a user's name does not begin with the host's.
    !host.is_empty() && port.is_some_and(is_port)
}

fn fits(digits: &str) -> bool {
    digits.is_empty() || digits.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with a head.
    fn fault(text: &str) -> Option<&'static str> {
        let mut headers = [httparse::EMPTY_HEADER; 8];
        let mut request = Request::new(&mut headers);
        request.parse(text.as_bytes()).expect("a head");
        check(&request).err().map(Malformed::reason)
    }

    #[test]
    fn one_host_is_named_in_full() {
        let cases = [
            ("h", true),
            ("h:", true),
            ("H.example.:8080", true),
            ("my_service:1", true),
            ("127.0.0.1:65535", true),
            ("[::1]", true),
            ("[::1]:80", true),
            ("", false),
            (":80", false),
            ("h:65536", false),
            ("h:x", false),
            ("h:8:8", false),
            ("a@h", false),
            ("h/", false),
            ("h h", false),
            ("h,h", true),
            ("[::1", false),
            ("::1", false),
            ("\u{e9}", false),
        ];
        for (host, is_one) in cases {
            assert_eq!(is_host(host.as_bytes()), is_one, "{host}");
        }
    }

    #[test]
    fn a_head_is_clear() {
        let cases = [
            ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", None),
            ("GET / HTTP/1.0\r\n\r\n", None),
            ("GET / HTTP/1.0\r\nHost: h\r\n\r\n", None),
            ("GET / HTTP/1.1\r\n\r\n", Some("needs a Host")),
            ("GET / HTTP/1.1\r\nHost:\r\n\r\n", Some("malformed")),
            ("GET / HTTP/1.0\r\nHost:\r\n\r\n", Some("malformed")),
            (
                "GET / HTTP/1.0\r\nHost: h\r\nhOST: h\r\n\r\n",
                Some("more than one Host"),
            ),
            (
                "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
                Some("HTTP/1.1"),
            ),
            (
                "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: x\r\n\r\n",
                Some("chunked"),
            ),
        ];
        for (text, expected) in cases {
            let found = fault(text);
            let is_expected = match (found, expected) {
                (Some(found), Some(part)) => found.contains(part),
                (found, expected) => found == expected,
            };
            assert!(is_expected, "{text:?}: {found:?}");
        }
    }
}
