//! From where on a run reads: what is asked for, as far as that is there.

use crate::bayeux::NotRecovered;
use crate::history::{Selection, Survey, Want};
use crate::metrics::Limit;
use crate::operations::Scope;
use crate::session::{Asked, Begins, Decided, Decision, Found, From};

/// Tells whether a position is not there any more.
#[must_use]
pub fn is_gone(missing: Option<NotRecovered>) -> bool {
    matches!(
        missing,
        Some(NotRecovered::Expired | NotRecovered::EpochChanged)
    )
}

/// Returns the number that something is asked for after; 0: it names none.
#[must_use]
pub fn position(from: &From) -> u64 {
    match from {
        From::After(id, _) => *id,
        From::New | From::Last | From::All => 0,
    }
}

/// Returns what is missing of what is asked for, and after which number the rest begins.
pub fn judge(from: &From, survey: &Survey, epoch: &str) -> (Option<NotRecovered>, u64) {
    let (missing, after) = match from {
        From::New => return (None, survey.head),
        From::Last => return (None, 0),
        From::All => (None, all(survey)),
        From::After(id, known) => {
            let is_other = known.as_deref().is_some_and(|known| known != epoch);
            let missing = if is_other || *id > survey.head {
                Some(NotRecovered::EpochChanged)
            } else if *id < survey.lost {
                Some(NotRecovered::Expired)
            } else {
                None
            };
            // What a number from the future was is not known: all there is may be new.
            let after = if *id > survey.head { all(survey) } else { *id };
            (missing, after)
        }
    };
    match survey.too_many {
        Some(behind) => (missing.or(Some(NotRecovered::Limit)), behind.max(after)),
        None => (missing, after),
    }
}

/// Returns the number after which all comes that is kept.
fn all(survey: &Survey) -> u64 {
    survey.first.map_or(survey.head, |first| first - 1)
}

/// Returns from where on a run reads, by what was found of what it is for.
#[must_use]
pub fn begins(asked: &[Asked], found: &[Found]) -> Begins {
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
        told: found
            .iter()
            .map(|found| found.survey.lost)
            .max()
            .unwrap_or_default(),
        fails: asked.iter().any(|asked| asked.fails),
    }
}

impl Scope<'_> {
    /// Lets the runs of a subscribe begin.
    pub fn begin_runs(&self, decision: Decision, runs: Vec<(u64, Begins)>, found: Vec<Found>) {
        let Some(session) = self.sessions.find(decision.session) else {
            return;
        };
        if decision.done.is_closed() {
            // Its client was told that it failed, or has gone.
            return self.take_back(decision, Decided::Begun(found));
        }
        for (number, begins) in runs {
            session.decide_replay(number, begins);
        }
        for found in &found {
            if found.missing == Some(NotRecovered::Limit) {
                self.metrics().limited(Limit::MaxReplayMessages);
            }
        }
        // Its client may have gone.
        let _ = decision.done.send(Decided::Begun(found));
    }

    /// Takes a subscribe back whose runs cannot begin.
    pub fn take_back(&self, decision: Decision, why: Decided) {
        if let Some(session) = self.sessions.find(decision.session) {
            for run in &decision.runs {
                session.cancel_replay(run.number);
            }
            // What was asked for again since is not taken back.
            let new = decision
                .new
                .iter()
                .filter(|pattern| !session.replays(pattern));
            let new: Vec<_> = new.cloned().collect();
            self.unsubscribe(&session, &new);
        }
        // Its client may have gone.
        let _ = decision.done.send(why);
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
            (after(9, None), kept, Some(Expired), 9),
            (after(0, None), kept, Some(Expired), 0),
            (after(0, None), survey(0, 50, None), None, 0),
            (after(51, None), kept, Some(EpochChanged), 10),
            (after(20, Some("e")), kept, None, 20),
            (after(20, Some("f")), kept, Some(EpochChanged), 20),
            (after(5, Some("f")), kept, Some(EpochChanged), 5),
            (after(20, None), many, Some(Limit), 40),
            (after(5, None), many, Some(Expired), 40),
        ];
        for (from, survey, missing, begins) in cases {
            let judged = judge(&from, &survey, "e");
            assert_eq!(judged, (missing, begins), "{from:?} of {survey:?}");
        }
    }
}
