//! Users: the end of all their sessions, and that they are refused for a while.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::Caller;
use super::extract::{Body, Json, Path};
use super::nodes::MissingNodes;
use super::problem::{Kind, Problem};
use super::{Shared, Working};
use crate::authentication::api_keys::Permission;
use crate::server::Disconnected as Done;
use crate::transports::now;

/// What is to be done about a user besides.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Disconnect {
    /// For how long the user is refused; `"0s"`: not any more. Without it the user may come back at once,
    /// or whenever it might before.
    #[serde(default, with = "humantime_serde")]
    #[schema(value_type = Option<String>, example = "10m")]
    refuse: Option<Duration>,
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Disconnected {
    /// How many sessions have ended.
    sessions: usize,
    /// For how long the user is refused; null: this request does not refuse it.
    #[serde(with = "humantime_serde")]
    #[schema(value_type = Option<String>, example = "10m")]
    refused: Option<Duration>,
    #[serde(flatten)]
    nodes: MissingNodes,
}

/// Reads what is asked for: an object.
fn read(body: &[u8]) -> Result<Disconnect, Problem> {
    let fix = "write {} or {\"refuse\":\"10m\"}";
    if !body.trim_ascii_start().starts_with(b"{") {
        let detail = format!("the body is no object; {fix}");
        return Err(Problem::new(Kind::Body, detail));
    }
    serde_json::from_slice(body)
        .map_err(|error| Problem::new(Kind::Body, format!("{error}; {fix}")))
}

/// Ends all sessions of a user, and may refuse it for a while.
///
/// The clients hear of it. Those of a user that is refused are told when they may come back.
#[utoipa::path(
    post,
    path = "/api/v1/users/{user}/disconnect",
    operation_id = "disconnect_user",
    tag = "users",
    params(("user" = String, Path, description = "The user's name.")),
    request_body(content = Option<Disconnect>, description = "May be left out."),
    responses(
        (status = 200, description = "It is done.", body = Disconnected),
        (status = 400, description = "The body is not what it should be.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "There is no valid key.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key does not allow `sessions`.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too many users are refused.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn disconnect(
    caller: Caller,
    State(shared): State<Arc<Shared>>,
    Path(user): Path<String>,
    Body(body): Body,
) -> Result<Working<Json<Disconnected>>, Problem> {
    caller.may(Permission::Sessions)?;
    if user.is_empty() {
        return Err(Problem::new(Kind::Parameter, "the path names no user"));
    }
    let asked: Disconnect = if body.is_empty() {
        Disconnect::default()
    } else {
        read(&body)?
    };
    let (server, refuse) = (&shared.server, asked.refuse);
    let max = server.max_refusal();
    if refuse.is_some_and(|time| time > max) {
        let max = humantime::format_duration(max);
        let detail = format!("refuse must be at most {max} (bayeux.max_refusal)");
        return Err(Problem::new(Kind::Body, detail));
    }
    let done = server.disconnect_user(&user, refuse, now()).await;
    let done = done.map_err(|error| Problem::new(Kind::Unavailable, error.to_string()))?;
    let Done { sessions, refused } = done.value;
    let nodes = MissingNodes::new(done.missing);
    let answer = Disconnected {
        sessions,
        refused,
        nodes,
    };
    Ok(Working::new(Json(answer), sessions))
}
