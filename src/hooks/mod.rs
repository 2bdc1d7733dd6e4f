//! Applications that the server calls by HTTP: they answer calls on service channels, and hear what happens.
//!
//! (The webhook of `authentication/`, which decides about clients, is something else.)

mod answer;
mod backoff;
mod callers;
mod calls;
mod delivery;
mod events;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod post;
pub mod settings;

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::authentication::Problem;
use crate::bayeux::{ChannelPattern, Limits};
use crate::lifecycle::Listener;
use crate::metrics::Metrics;
use crate::services::Handler;
use calls::Calls;
use events::Events;
use post::Post;
pub use settings::Hook;

/// All hooks, in the order of the configuration.
#[derive(Debug)]
pub struct Hooks {
    calls: Vec<(ChannelPattern, Arc<dyn Handler>)>,
    events: Vec<Arc<Events>>,
    stop: watch::Sender<bool>,
}

impl Hooks {
    /// Reads the secrets, and makes what calls and tells.
    ///
    /// # Errors
    /// What is wrong with the settings, or with the secrets.
    pub fn new(
        hooks: &[Hook],
        limits: &Limits,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = settings::problems(hooks);
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut made = Self {
            calls: Vec::new(),
            events: Vec::new(),
            stop: watch::Sender::new(false),
        };
        for (index, hook) in hooks.iter().enumerate() {
            match Post::new(index, hook) {
                Ok(post) => made.add(&Arc::new(post), hook, limits, metrics),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() {
            Ok(made)
        } else {
            Err(problems)
        }
    }

    fn add(&mut self, post: &Arc<Post>, hook: &Hook, limits: &Limits, metrics: &Arc<Metrics>) {
        let calls = Arc::new(Calls::new(Arc::clone(post), hook, Arc::clone(metrics)));
        for text in &hook.calls {
            if let Ok(pattern) = ChannelPattern::parse(text, limits) {
                self.calls
                    .push((pattern, Arc::clone(&calls) as Arc<dyn Handler>));
            }
        }
        if !hook.events.is_empty() {
            let events = Events::new(Arc::clone(post), hook, limits, Arc::clone(metrics));
            self.events.push(Arc::new(events));
        }
    }

    /// Returns what takes calls.
    #[must_use]
    pub fn handlers(&self) -> Vec<(ChannelPattern, Arc<dyn Handler>)> {
        self.calls.clone()
    }

    /// Returns what hears of what happens.
    #[must_use]
    pub fn listeners(&self) -> Vec<Arc<dyn Listener>> {
        let events = self.events.iter();
        events
            .map(|events| Arc::clone(events) as Arc<dyn Listener>)
            .collect()
    }

    /// Tells the hooks what happens, until it is stopped and what was left has been tried once more.
    pub async fn deliver(&self) {
        let mut tasks = JoinSet::new();
        for events in &self.events {
            let (events, stop) = (Arc::clone(events), self.stop.subscribe());
            tasks.spawn(async move { events.deliver(stop).await });
        }
        tasks.join_all().await;
    }

    /// Stops that.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}
