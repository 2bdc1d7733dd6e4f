//! What stands in front of the nodes of a cluster: each request goes to the next node, whatever connection it came by.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

type Body = BoxBody<Bytes, hyper::Error>;

/// A balancer without stickiness; it ends when this is dropped.
pub(crate) struct Balancer {
    /// Where clients reach it.
    pub(crate) address: SocketAddr,
    nodes: Arc<Nodes>,
    task: JoinHandle<()>,
}

struct Nodes {
    addresses: Mutex<Vec<SocketAddr>>,
    turns: AtomicUsize,
}

impl Balancer {
    pub(crate) async fn start(nodes: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let nodes = Arc::new(Nodes {
            addresses: Mutex::new(nodes),
            turns: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&nodes);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let nodes = Arc::clone(&shared);
                let service = service_fn(move |request| answer(Arc::clone(&nodes), request));
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades();
                tokio::spawn(connection);
            }
        });
        Self {
            address,
            nodes,
            task,
        }
    }

    /// Replaces the nodes that new requests go to.
    pub(crate) fn set(&self, nodes: Vec<SocketAddr>) {
        *self.nodes.lock() = nodes;
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Nodes {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<SocketAddr>> {
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects to the next node that takes a connection.
    async fn dial(&self) -> Option<TcpStream> {
        let addresses = self.lock().clone();
        for _ in 0..addresses.len() {
            let turn = self.turns.fetch_add(1, Ordering::Relaxed);
            let address = addresses[turn % addresses.len()];
            if let Ok(stream) = TcpStream::connect(address).await {
                stream.set_nodelay(true).unwrap();
                return Some(stream);
            }
        }
        None
    }
}

/// Answers as the next node does; with 502 if that breaks off before it has answered, as it may have done what it was
/// asked for.
async fn answer(
    nodes: Arc<Nodes>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    Ok(passed_on(&nodes, request).await.unwrap_or_else(|| {
        let empty = Empty::new().map_err(|never| match never {});
        let mut response = Response::new(empty.boxed());
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    }))
}

async fn passed_on(nodes: &Nodes, mut request: Request<Incoming>) -> Option<Response<Body>> {
    let stream = nodes.dial().await?;
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .preserve_header_case(true)
        .handshake(TokioIo::new(stream))
        .await
        .ok()?;
    // It ends with the response, or when a client that has gone no longer waits for it.
    tokio::spawn(connection.with_upgrades());
    let from_client = hyper::upgrade::on(&mut request);
    let mut response = sender.send_request(request).await.ok()?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let from_node = hyper::upgrade::on(&mut response);
        tokio::spawn(async move {
            if let (Ok(client), Ok(node)) = tokio::join!(from_client, from_node) {
                let (mut client, mut node) = (TokioIo::new(client), TokioIo::new(node));
                let _ = copy_bidirectional(&mut client, &mut node).await;
            }
        });
    }
    Some(response.map(BodyExt::boxed))
}
