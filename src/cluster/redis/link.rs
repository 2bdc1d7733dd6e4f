//! The connection on which Redis is asked: shared by all callers, made again when it is lost.
//!
//! At most one is there. Whoever finds it broken says so, and it is given up: what was asked on it is not known to be
//! done. So no more is queued in it than callers wait for, each for `cluster.call_timeout` at most.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, Pipeline, RedisError, RedisResult, Value};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::address::Address;
use super::backoff::Backoff;
use super::keys::Keys;
use super::scripts;
use super::trouble::{Trouble, check_version, field, is_lasting, is_unknown, trouble};
use crate::cluster::Head;
use crate::history::{Epoch, Failed};

/// How often it is asked whether it is there.
pub(super) const BEAT: Duration = Duration::from_secs(1);
/// Commands that wait to be written, beside which callers wait.
const MAX_WAITING: usize = 1024;
/// Bytes that are gathered for one write.
const WRITE: usize = 256 * 1024;

/// A connection to Redis, and what was seen there.
#[derive(Clone)]
pub(super) struct Up {
    connection: MultiplexedConnection,
    /// Which connection it is, of all of this link.
    number: u64,
    /// The process at the other end.
    pub(super) server: Arc<str>,
    pub(super) epoch: Epoch,
}

/// The connection on which Redis is asked.
pub(super) struct Link {
    address: Address,
    timeout: Duration,
    pub(super) keys: Keys,
    up: watch::Sender<Option<Up>>,
    /// The connection of this number does not work.
    broken: AtomicU64,
    is_broken: Notify,
    count: AtomicU64,
    /// The name of the numbers that was known last.
    epoch: Mutex<Epoch>,
    /// The largest number that was seen.
    seen: AtomicU64,
    trouble: Mutex<Arc<str>>,
}

impl Link {
    pub(super) fn new(address: Address, timeout: Duration, keys: Keys) -> Self {
        Self {
            address,
            timeout,
            keys,
            up: watch::Sender::new(None),
            broken: AtomicU64::new(0),
            is_broken: Notify::new(),
            count: AtomicU64::new(0),
            epoch: Mutex::new(random_name().into()),
            seen: AtomicU64::new(0),
            trouble: Mutex::new("Redis is not connected yet".into()),
        }
    }

    /// Connects once.
    pub(super) async fn open(&self) -> Result<Up, Trouble> {
        let (connection, server) = self.connect(self.config(), self.timeout).await?;
        let mut up = Up {
            connection,
            number: self.count.fetch_add(1, Relaxed) + 1,
            server,
            epoch: self.epoch(),
        };
        let loading = scripts::load();
        let loaded = loading.exec_async(&mut up.connection).await;
        loaded.map_err(|error| trouble(&error))?;
        let head = self.hello(&mut up).await;
        up.epoch = head.map_err(|error| trouble(&error))?.epoch;
        Ok(up)
    }

    /// Returns a connection of its own, as it is configured, and which process is at its other end.
    pub(super) async fn connect(
        &self,
        config: AsyncConnectionConfig,
        within: Duration,
    ) -> Result<(MultiplexedConnection, Arc<str>), Trouble> {
        let connect = async {
            let client = self.address.client().await?;
            let connecting = client.get_multiplexed_async_connection_with_config(&config);
            let mut connection = Box::pin(connecting).await?;
            let info: String = redis::cmd("INFO")
                .arg("server")
                .query_async(&mut connection)
                .await?;
            Ok((connection, info))
        };
        let connected: RedisResult<_> = match timeout(within, connect).await {
            Ok(connected) => connected,
            Err(_) => return Err(Trouble::Away("it does not answer".to_owned())),
        };
        let (connection, info) = connected.map_err(|error| trouble(&error))?;
        check_version(&info)?;
        let server = field(&info, "run_id").unwrap_or_default();
        Ok((connection, server.into()))
    }

