//! The cluster that a server is a node of, as it is configured.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::authentication::Secret;
use crate::bayeux::{ChannelPattern, Limits, ReplayId};
use crate::cluster::wire::{Secret as WireSecret, Wire, WireSettings};
use crate::cluster::{ConnectError, Held, Interest, Links, NodeId, Redis, Settings};
use crate::history::{self, History, Retention};
use crate::metrics::Metrics;
use crate::router::{ChannelOptions, history_policy};
use crate::server::BayeuxServer;
use crate::transports::passing::Owner;

/// How many bytes the secret of the nodes has at least.
const MIN_SECRET: usize = 32;

/// Why a server cannot be a node.
#[derive(Debug, thiserror::Error)]
pub enum NotANode {
    /// Redis cannot be used as it is configured.
    #[error(transparent)]
    Redis(#[from] ConnectError),
    /// A secret cannot be read.
    #[error("{0} {1}")]
    Secret(&'static str, String),
    /// Other nodes cannot be listened to.
    #[error("cannot listen on {0} (cluster.listen): {1}")]
    Listen(String, std::io::Error),
}

/// A node before it runs.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) links: Links,
    pub(super) wire: Arc<Wire>,
    redis: Arc<Redis>,
    listener: TcpListener,
    /// Where other nodes reach this one.
    address: String,
    /// What answers requests that others pass on.
    owner: Option<Owner>,
    /// What it hears of whoever is subscribed.
    resources: Held,
}

impl Node {
    /// Makes a node, if there is a cluster; within a runtime.
    ///
    /// # Errors
    /// The configuration has to be changed, or an address cannot be listened on.
    pub(super) fn bind(
        settings: &Settings,
        history: &history::Settings,
        channels: &mut Vec<ChannelOptions>,
        metrics: &Arc<Metrics>,
    ) -> Result<Option<Self>, NotANode> {
        if settings.redis.is_none() {
            return Ok(None);
        }
        *channels = with_kept_resources(channels);
        let interest = Arc::new(Interest::default());
        let (secret, password) = secrets(settings)?;
        let policy = history_policy(channels);
        let interested = Arc::clone(&interest);
        let password = password.as_deref();
        let redis = Redis::new(settings, history, password, policy, interested, metrics)?;
        let me = NodeId(random());
        let wire = WireSettings {
            call_timeout: settings.call_timeout,
            node_timeout: settings.node_timeout,
            max_passed: settings.max_passed,
        };
        let wire = Wire::new(me, WireSecret::new(&secret), wire, Arc::clone(metrics));
        let wire = Arc::new(wire);
        let (listener, address) = listen(settings)?;
        let any = Limits::of_known_channels();
        // Every node has the resources, whoever asks for them.
        let resources = channels
            .iter()
            .filter(|options| options.resource == Some(true));
        let resources =
            resources.filter_map(|options| ChannelPattern::parse(&options.pattern, &any).ok());
        let resources = interest.hold(resources.collect());
        Ok(Some(Self {
            links: Links {
                me,
                backplane: Arc::clone(&redis) as _,
                registry: Arc::clone(&redis) as _,
                peers: Arc::clone(&wire) as _,
                interest,
                settings: settings.clone(),
            },
            redis,
            wire,
            listener,
            address,
            owner: None,
            resources,
        }))
    }
}

impl Node {
    /// Connects to Redis, once.
    ///
    /// # Errors
    /// The configuration has to be changed.
    pub(super) async fn join(&self) -> Result<(), NotANode> {
        Ok(self.redis.start().await?)
    }

    /// Has requests that others pass on answered.
    pub(super) fn answering(self, owner: Option<Owner>) -> Self {
        Self { owner, ..self }
    }

    /// Serves the other nodes, and tells them that this one lives, for ever.
    pub(super) fn serve(self, server: Arc<BayeuxServer>) -> impl Future<Output = ()> + Send {
        let passing = self.owner.map(|owner| Arc::new(owner) as _);
        let serving =
            passing.map(|passing| self.wire.serve(self.listener, server.calls(), passing));
        let (address, resources) = (self.address, self.resources);
        async move {
            let _held = resources;
            let serving = async {
                match serving {
                    Some(serving) => serving.await,
                    None => std::future::pending().await,
                }
            };
            tokio::join!(serving, server.beat(address));
        }
    }

    /// Returns what keeps history: Redis.
    pub(super) fn history(&self, settings: history::Settings) -> History {
        History::new(Arc::clone(&self.redis) as _, settings)
    }
}

/// Adds what resources need in a cluster: their last message is kept, as every node has to have it.
pub(super) fn with_kept_resources(channels: &[ChannelOptions]) -> Vec<ChannelOptions> {
    let any = Limits::of_known_channels();
    let with_history: Vec<ChannelPattern> = channels
        .iter()
        .filter(|options| options.history.is_some())
        .filter_map(|options| ChannelPattern::parse(&options.pattern, &any).ok())
        .collect();
    let is_kept = |pattern: &str| with_history.iter().any(|other| other.covers(pattern));
    let mut channels = channels.to_vec();
    for options in &mut channels {
        if options.resource == Some(true) && !is_kept(&options.pattern) {
            options.history = Some(Retention {
                messages: Some(1),
                ..Retention::default()
            });
            options.replay_id.get_or_insert(ReplayId::None);
        }
    }
    channels
}

/// Reads the secret of the nodes, and the password of Redis if it asks for one.
///
/// # Errors
/// One cannot be read, or the secret is one that can be guessed.
pub fn secrets(settings: &Settings) -> Result<(Vec<u8>, Option<String>), NotANode> {
    let password = read("cluster.password", settings.password.as_ref())?;
    let password = password.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let secret = read("cluster.secret", settings.secret.as_ref())?.unwrap_or_default();
    if settings.secret.is_some() && secret.len() < MIN_SECRET {
        let fix =
            format!("must be at least {MIN_SECRET} bytes, such as `openssl rand -hex 32` makes");
        return Err(NotANode::Secret("cluster.secret", fix));
    }
    Ok((secret, password))
}

fn read(key: &'static str, secret: Option<&Secret>) -> Result<Option<Vec<u8>>, NotANode> {
    let read = secret.map(Secret::read).transpose();
    read.map_err(|error| NotANode::Secret(key, error))
}

/// Listens, and returns what other nodes are told to connect to.
fn listen(settings: &Settings) -> Result<(TcpListener, String), NotANode> {
    let wanted = settings.listen.clone().unwrap_or_default();
    let bound = std::net::TcpListener::bind(&wanted).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((TcpListener::from_std(listener)?, address))
    });
    let (listener, address) = bound.map_err(|error| NotANode::Listen(wanted.clone(), error))?;
    let advertised = settings.advertise.clone();
    Ok((
        listener,
        advertised.unwrap_or_else(|| named(&wanted, address)),
    ))
}

/// Returns the address as it is configured, with the port that was bound.
fn named(wanted: &str, bound: SocketAddr) -> String {
    match wanted.rsplit_once(':') {
        Some((host, _)) => format!("{host}:{}", bound.port()),
        None => bound.to_string(),
    }
}

fn random() -> u32 {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    u32::from_le_bytes(bytes)
}
