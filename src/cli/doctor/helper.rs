//! What the kernel of Linux gives drives for the time when their daemon is dead or slow: passthrough, had without root by a
//! helper, and its patience.

use std::path::{Path, PathBuf};

use mediafs_platform::limits::request_timeout;
use mediafs_platform::passthrough::{PROGRAM, find};

use super::Finding;
use crate::cli::output::plain;

/// Where the helper is installed by `scripts/quickstart`, or by a package.
const PLACES: [&str; 2] = ["/usr/lib/mediafs", "/usr/local/lib/mediafs"];

/// How the helper is had.
const INSTALL: &str = "`scripts/quickstart --passthrough-helper` installs it";

/// The attribute in which Linux keeps the capabilities of a file.
const CAPABILITIES: &str = "security.capability";

/// The helper `mediafs-passthrough`, for a user without `CAP_SYS_ADMIN`.
pub(super) fn helper(privileged: bool) -> Finding {
    const CHECK: &str = "helper";
    match find() {
        Some(program) => {
            let shown = plain(&program.display().to_string());
            if has_capability(&program) {
                Finding::ok(CHECK, shown)
            } else if privileged {
                Finding::ok(
                    CHECK,
                    format!("{shown}, without its capability; not needed by root"),
                )
            } else {
                Finding::warn(
                    CHECK,
                    format!("{shown} does not have its capability, so it cannot help"),
                    format!("give it that: `sudo setcap cap_sys_admin+ep {shown}`"),
                )
            }
        }
        None => match unfit() {
            Some(program) if !privileged => Finding::warn(
                CHECK,
                format!(
                    "{} is not used: it has to belong to root, and be writable by root alone",
                    plain(&program.display().to_string())
                ),
                INSTALL,
            ),
            _ if privileged => Finding::ok(CHECK, "not installed; not needed by root"),
            _ => Finding::warn(
                CHECK,
                format!("{PROGRAM} is not installed, so there is no passthrough without root"),
                INSTALL,
            ),
        },
    }
}

/// A helper that is there, but is not one to be trusted.
fn unfit() -> Option<PathBuf> {
    let here = std::env::current_exe().ok();
    let beside = here.as_deref().and_then(Path::parent).map(Path::to_owned);
    beside
        .into_iter()
        .chain(PLACES.map(PathBuf::from))
        .map(|folder| folder.join(PROGRAM))
        .find(|program| std::fs::symlink_metadata(program).is_ok())
}

fn has_capability(program: &Path) -> bool {
    let mut value = [0; 64];
    rustix::fs::getxattr(program, CAPABILITIES, &mut value)
        .is_ok_and(|length| value.get(..length).is_some_and(holds_sys_admin))
}

/// Does the attribute's value (capabilities(7), "File capability extended attribute versioning") give `CAP_SYS_ADMIN`, in
/// effect at once?
fn holds_sys_admin(value: &[u8]) -> bool {
    const EFFECTIVE: u32 = 1;
    let word = |number: usize| {
        let bytes = value.get(number * 4..number * 4 + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    match (word(0), word(1)) {
        (Some(magic), Some(permitted)) => {
            magic & EFFECTIVE != 0 && permitted >> super::system::CAP_SYS_ADMIN & 1 == 1
        }
        _ => false,
    }
}

/// The kernel's own deadline for requests, past which it takes the whole mount away.
pub(super) fn request_timeouts() -> Finding {
    const CHECK: &str = "timeouts";
    match request_timeout() {
        None => Finding::ok(CHECK, "the kernel waits for the drive without an end"),
        Some(timeout) => Finding::ok(
            CHECK,
            format!(
                "the kernel takes a drive away that does not answer within {} s; nobody is kept waiting for more than half of that",
                timeout.as_secs()
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_capabilities_are_read() {
        // As `setcap cap_sys_admin+ep` writes them.
        let mut value = [0_u8; 20];
        value[..4].copy_from_slice(&0x0200_0001_u32.to_le_bytes());
        value[4..8].copy_from_slice(&(1_u32 << 21).to_le_bytes());
        assert!(holds_sys_admin(&value));
        // Permitted, but not in effect: the helper does not ask for it.
        value[0] = 0;
        assert!(!holds_sys_admin(&value));
        value[0] = 1;
        value[4..8].copy_from_slice(&(1_u32 << 12).to_le_bytes());
        assert!(!holds_sys_admin(&value), "another capability");
        assert!(!holds_sys_admin(&value[..3]));
        assert!(!holds_sys_admin(&[]));
    }
}
