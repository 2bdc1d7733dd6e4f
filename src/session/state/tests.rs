//! Tables of what a session does, in virtual time.

use super::*;
use crate::bayeux::{ChannelName, EventFields, Limits, Message};
use crate::session::{MaxQueuePolicy, Streamed};

/// Makes an event whose data is `name`.
pub(in crate::session) fn event(name: &str) -> Arc<Event> {
    let text = format!(r#"{{"channel":"/x","data":"{name}"}}"#);
    let message: Message<'_> = serde_json::from_str(&text).expect("a message");
    let channel = ChannelName::parse("/x", &Limits::default()).expect("a channel");
    let fields = EventFields {
        ext: true,
        custom: true,
    };
    Arc::new(Event::of_publish(&message, &channel, fields).expect("data"))
}

const SECOND: Duration = Duration::from_secs(1);
const BROWSER: [u8; 16] = [1; 16];

struct Rig {
    state: State,
    settings: Settings,
    start: Instant,
}

impl Rig {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        let start = Instant::now();
        let state = State::new(RandomId::from_random(BROWSER), false, &settings, start);
        Self {
            state,
            settings,
            start,
        }
    }

    /// A session after its first connect.
    fn connected(settings: Settings) -> Self {
        let mut rig = Self::with(settings);
        assert_eq!(rig.connect(0), Connected::Answer { advise: false });
        rig
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + SECOND * u32::try_from(seconds).expect("a small number")
    }

    fn connect(&mut self, at: u64) -> Connected {
        self.connect_asking(at, None)
    }

    fn connect_asking(&mut self, at: u64, advice: Option<ClientAdvice>) -> Connected {
        let connect = Connect {
            advice,
            may_be_held: true,
            lifetime: None,
            events_by: EventsBy::Replies,
            browser: None,
        };
        let now = self.at(at);
        let _ = self.state.displace(connect.events_by);
        self.state.connect(&connect, &self.settings, now, || true)
    }

    /// Delivers an event; true if that resumed the held connect.
    fn deliver(&mut self, name: &str) -> (Pushed, bool) {
        let (pushed, wake) = self.state.deliver(&event(name), None, &self.settings);
        assert!(!wake.stream);
        (pushed, wake.connect)
    }

    /// Lets time pass; true if that resumed the held connect, and if the session expired.
    fn on_timer(&mut self, at: u64) -> (bool, bool) {
        let (wake, has_expired) = self.state.on_timer(self.at(at), &self.settings);
        assert!(!wake.stream);
        (wake.connect, has_expired)
    }

    fn resumed(&mut self, ticket: u64, at: u64) -> Option<Resume> {
        let now = self.at(at);
        self.state.take_resumed(ticket, &self.settings, || now)
    }

    fn next(&self) -> Option<u64> {
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
    assert!(refused.is_refused && refused.first_at_bound);

    let mut rig = Rig::connected(Settings {
        max_queue_policy: MaxQueuePolicy::DropOldest,
        ..settings
    });
    rig.deliver("a");
    rig.deliver("b");
    let (third, _) = rig.deliver("c");
    assert_eq!(
        (third.dropped, third.is_refused, third.first_at_bound),
        (1, false, true)
    );
    assert!(!rig.deliver("d").0.first_at_bound, "said once");
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
        rig.state.restore(lost, &rig.settings).connect,
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
    };
    let now = rig.at(0);
    let connected = rig.state.connect(&connect, &rig.settings, now, || false);
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
        };
        let now = rig.at(0);
        let refuses = rig.state.connect(&connect, &rig.settings, now, || false);
        assert_eq!(refuses, Connected::MultipleClients);
        let early = rig.state.connect(&connect, &rig.settings, now, || false);
        assert_eq!(early, Connected::Held(0));
        assert_eq!(rig.next(), Some(until));
        let now = rig.at(until);
        assert!(rig.state.on_timer(now, &rig.settings).0.connect);
        assert_eq!(
            rig.resumed(0, until),
            Some(Resume::Answer { advise: false })
        );
        let in_time = rig.state.connect(&connect, &rig.settings, now, || false);
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
    assert_eq!(rig.connect(1), Connected::Ended);
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

impl Rig {
    fn attach(&mut self) -> u64 {
        let (ticket, _) = self.state.attach().expect("alive");
        ticket
    }

    /// The data of the events that a stream has to write now.
    fn stream(&mut self, ticket: u64) -> Result<Vec<Arc<Event>>, Option<Streamed>> {
        match self.state.next_for_stream(ticket, 1000, &self.settings) {
            Some(Streamed::Events { events, .. }) => Ok(events),
            other => Err(other),
        }
    }

    fn connect_by_stream(&mut self, at: u64) -> Connected {
        let connect = Connect {
            advice: None,
            may_be_held: true,
            lifetime: None,
            events_by: EventsBy::ThisStream,
            browser: None,
        };
        let now = self.at(at);
        let _ = self.state.displace(connect.events_by);
        self.state.connect(&connect, &self.settings, now, || true)
    }
}

