//! Where requests may show a token besides `Authorization` and `ext`: keys of `[authentication]`.

use serde::{Deserialize, Serialize};

/// Where requests may show a token.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Sources {
    /// The cookie that may hold one; nothing: none may.
    pub cookie: Option<String>,
    /// The parameter in the query of an event stream that may hold one; nothing: none may.
    pub query_parameter: Option<String>,
}
