//! A program that the system starts when its user logs in: written down where the system looks, looked up, taken away.
//!
//! Each system has a part with the same functions: `linux` (a unit of the user's systemd), `macos` (an agent of launchd),
//! `windows` (a value of the registry's Run key). Beside them, without any call of a system, is how each writes the
//! program down and how that is read again: `unit`, `agent`, `command_line`; so what is found is compared with what would
//! be written, and whatever somebody else has put there is told from it and left alone.
//!
//! The program is one that returns when what it starts is ready, and leaves that running.

#[cfg(any(target_os = "macos", test))]
mod agent;
#[cfg(any(windows, test))]
mod command_line;
#[cfg(any(target_os = "linux", all(test, unix)))]
mod unit;

#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

/// What is to be started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Start {
    /// The program, by its whole path.
    pub program: PathBuf,
    /// What it is told.
    pub arguments: Vec<OsString>,
    /// What its environment has beside that of every program. Windows keeps none.
    pub environment: Vec<(String, OsString)>,
}

/// What is written down.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// Nothing of this name.
    Nothing,
    /// What [`Autostart::enable`] writes.
    Written {
        /// What is started.
        start: Start,
        /// Why the system does not start it all the same: somebody has switched it off.
        off: Option<&'static str>,
    },
    /// What [`Autostart::enable`] has written, but not in this form: by another version, or changed by hand.
    Changed,
    /// Somebody else's, in words.
    Foreign(String),
}

/// What has become of [`Autostart::enable`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Enabled {
    /// Something was written; otherwise all was so already.
    pub changed: bool,
    /// What is to be known: that it takes effect later, or not on this system.
    pub warning: Option<String>,
}

/// Why it can't be written, read or taken away.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AutostartError {
    /// The user has no place for it.
    #[error(
        "where this user's programs are named that start at login cannot be told: $HOME is not set"
    )]
    Nowhere,
    /// The system could not start this.
    #[error("{what} cannot be named to the system that starts it: {why}")]
    Unwritable {
        /// The word.
        what: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Something else has its name.
    #[error("{at} is not from here ({what}); take it away, or keep it and start the drive there")]
    Foreign {
        /// Where.
        at: String,
        /// What it is.
        what: String,
    },
    /// The system refused.
    #[error("{at} cannot be {action}")]
    Io {
        /// Where.
        at: String,
        /// What was to be done.
        action: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The entry of one name for this user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Autostart(system::Entry);

impl Autostart {
    /// The entry called `name`, of letters, digits and `-`; nothing is looked up yet. `description` is for people who find
    /// it.
    ///
    /// # Errors
    /// [`AutostartError::Nowhere`].
    pub fn of_this_user(name: &str, description: &'static str) -> Result<Self, AutostartError> {
        system::Entry::of_this_user(name, description).map(Self)
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        self.0.place()
    }

    /// What is there.
    ///
    /// # Errors
    /// If the system does not let us look.
    pub fn look(&self) -> Result<Found, AutostartError> {
        self.0.look()
    }

    /// From the next login on, `start` is started. What was there from us is replaced. Starts nothing now.
    ///
    /// # Errors
    /// If something else is there, the system could not start this, or it refuses.
    pub fn enable(&self, start: &Start) -> Result<Enabled, AutostartError> {
        if !start.program.is_absolute() {
            return Err(AutostartError::Unwritable {
                what: start.program.display().to_string(),
                why: "the whole path of a program is needed",
            });
        }
        match self.look()? {
            Found::Foreign(what) => Err(self.foreign(what)),
            Found::Written {
                start: there,
                off: None,
            } if there == *start => Ok(Enabled::default()),
            _ => Ok(Enabled {
                changed: true,
                warning: self.0.write(start)?,
            }),
        }
    }

    /// From the next login on nothing is started; what runs goes on. Tells whether there was anything.
    ///
    /// # Errors
    /// If something else is there, or the system refuses.
    pub fn disable(&self) -> Result<bool, AutostartError> {
        match self.look()? {
            Found::Foreign(what) => Err(self.foreign(what)),
            _ => self.0.remove(),
        }
    }

    fn foreign(&self, what: String) -> AutostartError {
        AutostartError::Foreign {
            at: self.place(),
            what,
        }
    }
}
