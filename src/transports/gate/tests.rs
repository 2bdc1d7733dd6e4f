//! Heads, and what is decided about them.

use std::fmt::Write;

use bytes::Bytes;

use super::*;

const ID: &str = "0123456789abcdefghijkl";

/// A head of a line without the version, and fields with `|` between them.
fn head(line: &str, fields: &str) -> Head {
    let mut text = format!("{line} HTTP/1.1\r\n");
    for field in fields.split('|').filter(|field| !field.is_empty()) {
        write!(text, "{field}\r\n").expect("a String takes all that is written");
    }
    let text = Bytes::from(text + "\r\n");
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(&text).expect("a head");
    Head::parsed(&request, &text).expect("a head")
}

/// The gate of a server with these transports, or those that are on by default, and resources.
fn gate(transports: Option<&[Transport]>, origins: &[&str]) -> Gate {
    let mut settings = Settings::default();
    if let Some(transports) = transports {
        settings.transports = transports.to_vec();
    }
    let origins: Vec<String> = origins.iter().map(|&origin| origin.to_owned()).collect();
    let origins = AllowedOrigins::new(&origins).expect("origins");
    Gate::new(
        &settings,
        "/events",
        Some(&ResourceSettings::default()),
        Some("/history"),
        origins,
    )
}

/// A purpose in short; a refusal by its status and reason.
fn short(purpose: &Purpose) -> String {
    match purpose {
        Purpose::Refused(refusal) => format!("{} {}", refusal.status.as_u16(), refusal.reason),
        purpose => format!("{purpose:?}"),
    }
}

#[track_caller]
fn check(gate: &Gate, cases: &[(&str, &str, &str)], is_embedded: bool) {
    for (line, fields, expected) in cases {
        let head = head(line, fields);
        let decision = if is_embedded {
            gate.decide_embedded(&head, &Sender::default())
        } else {
            gate.decide(&head)
        };
        let found = short(&decision.purpose);
        assert!(found.starts_with(expected), "{line} {fields}: {found}");
        assert_eq!(decision.is_embedded, is_embedded);
    }
}

const UPGRADE: &str = "Connection: Upgrade|Upgrade: websocket";
const EVENTS: &str = "Accept: text/event-stream";
const REQUESTS: &str = "Content-Type: message/http";
const POSTS: &str = "405 send Bayeux messages by POST";

#[test]
fn a_head_says_what_its_request_is_for() {
    let join = format!("GET /cometd/{ID}");
    let session = format!("{:?}", Purpose::SessionStream(ID.parse().expect("an id")));
    let cases = [
        ("POST /cometd", "", "Messages"),
        ("POST /cometd/connect?x", "", "Messages"),
        ("POST /cometd", UPGRADE, "Messages"),
        ("POST /cometd", "Content-Type: message/httpx", "Messages"),
        ("POST http://h/cometd", "", "Messages"),
        ("GET /cometd", "", "Script"),
        ("GET /cometd?tunnelInit=iframe", "", "FrameOpening"),
        ("GET /cometd?tunnelInit=iframe&x", "", "Script"),
        ("GET /cometd", UPGRADE, "WebSocket"),
        ("GET /cometd", "Upgrade: websocket", "Script"),
        ("GET /events?channel=/a", "", "EventStream"),
        ("GET /events", UPGRADE, "EventStream"),
        (&join, EVENTS, &session),
        (
            &join,
            "Accept: text/html, text/event-stream;q=0.5",
            &session,
        ),
        (&join, "", "Script"),
        ("GET /cometd/x", EVENTS, "Script"),
        ("GET /resources/a", "", "Resource"),
        ("HEAD /resources/a", "", "Resource"),
        ("PUT /resources/a", "", "Resource"),
        ("POST /resources/a", "", "Resource"),
        ("PATCH /resources/a", "", "Resource"),
        ("DELETE /resources", "", "Resource"),
        ("TRACE /resources/a", "", "Resource"),
        ("POST /cometd", REQUESTS, "Requests"),
        (
            "POST /resources/a",
            "Content-Type: Message/HTTP; v=1",
            "Requests",
        ),
        ("PUT /resources/a", REQUESTS, "Resource"),
        ("OPTIONS /cometd", "", "Preflight(\"GET, POST, OPTIONS\")"),
        ("OPTIONS /events", "", "Preflight(\"GET, POST, OPTIONS\")"),
        (
            "OPTIONS /resources/a",
            REQUESTS,
            "Preflight(\"GET, HEAD, PUT",
        ),
        ("PUT /cometd", "", POSTS),
        ("HEAD /cometd", "", POSTS),
        ("POST /events", "", "405 open an event stream by GET"),
        (
            "POST /events",
            REQUESTS,
            "404 there is nothing at this path that answers",
        ),
        (
            "POST /nothing",
            REQUESTS,
            "404 there is nothing at this path that answers",
        ),
        ("POST /cometdx", "", "404 there is nothing at this path"),
        ("GET /events/", "", "404 there is nothing at this path"),
        ("POST /COMETD", "", "404 there is nothing at this path"),
        (
            "POST /cometd",
            "Content-Type: message/http|Content-Encoding: gzip",
            "415 a message/http request may not be compressed",
        ),
    ];
    check(&gate(None, &[]), &cases, false);
}

