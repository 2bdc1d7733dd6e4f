//! The tasks behind history: what is published is kept, then sent; sessions are given what they missed; and what is
//! too old is let go.

mod decide;
mod page;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::batch::STEP;
use super::core::Core;
use crate::history::{Entry, Failed, Figures, Place, Store};
use crate::metrics::Notice;
use crate::sequence::{NotSequenced, Publication};
use crate::session::Job;

/// Batches that are kept and not sent yet.
const KEPT: usize = 4;
/// Pages and positions that are read at once.
const READS: usize = 64;
/// How often what is too old is let go.
const TRIM: Duration = Duration::from_secs(1);

/// What is on its way from the store to the subscribers.
enum Kept {
    /// Messages, with their numbers.
    Batch(Vec<(Publication, Place)>),
    /// Whoever waits for all before it to be sent.
    Sent(oneshot::Sender<()>),
}

/// Works for history, for ever; without a store there is nothing to do.
pub(super) async fn run(core: &Arc<Core>) {
    let Some(store) = core.history.store() else {
        return std::future::pending().await;
    };
    let (kept, to_send) = mpsc::channel(KEPT);
    let mut tasks = JoinSet::new();
    if core.cluster.is_none() {
        tasks.spawn(keep(Arc::clone(core), Arc::clone(store), kept));
        tasks.spawn(send(Arc::clone(core), to_send));
    }
    tasks.spawn(replay(Arc::clone(core), Arc::clone(store)));
    tasks.spawn(trim(Arc::clone(core), Arc::clone(store)));
    while tasks.join_next().await.is_some() {
        tracing::error!("a task of history has ended, which is a defect");
    }
}

/// Has messages kept, batch by batch.
async fn keep(core: Arc<Core>, store: Arc<dyn Store>, kept: mpsc::Sender<Kept>) {
    loop {
        let mut batch = core.sequence.next().await;
        if batch.iter().any(Publication::is_conditional) {
            // What those before it do to the resource is to be seen.
            let (sent, all) = oneshot::channel();
            if kept.send(Kept::Sent(sent)).await.is_err() || all.await.is_err() {
                return;
            }
            batch = checked(batch, &core);
        }
        if batch.is_empty() {
            continue;
        }
        let entries: Vec<Entry> = batch.iter().map(|one| one.entry.clone()).collect();
        match store.append(entries).await {
            Ok(places) => {
                core.shared.metrics.history.appended.add(batch.len());
                let batch = batch.into_iter().zip(places).collect();
                if kept.send(Kept::Batch(batch)).await.is_err() {
                    return;
                }
            }
            Err(failed) => fail(batch, &failed, &core),
        }
    }
}

fn checked(batch: Vec<Publication>, core: &Core) -> Vec<Publication> {
    let scope = core.scope(Instant::now());
    let mut passed = Vec::new();
    for publication in batch {
        match scope.check(&publication) {
            Ok(()) => passed.push(publication),
            Err(why) => publication.conclude(Err(why)),
        }
    }
    passed
}

fn fail(batch: Vec<Publication>, failed: &Failed, core: &Core) {
    core.shared.metrics.history.failed.add(batch.len());
    if let Some(permit) = core.shared.metrics.may_log(Notice::History) {
        tracing::error!(
            suppressed = permit.suppressed,
            "messages of channels with history are refused: {failed}"
        );
    }
    for publication in batch {
        publication.conclude(Err(NotSequenced::Failed(failed.clone())));
    }
}

/// Sends what is kept, in its order; others have their turn after each step.
async fn send(core: Arc<Core>, mut kept: mpsc::Receiver<Kept>) {
    let mut work = 0;
    while let Some(kept) = kept.recv().await {
        let batch = match kept {
            Kept::Batch(batch) => batch,
            Kept::Sent(waiter) => {
                let _ = waiter.send(());
                continue;
            }
        };
        let oldest = batch.first().map(|(publication, _)| publication.entry.at);
        for (publication, place) in batch {
            let scope = core.scope(Instant::now());
            scope.send_kept(publication, place);
            work += 1 + scope.work.get();
            if work >= STEP {
                work = 0;
                tokio::task::yield_now().await;
            }
        }
        let took = oldest.and_then(|at| SystemTime::now().duration_since(at).ok());
        if let Some(took) = took {
            core.shared.metrics.latency.observe(took);
        }
    }
}

/// Gives sessions what they missed.
async fn replay(core: Arc<Core>, store: Arc<dyn Store>) {
    let mut reads = FuturesUnordered::new();
    loop {
        tokio::select! {
            job = core.shared.replays.next(), if reads.len() < READS => {
                reads.push(work(job, &core, &*store));
            }
            Some(()) = reads.next() => {}
        }
    }
}

fn work<'c>(
    job: Job,
    core: &'c Core,
    store: &'c dyn Store,
) -> impl Future<Output = ()> + Send + 'c {
    let max = core.history.settings().max_replay_messages;
    let scope = || core.scope(Instant::now());
    async move {
        match job {
            Job::Decide(decision) => {
                // What is read has to reach what comes live.
                let interest = core.shared.interest.as_ref();
                if let Some(settled) = interest.and_then(|interest| interest.settled()) {
                    settled.await;
                }
                decide::decide(decision, store, max, scope).await;
            }
            Job::Page(session) => page::page(session, store, scope).await,
        }
    }
}

/// Lets go of what is too old, or too much.
async fn trim(core: Arc<Core>, store: Arc<dyn Store>) {
    loop {
        tokio::time::sleep(TRIM).await;
        let cluster = core.cluster.as_ref();
        if cluster.is_some_and(|cluster| !cluster.links.backplane.is_up()) {
            // That is told already.
            continue;
        }
        if let Err(failed) = store.trim(SystemTime::now()).await
            && let Some(permit) = core.shared.metrics.may_log(Notice::History)
        {
            tracing::error!(
                suppressed = permit.suppressed,
                "history cannot be trimmed: {failed}"
            );
        }
        let Figures {
            messages,
            bytes,
            channels,
        } = store.figures();
        let metrics = &core.shared.metrics.history;
        metrics.keeps(messages, bytes, channels);
        metrics.set_failing(store.health().is_err());
    }
}
