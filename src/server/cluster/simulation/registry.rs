//! What the model of Redis knows of nodes and sessions.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::Mutant;
use super::redis::Session;
use super::way::Way;
use crate::bayeux::ClientId;
use crate::cluster::{Beat, Claim, NodeId, NodeInfo, Orphan, Owner, Registry, Written};
use crate::history::Failed;

impl Registry for Way {
    fn beat(&self, me: NodeInfo, lives: Duration) -> BoxFuture<'_, Result<Beat, Failed>> {
        let lives = if self.redis.mutant == Mutant::NoLease {
            lives / 5
        } else {
            lives
        };
        self.ask(move |data| {
            let is_known = data.lives.contains_key(&me.id);
            let was_dead = is_known && !data.is_alive(me.id);
            data.buried.remove(&me.id);
            for session in data.sessions.values_mut() {
                if session.owner.node == me.id {
                    session.expires = None;
                }
            }
            data.lives
                .insert(me.id, (me.clone(), Instant::now() + lives));
            let all: Vec<_> = data.lives.values().cloned().collect();
            let (alive, dead): (Vec<_>, Vec<_>) = all
                .into_iter()
                .partition(|(_, until)| *until > Instant::now());
            let dead = dead.into_iter().map(|(info, _)| info.id);
            Beat {
                was_dead,
                alive: alive.into_iter().map(|(info, _)| info).collect(),
                dead: dead.filter(|id| !data.buried.contains(id)).collect(),
            }
        })
    }

    fn leave(&self, me: NodeId) -> BoxFuture<'_, Result<(), Failed>> {
        self.ask(move |data| {
            data.lives.remove(&me);
        })
    }

    fn write(
        &self,
        me: NodeId,
        batch: Vec<Written>,
    ) -> BoxFuture<'_, Result<Vec<ClientId>, Failed>> {
        let mutant = self.redis.mutant;
        self.ask(move |data| {
            let mut lost = Vec::new();
            for mut written in batch {
                let owner = Owner {
                    node: me,
                    generation: written.generation,
                };
                let known = data.sessions.get(&written.id);
                let is_own =
                    mutant == Mutant::NoFence || known.is_none_or(|known| known.owner == owner);
                if !is_own {
                    lost.push(written.id);
                    continue;
                }
                if let Some(known) = known.filter(|_| mutant == Mutant::NoCheckpoint) {
                    written.state = as_acknowledged_first(&known.state, &written.state);
                }
                let session = Session {
                    owner,
                    state: written.state,
                    outlives: written.outlives,
                    expires: None,
                };
                data.sessions.insert(written.id, session);
            }
            lost
        })
    }

    fn find(&self, id: ClientId) -> BoxFuture<'_, Result<Option<Owner>, Failed>> {
        self.ask(move |data| {
            data.purge();
            data.sessions.get(&id).map(|session| session.owner)
        })
    }

    fn claim(
        &self,
        id: ClientId,
        from: Owner,
        to: NodeId,
        is_given: bool,
    ) -> BoxFuture<'_, Result<Claim, Failed>> {
        let mutant = self.redis.mutant;
        self.redis.trace(|| {
            let (node, generation) = (from.node, from.generation);
            format!("{to} claims {id} of {node} ({generation}), given: {is_given}")
        });
        self.ask(move |data| {
            data.purge();
            let is_alive = data.is_alive(from.node) && mutant != Mutant::ClaimsOfTheLiving;
            let Some(session) = data.sessions.get_mut(&id) else {
                return Claim::Gone;
            };
            if session.owner != from && mutant != Mutant::NoComparison {
                return Claim::Owned(session.owner);
            }
            if !is_given && is_alive {
                return Claim::Alive;
            }
            session.owner = Owner {
                node: to,
                generation: session.owner.generation + 1,
            };
            session.expires = None;
            Claim::Taken {
                generation: session.owner.generation,
                state: session.state.clone(),
            }
        })
    }

    fn remove(&self, me: NodeId, ended: Vec<(ClientId, u64)>) -> BoxFuture<'_, Result<(), Failed>> {
        self.ask(move |data| {
            for (id, generation) in ended {
                let owner = Owner {
                    node: me,
                    generation,
                };
                if data.sessions.get(&id).is_some_and(|it| it.owner == owner) {
                    data.sessions.remove(&id);
                }
            }
        })
    }

    fn lost(
        &self,
        me: NodeId,
        sessions: Vec<(ClientId, u64)>,
    ) -> BoxFuture<'_, Result<Vec<ClientId>, Failed>> {
        self.ask(move |data| {
            let lost = sessions.into_iter().filter(|(id, generation)| {
                let owner = Owner {
                    node: me,
                    generation: *generation,
                };
                data.sessions.get(id).is_some_and(|it| it.owner != owner)
            });
            lost.map(|(id, _)| id).collect()
        })
    }

    fn bury(&self, dead: NodeId, _max: usize) -> BoxFuture<'_, Result<Vec<Orphan>, Failed>> {
        self.ask(move |data| {
            if data.is_alive(dead) {
                return Vec::new();
            }
            data.buried.insert(dead);
            for session in data.sessions.values_mut() {
                if session.owner.node == dead {
                    session.expires = Some(Instant::now() + session.outlives);
                }
            }
            // Nobody is to hear of them.
            Vec::new()
        })
    }
}

/// Writes a session with what its client had acknowledged when it was written first.
fn as_acknowledged_first(known: &[u8], state: &[u8]) -> Bytes {
    let read = |state| serde_json::from_slice::<serde_json::Value>(state).expect("JSON");
    let mut written = read(state);
    let position = read(known).pointer("/state/position").cloned();
    if let (Some(place), Some(position)) = (written.pointer_mut("/state/position"), position) {
        *place = position;
    }
    written.to_string().into()
}
