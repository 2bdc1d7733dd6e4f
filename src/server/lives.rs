//! What is heard of sessions and channels: once each, and in its order.

use std::collections::HashMap;
use std::sync::Mutex;
use std::thread;

use super::*;
use crate::alias::Alias;
use crate::lifecycle::{Kind, LifecycleEvent, Listener};

/// Somebody who remembers all that is told.
#[derive(Debug, Default)]
struct Ear(Mutex<Vec<Arc<LifecycleEvent>>>);

impl Listener for Ear {
    fn note(&self, event: &Arc<LifecycleEvent>) {
        let mut heard = self.0.lock().expect("nobody fails");
        heard.push(Arc::clone(event));
    }
}

impl Ear {
    fn take(&self) -> Vec<Arc<LifecycleEvent>> {
        std::mem::take(&mut *self.0.lock().expect("nobody fails"))
    }
}

fn rig() -> (BayeuxServer, Arc<Ear>) {
    let ear = Arc::new(Ear::default());
    let listener = Arc::clone(&ear) as Arc<dyn Listener>;
    let server = BayeuxServer::new(Parts {
        lifecycle: vec![listener].into(),
        ..Parts::default()
    });
    (server, ear)
}

fn send(server: &BayeuxServer, fields: &str) -> Option<Arc<session::Session>> {
    let text = format!("{{{fields}}}");
    let message: Message<'_> = serde_json::from_str(&text).expect("a message");
    let request = Request {
        actor: Actor::default(),
        is_client_gone: &|| false,
        delivers_on_publish: false,
        stream: None,
        aside: |work| work(),
        needs_own_handshake: false,
        admitted: Verdicts::default(),
    };
    server
        .process(&mut [message], request, Instant::now())
        .session
}

fn handshake(server: &BayeuxServer) -> Arc<session::Session> {
    send(server, r#""channel":"/meta/handshake","version":"1.0""#).expect("a session")
}

fn of(session: &session::Session, server: &BayeuxServer, what: &str, channels: &str) {
    let fields = format!(
        r#""channel":"/meta/{what}","clientId":"{}","subscription":{channels}"#,
        session.id()
    );
    send(server, &fields);
}

/// Shows what was heard: of sessions by a letter for each.
fn shown(heard: &[Arc<LifecycleEvent>], sessions: &[Alias]) -> Vec<String> {
    let letter = |alias: Alias| {
        let index = sessions.iter().position(|session| *session == alias);
        ["a", "b"][index.expect("a session of these")]
    };
    let words = heard.iter().map(|event| {
        let words = [
            event.session.map(letter).map(str::to_owned),
            Some(format!("{:?}", event.kind)),
            event
                .channel
                .as_ref()
                .map(|channel| channel.as_str().to_owned()),
            event.reason.map(|reason| reason.label().to_owned()),
        ];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    });
    words.collect()
}

#[test]
fn all_that_changes_is_heard_once() {
    let (server, ear) = rig();
    let (one, other) = (handshake(&server), handshake(&server));
    let sessions = [one.alias(), other.alias()];
    of(&one, &server, "subscribe", r#"["/x","/y/*"]"#);
    of(&one, &server, "subscribe", r#"["/x","/y/*"]"#);
    of(&one, &server, "subscribe", r#""/meta/x""#);
    of(&other, &server, "subscribe", r#""/x""#);
    of(&other, &server, "unsubscribe", r#""/y/*""#);
    of(&one, &server, "unsubscribe", r#""/x""#);
    of(&one, &server, "disconnect", "[]");
    of(&one, &server, "disconnect", "[]");
    of(&other, &server, "disconnect", "[]");
    let expected = [
        "a SessionBegun",
        "b SessionBegun",
        "Occupied /x",
        "a Subscribed /x",
        "Occupied /y/*",
        "a Subscribed /y/*",
        "b Subscribed /x",
        "a Unsubscribed /x",
        "a SessionEnded disconnect",
        "Vacated /y/*",
        "b SessionEnded disconnect",
        "Vacated /x",
    ];
    assert_eq!(shown(&ear.take(), &sessions), expected);
}

#[test]
fn on_many_threads_each_session_and_each_channel_is_heard_in_its_order() {
    let (server, ear) = rig();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let session = handshake(&server);
                    thread::scope(|scope| {
                        scope.spawn(|| of(&session, &server, "disconnect", "[]"));
                        of(&session, &server, "subscribe", r#"["/x","/y","/z"]"#);
                        of(&session, &server, "unsubscribe", r#""/y""#);
                    });
                }
            });
        }
    });
    let heard = ear.take();
    let mut lives: HashMap<Alias, Vec<Kind>> = HashMap::new();
    let mut channels: HashMap<String, Vec<Kind>> = HashMap::new();
    for event in &heard {
        match (event.session, &event.channel) {
            (Some(session), _) => lives.entry(session).or_default().push(event.kind),
            (None, Some(channel)) => {
                let channel = channel.as_str().to_owned();
                channels.entry(channel).or_default().push(event.kind);
            }
            (None, None) => panic!("{event:?} is of nothing"),
        }
    }
    assert_eq!(lives.len(), 400);
    for life in lives.values() {
        let ends = life.iter().filter(|kind| **kind == Kind::SessionEnded);
        assert_eq!(ends.count(), 1, "{life:?}");
        assert_eq!(life.first(), Some(&Kind::SessionBegun), "{life:?}");
        assert_eq!(life.last(), Some(&Kind::SessionEnded), "{life:?}");
    }
    for (channel, states) in channels {
        for pair in states.chunks(2) {
            assert_eq!(pair, [Kind::Occupied, Kind::Vacated], "{channel}");
        }
    }
}

#[test]
fn what_goes_on_in_another_process_is_not_told_again_but_its_end_is() {
    let (server, ear) = rig();
    let session = handshake(&server);
    of(&session, &server, "subscribe", r#"["/a","/b/**"]"#);
    let record = || {
        let record = session
            .record(super::core::clocks())
            .expect("it can be written");
        record.expect("it has not ended")
    };
    ear.take();
    let take_up = |server: &BayeuxServer| {
        let mut revived = crate::operations::Revived::default();
        let scope = server.core.scope(Instant::now());
        scope
            .take_up(record(), &mut revived)
            .expect("it can be read")
    };
    let (next, ear) = rig();
    assert!(take_up(&next));
    assert_eq!(ear.take(), [], "all of that is known");
    let again = next.core.sessions.find(session.id()).expect("it goes on");
    assert_eq!(next.core.router.len(), 2);
    of(&again, &next, "unsubscribe", r#""/a""#);
    let scope = next.core.scope(Instant::now());
    scope.end(&again, crate::metrics::EndReason::Administrator);
    let alias = [server.alias_of(session.id())];
    let expected = [
        "a Unsubscribed /a",
        "Vacated /a",
        "a SessionEnded administrator",
        "Vacated /b/**",
    ];
    assert_eq!(shown(&ear.take(), &alias), expected);

    let ear = Arc::new(Ear::default());
    let full = BayeuxServer::new(Parts {
        lifecycle: vec![Arc::clone(&ear) as Arc<dyn Listener>].into(),
        session: session::Settings {
            max_sessions: 0,
            ..session::Settings::default()
        },
        ..Parts::default()
    });
    assert!(!take_up(&full), "there is no room");
    let heard = shown(&ear.take(), &alias);
    assert_eq!(heard.len(), 3, "{heard:?}");
    assert_eq!(heard[0], "a SessionEnded not_restored");
    assert_eq!(full.core.router.len(), 0);
    assert_eq!(full.metrics().sessions.value(), 0);
}
