//! A message of an application server for a session, or for all of a user, wherever in the cluster they are.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join};

use super::cluster::asked::{send_here, send_to_user};
use super::cluster::asking::{ask_others, ask_owner};
use super::cluster::questions::{Question, json_of};
use super::core::Core;
use crate::bayeux::{ChannelName, ClientId, Event};
use crate::operations::Scope;
use crate::operations::http_api::NotSent;
use crate::sequence::{Reached, Sequenced};

/// Whom something is for.
#[derive(Debug, Clone, Copy)]
pub enum To<'a> {
    /// A session.
    Session(ClientId),
    /// All sessions of a user.
    User(&'a str),
}

/// What becomes of a message that is kept first, or that others send, too.
pub type Later = BoxFuture<'static, Result<Sequenced, NotSent>>;

/// How far a message has come.
pub enum Sent {
    /// So far.
    Done(Reached),
    /// So far, and to no other node of the cluster.
    Local(Reached),
    /// That is not known yet.
    Later(Later),
}

/// Sends an event to sessions.
///
/// # Errors
/// There is no such session.
pub(super) fn deliver(
    core: &Arc<Core>,
    to: To<'_>,
    channel: &ChannelName,
    event: &Arc<Event>,
    scope: &Scope<'_>,
) -> Result<Sent, NotSent> {
    if core.cluster.is_none() {
        let sessions = match to {
            To::Session(id) => vec![scope.sessions.find(id).ok_or(NotSent::NoSession)?],
            To::User(user) => scope.sessions.of_user(user),
        };
        return Ok(Sent::Done(scope.hand_all(&sessions, channel, event)));
    }
    let (core, channel, event) = (Arc::clone(core), channel.clone(), Arc::clone(event));
    Ok(Sent::Later(match to {
        To::Session(id) => to_session(core, id, channel, event).boxed(),
        To::User(user) => to_user(core, user.to_owned(), channel, event).boxed(),
    }))
}

async fn to_session(
    core: Arc<Core>,
    id: ClientId,
    channel: ChannelName,
    event: Arc<Event>,
) -> Result<Sequenced, NotSent> {
    let question = Question::SendToSession {
        id,
        event: json_of(&event),
    };
    let here = |core: &Core| send_here(core, id, &channel, &event);
    match ask_owner(&core, id, &question, here).await {
        Ok(Some(reached)) => Ok(reached.into()),
        Ok(None) => Err(NotSent::NoSession),
        Err(_) => Err(NotSent::NoAnswer),
    }
}

async fn to_user(
    core: Arc<Core>,
    user: String,
    channel: ChannelName,
    event: Arc<Event>,
) -> Result<Sequenced, NotSent> {
    let question = Question::SendToUser {
        user: user.clone(),
        event: json_of(&event),
    };
    let here = send_to_user(&core, &user, &channel, &event);
    let (mut reached, said) = join(here, ask_others::<Reached>(&core, &question)).await;
    reached.missing += said.missing;
    for also in said.answers {
        reached.add(also);
    }
    Ok(reached.into())
}
