//! What is published on a node of a cluster: through the backplane, which gives it its number and brings it back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::super::core::Core;
use crate::cluster::{NotPublished, Outgoing};
use crate::history::{Failed, Place};
use crate::metrics::Notice;
use crate::resources::{Current, Written};
use crate::sequence::{NotSequenced, Publication, Reached, Sequenced};

/// How many changes on a condition are tried at once.
const CONDITIONAL: usize = 64;
/// How often a change on a condition is tried while others change the same resource.
const TRIES: usize = 5;
/// How long what another node has published is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Publishes what is in the row, batch by batch, for ever.
pub(in crate::server) async fn run(core: &Arc<Core>) {
    let Some(cluster) = &core.cluster else {
        return std::future::pending().await;
    };
    let places = Arc::new(Semaphore::new(CONDITIONAL));
    loop {
        let batch = core.sequence.next().await;
        if batch.iter().any(Publication::is_conditional) {
            for publication in batch {
                // It closes with the server.
                let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                    return;
                };
                let core = Arc::clone(core);
                tokio::spawn(async move {
                    conditional(&core, publication).await;
                    drop(place);
                });
            }
            continue;
        }
        let batch: Vec<_> = batch
            .into_iter()
            .map(|one| (before(core, &one), one))
            .collect();
        let outgoing = batch.iter().map(|(_, one)| outgoing(one, None)).collect();
        match cluster.links.backplane.publish(outgoing).await {
            Ok(places) => {
                for ((before, publication), place) in batch.into_iter().zip(places) {
                    match place {
                        Ok(place) => conclude(core, publication, place, before),
                        Err(NotPublished::Failed(failed)) => fail(core, [publication], &failed),
                        Err(NotPublished::Reused) => {
                            publication.conclude(Err(NotSequenced::Reused));
                        }
                        // Nothing was expected of it.
                        Err(NotPublished::Unexpected(_)) => fail(core, [publication], &lost()),
                    }
                }
            }
            Err(failed) => fail(core, batch.into_iter().map(|(_, one)| one), &failed),
        }
    }
}

/// Returns what the resource is before it is changed, if it is.
fn before(core: &Core, publication: &Publication) -> Option<Current> {
    publication.change.as_ref()?;
    core.scope(Instant::now())
        .resource_now(&publication.entry.channel)
}

fn lost() -> Failed {
    Failed::Io("a message was refused that asked for nothing".into())
}

fn outgoing(publication: &Publication, expected: Option<u64>) -> Outgoing {
    Outgoing {
        entry: publication.entry.clone(),
        publisher: publication.publisher,
        expected,
        once: publication.once.clone(),
    }
}

/// Publishes a change of a resource that depends on what it is.
async fn conditional(core: &Arc<Core>, publication: Publication) {
    let Some(cluster) = &core.cluster else {
        return;
    };
    for _ in 0..TRIES {
        let checked = core.scope(Instant::now()).check(&publication);
        if let Err(unmet) = checked {
            return publication.conclude(Err(unmet));
        }
        let current = before(core, &publication);
        let number = current
            .as_ref()
            .map_or(0, |current| current.version.number());
        let message = outgoing(&publication, Some(number));
        let places = cluster.links.backplane.publish(vec![message]).await;
        match places.as_deref() {
            Ok([Ok(place)]) => return conclude(core, publication, *place, current),
            Ok([Err(NotPublished::Unexpected(id))]) => {
                // It is looked at again once that is here.
                let _ = timeout(PATIENCE, cluster.reached(*id)).await;
            }
            Ok([Err(NotPublished::Reused)]) => {
                return publication.conclude(Err(NotSequenced::Reused));
            }
            Ok([Err(NotPublished::Failed(failed))]) => {
                let failed = failed.clone();
                return fail(core, [publication], &failed);
            }
            Ok(_) => return fail(core, [publication], &lost()),
            Err(failed) => {
                let failed = failed.clone();
                return fail(core, [publication], &failed);
            }
        }
    }
    let checked = core.scope(Instant::now()).check(&publication);
    publication.conclude(Err(checked.err().unwrap_or(NotSequenced::Failed(
        Failed::Io("others change the resource all the time".into()),
    ))));
}

/// Tells the publisher; of a change of a resource once that can be seen here.
fn conclude(core: &Arc<Core>, publication: Publication, place: Place, before: Option<Current>) {
    core.shared.metrics.cluster.published.increment();
    let sequenced = Sequenced {
        reached: Reached::default(),
        id: place.id,
        is_persisted: core.history.store().is_some_and(|store| store.is_synced()),
        written: None,
    };
    if publication.change.is_none() {
        return publication.conclude(Ok(sequenced));
    }
    let core = Arc::clone(core);
    tokio::spawn(async move {
        let channel = &publication.entry.channel;
        if let Some(cluster) = &core.cluster {
            let _ = timeout(PATIENCE, cluster.reached(place.id)).await;
        }
        let written = core
            .scope(Instant::now())
            .resource_now(channel)
            .map(|current| Written {
                version: current.version,
                is_new: before.as_ref().is_none_or(|before| before.data.is_none()),
                before: before.map_or_else(Default::default, |before: Current| before.version),
            });
        publication.conclude(Ok(Sequenced {
            written,
            ..sequenced
        }));
    });
}

fn fail(core: &Core, batch: impl IntoIterator<Item = Publication>, failed: &Failed) {
    let metrics = &core.shared.metrics;
    if let Some(permit) = metrics.may_log(Notice::History) {
        tracing::error!(
            suppressed = permit.suppressed,
            "messages are refused, as they cannot be published in the cluster: {failed}"
        );
    }
    for publication in batch {
        metrics.cluster.refused.increment();
        publication.conclude(Err(NotSequenced::Failed(failed.clone())));
    }
}
