//! Figures, channels and sessions as streams of events, for whoever watches.

use std::sync::Arc;

use axum::extract::State;

use super::Shared;
use super::caller::Caller;
use super::extract::Path;
use super::live::{Live, bounds};
use super::problem::Problem;
use super::sessions::{read_alias, unknown};
use crate::authentication::api_keys::Permission;

/// Streams figures.
///
/// First an event `past` with those of the last quarter of an hour, one for ten seconds each; then an event `figures`
/// each second.
#[utoipa::path(
    get,
    path = "/api/v1/figures",
    operation_id = "watch_figures",
    tag = "watching",
    responses(
        (status = 200, description = "A stream of events.", body = String, content_type = "text/event-stream"),
        (status = 401, description = "There is no valid key.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key does not allow `read`.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "As many watch as may.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn figures(
    caller: Caller,
    State(shared): State<Arc<Shared>>,
) -> Result<Live, Problem> {
    caller.may(Permission::Read)?;
    let watching = shared.server.watch_figures(bounds(&shared))?;
    let live = Live::new(watching, caller, &shared);
    Ok(live.begins_with("past", &shared.server.past_figures()))
}

/// Streams what is published on a channel, or on all channels of a pattern.
///
/// Each message is an event `published`. An event `missed` tells how many were dropped, because they were read too
/// slowly.
#[utoipa::path(
    get,
    path = "/api/v1/watch/{*channel}",
    operation_id = "watch_channel",
    tag = "watching",
    params(("channel" = String, Path, description = "The name without its first slash.", example = "chat/**")),
    responses(
        (status = 200, description = "A stream of events.", body = String, content_type = "text/event-stream"),
        (status = 400, description = "The name is no channel or pattern.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "There is no valid key.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key does not allow `read`, or not on all of these channels.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "As many watch as may.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn channel(
    caller: Caller,
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Result<Live, Problem> {
    caller.may(Permission::Read)?;
    let pattern = caller.seen(&name, &shared.server.terms().limits)?;
    let watching = shared.server.watch_channels(pattern, bounds(&shared))?;
    Ok(Live::new(watching, caller, &shared))
}

/// Streams what a session is given, and what it publishes.
///
/// On channels that the key's cover. Each message is an event `delivered`, or `sent` if it is the session's own; an
/// event `missed` tells how many were dropped, and `ended` that the session has ended. In a cluster it has to be at this
/// node.
#[utoipa::path(
    get,
    path = "/api/v1/sessions/{session}/watch",
    operation_id = "watch_session",
    tag = "watching",
    params(("session" = String, Path, description = "Its alias.")),
    responses(
        (status = 200, description = "A stream of events.", body = String, content_type = "text/event-stream"),
        (status = 400, description = "It is no alias.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "There is no valid key.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key does not allow `sessions` and `read`.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such session here.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "As many watch as may.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn session(
    caller: Caller,
    State(shared): State<Arc<Shared>>,
    Path(alias): Path<String>,
) -> Result<Live, Problem> {
    caller.may(Permission::Sessions)?;
    caller.may(Permission::Read)?;
    let alias = read_alias(&alias)?;
    let server = &shared.server;
    let watching = server.watch_session(alias, caller.rights.channels(), bounds(&shared))?;
    // Behind it: one that ends in between has told so.
    if !server.has_session(alias) {
        return Err(unknown());
    }
    Ok(Live::new(watching, caller, &shared))
}
