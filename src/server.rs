//! The Bayeux server: takes batches of messages, gives replies and events; knows no HTTP.

mod admit;
mod batch;
pub(crate) mod cluster;
mod core;
mod delivering;
mod directory;
mod everywhere;
mod figures;
mod held;
mod history;
mod http_api;
mod identify;
mod node;
mod outcome;
mod pace;
mod past;
mod readiness;
mod relief;
mod renewing;
mod request;
mod resources;
mod restart;
mod settle;
mod streams;
mod verdicts;
mod waits;
mod watching;

use std::sync::Arc;
use std::time::{Duration, Instant};

use self::core::Core;
use self::node::Cluster;
use self::waits::WaitingRoom;
use crate::alias::{Alias, Aliases};
use crate::authentication::Authenticator;
use crate::bayeux::{ClientId, Message, RandomId};
use crate::cluster::{Links, WhenAway};
use crate::extensions::{Pipeline, WaitBounds};
use crate::history::History;
use crate::lifecycle::Lifecycle;
use crate::live::{Current, Live};
use crate::metrics::Metrics;
use crate::operations::RefusedUsers;
pub use crate::operations::event_stream::Opened;
pub use crate::operations::http_api::NotSent;
pub use crate::operations::replay::{Recovered, Recovering};
pub use crate::operations::resources::{ByteRange, NotWritten};
pub use crate::operations::{Actor, Denied, Implied, NotOpened, Terms, TooManyRefused, Who};
use crate::rates::{self, Rates};
use crate::resources::{Resources, Settings as ResourceBounds};
use crate::router::Router;
use crate::sequence::Sequence;
pub use crate::sequence::{Reached, Sequenced};
use crate::services::connected::{Announcer, Connected};
use crate::services::{Reach, Services};
use crate::session;
use crate::session::{
    Browsers, Drain, Ownership, Reconnects, Sessions, Shared, Shares, Tick, Timers, sweep,
};

pub use admit::Admission;
pub use batch::STEP;
pub use cluster::Located;
pub use cluster::asking::NoAnswer;
pub use delivering::{Later, Sent, To};
pub use directory::{ChannelDetails, Disconnected, ListedSession, Presence, SessionDetails};
pub use everywhere::Gathered;
pub use held::HeldConnect;
pub use http_api::{Refusals, Sending};
pub use outcome::{Outcome, Settled, Settlement};
pub use past::{ChannelHistory, Part};
pub use renewing::Renewal;
pub use request::Request;
pub use resources::{Changed, Unsettled};
pub use verdicts::Verdicts;
pub use watching::Watching;

/// Over how long a time clients come to the other nodes of a cluster that are sent away at once.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A Bayeux server without a network.
#[derive(Debug)]
pub struct BayeuxServer {
    core: Arc<Core>,
    /// The same, for handlers.
    reach: Arc<dyn Reach>,
    services: Services,
    announcer: Option<Arc<Announcer>>,
    identifying: Live<Identifying>,
    waiting: WaitingRoom,
    figures: figures::Past,
}

/// How it is found out who clients are.
#[derive(Debug, Default)]
pub struct Identifying {
    /// What checks who they are.
    pub authenticator: Authenticator,
    /// What names its configuration: sessions of clients that have shown who they are outlive a restart only with
    /// the same.
    pub accounts: Arc<str>,
}

/// What a server is made of.
#[derive(Debug)]
pub struct Parts {
    /// On which terms clients are served.
    pub terms: Terms,
    /// The connection types that are on.
    pub connection_types: Vec<&'static str>,
    /// The settings of sessions.
    pub session: session::Settings,
    /// Who is subscribed to what.
    pub router: Router,
    /// The bounds of resources.
    pub resources: ResourceBounds,
    /// What is kept of channels with history.
    pub history: History,
    /// What it has of the cluster that it is a node of, if it is.
    pub cluster: Option<Links>,
    /// Whether clients may acknowledge what they receive.
    pub has_ack: bool,
    /// How it is found out who clients are.
    pub identifying: Identifying,
    /// What looks at all messages.
    pub extensions: Pipeline,
    /// How long and how many may wait for them.
    pub waits: WaitBounds,
    /// What takes the messages on service channels.
    pub services: Services,
    /// The application servers that take them as clients, if the services have them too.
    pub connected: Arc<Connected>,
    /// What tells these of what begins and ends.
    pub announcer: Option<Arc<Announcer>>,
    /// Who hears of what begins and ends.
    pub lifecycle: Lifecycle,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Default for Parts {
    /// Those of a server for long-polling whose settings are the defaults, with nothing added.
    fn default() -> Self {
        Self {
            terms: Terms {
                limits: Arc::default(),
                access: Arc::default(),
                rates: Arc::new(Rates::new(&rates::Settings::default(), Instant::now())),
            },
            connection_types: vec!["long-polling"],
            session: session::Settings::default(),
            router: Router::default(),
            resources: ResourceBounds::default(),
            history: History::default(),
            cluster: None,
            has_ack: true,
            identifying: Identifying::default(),
            extensions: Pipeline::default(),
            waits: WaitBounds::default(),
            services: Services::default(),
            connected: Arc::default(),
            announcer: None,
            lifecycle: Lifecycle::default(),
            metrics: Arc::default(),
        }
    }
}

impl BayeuxServer {
    /// Makes a server without sessions.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let resources = Resources::new(parts.resources, Arc::clone(&parts.metrics));
        let waiting = WaitingRoom::new(parts.waits, Arc::clone(&parts.metrics));
        let shared = Shared {
            shares: match parts.cluster {
                Some(_) => Shares::across_nodes(&parts.session),
                None => Shares::default(),
            },
            settings: parts.session.into(),
            browsers: Browsers::default(),
            timers: Timers::default(),
            reconnects: Reconnects::default(),
            replays: session::Replays::default(),
            interest: parts
                .cluster
                .as_ref()
                .map(|links| Arc::clone(&links.interest)),
            ownership: parts.cluster.as_ref().map(|links| {
                let goes_on_alone = links.settings.when_away == WhenAway::Local;
                Arc::new(Ownership::new(Instant::now(), goes_on_alone))
            }),
            extensions: parts.extensions,
            aliases: aliases(parts.cluster.as_ref()),
            lifecycle: match parts.cluster {
                Some(_) => parts.lifecycle.across_nodes(),
                None => parts.lifecycle,
            },
            feeds: Arc::default(),
            metrics: parts.metrics,
        };
        let core = Arc::new(Core {
            terms: parts.terms.into(),
            connection_types: parts.connection_types,
            has_ack: parts.has_ack,
            sessions: Sessions::default(),
            router: parts.router,
            resources: Arc::new(resources),
            sequence: Sequence::new(parts.history.settings().max_pending),
            history: parts.history,
            cluster: parts.cluster.map(Cluster::new),
            refused_users: RefusedUsers::default(),
            connected: parts.connected,
            shared: Arc::new(shared),
        });
        Self {
            reach: Arc::clone(&core) as Arc<dyn Reach>,
            core,
            services: parts.services,
            announcer: parts.announcer,
            identifying: parts.identifying.into(),
            waiting,
            figures: figures::Past::default(),
        }
    }

