//! Whether a server could be started with a configuration, without starting it.

use std::sync::Arc;

use super::clients::Clients;
use super::cluster::secrets;
use super::{NotUsable, StartError};
use crate::access::Access;
use crate::authentication::webhook::Webhook;
use crate::config::Config;
use crate::hooks::Hooks;
use crate::listener::tls::Acceptor;
use crate::metrics::Metrics;

/// Reads the secrets, keys and certificates that a configuration names, and looks whether messages can be kept where
/// they are to be. Keys at a URL are not fetched, and nothing is listened on.
///
/// # Errors
/// Something of that cannot be used.
pub fn check(config: &Config) -> Result<(), StartError> {
    let metrics = Arc::<Metrics>::default();
    let directory = config.history.directory.as_deref();
    // The server makes one if nothing is there.
    if let Some(path) = directory.filter(|path| path.exists() && !path.is_dir()) {
        let reason = format!("history.directory = {path:?}: is not a directory");
        return Err(NotUsable(reason).into());
    }
    let access = Access::new(&config.access).map_err(StartError::Access)?;
    let limits = &config.bayeux.limits;
    let webhook = Webhook::new(&config.webhook, limits, Arc::clone(&metrics))?;
    Clients::new(config, &access, webhook.as_ref(), &metrics)?;
    Hooks::new(&config.hook, limits, &metrics)?;
    if config.cluster.redis.is_some() {
        secrets(&config.cluster)?;
    }
    if config.tls.certificate.is_some() {
        Acceptor::read(&config.tls)?;
    }
    Ok(())
}
