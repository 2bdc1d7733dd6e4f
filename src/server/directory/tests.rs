//! The sessions of users are those that have not ended, whatever happens to them, and in which order.

use std::collections::BTreeMap;
use std::thread;

use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::access::Identity;
use crate::authentication::Known;
use crate::bayeux::Message;
use crate::memory::Kind;
use crate::operations::{Actor, Who};
use crate::server::{Parts, Request, TooManyRefused, Verdicts};

const USERS: [&str; 3] = ["u1", "u2", "u3"];

fn identity(user: &str) -> Arc<Identity> {
    Arc::new(Identity {
        user: user.to_owned(),
        ..Identity::default()
    })
}

/// Handshakes as a user, or as nobody.
fn begin(server: &BayeuxServer, user: Option<&str>) -> Option<Arc<Session>> {
    let known = user.map(|user| Known {
        identity: identity(user),
        ext: Vec::new(),
    });
    let text = r#"{"channel":"/meta/handshake","version":"1.0"}"#;
    let message: Message<'_> = serde_json::from_str(text).expect("a message");
    let request = Request {
        actor: Actor {
            who: known.as_ref().map_or(Who::Anonymous, Who::Known),
            ..Actor::default()
        },
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

fn of_user(server: &BayeuxServer, user: &str) -> Vec<Alias> {
    let selection = SessionSelection {
        user: Some(user.to_owned()),
        limit: usize::MAX,
        ..SessionSelection::default()
    };
    let page = server.list_sessions(&selection);
    page.items.into_iter().map(|listed| listed.alias).collect()
}

fn disconnect(
    server: &BayeuxServer,
    user: &str,
    refuse: Option<Duration>,
) -> Result<Disconnected, TooManyRefused> {
    let done = server.disconnect_user(user, refuse, Instant::now());
    let done = done.now_or_never().expect("there is nobody to wait for");
    done.map(|done| done.value)
}

#[derive(Debug, Clone)]
enum Step {
    Begin(Option<usize>),
    /// One of the sessions so far shows that its client is a user.
    Renew(usize, usize),
    End(usize),
    Disconnect(usize, bool),
    /// A user may come back.
    Forgive(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (user, session) = (0..USERS.len(), 0..20_usize);
    let step = prop_oneof![
        3 => prop::option::of(user.clone()).prop_map(Step::Begin),
        2 => (session.clone(), user.clone()).prop_map(|(session, user)| Step::Renew(session, user)),
        2 => session.prop_map(Step::End),
        1 => (user.clone(), any::<bool>()).prop_map(|(user, refuse)| Step::Disconnect(user, refuse)),
        1 => user.prop_map(Step::Forgive),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #[test]
    fn a_user_has_the_sessions_that_have_not_ended(steps in steps()) {
        let server = BayeuxServer::new(Parts::default());
        let memory = Arc::clone(&server.metrics().memory);
        // All sessions there were, and whose those are that live.
        let mut begun: Vec<Arc<Session>> = Vec::new();
        let mut whose: BTreeMap<Alias, &str> = BTreeMap::new();
        let mut refused = [false; USERS.len()];
        let now = Instant::now();
        for step in steps {
            match step {
                Step::Begin(user) => {
                    let session = begin(&server, user.map(|user| USERS[user]));
                    prop_assert_eq!(session.is_none(), user.is_some_and(|user| refused[user]));
                    if let Some((user, session)) = user.zip(session.as_ref()) {
                        whose.insert(session.alias(), USERS[user]);
                    }
                    begun.extend(session);
                }
                Step::Renew(session, user) => {
                    if let Some(session) = begun.get(session) {
                        let own = session.user().map(|own| own.user.clone());
                        let renewed = server.core.scope(now).renew(session, &identity(USERS[user]));
                        let may = own.as_deref() == Some(USERS[user]) && !refused[user];
                        prop_assert_eq!(renewed.is_ok(), may);
                    }
                }
                Step::End(session) => {
                    if let Some(session) = begun.get(session) {
                        let alias = session.alias();
                        let lives = server.core.sessions.find(session.id()).is_some();
                        prop_assert_eq!(server.core.end_session(session.id(), now), lives);
                        whose.remove(&alias);
                    }
                }
                Step::Disconnect(user, refuse) => {
                    let own = whose.values().filter(|own| **own == USERS[user]).count();
                    let refuse = refuse.then_some(Duration::from_secs(60));
                    let done = disconnect(&server, USERS[user], refuse).expect("room");
                    prop_assert_eq!(done.sessions, own);
                    whose.retain(|_, own| *own != USERS[user]);
                    refused[user] |= refuse.is_some();
                }
                Step::Forgive(user) => {
                    let done = disconnect(&server, USERS[user], Some(Duration::ZERO));
                    prop_assert!(done.is_ok());
                    whose.retain(|_, own| *own != USERS[user]);
                    refused[user] = false;
                }
            }
            for user in USERS {
                let own = whose.iter().filter(|(_, own)| **own == user);
                let expected: Vec<Alias> = own.map(|(alias, _)| *alias).collect();
                prop_assert_eq!(of_user(&server, user), expected, "{}", user);
            }
        }
        for session in begun.drain(..) {
            let _ = server.core.end_session(session.id(), now);
        }
        for user in USERS {
            let done = disconnect(&server, user, Some(Duration::ZERO));
            prop_assert_eq!(done.expect("room").sessions, 0);
        }
        prop_assert_eq!(memory.of(Kind::Sessions), 0, "nothing is kept of them");
    }
}

#[test]
fn nobody_slips_in_while_a_user_is_refused() {
    let server = BayeuxServer::new(Parts::default());
    let hour = Some(Duration::from_secs(3600));
    for _ in 0..100 {
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| while begin(&server, Some("u1")).is_some() {});
            }
            scope.spawn(|| disconnect(&server, "u1", hour));
        });
        assert_eq!(of_user(&server, "u1"), [], "all who began have ended");
        assert_eq!(server.session_count(), 0);
        let lifted = disconnect(&server, "u1", Some(Duration::ZERO));
        assert!(lifted.is_ok());
    }
    assert_eq!(server.metrics().memory.of(Kind::Sessions), 0);
}

#[test]
fn a_presence_counts_users_and_the_others() {
    let server = BayeuxServer::new(Parts::default());
    let users = [Some("u2"), None, Some("u1"), Some("u2"), Some("")];
    let sessions: Vec<_> = users
        .into_iter()
        .filter_map(|user| begin(&server, user))
        .collect();
    let named = |users: &[(&str, usize)]| -> Vec<(String, usize)> {
        let users = users.iter();
        users
            .map(|(user, sessions)| ((*user).to_owned(), *sessions))
            .collect()
    };
    let all = presence(&sessions, 2);
    assert_eq!(all.users, named(&[("u1", 1), ("u2", 2)]));
    assert_eq!((all.anonymous, all.is_truncated), (2, false));
    let some = presence(&sessions, 1);
    assert_eq!(some.users, named(&[("u1", 1)]));
    assert!(some.is_truncated);
}
