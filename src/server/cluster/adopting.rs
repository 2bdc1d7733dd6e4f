//! A session whose node is dead goes on here, with what that has written of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::super::core::Core;
use super::Cluster;
use super::Located;
use super::head::head;
use crate::bayeux::{ChannelPattern, ClientId};
use crate::cluster::{Claim, Owner};
use crate::operations::{Revived, Scope};
use crate::session::{Asked, Decided, Deciding, From, Record, Run, Session};

/// How often a session is taken up anew while Redis is away, and after which time.
const MANY: usize = 300;
const RETRY: Duration = Duration::from_millis(200);

/// Adopts a session, whose owner is dead, or is this node, which does not have it: it did not hear that its claim had
/// succeeded. Nothing if it has another owner meanwhile.
pub(super) async fn adopt(core: &Arc<Core>, id: ClientId, owner: Owner) -> Option<Located> {
    let cluster = core.cluster.as_ref()?;
    if core.sessions.find(id).is_some() {
        return Some(Located::Here);
    }
    if cluster.leaving.has(id) {
        // It is about to be here, or elsewhere.
        return None;
    }
    let me = cluster.links.me;
    let registry = &cluster.links.registry;
    let is_given = owner.node == me;
    let claim = timeout(
        cluster.links.settings.call_timeout,
        registry.claim(id, owner, me, is_given),
    );
    let (generation, state) = match claim.await {
        Ok(Ok(Claim::Taken { generation, state })) => (generation, state),
        Ok(Ok(Claim::Gone)) => return Some(Located::Gone),
        Ok(Ok(Claim::Owned(_) | Claim::Alive)) => return None,
        Ok(Err(_)) | Err(_) => return Some(Located::Unknown),
    };
    cluster.owned.set(id, generation);
    let record = match Record::decode(&state) {
        // Its client asks for a new one from where it is, which it knows better.
        Ok(record) if record.is_of_event_stream() => None,
        Ok(record) => Some(record),
        Err(error) => {
            tracing::warn!(client_id = ?id, "a session of a dead node is passed over: {error}");
            None
        }
    };
    let is_here = match record {
        Some(record) => go_on(core, cluster, id, record).await,
        None => false,
    };
    if is_here {
        tracing::debug!(client_id = ?id, from = %owner.node, generation, "session adopted");
        core.shared.metrics.cluster.adopted.increment();
        return Some(Located::Here);
    }
    if core.sessions.find(id).is_some() {
        return Some(Located::Here);
    }
    if let Some(ownership) = &core.shared.ownership {
        // Nobody else is to try.
        ownership.note_ended(id);
    }
    Some(Located::Gone)
}

/// Lets it go on; false if it has to end instead.
async fn go_on(core: &Arc<Core>, cluster: &Cluster, id: ClientId, record: Record) -> bool {
    let held = cluster.links.interest.hold(record.subscriptions());
    for _ in 0..MANY {
        if let Some(settled) = cluster.links.interest.settled() {
            settled.await;
        }
        // Its last node may have delivered whatever was published before the claim, also what is not heard here.
        let Ok(head) = head(core).await else {
            sleep(RETRY).await;
            continue;
        };
        let record = record.clone();
        let taken = cluster.after_all(move |core, recent| {
            let last = recent.last().max(head);
            take_up(core, record, last)
        });
        match taken.await {
            Ok(taken) => {
                drop(held);
                let is_here = taken.is_some();
                if let Some(missed) = taken.flatten() {
                    tokio::spawn(missed.told(Arc::clone(core), id));
                }
                return is_here;
            }
            Err(_) => sleep(RETRY).await,
        }
    }
    false
}

/// What a session has missed, while it is looked up, and of which channels and patterns.
pub(super) struct Missed {
    deciding: Deciding,
    patterns: Vec<ChannelPattern>,
}

/// Messages of channels with history that a session has missed and gets, if there are any.
pub(super) struct Missing {
    /// Each with the number after which it was missed.
    patterns: Vec<(ChannelPattern, u64)>,
    run: Option<u64>,
}

impl Missing {
    /// Finds what of these comes from history, if `comes`. Of what does not the client is told that it may have
    /// missed some.
    pub(super) fn of(
        session: &Session,
        subscriptions: &[ChannelPattern],
        after: u64,
        comes: bool,
        scope: &Scope<'_>,
    ) -> Self {
        let comes = comes && scope.history.store().is_some();
        let is_again = |it: &&ChannelPattern| comes && scope.router.replay(it).is_some();
        // What it is being given of the past already goes on to the end.
        let missed = |it: &ChannelPattern| Some((it.clone(), session.came_up_to(it, after)?));
        let again = subscriptions.iter().filter(is_again);
        let patterns: Vec<_> = again.filter_map(missed).collect();
        let is_lost = |it: &&ChannelPattern| !comes || !scope.router.is_kept(it);
        let lost: Vec<_> = subscriptions.iter().filter(is_lost).cloned().collect();
        session.note_gap(&lost);
        let run = (!patterns.is_empty()).then(|| session.begin_replay_again(&patterns));
        Self { patterns, run }
    }

    /// Has it looked up, once the session is among the others.
    pub(super) fn look_up(self, id: ClientId, core: &Core) -> Option<Missed> {
        let number = self.run?;
        let asked = |(pattern, after): &(ChannelPattern, u64)| Asked {
            pattern: pattern.clone(),
            from: From::After(*after, None),
            fails: false,
        };
        let asked = self.patterns.iter().map(asked).collect();
        let runs = vec![Run { number, asked }];
        Some(Missed {
            deciding: core.shared.replays.decide_in_any_case(id, runs),
            patterns: self.patterns.into_iter().map(|(name, _)| name).collect(),
        })
    }
}

impl Missed {
    /// Tells its client of what cannot be had of it.
    pub(super) async fn told(self, core: Arc<Core>, id: ClientId) {
        let lost = match self.deciding.await {
            Ok(Decided::Begun(found)) => found
                .into_iter()
                .filter(|found| found.missing.is_some())
                .map(|found| found.pattern)
                .collect(),
            Ok(Decided::Expired(..) | Decided::Failed(_)) | Err(_) => self.patterns,
        };
        if let Some(session) = core.sessions.find(id) {
            session.note_gap(&lost);
        }
    }
}

/// Takes it up; it hears live what is published after `last`. What it missed of channels with history comes if its
/// client acknowledges, from where it was; of whatever else may be missing its client is told. Nothing: it has to end
/// instead.
fn take_up(core: &Core, mut record: Record, last: u64) -> Option<Option<Missed>> {
    let scope = core.scope(Instant::now());
    let id = record.id;
    let position = record.adopt();
    let subscriptions = record.subscriptions();
    let acknowledges = record.acknowledges();
    let mut missing = None;
    let prepare = |session: &Arc<Session>| {
        session.set_floor(last);
        let found = Missing::of(session, &subscriptions, position, acknowledges, &scope);
        missing = Some(found);
    };
    match scope.take_up_with(record, &mut Revived::default(), prepare) {
        Ok(true) => Some(missing.and_then(|missing| missing.look_up(id, core))),
        Ok(false) => None,
        Err(error) => {
            tracing::warn!(client_id = ?id, "a session of a dead node is passed over: {error}");
            None
        }
    }
}
