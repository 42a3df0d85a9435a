//! Opening a file by its path that may be anything by now: no link at its end is followed, and nobody waits for the other
//! end of a pipe.

use std::fs::File;
use std::io;
use std::path::Path;

use super::system;

/// Whether a file is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Make {
    /// It must be there.
    #[default]
    No,
    /// It is made if it is not there.
    IfMissing,
    /// It must not be there.
    New,
}

/// How a file is opened: for reading, and for what else is said here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Opening {
    /// For writing as well. What makes or empties needs it.
    pub write: bool,
    /// Whether it is made.
    pub make: Make,
    /// It is empty then.
    pub truncate: bool,
    /// Permission bits of a file that is made, where the system has such.
    pub permissions: u16,
    /// Its times and permissions may be changed, also if it is not open for writing. Not asked of others' files: some
    /// systems refuse to open them so.
    pub change_meta: bool,
}

impl Opening {
    /// Opens what is at `path` itself. It may be a folder where nothing is to be written.
    ///
    /// # Errors
    /// `NotFound`, `AlreadyExists`, what the system says of a link, or else.
    pub fn open(self, path: &Path) -> io::Result<File> {
        system::open_itself(self, path)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::{Read as _, Write as _};
    use std::time::{Duration, SystemTime};

    use super::*;

    fn writing(make: Make, truncate: bool) -> Opening {
        Opening {
            write: true,
            make,
            truncate,
            permissions: 0o644,
            ..Opening::default()
        }
    }

    #[test]
    fn files_are_made_opened_and_emptied() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        let missing = Opening::default().open(&path).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let mut made = writing(Make::New, false).open(&path).unwrap();
        made.write_all(b"12345").unwrap();
        let taken = writing(Make::New, false).open(&path).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        let mut text = String::new();
        let mut there = writing(Make::IfMissing, false).open(&path).unwrap();
        there.read_to_string(&mut text).unwrap();
        assert_eq!(text, "12345");
        writing(Make::No, true).open(&path).unwrap();
        assert_eq!(path.metadata().unwrap().len(), 0);
        let mut reading = Opening::default().open(&path).unwrap();
        assert!(reading.write_all(b"x").is_err());
        writing(Make::IfMissing, true)
            .open(&home.path().join("other"))
            .unwrap();
    }

    #[test]
    fn times_of_what_is_open_for_reading_can_be_changed() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("file"), "x").unwrap();
        std::fs::create_dir(home.path().join("folder")).unwrap();
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        for name in ["file", "folder"] {
            let how = Opening {
                change_meta: true,
                ..Opening::default()
            };
            let opened = how.open(&home.path().join(name)).unwrap();
            opened.set_modified(then).unwrap();
            assert_eq!(
                opened.metadata().unwrap().modified().unwrap(),
                then,
                "{name}"
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn no_link_is_followed_and_no_pipe_waited_for() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("file"), "x").unwrap();
        std::os::unix::fs::symlink("file", home.path().join("link")).unwrap();
        assert!(Opening::default().open(&home.path().join("link")).is_err());
        assert!(
            writing(Make::IfMissing, true)
                .open(&home.path().join("link"))
                .is_err()
        );
        assert_eq!(home.path().join("file").metadata().unwrap().len(), 1);
        let pipe = home.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let opened = Opening::default().open(&pipe).unwrap();
        assert!(!opened.metadata().unwrap().is_file());
    }
}
