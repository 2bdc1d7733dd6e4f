//! What fuzzers do to forms, queries, chunks, codings, cookies, and what proxies say.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};

use bytes::{Bytes, BytesMut};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use super::form::{self, Body, Fields, FormLimits};
use super::forwarded::ForwardedHeader;
use super::{Headers, Response, Transfer, charset, cookies, gzip};
use crate::fuzzing::target::{Target, in_pieces, line_and_rest};

pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "form",
        check: urlencoded,
        seeds: &[
            b"message=%5B%7B%22channel%22%3A%22%2Fa%22%7D%5D&jsonp=cb",
            b"message=[{\"a\":\"b&c+%41\"}]",
            b"x=1&message=a+b&message=%zz&&=",
        ],
    },
    Target {
        name: "multipart",
        check: multipart,
        seeds: &[
            b"--X\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\n[{}]\r\n--X--\r\n",
            b"--X\r\nContent-Disposition: form-data; name=message; filename=\"a\"\r\nContent-Type: text/plain\r\n\r\n\r\n--X\r\nContent-Disposition: form-data; name=\"y\"\r\n\r\n--\r\n--X--",
        ],
    },
    Target {
        name: "chunks",
        check: chunks,
        seeds: &[
            b"5\r\nhello\r\n0\r\n\r\n",
            b"1;a=b\r\nx\r\n00A\r\n0123456789\r\n0\r\nTrailer: y\r\n\r\nGET",
        ],
    },
    Target {
        name: "cookies",
        check: cookie,
        seeds: &[b"a=0; b=1; c=2", b"b=\"x y\";b = 2", b"b="],
    },
    Target {
        name: "forwarded",
        check: forwarded,
        seeds: &[
            b"203.0.113.7, 10.0.0.1",
            b"for=\"[2001:db8::1]:80\";proto=http;by=10.0.0.1, for=203.0.113.7:_x",
            b"[::1]:1,\"203.0.113.9\"",
        ],
    },
    Target {
        name: "gzip",
        check: gunzip,
        seeds: &[b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\x8b\xae\xae\x8d\x05\0\xfc\xfa\xa7\xea\x04\0\0\0"],
    },
    Target {
        name: "charset",
        check: to_utf8,
        seeds: &[
            b"application/json; charset=utf-8\n[{\"channel\":\"/\xc3\xa9\"}]",
            b"text/plain; charset=\"ISO-8859-1\"\n\xe9",
            b"a/b;charset=utf-16\n\xfe\xff\0[\0]",
            b"\n[\0]\0",
        ],
    },
];

const LIMITS: FormLimits = FormLimits { max_fields: 6 };

/// What fields were found can be written as a form, in which they are found again.
fn urlencoded(bytes: &[u8]) -> bool {
    let Ok(Body::Form(fields)) = form::read(&Bytes::copy_from_slice(bytes), None, LIMITS) else {
        return false;
    };
    are_bounded(&fields, bytes);
    let value = |value: &[u8]| percent_encode(value, NON_ALPHANUMERIC).to_string();
    let mut again: Vec<String> = fields
        .messages
        .iter()
        .map(|it| format!("message={}", value(it)))
        .collect();
    again.extend(
        fields
            .callback
            .iter()
            .map(|it| format!("jsonp={}", value(it.as_bytes()))),
    );
    let again = form::query_messages(&again.join("&"), LIMITS).expect("a form");
    assert_eq!(again, fields);
    // A query is read as a body is.
    if let Ok(text) = str::from_utf8(bytes.trim_ascii()) {
        let of_query = form::query_messages(text, LIMITS).expect("a query");
        assert_eq!(of_query, fields);
        let values = form::query_values(text, "message", LIMITS).expect("a query");
        assert_eq!(values, fields.messages);
    }
    true
}

fn are_bounded(fields: &Fields, bytes: &[u8]) {
    assert!(fields.messages.len() <= LIMITS.max_fields);
    let size: usize = fields.messages.iter().map(Bytes::len).sum();
    assert!(size <= bytes.len());
}

/// The same for one in parts.
fn multipart(bytes: &[u8]) -> bool {
    const TYPE: Option<&str> = Some("multipart/form-data; boundary=X");
    if !bytes.trim_ascii_start().starts_with(b"--") {
        return false;
    }
    let Ok(Body::Form(fields)) = form::read(&Bytes::copy_from_slice(bytes), TYPE, LIMITS) else {
        return false;
    };
    are_bounded(&fields, bytes);
    let mut again = Vec::new();
    for message in &fields.messages {
        again.extend_from_slice(b"--X\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\n");
        again.extend_from_slice(message);
        again.extend_from_slice(b"\r\n");
    }
    again.extend_from_slice(b"--X--\r\n");
    let Ok(Body::Form(again)) = form::read(&again.into(), TYPE, LIMITS) else {
        panic!("it is a form again");
    };
    assert_eq!(again.messages, fields.messages);
    true
}

