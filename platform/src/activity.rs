//! What disks have done, as the system counts it. Touches no disk.

use std::path::Path;

/// Reads and writes that the disk behind a device (`/dev/sdb1`) has done; `None` where it is no disk of this computer, and
/// on systems other than Linux, which are not asked.
#[must_use]
pub fn of_device(device: &Path) -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        if !device.starts_with("/dev") {
            return None;
        }
        let number = rustix::fs::stat(device).ok()?.st_rdev;
        let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
        let counters =
            std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?;
        let counters: Vec<u64> = counters
            .split_whitespace()
            .filter_map(|counter| counter.parse().ok())
            .collect();
        Some(counters.first()?.wrapping_add(*counters.get(4)?))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = device;
        None
    }
}
