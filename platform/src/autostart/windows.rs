//! A value of the registry's Run key, which is read when the user logs in. That a user has switched a program off there (in
//! Task Manager or Settings) is kept in a key beside it, whose values begin with an odd number then.

use std::io;

use super::{AutostartError, Found, Start, command_line};
use crate::registry;

const RUN: &str = r"Software\Microsoft\Windows\CurrentVersion\Run";
const SWITCHES: &str = r"Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run";

/// The value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    name: String,
}

impl Entry {
    #[allow(
        clippy::unnecessary_wraps,
        reason = "elsewhere a user may have no place for it"
    )]
    pub(super) fn of_this_user(
        name: &str,
        _description: &'static str,
    ) -> Result<Self, AutostartError> {
        Ok(Self {
            name: name.to_owned(),
        })
    }

    pub(super) fn place(&self) -> String {
        format!(r"HKEY_CURRENT_USER\{RUN}\{}", self.name)
    }

    pub(super) fn look(&self) -> Result<Found, AutostartError> {
        let line = registry::text(RUN, &self.name).map_err(|error| self.failed("read", error))?;
        let Some(line) = line else {
            return Ok(Found::Nothing);
        };
        let line = line.to_string_lossy().into_owned();
        let switch = registry::bytes(SWITCHES, &self.name);
        let switch = switch.map_err(|error| self.failed("read", error))?;
        let off = switch.and_then(|switch| switch.first().copied());
        let off = off.is_some_and(|first| first % 2 == 1);
        Ok(match command_line::read(&line) {
            Some(start) => Found::Written {
                start,
                off: off.then_some("it is switched off among the startup apps in Settings"),
            },
            None => Found::Foreign(format!("it starts {line}")),
        })
    }

    pub(super) fn write(&self, start: &Start) -> Result<Option<String>, AutostartError> {
        let line = command_line::written(start)?;
        registry::set_text(RUN, &self.name, &line)
            .and_then(|()| registry::remove(SWITCHES, &self.name))
            .map_err(|error| self.failed("written", error))?;
        Ok(None)
    }

    pub(super) fn remove(&self) -> Result<bool, AutostartError> {
        let removed = registry::remove(RUN, &self.name).and_then(|there| {
            registry::remove(SWITCHES, &self.name)?;
            Ok(there)
        });
        removed.map_err(|error| self.failed("removed", error))
    }

    fn failed(&self, action: &'static str, source: io::Error) -> AutostartError {
        AutostartError::Io {
            at: self.place(),
            action,
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::{Autostart, Enabled};
    use super::*;

    fn start(argument: &str) -> Start {
        Start {
            program: r"C:\Program Files\mediafs\mediafs.exe".into(),
            arguments: vec![argument.into()],
            environment: Vec::new(),
        }
    }

    /// Gone at the end, however the test ends.
    struct Own(Autostart, String);

    impl Own {
        fn new(what: &str) -> Self {
            let name = format!("mediafs-test-{what}-{}", std::process::id());
            Self(Autostart::of_this_user(&name, "").unwrap(), name)
        }
    }

    impl Drop for Own {
        fn drop(&mut self) {
            for key in [RUN, SWITCHES] {
                let _ = registry::remove(key, &self.1);
            }
        }
    }

    #[test]
    fn what_is_enabled_is_found_until_it_is_disabled() {
        let own = Own::new("enabled");
        let Own(autostart, name) = &own;
        assert_eq!(autostart.look().unwrap(), Found::Nothing);
        assert!(!autostart.disable().unwrap());
        assert!(autostart.enable(&start("a b\\")).unwrap().changed);
        let line = registry::text(RUN, name).unwrap().unwrap();
        assert_eq!(line, r#""C:\Program Files\mediafs\mediafs.exe" "a b\\""#);
        let found = Found::Written {
            start: start("a b\\"),
            off: None,
        };
        assert_eq!(autostart.look().unwrap(), found);
        let again = autostart.enable(&start("a b\\")).unwrap();
        assert_eq!(again, Enabled::default());
        assert!(autostart.enable(&start("c")).unwrap().changed);
        assert!(autostart.disable().unwrap());
        assert_eq!(autostart.look().unwrap(), Found::Nothing);
        assert!(!autostart.disable().unwrap());
    }

    #[test]
    fn what_the_user_has_switched_off_is_told_and_switched_on() {
        let own = Own::new("off");
        let Own(autostart, name) = &own;
        autostart.enable(&start("a")).unwrap();
        for (switch, is_off) in [([2_u8, 0, 0, 0], false), ([3, 0, 0, 0], true)] {
            registry::set_bytes(SWITCHES, name, &switch).unwrap();
            let Found::Written { off, .. } = autostart.look().unwrap() else {
                panic!("it is there");
            };
            assert_eq!(off.is_some(), is_off);
        }
        assert!(autostart.enable(&start("a")).unwrap().changed);
        let found = Found::Written {
            start: start("a"),
            off: None,
        };
        assert_eq!(autostart.look().unwrap(), found);
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let own = Own::new("foreign");
        let Own(autostart, name) = &own;
        registry::set_text(RUN, name, "notepad.exe").unwrap();
        assert!(
            matches!(autostart.look().unwrap(), Found::Foreign(what) if what.contains("notepad"))
        );
        assert!(autostart.enable(&start("a")).is_err());
        assert!(autostart.disable().is_err());
        assert_eq!(registry::text(RUN, name).unwrap().unwrap(), "notepad.exe");
    }
}
