//! What the drive needs of systems other than Linux: what can be told without trying to mount.

use mediafs_platform::mount;

use super::Finding;

pub(super) fn findings() -> Vec<Finding> {
    let system = format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH);
    let transport = match mount::check() {
        Ok(present) => match present.flaw {
            None => Finding::ok("transport", present.message),
            Some(flaw) => {
                let message = format!("{}; {}", present.message, flaw.message);
                Finding::warn("transport", message, flaw.remedy)
            }
        },
        Err(lacking) => Finding::fail("transport", lacking.message, lacking.remedy),
    };
    vec![Finding::ok("system", system), transport]
}
