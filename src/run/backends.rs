//! What application servers are to a server: those that are connected as clients, and hooks.

use std::sync::Arc;

use crate::authentication::Problem;
use crate::bayeux::{ChannelName, ChannelPattern, Limits};
use crate::config::Config;
use crate::hooks::Hooks;
use crate::lifecycle::{Lifecycle, Listener};
use crate::metrics::Metrics;
use crate::services::Services;
use crate::services::connected::{Announcer, Connected, Settings};

/// Application servers, however they are reached.
pub(super) struct Backends {
    pub(super) connected: Arc<Connected>,
    pub(super) announcer: Option<Arc<Announcer>>,
    pub(super) hooks: Hooks,
}

impl Backends {
    /// Makes what reaches them.
    ///
    /// # Errors
    /// What is wrong with hooks, or with their secrets.
    pub(super) fn new(config: &Config, metrics: &Arc<Metrics>) -> Result<Self, Vec<Problem>> {
        let limits = &config.bayeux.limits;
        let connected = Arc::new(Connected::new(&config.backends, Arc::clone(metrics)));
        Ok(Self {
            announcer: announcer(&config.backends, &connected, limits),
            connected,
            hooks: Hooks::new(&config.hook, limits, metrics)?,
        })
    }

    /// Lets them take calls: first those that are connected.
    pub(super) fn serve(&self, services: &mut Services) {
        if self.connected.is_on() {
            services.answer_all();
            services.add(ChannelPattern::services(), Arc::clone(&self.connected) as _);
        }
        services.extend(self.hooks.handlers());
    }

    /// Returns what they hear by.
    pub(super) fn lifecycle(&self) -> Lifecycle {
        let announcer = self.announcer.iter();
        let announcer = announcer.map(|announcer| Arc::clone(announcer) as Arc<dyn Listener>);
        let listeners: Vec<_> = announcer.chain(self.hooks.listeners()).collect();
        listeners.into()
    }
}

/// Makes what tells connected application servers of sessions and channels, if they are to hear of them.
fn announcer(
    settings: &Settings,
    connected: &Arc<Connected>,
    limits: &Limits,
) -> Option<Arc<Announcer>> {
    let channel = settings.events_channel.as_deref();
    let channel = channel.filter(|_| connected.is_on())?;
    let channel = ChannelName::parse(channel, limits).ok()?;
    let announcer = Announcer::new(channel, settings.max_events, Arc::clone(connected));
    Some(Arc::new(announcer))
}
