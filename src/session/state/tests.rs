//! Tables of what a session does, in virtual time.

use bytesize::ByteSize;

use super::*;
use crate::bayeux::{ChannelName, ClientAdvice, Draft, EventFields, Limits, Message};
use crate::session::{Connect, EventsBy, MaxQueuePolicy};

/// Makes an event whose data is `name`.
pub(in crate::session) fn event(name: &str) -> Arc<Event> {
    let text = format!(r#"{{"channel":"/x","data":"{name}"}}"#);
    let message: Message<'_> = serde_json::from_str(&text).expect("a message");
    let channel = ChannelName::parse("/x", &Limits::default()).expect("a channel");
    let fields = EventFields {
        ext: true,
        custom: true,
    };
    let draft = Draft::of(&message, &channel, fields).expect("data");
    Arc::new(draft.encode())
}

const SECOND: Duration = Duration::from_secs(1);
const BROWSER: [u8; 16] = [1; 16];

pub(super) struct Rig {
    pub(super) state: State,
    pub(super) settings: Settings,
    start: Instant,
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        let start = Instant::now();
        let state = State::new(
            RandomId::from_random(BROWSER),
            false,
            &settings,
            &Begun::new(start),
        );
        Self {
            state,
            settings,
            start,
        }
    }

    /// A session after its first connect.
    pub(super) fn connected(settings: Settings) -> Self {
        let mut rig = Self::with(settings);
        assert_eq!(rig.connect(0), Connected::Answer { advise: false });
        rig
    }

    pub(super) fn at(&self, seconds: u64) -> Instant {
        self.start + SECOND * u32::try_from(seconds).expect("a small number")
    }

    pub(super) fn connect(&mut self, at: u64) -> Connected {
        self.connect_asking(at, None)
    }

    fn connect_asking(&mut self, at: u64, advice: Option<ClientAdvice>) -> Connected {
        let connect = Connect {
            advice,
            may_be_held: true,
            lifetime: None,
            events_by: EventsBy::Replies,
            browser: None,
            by_http2: false,
            ack: None,
        };
        let now = self.at(at);
        let _ = self.state.displace(connect.events_by);
        self.state
            .connect(&connect, true, &self.settings, now, || true)
    }

    /// Delivers an event; true if that resumed the held connect.
    fn deliver(&mut self, name: &str) -> (Pushed, bool) {
        let (pushed, wake) = self.state.deliver(&event(name), None, &self.settings);
        assert!(!wake.stream);
        (pushed, wake.connect)
    }

    /// Lets time pass; true if that resumed the held connect, and if the session expired.
    pub(super) fn on_timer(&mut self, at: u64) -> (bool, bool) {
        let (wake, has_expired) = self.state.on_timer(Tick::at(self.at(at)), &self.settings);
        assert!(!wake.stream);
        (wake.connect, has_expired)
    }

    fn resumed(&mut self, ticket: u64, at: u64) -> Option<Resume> {
        let now = self.at(at);
        self.state.take_resumed(ticket, &self.settings, || now)
    }

    pub(super) fn next(&self) -> Option<u64> {
        self.state
            .next_deadline(&self.settings)
            .map(|due| (due - self.start).as_secs())
    }
}

fn asking(timeout: Option<u64>, interval: Option<u64>) -> Option<ClientAdvice> {
    Some(ClientAdvice {
        timeout: timeout.map(Duration::from_secs),
        interval: interval.map(Duration::from_secs),
    })
}

#[test]
fn the_first_connect_is_answered_and_the_next_is_held_until_its_deadline() {
    let mut rig = Rig::new();
    assert_eq!(rig.next(), Some(10), "a session nobody connects to expires");
    assert_eq!(rig.connect(2), Connected::Answer { advise: false });
    assert_eq!(rig.next(), Some(12));
    assert_eq!(rig.connect(3), Connected::Held(0));
    assert_eq!(rig.next(), Some(33));
    assert_eq!(rig.resumed(0, 10), None);
    assert_eq!(rig.on_timer(33), (true, false));
    assert_eq!(rig.resumed(0, 33), Some(Resume::Answer { advise: false }));
    assert_eq!(rig.next(), Some(43));
    assert_eq!(rig.on_timer(42), (false, false));
    assert_eq!(rig.on_timer(43), (false, true));
}

