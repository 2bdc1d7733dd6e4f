//! Requests in the body of a request, cut out of it as it arrives; knows neither sockets nor time.

use bytes::{Buf, Bytes, BytesMut};
use http::{StatusCode, header};
use httparse::Status;

use crate::memory::sizes;
use crate::metrics::Limit;
use crate::web::transfer::Malformed;
use crate::web::{Head, Request, Transfer, strict};

/// The bounds of one request.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of its line and headers together.
    pub max_head: usize,
    /// Number of its headers.
    pub max_headers: usize,
    /// Bytes of its body.
    pub max_body: u64,
}

/// What comes next of a body.
#[derive(Debug)]
pub(super) enum Next {
    /// A request.
    Request(Box<Inner>),
    /// A request that is answered at once.
    Fault(Fault),
    /// More has to arrive.
    More,
    /// Nothing: the body has ended.
    End,
}

/// A request from the body of another.
#[derive(Debug)]
pub(super) struct Inner {
    /// Its target, as it was sent.
    pub(super) location: Box<str>,
    pub(super) request: Request,
}

/// Why a request is not served.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Its target, if that was understood.
    pub(super) location: Option<Box<str>>,
    pub(super) status: StatusCode,
    pub(super) reason: &'static str,
    pub(super) limit: Option<Limit>,
    /// Where the next request would begin is not known.
    pub(super) is_last: bool,
}

impl Fault {
    fn new(status: StatusCode, reason: &'static str) -> Self {
        Self {
            location: None,
            status,
            reason,
            limit: None,
            is_last: true,
        }
    }

    fn malformed(reason: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    fn head_too_large() -> Self {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        let reason = "the embedded request's line and headers are larger than \
            http.max_header_size or more than http.max_headers";
        Self {
            limit: Some(Limit::MaxHeaderSize),
            ..Self::new(status, reason)
        }
    }

    /// A request that took too long to arrive.
    pub(super) fn late() -> Self {
        let reason = "the embedded request did not arrive within http.body_timeout";
        Self {
            limit: Some(Limit::BodyTimeout),
            ..Self::new(StatusCode::REQUEST_TIMEOUT, reason)
        }
    }
}

/// The requests of a body.
#[derive(Debug)]
pub(super) struct Requests {
    transfer: Transfer,
    bounds: Bounds,
    /// What has come of the body and is not a whole request.
    plain: BytesMut,
    /// How much of it is known not to hold the end of a head.
    searched: usize,
    within: Within,
    /// What comes next of the body is malformed. What came before is served all the same, as it is when
    /// it comes alone.
    is_malformed: bool,
}

#[derive(Debug)]
enum Within {
    Head,
    /// A body of so many bytes.
    Body(Box<(Box<str>, Head)>, usize),
    /// A body that is too large, of which so many bytes are left.
    Skipped(u64),
}

impl Requests {
    /// Returns the bytes of memory that hold what is not a whole request.
    pub(super) fn memory(&self) -> usize {
        sizes::block(self.plain.capacity())
    }

    pub(super) fn new(transfer: Transfer, bounds: Bounds) -> Self {
        Self {
            transfer,
            bounds,
            plain: BytesMut::new(),
            searched: 0,
            within: Within::Head,
            is_malformed: false,
        }
    }

    /// Tells whether a part of a request has come.
    pub(super) fn is_begun(&self) -> bool {
        !self.plain.is_empty() || !matches!(self.within, Within::Head)
    }

    /// Takes the next request from what has arrived. After a last fault it must not be called again.
    pub(super) fn next(&mut self, arrived: &mut BytesMut) -> Next {
        loop {
            match self.cut() {
                Ok(Some(inner)) => return Next::Request(Box::new(inner)),
                Ok(None) => {}
                Err(fault) => return Next::Fault(fault),
            }
            if self.plain.is_empty() {
                // An empty buffer may still hold on to memory.
                self.plain = BytesMut::new();
            }
            if self.is_malformed {
                return Next::Fault(Fault::malformed("the body's chunks are malformed"));
            }
            if self.transfer.has_ended() {
                return if self.is_begun() {
                    Next::Fault(Fault::malformed(
                        "the body ended within an embedded request",
                    ))
                } else {
                    Next::End
                };
            }
            let before = self.plain.len();
            let decoded = self.transfer.decode(arrived, &mut self.plain, u64::MAX);
            self.is_malformed = decoded.is_err();
            let has_more = self.plain.len() > before || self.transfer.has_ended();
            if !has_more && !self.is_malformed {
                return Next::More;
            }
        }
    }