    /// Returns how it is found out now who clients are.
    #[must_use]
    pub fn identifying(&self) -> Current<Identifying> {
        self.identifying.get()
    }

    /// Returns on which terms clients are served now.
    #[must_use]
    pub fn terms(&self) -> Current<Terms> {
        self.core.terms.get()
    }

    /// Returns the figures.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.core.shared.metrics
    }

    /// Returns the figures, for whoever keeps them.
    #[must_use]
    pub fn shared_metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.core.shared.metrics)
    }

    /// Returns the alias of a session.
    #[must_use]
    pub fn alias_of(&self, id: ClientId) -> Alias {
        self.core.shared.aliases.of(id)
    }

    /// Returns the client id of the session that would have this alias.
    #[must_use]
    pub fn client_of(&self, alias: Alias) -> ClientId {
        self.core.shared.aliases.client(alias)
    }

    /// Returns the marks of the session that a message names; none if there is no such session.
    #[must_use]
    pub fn marks_of(&self, message: &Message<'_>) -> u8 {
        let session = message.client_id.and_then(|id| self.core.sessions.find(id));
        session.map_or(0, |session| session.marks())
    }

    /// Fetches what has to be had from elsewhere before the first client asks for it, in the background.
    ///
    /// To be called within a Tokio runtime.
    pub fn prepare(&self) {
        self.identifying.get().authenticator.prepare();
    }

    /// Fires the timers of all sessions, for ever.
    pub async fn sweep(&self) {
        sweep(&self.core.shared.timers, |id, due, tick| {
            self.fire(id, due, tick);
        })
        .await;
    }

    /// Looks after the calls that connected application servers have, tells these of what begins and ends, and
    /// works for history, for ever.
    pub async fn attend(&self) {
        let telling = async {
            match &self.announcer {
                Some(announcer) => announcer.run(&*self.reach).await,
                None => std::future::pending().await,
            }
        };
        tokio::join!(
            self.core.connected.run(),
            telling,
            history::run(&self.core),
            cluster::publishing::run(&self.core),
            cluster::stream::run(&self.core),
            cluster::owning::run(&self.core),
            cluster::occupying::run(&self.core),
            cluster::sharing::run(&self.core),
        );
    }

    fn fire(&self, id: ClientId, due: Instant, tick: Tick) {
        let Some(session) = self.core.sessions.find(id) else {
            return;
        };
        let tick = Tick {
            unheard: self.core.unheard(tick.now),
            ..tick
        };
        if let Some(reason) = session.on_timer(due, tick) {
            self.core.scope(tick.now).end(&session, reason);
        }
    }

    /// Tells whether the server stops.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.core.shared.reconnects.is_stopping()
    }

    /// Notes that the server stops, once it has sent its clients away for so long: whoever is answered from now on hears
    /// when to come back.
    pub fn will_stop(&self, drain_time: Duration) {
        let reconnects = &self.core.shared.reconnects;
        if !drain_time.is_zero() {
            let now = Instant::now();
            let until = now + drain_time;
            // Other nodes of a cluster are there at once.
            let (back, spread) = match self.core.cluster {
                Some(_) => (now, drain_time.min(AT_ONCE)),
                None => (until, drain_time),
            };
            reconnects.drain(Drain {
                until,
                back,
                spread,
            });
        }
        reconnects.stop();
    }

    /// Answers every held connect and holds none from now on, so that no queued event is lost; and
    /// ends the waits for resources.
    pub fn stop(&self) {
        self.core.shared.reconnects.stop();
        self.core.resources.stop();
        for session in self.core.sessions.all() {
            session.stop_holding();
        }
    }
}

/// Makes the names that sessions have in the hearing of others: the same on all nodes of a cluster.
fn aliases(links: Option<&Links>) -> Aliases {
    let aliases = Aliases::default();
    if let Some(key) = links.and_then(|links| links.common_key(b"aliases")) {
        aliases.go_on(key);
    }
    aliases
}

fn random_id() -> RandomId {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    RandomId::from_random(bytes)
}

#[cfg(test)]
mod lives;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod waiting;
#[cfg(test)]
mod who_may;
