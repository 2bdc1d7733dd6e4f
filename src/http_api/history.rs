//! What is kept of channels: read part by part, and deleted.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::Caller;
use super::extract::{Json, Path, Query};
use super::paging::{number, parameter};
use super::problem::{Kind, Problem};
use super::{Shared, Working};
use crate::authentication::api_keys::Permission;
use crate::server::{ChannelHistory, Part};

/// How many messages there are if a query does not say.
const DEFAULT_LIMIT: usize = 100;
/// After which time what the store could not do may be tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Which messages are to be read.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryQuery {
    /// Those after this number: `next` of the part before. Without it all that are kept.
    #[param(value_type = Option<u64>)]
    after: Option<String>,
    /// The `epoch` that came with the number.
    epoch: Option<String>,
    /// How many at most, 1 to `history.max_page_messages`; without it 100.
    #[param(value_type = Option<usize>)]
    limit: Option<String>,
}

/// Which messages are to be deleted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteQuery {
    /// Those up to this number; without it all.
    #[param(value_type = Option<u64>)]
    up_to: Option<String>,
}

/// A part of what is kept.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes what is written")]
pub(super) struct History {
    /// The channel or pattern.
    #[schema(example = "/stock/**")]
    channel: String,
    /// The name of the numbers: with another one, some that were given out before may be lost.
    epoch: String,
    /// The messages, by number.
    messages: Vec<HistoryMessage>,
    /// After this number they begin.
    after: u64,
    /// What `after` has to be for the next part.
    next: u64,
    /// Whether nothing is missing of what came after the number that was asked for.
    complete: bool,
    /// Why something is.
    #[schema(example = "expired")]
    reason: Option<Missing>,
    /// Whether there was no more when it was read.
    end: bool,
}

/// Why something is missing.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "it describes what is written")]
pub(super) enum Missing {
    /// It is not kept any more.
    Expired,
    /// The numbers are others.
    EpochChanged,
}

/// A message that is kept.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes what is written")]
pub(super) struct HistoryMessage {
    /// Its number.
    id: u64,
    /// The number of the message before it on its channel; 0: none is known of.
    before: u64,
    /// Its channel.
    channel: String,
    /// When it came (RFC 3339).
    at: String,
    /// As it was sent.
    data: serde_json::Value,
    /// As it was sent.
    ext: Option<serde_json::Value>,
    /// Its other fields.
    fields: Option<serde_json::Value>,
}

/// What was deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Deleted {
    /// How many messages.
    deleted: u64,
}

/// How much is kept, of all channels.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HistoryFigures {
    /// Whether any channel has history.
    kept: bool,
    /// How many messages are kept; this and the next two are counted once a second.
    messages: u64,
    /// The memory, or with `history.directory` the files, that they take.
    bytes: u64,
    /// How many channels are known.
    channels: u64,
    /// Why nothing can be kept now; null: it can.
    failing: Option<String>,
    /// The name of the numbers.
    epoch: Option<String>,
    /// The number of the oldest message that is kept of the channel that was asked about.
    first: Option<u64>,
    /// That of the newest.
    last: Option<u64>,
}

/// Of which channel the oldest and the newest message are to be told.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OverviewQuery {
    /// A channel or pattern.
    #[param(example = "/stock/**")]
    channel: Option<String>,
}

