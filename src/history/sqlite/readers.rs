//! Those that read: a few threads, each with its own view of the files.

use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tracing::warn;

use super::schema::{self, Error};
use super::writer::{Command, Reply};
use super::{Shared, reading};
use crate::history::{Page, Query, Survey, Want};

/// How many there are.
pub(super) const READERS: usize = 2;

/// What a reader does for others.
#[derive(Debug)]
pub(super) enum Job {
    Read(Query, Reply<Page>),
    Survey(Want, usize, Reply<Survey>),
    End,
}

/// What a thread has.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) shared: Arc<Shared>,
    pub(super) jobs: Arc<Mutex<Receiver<Job>>>,
    /// Hears of damage.
    pub(super) writer: Sender<Command>,
    /// The files, as they were opened for that time.
    pub(super) connection: Option<(u64, Connection)>,
}

impl Reader {
    /// Works until the store is closed.
    pub(super) fn run(mut self) {
        loop {
            let job = {
                let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
                jobs.recv()
            };
            match job {
                Ok(Job::Read(query, reply)) => {
                    let page = self.attempt(|connection, shared| {
                        reading::read(connection, &shared.index, &query)
                    });
                    let _ = reply.send(page.map_err(|error| error.failed()));
                }
                Ok(Job::Survey(want, max, reply)) => {
                    let survey = self.attempt(|connection, shared| {
                        reading::survey(connection, &shared.index, &want, max)
                    });
                    let _ = reply.send(survey.map_err(|error| error.failed()));
                }
                Ok(Job::End) | Err(_) => return,
            }
        }
    }

    /// Tries something; after an error the files are opened again.
    fn attempt<T>(
        &mut self,
        work: impl FnOnce(&Connection, &Shared) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let generation = self.shared.generation();
        let current = self
            .connection
            .take()
            .filter(|(opened, _)| *opened == generation);
        let connection = match current {
            Some((_, connection)) => connection,
            None => schema::open_to_read(&self.shared.directory)?,
        };
        let result = work(&connection, &self.shared);
        match &result {
            Ok(_) => self.connection = Some((generation, connection)),
            Err(error) => {
                warn!("history cannot be read: {error}");
                if error.is_damage() {
                    let damaged = Command::Damaged(generation, "a reader found it damaged");
                    let _ = self.writer.send(damaged);
                }
            }
        }
        result
    }
}
