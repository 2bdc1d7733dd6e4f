//! Tests of `form`; they hold what old clients put on the wire.

use super::*;

const LIMITS: FormLimits = FormLimits { max_fields: 4 };
const FORM: Option<&str> = Some("application/x-www-form-urlencoded");
const MULTIPART: Option<&str> = Some("Multipart/Form-Data; boundary=B");

fn read_now(body: &[u8], content_type: Option<&str>) -> Result<Body, Error> {
    read(&Bytes::copy_from_slice(body), content_type, LIMITS)
}

fn form(messages: Vec<Bytes>) -> Body {
    Body::Form(Fields {
        messages,
        callback: None,
    })
}

#[test]
fn json_is_known_by_its_first_byte() {
    let cases: &[(&str, &str)] = &[
        ("[]", "[]"),
        ("{\"a\":1}", "{\"a\":1}"),
        (" \t\r\n[1]\r\n", "[1]"),
        ("[broken", "[broken"),
    ];
    for (body, expected) in cases {
        for content_type in [None, FORM, MULTIPART, Some("text/plain;charset=UTF-8")] {
            let expected = Body::Json(Bytes::from_static(expected.as_bytes()));
            assert_eq!(read_now(body.as_bytes(), content_type).unwrap(), expected);
        }
    }
}

#[test]
fn form_fields_are_decoded() {
    let cases: &[(&[u8], &[&str])] = &[
        (
            b"message=%5B%7B%22a%22%3A%22b+c%20d%2Be%22%7D%5D",
            &["[{\"a\":\"b c d+e\"}]"],
        ),
        (b"message=%5B%5D&x=1&message=%7B%7D\r\n", &["[]", "{}"]),
        (b"\r\n&x&message=[1]&message={}&", &["[1]", "{}"]),
        (b"%6Dessage=[1]", &["[1]"]),
        (b"message=a=b", &["a=b"]),
        (b"message=", &[""]),
        (b"a=b&message", &[""]),
        (b"message=%E2%9C%93%zz%", &["✓%zz%"]),
        (b"message=[%22a%22]", &["[\"a\"]"]),
        (b"xmessage=1&message=[2]", &["[2]"]),
        ("message=[\"é\"]".as_bytes(), &["[\"é\"]"]),
    ];
    for (body, expected) in cases {
        let expected = form(expected.iter().copied().map(Bytes::from).collect());
        for content_type in [None, FORM, Some("text/plain")] {
            let shown = String::from_utf8_lossy(body);
            assert_eq!(read_now(body, content_type).unwrap(), expected, "{shown}");
        }
    }
}

#[test]
fn unencoded_json_stands_for_itself() {
    let cases: &[(&str, &[&str])] = &[
        (
            "message={\"a\":\"b&message=c+d%20e\"}\r\n",
            &["{\"a\":\"b&message=c+d%20e\"}"],
        ),
        ("x=y&message=[1]&message=[\"&+\"]", &["[1]", "[\"&+\"]"]),
        // More follows the JSON, so this was meant as a form.
        ("message=[\"a+b\"]&x=y", &["[\"a b\"]"]),
        ("message=[\"a&b\"]&x=y", &["[\"a"]),
        // Only `message` is read so.
        ("other=[\"&message=1&\"]", &["1"]),
    ];
    for (body, expected) in cases {
        let expected = expected.iter().copied().map(Bytes::from).collect();
        let read = read_now(body.as_bytes(), FORM).unwrap();
        assert_eq!(read, form(expected), "{body}");
    }
}

#[test]
fn multipart_fields_are_read() {
    let part = |name: &str, value: &str| {
        format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body = part("message", "[\"a+b%20&é\"]") + &part("x", "y") + &part("message", "{}");
    let expected = form(vec!["[\"a+b%20&é\"]".into(), "{}".into()]);
    for end in ["--B--", "--B--\r\n"] {
        let body = format!("{body}{end}");
        assert_eq!(read_now(body.as_bytes(), MULTIPART).unwrap(), expected);
        let quoted = Some("multipart/form-data; boundary=\"B\"");
        assert_eq!(read_now(body.as_bytes(), quoted).unwrap(), expected);
    }

    let is_malformed = |body: &str, content_type| {
        let result = read_now(body.as_bytes(), content_type);
        let text = result.as_ref().err().map(ToString::to_string);
        assert!(text.is_some_and(|text| !text.contains('\n')));
        matches!(result, Err(Error::Multipart(_)))
    };
    assert!(is_malformed(&body, MULTIPART), "no last boundary");
    assert!(is_malformed(&body, Some("multipart/form-data")));
    assert!(is_malformed(&body, Some("multipart/form-data;boundary=C")));

    let nameless = part("x", "y") + "--B--";
    let result = read_now(nameless.as_bytes(), MULTIPART);
    assert!(matches!(result, Err(Error::NoMessage)));
    let many = part("x", "y").repeat(5) + "--B--";
    let result = read_now(many.as_bytes(), MULTIPART);
    assert!(matches!(result, Err(Error::TooManyFields(4))));
}

#[test]
fn bodies_without_messages_are_refused() {
    let cases: &[(&str, Error)] = &[
        ("", Error::Empty),
        (" \r\n", Error::Empty),
        ("null", Error::NotAMessage),
        ("5", Error::NotAMessage),
        ("\"x\"", Error::NotAMessage),
        ("message", Error::NotAMessage),
        ("--B", Error::NotAMessage),
        ("a=b&c", Error::NoMessage),
        ("a&b&c&d&message=[]", Error::TooManyFields(4)),
    ];
    for (body, expected) in cases {
        let error = read_now(body.as_bytes(), FORM).unwrap_err();
        assert_eq!(error.to_string(), expected.to_string(), "{body}");
    }
}

#[test]
fn queries_hold_messages_and_a_callback() {
    let cases: &[(&str, &[&str], Option<&str>)] = &[
        ("", &[], None),
        ("_=123", &[], None),
        ("jsonp=a.b&message=%5B%5D&_=1", &["[]"], Some("a.b")),
        (
            "message=%7B%7D&jsonp=x%24&message=[1]",
            &["{}", "[1]"],
            Some("x$"),
        ),
        ("jsonp=x&message=[\"a&b+c\"]", &["[\"a&b+c\"]"], Some("x")),
        ("message=[\"a+b\"]&jsonp=", &["[\"a b\"]"], Some("")),
    ];
    for (query, messages, callback) in cases {
        let expected = Fields {
            messages: messages.iter().copied().map(Bytes::from).collect(),
            callback: callback.map(str::to_owned),
        };
        assert_eq!(query_messages(query, LIMITS).unwrap(), expected, "{query}");
    }
    let twice = query_messages("jsonp=a&message=[]&jsonp=a", LIMITS);
    assert!(matches!(twice, Err(Error::TwoCallbacks)));
    let many = query_messages("a&b&c&d&e", LIMITS);
    assert!(matches!(many, Err(Error::TooManyFields(4))));
}
