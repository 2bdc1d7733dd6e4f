//! What HTTP says when an extension refuses an operation to a client that does not speak Bayeux.

use http::StatusCode;

use crate::server::Denied;

/// Returns the code of the extension's error if that says that a request fails, and `403` if not. A browser's
/// EventSource does not come back after either (HTML Living Standard section 9.2.3).
#[must_use]
pub fn status(denied: &Denied) -> StatusCode {
    denied
        .code()
        .filter(|code| (400..600).contains(code))
        .and_then(|code| StatusCode::from_u16(code).ok())
        .unwrap_or(StatusCode::FORBIDDEN)
}
