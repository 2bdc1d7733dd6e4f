//! callback-polling: messages in a query, replies as a script, JSONP (specification section 6.2).

use std::sync::Arc;

use super::exchange::{Exchange, Source};
use super::format::Format;
use crate::metrics::Limit;
use crate::transports::FORM_LIMITS;
use crate::transports::answer::Answer;
use crate::transports::endpoint::Endpoint;
use crate::transports::error::Error;
use crate::transports::gate::Decision;
use crate::web::script::DEFAULT_CALLBACK;
use crate::web::{Head, Socket, form, script};

/// Reads the messages of a query, and answers them with a script.
///
/// # Errors
/// They are malformed, beyond a bound, or ask for a script that they may not have.
pub fn serve(
    endpoint: &Arc<Endpoint>,
    decision: &Decision<'_>,
    head: &Head,
    socket: &Socket,
) -> Result<Answer, Error> {
    let query = head.uri.query().unwrap_or_default();
    let query = form::query_messages(query, FORM_LIMITS)?;
    let callback = query.callback.as_deref().unwrap_or(DEFAULT_CALLBACK);
    if !script::is_callback(callback) {
        return Err(Error::Callback);
    }
    if query.messages.is_empty() {
        return Err(Error::NoMessage);
    }
    endpoint.check_script(decision)?;
    let max = endpoint.server.terms().limits.max_message_size.as_u64();
    let size: u64 = query.messages.iter().map(|text| text.len() as u64).sum();
    if size > max {
        endpoint.server.metrics().limited(Limit::MaxMessageSize);
        return Err(Error::TooLarge(max));
    }
    let format = Format::Script(callback.into());
    let callback = Some(callback.into());
    let exchange = Exchange::new(query.messages, Source::Fields, callback, format);
    exchange.answer(endpoint, decision, socket)
}
