//! Attaching a FUSE file system to a folder and detaching it: by `mount(2)` where that is permitted, else
//! through the set-uid helper `fusermount3`.
//!
//! On macOS macFUSE's own library attaches, see `attach/macos.rs`.
//!
//! Not left to fuser, as it opens `/dev/fuse` itself even where only `fusermount3` may, links macFUSE's library, and unmounts
//! by its own rules when it is dropped.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::helper;

/// How a mount is taken away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Detach {
    /// Only if nobody uses it.
    IfUnused,
    /// At once for new requests; who has files open keeps them.
    Lazily,
    /// At once, and every request is answered with an error by the kernel. Root only; elsewhere as `Lazily`.
    ByForce,
}

/// The longest the program may take that takes a mount away: `umount` of macOS has all disks written first.
const HELPER_PATIENCE: Duration =
    Duration::from_secs(if cfg!(target_os = "macos") { 20 } else { 3 });

/// Takes away the topmost mount at `path`.
pub(super) fn detach(path: &Path, how: Detach) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::mount::UnmountFlags;
        let flags = match how {
            Detach::IfUnused => UnmountFlags::empty(),
            Detach::Lazily => UnmountFlags::DETACH,
            Detach::ByForce => UnmountFlags::FORCE | UnmountFlags::DETACH,
        };
        match rustix::mount::unmount(path, flags | UnmountFlags::NOFOLLOW) {
            Err(rustix::io::Errno::PERM) => {}
            done => return Ok(done?),
        }
        let flags: &[&str] = if how == Detach::IfUnused {
            &["-u"]
        } else {
            &["-u", "-z"]
        };
        helper::run(
            Command::new("fusermount3").args(flags).arg("--").arg(path),
            HELPER_PATIENCE,
        )
    }
    #[cfg(not(target_os = "linux"))]
    {
        let mut command = Command::new("umount");
        if how != Detach::IfUnused {
            command.arg("-f");
        }
        helper::run(command.arg(path), HELPER_PATIENCE)
    }
}

#[cfg(target_os = "macos")]
mod macos;

#[cfg(target_os = "linux")]
pub(super) use linux::attach;
#[cfg(target_os = "macos")]
pub(super) use macos::attach;

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::{CString, OsStr};
    use std::fs::OpenOptions;
    use std::io::{self, IoSliceMut};
    use std::mem::MaybeUninit;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::os::unix::net::UnixStream;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use rustix::mount::MountFlags;
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

    use super::super::{MountError, MountOptions, SUBTYPE};
    use crate::helper::told;

    /// Mounts at `path` and hands out the descriptor that requests are read from.
    pub(in crate::mount) fn attach(
        path: &Path,
        options: &MountOptions,
    ) -> Result<OwnedFd, MountError> {
        if !Path::new("/dev/fuse").exists() {
            return Err(MountError::NoFuse);
        }
        let attached = match attach_directly(path, options) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                attach_by_helper(path, options)
            }
            done => done,
        };
        let usable = || {
            let ways = rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK;
            rustix::fs::access("/dev/fuse", ways).is_ok()
        };
        attached.map_err(|source| {
            if usable() {
                MountError::Refused {
                    path: path.to_owned(),
                    source,
                }
            } else {
                MountError::DeviceRefused { source }
            }
        })
    }

    fn attach_directly(path: &Path, options: &MountOptions) -> io::Result<OwnedFd> {
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/fuse")?;
        let data = format!(
            "fd={},rootmode=40000,user_id={},group_id={},subtype={SUBTYPE}{}",
            device.as_raw_fd(),
            rustix::process::getuid().as_raw(),
            rustix::process::getgid().as_raw(),
            if options.allow_other {
                ",allow_other"
            } else {
                ""
            },
        );
        let data = CString::new(data)?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        rustix::mount::mount(
            source_name(options).as_str(),
            path,
            "fuse",
            flags,
            data.as_c_str(),
        )?;
        Ok(device.into())
    }

    /// The helper mounts and sends the descriptor over the socket it is given as standard input.
    fn attach_by_helper(path: &Path, options: &MountOptions) -> io::Result<OwnedFd> {
        let wanted = format!(
            "nosuid,nodev,noexec,subtype={SUBTYPE},fsname={}{}",
            source_name(options),
            if options.allow_other {
                ",allow_other"
            } else {
                ""
            },
        );
        let (ours, theirs) = UnixStream::pair()?;
        let child = Command::new("fusermount3")
            .arg("-o")
            .arg(wanted)
            .arg("--")
            .arg(path)
            .env("_FUSE_COMMFD", "0")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => io::Error::new(
                    error.kind(),
                    "fusermount3 is not installed (Debian: `apt install fuse3`)",
                ),
                _ => error,
            })?;
        let received = receive_descriptor(&ours);
        // The helper ends once the descriptor is sent, or with an error before that.
        let output = child.wait_with_output()?;
        match received? {
            Some(device) => Ok(device),
            None => Err(told(&output.stderr)),
        }
    }

    fn receive_descriptor(socket: &UnixStream) -> io::Result<Option<OwnedFd>> {
        let mut byte = [0_u8; 1];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        loop {
            let flags = RecvFlags::CMSG_CLOEXEC;
            match recvmsg(
                socket,
                &mut [IoSliceMut::new(&mut byte)],
                &mut control,
                flags,
            ) {
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => break,
            }
        }
        Ok(control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        }))
    }

    /// The source as the mount table shows it, without what would end the option.
    fn source_name(options: &MountOptions) -> String {
        let name: String = options
            .name
            .chars()
            .filter(|c| !matches!(c, ',' | '\\' | '\0' | '\n') && !c.is_control())
            .collect();
        if OsStr::new(&name).is_empty() {
            SUBTYPE.to_owned()
        } else {
            name
        }
    }
}
