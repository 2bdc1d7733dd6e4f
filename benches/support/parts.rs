//! Sessions and events without a server around them.

use std::sync::Arc;
use std::time::Instant;

use mirant::alias::Aliases;
use mirant::bayeux::{ChannelName, ClientId, Draft, Event, Limits, RandomId};
use mirant::extensions::{Begun, Pipeline};
use mirant::lifecycle::Lifecycle;
use mirant::metrics::Metrics;
use mirant::session::{
    Browser, Browsers, Origin, Reconnects, Replays, Session, Settings, Shared, Shares, Timers,
};
use serde_json::value::RawValue;

/// What the sessions of one measurement share.
pub(crate) fn shared(settings: Settings) -> Arc<Shared> {
    Arc::new(Shared {
        feeds: Arc::default(),
        settings: settings.into(),
        browsers: Browsers::default(),
        shares: Shares::default(),
        timers: Timers::default(),
        reconnects: Reconnects::default(),
        replays: Replays::default(),
        interest: None,
        ownership: None,
        extensions: Pipeline::default(),
        aliases: Aliases::default(),
        lifecycle: Lifecycle::default(),
        metrics: Arc::new(Metrics::default()),
    })
}

/// Makes a session that has yet to connect.
pub(crate) fn session(shared: &Arc<Shared>) -> Arc<Session> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    let id = RandomId::from_random(bytes);
    let begun = Begun::new(Instant::now());
    Session::new(
        ClientId(id),
        Arc::new(Browser::new(id)),
        false,
        Arc::clone(shared),
        begun,
        None,
        Origin::default(),
    )
}

/// Parses the name of a channel.
pub(crate) fn channel(name: &str) -> ChannelName {
    ChannelName::parse(name, &Limits::default()).expect("a channel name")
}

/// Makes an event of some 70 bytes.
pub(crate) fn event(name: &str) -> Event {
    let data = RawValue::from_string(r#"{"text":"a short message"}"#.to_owned()).expect("JSON");
    Draft::new(&channel(name), &data).encode()
}
