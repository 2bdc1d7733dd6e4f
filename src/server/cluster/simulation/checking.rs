//! What each client is promised, and whether it has got that.

use std::collections::{HashMap, HashSet};

use super::client::{Client, Life};
use super::{Node, World};
use crate::bayeux::ClientId;

impl World {
    /// Looks whether a client has got what it is promised.
    pub(super) fn check(&self, client: &Client) {
        let lives = client.lives.lock().expect("nobody fails");
        let (name, acknowledges) = (client.name, client.habits.acknowledges);
        let fail = |what: String| {
            self.fail(format!(
                "client {name} (acknowledges: {acknowledges}): {what}"
            ));
        };
        let published = self.redis.published().into_iter();
        let ids: HashMap<_, _> = published.map(|(id, _, number)| (number, id)).collect();
        for life in lives.iter() {
            check_order(life, &ids, self.redis.is_calm, acknowledges, &fail);
            if life.is_over {
                self.check_end(life, &fail);
            }
        }
        let Some(life) = lives.last().filter(|life| life.replies > 0) else {
            return fail("it does not get on".to_owned());
        };
        self.check_received(life, acknowledges, &fail);
        if acknowledges {
            self.check_position(life, &fail);
        }
    }

    fn check_received(&self, life: &Life, acknowledges: bool, fail: &impl Fn(String)) {
        let known: HashSet<u64> = life.received.iter().map(|(_, number)| *number).collect();
        for (id, name, number) in &self.redis.published() {
            let is_it = |channel: usize| self.channels[channel] == *name;
            let is_promised = life.promises.iter().any(|it| {
                let is_after = *id > it.from && it.until.is_none_or(|until| *id <= until);
                is_after && is_it(it.channel)
            });
            let is_told = life.gaps.iter().any(|(own, at)| is_it(*own) && at >= id);
            let may_miss = !(acknowledges && name.as_str().starts_with("/h/"));
            if is_promised && !known.contains(number) && !(is_told && may_miss) {
                fail(format!("{number} on {name:?} is lost, which is {id}"));
            }
        }
    }

    /// What has been acknowledged is written, or it would come again if its node died.
    fn check_position(&self, life: &Life, fail: &impl Fn(String)) {
        let id: ClientId = life.id.parse().expect("an id");
        let Some(mut record) = self.redis.record(id) else {
            return fail("others do not know of its session".to_owned());
        };
        let published = self.redis.published();
        let all = published.iter().rev();
        let mut all = all.filter(|(_, name, _)| name.as_str().starts_with("/h/"));
        let open = life.promises.iter().filter(|it| it.until.is_none());
        let last = all.find(|(id, name, _)| {
            open.clone()
                .any(|it| *id > it.from && self.channels[it.channel] == *name)
        });
        let position = record.adopt();
        if let Some((last, ..)) = last
            && position < *last
        {
            fail(format!(
                "only what came up to {position} is written to be acknowledged, of {last}"
            ));
        }
    }

    /// A session that was ended is nowhere, if nothing else has happened.
    fn check_end(&self, life: &Life, fail: &impl Fn(String)) {
        let id: ClientId = life.id.parse().expect("an id");
        let has = |node: &Node| node.server.core.sessions.find(id).is_some();
        let nodes = self.nodes();
        let mut living = nodes.iter().filter(|node| !node.gate.is_dead());
        let is_anywhere = living.any(|node| has(node)) || self.redis.owner(id).is_some();
        if self.redis.is_calm && is_anywhere {
            fail(format!("session {id:?} was ended and lives"));
        }
    }
}

/// Each message comes once, in order; again only to who acknowledges.
fn check_order(
    life: &Life,
    ids: &HashMap<u64, u64>,
    is_calm: bool,
    acknowledges: bool,
    fail: &impl Fn(String),
) {
    let mut known = HashSet::new();
    let mut last = [0; 3];
    for (channel, number) in &life.received {
        let is_new = known.insert(*number);
        // Who acknowledges gets some again after a node has died.
        if !is_new && (is_calm || !acknowledges) {
            fail(format!("{number} came twice"));
        }
        // All channels are in one order but for what is had again from history.
        let kind = if is_calm { 0 } else { *channel };
        let id = ids[number];
        let mut promises = life.promises.iter();
        let is_promised = promises.any(|it| it.channel == *channel && id > it.from);
        // Who adopts a session may read more of the past than it had subscribed to, if its node had not heard anything
        // for long when it did.
        if !is_promised && acknowledges && !is_calm {
            continue;
        }
        if is_new && id < last[kind] {
            fail(format!("{number} came late: {id} after {}", last[kind]));
        }
        last[kind] = last[kind].max(id);
    }
}