#[test]
fn a_client_s_timeout_is_honoured_but_never_above_the_server_s() {
    let cases = [
        (
            asking(Some(0), None),
            Connected::Answer { advise: true },
            10,
        ),
        (asking(Some(5), None), Connected::Held(0), 5),
        (asking(Some(500), None), Connected::Held(0), 30),
        (asking(None, None), Connected::Held(0), 30),
        (None, Connected::Held(0), 30),
        (
            asking(Some(0), Some(7)),
            Connected::Answer { advise: true },
            17,
        ),
        (
            asking(Some(0), Some(100_000)),
            Connected::Answer { advise: true },
            70,
        ),
    ];
    for (advice, connected, next) in cases {
        let mut rig = Rig::connected(Settings::default());
        assert_eq!(rig.connect_asking(0, advice), connected, "{advice:?}");
        assert_eq!(rig.next(), Some(next), "{advice:?}");
    }
}

#[test]
fn an_event_resumes_the_held_connect_once() {
    let mut rig = Rig::connected(Settings::default());
    rig.connect(0);
    assert!(rig.deliver("a").1);
    assert!(!rig.deliver("b").1);
    assert_eq!(rig.resumed(0, 1), Some(Resume::Answer { advise: false }));
    assert_eq!(rig.state.drain(&rig.settings).len(), 2);
    assert_eq!(rig.connect(1), Connected::Held(1));
}

#[test]
fn a_connect_finds_what_was_queued() {
    let mut rig = Rig::connected(Settings::default());
    assert!(!rig.deliver("a").1);
    assert_eq!(rig.connect(1), Connected::Answer { advise: false });
}

#[test]
fn a_newer_connect_displaces_even_a_resumed_one_and_the_events_stay() {
    let mut rig = Rig::connected(Settings::default());
    assert_eq!(rig.connect(0), Connected::Held(0));
    assert_eq!(rig.connect(1), Connected::Held(1));
    assert_eq!(rig.resumed(0, 1), Some(Resume::Displaced));
    assert_eq!(rig.resumed(1, 1), None);
    rig.deliver("a");
    assert_eq!(rig.connect(2), Connected::Answer { advise: false });
    assert_eq!(rig.resumed(1, 2), Some(Resume::Displaced));
    assert_eq!(rig.state.drain(&rig.settings).len(), 1);
}

#[test]
fn a_connect_whose_client_went_away_starts_the_expiry_and_keeps_the_queue() {
    let mut rig = Rig::connected(Settings::default());
    rig.connect(0);
    let now = rig.at(5);
    assert!(rig.state.release(0, &rig.settings, now));
    assert!(!rig.state.release(0, &rig.settings, now));
    assert_eq!(rig.next(), Some(15));
    rig.deliver("a");
    assert_eq!(rig.connect(6), Connected::Answer { advise: false });
    assert_eq!(rig.state.drain(&rig.settings).len(), 1);
}

#[test]
fn during_a_batch_events_wait_for_its_response() {
    let mut rig = Rig::connected(Settings::default());
    rig.connect(0);
    let now = rig.at(0);
    rig.state.begin_batch(&rig.settings, now);
    assert!(!rig.deliver("a").1);
    assert_eq!(rig.state.drain(&rig.settings).len(), 1);
    assert!(
        !rig.state.end_batch(&rig.settings).connect,
        "all went with the response"
    );
    rig.state.begin_batch(&rig.settings, now);
    rig.deliver("b");
    assert!(
        rig.state.end_batch(&rig.settings).connect,
        "the held connect takes the rest"
    );
}