/// Tells how much is kept.
#[utoipa::path(
    get,
    path = "/api/v1/history",
    operation_id = "history_figures",
    tag = "history",
    params(OverviewQuery),
    responses(
        (status = 200, description = "How much there is.", body = HistoryFigures),
        (status = 400, description = "The name is no channel or pattern.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "There is no valid key.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key does not allow `read`, or not on all of these channels.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "Nothing is kept of such channels.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "It cannot be read now.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn overview(
    caller: Caller,
    State(shared): State<Arc<Shared>>,
    Query(query): Query<OverviewQuery>,
) -> Result<Json<HistoryFigures>, Problem> {
    caller.may(Permission::Read)?;
    let (first, last) = match query.channel {
        None => (None, None),
        Some(name) => {
            let past = past(&shared, &caller, name.strip_prefix('/').unwrap_or(&name))?;
            past.ends().await.map_err(|failed| unavailable(&failed))?
        }
    };
    let server = &shared.server;
    let (messages, bytes, channels) = server.metrics().history.kept();
    Ok(Json(HistoryFigures {
        kept: server.has_history(),
        messages,
        bytes,
        channels,
        failing: server
            .history_health()
            .err()
            .map(|failed| failed.to_string()),
        epoch: server.history_epoch().map(|epoch| (*epoch).to_owned()),
        first,
        last,
    }))
}

/// A part as it is written.
pub(super) struct Written(Part);

impl IntoResponse for Written {
    fn into_response(self) -> Response {
        let mut response = self.0.json().into_response();
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }
}

/// Reads a part of what is kept of a channel or pattern.
///
/// Messages come in the order of their numbers, also of several channels.
#[utoipa::path(
    get,
    path = "/api/v1/history/{*channel}",
    operation_id = "history",
    tag = "history",
    params(
        ("channel" = String, Path, description = "The name without its first slash.", example = "stock/**"),
        HistoryQuery
    ),
    responses(
        (status = 200, description = "What there is.", body = History),
        (status = 400, description = "The name or a parameter is not what it should be.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "There is no valid key.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key does not allow `read`, or not on all of these channels.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "Nothing is kept of such channels.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "It cannot be read now.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn read(
    caller: Caller,
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Result<Working<Written>, Problem> {
    caller.may(Permission::Read)?;
    let past = past(&shared, &caller, &name)?;
    let max = shared.server.history_settings().max_page_messages;
    let after = number("after", query.after.as_deref())?;
    let limit = number("limit", query.limit.as_deref())?;
    let limit = limit.unwrap_or(DEFAULT_LIMIT.min(max));
    if !(1..=max).contains(&limit) {
        let fix = format!("must be 1 to {max} (history.max_page_messages)");
        return Err(parameter("limit", fix));
    }
    let part = past.read(after, query.epoch, limit).await;
    let part = part.map_err(|failed| unavailable(&failed))?;
    let work = part.messages.len();
    Ok(Working::new(Written(part), work))
}

/// Deletes what is kept of a channel or pattern.
///
/// Who had not read it is told that it is not kept any more.
#[utoipa::path(
    delete,
    path = "/api/v1/history/{*channel}",
    operation_id = "delete_history",
    tag = "history",
    params(
        ("channel" = String, Path, description = "The name without its first slash.", example = "stock/1"),
        DeleteQuery
    ),
    responses(
        (status = 200, description = "It is deleted.", body = Deleted),
        (status = 400, description = "The name or a parameter is not what it should be.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "There is no valid key.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key does not allow `admin`, or not on all of these channels.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "Nothing is kept of such channels.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "It cannot be deleted now.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn delete(
    caller: Caller,
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Query(query): Query<DeleteQuery>,
) -> Result<Json<Deleted>, Problem> {
    caller.may(Permission::Admin)?;
    let past = past(&shared, &caller, &name)?;
    let up_to = number("up_to", query.up_to.as_deref())?;
    let deleted = past.forget(up_to).await;
    let deleted = deleted.map_err(|failed| unavailable(&failed))?;
    Ok(Json(Deleted { deleted }))
}

/// Finds what is kept of a channel or pattern, if the key covers that.
fn past(shared: &Shared, caller: &Caller, name: &str) -> Result<ChannelHistory, Problem> {
    let server = &shared.server;
    let pattern = caller.seen(name, &server.terms().limits)?;
    let pattern = server.history_pattern(pattern.as_str());
    pattern
        .and_then(|pattern| server.past(pattern))
        .ok_or_else(|| {
            let detail = format!("no [[channel]] about {name} sets history");
            Problem::new(Kind::NoHistory, detail)
        })
}

fn unavailable(failed: &impl std::fmt::Display) -> Problem {
    let detail = format!("history is not available: {failed}");
    Problem::new(Kind::Unavailable, detail).retry_after(Some(RETRY))
}
