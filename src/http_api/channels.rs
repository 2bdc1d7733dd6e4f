//! Channels and patterns that anybody is subscribed to: how many, how much is published, and who.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::Caller;
use super::extract::{Json, Path, Query};
use super::nodes::MissingNodes;
use super::paging::{self, parameter};
use super::problem::{Kind, Problem};
use super::{Shared, Working, worked};
use crate::authentication::api_keys::Permission;
use crate::bayeux::ChannelPattern;
use crate::router::{Listed, Selection};
use crate::server::Presence;
use crate::transports::now;

/// Which channels are to be listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ChannelQuery {
    /// Only channels and patterns that this pattern covers.
    #[param(example = "/chat/**")]
    pattern: Option<String>,
    /// How many at most, 1 to 1000; without it 100.
    limit: Option<usize>,
    /// Those behind this one: `next` of the page before.
    after: Option<String>,
}

/// How many users are to be told.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PresenceQuery {
    /// How many users at most, 1 to 1000; without it 100.
    limit: Option<usize>,
}

/// A page of channels and patterns, by name.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Channels {
    channels: Vec<Channel>,
    /// What `after` has to be for the next page; null: there is none.
    next: Option<String>,
    #[serde(flatten)]
    nodes: MissingNodes,
}

/// A channel or pattern with a subscriber.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Channel {
    /// Its name.
    #[schema(example = "/chat/1")]
    channel: String,
    /// How many sessions are subscribed to just this.
    subscribers: usize,
    /// How many messages a second were sent to these, over about the last ten seconds.
    rate: f64,
}

/// A channel or pattern, and who is subscribed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChannelDetails {
    #[serde(flatten)]
    channel: Channel,
    /// Who is subscribed; null: the channel has no `presence = true`.
    presence: Option<Present>,
    #[serde(flatten)]
    nodes: MissingNodes,
}

/// Who is subscribed to a channel.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Present {
    /// The users, by name.
    users: Vec<PresentUser>,
    /// How many sessions are of clients that have not shown who they are.
    anonymous: usize,
    /// Whether there are more than these.
    truncated: bool,
}

/// A user that is subscribed to a channel.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PresentUser {
    user: String,
    /// How many of its sessions are.
    sessions: usize,
}

impl From<Listed> for Channel {
    fn from(listed: Listed) -> Self {
        Self {
            channel: listed.pattern.as_str().to_owned(),
            subscribers: listed.subscribers,
            rate: (listed.rate * 100.0).round() / 100.0,
        }
    }
}

impl From<Presence> for Present {
    fn from(presence: Presence) -> Self {
        let users = presence.users.into_iter();
        Self {
            users: users
                .map(|(user, sessions)| PresentUser { user, sessions })
                .collect(),
            anonymous: presence.anonymous,
            truncated: presence.is_truncated,
        }
    }
}

/// Lists channels and patterns that have subscribers.
///
/// By name, as far as the key's channels cover them.
#[utoipa::path(
    get,
    path = "/api/v1/channels",
    operation_id = "list_channels",
    tag = "channels",
    params(ChannelQuery),
    responses(
        (status = 200, description = "A page of them.", body = Channels),
        (status = 400, description = "A parameter is not what it should be.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "There is no valid key.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key does not allow `read`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(
    caller: Caller,
    State(shared): State<Arc<Shared>>,
    Query(query): Query<ChannelQuery>,
) -> Result<Working<Json<Channels>>, Problem> {
    caller.may(Permission::Read)?;
    let asked = query.pattern.as_deref();
    let asked = asked
        .map(|text| {
            let parsed = ChannelPattern::parse(text, &shared.server.terms().limits);
            let fix = "must be a channel or a pattern, such as \"/chat/1\" or \"/chat/**\"";
            parsed.map_err(|_| parameter("pattern", fix))
        })
        .transpose()?;
    let selection = Selection {
        within: caller.rights.channels(),
        asked: asked.as_ref(),
        after: query.after.as_deref(),
        limit: paging::limit(query.limit)?,
    };
    let server = &shared.server;
    let work = server.channel_count();
    let page = worked(work, || server.list_channels(&selection, now()));
    let all = server.all_channels(&selection, page).await;
    let page = all.value;
    let last = page.items.last().filter(|_| page.is_more);
    let channels = Channels {
        next: last.map(|last| last.pattern.as_str().to_owned()),
        channels: page.items.into_iter().map(Channel::from).collect(),
        nodes: MissingNodes::new(all.missing),
    };
    Ok(Working::new(Json(channels), work))
}

/// Tells about one channel or pattern.
///
/// Who is subscribed is told by user if the channel's options allow it (`presence`).
#[utoipa::path(
    get,
    path = "/api/v1/channels/{*channel}",
    operation_id = "channel",
    tag = "channels",
    params(
        ("channel" = String, Path, description = "The name without its first slash.", example = "chat/1"),
        PresenceQuery
    ),
    responses(
        (status = 200, description = "What there is to say of it.", body = ChannelDetails),
        (status = 400, description = "The name or a parameter is not what it should be.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "There is no valid key.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key does not allow `read`, or not on this channel.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "It has no subscriber.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "No node of the cluster has one that answers, and some do not answer.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn one(
    caller: Caller,
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Query(query): Query<PresenceQuery>,
) -> Result<Working<Json<ChannelDetails>>, Problem> {
    caller.may(Permission::Read)?;
    let pattern = caller.seen(&name, &shared.server.terms().limits)?;
    let limit = paging::limit(query.limit)?;
    let server = &shared.server;
    let here = server.channel(&pattern, limit, now());
    let all = server.all_of_channel(&pattern, limit, here).await;
    let nodes = MissingNodes::new(all.missing);
    let found = all.value.ok_or_else(|| {
        let detail = format!("nobody is subscribed to {name}");
        nodes.or(Problem::new(Kind::ChannelUnknown, detail))
    })?;
    let work = found
        .presence
        .as_ref()
        .map_or(0, |_| found.listed.subscribers);
    Ok(Working::new(
        Json(ChannelDetails {
            channel: found.listed.into(),
            presence: found.presence.map(Present::from),
            nodes,
        }),
        work,
    ))
}
