//! Tables of what a session does with a stream, in virtual time.

use super::super::tests::{Rig, event};
use super::super::{Connected, Wake};
use super::*;
use crate::session::{Connect, EventsBy};

impl Rig {
    fn attach(&mut self) -> u64 {
        let (ticket, _) = self.state.attach().expect("alive");
        ticket
    }

    /// The data of the events that a stream has to write now.
    fn stream(&mut self, ticket: u64) -> Result<Vec<Arc<Event>>, Option<StreamStep>> {
        match self.state.next_for_stream(ticket, 1000, &self.settings) {
            Some(StreamStep::Events { events, .. }) => Ok(events),
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
            by_http2: false,
            ack: None,
        };
        let now = self.at(at);
        let _ = self.state.displace(connect.events_by);
        self.state
            .connect(&connect, true, &self.settings, now, || true)
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
    assert!(matches!(rig.stream(old), Err(Some(StreamStep::Displaced))));
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
    let (wake, _) = rig
        .state
        .on_timer(crate::session::Tick::at(due), &rig.settings);
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
        by_http2: false,
        ack: None,
    };
    let now = rig.at(1);
    let _ = rig.state.displace(connect.events_by);
    let connected = rig
        .state
        .connect(&connect, true, &rig.settings, now, || true);
    assert_eq!(connected, Connected::Beside);
    assert!(rig.state.is_stream(ticket));
    let mut advice = Vec::new();
    rig.state.advice(&rig.settings).write(&mut advice);
    assert_eq!(
        String::from_utf8(advice).expect("UTF-8"),
        r#"{"reconnect":"retry","interval":30000,"timeout":30000}"#
    );
    assert_eq!(rig.next(), Some(41));
}
