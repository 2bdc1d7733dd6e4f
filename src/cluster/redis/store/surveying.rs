//! What there is of something, before it is read.

use super::super::{Redis, number};
use super::back::Back;
use super::finding::{Channel, wanted};
use super::reading::{Logged, Streamed, parsed, place};
use crate::history::{Failed, Survey, Want};

/// How many are looked at in one step.
const STEP: usize = 1000;

impl Redis {
    pub(super) async fn find_what_there_is(
        &self,
        want: Want,
        max: usize,
    ) -> Result<Survey, Failed> {
        let found = self.find_channels([(&want.pattern, -1)].into_iter());
        let found = found.await?.pop();
        let found = found.ok_or_else(|| Failed::Io("nothing was answered".into()))?;
        let mut survey = Survey {
            first: None,
            last: None,
            lost: found.forgotten,
            head: found.head,
            too_many: None,
        };
        let mut channels = None;
        if let Some(few) = found.channels {
            self.survey_few(&few, &mut survey).await?;
            let count: u64 = few.iter().map(|channel| channel.count).sum();
            if count <= max as u64 {
                return Ok(survey);
            }
            let kept = few.into_iter().filter(|channel| channel.count > 0);
            channels = Some(kept.map(|channel| channel.name).collect());
        } else {
            self.survey_many(&want, &mut survey).await?;
        }
        let mut back = Back::new(self, &want, found.head, channels);
        for _ in 0..max {
            if back.next().await?.is_none() {
                return Ok(survey);
            }
        }
        survey.too_many = back.next().await?;
        Ok(survey)
    }

    async fn survey_few(&self, few: &[Channel], survey: &mut Survey) -> Result<(), Failed> {
        if few.is_empty() {
            return Ok(());
        }
        let mut pipeline = redis::pipe();
        for channel in few {
            let stream = self.link.keys.stream(&channel.name);
            let first = pipeline.cmd("XRANGE").arg(stream);
            first.arg(&["-", "+", "COUNT", "1"]);
        }
        let names = few.iter().map(|channel| channel.name.as_str());
        let scores = pipeline.cmd("ZMSCORE").arg(&self.link.keys.lost);
        scores.arg(names.collect::<Vec<_>>());
        let mut answers: Vec<redis::Value> = self.link.ask_all(&pipeline).await?;
        let scores: Vec<Option<f64>> = parsed(answers.pop().unwrap_or_default())?;
        for ((channel, answer), score) in few.iter().zip(answers).zip(scores) {
            survey.lost = survey.lost.max(score.map_or(0, number));
            let first: Vec<Streamed> = parsed(answer)?;
            if let Some((id, _)) = first.first() {
                let first = Some(place(id).0);
                survey.first = survey.first.into_iter().chain(first).min();
                survey.last = survey.last.max(Some(channel.last));
            }
        }
        Ok(())
    }

    async fn survey_many(&self, want: &Want, survey: &mut Survey) -> Result<(), Failed> {
        let any = Want {
            after: 0,
            ..want.clone()
        };
        let mut back = Back::new(self, &any, survey.head, None);
        survey.last = back.next().await?;
        if survey.last.is_some() {
            survey.first = self.first_of(want, survey.head).await?;
        }
        let mut scored = redis::cmd("ZREVRANGEBYSCORE");
        scored.arg(&self.link.keys.lost).arg("+inf");
        scored.arg(format!("({}", survey.lost)).arg("WITHSCORES");
        scored.arg(&["LIMIT", "0"]).arg(STEP);
        let scores: Vec<(String, f64)> = self.link.ask(&scored).await?;
        let is_of = |name: &str| want.pattern.covers(name);
        let found = scores.iter().find(|(name, _)| is_of(name));
        // Among those that were not looked at there may be one.
        let rest = scores.last().filter(|_| scores.len() == STEP);
        let lost = found.or(rest).map_or(0, |(_, score)| number(*score));
        survey.lost = survey.lost.max(lost);
        Ok(())
    }

    /// Returns the number of the oldest message of a pattern.
    async fn first_of(&self, want: &Want, head: u64) -> Result<Option<u64>, Failed> {
        let mut from = 0;
        loop {
            let mut ranged = redis::cmd("XRANGE");
            ranged.arg(&self.link.keys.log).arg(from).arg(head);
            ranged.arg("COUNT").arg(STEP);
            let entries: Vec<Logged> = self.link.ask(&ranged).await?;
            let wants = std::slice::from_ref(want);
            let mut all = entries.iter();
            let first = all.find(|(_, (_, channel))| wanted(wants, channel).is_some());
            if let Some((id, _)) = first {
                return Ok(Some(place(id).0));
            }
            match entries.last() {
                Some((id, _)) if entries.len() == STEP => from = place(id).0 + 1,
                _ => return Ok(None),
            }
        }
    }
}
