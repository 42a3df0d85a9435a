//! Mounting where there is no adapter yet: it is refused, and all else of the crate can be used.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Clear, Ended, MountError, MountOptions, Passthrough, Transport, Unmounted};
use crate::drive::Drive;

/// A mounted drive. There is none here.
#[derive(Debug)]
pub struct Mounted(Infallible);

/// Refuses to mount.
///
/// # Errors
/// Always [`MountError::Refused`].
pub fn mount(
    _drive: Arc<dyn Drive>,
    options: &MountOptions,
    _runtime: tokio::runtime::Handle,
) -> Result<Mounted, MountError> {
    Err(MountError::Refused {
        path: options.mountpoint.clone(),
        source: io::Error::new(
            io::ErrorKind::Unsupported,
            "this version of mediafs has no drive for this system yet",
        ),
    })
}

/// Nothing can have been left.
///
/// # Errors
/// None.
pub fn clear(_point: &Path, _what: Clear) -> Result<bool, MountError> {
    Ok(false)
}

impl Mounted {
    /// Where the drive is, absolute and without symbolic links.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self.0 {}
    }

    /// How it gets to the system.
    #[must_use]
    pub fn transport(&self) -> Transport {
        match self.0 {}
    }

    /// Where a program finds it, where this system cannot mount it.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        match self.0 {}
    }

    /// Is passthrough used, and if not, why.
    #[must_use]
    pub fn passthrough(&self) -> Passthrough {
        match self.0 {}
    }

    /// Why the mount has ended; `None` while it lives.
    #[must_use]
    pub fn has_ended(&self) -> Option<Ended> {
        match self.0 {}
    }

    /// Waits until the mount has ended, whoever ended it.
    #[allow(clippy::unused_async)]
    pub async fn ended(&self) -> Ended {
        match self.0 {}
    }

    /// Waits until the mount has ended, on this thread.
    pub fn wait(&self) -> Ended {
        match self.0 {}
    }

    /// Waits on this thread until the mount has ended, but no longer than `patience`.
    #[must_use]
    pub fn wait_for(&self, _patience: Duration) -> Option<Ended> {
        match self.0 {}
    }

    /// Unmounts.
    pub fn unmount(&self, _grace: Duration) -> Unmounted {
        match self.0 {}
    }
}
