//! The home: where configuration, catalog, cache, log and socket of one user's media drive are.
//!
//! `--home DIR` (or `MEDIAFS_HOME`) puts all of them under one folder; without it they go where programs of the system
//! keep such things (`platform::places`). One process at a time works on a home, by a lock that ends with the process.

mod lock;

use std::path::{Path, PathBuf};

use mediafs_platform::files;
use mediafs_platform::lock::LockError;
pub use mediafs_platform::places::default_mount_point;
use mediafs_platform::places::{self, UserPlaces};
use mediafs_platform::private::{self, PrivateError};
use mediafs_platform::volume::{Classifier, DeclaredTrusted, Trust};

pub use lock::{HomeLock, Purpose};

/// Why a home can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// There is nowhere to put it.
    #[error(
        "no home folder is known: ${} is not set; name one with --home DIR",
        places::USER_FOLDER
    )]
    Nowhere,
    /// A folder or file of it can't be made or opened.
    #[error("the home {path} cannot be used: {doing} failed{}", remedy(source))]
    Unusable {
        /// Which folder or file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// It belongs to another user.
    #[error("the home {path} belongs to user {owner}; use a folder of your own with --home DIR")]
    Foreign {
        /// Which folder.
        path: PathBuf,
        /// The user it belongs to, as the system numbers users.
        owner: String,
    },
    /// It is on storage that can hang or vanish.
    #[error(
        "the home {path} is on storage that is not trusted ({reason}); put it on an internal disk with --home DIR"
    )]
    Untrusted {
        /// Which folder.
        path: PathBuf,
        /// Why it is not.
        reason: String,
    },
    /// Its lock can't be taken.
    #[error("the home {path} cannot be locked{}", lock_remedy(source))]
    Lock {
        /// Which home.
        path: PathBuf,
        /// The cause.
        #[source]
        source: LockError,
    },
    /// Another process works on it.
    #[error("the home {path} is in use by process {pid}, {what}; {remedy}", what = purpose.what(), remedy = purpose.remedy())]
    Held {
        /// Which home.
        path: PathBuf,
        /// Who holds it; 0 if it does not tell.
        pid: u32,
        /// For what.
        purpose: Purpose,
    },
}

/// What to do about it, where that can be told.
pub(crate) fn remedy(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::{
        NotADirectory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    match error.kind() {
        StorageFull | QuotaExceeded => "; free some space on its disk",
        ReadOnlyFilesystem => "; name one that can be written to with --home DIR",
        PermissionDenied => "; make it yours, or name another one with --home DIR",
        NotADirectory | std::io::ErrorKind::AlreadyExists => {
            "; a file is in its way: name another home with --home DIR"
        }
        _ => "",
    }
}

fn lock_remedy(error: &LockError) -> &'static str {
    match error {
        LockError::Io { source, .. } => remedy(source),
        LockError::Held { .. } => "",
    }
}

/// The places of a home. Nothing is made until [`Home::prepare`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Home {
    config_file: PathBuf,
    data: PathBuf,
    cache: PathBuf,
    socket: PathBuf,
    given: bool,
}

impl Home {
    /// The home that was given, else that of `MEDIAFS_HOME`, else the user's.
    ///
    /// # Errors
    /// [`HomeError::Nowhere`], or the current folder is gone and the given path relative.
    pub fn locate(given: Option<&Path>) -> Result<Self, HomeError> {
        let get = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        Self::locate_in(given, &get)
    }

    /// `get` tells of the environment.
    fn locate_in(
        given: Option<&Path>,
        get: &dyn Fn(&str) -> Option<PathBuf>,
    ) -> Result<Self, HomeError> {
        let given = given.map(Path::to_owned).or_else(|| get("MEDIAFS_HOME"));
        if let Some(folder) = given {
            let folder = std::path::absolute(&folder).map_err(|source| HomeError::Unusable {
                path: folder,
                doing: "finding out where it is",
                source,
            })?;
            return Ok(Self {
                config_file: folder.join("config.toml"),
                cache: folder.join("cache"),
                socket: folder.join("socket"),
                data: folder,
                given: true,
            });
        }
        let places = UserPlaces::of("mediafs", get).ok_or(HomeError::Nowhere)?;
        let of_socket = places.runtime.as_ref().unwrap_or(&places.data);
        Ok(Self {
            config_file: places.config.join("config.toml"),
            socket: of_socket.join("socket"),
            cache: places.cache,
            data: places.data,
            given: false,
        })
    }

    /// The one folder that holds everything, if one was given.
    #[must_use]
    pub fn given(&self) -> Option<&Path> {
        self.given.then_some(self.data.as_path())
    }

    /// The user's configuration, which may not exist.
    #[must_use]
    pub fn config_file(&self) -> &Path {
        &self.config_file
    }

    /// The folder of the catalog; names the home to people.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The folder of the cache.
    #[must_use]
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// Where imports by copy go that belong to no project: a folder of plain files.
    #[must_use]
    pub fn library(&self) -> PathBuf {
        self.data.join("Library")
    }

