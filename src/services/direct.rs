//! direct: one client's message to another, by its client id: `{"clientId": …, "data": …}`.
//!
//! Whoever knows a client id can reach that client, which is why this is for demonstrations.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Call, Handler};
use crate::bayeux::ClientId;

/// The handler.
#[derive(Debug)]
pub(super) struct Direct;

#[derive(Deserialize)]
struct Letter<'l> {
    #[serde(rename = "clientId")]
    to: String,
    #[serde(borrow)]
    data: &'l RawValue,
}

impl Handler for Direct {
    fn handle(&self, call: Call) -> Result<(), Call> {
        let Ok(Letter { to, data }) = serde_json::from_str(call.data.get()) else {
            call.fail_with("send {\"clientId\": …, \"data\": …}");
            return Ok(());
        };
        let to: Result<ClientId, _> = to.parse();
        if to.is_ok_and(|to| call.deliver(to, data)) {
            call.reply(RawValue::TRUE);
        } else {
            call.fail_with("there is no such client");
        }
        Ok(())
    }
}
