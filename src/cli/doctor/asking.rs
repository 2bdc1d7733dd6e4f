//! How a request has arrived at the server, as that tells who asks.

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::client::Fault;
use crate::client::transport::Dialled;

/// What follows the path of the endpoint where that is asked.
pub(super) const BELOW: &str = "/doctor";

/// What has answered, and what the server has said.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) status: u16,
    /// The program that has answered, if it says so: the proxy, if there is one that does.
    pub(super) program: Option<String>,
    /// Its time of day, and ours at that moment.
    pub(super) clocks: Option<(SystemTime, SystemTime)>,
    /// What the server has seen; nothing if no Mirant has answered.
    pub(super) seen: Option<Seen>,
}

impl Asked {
    /// Whether the server does not serve the host that has come.
    pub(super) fn is_misdirected(&self) -> bool {
        self.status == 421
    }
}

/// What the server has seen of the request.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Seen {
    /// Whether the host came as it was sent.
    pub(super) host: bool,
    pub(super) connection: Whose,
    /// Who the client is, as a trusted proxy says.
    pub(super) client: Option<String>,
    /// The headers that came from proxies.
    pub(super) headers: Vec<String>,
}

/// Whose the connection to the server was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Whose {
    /// The one that has asked.
    Client,
    /// That of a proxy which the server trusts.
    Proxy,
    /// That of somebody else.
    Other,
}

/// Asks by a connection that nothing was said on.
pub(super) async fn ask(
    dialled: Dialled,
    authority: &str,
    path: &str,
    limit: Duration,
) -> Result<Asked, Fault> {
    let local = dialled.local()?;
    let target = format!("{path}{BELOW}?host={authority}&peer={local}");
    let before = SystemTime::now();
    let fetched = dialled.fetch(authority, &target, limit).await?;
    let took = before.elapsed().unwrap_or_default();
    let is_done = fetched.status == 200;
    let seen = is_done.then(|| serde_json::from_slice(&fetched.body).ok());
    Ok(Asked {
        status: fetched.status,
        program: fetched.program,
        clocks: fetched.date.map(|date| (date, before + took / 2)),
        seen: seen.flatten(),
    })
}
