//! A way between two programs that can be cut, or stalled, and mended.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

use super::free_port;

/// What becomes of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// They arrive.
    Whole,
    /// They wait, and neither side hears of it.
    Stalled,
    /// Connections are closed, and no new one is made.
    Cut,
}

/// A TCP proxy in front of one address; it ends when this is dropped.
pub(crate) struct Link {
    /// Where it takes connections.
    pub(crate) address: SocketAddr,
    state: watch::Sender<State>,
}

impl Link {
    /// Begins to hand connections on to an address, on which something may listen only later.
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let listener = TcpListener::bind(address).await.unwrap();
        let (state, watched) = watch::channel(State::Whole);
        tokio::spawn(async move {
            let mut dropped = watched.clone();
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    // The end of the sender ends this.
                    _ = dropped.wait_for(|_| false) => return,
                };
                let Ok((client, _)) = accepted else { continue };
                if *watched.borrow() != State::Cut {
                    tokio::spawn(hand_on(client, target, watched.clone()));
                }
            }
        });
        Self { address, state }
    }

    /// Closes all connections, and makes no new ones.
    pub(crate) fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// Lets nothing pass, without a word.
    pub(crate) fn stall(&self) {
        self.state.send_replace(State::Stalled);
    }

    /// Lets everything pass again.
    pub(crate) fn mend(&self) {
        self.state.send_replace(State::Whole);
    }
}

async fn hand_on(client: TcpStream, target: SocketAddr, mut state: watch::Receiver<State>) {
    // Little waits in the kernel while it is stalled.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let Ok(server) = socket.connect(target).await else {
        return;
    };
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let forth = pump(from_client, to_server, state.clone());
    let back = pump(from_server, to_client, state.clone());
    tokio::select! {
        _ = async { tokio::join!(forth, back) } => {}
        _ = state.wait_for(|&state| state == State::Cut) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if state
            .wait_for(|&state| state == State::Whole)
            .await
            .is_err()
            || to.write_all(&buffer[..read]).await.is_err()
        {
            return;
        }
    }
    let _ = to.shutdown().await;
}
