//! Who made a call, and how it is answered.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::{Handed, Reach};
use crate::bayeux::{BayeuxError, ChannelName, ClientId, Draft};

/// Who waits for the answer to a call. The answer is an event on the call's channel with the `id` of the
/// message that made it, and `successful`.
#[derive(Debug)]
pub struct Caller {
    pub(super) channel: ChannelName,
    pub(super) client_id: ClientId,
    pub(super) id: Option<Box<RawValue>>,
    pub(super) reach: Arc<dyn Reach>,
}

impl Caller {
    /// Answers; false if the caller is gone.
    pub fn reply(&self, data: &RawValue) -> bool {
        self.answer(data, true, None)
    }

    /// Tells that the call failed, and why; false if the caller is gone.
    pub fn fail(&self, data: &RawValue) -> bool {
        self.answer(data, false, None)
    }

    /// Tells that the call failed, and why, and beside it an error of the protocol that names its channel; false if
    /// the caller is gone.
    pub fn fail_as(&self, error: BayeuxError, data: &RawValue) -> bool {
        let error = serde_json::Value::from(error.about(&[self.channel.as_str()]));
        self.answer(data, false, Some(&error.to_string()))
    }

    /// Tells that the call failed, by an error of the protocol that names its channel, and says the same in
    /// `data.error`; false if the caller is gone.
    pub fn refuse(&self, error: BayeuxError) -> bool {
        self.refuse_because(error, "")
    }

    /// Does so, and says why in the error, too.
    pub fn refuse_because(&self, error: BayeuxError, why: &str) -> bool {
        let error = serde_json::Value::from(error.about(&[self.channel.as_str(), why]));
        let data = serde_json::json!({ "error": error });
        serde_json::value::to_raw_value(&data)
            .is_ok_and(|data| self.answer(&data, false, Some(&error.to_string())))
    }

    /// Returns the channel of the call.
    #[must_use]
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// Returns what can be done to others.
    #[must_use]
    pub fn reach(&self) -> &Arc<dyn Reach> {
        &self.reach
    }

    fn answer(&self, data: &RawValue, is_successful: bool, error: Option<&str>) -> bool {
        let mut event = Draft::new(&self.channel, data);
        if let Some(id) = &self.id {
            event.set("id", id.get());
        }
        event.set("successful", if is_successful { "true" } else { "false" });
        if let Some(error) = error {
            event.set("error", error);
        }
        let event = self.reach.encode(&event);
        self.reach.hand(self.client_id, &event) != Handed::Gone
    }
}