#[test]
fn a_head_asks_for_history_below_its_path() {
    let cases = [
        ("GET /history/a?after=1", "", "History"),
        ("DELETE /history/a", "", "History"),
        ("POST /history", "", "History"),
        ("GET /historyx", "", "404 there is nothing at this path"),
        ("POST /history/a", REQUESTS, "404 there is nothing at this"),
        ("OPTIONS /history/a", "", "Preflight(\"GET, DELETE, OPTIONS"),
    ];
    check(&gate(None, &[]), &cases, false);
}

#[test]
fn a_request_in_another_is_for_messages_or_a_resource() {
    let nothing = "404 there is nothing at this path that answers";
    let by_post = "405 send embedded Bayeux messages by POST";
    let join = format!("GET /cometd/{ID}");
    let cases = [
        ("POST /cometd/a", "", "Messages"),
        ("POST /cometd", "Origin: http://evil.example", "Messages"),
        ("GET /resources/a", "", "Resource"),
        ("OPTIONS /resources/a", "", "Resource"),
        ("GET /history/a", "", nothing),
        ("GET /cometd", "", by_post),
        ("GET /cometd?tunnelInit=iframe", "", by_post),
        ("OPTIONS /cometd", "", by_post),
        (&join, EVENTS, by_post),
        (
            "GET /cometd",
            UPGRADE,
            "400 an embedded request may not open a WebSocket",
        ),
        (
            "GET /resources/a",
            UPGRADE,
            "400 an embedded request may not open a WebSocket",
        ),
        (
            "POST /cometd",
            REQUESTS,
            "400 an embedded request may not hold others",
        ),
        (
            "GET /resources/a",
            REQUESTS,
            "400 an embedded request may not hold others",
        ),
        ("GET /events?channel=/a", EVENTS, nothing),
        ("GET /nothing", "", nothing),
    ];
    check(&gate(None, &[]), &cases, true);
}

#[test]
fn a_transport_that_is_off_serves_nothing() {
    let join = format!("GET /cometd/{ID}");
    let post = ("POST /cometd", "", "405 the long-polling transport is off");
    let requests = (
        "POST /cometd",
        REQUESTS,
        "415 the message-http transport is off",
    );
    let script = (
        "GET /cometd",
        "",
        "405 the callback-polling transport is off",
    );
    let upgrade = ("GET /cometd", UPGRADE, "405 the websocket transport is off");
    let events = ("GET /events", "", "404 there is nothing");
    let joined = (
        join.as_str(),
        EVENTS,
        "405 the eventsource transport is off",
    );
    check(
        &gate(Some(&[Transport::WebSocket]), &[]),
        &[post, requests, script, events, joined],
        false,
    );
    check(
        &gate(Some(&[Transport::LongPolling]), &[]),
        &[requests, script, upgrade, events, joined],
        false,
    );
    check(
        &gate(Some(&[Transport::CallbackPolling]), &[]),
        &[post, upgrade],
        false,
    );
    check(&gate(Some(&[Transport::WebSocket]), &[]), &[post], true);
    let on = [
        ("POST /cometd", "", "Messages"),
        ("GET /cometd", "", "Script"),
    ];
    check(&gate(Some(&[Transport::Iframe]), &[]), &on, false);
}

