//! Takes up changes of the configuration while the server runs. All that is new is made first; if something of it cannot
//! be, nothing changes.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Mutex;

use super::clients::Clients;
use super::cluster::with_kept_resources;
use super::site::{Served, Site, api_terms};
use super::{StartError, check};
use crate::access::Access;
use crate::authentication::webhook::Webhook;
use crate::config::{Change, Config, ConfigError, Loaded, Log};
use crate::http_api::{NotReloaded, Reloaded, Reloading, Reloads};
use crate::listener::tls::{self, Acceptor};
use crate::listener::{Listener, Settings};
use crate::live::{Current, Live};
use crate::server::{Identifying, Renewal};
use crate::transports::passing::Owner;
use crate::{http_api, listener};

/// Where a program reads its configuration, and what of it the program itself goes by.
pub trait Source: Send + Sync {
    /// Reads it as at the start.
    ///
    /// # Errors
    /// It cannot be read, or makes no sense.
    fn read(&self) -> Result<Loaded, ConfigError>;

    /// Logs as it says.
    fn log(&self, log: &Log);
}

/// How long a stop takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// `http.drain_time`.
    pub(super) drain: Duration,
    /// `http.shutdown_timeout`.
    pub(super) shutdown: Duration,
}

impl From<&Settings> for Times {
    fn from(http: &Settings) -> Self {
        Self {
            drain: http.drain_time,
            shutdown: http.shutdown_timeout,
        }
    }
}

/// What of a server takes changes up.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) site: Site,
    /// Those for clients, for the operator, and for application servers.
    pub(super) listeners: [Arc<Listener>; 3],
    /// It stays as it is.
    pub(super) webhook: Option<Webhook>,
    pub(super) acceptor: Option<Arc<Acceptor>>,
    /// What answers requests that other nodes pass on.
    pub(super) owner: Option<Owner>,
    pub(super) times: Times,
}

/// Takes up changes of the configuration while the server runs.
pub struct Reloader {
    parts: Parts,
    times: Live<Times>,
    source: OnceLock<Box<dyn Source>>,
    /// What counts now; locked while that changes.
    running: Mutex<Option<Loaded>>,
}

/// All that is new, made and not taken up yet.
struct Renewed {
    server: Renewal,
    api: http_api::Terms,
    served: Served,
    certificates: Option<tls::Renewal>,
    times: Times,
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").finish_non_exhaustive()
    }
}

