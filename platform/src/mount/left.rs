//! What a daemon that is gone has left mounted, as macOS has it: a dead macFUSE stays in the tree, and so does a drive by
//! NFS that nobody serves any more.
//!
//! Whose a mount is says the mount table, which asks nobody. Whether its daemon lives is asked there: of macFUSE by a look-up,
//! which fails at once where the daemon has gone; of an export by its port.

#[cfg(target_os = "macos")]
use std::path::Path;

#[cfg(target_os = "macos")]
use super::MountError;
use super::{Clear, SUBTYPE};
use crate::volume::MountEntry;

/// Whose a mount is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Whose {
    /// Our drive, by macFUSE.
    Fuse,
    /// Our drive, by NFS.
    Export,
    SomebodyElse,
}

/// Whether the daemon behind a mount of ours lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pulse {
    Alive,
    Dead,
    Silent,
}

/// What is to be done with a mount that is in the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    TakeAway,
    Occupied,
    AlreadyMounted,
    NotAnswering,
}

/// Tells by the line of the mount table. An export of ours has a name of 32 random digits on the loopback interface.
pub(super) fn whose(entry: &MountEntry) -> Whose {
    let export = || {
        let name = entry.source.to_str()?.strip_prefix("127.0.0.1:/")?;
        Some(name.strip_prefix("mediafs-").unwrap_or(name))
    };
    let is_secret =
        |name: &str| name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    match entry.fs_type.as_str() {
        "nfs" if export().is_some_and(is_secret) => Whose::Export,
        kind if kind.contains("fuse") && entry.source == SUBTYPE => Whose::Fuse,
        _ => Whose::SomebodyElse,
    }
}

fn verdict(whose: Whose, what: Clear, pulse: impl FnOnce() -> Pulse) -> Verdict {
    if whose == Whose::SomebodyElse {
        return Verdict::Occupied;
    }
    match pulse() {
        Pulse::Alive => Verdict::AlreadyMounted,
        Pulse::Silent if what == Clear::Dead => Verdict::NotAnswering,
        Pulse::Dead | Pulse::Silent => Verdict::TakeAway,
    }
}

/// The port of an export, as `nfsstat -m MOUNT-POINT` says what it was mounted with: `… NFS parameters: tcp,port=53771,…`.
fn port_told(said: &str) -> Option<u16> {
    said.lines()
        .filter_map(|line| line.trim().strip_prefix("NFS parameters:"))
        .flat_map(|parameters| parameters.split(','))
        .find_map(|parameter| parameter.trim().strip_prefix("port=")?.parse().ok())
}

/// Detaches mounts of ours at `path`, one upon another.
#[cfg(target_os = "macos")]
pub(super) fn clear_mounts(path: &Path, what: Clear) -> Result<bool, MountError> {
    use super::attach::{Detach, detach};
    use crate::volume::MountTable;

    /// How many dead mounts may lie on each other.
    const MOST_STACKED: usize = 64;
    let path = path.to_owned();
    for cleared in 0..MOST_STACKED {
        let table = match MountTable::read() {
            Ok(table) => table,
            Err(source) => {
                return Err(MountError::Point {
                    path,
                    action: "the mount table cannot be read",
                    source,
                });
            }
        };
        let Some(there) = table.at(&path) else {
            return Ok(cleared > 0);
        };
        let whose = whose(there);
        match verdict(whose, what, || pulse(&path, whose)) {
            Verdict::Occupied => {
                let fs_type = there.fs_type.clone();
                return Err(MountError::Occupied { path, fs_type });
            }
            Verdict::AlreadyMounted => return Err(MountError::AlreadyMounted { path }),
            Verdict::NotAnswering => return Err(MountError::NotAnswering { path }),
            Verdict::TakeAway => {
                tracing::info!(path = %path.display(), "a dead mount is removed");
                if let Err(source) = detach(&path, Detach::ByForce) {
                    return Err(MountError::Recover { path, source });
                }
            }
        }
    }
    Err(MountError::Recover {
        path,
        source: std::io::Error::other(format!("more than {MOST_STACKED} mounts lie on each other")),
    })
}

/// Is the mount there one of ours by macFUSE whose daemon is gone?
#[cfg(target_os = "macos")]
pub(super) fn is_dead(path: &Path) -> bool {
    let is_fuse = crate::volume::MountTable::read()
        .is_ok_and(|table| table.at(path).map(whose) == Some(Whose::Fuse));
    is_fuse && pulse(path, Whose::Fuse) == Pulse::Dead
}

