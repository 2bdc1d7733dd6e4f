//! One request by HTTP/2, from its head to the end of its response.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Request, Response, StatusCode, Version, header};

use super::super::Shared;
use super::super::connection::{Step, Taken, go_on, refuse};
use super::super::http1::{Unreadable, in_time};
use super::super::respond::write;
use super::Streams;
use super::room::Place;
use crate::memory::{Charge, Kind, sizes};
use crate::transports::gate::holds_requests;
use crate::web::http2::{Beginning, Heading, Stream, read_head};
use crate::web::transfer::Transfer;
use crate::web::{Head, Io, Persistence, Socket};

/// What it takes to read a body, beside the body.
const COLLECTING: usize = 4 * 1024;

/// Has a request served, in a task of its own.
pub(super) fn begin(
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    streams: &Arc<Streams>,
    shared: Arc<Shared>,
) {
    let (place, full) = Place::take(streams, shared);
    let incoming = Box::new((request, respond));
    if let Some(full) = full {
        tokio::spawn(async move {
            let shared = &*place.shared;
            full.note(place.streams.peer, shared);
            let (_, respond) = *incoming;
            let mut socket = socket(respond, Beginning::Whole, &place.streams);
            let last = Persistence::last(Version::HTTP_2);
            write(&mut socket, &full.response(), last, shared).await;
        });
        return;
    }
    tokio::spawn(answer(incoming, place));
}

/// A request, and what its response is sent by.
type Incoming = (Request<RecvStream>, SendResponse<Bytes>);

/// Serves a request to the end of its response. What is kept while a connect is held is this function's own state, as on
/// a connection of its own: what is done before is boxed, and gone by then.
async fn answer(incoming: Box<Incoming>, place: Place) {
    let shared = &*place.shared;
    let mut stopping = shared.stopping.clone();
    let mut stopped = pin!(stopping.changed());
    poll_fn(|context| {
        // Once is enough: a task has one waker all its life. What it is woken for, it asks `is_stopping`.
        let _ = stopped.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
    if let Some((socket, step)) = Box::pin(take(incoming, &place)).await {
        go_on(socket, step, shared).await;
    }
}

/// Makes the socket that is one stream.
fn socket(respond: SendResponse<Bytes>, beginning: Beginning, streams: &Streams) -> Socket {
    let stream = Stream::new(respond, beginning, &streams.receipts, streams.is_secure);
    let mut socket = Socket::new(Io::Stream(stream), streams.peer);
    if streams.is_proxied {
        socket.begin_proxied();
    }
    socket
}

/// Reads a request, and has it served; nothing if it is refused, or its client is gone.
async fn take(incoming: Box<Incoming>, place: &Place) -> Option<(Socket, Step)> {
    let (streams, shared) = (&*place.streams, &*place.shared);
    let (request, mut respond) = *incoming;
    let (parts, mut body) = request.into_parts();
    let last = Persistence::last(Version::HTTP_2);
    let heading = if parts.headers.len() > shared.settings.max_headers {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        Err(Unreadable::of_status(status))
    } else {
        read_head(&parts).map_err(Unreadable::malformed)
    };
    let Heading { head, is_tunnel } = match heading {
        Ok(heading) => heading,
        Err(refusal) => {
            let socket = socket(respond, Beginning::Whole, streams);
            refuse(refusal, None, socket, last, shared).await;
            return None;
        }
    };
    drop(parts);
    if is_tunnel {
        let socket = socket(respond, Beginning::Tunnel(body), streams);
        return Some(serve(&head, Bytes::new(), socket, place));
    }
    if holds_requests(&head) {
        let mut socket = socket(respond, Beginning::Body(body), streams);
        shared.proxies.identify(&head, &mut socket);
        let route = shared.route(&head);
        shared.watch(&mut socket, Some((&head, &route)));
        let answer = route.open(Transfer::chunked(), shared.bounds());
        let step = Taken::new(answer, last).step(&socket, shared);
        return Some((socket, step));
    }
    let length = head.headers.text(&header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.parse::<u64>().ok());
    let read = if length.is_some_and(|length| length > shared.max_message_size) {
        Err(Unreadable::TOO_LARGE)
    } else {
        if head.headers.contains(&header::EXPECT) && !body.is_end_stream() {
            let mut interim = Response::new(());
            *interim.status_mut() = StatusCode::CONTINUE;
            // An error says that the client is gone, which is heard when its body is read.
            let _ = respond.send_informational(interim);
        }
        let mut charge = Charge::new(&shared.metrics.memory, Kind::Requests, 0);
        let read = collect(&mut body, shared.max_message_size, &mut charge);
        let read = in_time(read, shared.settings.body_timeout, shared).await;
        read.unwrap_or_else(|missed| Err(missed.into()))
    };
    let socket = socket(respond, Beginning::Whole, streams);
    match read {
        Ok(body) => Some(serve(&head, body, socket, place)),
        Err(refusal) => {
            drop(body);
            refuse(refusal, Some(&head), socket, last, shared).await;
            None
        }
    }
}

/// Has a request answered whose body has arrived, or that has none.
fn serve(head: &Head, body: Bytes, mut socket: Socket, place: &Place) -> (Socket, Step) {
    let shared = &*place.shared;
    shared.proxies.identify(head, &mut socket);
    let route = shared.route(head);
    shared.watch(&mut socket, Some((head, &route)));
    let answer = route.serve(head, body, &socket);
    let step = Taken::new(answer, Persistence::of(head)).step(&socket, shared);
    (socket, step)
}

/// Reads a body of so many bytes at most.
async fn collect(
    body: &mut RecvStream,
    max: u64,
    charge: &mut Charge,
) -> Result<Bytes, Unreadable> {
    let mut whole = BytesMut::new();
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    loop {
        charge.set(COLLECTING + sizes::block(whole.capacity()));
        let piece = poll_fn(|context| {
            if !charge.may_grow() || charge.poll_cut(context).is_ready() {
                return Poll::Ready(Some(Err(Unreadable::NO_MEMORY)));
            }
            let piece = body.poll_data(context);
            piece.map(|piece| piece.map(|piece| piece.map_err(|_| Unreadable::BODY)))
        });
        let Some(piece) = piece.await.transpose()? else {
            return Ok(whole.freeze());
        };
        // An error says that the client is gone.
        let _ = body.flow_control().release_capacity(piece.len());
        if (whole.len() + piece.len()) as u64 > max {
            return Err(Unreadable::TOO_LARGE);
        }
        whole.extend_from_slice(&piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of the future that a function returns.
    fn size_of_future<F>(_: fn(Box<Incoming>, Place) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_request_that_waits_is_small() {
        let size = size_of_future(answer);
        // With what the runtime adds, 768: it takes a multiple of 128.
        assert!(size <= 656, "every poll that waits costs {size} bytes");
    }
}