#[test]
fn events_leave_by_the_stream_and_the_connect_stays_held() {
    let mut rig = Rig::connected(Settings::default());
    let ticket = rig.attach();
    assert!(matches!(rig.connect_by_stream(1), Connected::Held(_)));
    let (_, wake) = rig.state.deliver(&event("a"), None, &rig.settings);
    assert_eq!(wake, Wake::STREAM);
    assert!(
        rig.state.drain(&rig.settings).is_empty(),
        "not with replies"
    );
    assert_eq!(rig.stream(ticket).expect("an event").len(), 1);
    let (_, wake) = rig.state.deliver(&event("b"), None, &rig.settings);
    assert_eq!(wake, Wake::NONE, "it is writing, and will ask again");
    assert_eq!(rig.stream(ticket).expect("an event").len(), 1);
    assert!(matches!(rig.stream(ticket), Err(None)));
    assert!(rig.on_timer(31).0, "the deadline resumes it all the same");
}

#[test]
fn a_session_that_delivers_on_connects_does_so_with_a_stream_too() {
    let mut rig = Rig::connected(Settings::default());
    rig.state.deliver_on_connect_only();
    let ticket = rig.attach();
    assert!(matches!(rig.connect_by_stream(1), Connected::Held(_)));
    let (_, wake) = rig.state.deliver(&event("a"), None, &rig.settings);
    assert!(wake.connect && !wake.stream);
    assert!(matches!(rig.stream(ticket), Err(None)));
    assert_eq!(rig.state.drain(&rig.settings).len(), 1);
}

#[test]
fn a_new_stream_waits_until_the_old_one_gave_back_what_it_did_not_write() {
    let mut rig = Rig::connected(Settings::default());
    let old = rig.attach();
    let _ = rig.state.deliver(&event("a"), None, &rig.settings);
    let _ = rig.state.deliver(&event("b"), None, &rig.settings);
    let mut taken = rig.stream(old).expect("two events");
    let new = rig.attach();
    let _ = rig.state.deliver(&event("c"), None, &rig.settings);
    assert!(matches!(rig.stream(new), Err(None)), "a and b come first");
    assert!(!rig.state.is_stream(old));
    let unwritten = taken.split_off(1);
    assert_eq!(
        rig.state.give_back(old, unwritten, &rig.settings),
        Wake::STREAM
    );
    assert_eq!(rig.stream(new).expect("b and c").len(), 2);
    assert!(matches!(rig.stream(old), Err(Some(Streamed::Displaced))));
}

#[test]
fn a_poll_takes_a_session_over_from_its_stream() {
    let mut rig = Rig::connected(Settings::default());
    let stream = rig.attach();
    let _ = rig.state.deliver(&event("a"), None, &rig.settings);
    let taken = rig.stream(stream).expect("an event");
    // The event is on its way and may come back, so nothing later may leave before.
    let _ = rig.state.deliver(&event("b"), None, &rig.settings);
    assert!(matches!(rig.connect(1), Connected::Held(_)));
    assert!(!rig.state.is_stream(stream));
    let wake = rig.state.give_back(stream, taken, &rig.settings);
    assert!(wake.connect);
    assert_eq!(rig.state.drain(&rig.settings).len(), 2);
}

#[test]
fn lazy_events_leave_by_a_stream_when_they_are_due() {
    let mut rig = Rig::connected(Settings::default());
    let ticket = rig.attach();
    let due = rig.at(5);
    let (_, wake) = rig.state.deliver(&event("a"), Some(due), &rig.settings);
    assert_eq!(wake, Wake::NONE);
    assert_eq!(rig.next(), Some(5));
    let (wake, _) = rig.state.on_timer(due, &rig.settings);
    assert_eq!(wake, Wake::STREAM);
    assert_eq!(rig.stream(ticket).expect("an event").len(), 1);
}

#[test]
fn a_stream_without_connects_keeps_its_session_and_leaves_it_max_interval() {
    let mut rig = Rig::new();
    let ticket = rig.attach();
    rig.state.keep_with_stream();
    assert_eq!(rig.next(), None);
    assert_eq!(rig.on_timer(1000), (false, false));
    let now = rig.at(1000);
    let _ = rig.state.detach(ticket, &rig.settings, now);
    assert_eq!(rig.next(), Some(1010));
    assert_eq!(rig.on_timer(1010), (false, true));
}

#[test]
fn the_connects_beside_a_stream_are_answered_at_once_and_few() {
    let mut rig = Rig::new();
    let ticket = rig.attach();
    let connect = Connect {
        advice: None,
        may_be_held: true,
        lifetime: None,
        events_by: EventsBy::OtherStream,
        browser: None,
    };
    let now = rig.at(1);
    let _ = rig.state.displace(connect.events_by);
    let connected = rig.state.connect(&connect, &rig.settings, now, || true);
    assert_eq!(connected, Connected::Answer { advise: true });
    assert!(rig.state.is_stream(ticket));
    let mut advice = Vec::new();
    rig.state.advice(&rig.settings).write(&mut advice);
    assert_eq!(
        String::from_utf8(advice).expect("UTF-8"),
        r#"{"reconnect":"retry","interval":30000,"timeout":30000}"#
    );
    assert_eq!(rig.next(), Some(41));
}
