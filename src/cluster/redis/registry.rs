//! Which node owns which session, in Redis: a hash of each session, a set of each node's, and leases by Redis' own
//! time.
//!
//! The larger generation is right, whatever else is written: also after a restart with older data. A session that is
//! not known is nobody else's, as Redis may have been emptied; so one that had several owners leaves a trace when it
//! ends.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use redis::Cmd;

use super::Redis;
use super::keys::{Keys, PARTITIONS};
use super::scripts::{self, Script};
use crate::bayeux::{ChannelPattern, ClientId};
use crate::cluster::{Beat, Claim, NodeId, NodeInfo, Orphan, Owner, Registry, Written};
use crate::history::Failed;

/// How many sessions are written, or looked after, together.
const BATCH: usize = 256;
/// For how many milliseconds a session is remembered that has ended and had several owners.
const TRACE: u64 = 60 * 60 * 1000;
/// For how many milliseconds one node alone looks after the sessions of a dead one.
const BURYING: u64 = 10_000;

impl Redis {
    async fn tell_beat(&self, me: NodeInfo, lives: Duration) -> Result<Beat, Failed> {
        let keys = &self.link.keys;
        let info = serde_json::to_string(&me).map_err(|error| unexpected(&error.to_string()))?;
        let mut call = scripts::BEAT.call(&[&keys.nodes, &keys.infos]);
        call.arg(me.id.to_string())
            .arg(info)
            .arg(u64::try_from(lives.as_micros()).unwrap_or(u64::MAX))
            .arg(u8::from(self.has_beaten.load(Relaxed)));
        let (was_dead, alive, dead): (u8, Vec<String>, Vec<String>) = self.link.ask(&call).await?;
        self.has_beaten.store(true, Relaxed);
        let alive = alive.iter().filter_map(|info| {
            let info = serde_json::from_str(info);
            info.inspect_err(|error| tracing::warn!(%error, "a node cannot be understood"))
                .ok()
        });
        Ok(Beat {
            was_dead: was_dead == 1,
            alive: alive.collect(),
            dead: dead.iter().filter_map(|id| id.parse().ok()).collect(),
        })
    }

    async fn take_off(&self, me: NodeId) -> Result<(), Failed> {
        if self.is_counted(me).await? {
            // Somebody else looks after that, as if it was dead, and tells of it.
            let mut end = redis::cmd("ZADD");
            end.arg(&self.link.keys.nodes).arg("XX").arg(0);
            return self.link.ask(end.arg(me.to_string())).await;
        }
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        let (keys, id) = (&self.link.keys, me.to_string());
        pipeline.cmd("ZREM").arg(&keys.nodes).arg(&id).ignore();
        pipeline.cmd("HDEL").arg(&keys.infos).arg(&id).ignore();
        self.link.ask_all(&pipeline).await
    }

    /// Runs a script of each session; returns those of which it says no. One whose key is damaged is passed over.
    async fn refused(
        &self,
        sessions: &[ClientId],
        calls: impl Iterator<Item = Cmd>,
    ) -> Result<Vec<ClientId>, Failed> {
        let mut calls = calls;
        let mut refused = Vec::new();
        for ids in sessions.chunks(BATCH) {
            let some = calls.by_ref().take(ids.len());
            let is_done: Vec<Result<u8, Failed>> = self.link.run_all(some.collect()).await?;
            for (id, is_done) in ids.iter().zip(is_done) {
                match is_done {
                    Ok(0) => refused.push(*id),
                    Ok(_) => {}
                    Err(Failed::Full) => return Err(Failed::Full),
                    Err(Failed::Io(why)) => {
                        tracing::warn!(client_id = ?id, %why, "a session in Redis is passed over");
                    }
                }
            }
        }
        Ok(refused)
    }

    async fn write_all(&self, me: NodeId, batch: Vec<Written>) -> Result<Vec<ClientId>, Failed> {
        let ids: Vec<_> = batch.iter().map(|written| written.id).collect();
        let calls = batch.iter().map(|written| {
            let mut call = self.call_of(&scripts::WRITE, written.id, me, written.generation);
            let outlives = written.outlives.as_millis().max(1);
            call.arg(&written.state[..])
                .arg(u64::try_from(outlives).unwrap_or(u64::MAX).min(1 << 53));
            call
        });
        self.refused(&ids, calls).await
    }

