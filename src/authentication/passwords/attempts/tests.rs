//! Who waits how long after what, in virtual time.

use super::*;

const HERE: Option<IpAddr> = Some(IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1)));
const THERE: Option<IpAddr> = Some(IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 2)));

struct Tried {
    attempts: Attempts,
    now: Instant,
}

impl Tried {
    fn new() -> Self {
        Self::with(1000)
    }

    fn with(max_kept: usize) -> Self {
        let bounds = Bounds {
            free: 3,
            max_delay: Duration::from_secs(20),
            max_kept,
        };
        Self {
            attempts: Attempts::new(bounds),
            now: Instant::now(),
        }
    }

    fn passes(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn wait(&self, user: &str, address: Option<IpAddr>) -> u64 {
        let who = self.attempts.who(user, address);
        let wait = self.attempts.wait(who, self.now);
        wait.unwrap_or_default().as_secs()
    }

    fn note(&self, user: &str, address: Option<IpAddr>, is_right: bool) {
        let who = self.attempts.who(user, address);
        self.attempts.note(who, is_right, self.now);
    }

    fn wrong(&self, user: &str, address: Option<IpAddr>) {
        self.note(user, address, false);
    }
}

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().expect(text))
}

#[test]
fn each_wrong_password_beyond_the_free_ones_doubles_the_wait_up_to_a_bound() {
    let mut tried = Tried::new();
    let mut waits = Vec::new();
    for _ in 0..9 {
        tried.wrong("u1", HERE);
        let wait = tried.wait("u1", HERE);
        waits.push(wait);
        tried.passes(wait);
        assert_eq!(tried.wait("u1", HERE), 0);
    }
    assert_eq!(waits, [0, 0, 1, 2, 4, 8, 16, 20, 20]);
}

#[test]
fn the_wait_shrinks_as_time_passes_and_wrong_passwords_fade() {
    let mut tried = Tried::new();
    for _ in 0..6 {
        tried.wrong("u1", HERE);
    }
    assert_eq!(tried.wait("u1", HERE), 8);
    tried.passes(3);
    assert_eq!(tried.wait("u1", HERE), 5);
    tried.passes(5);
    assert_eq!(tried.wait("u1", HERE), 0);
    // After four minutes two of the six are left, so a third makes one wait for a second.
    tried.passes(4 * 60);
    tried.wrong("u1", HERE);
    assert_eq!(tried.wait("u1", HERE), 1);
}

#[test]
fn a_right_password_begins_anew() {
    let tried = Tried::new();
    for _ in 0..4 {
        tried.wrong("u1", HERE);
    }
    assert_eq!(tried.wait("u1", HERE), 2);
    tried.note("u1", HERE, true);
    assert_eq!(tried.wait("u1", HERE), 0);
    for _ in 0..2 {
        tried.wrong("u1", HERE);
        assert_eq!(tried.wait("u1", HERE), 0);
    }
    tried.wrong("u1", HERE);
    assert_eq!(tried.wait("u1", HERE), 1);
}

#[test]
fn others_are_not_held_up() {
    let tried = Tried::new();
    for _ in 0..10 {
        tried.wrong("u1", HERE);
    }
    assert_eq!(tried.wait("u1", HERE), 20);
    for (user, from) in [("u2", HERE), ("u1", THERE), ("u1", None)] {
        assert_eq!(tried.wait(user, from), 0, "{user} {from:?}");
    }
}

#[test]
fn an_address_that_tries_many_users_is_held_up() {
    let tried = Tried::new();
    for user in 0..29 {
        tried.wrong(&format!("u{user}"), HERE);
        assert_eq!(tried.wait("other", HERE), 0);
    }
    tried.wrong("u29", HERE);
    assert_eq!(tried.wait("other", HERE), 1);
    assert_eq!(tried.wait("other", THERE), 0);
    // What comes through a Unix socket has no address in common.
    for user in 0..100 {
        tried.wrong(&format!("u{user}"), None);
    }
    assert_eq!(tried.wait("other", None), 0);
}

#[test]
fn a_user_who_is_tried_from_many_addresses_waits_but_not_where_the_password_was_right() {
    let tried = Tried::new();
    tried.note("u1", HERE, true);
    for host in 0..40 {
        tried.wrong("u1", address(&format!("198.51.100.{host}")));
    }
    assert_eq!(tried.wait("u1", THERE), 20);
    assert_eq!(tried.wait("u2", THERE), 0);
    assert_eq!(tried.wait("u1", HERE), 0);
    // There only what is wrong there counts, however often.
    tried.wrong("u1", HERE);
    tried.wrong("u1", HERE);
    assert_eq!(tried.wait("u1", HERE), 0);
    tried.wrong("u1", HERE);
    assert_eq!(tried.wait("u1", HERE), 1);
}

#[test]
fn a_network_of_ipv6_counts_as_an_address_and_a_mapped_one_is_itself() {
    let tried = Tried::new();
    for host in 0..3 {
        tried.wrong("u1", address(&format!("2001:db8::{host}")));
        tried.wrong("u2", address("::ffff:192.0.2.1"));
    }
    let cases = [
        ("u1", "2001:db8::ffff:0:0:9", 1),
        ("u1", "2001:db8:0:1::1", 0),
        ("u2", "192.0.2.1", 1),
        ("u2", "192.0.2.2", 0),
    ];
    for (user, from, expected) in cases {
        assert_eq!(tried.wait(user, address(from)), expected, "{user} {from}");
    }
}

#[test]
fn what_is_kept_is_bounded_and_what_was_asked_for_last_stays() {
    let tried = Tried::with(100);
    for _ in 0..5 {
        tried.wrong("u1", HERE);
    }
    for host in 0..2000 {
        tried.wrong(
            &format!("other{host}"),
            address(&format!("10.0.{}.{}", host / 256, host % 256)),
        );
        assert_eq!(tried.wait("u1", HERE), 4, "{host}");
        let counts = tried.attempts.lock();
        assert!(counts.len() <= 100);
    }
}
