//! Who may use a session: the way by which its client id comes × the cookie × how old both are, in
//! virtual time.

use std::time::{Duration, Instant};

use super::*;
use crate::bayeux::Message;
use crate::session::{Session, Stream};

const CHANNEL: &str = "/a";

/// The browser cookie that comes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cookie {
    None,
    Own,
    Other,
}

/// What has become of the session before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Past {
    /// Its client has never returned the cookie.
    Unbound,
    /// It has.
    Bound,
    /// It has, and has received events by a stream.
    Streamed,
}

/// By what its client id comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A request of messages, of whatever transport, embedded or not.
    Request,
    /// A connect whose response is a stream.
    StreamedConnect,
    /// Faye's event stream.
    EventStream,
    /// An event stream of channels that continues another.
    Continued,
    /// A WebSocket that had no session yet, opened and used so many seconds after the handshake.
    Socket(i64, i64),
    /// A WebSocket that had a session of the same browser.
    UsedByBrowser,
    /// A WebSocket that had a session of another browser.
    UsedByOther,
}

struct Rig {
    server: BayeuxServer,
    /// When the session began.
    begun: Instant,
    session: Arc<Session>,
}

fn at(begun: Instant, seconds: i64) -> Instant {
    let span = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        begun - span
    } else {
        begun + span
    }
}

impl Rig {
    fn new(past: Past) -> Self {
        let server = BayeuxServer::new(Parts::default());
        // Long after the machine's start, so that there is a time before.
        let begun = Instant::now() + Duration::from_secs(1000);
        let handshake = r#"{"channel":"/meta/handshake","version":"1.0"}"#;
        let session = send(&server, handshake, &[], None, begun)
            .session
            .expect("a session");
        let rig = Self {
            server,
            begun,
            session,
        };
        let subscribe = rig.text(r#""channel":"/meta/subscribe","subscription":"/a""#);
        send(&rig.server, &subscribe, &[], None, begun);
        if past != Past::Unbound {
            let own = [rig.session.browser().id()];
            send(&rig.server, &rig.publish(), &own, None, begun);
        }
        if past == Past::Streamed {
            Stream::default().attach(&rig.session, begun);
        }
        rig
    }

    fn text(&self, fields: &str) -> String {
        format!(r#"{{{fields},"clientId":"{}"}}"#, self.session.id())
    }

    fn publish(&self) -> String {
        self.text(r#""channel":"/service/x","data":1"#)
    }

    /// A WebSocket that had another session, which was made with a cookie or without.
    fn used(&self, cookies: &[RandomId]) -> Stream {
        let mut stream = Stream::opened(at(self.begun, -60));
        let handshake = r#"{"channel":"/meta/handshake","version":"1.0"}"#;
        let before = at(self.begun, -50);
        let made = send(&self.server, handshake, cookies, None, before);
        let session = made.session.expect("a session");
        let text = format!(
            r#"{{"channel":"/service/x","data":1,"clientId":"{}"}}"#,
            session.id()
        );
        // By the socket without a cookie, until which the session is not bound.
        stream.attach(&session, before);
        let own = send(&self.server, &text, &[], Some(&mut stream), before);
        assert!(own.session.is_some(), "it goes on with its session");
        stream
    }

    /// Tells whether the session may be used.
    fn is_admitted(&self, way: Way, cookie: Cookie) -> bool {
        let cookies = match cookie {
            Cookie::None => vec![],
            Cookie::Own => vec![self.session.browser().id()],
            Cookie::Other => vec![RandomId::from_random([7; 16])],
        };
        let used = match way {
            Way::Socket(_, used) => used,
            _ => 30,
        };
        let now = at(self.begun, used);
        let id = self.session.id();
        let mut stream = match way {
            Way::Request => None,
            Way::EventStream => {
                let joined =
                    self.server
                        .join_stream(id, &by(&cookies), None, Verdicts::default(), now);
                return joined.is_ok();
            }
            Way::Continued => {
                let opened = self
                    .server
                    .open_stream(&[CHANNEL.into()], &by(&cookies), Some((id, 0)), None, now)
                    .expect("no error");
                return opened.is_some_and(|opened| opened.stream.is_of(&self.session));
            }
            Way::StreamedConnect => Some(Stream::of_connect()),
            Way::Socket(opened, _) => Some(Stream::opened(at(self.begun, opened))),
            Way::UsedByBrowser => Some(self.used(&[self.session.browser().id()])),
            Way::UsedByOther => Some(self.used(&[])),
        };
        let text = self.publish();
        let outcome = send(&self.server, &text, &cookies, stream.as_mut(), now);
        outcome.session.is_some()
    }
}

/// Who sends a request with these cookies.
fn by(cookies: &[RandomId]) -> Actor<'_> {
    Actor {
        cookies,
        is_request: true,
        ..Actor::default()
    }
}

/// Sends a message.
fn send<'a>(
    server: &BayeuxServer,
    text: &'a str,
    cookies: &[RandomId],
    stream: Option<&mut Stream>,
    now: Instant,
) -> Outcome<'a> {
    let message: Message<'a> = serde_json::from_str(text).expect("a message");
    let request = Request {
        actor: by(cookies),
        is_client_gone: &|| false,
        delivers_on_publish: false,
        stream,
        aside: |work| work(),
        needs_own_handshake: false,
        admitted: Verdicts::default(),
    };
    server.process(&mut [message], request, now)
}

