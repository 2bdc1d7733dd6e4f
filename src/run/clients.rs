//! What finds out who clients are, as it is configured.

use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::access::Access;
use crate::authentication::api_keys::ApiKeys;
use crate::authentication::operators::Operators;
use crate::authentication::passwords::Passwords;
use crate::authentication::settings::Sources;
use crate::authentication::token::Tokens;
use crate::authentication::webhook::{Settings as WebhookSettings, Webhook};
use crate::authentication::{Authenticator, Problem};
use crate::config::Config;
use crate::metrics::Metrics;
use crate::server::Identifying;
use crate::transports::Shows;

/// What finds who clients are.
pub(super) struct Clients {
    pub(super) keys: ApiKeys,
    pub(super) operators: Operators,
    pub(super) identifying: Identifying,
    pub(super) shows: Shows,
}

impl Clients {
    /// Reads keys, users and issuers. The webhook is the one that there is.
    ///
    /// # Errors
    /// What is wrong with them, or with their secrets.
    pub(super) fn new(
        config: &Config,
        access: &Access,
        webhook: Option<&Webhook>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, Vec<Problem>> {
        let (settings, limits) = (&config.authentication, &config.bayeux.limits);
        let claims = access.claims();
        let keys = ApiKeys::new(&config.api.key, config.backends.role.as_deref(), limits)?;
        let tokens = Tokens::new(&settings.tokens, &config.issuer, &claims, limits, metrics)?;
        let passwords = Passwords::new(&config.user, &settings.passwords, Arc::clone(metrics))?;
        let operators = Operators::new(
            &config.admin.user,
            &settings.passwords,
            limits,
            Arc::clone(metrics),
        )?;
        let shows = shows(&keys, &settings.sources, &tokens, &config.webhook);
        let authenticator = Authenticator::new(keys.clone(), tokens, passwords, webhook.cloned());
        Ok(Self {
            shows,
            operators,
            identifying: Identifying {
                authenticator,
                accounts: accounts(config),
            },
            keys,
        })
    }
}

/// Names the configuration of who clients may be: another says that somebody may not be any more who was.
fn accounts(config: &Config) -> Arc<str> {
    let Config {
        authentication,
        user,
        issuer,
        webhook,
        api,
        ..
    } = config;
    let text = serde_json::to_vec(&(authentication, user, issuer, webhook, &api.key));
    let digest = digest::digest(&digest::SHA256, &text.unwrap_or_default());
    URL_SAFE_NO_PAD.encode(&digest.as_ref()[..16]).into()
}

/// What heads are asked for: nothing if there is nobody to tell.
fn shows(keys: &ApiKeys, sources: &Sources, tokens: &Tokens, webhook: &WebhookSettings) -> Shows {
    let mut shows = Shows {
        bearer: !keys.is_empty() || !tokens.is_empty(),
        ..Shows::default()
    };
    if !tokens.is_empty() {
        shows.cookie.clone_from(&sources.cookie);
        shows.query_parameter.clone_from(&sources.query_parameter);
    }
    if webhook.url.is_some() {
        let names = webhook.headers.iter();
        shows.headers = names.filter_map(|name| name.parse().ok()).collect();
        shows.cookies.clone_from(&webhook.cookies);
    }
    shows
}
