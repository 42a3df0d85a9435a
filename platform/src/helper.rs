//! Programs of the system that are run for a moment: `fusermount3`, `umount`, `systemctl`, `launchctl`.

use std::io;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Runs a program to its end, for no longer than `patience`. What it says where it fails is the error.
pub(crate) fn run(command: &mut Command, patience: Duration) -> io::Result<()> {
    ended(command.stdout(Stdio::null()), patience).map(drop)
}

fn ended(command: &mut Command, patience: Duration) -> io::Result<Output> {
    let mut child = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let deadline = Instant::now() + patience;
    loop {
        if child.try_wait()?.is_some() {
            let output = child.wait_with_output()?;
            return match output.status.success() {
                true => Ok(output),
                false => Err(told(&output.stderr)),
            };
        }
        if Instant::now() > deadline {
            // Whether a set-uid program can be killed is not ours to say; it is left behind either way.
            let _ = child.kill();
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs a program as [`run`] does, and gives what it prints: no more than a pipe holds (64 KiB), or it does not end in time.
#[cfg(target_os = "macos")]
pub(crate) fn said(command: &mut Command, patience: Duration) -> io::Result<String> {
    let output = ended(command.stdout(Stdio::piped()), patience)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The words of a program as an error.
pub(crate) fn told(stderr: &[u8]) -> io::Error {
    let text = String::from_utf8_lossy(stderr);
    let kind = if text.contains("busy") {
        io::ErrorKind::ResourceBusy
    } else {
        io::ErrorKind::Other
    };
    io::Error::new(kind, text.trim().to_owned())
}
