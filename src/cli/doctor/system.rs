//! What the drive needs of the system.

use std::path::PathBuf;

use super::{Finding, State, helper};

/// Fewer open files are soon used up by a sampler.
const FEW_FILES: u64 = 4096;

/// Fewer watches do not last for a large library.
const FEW_WATCHES: u64 = 65_536;

/// The first kernel with passthrough.
const PASSTHROUGH_KERNEL: (u32, u32) = (6, 9);

/// `CAP_SYS_ADMIN` in masks of capabilities.
pub(super) const CAP_SYS_ADMIN: u32 = 21;

pub(super) fn findings() -> Vec<Finding> {
    let root = rustix::process::geteuid().is_root();
    let mut findings = vec![fuse_device(root), fusermount(root)];
    findings.extend(kernel());
    findings.push(helper::request_timeouts());
    findings.push(open_files());
    findings.extend(watches());
    findings
}

fn fuse_device(root: bool) -> Finding {
    let opened = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/fuse");
    match opened {
        Ok(_) => Finding::ok("fuse", "/dev/fuse is there"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Finding::fail(
            "fuse",
            "this system has no /dev/fuse",
            "load it with `modprobe fuse`; in a container it has to be passed in",
        ),
        // fusermount3 opens it with the rights of its user.
        Err(_) if !root => Finding::fail(
            "fuse",
            "this user may not open /dev/fuse",
            "most systems let everybody: `sudo chmod 666 /dev/fuse`",
        ),
        Err(error) => Finding::fail(
            "fuse",
            format!("/dev/fuse cannot be opened: {error}"),
            "in a container it has to be permitted",
        ),
    }
}

fn fusermount(root: bool) -> Finding {
    use std::os::unix::fs::MetadataExt as _;
    const SET_UID: u32 = 0o4000;
    match in_path("fusermount3") {
        Some(path) => {
            let set_uid = std::fs::metadata(&path)
                .is_ok_and(|found| found.mode() & SET_UID != 0 && found.uid() == 0);
            if set_uid || root {
                Finding::ok("fusermount3", path.display().to_string())
            } else {
                Finding::fail(
                    "fusermount3",
                    format!("{} may not mount", path.display()),
                    "install the package fuse3 again: it has to be set-uid root",
                )
            }
        }
        None if root => Finding::warn(
            "fusermount3",
            "not installed; root can do without",
            "other users need the package fuse3",
        ),
        None => Finding::fail("fusermount3", "not installed", "install the package fuse3"),
    }
}

fn in_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

fn kernel() -> Vec<Finding> {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    let mut findings = vec![Finding::ok("kernel", format!("Linux {release}"))];
    if let Some(version) = version(&release)
        && version < PASSTHROUGH_KERNEL
    {
        findings.push(Finding::warn(
            "passthrough",
            "this kernel has none, so reads go through the daemon",
            "Linux 6.9 or later has it",
        ));
        return findings;
    }
    let privileged = may_pass_through();
    let helper = helper::helper(privileged);
    findings.push(if privileged {
        Finding::ok("passthrough", "possible")
    } else if helper.state == State::Ok {
        Finding::ok("passthrough", "possible for your own files, by the helper")
    } else {
        Finding::warn(
            "passthrough",
            "not permitted to this user, so reads go through the page cache and end with the daemon",
            "install the helper, or mount as root",
        )
    });
    findings.push(helper);
    findings
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn may_pass_through() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    capable(&status)
}

fn capable(status: &str) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> CAP_SYS_ADMIN & 1 == 1)
}

fn open_files() -> Finding {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    match limit.maximum {
        Some(most) if most < FEW_FILES => Finding::warn(
            "open files",
            format!("at most {most} may be open at a time"),
            "raise the limit `nofile` in /etc/security/limits.conf",
        ),
        Some(most) => Finding::ok("open files", format!("up to {most}")),
        None => Finding::ok("open files", "no limit"),
    }
}

fn watches() -> Option<Finding> {
    let text = std::fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").ok()?;
    let most: u64 = text.trim().parse().ok()?;
    Some(if most < FEW_WATCHES {
        Finding::warn(
            "watches",
            format!("at most {most} folders can be watched"),
            "raise it with `sudo sysctl fs.inotify.max_user_watches=524288`",
        )
    } else {
        Finding::ok("watches", format!("up to {most} folders"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_versions_are_read() {
        assert_eq!(version("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(version("6.9"), Some((6, 9)));
        assert_eq!(version("5.15.0-generic"), Some((5, 15)));
        assert_eq!(version("Linux"), None);
        assert!(version("6.10.1") > Some(PASSTHROUGH_KERNEL));
    }

    #[test]
    fn capabilities_are_read() {
        assert!(capable("Name:\tx\nCapEff:\t000001ffffffffff\n"));
        assert!(!capable("CapEff:\t0000000000000000\n"));
        assert!(!capable("CapPrm:\t000001ffffffffff\n"));
        assert!(!capable("CapEff:\tnonsense\n"));
    }
}