    /// Cuts a whole request off.
    fn cut(&mut self) -> Result<Option<Inner>, Fault> {
        if let Within::Skipped(left) = &mut self.within {
            let size = usize::try_from(*left).map_or(self.plain.len(), |l| l.min(self.plain.len()));
            self.plain.advance(size);
            *left -= size as u64;
            if *left > 0 {
                return Ok(None);
            }
            self.within = Within::Head;
        }
        if matches!(self.within, Within::Head) && !self.cut_head()? {
            return Ok(None);
        }
        let Within::Body(_, length) = self.within else {
            return Ok(None);
        };
        if self.plain.len() < length {
            return Ok(None);
        }
        let body = self.plain.split_to(length).freeze();
        let Within::Body(head, _) = std::mem::replace(&mut self.within, Within::Head) else {
            return Ok(None);
        };
        let (location, head) = *head;
        let request = Request { head, body };
        Ok(Some(Inner { location, request }))
    }

    /// Cuts a head off; false if it is not whole.
    fn cut_head(&mut self) -> Result<bool, Fault> {
        if self.searched == 0 {
            let is_line_end = |byte: &&u8| matches!(byte, b'\r' | b'\n');
            let empty = self.plain.iter().take_while(is_line_end).count();
            self.plain.advance(empty);
        }
        let Some(end) = head_end(&self.plain, self.searched) else {
            self.searched = self.plain.len().saturating_sub(2);
            if self.plain.len() > self.bounds.max_head {
                return Err(Fault::head_too_large());
            }
            return Ok(false);
        };
        self.searched = 0;
        if end > self.bounds.max_head {
            return Err(Fault::head_too_large());
        }
        let head = self.plain.split_to(end).freeze();
        let (location, head, length) = parse(&head, self.bounds.max_headers)?;
        self.within = match usize::try_from(length).ok() {
            Some(size) if length <= self.bounds.max_body => {
                Within::Body(Box::new((location, head)), size)
            }
            _ => {
                self.within = Within::Skipped(length);
                return Err(Fault {
                    location: Some(location),
                    limit: Some(Limit::MaxMessageSize),
                    is_last: false,
                    ..Fault::new(
                        StatusCode::PAYLOAD_TOO_LARGE,
                        "the embedded request's body is larger than bayeux.max_message_size",
                    )
                });
            }
        };
        Ok(true)
    }
}

/// Returns where a head ends, with an empty line.
fn head_end(plain: &[u8], searched: usize) -> Option<usize> {
    memchr::memchr_iter(b'\n', &plain[searched..]).find_map(|at| {
        let behind = searched + at + 1;
        match &plain[behind..] {
            [b'\n', ..] => Some(behind + 1),
            [b'\r', b'\n', ..] => Some(behind + 2),
            _ => None,
        }
    })
}

/// Reads a head: the target, all of it as hyper would give it, and the body's length.
fn parse(head: &Bytes, max_headers: usize) -> Result<(Box<str>, Head, u64), Fault> {
    let mut headers = vec![httparse::EMPTY_HEADER; max_headers];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(Status::Complete(length)) if length == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Fault::head_too_large()),
        Ok(_) | Err(_) => return Err(Fault::malformed("the embedded request is not HTTP/1.1")),
    }
    let location = request.path.unwrap_or_default();
    understand(&request, head).map_err(|fault| Fault {
        location: Some(location.into()),
        ..fault
    })
}

fn understand(
    request: &httparse::Request<'_, '_>,
    text: &Bytes,
) -> Result<(Box<str>, Head, u64), Fault> {
    let malformed = || Fault::malformed("the embedded request is malformed");
    let head = Head::parsed(request, text).ok_or_else(malformed)?;
    if head.headers.contains(&header::TRANSFER_ENCODING) {
        return Err(Fault::new(
            StatusCode::LENGTH_REQUIRED,
            "an embedded request has a Content-Length and no Transfer-Encoding",
        ));
    }
    let unclear = |malformed: Malformed| Fault::malformed(malformed.reason());
    // Where it goes the outer request has said; one that names a host names it as that does.
    strict::check_host(request.headers).map_err(unclear)?;
    let transfer = Transfer::of(request.headers).map_err(unclear)?;
    let length = transfer.length().ok_or_else(malformed)?;
    Ok((request.path.unwrap_or_default().into(), head, length))
}

#[cfg(test)]
mod tests;