/// A body in chunks is the same in whatever pieces it comes, and not larger than it may be.
fn chunks(bytes: &[u8]) -> bool {
    const MAX: u64 = 40;
    let read = |pieces: std::slice::Chunks<'_, u8>| {
        let mut transfer = Transfer::chunked();
        let (mut arrived, mut body) = (BytesMut::new(), BytesMut::new());
        for piece in pieces {
            arrived.extend_from_slice(piece);
            transfer.decode(&mut arrived, &mut body, MAX)?;
        }
        Ok((transfer.has_ended(), body, arrived))
    };
    let found: Result<_, super::transfer::Fault> = in_pieces(bytes, read);
    let is_whole = found.as_ref().is_ok_and(|(has_ended, ..)| *has_ended);
    if let Ok((_, body, rest)) = found {
        assert!(body.len() as u64 <= MAX && body.len() + rest.len() <= bytes.len());
        let mut again = Vec::new();
        Response::chunk(&body, &mut again);
        again.extend_from_slice(b"0\r\n\r\n");
        assert_eq!(read(again.chunks(3)), Ok((true, body, BytesMut::new())));
    }
    is_whole
}

/// Cookies in one field are those of a field for each, and one more before them hides none.
fn cookie(bytes: &[u8]) -> bool {
    let headers = |lines: &[&[u8]]| -> Headers {
        let fields = lines.iter().map(|line| (b"Cookie".as_slice(), *line));
        fields.collect()
    };
    let one = headers(&[bytes]);
    let found: Vec<_> = cookies::values(&one, "b").collect();
    let lines: Vec<_> = bytes.split(|byte| *byte == b';').collect();
    let each = headers(&lines);
    assert!(cookies::values(&each, "b").eq(found.iter().copied()));
    let longer = [b"\xff=\"; ", bytes].concat();
    let longer = headers(&[&longer]);
    assert!(cookies::values(&longer, "b").eq(found.iter().copied()));
    !found.is_empty()
}

/// Whatever a client says, its address is what the proxy says that it came from.
fn forwarded(bytes: &[u8]) -> bool {
    let client = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
    let is_trusted = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets()[0] == 10,
        IpAddr::V6(_) => false,
    };
    let mut is_understood = false;
    let cases = [
        (
            ForwardedHeader::XForwardedFor,
            "X-Forwarded-For",
            "198.51.100.7, 10.0.0.2",
        ),
        (
            ForwardedHeader::Forwarded,
            "Forwarded",
            "for=\"198.51.100.7:80\";by=x, for=10.0.0.2",
        ),
    ];
    for (header, name, said) in cases {
        let alone: Headers = [(name.as_bytes(), bytes)].into_iter().collect();
        is_understood |= header.client(&alone, is_trusted).is_some();
        let behind = [bytes, b", ", said.as_bytes()].concat();
        let behind: Headers = [(name.as_bytes(), behind.as_slice())].into_iter().collect();
        assert_eq!(header.client(&behind, is_trusted), Some(client), "{name}");
        let below: Headers = [(name.as_bytes(), bytes), (name.as_bytes(), said.as_bytes())]
            .into_iter()
            .collect();
        assert_eq!(header.client(&below, is_trusted), Some(client), "{name}");
    }
    is_understood
}

/// What is inflated is within its bound; what is deflated comes back.
fn gunzip(bytes: &[u8]) -> bool {
    const MAX: u64 = 1000;
    let inflated = gzip::inflate(bytes, MAX);
    assert!(
        inflated
            .as_ref()
            .is_ok_and(|plain| plain.len() as u64 <= MAX)
            || inflated.is_err()
    );
    let deflated = gzip::whole(bytes);
    let again = gzip::inflate(&deflated, bytes.len() as u64);
    assert_eq!(again.ok().as_deref(), Some(bytes));
    if let Some(less) = bytes.len().checked_sub(1) {
        assert!(
            gzip::inflate(&deflated, less as u64).is_err(),
            "it is larger"
        );
    }
    inflated.is_ok()
}

/// What comes of any charset is UTF-8, and stays what it is; what is written in one is read.
fn to_utf8(bytes: &[u8]) -> bool {
    let (content_type, body) = line_and_rest(bytes);
    let content_type = str::from_utf8(content_type)
        .ok()
        .filter(|it| !it.is_empty());
    let Ok(text) = charset::to_utf8(Bytes::copy_from_slice(body), content_type) else {
        return false;
    };
    let text = str::from_utf8(&text).expect("UTF-8");
    // A byte is a character of three bytes at most.
    assert!(text.len() <= 3 * body.len());
    let mut wide = b"\xfe\xff".to_vec();
    for unit in text.encode_utf16() {
        wide.write_all(&unit.to_be_bytes())
            .expect("a Vec takes every write");
    }
    let again = charset::to_utf8(wide.into(), Some("a/b; charset=utf-16"));
    assert_eq!(again.ok().as_deref(), Some(text.as_bytes()));
    true
}
