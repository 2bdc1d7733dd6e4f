//! A session hears that messages for it may be missing, and has its client told.

use std::sync::Arc;

use super::Session;
use super::state::{State, Wake};
use crate::bayeux::{ChannelPattern, Event, NotRecovered, Outcome};

impl Session {
    /// Notes that messages of some of what it is subscribed to may be missing. Its client is told with the reply
    /// to its next connect, or by its event stream.
    pub fn note_gap(&self, patterns: &[ChannelPattern]) {
        if patterns.is_empty() {
            return;
        }
        let mut inner = self.lock();
        let wake = self.note_gap_in(&mut inner.state, patterns);
        self.finish(inner, wake);
    }

    pub(super) fn note_gap_in(&self, state: &mut State, patterns: &[ChannelPattern]) -> Wake {
        self.shared.metrics.cluster.gaps.increment();
        let memory = &self.shared.metrics.memory;
        let told = |pattern: &ChannelPattern| {
            let outcome = Outcome {
                pattern: pattern.as_str(),
                failed: Some(NotRecovered::Missed),
                after: 0,
                first: None,
                last: None,
                epoch: "",
            };
            let event = Event::overtaken(pattern, &Outcome::json(&[outcome]));
            Arc::new(event.counted(memory))
        };
        state.note_gap(patterns, told, &self.shared.settings.get())
    }
}
