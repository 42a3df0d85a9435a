//! Registers files for passthrough, for a mediafs daemon without privileges. It is started by the daemon, never by hand;
//! what it does and refuses is told in `mediafs_platform::passthrough`.
//!
//! To install: `install -o root -g root -m 755 mediafs-passthrough /usr/lib/mediafs/` and
//! `setcap cap_sys_admin+ep /usr/lib/mediafs/mediafs-passthrough`.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    match mediafs_platform::passthrough::run() {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody reads what it says when the daemon has started it; somebody who tries it by hand does.
        Err(error) => {
            eprintln!("mediafs-passthrough: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("mediafs-passthrough: there is no passthrough on this system");
    ExitCode::FAILURE
}
