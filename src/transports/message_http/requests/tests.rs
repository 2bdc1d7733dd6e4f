//! Bodies cut anywhere, and bodies that hold no requests.

use super::*;

const BOUNDS: Bounds = Bounds {
    max_head: 200,
    max_headers: 5,
    max_body: 20,
};

fn chunked() -> Transfer {
    let header = httparse::Header {
        name: "Transfer-Encoding",
        value: b"chunked",
    };
    Transfer::of(&[header]).expect("chunks")
}

/// What comes of a body: targets and bodies of requests, statuses of faults, and how it ends.
fn read(pieces: &[&[u8]]) -> Vec<String> {
    let mut requests = Requests::new(chunked(), BOUNDS);
    let mut arrived = BytesMut::new();
    let mut found = Vec::new();
    for piece in pieces {
        arrived.extend_from_slice(piece);
        loop {
            match requests.next(&mut arrived) {
                Next::Request(inner) => found.push(format!(
                    "{} {} {}",
                    inner.request.method(),
                    inner.location,
                    inner.request.body.escape_ascii()
                )),
                Next::Fault(fault) => {
                    let location = fault.location.unwrap_or_default();
                    found.push(format!("{} {location}", fault.status.as_str()));
                    if fault.is_last {
                        return found;
                    }
                }
                Next::More => break,
                Next::End => {
                    found.push("end".to_owned());
                    return found;
                }
            }
        }
    }
    found
}

fn chunks(body: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in body.chunks(size) {
        crate::web::Response::chunk(chunk, &mut out);
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

const BODY: &[u8] = b"\r\nPOST /a?b HTTP/1.1\r\nContent-Length: 5\r\nX: y\r\n\r\nhello\r\n\r\n\
    GET http://h/c HTTP/1.0\n\nPUT /d HTTP/1.1\r\ncontent-length: 25\r\n\r\n\
    1234567890123456789012345POST /e HTTP/1.1\r\nContent-Length: 2\r\n\r\n\r\n";

#[test]
fn a_body_may_be_cut_everywhere() {
    let expected = [
        "POST /a?b hello",
        "GET http://h/c ",
        "413 /d",
        "POST /e \\r\\n",
        "end",
    ];
    for size in [1, 2, 3, 10, 64, BODY.len()] {
        let whole = chunks(BODY, size);
        for at in 0..=whole.len() {
            let (left, right) = whole.split_at(at);
            assert_eq!(read(&[left, right]), expected, "{size} {at}");
        }
        let bytes: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(read(&bytes), expected, "{size}");
    }
}

#[test]
fn what_is_no_request_is_the_last() {
    let long = [b"GET /".as_slice(), &[b'a'; 300]].concat();
    let many = [
        b"GET /a HTTP/1.1\r\n".as_slice(),
        &b"a: b\r\n".repeat(6),
        b"\r\n",
    ];
    let many = many.concat();
    let cases: [(&[u8], &str); 14] = [
        (b"garbage\r\n\r\n", "400 "),
        (b"\x00\xff\n\n", "400 "),
        (b"GET /a HTTP/2.0\r\n\r\n", "400 "),
        (b"GET /a HTTP/1.1\r\nno colon\r\n\r\n", "400 "),
        (b"GET /a HTTP/1.1\r\nA : b\r\n\r\n", "400 "),
        (b"GET /a HTTP/1.1\r\nA: b\r\n c\r\n\r\n", "400 "),
        (b"GET /a HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "400 /a"),
        (
            b"GET /a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "400 /a",
        ),
        (b"GET /a HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n", "400 /a"),
        (
            b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
            "411 /a",
        ),
        (b"GET /a HTTP/1.1\r\nA: b\r\n", "400 "),
        (b"GET /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc", "400 "),
        (&long, "431 "),
        (&many, "431 "),
    ];
    for (body, expected) in cases {
        let whole = chunks(body, 1000);
        let found = read(&[&whole]);
        assert_eq!(found, [expected], "{}", body.escape_ascii());
    }
    assert_eq!(read(&[b"zz\r\n"]), ["400 "]);
}

#[test]
fn what_comes_before_malformed_chunks_is_served() {
    let mut whole = chunks(b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nGET /c", 30);
    whole.truncate(whole.len() - 5);
    whole.extend_from_slice(b"zz\r\n");
    let expected = ["GET /a ", "GET /b ", "400 "];
    for at in 0..=whole.len() {
        let (left, right) = whole.split_at(at);
        assert_eq!(read(&[left, right]), expected, "{at}");
    }
}

#[test]
fn a_head_that_comes_byte_by_byte_is_searched_once() {
    let bounds = Bounds {
        max_head: 1 << 20,
        ..BOUNDS
    };
    let mut requests = Requests::new(chunked(), bounds);
    let mut arrived = BytesMut::from(&b"100000\r\nGET /"[..]);
    for _ in 0..100_000 {
        arrived.extend_from_slice(b"a");
        assert!(matches!(requests.next(&mut arrived), Next::More));
    }
    assert!(requests.is_begun());
}

proptest::proptest! {
    #[test]
    fn anything_is_answered(bytes: Vec<u8>, cut in 0usize..50) {
        let whole = chunks(&bytes, 7);
        let (left, right) = whole.split_at(cut.min(whole.len()));
        let found = read(&[left, right]);
        proptest::prop_assert!(found.len() == 1 || bytes.is_empty());
        read(&[&bytes]);
    }
}
