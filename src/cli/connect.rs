//! How a command reaches the media drive: the daemon of its home, or the home itself.

use std::time::{Duration, Instant};

use super::{CliError, Context};
use crate::config::Config;
use crate::control::BlockingClient as Client;
use crate::daemon;
use crate::home::{HomeError, Purpose};

/// How long a home that is in use is tried again: a daemon may be starting or ending, or a short command be at work.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often.
const AGAIN: Duration = Duration::from_millis(50);

impl Context {
    /// The daemon of this home, if one answers.
    pub(super) fn daemon(&self) -> Result<Option<Client>, CliError> {
        Ok(Client::connect(&self.home.daemon_socket())?.map(|(client, _)| client))
    }

    /// The daemon that a command can't do without.
    pub(super) fn daemon_needed(&self) -> Result<Client, CliError> {
        self.daemon()?.ok_or_else(|| {
            CliError::new(format!(
                "no drive is mounted from {}; start it with `mediafs mount`",
                self.home.data().display()
            ))
        })
    }

    /// The daemon, or else the home itself, under its lock until the client is dropped.
    pub(super) fn client(&self) -> Result<Client, CliError> {
        let start = Instant::now();
        loop {
            if let Some(client) = self.daemon()? {
                return Ok(client);
            }
            let config = Config::load(self.home.config_file())?;
            self.home.prepare(&config.trusted)?;
            let error = match self.home.lock(Purpose::Command, Duration::ZERO) {
                Ok(lock) => {
                    let service = daemon::service_without_daemon(&self.home, lock, &config)?;
                    return Ok(Client::here(service)?);
                }
                Err(error @ HomeError::Held { .. }) => error,
                Err(error) => return Err(error.into()),
            };
            if start.elapsed() >= PATIENCE {
                return Err(error.into());
            }
            std::thread::sleep(AGAIN);
        }
    }
}