#[test]
fn messages_alone_keep_a_session_for_a_while() {
    for connects in [false, true] {
        let settings = Settings {
            max_unconnected: SECOND * 25,
            ..Settings::default()
        };
        let mut rig = Rig::with(settings);
        if connects {
            assert_eq!(rig.connect(0), Connected::Answer { advise: false });
        }
        let cases = [(8, 18), (15, 25), (16, 25), (24, 25)];
        for (at, expiry) in cases {
            rig.state.begin_batch(&rig.settings, rig.at(at));
            let _ = rig.state.end_batch(&rig.settings);
            assert_eq!(rig.next(), Some(expiry), "after a message at {at} s");
            assert_eq!(rig.state.is_kept_in_vain(&rig.settings), expiry == 25);
        }
        assert_eq!(rig.on_timer(25), (false, true));
    }
}

#[test]
fn a_connect_makes_time_for_messages_again() {
    let settings = Settings {
        max_unconnected: SECOND * 25,
        ..Settings::default()
    };
    let mut rig = Rig::connected(settings);
    rig.state.begin_batch(&rig.settings, rig.at(15));
    let _ = rig.state.end_batch(&rig.settings);
    assert_eq!(rig.connect(20), Connected::Held(0));
    assert_eq!(rig.on_timer(50), (true, false));
    assert!(rig.resumed(0, 50).is_some());
    rig.state.begin_batch(&rig.settings, rig.at(59));
    assert_eq!(rig.next(), Some(69));
}

#[test]
fn a_bound_below_what_a_client_was_advised_does_not_cut_that() {
    let settings = Settings {
        max_unconnected: SECOND * 5,
        ..Settings::default()
    };
    let mut rig = Rig::with(settings);
    let advice = asking(Some(0), Some(40));
    assert_eq!(
        rig.connect_asking(0, advice),
        Connected::Answer { advise: true }
    );
    rig.state.begin_batch(&rig.settings, rig.at(3));
    assert_eq!(rig.next(), Some(50));
}

#[test]
fn a_pause_of_the_process_is_not_the_client_s_silence() {
    let cases = [
        // What the pause ended at, when the timer is asked, and until when it lives then.
        (None, 12, None),
        (Some(1), 12, None),
        (Some(2), 12, None),
        (Some(3), 12, Some(13)),
        (Some(12), 12, Some(22)),
    ];
    for (resumed, at, expected) in cases {
        let mut rig = Rig::new();
        assert_eq!(rig.connect(2), Connected::Answer { advise: false });
        let resumed = resumed.map(|resumed| rig.at(resumed));
        let tick = |at| Tick {
            resumed,
            ..Tick::at(at)
        };
        let (_, has_expired) = rig.state.on_timer(tick(rig.at(at)), &rig.settings);
        assert_eq!(has_expired, expected.is_none(), "{resumed:?}");
        if let Some(expected) = expected {
            assert_eq!(rig.next(), Some(expected));
            let (_, has_expired) = rig.state.on_timer(tick(rig.at(expected)), &rig.settings);
            assert!(has_expired, "once is enough");
        }
    }
}

#[test]
fn a_client_that_waits_for_a_silent_node_has_its_time_again_but_not_for_ever() {
    let cases = [
        // Until when it may not have been heard, when the timer is asked, and until when it lives then.
        (None, 12, None),
        (Some(2), 12, None),
        (Some(12), 12, Some(22)),
        (Some(112), 112, Some(122)),
        (Some(115), 115, Some(122)),
        (Some(122), 122, None),
    ];
    for (unheard, at, expected) in cases {
        let mut rig = Rig::new();
        assert_eq!(rig.connect(2), Connected::Answer { advise: false });
        let tick = Tick {
            unheard: unheard.map(|unheard| rig.at(unheard)),
            ..Tick::at(rig.at(at))
        };
        let (_, has_expired) = rig.state.on_timer(tick, &rig.settings);
        assert_eq!(has_expired, expected.is_none(), "{unheard:?}");
        if let Some(expected) = expected {
            assert_eq!(rig.next(), Some(expected));
        }
    }
}

