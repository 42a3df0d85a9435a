//! The mount, whichever transport it has.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::mounted as fuse;
use super::nfs::NfsMounted;
use super::{Ended, MountError, MountOptions, Passthrough, Transport, Unmounted, nfs};
use crate::drive::Drive;

/// A mounted drive. Dropping it unmounts at once.
#[derive(Debug)]
pub struct Mounted(By);

#[derive(Debug)]
enum By {
    Fuse(fuse::Mounted),
    Nfs(NfsMounted),
}

/// Mounts `drive` by the transport that the options name. `runtime` is where answers that come later are waited for; it
/// must outlive the mount, and have I/O for [`Transport::Nfs`].
///
/// # Errors
/// See [`MountError`]. Nothing stays mounted then.
pub fn mount(
    drive: Arc<dyn Drive>,
    options: &MountOptions,
    runtime: tokio::runtime::Handle,
) -> Result<Mounted, MountError> {
    let by = match options.transport {
        Transport::Fuse => By::Fuse(fuse::mount(drive, options, runtime)?),
        Transport::Nfs => By::Nfs(nfs::mount(drive, options, &runtime)?),
    };
    Ok(Mounted(by))
}

impl Mounted {
    /// Where the drive is, absolute and without symbolic links.
    #[must_use]
    pub fn path(&self) -> &Path {
        match &self.0 {
            By::Fuse(mounted) => mounted.path(),
            By::Nfs(mounted) => mounted.path(),
        }
    }

    /// How it gets to the system.
    #[must_use]
    pub fn transport(&self) -> Transport {
        match &self.0 {
            By::Fuse(_) => Transport::Fuse,
            By::Nfs(_) => Transport::Nfs,
        }
    }

    /// Where a program that speaks NFS finds the drive, where this system has no client to mount it with. It is a secret:
    /// who knows it can read all of the drive.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        match &self.0 {
            By::Fuse(_) => None,
            By::Nfs(mounted) => mounted.url(),
        }
    }

    /// Is passthrough used, and if not, why. While the mount lives this changes only if the helper is lost.
    #[must_use]
    pub fn passthrough(&self) -> Passthrough {
        match &self.0 {
            By::Fuse(mounted) => mounted.passthrough(),
            By::Nfs(_) => Passthrough::NotOfTransport,
        }
    }

    /// Why the mount has ended; `None` while it lives.
    #[must_use]
    pub fn has_ended(&self) -> Option<Ended> {
        match &self.0 {
            By::Fuse(mounted) => mounted.has_ended(),
            By::Nfs(mounted) => mounted.has_ended(),
        }
    }

    /// Waits until the mount has ended, whoever ended it.
    pub async fn ended(&self) -> Ended {
        match &self.0 {
            By::Fuse(mounted) => mounted.ended().await,
            By::Nfs(mounted) => mounted.ended().await,
        }
    }

    /// Waits until the mount has ended, on this thread.
    pub fn wait(&self) -> Ended {
        match &self.0 {
            By::Fuse(mounted) => mounted.wait(),
            By::Nfs(mounted) => mounted.wait_for(None).unwrap_or(Ended::Unmounted),
        }
    }

    /// Waits on this thread until the mount has ended, but no longer than `patience`.
    #[must_use]
    pub fn wait_for(&self, patience: Duration) -> Option<Ended> {
        match &self.0 {
            By::Fuse(mounted) => mounted.wait_for(patience),
            By::Nfs(mounted) => mounted.wait_for(Some(patience)),
        }
    }

    /// Unmounts within `grace` and two seconds more (without root as long as `fusermount3` takes as well), whatever
    /// programs and storage do. Blocks this thread.
    ///
    /// For `grace` programs may close their files. After it requests that still wait are answered with an
    /// error, the mount leaves the tree, and if files are still open the connection is cut.
    pub fn unmount(&self, grace: Duration) -> Unmounted {
        match &self.0 {
            By::Fuse(mounted) => mounted.unmount(grace),
            By::Nfs(mounted) => mounted.unmount(grace),
        }
    }
}
