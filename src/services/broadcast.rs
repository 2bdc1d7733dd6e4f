//! broadcast: a message for all subscribers of a channel: `{"channel": …, "data": …}`.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Call, Handler};
use crate::bayeux::{ChannelKind, ChannelName};

/// The handler.
#[derive(Debug)]
pub(super) struct Broadcast;

#[derive(Deserialize)]
struct Notice<'n> {
    channel: String,
    #[serde(borrow)]
    data: &'n RawValue,
}

impl Handler for Broadcast {
    fn handle(&self, call: Call) -> Result<(), Call> {
        let Ok(Notice { channel, data }) = serde_json::from_str(call.data.get()) else {
            call.fail_with("send {\"channel\": …, \"data\": …}");
            return Ok(());
        };
        match ChannelName::parse(&channel, call.limits()) {
            Ok(channel) if channel.kind() == ChannelKind::Broadcast => {
                call.publish(&channel, data);
                call.reply(RawValue::TRUE);
            }
            _ => {
                call.fail_with("the channel is not one to broadcast on");
            }
        }
        Ok(())
    }
}
