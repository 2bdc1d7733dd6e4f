//! Arrays of messages as JSON: those that come in are parsed, and counted if they are beyond a bound;
//! events and replies are written.

use std::sync::Arc;

use bytes::Bytes;

use crate::bayeux::{BatchError, Event, Message, Reply, parse_batches};
use crate::metrics::Limit;
use crate::server::{BayeuxServer, Outcome};

/// The header of an array in a response that is embedded in another, which says that it is not to be kept.
pub(super) const EMBEDDED_HEAD: &[u8] = b"Content-Type: application/json\r\n";

/// Parses the messages of a request or a frame.
///
/// # Errors
/// It is no array of messages within the bounds.
pub(super) fn parse<'t>(
    texts: &'t [Bytes],
    server: &BayeuxServer,
) -> Result<Vec<Message<'t>>, BatchError> {
    parse_batches(texts, &server.terms().limits).inspect_err(|error| match error {
        BatchError::TooManyMessages(_) => server.metrics().limited(Limit::MaxBatch),
        BatchError::TooDeep(_) => server.metrics().limited(Limit::MaxDepth),
        BatchError::Malformed(_) | BatchError::Empty => {}
    })
}

/// Writes events and replies as a JSON array.
pub(super) fn array(events: &[Arc<Event>], replies: &[Reply<'_>]) -> Vec<u8> {
    let mut json = opened(events);
    add_events(events, &mut json);
    add_replies(replies, &mut json);
    closed(json)
}

/// Writes what a batch led to as a JSON array.
pub(super) fn array_of(outcome: &Outcome<'_>) -> Vec<u8> {
    if !outcome.replies_first {
        return array(&outcome.events, &outcome.replies);
    }
    let mut json = opened(&outcome.events);
    add_replies(&outcome.replies, &mut json);
    add_events(&outcome.events, &mut json);
    closed(json)
}

fn opened(events: &[Arc<Event>]) -> Vec<u8> {
    let size: usize = events.iter().map(|event| event.json().len() + 1).sum();
    let mut json = Vec::with_capacity(size + 128);
    json.push(b'[');
    json
}

fn add_events(events: &[Arc<Event>], json: &mut Vec<u8>) {
    for event in events {
        json.extend_from_slice(event.json());
        json.push(b',');
    }
}

fn add_replies(replies: &[Reply<'_>], json: &mut Vec<u8>) {
    for reply in replies {
        reply.write(json);
        json.push(b',');
    }
}

fn closed(mut json: Vec<u8>) -> Vec<u8> {
    if json.len() > 1 {
        json.pop();
    }
    json.push(b']');
    json
}
