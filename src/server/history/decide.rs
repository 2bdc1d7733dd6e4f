//! From where on the runs of a subscribe read: the store is asked, and they begin or are taken back.

use std::time::Duration;

use crate::history::{Failed, Store, Want};
use crate::operations::Scope;
use crate::operations::replay::{begins, is_gone, judge, position};
use crate::session::{Asked, Decided, Decision, Found, From};

/// After which time a store is asked again that does not answer.
const RETRY: Duration = Duration::from_secs(1);

/// Decides from where on the runs of a subscribe read, which then begin; or takes the subscribe back. A
/// subscription gets at most `max` messages of the past.
///
/// `scope` makes what it is done with.
pub async fn decide<'s>(
    decision: Decision,
    store: &dyn Store,
    max: usize,
    scope: impl Fn() -> Scope<'s>,
) {
    let mut decided = Vec::new();
    let mut all = Vec::new();
    for run in &decision.runs {
        if decision.done.is_closed() {
            let gone = Decided::Failed(run.asked[0].pattern.clone());
            return scope().take_back(decision, gone);
        }
        let mut found = Vec::new();
        for asked in &run.asked {
            match looked(asked, store, max, &decision).await {
                Ok(one) if asked.fails && is_gone(one.missing) => {
                    let expired = Decided::Expired(one.pattern, position(&asked.from));
                    return scope().take_back(decision, expired);
                }
                Ok(one) => found.push(one),
                Err(_) => {
                    let failed = Decided::Failed(asked.pattern.clone());
                    return scope().take_back(decision, failed);
                }
            }
        }
        decided.push((run.number, begins(&run.asked, &found)));
        all.extend(found);
    }
    scope().begin_runs(decision, decided, all);
}

/// Looks until the store answers, if it has to.
async fn looked(
    asked: &Asked,
    store: &dyn Store,
    max: usize,
    decision: &Decision,
) -> Result<Found, Failed> {
    loop {
        let found = look(asked, store, max).await;
        if found.is_ok() || !decision.insists || decision.done.is_closed() {
            return found;
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn look(asked: &Asked, store: &dyn Store, max: usize) -> Result<Found, Failed> {
    let want = Want {
        pattern: asked.pattern.clone(),
        after: position(&asked.from),
    };
    // Only who wants what has been can want too much.
    let max = match asked.from {
        From::New | From::Last => usize::MAX,
        From::All | From::After(..) => max,
    };
    let survey = store.survey(want, max).await?;
    let (missing, after) = judge(&asked.from, &survey, &store.epoch());
    Ok(Found {
        pattern: asked.pattern.clone(),
        missing,
        after,
        survey,
    })
}
