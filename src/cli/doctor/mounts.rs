//! Drives of ours whose daemon is gone or does not answer. On Windows a drive goes with its daemon.

use mediafs_platform::mount::lives;
use mediafs_platform::volume::MountTable;

use super::Finding;

/// One for each of them.
pub(super) fn findings() -> Vec<Finding> {
    let table = match MountTable::read() {
        Ok(table) => table,
        Err(error) => {
            return vec![Finding::fail(
                "mounts",
                format!("the mount table cannot be read: {error}"),
                if cfg!(target_os = "linux") {
                    "is /proc mounted?"
                } else {
                    "try again"
                },
            )];
        }
    };
    let ours = table.entries().iter().filter(|entry| entry.is_our_drive());
    ours.filter_map(|entry| {
        let point = entry.mount_point.clone();
        let remedy = format!("`mediafs unmount {}` takes it away", point.display());
        let how = match lives(entry) {
            Some(true) => return None,
            Some(false) => "has lost its daemon",
            None => "does not answer",
        };
        let problem = format!("the drive at {} {how}", point.display());
        Some(Finding::fail("mounts", problem, remedy))
    })
    .collect()
}
