//! What a daemon that is gone has left mounted: a dead FUSE mount stays in the tree, and so does a drive by NFS that nobody
//! serves any more.
//!
//! Whose a mount is says the mount table, which asks nobody ([`MountEntry::is_our_drive`]). Whether its daemon lives is asked
//! there: of an export first by its port, which tells sooner than the client does, who tries for a minute.

use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;

use super::attach::{Detach, detach};
use super::{Clear, MountError};
use crate::volume::{MountEntry, MountTable};

/// How many dead mounts may lie on each other.
const MOST_STACKED: usize = 64;
/// How long the daemon behind a mount has for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the daemon behind a mount of ours lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pulse {
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

fn verdict(is_ours: bool, what: Clear, pulse: impl FnOnce() -> Pulse) -> Verdict {
    if !is_ours {
        return Verdict::Occupied;
    }
    match pulse() {
        Pulse::Alive => Verdict::AlreadyMounted,
        Pulse::Silent if what == Clear::Dead => Verdict::NotAnswering,
        Pulse::Dead | Pulse::Silent => Verdict::TakeAway,
    }
}

/// Detaches mounts of ours at `path`, one upon another. Was there anything?
pub(super) fn clear_mounts(path: &Path, what: Clear) -> Result<bool, MountError> {
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
        match verdict(there.is_our_drive(), what, || pulse(there)) {
            Verdict::Occupied => {
                let fs_type = there.fs_type.clone();
                return Err(MountError::Occupied { path, fs_type });
            }
            Verdict::AlreadyMounted => return Err(MountError::AlreadyMounted { path }),
            Verdict::NotAnswering => return Err(MountError::NotAnswering { path }),
            Verdict::TakeAway => {
                tracing::info!(path = %path.display(), "a dead mount is removed");
                if let Err(source) = detach(&path, system::how_to_detach(there)) {
                    return Err(MountError::Recover { path, source });
                }
            }
        }
    }
    Err(MountError::Recover {
        path,
        source: io::Error::other(format!("more than {MOST_STACKED} mounts lie on each other")),
    })
}

/// Is the mount there one of ours by FUSE whose daemon is gone?
pub(super) fn is_dead(path: &Path) -> bool {
    let table = MountTable::read();
    let there = table.as_ref().ok().and_then(|table| table.at(path));
    let by_fuse = there.filter(|there| there.is_our_drive() && !there.is_our_export());
    by_fuse.map(pulse) == Some(Pulse::Dead)
}

/// Does the daemon behind a mount of ours live? `None` if it does not say.
#[must_use]
pub fn lives(entry: &MountEntry) -> Option<bool> {
    match pulse(entry) {
        Pulse::Alive => Some(true),
        Pulse::Dead => Some(false),
        Pulse::Silent => None,
    }
}

fn pulse(entry: &MountEntry) -> Pulse {
    let nobody_listens = |port| {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    };
    if entry.is_our_export() && system::port_of(entry).is_some_and(nobody_listens) {
        return Pulse::Dead;
    }
    answer(&entry.mount_point)
}

/// What is answered there. Asked from a thread of its own, as a daemon that is stopped never answers.
fn answer(path: &Path) -> Pulse {
    let (answer, answered) = std::sync::mpsc::channel();
    let path = path.to_owned();
    let asked = std::thread::Builder::new()
        .name("mediafs-pulse".to_owned())
        .spawn(move || {
            // The receiver may have given up.
            let _ = answer.send(system::ask(&path));
        });
    if asked.is_err() {
        return Pulse::Silent;
    }
    match answered.recv_timeout(PATIENCE) {
        Ok(Err(error)) if system::OF_THE_DEAD.contains(&error) => Pulse::Dead,
        Ok(_) => Pulse::Alive,
        Err(_) => Pulse::Silent,
    }
}

#[cfg(target_os = "linux")]
mod system {
    use super::{Detach, Errno, MountEntry, Path};

    /// What a mount without a daemon answers. Stale is one by NFS whose port another export has now.
    pub(super) const OF_THE_DEAD: [Errno; 3] = [Errno::NOTCONN, Errno::CONNABORTED, Errno::STALE];

    /// `statfs` is not cached by the kernel, as `stat` is.
    pub(super) fn ask(point: &Path) -> Result<(), Errno> {
        rustix::fs::statfs(point).map(drop)
    }

    pub(super) fn how_to_detach(entry: &MountEntry) -> Detach {
        // By NFS, programs wait for an answer from the dead until they are told that none comes.
        match entry.is_our_export() {
            true => Detach::ByForce,
            false => Detach::Lazily,
        }
    }

    pub(super) fn port_of(export: &MountEntry) -> Option<u16> {
        export.super_option("port")?.to_str()?.parse().ok()
    }
}

#[cfg(target_os = "macos")]
mod system {
    use std::process::Command;

    use super::{Detach, Errno, MountEntry, PATIENCE, Path, port_told};

    /// What a mount without a daemon answers. Stale is one by NFS whose port another export has now.
    pub(super) const OF_THE_DEAD: [Errno; 3] = [Errno::NXIO, Errno::NOTCONN, Errno::STALE];

    /// A look-up, not `statfs`: macFUSE answers that by itself where the daemon is gone, so that the mount can be taken away.
    pub(super) fn ask(point: &Path) -> Result<(), Errno> {
        let name = point.join(crate::mount::NOTE_NAME);
        rustix::fs::lstat(name).map(drop)
    }

    pub(super) fn how_to_detach(_: &MountEntry) -> Detach {
        Detach::ByForce
    }

    pub(super) fn port_of(export: &MountEntry) -> Option<u16> {
        let mut nfsstat = Command::new("nfsstat");
        let asked = nfsstat.arg("-m").arg(&export.mount_point);
        port_told(&crate::helper::said(asked, PATIENCE).ok()?)
    }
}

/// The port of an export, as `nfsstat -m MOUNT-POINT` of macOS says what it was mounted with:
/// `… NFS parameters: tcp,port=53771,…`.
#[cfg(any(target_os = "macos", test))]
fn port_told(said: &str) -> Option<u16> {
    said.lines()
        .filter_map(|line| line.trim().strip_prefix("NFS parameters:"))
        .flat_map(|parameters| parameters.split(','))
        .find_map(|parameter| parameter.trim().strip_prefix("port=")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_ours_and_has_no_daemon_is_taken_away() {
        for (what, pulse, expected) in [
            (Clear::Dead, Pulse::Dead, Verdict::TakeAway),
            (Clear::Dead, Pulse::Silent, Verdict::NotAnswering),
            (Clear::Silent, Pulse::Silent, Verdict::TakeAway),
            (Clear::Silent, Pulse::Alive, Verdict::AlreadyMounted),
        ] {
            assert_eq!(
                verdict(true, what, || pulse),
                expected,
                "{what:?} {pulse:?}"
            );
        }
        let others = verdict(false, Clear::Silent, || {
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
