//! A node that stops gives its sessions to the others, each an equal share.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use tokio::time::{sleep, timeout};

use super::super::BayeuxServer;
use super::super::core::{Core, clocks};
use super::Cluster;
use super::calls::{GiveAnswer, GiveCall, Given, decode, encode};
use super::head::head;
use super::moving::{claim, take_up};
use super::owning::{let_go, write_all};
use crate::bayeux::{ChannelPattern, ClientId};
use crate::cluster::{CallKind, NodeId, Owner};

/// Sessions, and bytes of them, that are given at once.
const MOST: usize = 200;
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// How long what sessions are subscribed to is held that may yet come: longer than they are claimed for.
const HELD: Duration = Duration::from_secs(90);
/// How often it is tried to give them, each time to nodes that have not failed to take some.
const ROUNDS: usize = 3;
/// Sessions that are claimed at once.
const CLAIMS: usize = 64;

impl BayeuxServer {
    /// Tells the others that this node takes no sessions any more; to be called when it begins to stop.
    pub fn leave(&self) {
        if let Some(cluster) = &self.core.cluster {
            cluster.leaves.notify_one();
        }
    }

    /// Gives the sessions to the other nodes; to be called when no client is heard any more. What cannot be given is
    /// adopted by who is asked for it.
    pub async fn hand_over(&self) {
        let core = &self.core;
        let Some(cluster) = &core.cluster else {
            return;
        };
        let bound = cluster.links.settings.call_timeout;
        // Those that are on their way here are not among its sessions yet, and more do not come.
        let settled = async {
            cluster.fetches.settled().await;
            cluster.leaving.all_over().await;
        };
        let _ = timeout(bound, settled).await;
        let before = self.session_count();
        if let Err(failed) = write_all(core).await {
            tracing::error!("sessions cannot be written for other nodes: {failed}");
        }
        let me = cluster.links.me;
        let mut failed = HashSet::new();
        for _ in 0..ROUNDS {
            // One that has just gone may still be thought to live.
            let _ = timeout(bound, cluster.nodes.told_again()).await;
            let ready = cluster.nodes.ready().into_iter();
            let others: Vec<_> = ready
                .filter(|node| *node != me && !failed.contains(node))
                .collect();
            let ids: Vec<_> = core
                .sessions
                .all()
                .iter()
                .map(|session| session.id())
                .collect();
            let is_up = cluster.links.backplane.is_up();
            if !is_up || ids.is_empty() || others.is_empty() {
                break;
            }
            let share = ids.len().div_ceil(others.len()).max(1);
            let shares = ids.chunks(share).zip(&others);
            let given = shares.map(|(ids, to)| async move {
                let is_given = give_share(core, cluster, ids, *to).await;
                (!is_given).then_some(*to)
            });
            failed.extend(
                futures_util::future::join_all(given)
                    .await
                    .into_iter()
                    .flatten(),
            );
        }
        let left = self.session_count();
        if before > 0 {
            tracing::info!(
                given = before - left.min(before),
                left,
                "sessions go on at other nodes"
            );
        }
        if left > 0 {
            // Its lease ends by itself, and who looks after it then finds them.
            return;
        }
        if let Err(failed) = cluster.links.registry.leave(me).await {
            tracing::warn!("the others do not hear that this node has left: {failed}");
        }
    }
}

/// Gives some of the sessions to a node; false if it does not take them.
async fn give_share(core: &Arc<Core>, cluster: &Cluster, ids: &[ClientId], to: NodeId) -> bool {
    for some in ids.chunks(MOST) {
        if let Err(error) = give(core, cluster, some, to).await {
            tracing::warn!(%to, "sessions cannot be given: {error}");
            return false;
        }
    }
    true
}

async fn give(
    core: &Arc<Core>,
    cluster: &Cluster,
    ids: &[ClientId],
    to: NodeId,
) -> Result<(), String> {
    let bound = cluster.links.settings.call_timeout;
    let call = |call: GiveCall| {
        let answer = cluster.links.peers.call(to, CallKind::Give, encode(&call));
        async move {
            timeout(bound, answer)
                .await
                .map_err(|_| "it takes too long".to_owned())
        }
    };
    let parting = Parting::begin(cluster, ids, to);
    let ids = &parting.ids;
    let mut patterns = HashSet::new();
    for session in ids.iter().filter_map(|id| core.sessions.find(*id)) {
        patterns.extend(session.subscriptions());
        session.cut();
    }
    let ready = GiveCall::Ready(patterns.into_iter().collect());
    call(ready).await?.map_err(|error| error.to_string())?;
    let head = timeout(bound, head(core)).await;
    let head = head.map_err(|_| "it takes too long")?;
    let head = head.map_err(|error| error.to_string())?;
    let own = ids.clone();
    let records = cluster.after_all(move |core, recent| {
        let records = own.iter().filter_map(|id| {
            let cluster = core.cluster.as_ref()?;
            let session = core.sessions.find(*id)?;
            let record = session.record(clocks()).ok()??;
            let generation = cluster.owned.written(*id)?;
            let at = session.has_all_up_to(recent.last().max(head));
            Given::of(&record, generation, at).ok()
        });
        records.collect::<Vec<_>>()
    });
    let records = timeout(bound, records)
        .await
        .map_err(|_| "it takes too long")?;
    let mut records = records
        .map_err(|error| error.to_string())?
        .into_iter()
        .peekable();
    while records.peek().is_some() {
        let mut bytes = 0;
        let mut batch = Vec::new();
        while let Some(next) = records
            .next_if(|next| batch.is_empty() || bytes + next.record.get().len() <= MOST_BYTES)
        {
            bytes += next.record.get().len();
            batch.push(next);
        }
        let answer = call(GiveCall::Sessions(batch)).await?;
        let answer = answer.map_err(|error| error.to_string())?;
        for id in decode::<GiveAnswer>(&answer)?.taken {
            cluster.moved.note(id, to);
            let_go(core, cluster, id);
        }
    }
    Ok(())
}