#[test]
fn a_page_may_use_the_server_or_not() {
    let gate = gate(None, &["http://a.example"]);
    // Whose page may read the answer, and whether it may be a script.
    let cases = [
        ("Host: h", None, false),
        ("Host: h|Origin: http://h", None, true),
        ("Host: h|Referer: http://h/x", None, true),
        ("Host: h|Sec-Fetch-Site: same-origin", None, true),
        ("Host: h|Sec-Fetch-Site: none", None, false),
        ("Host: h|Referer: http://a.example/x", None, true),
        (
            "Host: h|Origin: http://a.example",
            Some("http://a.example"),
            true,
        ),
    ];
    for (fields, origin, may_script) in cases {
        let head = head("POST /cometd", fields);
        let decision = gate.decide(&head);
        assert_eq!(decision.purpose, Purpose::Messages, "{fields}");
        let found = decision
            .origin
            .as_ref()
            .and_then(|origin| origin.to_str().ok());
        assert_eq!(
            (found, decision.may_script),
            (origin, may_script),
            "{fields}"
        );
    }
    for line in [
        "POST /cometd",
        "GET /cometd",
        "OPTIONS /cometd",
        "GET /events",
        "PUT /resources/a",
        "POST /nothing",
    ] {
        for fields in [
            "Host: h|Origin: http://evil.example",
            "Host: h|Origin: null|Content-Type: message/http",
            "Host: h|Sec-Fetch-Site: cross-site",
            "Host: h|Referer: x|Connection: Upgrade|Upgrade: websocket",
        ] {
            let head = head(line, fields);
            let decision = gate.decide(&head);
            let Purpose::Refused(refusal) = &decision.purpose else {
                panic!("{line} {fields}: {:?}", decision.purpose);
            };
            assert!(
                refusal.is_of_origin && refusal.status == 403,
                "{line} {fields}"
            );
            assert_eq!((&decision.origin, decision.may_script), (&None, false));
        }
    }
}

#[test]
fn cookies_are_a_requests_own_or_those_of_the_one_around_it() {
    let gate = gate(None, &[]);
    let outer: [RandomId; 1] = ["1zzzzzzzzzzzzzzzzzzzzz".parse().expect("an id")];
    let sender = Sender {
        cookies: outer.into(),
        shown: None,
    };
    let own: RandomId = ID.parse().expect("an id");
    let cookie = format!("Cookie: a=b; BAYEUX_BROWSER=\"{ID}\"|Cookie: BAYEUX_BROWSER=x");
    let cases: [(&str, &[RandomId], &[RandomId]); 3] = [
        ("", &[], &outer),
        ("Cookie: a=b", &[], &[]),
        (&cookie, &[own], &[own]),
    ];
    for (fields, alone, embedded) in cases {
        let head = head("POST /cometd", fields);
        assert_eq!(*gate.decide(&head).cookies, *alone, "{fields}");
        assert_eq!(
            *gate.decide_embedded(&head, &sender).cookies,
            *embedded,
            "{fields}"
        );
    }
}