#[test]
fn a_lazy_event_waits_for_its_time_or_for_company() {
    let mut rig = Rig::connected(Settings::default());
    let due = rig.at(5);
    let (_, wake) = rig.state.deliver(&event("a"), Some(due), &rig.settings);
    assert_eq!(wake, Wake::NONE);
    assert_eq!(
        rig.connect(1),
        Connected::Held(0),
        "a lazy event does not answer a connect"
    );
    assert_eq!(rig.next(), Some(5));
    assert_eq!(rig.on_timer(5), (true, false));
    assert_eq!(rig.resumed(0, 5), Some(Resume::Answer { advise: false }));
    assert_eq!(rig.state.drain(&rig.settings).len(), 1);

    assert_eq!(rig.connect(6), Connected::Held(1));
    let due = rig.at(11);
    let _ = rig.state.deliver(&event("b"), Some(due), &rig.settings);
    assert!(rig.deliver("c").1);
    assert_eq!(rig.resumed(1, 6), Some(Resume::Answer { advise: false }));
    assert_eq!(rig.state.drain(&rig.settings).len(), 2);

    let due = rig.at(8);
    let _ = rig.state.deliver(&event("d"), Some(due), &rig.settings);
    assert_eq!(
        rig.connect(9),
        Connected::Answer { advise: false },
        "its time was over"
    );
}

#[test]
fn at_its_bound_a_queue_ends_the_session_or_drops_the_oldest() {
    let settings = Settings {
        max_queue: 2,
        ..Settings::default()
    };
    let mut rig = Rig::connected(settings.clone());
    rig.deliver("a");
    rig.deliver("b");
    let (refused, _) = rig.deliver("c");
    assert!(refused.is_refused);

    let mut rig = Rig::connected(Settings {
        max_queue_policy: MaxQueuePolicy::DropOldest,
        ..settings
    });
    rig.deliver("a");
    rig.deliver("b");
    assert!(!rig.deliver("c").0.is_refused);
    rig.deliver("d");
    let events: Vec<_> = rig.state.drain(&rig.settings);
    assert!(events[0].json().windows(3).any(|part| part == b"\"c\""));
}

#[test]
fn a_response_takes_so_many_bytes_and_the_rest_goes_next() {
    let size = event("a").json().len() as u64;
    let mut rig = Rig::connected(Settings {
        max_response_size: bytesize::ByteSize(2 * size),
        ..Settings::default()
    });
    for name in ["a", "b", "c"] {
        rig.deliver(name);
    }
    assert_eq!(rig.state.drain(&rig.settings).len(), 2);
    assert_eq!(rig.connect(0), Connected::Answer { advise: false });
    assert_eq!(rig.state.drain(&rig.settings).len(), 1);
}

#[test]
fn events_of_a_response_that_was_not_written_come_first_again() {
    let mut rig = Rig::connected(Settings::default());
    rig.deliver("a");
    let lost = rig.state.drain(&rig.settings);
    rig.connect(0);
    assert!(
        rig.state.end_reply(None, lost, &rig.settings).connect,
        "a connect that is held by then is resumed"
    );
}

#[test]
fn surplus_tabs_are_told_to_poll_and_are_advised_again_later() {
    let mut rig = Rig::connected(Settings::default());
    let connect = Connect {
        advice: None,
        may_be_held: true,
        lifetime: None,
        events_by: EventsBy::Replies,
        browser: None,
        by_http2: false,
        ack: None,
    };
    let now = rig.at(0);
    let connected = rig
        .state
        .connect(&connect, true, &rig.settings, now, || false);
    assert_eq!(connected, Connected::MultipleClients);
    assert_eq!(rig.next(), Some(12));
    assert_eq!(rig.connect(2), Connected::Held(0));
    rig.deliver("a");
    assert_eq!(rig.resumed(0, 2), Some(Resume::Answer { advise: true }));
}