/// Sessions that are about to go: requests of them wait until they have.
struct Parting<'c> {
    cluster: &'c Cluster,
    ids: Vec<ClientId>,
}

impl<'c> Parting<'c> {
    /// Lets those begin their way that are not on one already: these are gone soon, or are here again.
    fn begin(cluster: &'c Cluster, ids: &[ClientId], to: NodeId) -> Self {
        let begins = |id: &&ClientId| cluster.leaving.begin(**id, to, 0).is_some();
        Self {
            cluster,
            ids: ids.iter().filter(begins).copied().collect(),
        }
    }
}

impl Drop for Parting<'_> {
    fn drop(&mut self) {
        for id in &self.ids {
            self.cluster.leaving.end(*id);
        }
    }
}

/// Takes what another node gives.
pub(super) async fn answer(core: Arc<Core>, from: NodeId, body: Bytes) -> Result<Bytes, String> {
    if core.shared.reconnects.is_stopping() {
        return Err("this node stops, too".to_owned());
    }
    let taking = tokio::spawn(async move {
        match decode(&body)? {
            GiveCall::Ready(patterns) => {
                ready(&core, patterns).await;
                Ok(encode(&GiveAnswer::default()))
            }
            GiveCall::Sessions(given) => Ok(encode(&GiveAnswer {
                taken: take_all(&core, from, given).await,
            })),
        }
    });
    taking.await.map_err(|_| "it has failed".to_owned())?
}

/// Has these come here, and holds them for the sessions that come next.
async fn ready(core: &Arc<Core>, patterns: Vec<ChannelPattern>) {
    let Some(cluster) = &core.cluster else {
        return;
    };
    let held = cluster.links.interest.hold(patterns);
    let bound = cluster.links.settings.call_timeout * 4;
    if let Some(settled) = cluster.links.interest.settled() {
        settled.await;
    }
    // If it fails what comes now may be missing, which is noticed when Redis is there again.
    let _ = timeout(bound, cluster.after_all(|_, _| ())).await;
    tokio::spawn(async move {
        sleep(HELD).await;
        drop(held);
    });
}

async fn take_all(core: &Arc<Core>, from: NodeId, given: Vec<Given>) -> Vec<ClientId> {
    let Some(cluster) = &core.cluster else {
        return Vec::new();
    };
    let records = given.iter().filter_map(|given| given.record().ok());
    let ids = records.map(|record| record.id);
    let arriving = cluster.leaving.arriving(cluster.links.me, ids);
    let claimed = stream::iter(given)
        .map(|given| async move {
            let record = given.record().ok()?;
            let owner = Owner {
                node: from,
                generation: given.generation,
            };
            let generation = claim(cluster, record.id, owner).await?;
            Some((record, generation, given.at))
        })
        .buffer_unordered(CLAIMS)
        .filter_map(std::future::ready);
    let claimed: Vec<_> = claimed.collect().await;
    let ids: Vec<_> = claimed.iter().map(|(record, ..)| record.id).collect();
    for (record, generation, _) in &claimed {
        cluster.owned.set(record.id, *generation);
    }
    let taken = cluster.between(move |core, recent| {
        let mut all = Vec::new();
        for (record, _, at) in claimed {
            let id = record.id;
            match take_up(core, record, at, recent) {
                Some(missed) => all.extend(missed.map(|missed| (id, missed))),
                None => {
                    if let Some(ownership) = &core.shared.ownership {
                        ownership.note_ended(id);
                    }
                }
            }
        }
        all
    });
    // Else the server is gone.
    let taken = taken.await.unwrap_or_default();
    drop(arriving);
    for (id, missed) in taken {
        tokio::spawn(missed.told(Arc::clone(core), id));
    }
    core.shared.metrics.cluster.moved.add(ids.len());
    ids
}
