//! To publish: one message, a list of them, or bare data on the channel that the path names.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Uri};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::caller::Caller;
use super::extract::{Body, Json, Path};
use super::message::{self, Batch, Posted};
use super::problem::{KeyProblems, Kind, Problem, SendProblems};
use super::send::{Accepted, Content, Receipt, Request};
use super::{Shared, Working};
use crate::authentication::api_keys::Permission;
use crate::bayeux::{ChannelKind, ChannelName, DataError, Message, parse_body, parse_data};
use crate::metrics::Limit;
use crate::server::{NotSent, Sending, Sent};

/// What is published: one message, or a list of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "it describes what is read without a copy")]
enum PublishBody {
    /// A message by itself.
    One(PublishMessage),
    /// A list of them.
    Many(Vec<PublishMessage>),
}

/// A message.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "it describes what is read without a copy")]
struct PublishMessage {
    /// The broadcast channel.
    #[schema(example = "/chat/1")]
    channel: String,
    /// Any JSON; subscribers receive it byte for byte.
    data: Value,
    /// Further JSON that goes with it.
    #[schema(nullable)]
    ext: Option<Value>,
    /// A message that comes again with the same id on the same channel is not sent again.
    #[schema(nullable)]
    id: Option<String>,
}

/// What became of a list of messages, in their order.
#[derive(Debug, Serialize, ToSchema)]
struct Receipts {
    receipts: Vec<Receipt>,
}

/// The receipt of a message, or those of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "it describes what is written")]
enum PublishAnswer {
    One(Accepted),
    Many(Receipts),
}

/// Publishes a message, or a list of messages. A message by itself that is not sent is answered with its
/// problem; in a list each has its own receipt.
#[utoipa::path(
    post,
    path = "/api/v1/publish",
    tag = "messages",
    params(("Idempotency-Key" = Option<String>, Header, description = "What comes again under the same key is not sent again.")),
    request_body = PublishBody,
    responses(
        (status = 200, description = "The receipt of the message, or those of the list.", body = PublishAnswer),
        KeyProblems,
        SendProblems
    )
)]
pub(super) async fn publish(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, Problem> {
    caller.may(Permission::Publish)?;
    let terms = shared.server.terms();
    let limits = &terms.limits;
    let content = Content {
        path: uri.path(),
        body: &body,
    };
    let elements = match parse_body(&body, limits).map_err(malformed)? {
        Batch::One(element) => {
            let posted = element.0.map_err(|form| Problem::new(Kind::Message, form));
            let receipt = one(&shared, &caller, &headers, content, posted).await;
            return receipt.map(IntoResponse::into_response);
        }
        Batch::Many(elements) => elements,
    };
    let max = shared.terms.get().settings.max_messages;
    if elements.len() > max {
        shared.server.metrics().limited(Limit::MaxApiMessages);
        let count = elements.len();
        let detail = format!(
            "{count} messages are more than {max} (api.max_messages); send several requests"
        );
        return Err(Problem::new(Kind::TooManyMessages, detail));
    }
    let messages: Vec<Result<Posted<'_>, Problem>> = elements
        .into_iter()
        .map(|element| element.0.map_err(|form| Problem::new(Kind::Message, form)))
        .collect();
    let request = Request::begin(&shared, &caller, &headers, content, messages.len())?;
    let check = |posted: &Posted<'_>| check(&shared, &caller, posted);
    let (sent, work) = request.send(messages, &check, &send).await?;
    let receipts = sent.into_iter().map(Receipt::from).collect();
    Ok(Working::new(Json(Receipts { receipts }), work).into_response())
}

/// Publishes the body, which is any JSON, on the channel that the path names.
#[utoipa::path(
    post,
    path = "/api/v1/publish/{*channel}",
    operation_id = "publish_data",
    tag = "messages",
    params(
        ("channel" = String, Path, description = "The channel, without its first slash: `chat/1`."),
        ("Idempotency-Key" = Option<String>, Header, description = "What comes again under the same key is not sent again.")
    ),
    request_body = Value,
    responses(
        (status = 200, description = "The receipt.", body = Accepted),
        KeyProblems,
        SendProblems
    )
)]
pub(super) async fn publish_on(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    uri: Uri,
    Path(channel): Path<String>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Working<Json<Accepted>>, Problem> {
    caller.may(Permission::Publish)?;
    let terms = shared.server.terms();
    let limits = &terms.limits;
    let channel = message::channel(&format!("/{channel}"), limits)?;
    let name = serde_json::value::to_raw_value(channel.as_str()).expect("a string is JSON");
    let content = Content {
        path: uri.path(),
        body: &body,
    };
    let posted = Posted {
        channel: Some(&name),
        data: Some(parse_data(&body, limits).map_err(malformed)?),
        ..Posted::default()
    };
    one(&shared, &caller, &headers, content, Ok(posted)).await
}

/// Publishes a message by itself.
async fn one(
    shared: &Arc<Shared>,
    caller: &Caller,
    headers: &HeaderMap,
    content: Content<'_>,
    posted: Result<Posted<'_>, Problem>,
) -> Result<Working<Json<Accepted>>, Problem> {
    let request = Request::begin(shared, caller, headers, content, 1)?;
    let check = |posted: &Posted<'_>| check(shared, caller, posted);
    let (mut sent, work) = request.send(vec![posted], &check, &send).await?;
    let accepted = sent.remove(0)?;
    Ok(Working::new(Json(accepted), work))
}

/// Finds the channel of a message, if it may be published there.
fn check(shared: &Shared, caller: &Caller, posted: &Posted<'_>) -> Result<ChannelName, Problem> {
    if posted.session.is_some() || posted.user.is_some() {
        let detail = "what has session or user goes to POST /api/v1/deliver";
        return Err(Problem::new(Kind::Message, detail));
    }
    let channel = posted.channel(&shared.server.terms().limits)?;
    match channel.kind() {
        ChannelKind::Broadcast => {}
        ChannelKind::Service => {
            return Err(Problem::new(
                Kind::Unfit,
                "nobody is subscribed to service channels: send to the session or the user that it is for, \
                 with POST /api/v1/deliver",
            ));
        }
        ChannelKind::Meta => {
            let detail =
                "meta channels are the protocol's own; publish on others, such as \"/chat/1\"";
            return Err(Problem::new(Kind::Unfit, detail));
        }
    }
    caller.may_use(&channel)?;
    Ok(channel)
}

fn send(
    sending: &mut Sending<'_>,
    index: usize,
    message: &mut Message<'_>,
    channel: &ChannelName,
    now: std::time::Instant,
) -> Result<Sent, NotSent> {
    sending.publish(index, message, channel, now)
}

/// Says what is wrong with a body.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what errors are mapped with"
)]
pub(super) fn malformed(error: DataError) -> Problem {
    Problem::new(Kind::Body, format!("the body cannot be read: {error}"))
}
