//! From where on a run reads: what is asked for, as far as that is there.

use crate::bayeux::NotRecovered;
use crate::history::{Failed, Selection, Store, Survey, Want};
use crate::operations::Scope;
use crate::session::{Asked, Begins, Decided, Decision, Found, From};

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
        let mut found = Vec::new();
        for asked in &run.asked {
            match look(asked, store, max).await {
                Ok(one) if asked.fails && is_gone(one.missing) => {
                    let expired = Decided::Expired(one.pattern, position(&asked.from));
                    return take_back(decision, expired, &scope());
                }
                Ok(one) => found.push(one),
                Err(_) => {
                    let failed = Decided::Failed(asked.pattern.clone());
                    return take_back(decision, failed, &scope());
                }
            }
        }
        decided.push((run.number, begins(&run.asked, &found)));
        all.extend(found);
    }
    let scope = scope();
    let Some(session) = scope.sessions.find(decision.session) else {
        return;
    };
    for (number, begins) in decided {
        session.decide_replay(number, begins);
    }
    // Its client may have gone.
    let _ = decision.done.send(Decided::Begun(all));
}

fn take_back(decision: Decision, why: Decided, scope: &Scope<'_>) {
    if let Some(session) = scope.sessions.find(decision.session) {
        for run in &decision.runs {
            session.cancel_replay(run.number);
        }
        scope.unsubscribe(&session, &decision.new);
    }
    // Its client may have gone.
    let _ = decision.done.send(why);
}

fn is_gone(missing: Option<NotRecovered>) -> bool {
    matches!(
        missing,
        Some(NotRecovered::Expired | NotRecovered::EpochChanged)
    )
}

fn position(from: &From) -> u64 {
    match from {
        From::After(id, _) => *id,
        From::New | From::Last | From::All => 0,
    }
}

async fn look(asked: &Asked, store: &dyn Store, max: usize) -> Result<Found, Failed> {
    let want = Want {
        pattern: asked.pattern.clone(),
        after: position(&asked.from),
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

/// Returns what is missing of what is asked for, and after which number the rest begins.
fn judge(from: &From, survey: &Survey, epoch: &str) -> (Option<NotRecovered>, u64) {
    let (missing, after) = match from {
        From::New => return (None, survey.head),
        From::Last => return (None, 0),
        From::All => (None, survey.lost),
        From::After(id, known) => {
            let is_other = known.as_deref().is_some_and(|known| known != epoch);
            let missing = if is_other || *id > survey.head {
                Some(NotRecovered::EpochChanged)
            } else if *id < survey.lost {
                Some(NotRecovered::Expired)
            } else {
                None
            };
            (missing, (*id).min(survey.head).max(survey.lost))
        }
    };
    match survey.too_many {
        Some(behind) => (missing.or(Some(NotRecovered::Limit)), behind.max(after)),
        None => (missing, after),
    }
}

fn begins(asked: &[Asked], found: &[Found]) -> Begins {
    let head = found.iter().map(|found| found.survey.head).min();
    let head = head.unwrap_or_default();
    let is_last = asked.iter().any(|asked| asked.from == From::Last);
    let wants = found.iter().map(|found| Want {
        pattern: found.pattern.clone(),
        after: found.after,
    });
    Begins {
        wants: wants.collect(),
        selection: if is_last {
            Selection::LastOfEach(head)
        } else {
            Selection::All
        },
        head,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(lost: u64, head: u64, too_many: Option<u64>) -> Survey {
        Survey {
            first: Some(lost + 1),
            last: Some(head),
            lost,
            head,
            too_many,
        }
    }

    #[test]
    fn a_position_is_served_as_far_as_what_comes_after_it_is_kept() {
        use NotRecovered::{EpochChanged, Expired, Limit};
        let after = |id, epoch: Option<&str>| From::After(id, epoch.map(Into::into));
        let kept = survey(10, 50, None);
        let many = survey(10, 50, Some(40));
        // (what is asked for, what there is, what is missing, after which number it begins)
        let cases = [
            (From::New, kept, None, 50),
            (From::New, many, None, 50),
            (From::All, kept, None, 10),
            (From::All, many, Some(Limit), 40),
            (From::Last, many, None, 0),
            (after(10, None), kept, None, 10),
            (after(50, None), kept, None, 50),
            (after(9, None), kept, Some(Expired), 10),
            (after(0, None), kept, Some(Expired), 10),
            (after(0, None), survey(0, 50, None), None, 0),
            (after(51, None), kept, Some(EpochChanged), 50),
            (after(20, Some("e")), kept, None, 20),
            (after(20, Some("f")), kept, Some(EpochChanged), 20),
            (after(5, Some("f")), kept, Some(EpochChanged), 10),
            (after(20, None), many, Some(Limit), 40),
            (after(5, None), many, Some(Expired), 40),
        ];
        for (from, survey, missing, begins) in cases {
            let judged = judge(&from, &survey, "e");
            assert_eq!(judged, (missing, begins), "{from:?} of {survey:?}");
        }
    }
}