#[test]
fn a_surplus_tab_that_does_not_wait_is_made_to() {
    for (interval, until) in [(2, 2), (0, 30)] {
        let mut rig = Rig::connected(Settings {
            multi_session_interval: Duration::from_secs(interval),
            ..Settings::default()
        });
        let connect = Connect {
            advice: None,
            may_be_held: true,
            lifetime: None,
            events_by: EventsBy::Replies,
            browser: None,
            by_http2: false,
            ack: None,
        };
        let now = rig.at(0);
        let refuses = rig
            .state
            .connect(&connect, true, &rig.settings, now, || false);
        assert_eq!(refuses, Connected::MultipleClients);
        let early = rig
            .state
            .connect(&connect, true, &rig.settings, now, || false);
        assert_eq!(early, Connected::Held(0));
        assert_eq!(rig.next(), Some(until));
        let now = rig.at(until);
        assert!(rig.state.on_timer(Tick::at(now), &rig.settings).0.connect);
        assert_eq!(
            rig.resumed(0, until),
            Some(Resume::Answer { advise: false })
        );
        let in_time = rig
            .state
            .connect(&connect, true, &rig.settings, now, || false);
        assert_eq!(in_time, Connected::MultipleClients);
    }
}

#[test]
fn advice_that_a_lost_connect_owed_goes_with_the_next() {
    for displaced in [true, false] {
        let mut rig = Rig::connected(Settings::default());
        assert_eq!(
            rig.connect_asking(0, asking(Some(20), None)),
            Connected::Held(0)
        );
        let now = rig.at(1);
        if !displaced {
            rig.state.release(0, &rig.settings, now);
        }
        assert_eq!(rig.connect(1), Connected::Held(1));
        rig.deliver("a");
        assert_eq!(rig.resumed(1, 1), Some(Resume::Answer { advise: true }));
    }
}

#[test]
fn the_end_resumes_and_refuses_everything_after() {
    let mut rig = Rig::connected(Settings::default());
    rig.connect(0);
    let (_, wake) = rig.state.end(EndReason::Disconnect).expect("alive");
    assert!(wake.connect);
    assert_eq!(
        rig.resumed(0, 0),
        Some(Resume::Ended(EndReason::Disconnect))
    );
    assert!(rig.state.end(EndReason::Expired).is_none());
    assert_eq!(rig.connect(1), Connected::Ended(EndReason::Disconnect));
    assert_eq!(rig.next(), None);
    assert!(!rig.deliver("a").1);
}

#[test]
fn a_stopping_server_answers_with_advice_and_holds_no_more() {
    let mut rig = Rig::connected(Settings::default());
    rig.connect(0);
    assert!(rig.state.stop_holding().connect);
    assert_eq!(rig.resumed(0, 0), Some(Resume::Answer { advise: true }));
    assert!(matches!(rig.connect(0), Connected::Answer { .. }));
}

#[test]
fn a_session_is_bound_from_the_first_time_its_cookie_returns() {
    let own = RandomId::from_random(BROWSER);
    let other = RandomId::from_random([2; 16]);
    let mut rig = Rig::new();
    assert!(rig.state.admits(&[], false), "not bound yet");
    assert!(
        rig.state.admits(&[other], false),
        "another tab's cookie overwrote it"
    );
    assert!(rig.state.admits(&[other, own], false));
    assert!(!rig.state.admits(&[], false));
    assert!(!rig.state.admits(&[other], false));
    assert!(rig.state.admits(&[own], false));
    assert!(rig.state.admits(&[], true), "trust_client_session");
}

#[test]
fn the_interval_of_polls_grows_while_nothing_happens_and_falls_when_something_does() {
    let mut rig = Rig::with(Settings {
        polling: true,
        min_polling_interval: SECOND,
        max_polling_interval: 6 * SECOND,
        ..Settings::default()
    });
    let mut now = 0;
    for (event, expected) in [
        (false, 1),
        (false, 2),
        (false, 4),
        (false, 6),
        (false, 6),
        (true, 1),
        (false, 2),
    ] {
        if event {
            assert_eq!(rig.deliver("a"), (Pushed::default(), false));
        }
        assert_eq!(rig.connect(now), Connected::Answer { advise: true });
        rig.state.drain(&rig.settings);
        let mut advice = Vec::new();
        rig.state.advice(&rig.settings).write(&mut advice);
        let interval = format!("\"interval\":{expected}000,");
        assert!(
            String::from_utf8_lossy(&advice).contains(&interval),
            "{now}"
        );
        assert_eq!(
            rig.next(),
            Some(now + expected + 10),
            "the session waits too"
        );
        now += expected;
    }
}

