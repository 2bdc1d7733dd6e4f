//! callback-polling: messages in a query, replies as a script, JSONP (specification section 6.2).

use super::exchange::{Framing, Messages, Source};
use super::usual::Said;
use super::{Answer, Endpoint, Error, Incoming, MAX_FIELDS};
use crate::metrics::Limit;
use crate::web::form::{self, FormLimits};
use crate::web::script;

/// The function a client means that names none.
pub(super) const DEFAULT_CALLBACK: &str = "jsonpcallback";

/// Reads the messages of a query, and answers them with a script.
pub(super) fn serve(endpoint: &Endpoint, incoming: &Incoming<'_>) -> Result<Answer, Error> {
    let request = &incoming.request;
    let said = Said::Now(&request.head);
    let query = request.uri().query().unwrap_or_default();
    let query = form::query_messages(
        query,
        FormLimits {
            max_fields: MAX_FIELDS,
        },
    )?;
    let callback = query.callback.as_deref().unwrap_or(DEFAULT_CALLBACK);
    if !script::is_callback(callback) {
        return Err(Error::Callback);
    }
    if query.messages.is_empty() {
        return Err(Error::NoMessage);
    }
    endpoint.check_script(said)?;
    let max = endpoint.server.limits().max_message_size.as_u64();
    if query
        .messages
        .iter()
        .map(|text| text.len() as u64)
        .sum::<u64>()
        > max
    {
        endpoint.server.metrics().limited(Limit::MaxMessageSize);
        return Err(Error::TooLarge(max));
    }
    let messages = Messages {
        texts: query.messages,
        source: Source::Fields,
        callback: Some(callback.into()),
        said,
        socket: incoming.socket,
    };
    let framing = Framing::Script(callback.into());
    endpoint.answer(messages, framing)
}
