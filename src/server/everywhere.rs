//! What application servers are told of all nodes of a cluster, and what they have done at all of them. Without a
//! cluster it is what there is here.

mod merging;

use std::time::{Duration, Instant};

use futures_util::future::join;

use super::BayeuxServer;
use super::TooManyRefused;
use super::cluster::asked::end_all_of;
use super::cluster::asking::{NoAnswer, ask_others, ask_owner};
use super::cluster::questions::Question;
use super::core::Core;
use super::directory::{ChannelDetails, Disconnected, ListedSession, SessionDetails};
use crate::alias::Alias;
use crate::bayeux::ChannelPattern;
use crate::router::{Listed, Selection as ChannelSelection};
use crate::session::Selection as SessionSelection;
use crate::smallest::Page;

/// What all nodes have said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gathered<T> {
    /// All of it together.
    pub value: T,
    /// How many nodes did not answer, of which it lacks what there is.
    pub missing: usize,
}

impl BayeuxServer {
    /// Adds the sessions of other nodes to a page of those that are here.
    pub async fn all_sessions(
        &self,
        selection: SessionSelection,
        here: Page<ListedSession>,
    ) -> Gathered<Page<ListedSession>> {
        let limit = selection.limit;
        let said = ask_others(&self.core, &Question::Sessions(selection)).await;
        Gathered {
            value: merging::sessions(here, said.answers, limit),
            missing: said.missing,
        }
    }

    /// Returns the session of an alias, wherever it is; nothing if there is none.
    ///
    /// # Errors
    /// Its node does not answer.
    pub async fn session(&self, alias: Alias) -> Result<Option<SessionDetails>, NoAnswer> {
        let id = self.client_of(alias);
        let here = |core: &Core| core.session_details(id);
        ask_owner(&self.core, id, &Question::Session { id }, here).await
    }

    /// Ends the session of an alias, wherever it is, whose client may handshake again; false if there is none.
    ///
    /// # Errors
    /// Its node does not answer: it may have ended.
    pub async fn end_session(&self, alias: Alias) -> Result<bool, NoAnswer> {
        let id = self.client_of(alias);
        let here = |core: &Core| core.end_session(id, Instant::now()).then_some(true);
        let ended = ask_owner(&self.core, id, &Question::EndSession { id }, here).await;
        ended.map(|ended| ended.is_some())
    }

    /// Adds the channels and patterns of other nodes to a page of those that are here.
    pub async fn all_channels(
        &self,
        selection: &ChannelSelection<'_>,
        here: Page<Listed>,
    ) -> Gathered<Page<Listed>> {
        let question = Question::Channels {
            within: selection.within.to_vec(),
            asked: selection.asked.cloned(),
            after: selection.after.map(str::to_owned),
            limit: selection.limit,
        };
        let said = ask_others(&self.core, &question).await;
        Gathered {
            value: merging::channels(here, said.answers, selection.limit),
            missing: said.missing,
        }
    }

    /// Adds the subscribers that a channel or pattern has at other nodes to those that it has here.
    pub async fn all_of_channel(
        &self,
        pattern: &ChannelPattern,
        max_users: usize,
        here: Option<ChannelDetails>,
    ) -> Gathered<Option<ChannelDetails>> {
        let question = Question::Channel {
            pattern: pattern.clone(),
            max_users,
        };
        let said = ask_others::<Option<ChannelDetails>>(&self.core, &question).await;
        Gathered {
            value: merging::channel(here, said.answers.into_iter().flatten(), max_users),
            missing: said.missing,
        }
    }

    /// Ends the sessions of a user, after it is refused for so long, if that is given.
    ///
    /// # Errors
    /// There are as many users refused as there may be; then nothing is done.
    pub async fn disconnect_user(
        &self,
        user: &str,
        refuse: Option<Duration>,
        now: Instant,
    ) -> Result<Gathered<Disconnected>, TooManyRefused> {
        let refused = {
            let scope = self.core.scope(now);
            refuse
                .map(|time| scope.refuse_user(user, time))
                .transpose()?
        };
        let refused = refused.filter(|time| !time.is_zero());
        let question = Question::EndUser {
            user: user.to_owned(),
            refuse,
        };
        let here = end_all_of(&self.core, user);
        let (here, said) = join(here, ask_others::<usize>(&self.core, &question)).await;
        let missing = said.missing + usize::from(here.is_err());
        let sessions = here.unwrap_or_default() + said.answers.iter().sum::<usize>();
        tracing::info!(
            user,
            sessions,
            missing,
            seconds = refused.map(|time| time.as_secs()),
            "a user was disconnected"
        );
        Ok(Gathered {
            value: Disconnected { sessions, refused },
            missing,
        })
    }
}
