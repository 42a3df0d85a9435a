//! A unit of the user's own systemd: the file in `$XDG_CONFIG_HOME/systemd/user`, and a link to it among what the user's
//! session wants (`default.target.wants`), as `systemctl --user enable` makes it. Both are read at login; a manager that
//! runs now is told to read them, so that `systemctl --user start` and `status` know the unit.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{AutostartError, Found, Start, unit};
use crate::helper;

/// What the session of a user wants.
const WANTS: &str = "default.target.wants";
/// Where systemd looks for it is here if the system was started by it (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";
/// Where a manager of the user listens, below the folder of the session.
const MANAGER: &str = "systemd/private";
/// It answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// Units are far smaller.
const LARGEST: u64 = 256 * 1024;

/// The unit's file and link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    units: PathBuf,
    file: OsString,
    description: &'static str,
    /// Where a manager that runs now would listen.
    manager: Option<PathBuf>,
    booted: PathBuf,
}

impl Entry {
    pub(super) fn of_this_user(
        name: &str,
        description: &'static str,
    ) -> Result<Self, AutostartError> {
        let folder = |variable: &str| {
            let value = std::env::var_os(variable).map(PathBuf::from);
            value.filter(|path| path.is_absolute())
        };
        let config = folder("XDG_CONFIG_HOME")
            .or_else(|| folder("HOME").map(|home| home.join(".config")))
            .ok_or(AutostartError::Nowhere)?;
        Ok(Self {
            units: config.join("systemd/user"),
            file: format!("{name}.service").into(),
            description,
            manager: folder("XDG_RUNTIME_DIR").map(|runtime| runtime.join(MANAGER)),
            booted: PathBuf::from(BOOTED),
        })
    }

    fn unit(&self) -> PathBuf {
        self.units.join(&self.file)
    }

    fn link(&self) -> PathBuf {
        self.units.join(WANTS).join(&self.file)
    }

    pub(super) fn place(&self) -> String {
        self.unit().display().to_string()
    }

    pub(super) fn look(&self) -> Result<Found, AutostartError> {
        let path = self.unit();
        match fs::symlink_metadata(&path) {
            Err(error) if is_nothing(&error) => return Ok(Found::Nothing),
            Err(error) => return Err(failed(&path, "looked at", error)),
            // `systemctl mask` makes one that leads nowhere, `systemctl link` others.
            Ok(found) if found.is_symlink() => {
                let target = fs::read_link(&path).map_err(|error| failed(&path, "read", error))?;
                return Ok(Found::Foreign(if target == Path::new("/dev/null") {
                    format!(
                        "it is masked: `systemctl --user unmask {}` lets it be",
                        self.file.display()
                    )
                } else {
                    format!("it is a link to {}", target.display())
                }));
            }
            Ok(found) if !found.is_file() => {
                return Ok(Found::Foreign("it is not a file".to_owned()));
            }
            Ok(_) => {}
        }
        let mut text = Vec::new();
        fs::File::open(&path)
            .and_then(|file| file.take(LARGEST).read_to_end(&mut text))
            .map_err(|error| failed(&path, "read", error))?;
        Ok(match unit::read(self.description, &text) {
            Some(start) => Found::Written {
                start,
                off: self.off(),
            },
            None if unit::is_ours(&text) => Found::Changed,
            None => Found::Foreign("a unit that somebody else has written".to_owned()),
        })
    }

