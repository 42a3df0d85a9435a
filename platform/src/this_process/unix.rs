//! Linux and macOS.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal as Number};
use tokio::signal::unix::{Signal, SignalKind, signal};

pub(super) fn user() -> (u32, u32) {
    (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    )
}

pub(super) fn requester() -> u32 {
    #[cfg(target_os = "linux")]
    return rustix::thread::gettid().as_raw_pid().cast_unsigned();
    #[cfg(not(target_os = "linux"))]
    std::process::id()
}

pub(super) fn set_name(name: &std::ffi::CStr) {
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::set_name(name);
    #[cfg(not(target_os = "linux"))]
    let _ = name;
}

#[cfg(target_os = "linux")]
pub(super) fn lower_priority() -> io::Result<()> {
    let thread = rustix::thread::gettid();
    Ok(rustix::process::setpriority_process(Some(thread), 15)?)
}

/// As macOS has it for work that somebody waits for, but not at this moment; anything less slows down disks as well.
#[cfg(target_os = "macos")]
pub(super) fn lower_priority() -> io::Result<()> {
    // SAFETY: takes numbers only.
    match unsafe { libc::pthread_set_qos_class_self_np(libc::qos_class_t::QOS_CLASS_UTILITY, 0) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

pub(super) fn leave_terminal() {
    // Fails only if that is so already.
    let _ = rustix::process::setsid();
}

pub(super) fn silence_output() -> io::Result<()> {
    let nowhere = std::fs::File::options().write(true).open("/dev/null")?;
    Ok(rustix::stdio::dup2_stdout(nowhere)?)
}

pub(super) fn output_is_lost() -> bool {
    let stdout = io::stdout();
    let mut state = [PollFd::new(&stdout, PollFlags::empty())];
    let at_once = rustix::event::Timespec::default();
    let asked = poll(&mut state, Some(&at_once));
    let gone = PollFlags::ERR | PollFlags::HUP;
    asked.is_ok() && state.iter().any(|state| state.revents().intersects(gone))
}

pub(super) fn give_way_to(mut command: Command) -> io::Error {
    command.exec()
}

pub(super) fn program() -> io::Result<PathBuf> {
    #[cfg(target_os = "linux")]
    return Ok("/proc/self/exe".into());
    #[cfg(not(target_os = "linux"))]
    std::env::current_exe()
}

pub(super) fn begin(program: &Path, name: &str) -> Command {
    let mut command = Command::new(program);
    command.arg0(name).current_dir("/");
    command
}

pub(super) fn ask_to_end(process: u32) -> io::Result<()> {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    let process = process.ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::kill_process(process, Number::TERM)?)
}

pub(super) fn was_killed(ended: ExitStatus) -> bool {
    ended.signal().is_some()
}

#[derive(Debug)]
pub(super) struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl EndSignals {
    pub(super) fn listen(hangup: bool) -> io::Result<Self> {
        let hangup = hangup.then(|| signal(SignalKind::hangup()));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: hangup.transpose()?,
        })
    }

    pub(super) async fn next(&mut self) -> &'static str {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            _ = hangup => "SIGHUP",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn who_is_asked_to_end_hears_it() {
        let mut signals = EndSignals::listen(false).unwrap();
        ask_to_end(std::process::id()).unwrap();
        assert_eq!(signals.next().await, "SIGTERM");
    }
}
