//! A model of the network between nodes: calls may be late, lost, or come twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::sleep;

use super::Mutant;
use super::gate::Gate;
use super::redis::Redis;
use crate::cluster::{CallFailed, CallKind, Calls, NodeId, NodeInfo, Peers};

/// What answers the calls of a node, and what it can do.
type Reached = (Arc<dyn Calls>, Arc<Gate>);

/// Who can be reached.
#[derive(Debug, Default)]
pub(super) struct Network(Mutex<HashMap<NodeId, Reached>>);

impl Network {
    pub(super) fn add(&self, id: NodeId, calls: Arc<dyn Calls>, gate: Arc<Gate>) {
        self.0
            .lock()
            .expect("nobody fails")
            .insert(id, (calls, gate));
    }

    fn find(&self, id: NodeId) -> Option<Reached> {
        self.0.lock().expect("nobody fails").get(&id).cloned()
    }
}

/// A node's way to the others.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) network: Arc<Network>,
    pub(super) redis: Arc<Redis>,
    pub(super) me: NodeId,
    pub(super) gate: Arc<Gate>,
}

impl Line {
    /// Something may be on its way for long.
    async fn wait(&self) {
        let micros = if self.redis.goes_wrong(50) {
            3_000_000
        } else {
            3000
        };
        sleep(Duration::from_micros(self.redis.below(micros) as u64)).await;
        self.gate.runs().await;
    }

    fn is_lost(&self) -> bool {
        self.redis.goes_wrong(50)
    }
}

impl Peers for Line {
    fn know(&self, _nodes: &[NodeInfo]) {}

    fn call(
        &self,
        to: NodeId,
        kind: CallKind,
        body: Bytes,
    ) -> BoxFuture<'_, Result<Bytes, CallFailed>> {
        async move {
            self.wait().await;
            let Some((calls, gate)) = self.network.find(to).filter(|(_, gate)| !gate.is_dead())
            else {
                return Err(CallFailed::Unreachable(to));
            };
            gate.runs().await;
            if self.is_lost() {
                return Err(CallFailed::NoAnswer(to));
            }
            if self.is_lost() {
                let (calls, body, me) = (Arc::clone(&calls), body.clone(), self.me);
                tokio::spawn(async move { calls.answer(me, kind, body).await });
            }
            let answer = calls.answer(self.me, kind, body).await;
            gate.runs().await;
            self.wait().await;
            if self.is_lost() {
                return Err(CallFailed::NoAnswer(to));
            }
            let answer = answer.map_err(CallFailed::Refused)?;
            Ok(if self.redis.mutant == Mutant::LowFloor {
                lowered(&answer)
            } else {
                answer
            })
        }
        .boxed()
    }
}

/// Lets what is given begin earlier than it does.
fn lowered(answer: &Bytes) -> Bytes {
    let Ok(mut json) = serde_json::from_slice::<serde_json::Value>(answer) else {
        return answer.clone();
    };
    if let Some(at) = json.pointer_mut("/given/at")
        && let Some(number) = at.as_u64()
    {
        *at = (number - 400_000).into();
    }
    json.to_string().into()
}
