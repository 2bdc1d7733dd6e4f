//! This node asks the others about sessions, channels and users: all of them, or the one that has a session.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::super::core::Core;
use super::calls::encode;
use super::locating::locate;
use super::questions::Question;
use super::{Cluster, Located};
use crate::bayeux::ClientId;
use crate::cluster::{CallKind, NodeId};
use crate::metrics::Notice;

/// How many nodes are asked at once.
const AT_ONCE: usize = 64;
/// How often it is found out anew where a session is, which moves meanwhile.
const TRIES: usize = 4;

/// What the other nodes have said.
#[derive(Debug)]
pub(in crate::server) struct Said<T> {
    /// The answers, in no order.
    pub(in crate::server) answers: Vec<T>,
    /// How many nodes did not answer.
    pub(in crate::server) missing: usize,
}

/// The node that has a session did not answer, or it is not known which that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoAnswer;

/// Asks all other nodes that live; without a cluster there are none.
pub(in crate::server) async fn ask_others<T: DeserializeOwned>(
    core: &Core,
    question: &Question,
) -> Said<T> {
    let mut said = Said {
        answers: Vec::new(),
        missing: 0,
    };
    let Some(cluster) = &core.cluster else {
        return said;
    };
    let (me, body) = (cluster.links.me, encode(question));
    let others = cluster.nodes.alive().into_iter();
    let others = others.map(|node| node.id).filter(|node| *node != me);
    let asked = others.map(|node| ask(core, cluster, node, body.clone()));
    let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
    while let Some(answer) = answers.next().await {
        match answer {
            Some(answer) => said.answers.push(answer),
            None => said.missing += 1,
        }
    }
    said
}

/// Asks the node that has a session, or finds the answer `here`; nothing if there is no such session.
///
/// # Errors
/// It does not answer: what was to be done may be done.
pub(in crate::server) async fn ask_owner<T: DeserializeOwned>(
    core: &Arc<Core>,
    id: ClientId,
    question: &Question,
    here: impl Fn(&Core) -> Option<T>,
) -> Result<Option<T>, NoAnswer> {
    let Some(cluster) = &core.cluster else {
        return Ok(here(core));
    };
    let mut but = None;
    for _ in 0..TRIES {
        match locate(core, id, but).await {
            Located::Here => match here(core) {
                None => but = None,
                answer => return Ok(answer),
            },
            Located::At(node) => {
                let answer = ask(core, cluster, node, encode(question)).await;
                match answer.ok_or(NoAnswer)? {
                    None => but = Some(node),
                    answer => return Ok(answer),
                }
            }
            Located::Gone => return Ok(None),
            Located::Unknown => return Err(NoAnswer),
        }
    }
    Err(NoAnswer)
}

/// Asks another node; nothing if it does not answer, or does not understand.
async fn ask<T: DeserializeOwned>(
    core: &Core,
    cluster: &Cluster,
    to: NodeId,
    question: Bytes,
) -> Option<T> {
    let metrics = &core.shared.metrics;
    let bound = cluster.links.settings.call_timeout;
    let asked = timeout(bound, cluster.links.peers.call(to, CallKind::Ask, question));
    let answer = match asked.await {
        Ok(Ok(answer)) => {
            serde_json::from_slice(&answer).map_err(|error| format!("it cannot be read: {error}"))
        }
        Ok(Err(failed)) => Err(failed.to_string()),
        Err(_) => Err("it takes too long".to_owned()),
    };
    match answer {
        Ok(answer) => Some(answer),
        Err(error) => {
            metrics.cluster.unanswered.increment();
            if let Some(permit) = metrics.may_log(Notice::Peer) {
                let suppressed = permit.suppressed;
                tracing::warn!(node = %to, suppressed, "another node was asked, and did not answer: {error}");
            }
            None
        }
    }
}
