//! What goes on when the daemon dies: in which mode this drive is, and who starts the daemon again.

use super::Finding;
use crate::cli::supervise::Supervision;
use crate::control::methods::MountStatus;

/// What survives `kill -9` of the daemon in the mode of this mount.
pub(super) fn of_mount(mount: &MountStatus) -> Finding {
    const CHECK: &str = "survives";
    if mount.passthrough {
        Finding::ok(
            CHECK,
            "should the daemon die, sounds that programs have open are read on, but not what is silence or still on its way",
        )
    } else {
        Finding::warn(
            CHECK,
            "should the daemon die, of sounds that programs have open only what is in memory is read on, and one that is mapped into memory ends its program (SIGBUS)",
            "with passthrough they would be read on",
        )
    }
}

/// Who starts the daemon again; nothing if none runs, and none gave up.
pub(super) fn supervisor(supervision: Supervision, runs: bool) -> Option<Finding> {
    const CHECK: &str = "supervisor";
    let line = supervision.line();
    match (supervision, line) {
        (Supervision::Alive { .. }, Some(line)) => Some(Finding::ok(CHECK, line)),
        (Supervision::Ended, Some(line)) => {
            Some(Finding::warn(CHECK, line, "`mediafs mount --background`"))
        }
        (_, Some(line)) => Some(Finding::fail(
            CHECK,
            line,
            "then `mediafs mount --background`",
        )),
        (_, None) => runs.then(|| {
            Finding::ok(
                CHECK,
                "none: mounted in the foreground, so whoever started it starts it again",
            )
        }),
    }
}
