//! What HTTP says when an operation is refused to a client that does not speak Bayeux.

use http::StatusCode;

use crate::server::Denied;
use crate::web::Response;

/// Makes the response: the status, the reason, and what the client can do about it.
#[must_use]
pub fn response(denied: &Denied) -> Response {
    let status = status(denied);
    let response = Response::error(status, denied.reason());
    let response = match status {
        // RFC 6750 section 3.
        StatusCode::UNAUTHORIZED => response.header("WWW-Authenticate", CHALLENGE),
        _ => response,
    };
    match denied.retry() {
        Some(retry) => {
            let seconds = retry.as_millis().div_ceil(1000);
            response.header("Retry-After", seconds.to_string().as_bytes())
        }
        None => response,
    }
}

/// A token that would be taken may be sent as well.
const CHALLENGE: &[u8] = b"Bearer error=\"invalid_token\"";

/// Returns the code of the extension's error if that says that a request fails, and `403` if not. A browser's
/// EventSource does not come back after either (HTML Living Standard section 9.2.3).
fn status(denied: &Denied) -> StatusCode {
    denied
        .code()
        .filter(|code| (400..600).contains(code))
        .and_then(|code| StatusCode::from_u16(code).ok())
        .unwrap_or(StatusCode::FORBIDDEN)
}