#[test]
fn who_may_use_a_session() {
    use Past::{Bound, Streamed, Unbound};
    use Way::{
        Continued, EventStream, Request, Socket, StreamedConnect, UsedByBrowser, UsedByOther,
    };
    const YES: bool = true;
    const NO: bool = false;
    // Without a cookie, with another's; its own always may.
    let cases = [
        // Until the cookie was returned the client id alone is the key.
        (Request, Unbound, YES, YES),
        (StreamedConnect, Unbound, YES, YES),
        (EventStream, Unbound, YES, YES),
        (Continued, Unbound, YES, YES),
        (Socket(-60, 30), Unbound, YES, YES),
        (Socket(0, 30), Unbound, YES, YES),
        (Socket(25, 30), Unbound, YES, YES),
        // Then it is the cookie too.
        (Request, Bound, NO, NO),
        (StreamedConnect, Bound, NO, NO),
        (EventStream, Bound, NO, NO),
        (Continued, Bound, NO, NO),
        // A socket that was on its way at the handshake could not have it.
        (Socket(-60, 0), Bound, NO, NO),
        (Socket(-11, 0), Bound, NO, NO),
        (Socket(-9, 1), Bound, YES, NO),
        (Socket(0, 1), Bound, YES, NO),
        (Socket(0, 9), Bound, YES, NO),
        (Socket(0, 11), Bound, NO, NO),
        (Socket(-9, 11), Bound, NO, NO),
        (Socket(0, 30), Bound, NO, NO),
        (Socket(9, 9), Bound, YES, NO),
        (Socket(11, 11), Bound, NO, NO),
        (Socket(25, 30), Bound, NO, NO),
        // One that comes later than another stream can.
        (Socket(0, 1), Streamed, NO, NO),
        (Request, Streamed, NO, NO),
        (EventStream, Streamed, NO, NO),
        // Nor could one that goes on with a new session of its browser.
        (UsedByBrowser, Bound, YES, NO),
        (UsedByBrowser, Streamed, YES, NO),
        (UsedByOther, Bound, NO, NO),
        (UsedByOther, Unbound, YES, YES),
    ];
    for (way, past, without, with_other) in cases {
        let expected = [
            (Cookie::None, without),
            (Cookie::Other, with_other),
            (Cookie::Own, true),
        ];
        for (cookie, expected) in expected {
            let is_admitted = Rig::new(past).is_admitted(way, cookie);
            assert_eq!(is_admitted, expected, "{way:?}, {past:?}, {cookie:?}");
        }
    }
}