/// The data of the events, which are single letters.
fn letters(events: &[Arc<Event>]) -> String {
    let letter = |event: &Arc<Event>| char::from(event.json()[24]);
    events.iter().map(letter).collect()
}

#[test]
fn events_go_with_the_newest_connect_though_an_older_one_was_resumed_for_them() {
    for acknowledges in [false, true] {
        let mut rig = Rig::connected(Settings::default());
        if acknowledges {
            rig.state.begin_acks();
        }
        assert_eq!(rig.connect(1), Connected::Held(0));
        let older = rig.state.newest_connect();
        assert!(rig.deliver("a").1);
        assert!(rig.resumed(0, 2).is_some());
        // Its client gives up before the reply is made, and connects again.
        assert_eq!(rig.connect(3), Connected::Answer { advise: false });
        let newest = rig.state.newest_connect();
        let late = rig.state.drain_for_connect(older, &rig.settings);
        assert_eq!((letters(&late.events).as_str(), late.number), ("", None));
        let taken = rig.state.drain_for_connect(newest, &rig.settings);
        assert_eq!(letters(&taken.events), "a");
        assert_eq!(taken.number, acknowledges.then_some(1));
    }
}

#[test]
fn what_is_not_acknowledged_counts_for_the_bound_and_is_not_dropped() {
    for (policy, expected) in [
        (MaxQueuePolicy::End, "ab"),
        (MaxQueuePolicy::DropOldest, "ab"),
        (MaxQueuePolicy::DropNewest, "ab"),
        (MaxQueuePolicy::Conflate, "ab"),
    ] {
        let mut rig = Rig::connected(Settings {
            max_queue: 2,
            max_queue_policy: policy,
            ..Settings::default()
        });
        rig.state.begin_acks();
        for name in ["a", "b"] {
            assert!(rig.deliver(name).0.at_bound.is_none());
        }
        rig.connect(1);
        let newest = rig.state.newest_connect();
        let taken = rig.state.drain_for_connect(newest, &rig.settings);
        assert_eq!(letters(&taken.events), "ab");
        for name in ["c", "d", "e"] {
            let (pushed, _) = rig.deliver(name);
            assert!(pushed.is_refused || pushed.is_dropped, "{policy:?}");
        }
        assert_eq!(rig.connect(2), Connected::Answer { advise: false });
        let newest = rig.state.newest_connect();
        let taken = rig.state.drain_for_connect(newest, &rig.settings);
        assert_eq!(letters(&taken.events), expected, "{policy:?}");
        assert_eq!(taken.resent, 2);
    }
}

#[test]
fn a_held_connect_carries_what_is_acknowledged_though_a_stream_has_come_since() {
    let mut rig = Rig::connected(Settings::default());
    rig.state.begin_acks();
    assert_eq!(rig.connect(1), Connected::Held(0));
    let connect = rig.state.newest_connect();
    assert!(rig.state.attach().is_some());
    assert!(rig.deliver("a").1);
    assert!(rig.resumed(0, 2).is_some());
    let taken = rig.state.drain_for_connect(connect, &rig.settings);
    assert_eq!(
        (letters(&taken.events).as_str(), taken.number),
        ("a", Some(1))
    );
}

#[test]
fn what_ends_the_writing_of_a_reply() {
    // What happens, and whether the reply goes on: without and with acknowledgement.
    type Happens = fn(&mut Rig);
    let table: [(&str, Happens, [bool; 2]); 5] = [
        ("nothing", |_| (), [true, true]),
        ("an event", |rig| _ = rig.deliver("b"), [true, true]),
        ("a connect", |rig| _ = rig.connect(2), [false, false]),
        // Events of a client that acknowledges do not leave by it.
        ("a stream", |rig| _ = rig.state.attach(), [false, true]),
        (
            "the end",
            |rig| _ = rig.state.end(EndReason::MaxQueue),
            [false, false],
        ),
    ];
    for (name, happens, goes_on) in table {
        for (acknowledges, goes_on) in [false, true].into_iter().zip(goes_on) {
            let mut rig = Rig::connected(Settings::default());
            if acknowledges {
                rig.state.begin_acks();
            }
            assert!(!rig.deliver("a").1);
            rig.connect(1);
            let connect = rig.state.newest_connect();
            let taken = rig.state.drain_for_connect(connect, &rig.settings);
            assert_eq!(letters(&taken.events), "a");
            assert!(rig.state.is_replying(connect), "{name}");
            happens(&mut rig);
            let replying = rig.state.is_replying(connect);
            assert_eq!(replying, goes_on, "{name}, acknowledges: {acknowledges}");
        }
    }
}

