//! What an operator sets about transports: the path, which are on, and the browser cookie.

use serde::{Deserialize, Serialize};

/// A transport a client may ask for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// POST requests, the connect held until there is something to say.
    LongPolling,
    /// The same over script elements (JSONP).
    CallbackPolling,
}

/// The settings of the Bayeux endpoint.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct Settings {
    /// Where the Bayeux endpoint is; everything below it is served alike.
    pub path: String,
    /// The transports that are on, in the order they are offered.
    pub transports: Vec<Transport>,
    /// The HTTP status of a held connect that a newer one displaced; 400 to 599.
    pub duplicate_meta_connect_status: u16,
    /// The browser cookie.
    #[serde(flatten)]
    pub browser_cookie: crate::web::cookies::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            path: "/cometd".to_owned(),
            transports: vec![Transport::LongPolling, Transport::CallbackPolling],
            duplicate_meta_connect_status: 408,
            browser_cookie: crate::web::cookies::Settings::default(),
        }
    }
}