    /// A link wants the unit by its name; where it leads is not asked for.
    fn off(&self) -> Option<&'static str> {
        let there = fs::symlink_metadata(self.link()).is_ok_and(|found| found.is_symlink());
        (!there).then_some("it is disabled: `systemctl --user` was told so")
    }

    /// What is to be known about it.
    pub(super) fn write(&self, start: &Start) -> Result<Option<String>, AutostartError> {
        let text = unit::written(self.description, start)?;
        let (path, link) = (self.unit(), self.link());
        for folder in [path.parent(), link.parent()].into_iter().flatten() {
            fs::create_dir_all(folder).map_err(|error| failed(folder, "made", error))?;
        }
        replace(&path, text.as_bytes()).map_err(|error| failed(&path, "written", error))?;
        if self.off().is_some() {
            let target = Path::new("..").join(&self.file);
            symlink(target, &link).map_err(|error| failed(&link, "made", error))?;
        }
        let reloaded = self.reload();
        if !self.booted.exists() {
            return Ok(Some(
                "this system is not run by systemd, so nothing will read it; start `mediafs mount --background` by what runs it"
                    .to_owned(),
            ));
        }
        Ok(reloaded.err().map(|error| {
            format!("the running systemd was not told ({error}); it is read at the next login")
        }))
    }

    pub(super) fn remove(&self) -> Result<bool, AutostartError> {
        let mut there = false;
        for path in [self.link(), self.unit()] {
            match fs::remove_file(&path) {
                Ok(()) => there = true,
                Err(error) if is_nothing(&error) => {}
                Err(error) => return Err(failed(&path, "removed", error)),
            }
        }
        if there && let Err(error) = self.reload() {
            tracing::debug!(%error, "the user's systemd was not told");
        }
        Ok(there)
    }

    /// Tells the user's systemd to read its units again, if it runs.
    fn reload(&self) -> io::Result<()> {
        if !self.manager.as_ref().is_some_and(|socket| socket.exists()) {
            return Ok(());
        }
        helper::run(
            Command::new("systemctl").args(["--user", "daemon-reload"]),
            PATIENCE,
        )
    }
}

