//! direct: one client's message to another, by its client id: `{"clientId": …, "data": …}`.
//!
//! Whoever knows a client id can reach that client, which is why this is for demonstrations.

use serde_json::value::RawValue;

use super::{Call, Handler};
use crate::bayeux::{ClientId, fields, text};

/// The handler.
#[derive(Debug)]
pub(super) struct Direct;

impl Handler for Direct {
    fn handle(&self, call: Call) -> Result<(), Call> {
        let Some([Some(to), Some(data)]) = fields(&call.data, ["clientId", "data"]) else {
            call.fail_with("send {\"clientId\": …, \"data\": …}");
            return Ok(());
        };
        let to = text(to).and_then(|to| to.parse::<ClientId>().ok());
        if to.is_some_and(|to| call.deliver(to, data)) {
            call.reply(RawValue::TRUE);
        } else {
            call.fail_with("there is no such client");
        }
        Ok(())
    }
}