#[cfg(target_os = "macos")]
fn pulse(path: &Path, whose: Whose) -> Pulse {
    use std::io::ErrorKind;
    use std::net::{Ipv4Addr, TcpStream};
    use std::process::Command;
    use std::time::Duration;

    if whose == Whose::Export {
        let mut nfsstat = Command::new("nfsstat");
        let said = crate::helper::said(nfsstat.arg("-m").arg(path), Duration::from_secs(2));
        let port = said.ok().and_then(|said| port_told(&said));
        let refused = |port| {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port))
                .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        };
        if port.is_some_and(refused) {
            return Pulse::Dead;
        }
    }
    answer(path)
}

/// What a look-up there is answered, asked from a thread of its own, as a daemon that is stopped never answers. Not `statfs`:
/// macFUSE answers that by itself where the daemon is gone, so that the mount can be taken away.
#[cfg(target_os = "macos")]
fn answer(path: &Path) -> Pulse {
    use rustix::io::Errno;

    let (answer, answered) = std::sync::mpsc::channel();
    let name = path.join(super::NOTE_NAME);
    let asked = std::thread::Builder::new()
        .name("mediafs-pulse".to_owned())
        .spawn(move || {
            // The receiver may have given up.
            let _ = answer.send(rustix::fs::lstat(&name).map(|_| ()));
        });
    if asked.is_err() {
        return Pulse::Silent;
    }
    match answered.recv_timeout(std::time::Duration::from_secs(2)) {
        // Stale is a mount by NFS whose port another export has now.
        Ok(Err(Errno::NXIO | Errno::NOTCONN | Errno::STALE)) => Pulse::Dead,
        Ok(_) => Pulse::Alive,
        Err(_) => Pulse::Silent,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::PathBuf;

    use super::*;
    use crate::volume::{DeviceNumber, MountId};

    fn mounted(fs_type: &str, source: &str) -> MountEntry {
        MountEntry {
            id: MountId(1),
            parent: MountId(0),
            device: DeviceNumber { major: 0, minor: 1 },
            root: PathBuf::from("/"),
            mount_point: PathBuf::from("/Volumes/Loophole"),
            options: OsString::new(),
            fs_type: fs_type.to_owned(),
            source: source.into(),
            super_options: OsString::new(),
        }
    }

    #[test]
    fn our_drives_are_told_from_those_of_others() {
        let secret = "0123456789abcdef0123456789abcdef";
        for (fs_type, source, expected) in [
            ("macfuse", "mediafs", Whose::Fuse),
            ("osxfuse", "mediafs", Whose::Fuse),
            ("macfuse", "sshfs", Whose::SomebodyElse),
            ("apfs", "mediafs", Whose::SomebodyElse),
            ("nfs", &format!("127.0.0.1:/{secret}"), Whose::Export),
            (
                "nfs",
                &format!("127.0.0.1:/mediafs-{secret}"),
                Whose::Export,
            ),
            ("nfs", &format!("10.0.0.1:/{secret}"), Whose::SomebodyElse),
            ("nfs", "127.0.0.1:/music", Whose::SomebodyElse),
            (
                "smbfs",
                &format!("127.0.0.1:/{secret}"),
                Whose::SomebodyElse,
            ),
        ] {
            assert_eq!(
                whose(&mounted(fs_type, source)),
                expected,
                "{fs_type} {source}"
            );
        }
    }

    #[test]
    fn only_what_is_ours_and_has_no_daemon_is_taken_away() {
        for ours in [Whose::Fuse, Whose::Export] {
            for (what, pulse, expected) in [
                (Clear::Dead, Pulse::Dead, Verdict::TakeAway),
                (Clear::Dead, Pulse::Silent, Verdict::NotAnswering),
                (Clear::Silent, Pulse::Silent, Verdict::TakeAway),
                (Clear::Silent, Pulse::Alive, Verdict::AlreadyMounted),
            ] {
                assert_eq!(verdict(ours, what, || pulse), expected, "{ours:?} {what:?}");
            }
        }
        let others = verdict(Whose::SomebodyElse, Clear::Silent, || {
            panic!("nothing of somebody else is asked")
        });
        assert_eq!(others, Verdict::Occupied);
    }

    #[test]
    fn the_port_is_among_what_an_export_was_mounted_with() {
        let said = "/Volumes/Loophole from 127.0.0.1:/x\n  -- Original mount options:\n     General mount flags: 0x0\n     \
            NFS parameters: tcp,mountport=53772,port=53771,soft,intr\n";
        assert_eq!(port_told(said), Some(53_771));
        assert_eq!(port_told("     NFS parameters: vers=3,port=x\n"), None);
        assert_eq!(port_told("port=1"), None);
    }
}
