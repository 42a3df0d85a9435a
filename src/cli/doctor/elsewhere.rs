//! What the drive needs of systems other than Linux: what can be told without trying to mount.

use super::Finding;

pub(super) fn findings() -> Vec<Finding> {
    let system = format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH);
    vec![Finding::ok("system", system)]
}
