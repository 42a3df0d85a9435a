//! The system's own NFS client: whether there is one, and the export mounted by it.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{Command, Output};

use super::super::attach::{Detach, detach};
use super::NfsExport;

/// What is said where the system has no client.
const NO_CLIENT: &str = "this system has no NFS client";

/// Whether a client is there: macOS has one, Linux where its kernel has it and `mount.nfs` is installed.
pub(super) fn has_client() -> bool {
    if cfg!(target_os = "macos") {
        return true;
    }
    let is_known = std::fs::read_to_string("/proc/filesystems")
        .is_ok_and(|known| known.lines().any(|line| line.trim_end().ends_with("\tnfs")));
    let helpers = ["/sbin/mount.nfs", "/usr/sbin/mount.nfs"];
    is_known && helpers.iter().any(|helper| Path::new(helper).exists())
}

/// What the mount table calls an export.
pub(super) fn source(export: &NfsExport) -> String {
    format!("127.0.0.1:{}", export.path())
}

/// Whether this user may have it mount: on macOS everybody may, where the folder is theirs.
pub(super) fn may_mount() -> bool {
    cfg!(target_os = "macos") || rustix::process::geteuid().is_root()
}

/// The words of the call that mounts an export at `point`.
///
/// `soft`, and not tried again, so that a daemon that has died gives errors and holds nobody for longer than one that lives may
/// take to answer, which is a minute, and on macOS half of one, whatever is asked for; names and attributes are kept for a second, as nobody tells the client that they have
/// changed, and on Linux never that there is no such name; no locks, as the export has none. On Linux `sync` as well: what is
/// written is on the disk before the answer anyhow, and so each write has its own error, a full disk's say, where programs look
/// for it, which is not at the end. On macOS
/// `dumbtimer`, without which a soft mount goes by how fast answers came so far, and gives up after a second or ten; longer
/// reads and writes than its 32 KiB; `locallocks`: with `nolocks` `flock` fails, with this it is the client's own; and
/// `deadtimeout`, after which what does not answer is unmounted.
fn words(export: &NfsExport, point: &Path) -> (&'static str, Vec<OsString>) {
    let port = export.port();
    let source = source(export);
    let common = format!("port={port},mountport={port},tcp,soft,actimeo=1,nosuid,nodev,noexec");
    let (program, options) = if cfg!(target_os = "macos") {
        (
            "/sbin/mount_nfs",
            format!(
                "{common},vers=3,locallocks,deadtimeout=60,noresvport,intr,dumbtimer,timeo=650,retrans=2,rsize=1048576,wsize=1048576,nonegnamecache"
            ),
        )
    } else {
        (
            "mount",
            format!(
                "{common},nfsvers=3,mountproto=tcp,nolock,timeo=650,retrans=0,lookupcache=pos,sync"
            ),
        )
    };
    let mut words: Vec<OsString> = Vec::new();
    if !cfg!(target_os = "macos") {
        words.extend(["-t".into(), "nfs".into()]);
    }
    words.extend(["-o".into(), options.into(), source.into(), point.into()]);
    (program, words)
}

/// Mounts it.
pub(super) fn mount(export: &NfsExport, point: &Path) -> io::Result<()> {
    if !has_client() {
        return Err(io::Error::new(io::ErrorKind::Unsupported, NO_CLIENT));
    }
    let (program, words) = words(export, point);
    succeeded(Command::new(program).args(words).output()?)
}

/// Takes it away; by force where programs have files open, which get errors then.
///
/// On Linux without `umount`, whose helper asks the server first, and without end where that answers nobody.
pub(super) fn unmount(point: &Path, by_force: bool) -> io::Result<()> {
    let how = match by_force {
        true => Detach::ByForce,
        false => Detach::IfUnused,
    };
    detach(point, how)
}

fn succeeded(output: Output) -> io::Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(said.trim().replace('\n', "; ")))
}