impl Reloader {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            times: parts.times.into(),
            parts,
            source: OnceLock::new(),
            running: Mutex::default(),
        }
    }

    /// Says what the server was started with, and where to read it anew; to be called once. Then the HTTP API can ask for
    /// that, too.
    pub fn read_from(self: &Arc<Self>, running: Loaded, source: impl Source + 'static) {
        if self.source.set(Box::new(source)).is_ok()
            && let Ok(mut own) = self.running.try_lock()
        {
            *own = Some(running);
            let this = Arc::clone(self);
            self.parts.site.http_api.reload_by(Arc::new(Asked(this)));
        }
    }

    pub(super) fn acceptor(&self) -> Option<Arc<Acceptor>> {
        self.parts.acceptor.clone()
    }

    /// Writes what waits to be written to the access log.
    pub(super) fn close_access_log(&self) {
        if let Some(log) = &self.parts.site.access_log {
            log.close();
        }
    }

    pub(super) fn times(&self) -> Current<Times> {
        self.times.get()
    }

    /// Reads the configuration anew, and takes up what can be while the server runs, within a Tokio runtime. The log tells
    /// of it.
    ///
    /// # Errors
    /// It cannot be used; nothing has changed.
    pub async fn reload(self: &Arc<Self>) -> Result<Reloaded, NotReloaded> {
        // Whatever becomes of the rest: whoever moves the file away asks for this.
        if let Some(log) = &self.parts.site.access_log {
            log.reopen();
        }
        let reloaded = self.try_reload().await;
        match &reloaded {
            Ok(Reloaded {
                changed,
                needs_restart,
            }) => {
                tracing::info!(
                    changed = changed.join(", "),
                    "the configuration was read anew"
                );
                if !needs_restart.is_empty() {
                    let keys = needs_restart.join(", ");
                    tracing::warn!(keys, "changes that count with the next start");
                }
            }
            Err(error) => tracing::error!("the configuration stays as it was: {error}"),
        }
        reloaded
    }

    async fn try_reload(self: &Arc<Self>) -> Result<Reloaded, NotReloaded> {
        let mut running = self.running.lock().await;
        let Some(before) = running.clone() else {
            let reason = "the program that has started this server cannot read it anew";
            return Err(NotReloaded(reason.to_owned()));
        };
        let this = Arc::clone(self);
        // Files may be on a disk that takes its time.
        let prepared = tokio::task::spawn_blocking(move || this.prepare(&before)).await;
        let prepared = prepared.map_err(|error| NotReloaded(error.to_string()))?;
        let (change, renewed) = prepared?;
        self.take_up(renewed);
        if let Some(source) = self.source.get() {
            source.log(&change.loaded.config.log);
        }
        *running = Some(change.loaded);
        self.parts.site.server.renew_sessions().await;
        Ok(Reloaded {
            changed: change.changed,
            needs_restart: change.needs_restart,
        })
    }

    /// Reads it, and makes all that is new.
    fn prepare(&self, before: &Loaded) -> Result<(Change, Renewed), NotReloaded> {
        let source = self
            .source
            .get()
            .ok_or_else(|| NotReloaded(String::new()))?;
        let new = source.read().map_err(|error| not_reloaded(&error))?;
        // As the next start would find it.
        check(&new.config).map_err(|error| not_reloaded(&error))?;
        let change = before
            .change_to(new)
            .map_err(|error| not_reloaded(&error))?;
        let renewed = self.renewed(&change.loaded.config);
        Ok((change, renewed.map_err(|error| not_reloaded(&error))?))
    }

    fn renewed(&self, config: &Config) -> Result<Renewed, StartError> {
        let Parts { site, webhook, .. } = &self.parts;
        let metrics = site.server.shared_metrics();
        let access = Access::new(&config.access).map_err(StartError::Access)?;
        let clients = Clients::new(config, &access, webhook.as_ref(), &metrics)?;
        let Identifying {
            authenticator,
            accounts,
        } = clients.identifying;
        let before = site.server.identifying();
        let identifying = Identifying {
            authenticator: authenticator.going_on_from(&before.authenticator),
            accounts,
        };
        drop(before);
        let operators = clients
            .operators
            .going_on_from(&site.http_api.terms().operators);
        let channels = match self.parts.owner {
            Some(_) => with_kept_resources(&config.channel),
            None => config.channel.clone(),
        };
        let has_tls = self.parts.acceptor.is_some() && config.tls.certificate.is_some();
        Ok(Renewed {
            served: site.served(config, clients.shows)?,
            certificates: has_tls.then(|| Acceptor::read(&config.tls)).transpose()?,
            api: api_terms(config, clients.keys, operators),
            server: Renewal {
                limits: config.bayeux.limits.clone(),
                access,
                rates: config.rates.clone(),
                identifying,
                session: config.bayeux.session.clone(),
                router: config.bayeux.router.clone(),
                channels,
            },
            times: (&config.http).into(),
        })
    }

    /// Takes all of it up, which nothing can prevent.
    fn take_up(&self, renewed: Renewed) {
        let parts = &self.parts;
        parts.site.server.renew(renewed.server);
        parts.site.http_api.renew(renewed.api);
        if let Some((acceptor, certificates)) = parts.acceptor.as_ref().zip(renewed.certificates) {
            acceptor.renew(certificates);
        }
        if let Some(owner) = &parts.owner {
            renewed.served.service.renew(owner);
        }
        let Served {
            public, admin, api, ..
        } = renewed.served;
        let terms: [listener::Terms; 3] = [public, admin, api];
        for (listener, terms) in parts.listeners.iter().zip(terms) {
            listener.renew(terms);
        }
        self.times.set(renewed.times);
    }
}

fn not_reloaded(error: &dyn std::error::Error) -> NotReloaded {
    NotReloaded(with_causes(error))
}

/// Says what went wrong and why; an error's own text does not repeat its cause.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

/// Reloads for an operator who asks by the HTTP API.
#[derive(Debug)]
struct Asked(Arc<Reloader>);

impl Reloads for Asked {
    fn reload(&self) -> Reloading {
        let reloader = Arc::clone(&self.0);
        Box::pin(async move { reloader.reload().await })
    }
}
