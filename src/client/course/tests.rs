//! Courses of clients, by what servers answer.

use super::*;

const MAX: u32 = u32::MAX;
const HELD: Step = Step::Connect { at_once: false };
const AT_ONCE: Step = Step::Connect { at_once: true };

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn good() -> Reply {
    Reply {
        is_successful: true,
        ..Reply::default()
    }
}

fn begun(ack: Option<Ack>) -> Reply {
    Reply {
        client_id: "c".to_owned(),
        ack,
        interval: ms(9),
        hold: Some(ms(30_000)),
        ..good()
    }
}

fn refused(error: &str, reconnect: Option<Reconnect>, interval: u64) -> Reply {
    Reply {
        error: error.to_owned(),
        reconnect,
        interval: ms(interval),
        ..Reply::default()
    }
}

/// A client whose connect is held.
fn connected() -> Course {
    let mut course = Course::new(true);
    for reply in [begun(Some(Ack::Agreed(true))), good(), good()] {
        course.answered(&reply, MAX).unwrap();
    }
    course
}

#[test]
fn a_client_handshakes_subscribes_and_connects() {
    let mut course = Course::new(true);
    assert_eq!(course.step(), Step::Handshake);
    assert_eq!(course.answered(&begun(None), 0), Ok(Change::Begun));
    assert_eq!((course.step(), course.wait()), (Step::Subscribe, ms(0)));
    assert_eq!(course.answered(&good(), 0), Ok(Change::Subscribed));
    assert_eq!((course.step(), course.hold()), (AT_ONCE, ms(0)));
    let patient = Reply {
        interval: ms(50),
        ..good()
    };
    assert_eq!(course.answered(&patient, 0), Ok(Change::GoesOn));
    assert_eq!((course.step(), course.wait()), (HELD, ms(50)));
    assert_eq!((course.hold(), course.ack()), (ms(30_000), None));
    assert_eq!(course.answered(&good(), 0), Ok(Change::GoesOn));
    assert_eq!((course.step(), course.wait()), (HELD, ms(0)));
}

#[test]
fn who_has_nothing_to_subscribe_to_connects() {
    let mut course = Course::new(false);
    course.answered(&begun(None), 0).unwrap();
    assert_eq!(course.step(), AT_ONCE);
}

#[test]
fn replies_are_acknowledged_if_both_want_that() {
    let numbered = Reply {
        ack: Some(Ack::Number(7)),
        ..good()
    };
    for (agreed, first, then) in [
        (None, None, None),
        (Some(Ack::Agreed(false)), None, None),
        (Some(Ack::Agreed(true)), Some(0), Some(7)),
    ] {
        let mut course = Course::new(true);
        course.answered(&begun(agreed), 0).unwrap();
        course.answered(&good(), 0).unwrap();
        assert_eq!(course.ack(), first);
        course.answered(&numbered, 0).unwrap();
        assert_eq!(course.ack(), then);
        // A new session begins anew.
        course.broke(0);
        assert_eq!(course.ack(), then);
        let gone = refused("402::x", None, 0);
        course.answered(&gone, 0).unwrap();
        course.answered(&begun(agreed), 0).unwrap();
        assert_eq!(course.ack(), first);
    }
}

#[test]
fn a_session_outlives_its_connection() {
    let mut course = connected();
    course.broke(MAX);
    assert_eq!((course.step(), course.wait()), (AT_ONCE, ms(250)));
    course.broke(MAX);
    assert_eq!(course.wait(), ms(500));
    assert_eq!(course.answered(&good(), 0), Ok(Change::Resumed));
    assert_eq!((course.step(), course.wait()), (HELD, ms(0)));
    course.broke(MAX);
    assert_eq!(course.wait(), ms(250));
}

#[test]
fn a_session_that_is_gone_is_followed_by_another() {
    for (reply, wait) in [
        (refused("402::x", None, 0), 0),
        (refused("402::x", Some(Reconnect::Handshake), 70), 70),
        (refused("401::x", Some(Reconnect::Handshake), 70), 70),
    ] {
        let mut course = connected();
        let expected = Change::SessionGone(reply.error.clone());
        assert_eq!(course.answered(&reply, MAX), Ok(expected));
        assert_eq!((course.step(), course.wait()), (Step::Handshake, ms(wait)));
        course.answered(&begun(None), MAX).unwrap();
        assert_eq!(course.step(), Step::Subscribe);
        // It is gone again at once: that is not to go on so fast.
        course.answered(&reply, MAX).unwrap();
        assert_eq!(course.wait(), ms(wait.max(250)));
    }
}

#[test]
fn what_is_put_off_is_tried_again() {
    let cases = [
        (refused("503::x", Some(Reconnect::Retry), 0), 250),
        (refused("503::x", Some(Reconnect::Retry), 2000), 2000),
        (refused("429:900:x", None, 0), 900),
        (refused("503::x", Some(Reconnect::Handshake), 0), 250),
    ];
    for (reply, wait) in cases {
        let mut course = Course::new(true);
        let expected = Change::Postponed(reply.error.clone());
        assert_eq!(course.answered(&reply, MAX), Ok(expected));
        assert_eq!((course.step(), course.wait()), (Step::Handshake, ms(wait)));
    }
}

#[test]
fn what_is_refused_for_good_is_the_end() {
    let nothing_more = [
        refused("403::x", None, 0),
        refused("401::x", Some(Reconnect::Stop), 0),
        refused("", None, 0),
    ];
    for reply in nothing_more {
        let error = Err(reply.error.clone());
        assert_eq!(Course::new(true).answered(&reply, 0), error);
        let mut subscribing = Course::new(true);
        subscribing.answered(&begun(None), 0).unwrap();
        assert_eq!(subscribing.answered(&reply, 0), error);
        assert_eq!(connected().answered(&reply, 0), error);
    }
    let ended = Reply {
        reconnect: Some(Reconnect::Stop),
        ..good()
    };
    assert!(connected().answered(&ended, 0).is_err());
    assert!(
        Course::new(true).answered(&good(), 0).is_err(),
        "no client id"
    );
}

#[test]
fn waits_double_up_to_a_bound_and_half_of_each_is_chance() {
    for (failures, shortest, longest) in [
        (0, 0, 0),
        (1, 125, 250),
        (2, 250, 500),
        (5, 2000, 4000),
        (8, 15_000, 30_000),
        (1000, 15_000, 30_000),
    ] {
        assert_eq!(backoff(failures, 0), ms(shortest), "{failures}");
        assert_eq!(backoff(failures, MAX), ms(longest), "{failures}");
    }
}

#[test]
fn subscriptions_that_are_lost_are_made_again() {
    let mut course = connected();
    assert_eq!(course.step(), HELD);
    course.unsubscribed();
    assert_eq!(course.step(), Step::Subscribe);
    assert_eq!(course.answered(&good(), 0), Ok(Change::Subscribed));
    assert_eq!(course.step(), HELD);
    let mut without = Course::new(false);
    without.answered(&begun(None), 0).unwrap();
    without.unsubscribed();
    assert_eq!(without.step(), AT_ONCE);
}
