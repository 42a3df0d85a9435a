//! An agent of launchd: a file in the user's `Library/LaunchAgents`, which is read at login. That launchd was told to leave
//! an agent alone (`launchctl disable`, or the switch in System Settings) is kept elsewhere, and taken back here.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{AutostartError, Found, Start, agent};
use crate::helper;

const PATIENCE: Duration = Duration::from_secs(10);
/// Agents are far smaller.
const LARGEST: u64 = 256 * 1024;

/// The agent's file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    label: String,
    path: PathBuf,
}

impl Entry {
    pub(super) fn of_this_user(
        name: &str,
        _description: &'static str,
    ) -> Result<Self, AutostartError> {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let home = home.filter(|home| home.is_absolute());
        let label = format!("loophole.{name}");
        let file = format!("{label}.plist");
        Ok(Self {
            path: home
                .ok_or(AutostartError::Nowhere)?
                .join("Library/LaunchAgents")
                .join(file),
            label,
        })
    }

    pub(super) fn place(&self) -> String {
        self.path.display().to_string()
    }

    pub(super) fn look(&self) -> Result<Found, AutostartError> {
        let mut text = Vec::new();
        let read =
            fs::File::open(&self.path).and_then(|file| file.take(LARGEST).read_to_end(&mut text));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(self.failed("read", error)),
            Ok(_) => {}
        }
        Ok(match agent::read(&self.label, &text) {
            Some(start) => Found::Written {
                start,
                off: self
                    .is_switched_off()
                    .then_some("it is switched off in Login Items, or by launchctl"),
            },
            None if agent::is_ours(&text) => Found::Changed,
            None => Found::Foreign("an agent that somebody else has written".to_owned()),
        })
    }

    /// Where launchd does not tell it is taken to be on, as agents are.
    fn is_switched_off(&self) -> bool {
        let said = helper::said(
            Command::new("launchctl").args(["print-disabled", &domain()]),
            PATIENCE,
        );
        match said {
            Ok(said) => agent::is_switched_off(&self.label, &said),
            Err(error) => {
                tracing::debug!(%error, "launchd does not say what is switched off");
                false
            }
        }
    }

    pub(super) fn write(&self, start: &Start) -> Result<Option<String>, AutostartError> {
        let text = agent::written(&self.label, start)?;
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder).map_err(|error| self.failed("written", error))?;
        // launchd reads what ends with `.plist`.
        let next = self.path.with_extension("new");
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .open(&next)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&next, &self.path))
            .map_err(|error| self.failed("written", error))?;
        let target = format!("{}/{}", domain(), self.label);
        let told = helper::run(
            Command::new("launchctl").args(["enable", &target]),
            PATIENCE,
        );
        Ok(told.err().map(|error| {
            format!("launchd could not be told that it may start it ({error}); see Login Items in System Settings")
        }))
    }

    pub(super) fn remove(&self) -> Result<bool, AutostartError> {
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.failed("removed", error)),
        }
    }

    fn failed(&self, action: &'static str, source: io::Error) -> AutostartError {
        AutostartError::Io {
            at: self.place(),
            action,
            source,
        }
    }
}

/// Where launchd has the agents of this user.
fn domain() -> String {
    format!("gui/{}", rustix::process::getuid().as_raw())
}
