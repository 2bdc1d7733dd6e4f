//! Which channels the server's own handlers serve.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::broadcast::Broadcast;
use super::direct::Direct;
use super::echo::Echo;
use super::{Handler, Services};
use crate::bayeux::{ChannelPattern, Limits};

/// The service channels of each handler, or patterns of them; with none a handler is off.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Settings {
    /// Those that answer with what was sent.
    pub echo: Vec<String>,
    /// Those that send to one client, by its client id.
    pub direct: Vec<String>,
    /// Those that publish on a channel.
    pub broadcast: Vec<String>,
}

impl Settings {
    /// Makes the handlers; patterns were checked before.
    #[must_use]
    pub fn build(&self, limits: &Limits) -> Services {
        let handlers: [(&[String], Arc<dyn Handler>); 3] = [
            (&self.echo, Arc::new(Echo)),
            (&self.direct, Arc::new(Direct)),
            (&self.broadcast, Arc::new(Broadcast)),
        ];
        let mut services = Services::default();
        for (patterns, handler) in handlers {
            let patterns = patterns.iter();
            for pattern in patterns.filter_map(|text| ChannelPattern::parse(text, limits).ok()) {
                services.add(pattern, Arc::clone(&handler));
            }
        }
        services
    }
}
