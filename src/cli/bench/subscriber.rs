//! One simulated subscriber, which receives what is published to a channel until something fails.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use tokio::sync::OwnedSemaphorePermit;

use super::Error;
use super::client::{Phase, Session, Who, failed, note_deliveries};
use super::deliveries::Ledger;
use super::fault::Fault;
use super::fleet::Run;
use super::transport::{Dialled, EventStream, Transport};

/// Lives as a subscriber of one channel until something fails; `permit` is held while setting up.
pub(super) async fn live(
    run: Arc<Run>,
    number: usize,
    channel: String,
    ledger: Arc<Mutex<Ledger>>,
    permit: OwnedSemaphorePermit,
) -> Error {
    let who = Who::Client(number);
    let lived = async {
        let mut subscriber = Subscriber::set_up(&run, who, &channel).await?;
        drop((permit, channel));
        run.parked.add(1);
        let parked = subscriber.stay(&run, &ledger).await;
        parked.map_err(failed(who, Phase::Parked))
    };
    match lived.await {
        Err(error) => error,
    }
}

/// What a subscriber receives by.
enum Subscriber {
    /// A Bayeux session, and the connect that is sent again and again.
    Session(Session, Vec<u8>),
    /// An event stream, which opens and subscribes in one.
    Stream(EventStream),
}

impl Subscriber {
    /// Subscribes to a channel, and gets as far as waiting for its messages.
    async fn set_up(run: &Arc<Run>, who: Who, channel: &str) -> Result<Self, Error> {
        match run.transport {
            Transport::LongPolling | Transport::WebSocket | Transport::XhrStreaming => {
                let mut session = Session::open(run, who).await?;
                let connect = session.park(channel).await?;
                Ok(Self::Session(session, connect))
            }
            Transport::EventSource => open_stream(run, who, channel).await.map(Self::Stream),
        }
    }

    /// Receives for ever.
    async fn stay(&mut self, run: &Run, ledger: &Mutex<Ledger>) -> Result<Infallible, Fault> {
        match self {
            Self::Session(session, connect) => session.stay(connect, ledger).await,
            Self::Stream(stream) => loop {
                let event = stream.receive().await?;
                let fresh = note_deliveries(run, event, ledger)?;
                run.arrived.add(fresh);
            },
        }
    }
}

async fn open_stream(run: &Run, who: Who, channel: &str) -> Result<EventStream, Error> {
    let dialled = Dialled::to(&run.addresses, run.timeout)
        .await
        .map_err(failed(who, Phase::Dialling))?;
    dialled
        .listen(&run.url.authority, &run.events_path, channel, run.timeout)
        .await
        .map_err(failed(who, Phase::Opening))
}
