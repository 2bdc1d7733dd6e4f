//! A connection whose server runs in the same thread: what it does with the bytes it has is done when
//! nothing more comes for some turns of the runtime.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::answers::{Answer, Read, read};
use crate::support::within;

/// So many turns without an answer, each of which asks the kernel and runs a task, mean that none comes
/// before more is sent. If there were too few, a connection would end early; no answer would be missed.
const TURNS: usize = 12;

/// A connection, and what has come on it.
pub(super) struct Connection {
    stream: TcpStream,
    came: Vec<u8>,
    has_ended: bool,
}

/// What came for some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) answers: Vec<Answer>,
    /// The connection serves no more requests.
    pub(super) ends: bool,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> Self {
        let stream = within(TcpStream::connect(address)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            came: Vec::new(),
            has_ended: false,
        }
    }

    /// Sends pieces, each when the server has done what it could with those before.
    pub(super) async fn send(&mut self, pieces: &[&[u8]]) {
        for piece in pieces {
            // The server may have closed the connection: what it said is there all the same.
            let _ = within(self.stream.write_all(piece)).await;
            self.settle().await;
        }
    }

    async fn settle(&mut self) {
        let mut silent = 0;
        while silent < TURNS && !self.has_ended {
            tokio::task::yield_now().await;
            self.came.reserve(4096);
            match self.stream.try_read_buf(&mut self.came) {
                Ok(0) => self.has_ended = true,
                Ok(_) => silent = 0,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => silent += 1,
                Err(_) => self.has_ended = true,
            }
        }
    }

    /// The answers so far, and whether no more can come.
    pub(super) fn so_far(&self) -> Outcome {
        let Read { answers, is_whole } = read(&self.came);
        let ends = self.has_ended || answers.is_empty() || !is_whole;
        Outcome { answers, ends }
    }

    /// Goes on after the answers so far.
    pub(super) fn forget(&mut self) {
        self.came.clear();
    }

    /// Says that nothing more is sent; all answers that were not forgotten.
    pub(super) async fn finish(self) -> Vec<Answer> {
        read(&self.finish_raw().await).answers
    }

    /// The same as bytes.
    pub(super) async fn finish_raw(mut self) -> Vec<u8> {
        let _ = within(self.stream.shutdown()).await;
        let rest = async {
            while !self.has_ended {
                let read = self.stream.read_buf(&mut self.came).await;
                self.has_ended = !read.is_ok_and(|read| read > 0);
            }
        };
        within(rest).await;
        self.came
    }
}
