//! Heads that come again: a client that polls sends the same one each time, and it is read once.

use std::hash::BuildHasher;

use bytes::{Buf, Bytes};

use super::Shared;
use super::connection::Taken;
use crate::transports::Usual;
use crate::web::{Persistence, Request, Socket};

/// After so many requests in a row that have not the known head, there is none to look for: it is a
/// proxy's connection, which is of many clients.
const MAX_CHANGES: u8 = 16;

/// The head that a connection brings again and again, if it does.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// The hash of the last head that was read.
    last: u64,
    /// So many requests in a row were none with the known head.
    changes: u8,
    known: Option<Box<Known>>,
}

#[derive(Debug)]
struct Known {
    /// The hash of the head, which is keyed: no client can make another head that has it.
    hash: u64,
    /// How long the head is.
    begin: usize,
    /// How long it is with its body.
    end: usize,
    persistence: Persistence,
    usual: Usual,
}

impl Repeats {
    /// Has the next request served, if its head is the known one, and it has arrived whole.
    pub(super) fn serve(
        &mut self,
        arrived: &mut Bytes,
        socket: &Socket,
        shared: &Shared,
    ) -> Option<Taken> {
        let known = self.known.as_deref()?;
        if arrived.len() < known.end
            || shared.hashes.hash_one(&arrived[..known.begin]) != known.hash
        {
            return None;
        }
        let body = arrived.slice(known.begin..known.end);
        let answer = shared.site.serve_again(&known.usual, body, socket)?;
        arrived.advance(known.end);
        self.changes = 0;
        Some(Taken {
            answer,
            persistence: known.persistence,
        })
    }

    /// Takes notice of a request that was read, and of the bytes of its head.
    pub(super) fn notice(&mut self, head: &[u8], request: &Request, shared: &Shared) {
        if self.changes > MAX_CHANGES {
            return;
        }
        let hash = shared.hashes.hash_one(head);
        self.changes += 1;
        if std::mem::replace(&mut self.last, hash) != hash {
            return;
        }
        if let Some(usual) = shared.site.usual(request) {
            self.known = Some(Box::new(Known {
                hash,
                begin: head.len(),
                end: head.len() + request.body.len(),
                persistence: Persistence::of(&request.head),
                usual,
            }));
        }
    }
}
