//! One list of those of several nodes. Each has the first of its node, so the first of all are among them.

use std::collections::BTreeMap;

use super::super::directory::{ChannelDetails, ListedSession, Presence};
use crate::router::Listed;
use crate::smallest::Page;

/// Returns what stands in any of these pages, and whether there is more behind one of them.
fn together<T>(here: Page<T>, others: Vec<Page<T>>) -> (impl Iterator<Item = T>, bool) {
    let is_more = here.is_more || others.iter().any(|page| page.is_more);
    let others = others.into_iter().flat_map(|page| page.items);
    (here.items.into_iter().chain(others), is_more)
}

/// Merges pages of sessions. One that moves meanwhile may stand in two of them.
pub(super) fn sessions(
    here: Page<ListedSession>,
    others: Vec<Page<ListedSession>>,
    limit: usize,
) -> Page<ListedSession> {
    if others.is_empty() {
        return here;
    }
    let (all, is_more) = together(here, others);
    let all: BTreeMap<_, _> = all.map(|listed| (listed.alias, listed)).collect();
    first(all, limit, is_more)
}

/// Merges pages of channels and patterns: their subscribers are added.
pub(super) fn channels(
    here: Page<Listed>,
    others: Vec<Page<Listed>>,
    limit: usize,
) -> Page<Listed> {
    if others.is_empty() {
        return here;
    }
    let (listed, is_more) = together(here, others);
    let mut all: BTreeMap<_, Listed> = BTreeMap::new();
    for listed in listed {
        match all.get_mut(&listed.pattern) {
            Some(known) => add(known, &listed),
            None => {
                all.insert(listed.pattern.clone(), listed);
            }
        }
    }
    first(all, limit, is_more)
}

/// Merges what nodes have of one channel or pattern; nothing if none has a subscriber.
pub(super) fn channel(
    here: Option<ChannelDetails>,
    others: impl Iterator<Item = ChannelDetails>,
    max_users: usize,
) -> Option<ChannelDetails> {
    let mut all = here.into_iter().chain(others);
    let mut merged = all.next()?;
    for details in all {
        add(&mut merged.listed, &details.listed);
        merged.presence = match (merged.presence, details.presence) {
            (Some(one), Some(other)) => Some(presence(one, other, max_users)),
            // Nodes whose configuration differs: what one does not tell is not known of all.
            _ => None,
        };
    }
    Some(merged)
}

/// Adds the subscribers of another node. What is published is sent to those of all nodes, so each has seen it all.
fn add(known: &mut Listed, other: &Listed) {
    known.subscribers += other.subscribers;
    known.rate = known.rate.max(other.rate);
}

fn presence(one: Presence, other: Presence, max_users: usize) -> Presence {
    let mut users: BTreeMap<String, usize> = BTreeMap::new();
    for (user, sessions) in one.users.into_iter().chain(other.users) {
        *users.entry(user).or_default() += sessions;
    }
    Presence {
        is_truncated: one.is_truncated || other.is_truncated || users.len() > max_users,
        anonymous: one.anonymous + other.anonymous,
        users: users.into_iter().take(max_users).collect(),
    }
}

fn first<K, V>(all: BTreeMap<K, V>, limit: usize, is_more: bool) -> Page<V> {
    Page {
        is_more: is_more || all.len() > limit,
        items: all.into_values().take(limit).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bayeux::{ChannelPattern, Limits};

    fn pattern(name: &str) -> ChannelPattern {
        ChannelPattern::parse(name, &Limits::default()).expect(name)
    }

    fn listed(name: &str, subscribers: usize, rate: f64) -> Listed {
        Listed {
            pattern: pattern(name),
            subscribers,
            rate,
        }
    }

    fn page(items: &[(&str, usize, f64)], is_more: bool) -> Page<Listed> {
        let items = items.iter();
        let items = items.map(|(name, subscribers, rate)| listed(name, *subscribers, *rate));
        Page {
            items: items.collect(),
            is_more,
        }
    }

    #[test]
    fn channels_of_several_nodes_are_one_list() {
        let here = page(&[("/a", 1, 2.0), ("/c", 1, 0.0)], true);
        let others = || {
            vec![
                page(&[("/b", 2, 0.0)], false),
                page(&[("/a", 3, 1.0), ("/b", 1, 4.0)], false),
            ]
        };
        let whole = [("/a", 4, 2.0), ("/b", 3, 4.0), ("/c", 1, 0.0)];
        for (limit, is_more) in [(3, true), (2, true)] {
            let merged = channels(here.clone(), others(), limit);
            assert_eq!(merged, page(&whole[..limit], is_more), "{limit}");
        }
        let all_of_it = Page {
            is_more: false,
            ..here.clone()
        };
        for (limit, is_more) in [(3, false), (2, true)] {
            let merged = channels(all_of_it.clone(), others(), limit);
            assert_eq!(merged, page(&whole[..limit], is_more), "{limit}");
        }
        assert_eq!(channels(here.clone(), Vec::new(), 2), here);
    }

    #[test]
    fn a_user_is_present_once_wherever_its_sessions_are() {
        let details = |users: &[(&str, usize)], anonymous| ChannelDetails {
            listed: listed("/a", anonymous, 0.0),
            presence: Some(Presence {
                users: users
                    .iter()
                    .map(|(user, count)| ((*user).to_owned(), *count))
                    .collect(),
                anonymous,
                is_truncated: false,
            }),
        };
        let here = details(&[("u1", 1), ("u3", 1)], 1);
        let others = || vec![details(&[("u1", 2)], 0), details(&[("u2", 1)], 2)].into_iter();
        let merged = |max| channel(Some(here.clone()), others(), max).expect("subscribers");
        let all = merged(3);
        assert_eq!(all, details(&[("u1", 3), ("u2", 1), ("u3", 1)], 3));
        let presence = merged(2).presence.expect("presence");
        assert_eq!(presence.users.len(), 2);
        assert!(presence.is_truncated);
        assert_eq!(channel(None, std::iter::empty(), 3), None);
        let elsewhere = channel(None, others(), 3).expect("subscribers");
        assert_eq!(elsewhere, details(&[("u1", 2), ("u2", 1)], 2));
    }
}
