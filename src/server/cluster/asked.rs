//! What is asked of this node about its sessions, channels and users, by others or by itself.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::task::spawn_blocking;

use super::super::core::Core;
use super::asking::ask_owner;
use super::calls::{decode, encode};
use super::questions::{Question, json_of};
use crate::bayeux::{ChannelName, ClientId, Event};
use crate::router::Selection;
use crate::sequence::Reached;
use crate::session::Session;

/// Answers a question of another node.
///
/// # Errors
/// It cannot be read.
pub(super) async fn answer(core: Arc<Core>, body: Bytes) -> Result<Bytes, String> {
    match decode(&body)? {
        Question::Sessions(selection) => {
            let look = move || encode(&core.list_sessions(&selection));
            aside(look).await
        }
        Question::Session { id } => {
            Ok(encode(&core.session_details(id).filter(|_| has(&core, id))))
        }
        Question::EndSession { id } => {
            let is_here = has(&core, id) && core.end_session(id, Instant::now());
            Ok(encode(&is_here.then_some(true)))
        }
        Question::Channels {
            within,
            asked,
            after,
            limit,
        } => {
            let look = move || {
                let selection = Selection {
                    within: &within,
                    asked: asked.as_ref(),
                    after: after.as_deref(),
                    limit,
                };
                encode(&core.router.list(&selection, Instant::now()))
            };
            aside(look).await
        }
        Question::Channel { pattern, max_users } => {
            let look = move || encode(&core.channel(&pattern, max_users, Instant::now()));
            aside(look).await
        }
        Question::EndUser { user, refuse } => {
            if let Some(time) = refuse {
                let refused = core.scope(Instant::now()).refuse_user(&user, time);
                refused.map_err(|error| error.to_string())?;
            }
            end_all_of(&core, &user).await.map(|ended| encode(&ended))
        }
        Question::SendToSession { id, event } => {
            let (channel, event) = read(&core, &event)?;
            Ok(encode(&send_here(&core, id, &channel, &event)))
        }
        Question::SendToUser { user, event } => {
            let (channel, event) = read(&core, &event)?;
            Ok(encode(&send_to_user(&core, &user, &channel, &event).await))
        }
    }
}

/// Looks through what may be much.
async fn aside(look: impl FnOnce() -> Bytes + Send + 'static) -> Result<Bytes, String> {
    let found = spawn_blocking(look).await;
    found.map_err(|_| "it has failed".to_owned())
}

fn read(core: &Core, event: &RawValue) -> Result<(ChannelName, Arc<Event>), String> {
    let event = core.scope(Instant::now()).event_again(event.get());
    event.ok_or_else(|| "there is no event in it".to_owned())
}

/// Tells whether a session is here, and is not about to go.
fn has(core: &Core, id: ClientId) -> bool {
    let cluster = core.cluster.as_ref();
    cluster.is_none_or(|cluster| core.has(cluster, id))
}

/// Sends an event to a session, if that is here.
pub(in crate::server) fn send_here(
    core: &Core,
    id: ClientId,
    channel: &ChannelName,
    event: &Arc<Event>,
) -> Option<Reached> {
    let session = core.sessions.find(id).filter(|_| has(core, id))?;
    Some(
        core.scope(Instant::now())
            .hand_all(&[session], channel, event),
    )
}

/// Sends an event to the sessions of a user that are here, also to those that are about to go.
pub(in crate::server) async fn send_to_user(
    core: &Arc<Core>,
    user: &str,
    channel: &ChannelName,
    event: &Arc<Event>,
) -> Reached {
    let (staying, going) = of_user(core, user);
    let mut reached = {
        let scope = core.scope(Instant::now());
        scope.hand_all(&staying, channel, event)
    };
    for id in going {
        let question = Question::SendToSession {
            id,
            event: json_of(event),
        };
        let here = |core: &Core| send_here(core, id, channel, event);
        match ask_owner(core, id, &question, here).await {
            Ok(Some(also)) => reached.add(also),
            Ok(None) => {}
            Err(_) => reached.missing += 1,
        }
    }
    reached
}

/// Ends the sessions of a user that are here, also those that are about to go; returns how many.
///
/// # Errors
/// Where one of these has gone is not known.
pub(in crate::server) async fn end_all_of(core: &Arc<Core>, user: &str) -> Result<usize, String> {
    let (staying, going) = of_user(core, user);
    let mut ended = 0;
    for session in staying {
        ended += usize::from(core.end_session(session.id(), Instant::now()));
    }
    for id in going {
        let here = |core: &Core| core.end_session(id, Instant::now()).then_some(true);
        let gone = ask_owner(core, id, &Question::EndSession { id }, here).await;
        let gone = gone.map_err(|_| "a session has gone to a node that does not answer")?;
        ended += usize::from(gone.is_some());
    }
    Ok(ended)
}

/// Returns the sessions of a user, and those that are about to go to another node.
fn of_user(core: &Core, user: &str) -> (Vec<Arc<Session>>, Vec<ClientId>) {
    let all = core.sessions.of_user(user).into_iter();
    let (staying, going): (Vec<_>, Vec<_>) = all.partition(|session| has(core, session.id()));
    let going = going.iter().map(|session| session.id());
    (staying, going.collect())
}
