//! What an operator wants to know of a server: what a key is for, its configuration, its rules, its nodes, and how much
//! history it keeps.

use core::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::Shared;
use super::caller::Caller;
use super::extract::{Body, Json};
use super::problem::{Kind, Problem};
use crate::access::{Action, Asked, Identity, Subject};
use crate::authentication::api_keys::{Permission, Rights};
use crate::bayeux::{ChannelName, ChannelPattern};
use crate::cluster::NodeState;

/// What only the configuration knows.
#[derive(Debug, Clone)]
pub struct Operator {
    /// The configuration in force, without secrets.
    pub configuration: Box<RawValue>,
    /// The `[[access]]` entries, as they stand there.
    pub rules: Vec<serde_json::Value>,
    /// What the webhook decides about beside them.
    pub asked_outside: Vec<Action>,
}

/// A key, without the key itself.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyDetails {
    /// Its name.
    name: String,
    /// What it may be used for.
    allow: Vec<&'static str>,
    /// On which channels.
    channels: Vec<String>,
    /// The version of the server.
    version: &'static str,
}

impl From<&Arc<Rights>> for KeyDetails {
    fn from(rights: &Arc<Rights>) -> Self {
        let channels = rights.channels().iter();
        let allow = rights.permissions().iter();
        Self {
            name: rights.name.clone(),
            allow: allow.map(|one| one.name()).collect(),
            channels: channels.map(|one| one.as_str().to_owned()).collect(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// Tells what the key is for that the request shows.
#[utoipa::path(
    get,
    path = "/api/v1/key",
    operation_id = "key",
    tag = "operating",
    responses(
        (status = 200, description = "What it is for.", body = KeyDetails),
        (status = 401, description = "There is no valid key.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn key(caller: Caller) -> Json<KeyDetails> {
    Json((&caller.rights).into())
}

/// Tells the configuration in force.
///
/// As the server was started with it, or what was taken up of it since; hashes, and what URLs hold of passwords and parameters, are left out. Other secrets
/// do not stand in a configuration.
#[utoipa::path(
    get,
    path = "/api/v1/configuration",
    operation_id = "configuration",
    tag = "operating",
    responses(
        (status = 200, description = "The configuration, section by section.", body = serde_json::Value),
        (status = 401, description = "There is no valid key.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key does not allow `admin`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn configuration(
    caller: Caller,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<Box<RawValue>>, Problem> {
    caller.may(Permission::Admin)?;
    Ok(Json(shared.terms.get().operator.configuration.clone()))
}

/// What somebody would like to do.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// `handshake`, `subscribe`, `publish` or `forget`.
    #[schema(value_type = String, example = "subscribe")]
    action: Action,
    /// The channel, or to subscribe perhaps a pattern; a handshake has none.
    channel: Option<String>,
    /// The name of the user; without it the client is anonymous.
    user: Option<String>,
    /// The user's roles.
    #[serde(default)]
    roles: Vec<String>,
    /// What else is known of the user: names and values.
    #[serde(default)]
    #[schema(example = json!([["tenant", "t1"]]))]
    claims: Vec<(String, String)>,
    /// The address of the client; without it rules about addresses do not match.
    #[schema(value_type = Option<String>, example = "192.0.2.7")]
    address: Option<IpAddr>,
}

/// What was decided, and why.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Explanation {
    /// Whether it is allowed.
    allowed: bool,
    /// The same in words, with what decided.
    verdict: String,
    /// The rules that were looked at, up to the one that decided.
    rules: Vec<Considered>,
    /// Whether the webhook decides as well, which is not asked here.
    webhook: bool,
}

/// A rule, and what it says.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Considered {
    /// Its number among the `[[access]]` entries, from 0.
    number: usize,
    /// The entry.
    rule: serde_json::Value,
    /// What it says of the question.
    says: &'static str,
    /// Whether it decides.
    decides: bool,
}

/// Tells whether a client would be allowed something, and which rule decides that.
#[utoipa::path(
    post,
    path = "/api/v1/explain",
    operation_id = "explain",
    tag = "operating",
    request_body = Question,
    responses(
        (status = 200, description = "What was decided.", body = Explanation),
        (status = 400, description = "The body or the channel is not what it should be.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "There is no valid key.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key does not allow `admin`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn explain(
    caller: Caller,
    State(shared): State<Arc<Shared>>,
    Body(body): Body,
) -> Result<Json<Explanation>, Problem> {
    caller.may(Permission::Admin)?;
    let question: Question = serde_json::from_slice(&body)
        .map_err(|error| Problem::new(Kind::Body, error.to_string()))?;
    let name = question.channel.unwrap_or_default();
    let terms = shared.server.terms();
    let limits = &terms.limits;
    let malformed = |what: &str| {
        let detail = format!("channel must be {what}");
        Problem::new(Kind::Channel, detail)
    };
    let channel = || {
        let parsed = ChannelName::parse(&name, limits);
        parsed.map_err(|_| malformed("a channel, such as \"/chat/1\""))
    };
    let (pattern, channel) = match question.action {
        Action::Handshake if name.is_empty() => (None, None),
        Action::Handshake => return Err(malformed("left out: a handshake has none")),
        Action::Subscribe => {
            let parsed = ChannelPattern::parse(&name, limits);
            let fix = "a channel or a pattern, such as \"/chat/**\"";
            (Some(parsed.map_err(|_| malformed(fix))?), None)
        }
        Action::Publish | Action::Forget => (None, Some(channel()?)),
    };
    let asked = match (question.action, &pattern, &channel) {
        (_, Some(pattern), _) => Asked::Subscribe(pattern),
        (Action::Forget, _, Some(channel)) => Asked::Forget(channel),
        (_, _, Some(channel)) => Asked::Publish(channel),
        _ => Asked::Handshake,
    };
    let identity = question.user.map(|user| {
        Arc::new(Identity {
            user,
            roles: question.roles,
            claims: question.claims,
            ..Identity::default()
        })
    });
    let subject = Subject {
        identity,
        address: question.address,
    };
    Ok(Json(explained(&shared, asked, &subject)))
}

fn explained(shared: &Shared, asked: Asked<'_>, subject: &Subject) -> Explanation {
    let access = Arc::clone(&shared.server.terms().access);
    let terms = shared.terms.get();
    let operator = &terms.operator;
    let decision = access.decide(asked, subject);
    let findings = access.explain(asked, subject).into_iter();
    let rules = findings.map(|(number, finding)| Considered {
        number,
        rule: operator.rules.get(number).cloned().unwrap_or_default(),
        says: finding.meaning(),
        decides: decision.rule == Some(number),
    });
    Explanation {
        allowed: decision.allowed,
        verdict: access.verdict(asked, decision),
        rules: rules.collect(),
        webhook: operator.asked_outside.contains(&asked.action()),
    }
}

/// The nodes of a cluster.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Nodes {
    /// Whether there is a cluster.
    clustered: bool,
    /// Whether its Redis is there.
    up: bool,
    /// Those that live, as the last heartbeat has told.
    nodes: Vec<Node>,
}

/// A node of a cluster.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Node {
    /// Which it is; another after each start.
    node: String,
    /// Where other nodes reach it.
    address: String,
    /// `ready`, or `leaving` while it stops.
    state: &'static str,
    /// The version of its program.
    version: String,
    /// Whether it is the one that answers.
    here: bool,
}

/// Lists the nodes of the cluster.
#[utoipa::path(
    get,
    path = "/api/v1/nodes",
    operation_id = "nodes",
    tag = "operating",
    responses(
        (status = 200, description = "Those that live.", body = Nodes),
        (status = 401, description = "There is no valid key.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key does not allow `admin`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn nodes(
    caller: Caller,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<Nodes>, Problem> {
    caller.may(Permission::Admin)?;
    let me = shared.server.node();
    let mut nodes = shared.server.nodes();
    nodes.sort_unstable_by(|one, other| one.address.cmp(&other.address));
    let nodes = nodes.into_iter().map(|info| Node {
        node: info.id.to_string(),
        address: info.address,
        state: match info.state {
            NodeState::Ready => "ready",
            NodeState::Leaving => "leaving",
        },
        version: info.version,
        here: me == Some(info.id),
    });
    Ok(Json(Nodes {
        clustered: me.is_some(),
        up: shared.server.metrics().cluster.is_there(),
        nodes: nodes.collect(),
    }))
}