    /// Begins a call about a session that a node owns.
    fn call_of(&self, script: &Script, id: ClientId, node: NodeId, generation: u64) -> Cmd {
        let keys = &self.link.keys;
        let mut call = script.call(&[keys.session(id)]);
        self.say(&mut call, id, node, generation);
        call
    }

    fn say(&self, call: &mut Cmd, id: ClientId, node: NodeId, generation: u64) {
        call.arg(id.0.to_string())
            .arg(self.link.keys.sets_beside(id))
            .arg(node.to_string())
            .arg(generation);
    }

    async fn owner_of(&self, id: ClientId) -> Result<Option<Owner>, Failed> {
        let mut command = redis::cmd("HMGET");
        command.arg(self.link.keys.session(id));
        command.arg(&["node", "generation"]);
        let (node, generation): (Option<String>, Option<u64>) = self.link.ask(&command).await?;
        let node = node.and_then(|node| node.parse().ok());
        Ok(node
            .zip(generation)
            .map(|(node, generation)| Owner { node, generation }))
    }

    async fn try_claim(
        &self,
        id: ClientId,
        from: Owner,
        to: NodeId,
        is_given: bool,
    ) -> Result<Claim, Failed> {
        let keys = &self.link.keys;
        let mut call = scripts::CLAIM.call(&[&keys.session(id), &keys.nodes]);
        self.say(&mut call, id, from.node, from.generation);
        call.arg(to.to_string()).arg(u8::from(is_given));
        let (what, more, generation): (String, Vec<u8>, u64) = self.link.ask(&call).await?;
        match what.as_str() {
            "taken" => Ok(Claim::Taken {
                generation,
                state: Bytes::from(more),
            }),
            "owned" => {
                let node = std::str::from_utf8(&more).ok();
                let node = node.and_then(|node| node.parse().ok());
                let node = node.ok_or_else(|| unexpected("an owner is no node"))?;
                Ok(Claim::Owned(Owner { node, generation }))
            }
            "alive" => Ok(Claim::Alive),
            _ => Ok(Claim::Gone),
        }
    }

    async fn remove_ended(&self, me: NodeId, ended: Vec<(ClientId, u64)>) -> Result<(), Failed> {
        let ids: Vec<_> = ended.iter().map(|(id, _)| *id).collect();
        let calls = ended.iter().map(|(id, generation)| {
            let mut call = self.call_of(&scripts::REMOVE, *id, me, *generation);
            call.arg(TRACE);
            call
        });
        self.refused(&ids, calls).await.map(drop)
    }

    async fn find_lost(
        &self,
        me: NodeId,
        sessions: Vec<(ClientId, u64)>,
    ) -> Result<Vec<ClientId>, Failed> {
        let ids: Vec<_> = sessions.iter().map(|(id, _)| *id).collect();
        let calls = sessions.iter();
        let calls =
            calls.map(|(id, generation)| self.call_of(&scripts::WRITE, *id, me, *generation));
        self.refused(&ids, calls).await
    }

    async fn bury_node(&self, dead: NodeId, max: usize) -> Result<Vec<Orphan>, Failed> {
        let keys = &self.link.keys;
        let node = dead.to_string();
        let mut lock = scripts::LOCK.call(&[keys.burying(&node)]);
        lock.arg(&self.known.name).arg(BURYING);
        let mut orphans = Vec::new();
        let mut partitions: Vec<_> = (0..PARTITIONS).collect();
        while !partitions.is_empty() {
            let is_mine: u8 = self.link.ask(&lock).await?;
            if is_mine == 0 {
                return Ok(orphans);
            }
            let calls = partitions.iter();
            let is_told = orphans.len() < max;
            let calls = calls.map(|partition| bury_call(keys, *partition, &node, is_told));
            let done: Vec<Result<Buried, Failed>> = self.link.run_all(calls.collect()).await?;
            // One that fails is looked at again when another node buries this one.
            let done = done.into_iter().map(|one| one.unwrap_or_default());
            let (counts, left): (Vec<i64>, Vec<_>) = done.unzip();
            orphans.extend(
                left.into_iter()
                    .flatten()
                    .filter_map(orphan)
                    .take(max - orphans.len()),
            );
            if counts.contains(&-1) {
                return Ok(orphans);
            }
            let all = i64::try_from(BATCH).ok();
            let mut counts = counts.into_iter();
            partitions.retain(|_| counts.next() == all);
        }
        let mut depart = scripts::DEPART.call(&[&keys.nodes, &keys.infos]);
        let () = self.link.ask(depart.arg(node)).await?;
        Ok(orphans)
    }

