//! What listeners serve: for clients, for the operator, and for application servers.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::StartError;
use crate::access::Action;
use crate::access_log::AccessLog;
use crate::admin::{Admin, AdminPage};
use crate::authentication::api_keys::ApiKeys;
use crate::authentication::operators::Operators;
use crate::cluster::wire::Wire;
use crate::config::Config;
use crate::demo::{self, Demo};
use crate::http_api::{self, HttpApi, Operator};
use crate::listener::{ListenAddress, Proxies, Routes, Terms};
use crate::plugins::Plugins;
use crate::server::BayeuxServer;
use crate::service::Service;
use crate::transports::{self, Shows};
use crate::web::{Hosts, Page};

/// What is served, whatever it is set to.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) server: Arc<BayeuxServer>,
    pub(super) http_api: Arc<HttpApi>,
    /// What passes requests on to other nodes, if there are any.
    pub(super) wire: Option<Arc<Wire>>,
    /// What of the demonstrations is shown, if they are.
    pub(super) demo: Option<demo::Settings>,
    pub(super) access_log: Option<Arc<AccessLog>>,
}

/// What the listeners serve as it is configured.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) service: Arc<Service>,
    pub(super) public: Terms,
    pub(super) admin: Terms,
    pub(super) api: Terms,
}

impl Site {
    /// Makes what is served.
    ///
    /// # Errors
    /// An origin or a proxy is malformed.
    pub(super) fn served(&self, config: &Config, shows: Shows) -> Result<Served, StartError> {
        let (http, bayeux) = (&config.http, &config.bayeux);
        let endpoint = transports::Endpoint::new(
            Arc::clone(&self.server),
            transports::settings::Settings {
                shows,
                ..bayeux.transports.clone()
            },
            config.websocket.clone(),
            config.eventsource.clone(),
            config.streaming.clone(),
            config.resources.http.clone(),
            &http.allowed_origins,
        )?
        .passing_by(self.wire.clone());
        let service = Arc::new(Service::new(endpoint));
        let terms = |proxies, routes| Terms {
            settings: http.clone(),
            max_message_size: bayeux.limits.max_message_size.as_u64(),
            proxies,
            routes,
            access_log: self.access_log.clone(),
        };
        Ok(Served {
            public: terms(Proxies::new(http)?, self.for_clients(config, &service)),
            admin: terms(Proxies::default(), self.for_operator(config)),
            api: terms(Proxies::default(), self.for_servers(config)),
            service,
        })
    }

    fn for_clients(&self, config: &Config, service: &Arc<Service>) -> Routes {
        let paths = demo::Paths {
            bayeux: &config.bayeux.transports.path,
            events: &config.eventsource.path,
            resources: &config.resources.http.path,
            history: &config.history.path,
        };
        let demo = self.demo.iter().map(|demo| Demo::new(demo, paths));
        let pages = demo.map(|demo| Box::new(demo) as Box<dyn Page>);
        Routes {
            hosts: Hosts::listed("http.hosts", &config.http.hosts),
            // First: the endpoint may be at `/mirant`.
            first: vec![Box::new(Plugins)],
            api: config.api.public.then(|| Arc::clone(&self.http_api)),
            service: Some(Arc::clone(service)),
            last: pages.collect(),
        }
    }

    fn for_operator(&self, config: &Config) -> Routes {
        let admin = &config.admin;
        Routes {
            hosts: own_hosts("admin.hosts", &admin.listen, &admin.hosts),
            first: vec![Box::new(AdminPage)],
            api: Some(Arc::new(self.http_api.with_logins())),
            service: None,
            last: vec![Box::new(Admin::new(Arc::clone(&self.server)))],
        }
    }

    fn for_servers(&self, config: &Config) -> Routes {
        let api = &config.api;
        Routes {
            hosts: own_hosts("api.hosts", &api.listen, &api.hosts),
            first: Vec::new(),
            api: Some(Arc::clone(&self.http_api)),
            service: None,
            last: Vec::new(),
        }
    }
}

/// Returns what the HTTP API goes by.
pub(super) fn api_terms(config: &Config, keys: ApiKeys, operators: Operators) -> http_api::Terms {
    http_api::Terms {
        keys,
        operators,
        settings: config.api.bounds.clone(),
        logins: config.admin.logins.clone(),
        operator: operator(config),
    }
}

/// Gathers what operators are shown of the configuration.
fn operator(config: &Config) -> Operator {
    let all = config.blotted();
    let rules = all["access"].as_array().cloned();
    let actions = [
        Action::Handshake,
        Action::Subscribe,
        Action::Publish,
        Action::Forget,
    ];
    Operator {
        configuration: RawValue::from_string(all.to_string()).expect("it is JSON"),
        rules: rules.unwrap_or_default(),
        asked_outside: actions
            .into_iter()
            .filter(|action| config.webhook.decides(*action))
            .collect(),
    }
}

/// Returns the hosts for which listeners answer that are not for clients: theirs if they are named, and those
/// that the operator names by `key`.
fn own_hosts(key: &'static str, listen: &[ListenAddress], hosts: &[String]) -> Hosts {
    let own = listen.iter().filter_map(ListenAddress::name);
    let own = own.map(str::to_owned);
    let names: Vec<String> = own.chain(hosts.iter().cloned()).collect();
    Hosts::own_and(key, &names)
}
