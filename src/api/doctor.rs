//! How a request has arrived, for `mirant doctor`: whether a proxy on its way has changed its host or hides its client.
//!
//! Whoever asks says what it has sent, and is told whether that came: `GET /cometd/doctor?host=HOST&peer=IP:PORT`. So
//! anybody may ask. Nobody learns an address or a name of this server's network: neither that of a proxy which is not
//! trusted, nor the host that a proxy has put in the place of another.

use std::net::SocketAddr;

use http::{HeaderName, StatusCode, header};
use serde_json::json;

use crate::transports::FORM_LIMITS;
use crate::web::{Head, Response, Socket, form};

/// The headers by which proxies tell of themselves and of their clients.
const TELLING: [HeaderName; 6] = [
    HeaderName::from_static("x-forwarded-for"),
    header::FORWARDED,
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
    header::VIA,
];

/// Answers with JSON: `host`, whether the host came as it was sent; `connection`, whose it is: the `client`'s own, of a
/// `proxy` that is trusted, or of some `other`; `client`, the address that such a proxy has named; `headers`, the names
/// of those that came from proxies.
pub fn serve(head: &Head, socket: &Socket) -> Response {
    let asked = |name: &str| {
        let query = head.uri.query().unwrap_or_default();
        let values = form::query_values(query, name, FORM_LIMITS).ok()?;
        let [value] = <[_; 1]>::try_from(values).ok()?;
        String::from_utf8(value.to_vec()).ok()
    };
    let (Some(host), Some(peer)) = (asked("host"), asked("peer")) else {
        return refused();
    };
    let Ok(peer) = peer.parse::<SocketAddr>() else {
        return refused();
    };
    let came = head.headers.text(&header::HOST).unwrap_or_default();
    let connection = if socket.is_proxied() {
        "proxy"
    } else if socket.peer() == peer.into() {
        "client"
    } else {
        "other"
    };
    let telling = TELLING.map(|name| head.headers.contains(&name).then_some(name));
    let answer = json!({
        "host": came.eq_ignore_ascii_case(&host),
        "connection": connection,
        "client": socket.client(),
        "headers": telling.iter().flatten().map(HeaderName::as_str).collect::<Vec<_>>(),
    });
    let body = answer.to_string().into_bytes();
    Response::with_body(StatusCode::OK, "application/json", body)
        .header("Cache-Control", b"no-store")
}

fn refused() -> Response {
    let why = "say what was sent, as in ?host=comet.example.com&peer=192.0.2.1:40312";
    Response::error(StatusCode::BAD_REQUEST, why)
}
