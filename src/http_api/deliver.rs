//! To send to one session, or to all sessions of a user, whatever they are subscribed to.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use http::{HeaderMap, Uri};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::caller::Caller;
use super::extract::{Body, Json};
use super::message::{Element, Posted, string};
use super::nodes::MissingNodes;
use super::problem::{DeliverProblems, KeyProblems, Kind, Problem};
use super::publish::malformed;
use super::send::{Content, Request};
use super::{Shared, Working};
use crate::alias::Alias;
use crate::authentication::api_keys::Permission;
use crate::bayeux::{ChannelKind, ChannelName, Message, parse_body};
use crate::server::{Sending, To};

/// A message for a session or a user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "it describes what is read without a copy")]
struct DeliverMessage {
    /// The session that it is for: its name in events and lists, which is not its client id. Either this or a
    /// user is needed.
    #[schema(nullable)]
    session: Option<String>,
    /// The user whose sessions it is for.
    #[schema(nullable)]
    user: Option<String>,
    /// A broadcast or service channel.
    #[schema(example = "/service/orders")]
    channel: String,
    /// Any JSON; clients receive it byte for byte.
    data: Value,
    /// Further JSON that goes with it.
    #[schema(nullable)]
    ext: Option<Value>,
}

/// How far a message has come.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Delivered {
    /// The sessions that it is queued for.
    sessions: u32,
    /// The sessions that have too much queued.
    dropped: u32,
    #[serde(flatten)]
    nodes: MissingNodes,
}

/// Sends a message to a session, or to all sessions of a user, on a service channel or any other.
#[utoipa::path(
    post,
    path = "/api/v1/deliver",
    tag = "messages",
    params(("Idempotency-Key" = Option<String>, Header, description = "What comes again under the same key is not sent again.")),
    request_body = DeliverMessage,
    responses(
        (status = 200, description = "How far it came. A user without a session is no error.", body = Delivered),
        KeyProblems,
        DeliverProblems
    )
)]
pub(super) async fn deliver(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Working<Json<Delivered>>, Problem> {
    caller.may(Permission::Publish)?;
    let Element(posted) = parse_body(&body, &shared.server.terms().limits).map_err(malformed)?;
    let posted = posted.map_err(|form| Problem::new(Kind::Message, form))?;
    let session = string("session", posted.session)?;
    let user = string("user", posted.user)?;
    if user.as_deref() == Some("") {
        return Err(Problem::new(Kind::Message, "user must not be empty"));
    }
    let to = match (&session, &user) {
        (Some(session), None) => {
            // What is no name of a session is none that is there either.
            let alias: Option<Alias> = session.parse().ok();
            let alias = alias.ok_or_else(|| Problem::from(crate::server::NotSent::NoSession))?;
            To::Session(shared.server.client_of(alias))
        }
        (None, Some(user)) => To::User(user),
        (None, None) | (Some(_), Some(_)) => {
            let detail = "the message needs either a session or a user that it is for";
            return Err(Problem::new(Kind::Message, detail));
        }
    };
    let content = Content {
        path: uri.path(),
        body: &body,
    };
    let request = Request::begin(&shared, &caller, &headers, content, 1)?;
    let check = |posted: &Posted<'_>| check(&shared, &caller, posted);
    let send = |sending: &mut Sending<'_>,
                _: usize,
                message: &mut Message<'_>,
                channel: &ChannelName,
                now: Instant| sending.deliver(to, message, channel, now);
    let (mut sent, work) = request.send(vec![Ok(posted)], &check, &send).await?;
    let (sessions, dropped, nodes) = sent.remove(0)?.reached();
    Ok(Working::new(
        Json(Delivered {
            sessions,
            dropped,
            nodes,
        }),
        work,
    ))
}

/// Finds the channel of a message, if clients can be sent something there.
fn check(shared: &Shared, caller: &Caller, posted: &Posted<'_>) -> Result<ChannelName, Problem> {
    if posted.id.is_some() {
        let detail = "a delivery has no id; send an Idempotency-Key if it may come again";
        return Err(Problem::new(Kind::Message, detail));
    }
    let channel = posted.channel(&shared.server.terms().limits)?;
    if channel.kind() == ChannelKind::Meta {
        let detail =
            "meta channels are the protocol's own; use others, such as \"/service/orders\"";
        return Err(Problem::new(Kind::Unfit, detail));
    }
    caller.may_use(&channel)?;
    Ok(channel)
}
