//! Tests of `cors`; they hold what browsers send.

use super::*;

const HOST_VALUE: &str = "Push.Example.com";

fn allowed(list: &[&str]) -> AllowedOrigins {
    let list: Vec<String> = list.iter().copied().map(str::to_owned).collect();
    AllowedOrigins::new(&list).unwrap()
}

fn headers(fields: &[(&'static str, &str)]) -> Headers {
    let fields = fields.iter();
    fields
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect()
}

/// Sends the fields, with a `Host` unless they have one.
fn check(list: &[&str], fields: &[(&'static str, &str)]) -> Verdict {
    let mut headers = headers(fields);
    if !headers.contains(&HOST) {
        headers.append(&HOST, HOST_VALUE.as_bytes());
    }
    allowed(list).check(&headers)
}

fn echo(origin: &'static str) -> Verdict {
    Verdict::Allowed(Some(HeaderValue::from_static(origin)))
}

#[test]
fn who_does_not_say_where_it_comes_from_is_known() {
    let cases: &[&[(&str, &str)]] = &[
        &[],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "none"), ("origin", "https://other")],
        &[("referer", "")],
    ];
    for fields in cases {
        assert_eq!(check(&["https://a"], fields), Verdict::Unsaid, "{fields:?}");
    }
    assert_eq!(check(&["*"], &[]), Verdict::Allowed(None));
}

#[test]
fn own_pages_pass() {
    let cases: &[&[(&str, &str)]] = &[
        &[("sec-fetch-site", "same-origin")],
        &[
            ("sec-fetch-site", "same-origin"),
            ("origin", "https://other"),
        ],
        &[("origin", "https://push.example.com")],
        &[("origin", "HTTPS://PUSH.example.com:443")],
        &[("origin", "http://push.example.com:80")],
        &[("origin", "http://a:8080"), ("host", "A:8080")],
        &[("origin", "http://a"), ("host", "a:80")],
        &[("origin", "https://a"), ("host", "a:443")],
        &[("origin", "http://[::1]:8080"), ("host", "[::1]:8080")],
        &[("referer", "https://push.example.com/chat?x=y#z")],
        &[("referer", "https://push.example.com")],
    ];
    for fields in cases {
        assert_eq!(check(&[], fields), Verdict::SameOrigin, "{fields:?}");
    }
}

#[test]
fn listed_pages_pass() {
    let list = &["https://a.example", "http://B:8080", "file://"];
    let cases: &[(&[(&str, &str)], Verdict)] = &[
        (
            &[("origin", "https://a.example")],
            echo("https://a.example"),
        ),
        (
            &[("origin", "https://A.example:443")],
            echo("https://A.example:443"),
        ),
        (&[("origin", "http://b:8080")], echo("http://b:8080")),
        (&[("origin", "file://")], echo("file://")),
        (
            &[
                ("origin", "https://a.example"),
                ("sec-fetch-site", "cross-site"),
            ],
            echo("https://a.example"),
        ),
        (
            &[
                ("origin", "https://a.example"),
                ("sec-fetch-site", "same-site"),
                ("host", "a.example"),
            ],
            echo("https://a.example"),
        ),
        (
            &[("referer", "https://a.example/x")],
            Verdict::Allowed(None),
        ),
        (
            &[
                ("referer", "http://b:8080?x"),
                ("sec-fetch-site", "cross-site"),
            ],
            Verdict::Allowed(None),
        ),
    ];
    for (fields, expected) in cases {
        assert_eq!(check(list, fields), *expected, "{fields:?}");
    }
}

#[test]
fn other_pages_are_refused() {
    let cases: &[&[(&str, &str)]] = &[
        &[("origin", "https://b.example")],
        &[("origin", "http://a.example")],
        &[("origin", "https://a.example:80")],
        &[("origin", "https://a.example.evil")],
        &[("origin", "https://push.example.com:8443")],
        &[("origin", "https://push.example.com:80")],
        &[
            ("origin", "http://push.example.com"),
            ("sec-fetch-site", "cross-site"),
        ],
        &[
            ("origin", "http://push.example.com"),
            ("sec-fetch-site", "same-site"),
        ],
        &[
            ("origin", "http://push.example.com"),
            ("sec-fetch-site", "new"),
        ],
        &[("origin", "null")],
        &[("origin", "")],
        &[("origin", "a.example")],
        &[("origin", "https://")],
        &[("origin", "https://a.example/")],
        &[("origin", "https://a.example https://a.example")],
        &[("origin", "https://x@a.example")],
        &[("origin", "https://a.example:x")],
        &[("origin", "https://a.example:99999")],
        &[("origin", "https://é")],
        &[
            ("origin", "https://a.example"),
            ("origin", "https://a.example"),
        ],
        &[("origin", "https://x"), ("host", "x"), ("host", "x")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site"), ("referer", "")],
        &[
            ("sec-fetch-site", "same-site"),
            ("referer", "https://push.example.com/"),
        ],
        &[("referer", "https://evil.example/?https://a.example")],
        &[("referer", "https://a.example@evil.example/")],
        &[("referer", "about:blank")],
        &[("referer", "/x")],
    ];
    for fields in cases {
        let verdict = check(&["https://a.example"], fields);
        let Verdict::Refused(reason) = verdict else {
            panic!("{fields:?}: {verdict:?}");
        };
        assert!(reason.contains("http.allowed_origins") && !reason.contains('\n'));
    }
}

#[test]
fn a_star_before_a_host_stands_for_its_subdomains() {
    let list = &["https://*.example.org", "http://*.b.test:8080"];
    let cases = [
        ("https://a.example.org", true),
        ("https://A.Example.org:443", true),
        ("https://a.b.c.example.org", true),
        ("http://a.b.test:8080", true),
        ("https://example.org", false),
        ("https://.example.org", false),
        ("https://evilexample.org", false),
        ("https://example.org.evil", false),
        ("https://a.example.org.evil", false),
        ("https://a.example.org:8443", false),
        ("http://a.example.org", false),
        ("http://a.b.test", false),
        ("http://b.test:8080", false),
        ("null", false),
    ];
    for (origin, expected) in cases {
        let verdict = check(list, &[("origin", origin)]);
        assert_eq!(matches!(verdict, Verdict::Allowed(_)), expected, "{origin}");
        let url = format!("{origin}/page");
        let verdict = check(list, &[("referer", &url)]);
        assert_eq!(matches!(verdict, Verdict::Allowed(_)), expected, "{url}");
    }
}

#[test]
fn a_star_allows_every_page() {
    let cases: &[(&[(&str, &str)], Verdict)] = &[
        (
            &[("origin", "https://B.example")],
            echo("https://B.example"),
        ),
        (&[("origin", "null")], echo("null")),
        (
            &[("origin", "https://push.example.com")],
            Verdict::SameOrigin,
        ),
        (&[("referer", "https://b.example/")], Verdict::Allowed(None)),
        (&[("sec-fetch-site", "cross-site")], Verdict::Allowed(None)),
    ];
    for (fields, expected) in cases {
        assert_eq!(check(&["https://a", "*"], fields), *expected, "{fields:?}");
    }
    let malformed = check(&["*"], &[("origin", "x")]);
    assert!(matches!(malformed, Verdict::Refused(_)));
}

#[test]
fn a_request_without_host_is_of_no_page_of_ours() {
    let fields = headers(&[("origin", "https://a.example")]);
    let verdict = allowed(&[]).check(&fields);
    assert!(matches!(verdict, Verdict::Refused(_)));
}

#[test]
fn bad_entries_are_refused() {
    for entry in [
        "",
        "null",
        "a.example",
        "https://a/",
        "https://*.a/x",
        "https://*.",
        "https://*",
        "https://*a.example",
        "https://a.*.example",
        "https://*.*.example",
        "https://",
        "1://a",
    ] {
        let error = AllowedOrigins::new(&["*".to_owned(), entry.to_owned()]).unwrap_err();
        assert_eq!(error, NotAnOrigin(entry.to_owned()));
    }
}

#[test]
fn preflights_repeat_sound_header_names() {
    let long = ["x-a"; 400].join(",");
    let cases: &[(Option<&str>, &str)] = &[
        (None, KNOWN_HEADERS),
        (Some("pragma,content-type"), "pragma,content-type"),
        (Some("Pragma, X-1"), "Pragma, X-1"),
        (Some(""), KNOWN_HEADERS),
        (Some("a,,b"), KNOWN_HEADERS),
        (Some("a b"), KNOWN_HEADERS),
        (Some(&long), KNOWN_HEADERS),
    ];
    for (asked, expected) in cases {
        let asked = asked.map(str::as_bytes);
        let answer: http::HeaderMap = preflight_headers("GET, POST, OPTIONS", asked)
            .into_iter()
            .collect();
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_HEADERS], *expected);
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_METHODS], "GET, POST, OPTIONS");
        assert_eq!(answer[ACCESS_CONTROL_MAX_AGE], "600");
    }
}
