//! Who registers files for passthrough with the kernel: this process if it may, else the helper if there is one.

#[cfg(target_os = "linux")]
pub(super) use linux::{find_helper, settle};
#[cfg(not(target_os = "linux"))]
pub(super) use other::{find_helper, settle};

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};
    use std::path::{Path, PathBuf};

    use super::super::open_files::OpenFiles;
    use super::super::{MountOptions, Passthrough};
    use crate::passthrough::{Helper, find, is_fit};

    /// Tries it, on a kernel that offers passthrough.
    pub(in crate::mount) fn settle(
        device: &OwnedFd,
        helper: Option<&Path>,
        open_files: &OpenFiles,
    ) -> Passthrough {
        match (probe_passthrough(device), helper) {
            (Passthrough::NotPermitted, Some(helper)) => use_helper(helper, device, open_files),
            (told, _) => told,
        }
    }

    /// Registers a file in memory to see whether the kernel lets us. The registration stays until the mount ends,
    /// as the library has no way to take it back outside an `open`; it costs an empty file in memory.
    fn probe_passthrough(device: &OwnedFd) -> Passthrough {
        let probe = rustix::fs::memfd_create("mediafs-probe", rustix::fs::MemfdFlags::CLOEXEC)
            .map_err(io::Error::from)
            .and_then(|file| fuser::BackingId::create_raw(device, file));
        match probe.map_err(|error| error.raw_os_error()) {
            Ok(_) => Passthrough::InForce,
            Err(Some(libc::EPERM)) => Passthrough::NotPermitted,
            Err(errno) => Passthrough::Refused(errno.unwrap_or(libc::EIO)),
        }
    }

    /// The program that may register files for us, if one is installed.
    pub(in crate::mount) fn find_helper(options: &MountOptions) -> Option<PathBuf> {
        match &options.passthrough_helper {
            Some(program) if is_fit(program) => Some(program.clone()),
            Some(program) => {
                tracing::warn!(program = %program.display(), "the passthrough helper must belong to root, and be writable by root alone");
                None
            }
            None => find(),
        }
    }

    /// Lets the helper register files, if it can.
    fn use_helper(program: &Path, device: &OwnedFd, open_files: &OpenFiles) -> Passthrough {
        let tried = || -> io::Result<_> {
            let helper = Helper::start(program, device.as_fd())?;
            let probe = rustix::fs::memfd_create("mediafs-probe", rustix::fs::MemfdFlags::CLOEXEC)?;
            helper.open(probe)?;
            helper.hurry()?;
            Ok(helper)
        };
        match tried() {
            Ok(helper) => {
                open_files.use_helper(helper);
                Passthrough::ByHelper
            }
            Err(error) => {
                tracing::warn!(program = %program.display(), %error, "the passthrough helper does not help; it needs `setcap cap_sys_admin+ep`");
                Passthrough::NotPermitted
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use std::os::fd::OwnedFd;
    use std::path::{Path, PathBuf};

    use super::super::open_files::OpenFiles;
    use super::super::{MountOptions, Passthrough};

    pub(in crate::mount) fn settle(
        _device: &OwnedFd,
        _helper: Option<&Path>,
        _open_files: &OpenFiles,
    ) -> Passthrough {
        Passthrough::NotOffered
    }

    pub(in crate::mount) fn find_helper(_options: &MountOptions) -> Option<PathBuf> {
        None
    }
}