    async fn is_known_still(&self, id: ClientId) -> Result<bool, Failed> {
        let mut command = redis::cmd("EXISTS");
        command.arg(self.link.keys.session(id));
        self.link.ask(&command).await
    }
}

/// How many sessions of a partition are looked after, and those that are left.
type Buried = (i64, Vec<(String, Vec<u8>, u64)>);

fn orphan((id, state, outlives): (String, Vec<u8>, u64)) -> Option<Orphan> {
    Some(Orphan {
        id: id.parse().ok()?,
        state: state.into(),
        outlives: Duration::from_millis(outlives),
    })
}

fn bury_call(keys: &Keys, partition: u64, node: &str, is_told: bool) -> Cmd {
    let mut call = scripts::BURY.call(&[&keys.set_of(partition, node), &keys.nodes]);
    call.arg(node).arg(keys.sessions(partition)).arg(BATCH);
    call.arg(u8::from(is_told));
    call
}

fn unexpected(what: &str) -> Failed {
    Failed::Io(what.into())
}

impl Registry for Redis {
    fn beat(&self, me: NodeInfo, lives: Duration) -> BoxFuture<'_, Result<Beat, Failed>> {
        self.tell_beat(me, lives).boxed()
    }

    fn leave(&self, me: NodeId) -> BoxFuture<'_, Result<(), Failed>> {
        self.take_off(me).boxed()
    }

    fn write(
        &self,
        me: NodeId,
        batch: Vec<Written>,
    ) -> BoxFuture<'_, Result<Vec<ClientId>, Failed>> {
        self.write_all(me, batch).boxed()
    }

    fn find(&self, id: ClientId) -> BoxFuture<'_, Result<Option<Owner>, Failed>> {
        self.owner_of(id).boxed()
    }

    fn claim(
        &self,
        id: ClientId,
        from: Owner,
        to: NodeId,
        is_given: bool,
    ) -> BoxFuture<'_, Result<Claim, Failed>> {
        self.try_claim(id, from, to, is_given).boxed()
    }

    fn remove(&self, me: NodeId, ended: Vec<(ClientId, u64)>) -> BoxFuture<'_, Result<(), Failed>> {
        self.remove_ended(me, ended).boxed()
    }

    fn lost(
        &self,
        me: NodeId,
        sessions: Vec<(ClientId, u64)>,
    ) -> BoxFuture<'_, Result<Vec<ClientId>, Failed>> {
        self.find_lost(me, sessions).boxed()
    }

    fn bury(&self, dead: NodeId, max: usize) -> BoxFuture<'_, Result<Vec<Orphan>, Failed>> {
        self.bury_node(dead, max).boxed()
    }

    fn is_known(&self, id: ClientId) -> BoxFuture<'_, Result<bool, Failed>> {
        self.is_known_still(id).boxed()
    }

    fn occupy(
        &self,
        me: NodeId,
        changes: Vec<(ChannelPattern, bool)>,
    ) -> BoxFuture<'_, Result<Vec<bool>, Failed>> {
        async move { self.note_occupied(me, &changes).await }.boxed()
    }

    fn share(
        &self,
        me: NodeId,
        counts: Vec<(String, usize)>,
    ) -> BoxFuture<'_, Result<Vec<usize>, Failed>> {
        async move { self.note_shares(me, &counts).await }.boxed()
    }

    fn unshare(&self, dead: NodeId) -> BoxFuture<'_, Result<(), Failed>> {
        self.take_off_shares(dead).boxed()
    }

    fn vacate(&self, dead: NodeId) -> BoxFuture<'_, Result<Option<Vec<ChannelPattern>>, Failed>> {
        self.take_off_occupied(dead).boxed()
    }
}