#[test]
fn replies_are_smaller_after_one_that_was_cut_and_grow_again() {
    let size = event("a").json().len() as u64;
    let kib = ByteSize::kib(64).as_u64();
    // Whether replies were written whole, and how many events the next carries at most.
    let table: [(&[bool], u64); 6] = [
        (&[], kib / size),
        (&[false], kib / 2 / size),
        (&[false, false], kib / 4 / size),
        (&[false; 30], kib / 4 / size),
        (&[false, false, true], kib / 2 / size),
        (&[false, true, true, true], kib / size),
    ];
    for (replies, expected) in table {
        for acknowledges in [false, true] {
            let mut rig = Rig::connected(Settings {
                max_response_size: ByteSize::kib(64),
                ..Settings::default()
            });
            if acknowledges {
                rig.state.begin_acks();
            }
            for _ in 0..kib / size + 10 {
                rig.deliver("a");
            }
            for &is_whole in replies {
                rig.state.note_reply(is_whole);
            }
            rig.connect(1);
            let connect = rig.state.newest_connect();
            let taken = rig.state.drain_for_connect(connect, &rig.settings);
            assert_eq!(taken.events.len() as u64, expected, "{replies:?}");
        }
    }
}

#[test]
fn a_session_does_not_expire_while_the_reply_to_a_connect_is_written() {
    let mut rig = Rig::connected(Settings::default());
    rig.state.begin_writing(true);
    rig.state.begin_writing(true);
    assert_eq!(rig.state.next_deadline(&rig.settings), None);
    assert!(!rig.state.on_timer(Tick::at(rig.at(1000)), &rig.settings).1);
    rig.state.end_writing(true, &rig.settings, rig.at(1000));
    assert!(!rig.state.on_timer(Tick::at(rig.at(2000)), &rig.settings).1);
    rig.state.end_writing(true, &rig.settings, rig.at(2000));
    let due = rig.state.next_deadline(&rig.settings).expect("a deadline");
    assert_eq!(due, rig.at(2000) + rig.settings.max_interval);
    assert!(rig.state.on_timer(Tick::at(due), &rig.settings).1);
}

#[test]
fn other_responses_that_are_read_slowly_keep_a_session_no_longer_than_messages_do() {
    let settings = Settings {
        max_unconnected: SECOND * 25,
        ..Settings::default()
    };
    let mut rig = Rig::connected(settings);
    for (begun, read, expiry) in [(1, 8, 18), (9, 20, 25), (21, 24, 25)] {
        rig.state.begin_writing(false);
        assert_eq!(rig.next(), Some(25), "begun at {begun} s");
        rig.state.end_writing(false, &rig.settings, rig.at(read));
        assert_eq!(rig.next(), Some(expiry), "read at {read} s");
    }
    rig.state.begin_writing(false);
    assert_eq!(rig.on_timer(25), (false, true), "and not while it reads");
}

#[test]
fn a_surplus_tab_that_reads_slowly_has_its_time_all_the_same() {
    let mut rig = Rig::connected(Settings {
        multi_session_interval: SECOND * 60,
        ..Settings::default()
    });
    let connect = Connect {
        advice: None,
        may_be_held: true,
        lifetime: None,
        events_by: EventsBy::Replies,
        browser: None,
        by_http2: false,
        ack: None,
    };
    let refuses = rig
        .state
        .connect(&connect, true, &rig.settings, rig.at(0), || false);
    assert_eq!(refuses, Connected::MultipleClients);
    rig.state.begin_writing(true);
    rig.state.end_writing(true, &rig.settings, rig.at(1));
    assert_eq!(rig.next(), Some(70));
}
