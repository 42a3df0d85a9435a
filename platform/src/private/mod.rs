//! Folders that are their owner's alone.

use std::io;
use std::path::Path;

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

/// Why a folder can't be made private.
#[derive(Debug, thiserror::Error)]
pub enum PrivateError {
    /// The system refused something.
    #[error("{doing} failed")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// It belongs to somebody else.
    #[error("it belongs to user {owner}")]
    Foreign {
        /// The user, by the number or text that the system has.
        owner: String,
    },
}

fn failed(doing: &'static str) -> impl FnOnce(io::Error) -> PrivateError {
    move |source| PrivateError::Io { doing, source }
}

/// Makes the folder if it is missing, with all above it, and sees to it that only its owner can enter it. A link is
/// followed: what counts is where it leads.
///
/// # Errors
/// [`PrivateError`].
pub fn folder(path: &Path) -> Result<(), PrivateError> {
    system::folder(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn folders_are_made_and_made_private_again_and_again() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a").join("b");
        folder(&path).unwrap();
        folder(&path).unwrap();
        std::fs::write(path.join("file"), "x").unwrap();
        folder(&path).unwrap();
        assert_eq!(std::fs::read(path.join("file")).unwrap(), b"x");
        assert!(matches!(
            folder(&path.join("file")),
            Err(PrivateError::Io { .. })
        ));
        assert!(matches!(
            folder(&path.join("file").join("c")),
            Err(PrivateError::Io { .. })
        ));
    }
}