#[test]
fn a_cached_decision_is_the_one_that_would_be_made() {
    let gate = gate(None, &["http://a.example"]);
    let cookie = format!("Cookie: BAYEUX_BROWSER={ID}");
    let cases = [
        ("POST /cometd", ""),
        ("POST /cometd/a?b", "Content-Type: text/plain;charset=x"),
        ("POST http://h/cometd", "Host: h|Origin: http://a.example"),
        (
            "POST /cometd",
            "Host: h|Referer: http://h/x|Connection: close",
        ),
        (
            "POST /cometd",
            "Accept: multipart/x-mixed-replace|Accept-Encoding: gzip",
        ),
        (
            "POST /cometd",
            "Accept: message/http, */*|Content-Encoding: identity",
        ),
        ("POST /cometd", &cookie),
    ];
    let mut all = Vec::new();
    for (line, fields) in cases {
        let head = head(line, fields);
        let cached = gate.decide(&head).cacheable().expect("it can be kept");
        let fresh = gate.decide(&head);
        assert_eq!(cached.location(), fresh.location(), "{line} {fields}");
        let cached = format!("{cached:?}");
        // All but how the target is kept is written as it is.
        let (before, behind) = {
            let text = format!("{fresh:?}");
            let (before, rest) = text.split_once("target: ").expect("a target");
            let (_, behind) = rest.split_once(", content_type").expect("a type");
            (before.to_owned(), behind.to_owned())
        };
        assert!(
            cached.starts_with(&before) && cached.ends_with(&behind),
            "{cached}"
        );
        all.push(cached);
    }
    all.sort();
    all.dedup();
    assert_eq!(all.len(), cases.len(), "each says something else");
}

#[test]
fn what_needs_more_than_the_decision_is_not_cached() {
    let gate = gate(None, &[]);
    let join = format!("GET /cometd/{ID}");
    for (line, fields) in [
        ("POST /cometd", "Content-Encoding: gzip"),
        ("POST /cometd", "Content-Encoding: br"),
        ("POST /cometd", REQUESTS),
        ("POST /cometd", "Origin: http://evil.example"),
        ("GET /cometd", ""),
        ("GET /cometd", UPGRADE),
        ("GET /cometd?tunnelInit=iframe", ""),
        (&join, EVENTS),
        ("GET /events?channel=/a", ""),
        ("PUT /resources/a", ""),
        ("OPTIONS /cometd", ""),
        ("PUT /cometd", ""),
    ] {
        let head = head(line, fields);
        assert!(gate.decide(&head).cacheable().is_none(), "{line} {fields}");
    }
}

#[test]
fn bodies_have_a_coding() {
    use Coding::{Gzip, Other, Plain};
    let cases = [
        ("", Plain),
        ("Content-Encoding:", Plain),
        (
            "Content-Encoding: Identity|Content-Encoding: identity",
            Plain,
        ),
        ("Content-Encoding: gzip", Gzip),
        ("Content-Encoding: X-GZIP", Gzip),
        ("Content-Encoding: gzip, gzip", Other),
        ("Content-Encoding: gzip|Content-Encoding: gzip", Other),
        ("Content-Encoding: identity|Content-Encoding: gzip", Other),
        ("Content-Encoding: br", Other),
    ];
    for (fields, coding) in cases {
        assert_eq!(
            Coding::of(&head("POST /", fields).headers),
            coding,
            "{fields}"
        );
    }
}

#[test]
fn clients_say_what_they_read() {
    // Parts and nothing else, and responses first.
    let cases = [
        ("", false, false),
        ("Accept: multipart/x-mixed-replace", true, false),
        ("Accept: */*, multipart/x-mixed-replace", false, false),
        ("Accept: message/http", false, true),
        ("Accept: Message/HTTP ;q=1, */*", false, true),
        ("Accept: */*, message/http", false, false),
        ("Accept: message/httpx", false, false),
    ];
    for (fields, parts, responses) in cases {
        let headers = head("POST /", fields).headers;
        let found = (accept::is_parts(&headers), accept::is_responses(&headers));
        assert_eq!(found, (parts, responses), "{fields}");
    }
    assert!(holds_requests(&head("POST /nothing", REQUESTS)));
    assert!(!holds_requests(&head("PUT /cometd", REQUESTS)));
}