    /// The folder of the log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.data.join("log")
    }

    /// Where a daemon of this home is to listen.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Makes the folders, for the owner alone, and checks that they can be relied on. What lies in one of the `trusted`
    /// folders can.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn prepare(&self, trusted: &[PathBuf]) -> Result<(), HomeError> {
        // Before anything touches it: what may hang is told by the tables of the system.
        check_trust(&self.data, trusted)?;
        for folder in [&self.data, &self.cache, &self.log()] {
            private_folder(folder)?;
        }
        if let Some(folder) = self.socket.parent() {
            private_folder(folder)?;
        }
        Ok(())
    }
}

/// Makes the folder if it is missing, and sees to it that only its owner can enter it.
fn private_folder(path: &Path) -> Result<(), HomeError> {
    private::folder(path).map_err(|error| match error {
        PrivateError::Io { doing, source } => HomeError::Unusable {
            path: path.to_owned(),
            doing,
            source,
        },
        PrivateError::Foreign { owner } => HomeError::Foreign {
            path: path.to_owned(),
            owner,
        },
    })
}

/// The path without links, where it can be told.
pub(crate) fn real(path: &Path) -> PathBuf {
    files::canonical(path).unwrap_or_else(|_| path.to_owned())
}

fn check_trust(folder: &Path, declared: &[PathBuf]) -> Result<(), HomeError> {
    let reason = untrusted(folder, declared).map_err(|source| HomeError::Unusable {
        path: folder.to_owned(),
        doing: "finding out on what storage it is",
        source,
    })?;
    match reason {
        Some(reason) => Err(HomeError::Untrusted {
            path: folder.to_owned(),
            reason,
        }),
        None => Ok(()),
    }
}

/// Why the storage under a path can hang or vanish; `None` if it is trusted, or in one of the `declared` folders. A
/// path that is not there yet is judged by where it will be. Asks the tables of the system, never the storage.
///
/// # Errors
/// When the mount table can't be read.
pub(crate) fn untrusted(path: &Path, declared: &[PathBuf]) -> std::io::Result<Option<String>> {
    let classifier = Classifier::read(DeclaredTrusted {
        paths: declared.to_vec(),
        devices: Vec::new(),
    })?;
    match classifier.trust(path) {
        Trust::Trusted => Ok(None),
        Trust::Untrusted(reason) => Ok(Some(reason.to_string())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn located(given: Option<&str>, variables: &[(&str, &str)]) -> Result<Home, HomeError> {
        let get = |name: &str| {
            variables
                .iter()
                .find(|(variable, _)| *variable == name)
                .map(|(_, value)| PathBuf::from(value))
        };
        Home::locate_in(given.map(Path::new), &get)
    }

    #[test]
    fn a_given_home_holds_everything() {
        // Of this system's form.
        let top = std::path::absolute("/h").unwrap();
        for (given, variables) in [
            (
                Some("/h"),
                &[("MEDIAFS_HOME", "/other"), ("XDG_CACHE_HOME", "/c")][..],
            ),
            (None, &[("MEDIAFS_HOME", "/h"), ("HOME", "/home/u")][..]),
        ] {
            let home = located(given, variables).unwrap();
            assert_eq!(home.config_file(), top.join("config.toml"));
            assert_eq!(home.data(), top);
            assert_eq!(home.cache(), top.join("cache"));
            assert_eq!(home.socket(), top.join("socket"));
        }
    }

    /// Other systems have other places, see `platform::places`.
    #[cfg(target_os = "linux")]
    #[test]
    fn without_one_the_usual_places_are_taken() {
        let home = located(
            None,
            &[("HOME", "/home/u"), ("XDG_RUNTIME_DIR", "/run/user/7")],
        )
        .unwrap();
        assert_eq!(
            home.config_file(),
            Path::new("/home/u/.config/mediafs/config.toml")
        );
        assert_eq!(home.data(), Path::new("/home/u/.local/share/mediafs"));
        assert_eq!(home.cache(), Path::new("/home/u/.cache/mediafs"));
        assert_eq!(home.socket(), Path::new("/run/user/7/mediafs/socket"));
        let home = located(None, &[("HOME", "/home/u"), ("XDG_DATA_HOME", "relative")]).unwrap();
        assert_eq!(home.data(), Path::new("/home/u/.local/share/mediafs"));
        assert_eq!(
            home.socket(),
            Path::new("/home/u/.local/share/mediafs/socket")
        );
        assert!(matches!(located(None, &[]), Err(HomeError::Nowhere)));
    }

    #[test]
    fn folders_are_the_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("home");
        std::fs::create_dir(&folder).unwrap();
        let home = Home::locate(Some(&folder)).unwrap();
        home.prepare(&[]).unwrap();
        // On Windows by lists that only the system reads.
        #[cfg(unix)]
        for path in [home.data(), home.cache(), &home.log()] {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{}", path.display());
        }
        std::fs::write(folder.join("file"), "").unwrap();
        let home = Home::locate(Some(&folder.join("file"))).unwrap();
        assert!(matches!(home.prepare(&[]), Err(HomeError::Unusable { .. })));
    }
}
