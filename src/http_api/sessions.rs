//! Sessions, by their aliases: which there are, what is known of one, and its end.

use core::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::Caller;
use super::extract::{Json, Path, Query};
use super::nodes::MissingNodes;
use super::paging::{self, parameter};
use super::problem::{Kind, Problem};
use super::{Shared, Working, worked};
use crate::alias::Alias;
use crate::authentication::api_keys::Permission;
use crate::bayeux::Transport;
use crate::network::Network;
use crate::server::ListedSession;
use crate::session::Selection;

/// Which sessions are to be listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SessionQuery {
    /// Only those of this user.
    user: Option<String>,
    /// Only those whose clients use this transport.
    #[param(example = "websocket")]
    transport: Option<String>,
    /// Only those whose handshake came from this address or network.
    #[param(example = "10.0.0.0/8")]
    address: Option<String>,
    /// How many at most, 1 to 1000; without it 100.
    limit: Option<usize>,
    /// Those behind this one: `next` of the page before.
    after: Option<String>,
}

/// A page of sessions, by their aliases.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Sessions {
    sessions: Vec<Listed>,
    /// What `after` has to be for the next page; null: there is none.
    next: Option<String>,
    #[serde(flatten)]
    nodes: MissingNodes,
}

/// A session.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Listed {
    /// Its alias. The client id is its client's secret.
    session: String,
    /// The user, if its client has shown who it is.
    user: Option<String>,
    /// The address that its handshake came from, if it has one and it is known.
    #[schema(value_type = Option<String>, example = "192.0.2.7")]
    address: Option<IpAddr>,
    /// The transport that its client uses.
    #[schema(value_type = Option<String>, example = "websocket")]
    transport: Option<&'static str>,
    /// When it began.
    #[schema(format = DateTime)]
    since: String,
    /// When its client sent the last message.
    #[schema(format = DateTime)]
    last_seen: String,
    /// How many events wait for its client.
    queued: usize,
    /// How many channels and patterns it is subscribed to.
    subscribed: usize,
}

/// A session, and what it has.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionDetails {
    #[serde(flatten)]
    listed: Listed,
    /// The roles that its client has shown.
    roles: Vec<String>,
    /// What it is subscribed to, as far as the key's channels cover that; by name.
    subscriptions: Vec<String>,
    /// How many its client has yet to acknowledge, if it does that.
    unacknowledged: usize,
}

/// When something was, in whole seconds.
fn rfc3339(time: SystemTime) -> String {
    let time = time.max(SystemTime::UNIX_EPOCH);
    humantime::format_rfc3339_seconds(time).to_string()
}

impl From<ListedSession> for Listed {
    fn from(listed: ListedSession) -> Self {
        Self {
            session: listed.alias.to_string(),
            user: listed.user,
            address: listed.address,
            transport: listed.transport.map(Transport::name),
            since: rfc3339(listed.since),
            last_seen: rfc3339(listed.last_seen),
            queued: listed.queued,
            subscribed: listed.subscribed,
        }
    }
}

pub(super) fn read_alias(text: &str) -> Result<Alias, Problem> {
    text.parse().map_err(|_| {
        let fix =
            "must be the alias of a session, 22 letters and digits, as lists and events name it";
        parameter("session", fix)
    })
}

pub(super) fn unknown() -> Problem {
    Problem::new(
        Kind::SessionUnknown,
        "no session has this alias; it may have ended",
    )
}

/// Lists sessions.
///
/// By their aliases, which are in no other order.
#[utoipa::path(
    get,
    path = "/api/v1/sessions",
    operation_id = "list_sessions",
    tag = "sessions",
    params(SessionQuery),
    responses(
        (status = 200, description = "A page of them.", body = Sessions),
        (status = 400, description = "A parameter is not what it should be.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "There is no valid key.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key does not allow `sessions`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(
    caller: Caller,
    State(shared): State<Arc<Shared>>,
    Query(query): Query<SessionQuery>,
) -> Result<Working<Json<Sessions>>, Problem> {
    caller.may(Permission::Sessions)?;
    let transport = query.transport.as_deref().map(|name| {
        let names = Transport::ALL.map(Transport::name).join(", ");
        Transport::named(name)
            .ok_or_else(|| parameter("transport", format!("must be one of {names}")))
    });
    let network = query
        .address
        .as_deref()
        .map(|text| Network::parse(text).map_err(|fix| parameter("address", fix)));
    let after = query.after.as_deref().map(read_alias);
    let selection = Selection {
        user: query.user,
        transport: transport.transpose()?,
        network: network.transpose()?,
        after: after.transpose()?,
        limit: paging::limit(query.limit)?,
    };
    let server = &shared.server;
    let work = server.session_count();
    let page = worked(work, || server.list_sessions(&selection));
    let all = server.all_sessions(selection, page).await;
    let page = all.value;
    let last = page.items.last().filter(|_| page.is_more);
    let sessions = Sessions {
        next: last.map(|last| last.alias.to_string()),
        sessions: page.items.into_iter().map(Listed::from).collect(),
        nodes: MissingNodes::new(all.missing),
    };
    Ok(Working::new(Json(sessions), work))
}

/// Tells about one session.
#[utoipa::path(
    get,
    path = "/api/v1/sessions/{session}",
    operation_id = "session",
    tag = "sessions",
    params(("session" = String, Path, description = "Its alias.")),
    responses(
        (status = 200, description = "What there is to say of it.", body = SessionDetails),
        (status = 400, description = "It is no alias.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "There is no valid key.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key does not allow `sessions`.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such session.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "It is at another node of the cluster, which does not answer.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn one(
    caller: Caller,
    State(shared): State<Arc<Shared>>,
    Path(alias): Path<String>,
) -> Result<Json<SessionDetails>, Problem> {
    caller.may(Permission::Sessions)?;
    let alias = read_alias(&alias)?;
    let session = shared.server.session(alias).await?.ok_or_else(unknown)?;
    let subscriptions = session.subscriptions.iter();
    let seen = subscriptions.filter(|pattern| caller.may_see(pattern).is_ok());
    let mut subscriptions: Vec<_> = seen.map(|pattern| pattern.as_str().to_owned()).collect();
    subscriptions.sort_unstable();
    Ok(Json(SessionDetails {
        listed: session.listed.into(),
        roles: session.roles,
        subscriptions,
        unacknowledged: session.backlog.unacknowledged,
    }))
}

/// Ends a session.
///
/// Its client hears of it, and may handshake again; to keep a user away, refuse it.
#[utoipa::path(
    delete,
    path = "/api/v1/sessions/{session}",
    operation_id = "end_session",
    tag = "sessions",
    params(("session" = String, Path, description = "Its alias.")),
    responses(
        (status = 204, description = "It has ended."),
        (status = 400, description = "It is no alias.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "There is no valid key.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key does not allow `sessions`.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such session.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "It is at another node of the cluster, which does not answer.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn end(
    caller: Caller,
    State(shared): State<Arc<Shared>>,
    Path(alias): Path<String>,
) -> Result<StatusCode, Problem> {
    caller.may(Permission::Sessions)?;
    if shared.server.end_session(read_alias(&alias)?).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(unknown())
    }
}
