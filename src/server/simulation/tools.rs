//! Dice, and what the simulation reads of messages.

use std::task::{Context, Waker};

use crate::bayeux::{Event, Reply};

/// Random numbers from a seed (`SplitMix64`).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn throw(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).expect("a small number")
    }

    pub(super) fn is(&mut self, percent: usize) -> bool {
        self.throw(100) < percent
    }
}

pub(super) fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

pub(super) fn written(reply: &Reply<'_>) -> String {
    let mut json = Vec::new();
    reply.write(&mut json);
    String::from_utf8(json).expect("UTF-8")
}

/// What stands between a text and the next `end`.
pub(super) fn between<'t>(text: &'t str, begin: &str, end: char) -> Option<&'t str> {
    let (_, rest) = text.split_once(begin)?;
    rest.split(end).next()
}

/// The number of a connect's reply.
pub(super) fn number(reply: &str) -> Option<u64> {
    between(reply, r#""ext":{"ack":"#, '}')?.parse().ok()
}

pub(super) fn data(event: &Event) -> u32 {
    let json = std::str::from_utf8(event.json()).expect("UTF-8");
    let (_, data) = json.split_once(r#""data":"#).expect("data");
    let data = data.split(|next: char| !next.is_ascii_digit()).next();
    data.and_then(|data| data.parse().ok()).expect("a number")
}
