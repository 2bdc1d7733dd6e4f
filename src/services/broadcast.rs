//! broadcast: a message for all subscribers of a channel: `{"channel": …, "data": …}`.

use serde_json::value::RawValue;

use super::{Call, Handler};
use crate::bayeux::{ChannelKind, ChannelName, fields, text};

/// The handler.
#[derive(Debug)]
pub(super) struct Broadcast;

impl Handler for Broadcast {
    fn handle(&self, call: Call) -> Result<(), Call> {
        let Some([Some(channel), Some(data)]) = fields(&call.data, ["channel", "data"]) else {
            call.fail_with("send {\"channel\": …, \"data\": …}");
            return Ok(());
        };
        let channel = text(channel).and_then(|name| ChannelName::parse(&name, &call.limits()).ok());
        match channel {
            Some(channel) if channel.kind() == ChannelKind::Broadcast => {
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
