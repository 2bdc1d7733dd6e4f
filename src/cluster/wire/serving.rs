//! The listener for other nodes: its connections, and how long a stranger may have one.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::connection::{CONNECTION_WINDOW, MAX_HEAD, SEND_BUFFER, STREAM_WINDOW, seconds};
use super::passing::Passing;
use super::requests::{Connection, Requests, Shared, Standing};
use super::series::AllSeries;
use super::stranger::{Proven, Stranger, Strangers, Unproven};
use super::{Wire, WireSettings};
use crate::cluster::peers::Calls;

/// How long who connects has to show that it is a node.
const FIRST_REQUEST: Duration = Duration::from_secs(5);
/// How long who is refused may take to read why.
const LINGER: Duration = Duration::from_secs(1);
/// How long no connection is accepted after one could not be.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Calls that may wait beside the requests that are passed on.
const CALLS: usize = 10_000;
/// How many streams may be given up, in the whole life of a connection or before anybody looks at them. A node gives
/// up those of all clients that leave it; a stranger is not heard for so long.
const GIVEN_UP: usize = 1 << 20;

impl Wire {
    /// Serves other nodes, for ever. Dropped, it closes their connections.
    pub fn serve(
        &self,
        listener: TcpListener,
        calls: Arc<dyn Calls>,
        passing: Arc<dyn Passing>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let settings = self.settings.clone();
        let places = settings.max_passed.min(Semaphore::MAX_PERMITS);
        let shared = Arc::new(Shared {
            me: self.me,
            secret: self.secret.clone(),
            series: AllSeries::default(),
            calls,
            passing,
            places: Arc::new(Semaphore::new(places)),
            metrics: Arc::clone(&self.metrics),
        });
        async move {
            let strangers = Arc::<Strangers>::default();
            let mut connections = JoinSet::new();
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    Some(_) = connections.join_next() => continue,
                };
                match accepted {
                    Ok((stream, address)) => {
                        let stranger = strangers.enter(address.ip());
                        let shared = Arc::clone(&shared);
                        connections.spawn(serve(stream, stranger, shared, settings.clone()));
                    }
                    Err(error) => {
                        tracing::debug!(%error, "no connection of another node could be accepted");
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
    }
}

/// Serves a connection to its end.
async fn serve(
    stream: TcpStream,
    mut stranger: Stranger,
    shared: Arc<Shared>,
    settings: WireSettings,
) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let proven = Arc::<Proven>::default();
    let stream = Unproven::new(stream, Arc::clone(&proven));
    let requests = Arc::new(Requests {
        shared,
        series: Mutex::default(),
        standing: watch::Sender::new(Standing::Unknown),
        proven,
    });
    let _series = EndOfSeries(Arc::clone(&requests));
    let mut standing = requests.standing.subscribe();
    let connection = Connection(Arc::clone(&requests));
    let serving = builder(&settings).serve_connection(TokioIo::new(stream), connection);
    let mut serving = pin!(serving);
    let is_node = tokio::select! {
        _ = &mut serving => return,
        known = standing.wait_for(|standing| *standing != Standing::Unknown) => known.is_ok_and(|known| *known == Standing::Node),
        () = stranger.displaced() => return,
        () = sleep(FIRST_REQUEST) => return,
    };
    if is_node {
        drop(stranger);
        tokio::select! {
            _ = &mut serving => return,
            _ = standing.wait_for(|standing| *standing == Standing::Refused) => {}
        }
        serving.as_mut().graceful_shutdown();
        let _ = timeout(LINGER, serving).await;
        return;
    }
    serving.as_mut().graceful_shutdown();
    tokio::select! {
        _ = timeout(LINGER, serving) => {}
        () = stranger.displaced() => {}
    }
}

fn builder(settings: &WireSettings) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    let streams = u32::try_from(settings.max_passed.saturating_add(CALLS)).unwrap_or(u32::MAX);
    builder
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEAD)
        .max_send_buf_size(SEND_BUFFER)
        .max_concurrent_streams(streams)
        .max_pending_accept_reset_streams(GIVEN_UP)
        .max_local_error_reset_streams(GIVEN_UP)
        .keep_alive_interval(settings.node_timeout / 2)
        .keep_alive_timeout(settings.node_timeout);
    builder
}

/// Notes the end of a connection's series when it is dropped.
struct EndOfSeries(Arc<Requests>);

impl Drop for EndOfSeries {
    fn drop(&mut self) {
        let series = &self.0.series;
        let series = series.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(series) = series {
            self.0.shared.series.end(series, seconds());
        }
    }
}
