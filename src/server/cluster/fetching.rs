//! A request comes here for a session that is elsewhere: it waits until the session is here, too.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{self, sleep, timeout};

use super::super::BayeuxServer;
use super::super::core::Core;
use super::super::request::Request;
use super::Located;
use super::calls::{TakeAnswer, TakeCall, decode, encode};
use super::locating::locate;
use super::moving::{Took, take};
use crate::bayeux::{BayeuxError, ClientId, Message};
use crate::cluster::{CallKind, NodeId};
use crate::extensions::Refusal;
use crate::operations::{Actor, Implied};
use crate::session::Asker;

/// After which time a session is asked for again that could not be had.
const RETRY: Duration = Duration::from_millis(100);
/// How often it is asked for: whoever waits has gone long before.
const TRIES: usize = 20;
/// How many nodes in a row are asked whether somebody may have a session.
const MAX_MOVES: usize = 3;
/// How long a session that is here waits until this node knows whether it is its own, and how often it looks: a node
/// that was only frozen knows soon, and without Redis it cannot be known.
const MOMENT: Duration = Duration::from_millis(200);
const LOOK: Duration = Duration::from_millis(20);
/// After which time a client may ask again.
const AGAIN: Duration = Duration::from_secs(1);

impl BayeuxServer {
    /// Returns what a batch has to wait for if it is of a session that is not here, or that may not be this node's any
    /// more. It comes here only if whoever sent the batch may use it.
    pub(in crate::server) fn fetching(
        &self,
        batch: &[Message<'_>],
        request: &Request<'_>,
        now: Instant,
    ) -> Option<impl Future<Output = Result<(), Refusal>> + Send + 'static> {
        self.core.cluster.as_ref()?;
        let id = batch.iter().find_map(|message| message.client_id)?;
        let absent = self.absent(batch);
        let asker = match &request.stream {
            // That serves none which was not made by it.
            Some(_) if absent.is_some() && request.needs_own_handshake => return None,
            Some(stream) => stream.asker(request.actor.cookies, now),
            None => Asker::of(request.actor.cookies),
        };
        self.fetching_one(id, absent.map(|_| asker))
    }

    /// Does so for a request that stands for messages.
    pub(in crate::server) fn fetching_implied(
        &self,
        implied: &Implied<'_>,
        actor: &Actor<'_>,
    ) -> Option<impl Future<Output = Result<(), Refusal>> + Send + 'static> {
        let cluster = self.core.cluster.as_ref()?;
        let (Implied::Continued(_, id) | Implied::Joined(id)) = *implied else {
            return None;
        };
        let is_absent = !self.core.has(cluster, id);
        self.fetching_one(id, is_absent.then(|| Asker::of(actor.cookies)))
    }

    /// Of a session that is not here it has to be known who asks.
    fn fetching_one(
        &self,
        id: ClientId,
        asker: Option<Asker>,
    ) -> Option<impl Future<Output = Result<(), Refusal>> + Send + 'static> {
        let is_owned = self.core.shared.ownership.as_ref()?.holds();
        if is_owned && asker.is_none() {
            return None;
        }
        let core = Arc::clone(&self.core);
        Some(async move {
            let bound = core.cluster.as_ref().map(|cluster| &cluster.links.settings);
            let bound = bound.map_or(Duration::ZERO, |settings| settings.call_timeout);
            let fetched = async {
                if let Some(asker) = asker
                    && !may_have(&core, id, asker).await
                {
                    return Located::Gone;
                }
                owned(&core, id).await
            };
            match timeout(bound, fetched).await {
                Ok(Located::Here | Located::Gone) => Ok(()),
                Ok(Located::At(_) | Located::Unknown) | Err(_) => {
                    let error = BayeuxError::ClusterUnavailable.text();
                    Err(Refusal::Later(error.into(), AGAIN))
                }
            }
        })
    }
}

/// Tells whether somebody may use a session that is at another node, as that says. If it cannot, that is asked again once
/// the session is here.
async fn may_have(core: &Arc<Core>, id: ClientId, asker: Asker) -> bool {
    let Some(cluster) = &core.cluster else {
        return true;
    };
    let call = encode(&TakeCall::May {
        id,
        asker: asker.into(),
    });
    let mut at = locate(core, id, None).await;
    for _ in 0..MAX_MOVES {
        let Located::At(node) = at else {
            return true;
        };
        let peers = &cluster.links.peers;
        let answer = peers.call(node, CallKind::Take, call.clone()).await;
        match answer.map(|answer| decode(&answer)) {
            Ok(Ok(TakeAnswer::Denied)) => return false,
            Ok(Ok(TakeAnswer::At(other))) => at = Located::At(other),
            _ => return true,
        }
    }
    true
}

/// Waits until a session is here, and this node may take it for its own. One that is here goes on if that cannot be
/// found out now: it gets nothing until it is.
async fn owned(core: &Arc<Core>, id: ClientId) -> Located {
    let is_here = || {
        let cluster = core.cluster.as_ref();
        cluster.is_some_and(|cluster| core.has(cluster, id))
    };
    let is_owned = || {
        let ownership = core.shared.ownership.as_ref();
        ownership.is_none_or(|ownership| ownership.holds())
    };
    let began = time::Instant::now();
    while !is_owned() {
        if is_here() && began.elapsed() >= MOMENT {
            return Located::Here;
        }
        sleep(LOOK).await;
    }
    fetch(core, id).await
}

/// Has a session come here, wherever it is, once however many ask for that.
pub(super) async fn fetch(core: &Arc<Core>, id: ClientId) -> Located {
    let Some(cluster) = &core.cluster else {
        return Located::Gone;
    };
    if core.has(cluster, id) {
        return Located::Here;
    }
    let fetching = Arc::clone(core);
    let fetched = cluster
        .fetches
        .work(id, || async move { look_for(&fetching, id).await })
        .await;
    fetched.unwrap_or(Located::Unknown)
}

async fn look_for(core: &Arc<Core>, id: ClientId) -> Located {
    let mut but: Option<NodeId> = None;
    for tried in 0..TRIES {
        if tried > 0 {
            sleep(RETRY).await;
        }
        // It would have to give it away again at once.
        if core.shared.reconnects.is_stopping() {
            return Located::Unknown;
        }
        let node = match locate(core, id, but).await {
            Located::At(node) => node,
            Located::Unknown => continue,
            found @ (Located::Here | Located::Gone) => return found,
        };
        let mut from = node;
        // It may be told where the session is.
        for _ in 0..2 {
            match take(core, id, from).await {
                Took::Here => return Located::Here,
                Took::At(other) if Some(other) != core.cluster.as_ref().map(|it| it.links.me) => {
                    but = Some(from);
                    from = other;
                }
                Took::At(_) => break,
                Took::Gone => {
                    but = Some(from);
                    break;
                }
                Took::NotNow => {
                    but = None;
                    break;
                }
            }
        }
    }
    Located::Unknown
}
