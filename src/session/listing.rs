//! Which sessions there are: a page of them, by their aliases, and what one of them keeps.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Session, Sessions};
use crate::alias::{Alias, Aliases};
use crate::bayeux::Transport;
use crate::network::Network;
use crate::smallest::{Page, Smallest};

/// Which sessions are to be listed.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub struct Selection {
    /// Those of this user, if it is given.
    pub user: Option<String>,
    /// Those whose clients use this transport.
    pub transport: Option<Transport>,
    /// Those whose clients have an address in this network.
    pub(crate) network: Option<Network>,
    /// Those behind this alias.
    pub after: Option<Alias>,
    /// So many at most.
    pub limit: usize,
}

/// How many events a session keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub struct Backlog {
    /// Those that are queued.
    pub queued: usize,
    /// Those that were sent, but not acknowledged, by a client that does that.
    pub unacknowledged: usize,
}

impl Selection {
    /// Tells whether a session is one of them, as far as that can be told without a lock.
    fn has(&self, session: &Session) -> bool {
        let origin = session.origin();
        self.transport
            .is_none_or(|transport| origin.transport() == Some(transport))
            && self.network.is_none_or(|network| {
                let address = origin.address();
                address.is_some_and(|address| network.contains(address))
            })
    }
}

impl Sessions {
    /// Lists sessions by their aliases. Without a user it looks at all there are.
    #[must_use]
    pub fn list(&self, selection: &Selection, aliases: &Aliases) -> Page<(Alias, Arc<Session>)> {
        let mut smallest = Smallest::new(selection.limit);
        let mut offer = |session: &Arc<Session>| {
            if selection.has(session) {
                let alias = aliases.of(session.id());
                if selection.after.is_none_or(|after| after < alias) {
                    smallest.offer(alias, || (alias, Arc::clone(session)));
                }
            }
        };
        match &selection.user {
            Some(user) => self.of_user(user).iter().for_each(offer),
            None => self.each(&mut offer),
        }
        smallest.into_page()
    }
}

impl Session {
    /// Returns how many events it keeps.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        self.lock().state.backlog()
    }
}