/// Whole or not at all, as systemd may read it meanwhile; it passes over names that begin with a dot.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().display();
    let next = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(&next)
        .and_then(|mut file| {
            file.write_all(text)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&next, path));
    if written.is_err() {
        let _ = fs::remove_file(&next);
    }
    written
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn failed(path: &Path, action: &'static str, source: io::Error) -> AutostartError {
    AutostartError::Io {
        at: path.display().to_string(),
        action,
        source,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::{Autostart, Enabled};
    use super::*;

    fn entry(config: &Path) -> (Autostart, PathBuf, PathBuf) {
        let entry = Entry {
            units: config.join("systemd/user"),
            file: "x.service".into(),
            description: "A drive",
            manager: None,
            booted: config.to_owned(),
        };
        let (unit, link) = (entry.unit(), entry.link());
        (Autostart(entry), unit, link)
    }

    fn start(argument: &str) -> Start {
        Start {
            program: "/bin/x y".into(),
            arguments: vec![argument.into()],
            environment: Vec::new(),
        }
    }

    fn written(argument: &str, off: Option<&'static str>) -> Found {
        Found::Written {
            start: start(argument),
            off,
        }
    }

    #[test]
    fn what_is_enabled_is_found_until_it_is_disabled() {
        let config = tempfile::tempdir().unwrap();
        let (autostart, unit, link) = entry(config.path());
        assert_eq!(autostart.look().unwrap(), Found::Nothing);
        assert!(!autostart.disable().unwrap());
        let changed = Enabled {
            changed: true,
            warning: None,
        };
        assert_eq!(autostart.enable(&start("a b")).unwrap(), changed);
        assert_eq!(autostart.look().unwrap(), written("a b", None));
        assert_eq!(
            fs::canonicalize(&link).unwrap(),
            fs::canonicalize(&unit).unwrap()
        );
        let before = fs::metadata(&unit).unwrap().modified().unwrap();
        assert_eq!(autostart.enable(&start("a b")).unwrap(), Enabled::default());
        assert_eq!(fs::metadata(&unit).unwrap().modified().unwrap(), before);
        assert_eq!(autostart.enable(&start("c")).unwrap(), changed);
        assert_eq!(autostart.look().unwrap(), written("c", None));
        let names = fs::read_dir(unit.parent().unwrap()).unwrap().count();
        assert_eq!(names, 2, "the unit and the folder of the link");
        assert!(autostart.disable().unwrap());
        assert!(fs::symlink_metadata(&unit).is_err() && fs::symlink_metadata(&link).is_err());
    }

    #[test]
    fn what_systemctl_has_switched_off_is_told_and_switched_on() {
        let config = tempfile::tempdir().unwrap();
        let (autostart, _, link) = entry(config.path());
        autostart.enable(&start("a")).unwrap();
        fs::remove_file(&link).unwrap();
        let Found::Written { off: Some(_), .. } = autostart.look().unwrap() else {
            panic!("it is off");
        };
        assert!(autostart.enable(&start("a")).unwrap().changed);
        assert_eq!(autostart.look().unwrap(), written("a", None));
        // As `systemctl enable` makes it.
        fs::remove_file(&link).unwrap();
        symlink("/elsewhere/x.service", &link).unwrap();
        assert_eq!(autostart.look().unwrap(), written("a", None));
        assert!(!autostart.enable(&start("a")).unwrap().changed);
    }

    #[test]
    fn a_link_that_wants_nothing_is_taken_away_or_made_right() {
        let config = tempfile::tempdir().unwrap();
        let (autostart, unit, link) = entry(config.path());
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink("../x.service", &link).unwrap();
        assert!(autostart.disable().unwrap());
        assert!(fs::symlink_metadata(&link).is_err());
        symlink("../x.service", &link).unwrap();
        autostart.enable(&start("a")).unwrap();
        assert!(unit.is_file());
        assert_eq!(autostart.look().unwrap(), written("a", None));
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let config = tempfile::tempdir().unwrap();
        let (autostart, unit, _) = entry(config.path());
        fs::create_dir_all(unit.parent().unwrap()).unwrap();
        let is_left_alone = |why: &str| {
            assert!(
                matches!(autostart.look().unwrap(), Found::Foreign(_)),
                "{why}"
            );
            for refused in [
                autostart.enable(&start("a")).map(drop),
                autostart.disable().map(drop),
            ] {
                assert!(
                    matches!(refused, Err(AutostartError::Foreign { .. })),
                    "{why}"
                );
            }
        };
        fs::write(&unit, "[Service]\nExecStart=/bin/true\n").unwrap();
        is_left_alone("another's unit");
        assert_eq!(
            fs::read(&unit).unwrap(),
            b"[Service]\nExecStart=/bin/true\n"
        );
        fs::remove_file(&unit).unwrap();
        symlink("/dev/null", &unit).unwrap();
        is_left_alone("masked");
        assert_eq!(fs::read_link(&unit).unwrap(), Path::new("/dev/null"));
        fs::remove_file(&unit).unwrap();
        fs::create_dir(&unit).unwrap();
        is_left_alone("a folder");
    }

    #[test]
    fn what_was_changed_by_hand_is_told_and_replaced() {
        let config = tempfile::tempdir().unwrap();
        let (autostart, unit, _) = entry(config.path());
        autostart.enable(&start("a")).unwrap();
        let text = fs::read_to_string(&unit).unwrap();
        fs::write(&unit, text.replace("forking", "simple")).unwrap();
        assert_eq!(autostart.look().unwrap(), Found::Changed);
        assert!(autostart.enable(&start("a")).unwrap().changed);
        assert_eq!(fs::read_to_string(&unit).unwrap(), text);
    }

    #[test]
    fn without_systemd_it_is_said_that_nothing_reads_it() {
        let config = tempfile::tempdir().unwrap();
        let (mut autostart, ..) = entry(config.path());
        autostart.0.booted = config.path().join("none");
        let enabled = autostart.enable(&start("a")).unwrap();
        assert!(enabled.warning.unwrap().contains("not run by systemd"));
        // A manager whose socket is there and does not answer.
        autostart.0.booted = config.path().to_owned();
        autostart.0.manager = Some(config.path().to_owned());
        let enabled = autostart.enable(&start("b"));
        assert!(enabled.unwrap().changed);
    }
}
