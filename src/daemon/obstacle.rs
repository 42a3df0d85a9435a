//! What keeps a drive from being mounted, in a word that programs can rely on.

use mediafs_platform::mount::MountError;
use std::io::ErrorKind;

use super::DaemonError;
use crate::home::HomeError;

/// What stands in the way of a daemon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Obstacle {
    /// What mounts drives is not on this system.
    NotInstalled,
    /// It is there, but may not be used.
    DriverBlocked,
    /// Something else is at the mount point.
    PointTaken,
    /// Another process works on the home.
    Held,
    /// Something else.
    Other,
}

impl Obstacle {
    const ALL: [(Self, &str); 5] = [
        (Self::NotInstalled, "notInstalled"),
        (Self::DriverBlocked, "driverBlocked"),
        (Self::PointTaken, "pointTaken"),
        (Self::Held, "held"),
        (Self::Other, "other"),
    ];

    /// As a daemon says it to whoever has started it.
    pub(crate) fn word(self) -> &'static str {
        let mut all = Self::ALL.iter();
        all.find(|(obstacle, _)| *obstacle == self)
            .map_or("other", |(_, word)| word)
    }

    /// From such a word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        let mut all = Self::ALL.iter();
        let found = all.find(|(_, of)| *of == word)?;
        Some(found.0)
    }
}

impl From<&DaemonError> for Obstacle {
    fn from(error: &DaemonError) -> Self {
        let mount = match error {
            DaemonError::Mount(error) => error,
            DaemonError::Home(HomeError::Held { .. }) => return Self::Held,
            _ => return Self::Other,
        };
        match mount {
            MountError::NoFuse => Self::NotInstalled,
            // The kernel does not let this user mount, and there is no helper that would.
            MountError::Refused { source, .. } if source.kind() == ErrorKind::NotFound => {
                Self::NotInstalled
            }
            MountError::Refused { .. } | MountError::DeviceRefused { .. } => Self::DriverBlocked,
            MountError::Point { .. }
            | MountError::NotAFolder { .. }
            | MountError::NotEmpty { .. }
            | MountError::AlreadyMounted { .. }
            | MountError::NotAnswering { .. }
            | MountError::Occupied { .. }
            | MountError::NameTaken { .. }
            | MountError::Recover { .. } => Self::PointTaken,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back() {
        for (obstacle, word) in Obstacle::ALL {
            assert_eq!(obstacle.word(), word);
            assert_eq!(Obstacle::from_word(word), Some(obstacle));
        }
        assert_eq!(Obstacle::from_word("nothing"), None);
    }
}