    pub(super) fn config(&self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout))
            .set_pipeline_buffer_size(MAX_WAITING)
            .set_write_backpressure_boundary(WRITE)
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Asks where the numbers stand, and has them named anew if some are lost.
    async fn hello(&self, up: &mut Up) -> RedisResult<Head> {
        let mut call = scripts::HELLO.call(&[&self.keys.numbers]);
        call.arg(random_name())
            .arg(&*self.epoch())
            .arg(self.seen.load(Relaxed));
        let (epoch, id): (String, u64) = call.query_async(&mut up.connection).await?;
        let epoch: Epoch = epoch.into();
        self.saw(id);
        *self.epoch.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&epoch);
        Ok(Head { id, epoch })
    }

    /// Returns where the numbers stand now.
    pub(super) async fn head(&self) -> Result<Head, Failed> {
        let mut up = self.connected()?;
        let head = self.hello(&mut up).await;
        head.map_err(|error| self.failed(&up, &error))
    }

    /// Has a connection used.
    pub(super) fn set(&self, up: Up) {
        self.up.send_replace(Some(up));
    }

    /// Keeps a connection, for ever.
    pub(super) async fn keep(&self, first: Result<Up, Trouble>) {
        let mut backoff = Backoff::default();
        let mut opened = first;
        loop {
            match opened {
                Ok(up) => {
                    tracing::info!("Redis is connected");
                    self.set(up.clone());
                    let began = Instant::now();
                    let why = self.tend(up).await;
                    backoff.lasted(began.elapsed());
                    self.up.send_replace(None);
                    tracing::warn!(%why, "Redis is not connected any more");
                    self.note(&why);
                }
                Err(Trouble::Refused(why)) => {
                    if *self.why() != *why {
                        tracing::error!(%why, "cluster.redis: the connection is refused");
                    }
                    self.note(&why);
                }
                Err(Trouble::Away(why)) => {
                    if backoff.is_first() {
                        tracing::warn!(%why, "Redis cannot be reached; it is tried again");
                    }
                    self.note(&why);
                }
            }
            sleep(backoff.next()).await;
            opened = self.open().await;
        }
    }

    /// Looks after a connection; returns why it does not work any more.
    async fn tend(&self, mut up: Up) -> String {
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.is_broken.notified() => {
                    if self.broken.load(Relaxed) == up.number {
                        return self.why().to_string();
                    }
                }
                _ = beats.tick() => match self.hello(&mut up).await {
                    Ok(head) if head.epoch == up.epoch => {}
                    Ok(head) => {
                        tracing::warn!("Redis has lost data: numbers have another name now");
                        up.epoch = head.epoch;
                        self.up.send_replace(Some(up.clone()));
                    }
                    Err(error) => match trouble(&error) {
                        Trouble::Refused(why) | Trouble::Away(why) => return why,
                    },
                },
            }
        }
    }

    /// Returns what follows whether it is connected.
    pub(super) fn watch(&self) -> watch::Receiver<Option<Up>> {
        self.up.subscribe()
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.borrow().is_some()
    }

    /// Tells whether it works.
    pub(super) fn health(&self) -> Result<(), Failed> {
        if self.is_up() {
            Ok(())
        } else {
            Err(Failed::Io(self.why()))
        }
    }

    pub(super) fn epoch(&self) -> Epoch {
        let epoch = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&epoch)
    }

    /// Notes that a number was given out.
    pub(super) fn saw(&self, id: u64) {
        self.seen.fetch_max(id, Relaxed);
    }

    /// Runs one command.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Failed> {
        let mut up = self.connected()?;
        let mut answer = command.query_async(&mut up.connection).await;
        if is_unknown(&answer) {
            answer = match scripts::load().exec_async(&mut up.connection).await {
                Ok(()) => command.query_async(&mut up.connection).await,
                Err(error) => Err(error),
            };
        }
        answer.map_err(|error| self.failed(&up, &error))
    }

    /// Runs commands that follow each other, all of which have to work.
    pub(super) async fn ask_all<T: FromRedisValue>(
        &self,
        commands: &Pipeline,
    ) -> Result<T, Failed> {
        let mut up = self.connected()?;
        let answer = commands.query_async(&mut up.connection).await;
        answer.map_err(|error| self.failed(&up, &error))
    }

    /// Runs scripts that follow each other, and returns what becomes of each.
    ///
    /// # Errors
    /// The connection has failed: it is not known what became of any.
    pub(super) async fn run_all<T: FromRedisValue>(
        &self,
        calls: Vec<Cmd>,
    ) -> Result<Vec<Result<T, Failed>>, Failed> {
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        let mut up = self.connected()?;
        let mut answers: Vec<_> = (0..calls.len()).map(|_| None).collect();
        let mut left: Vec<_> = calls.into_iter().enumerate().collect();
        for is_again in [false, true] {
            let mut pipeline = redis::Pipeline::with_capacity(left.len());
            pipeline.ignore_errors();
            for (_, call) in &left {
                pipeline.add_command(call.clone());
            }
            let results: RedisResult<Vec<RedisResult<Value>>> =
                pipeline.query_async(&mut up.connection).await;
            let results = results.map_err(|error| self.failed(&up, &error))?;
            let mut unknown = Vec::new();
            for ((place, call), result) in left.into_iter().zip(results) {
                if is_unknown(&result) && !is_again {
                    unknown.push((place, call));
                    continue;
                }
                let value = result.and_then(|value| Ok(redis::from_redis_value(value)?));
                answers[place] = Some(value.map_err(|error: RedisError| self.failed(&up, &error)));
            }
            left = unknown;
            if left.is_empty() {
                break;
            }
            let loaded = scripts::load().exec_async(&mut up.connection).await;
            loaded.map_err(|error| self.failed(&up, &error))?;
        }
        Ok(answers.into_iter().flatten().collect())
    }

    fn connected(&self) -> Result<Up, Failed> {
        let up = self.up.borrow().clone();
        up.ok_or_else(|| Failed::Io(self.why()))
    }

    /// Gives the connection up if it is that which has failed.
    fn failed(&self, up: &Up, error: &RedisError) -> Failed {
        if error.code() == Some("OOM") {
            return Failed::Full;
        }
        let why = match error.code() {
            Some("NOAUTH") => "it asks for a password: name it by cluster.password".to_owned(),
            _ => error.to_string(),
        };
        if is_lasting(error) {
            self.note(&why);
            self.broken.fetch_max(up.number, Relaxed);
            self.is_broken.notify_one();
        }
        Failed::Io(why.into())
    }

    fn note(&self, why: &str) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = why.into();
    }

    fn why(&self) -> Arc<str> {
        let why = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&why)
    }
}

/// Returns a name that nobody else has.
pub(super) fn random_name() -> String {
    let mut bytes = [0; 9];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    URL_SAFE_NO_PAD.encode(bytes)
}
