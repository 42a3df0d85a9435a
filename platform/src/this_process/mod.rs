//! This process itself: who it works for, how it is told to end, where its output goes, how it starts itself once more.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

/// The user that this process works for: the numbers of user and group, both 0 on Windows, which has no such numbers.
#[must_use]
pub fn user() -> (u32, u32) {
    system::user()
}

/// The number by which a request of the calling thread is known, see [`process`](crate::process): that of the thread on
/// Linux, of the process elsewhere.
#[must_use]
pub fn requester() -> u32 {
    system::requester()
}

/// Gives this process a name in lists of processes, where it would have one that says nothing (Linux).
pub fn set_name(name: &std::ffi::CStr) {
    system::set_name(name);
}

/// Lets the calling thread run only where nobody else wants the processor.
///
/// # Errors
/// What the system says; the thread does its work all the same.
pub fn lower_priority() -> io::Result<()> {
    system::lower_priority()
}

/// Leaves the session of the terminal, so that its end is not ours. On Windows a process is started so, see [`begin`].
pub fn leave_terminal() {
    system::leave_terminal();
}

/// The standard output goes nowhere from now on; whoever reads it sees its end.
///
/// # Errors
/// What the system says.
pub fn silence_output() -> io::Result<()> {
    system::silence_output()
}

/// Nobody can read the standard output any more. Who only writes now and then would not notice.
#[must_use]
pub fn output_is_lost() -> bool {
    system::output_is_lost()
}

/// Runs another program in the place of this one: on Windows as a child, with whose status this process ends. Returns only
/// if that can't be done.
#[must_use]
pub fn give_way_to(command: Command) -> io::Error {
    system::give_way_to(command)
}

/// The program of this process. On Linux not by its path: another version may have been installed there meanwhile.
///
/// # Errors
/// When the system does not tell.
pub fn program() -> io::Result<PathBuf> {
    system::program()
}

/// Closes the console window that was opened for this process alone, as where it was not started from one; on Windows only. Who
/// has started it with pipes still hears from it.
pub fn leave_own_console() {
    #[cfg(windows)]
    system::leave_own_console();
}

/// A process of a program that has nothing to do with our terminal or our folder. `name` is what it is called in lists of
/// processes, where the system lets us say.
#[must_use]
pub fn begin(program: &Path, name: &str) -> Command {
    system::begin(program, name)
}

/// Asks the process of this number, which [`begin`] has begun, to end.
///
/// # Errors
/// What the system says. On Windows `Unsupported`: there is nobody to ask, as such a process has no console.
pub fn ask_to_end(process: u32) -> io::Result<()> {
    system::ask_to_end(process)
}

/// Was it ended from outside or by a fault, not by itself? On Windows by a fault: who is ended by another program there has
/// whatever status that one gave.
#[must_use]
pub fn was_killed(ended: ExitStatus) -> bool {
    system::was_killed(ended)
}

/// The ways in which this process is told to end: signals on Unix; Ctrl+C, Ctrl+Break, a closed console, the end of the
/// session on Windows.
#[derive(Debug)]
pub struct EndSignals(system::EndSignals);

impl EndSignals {
    /// Begins to listen; from now on they do not end the process by themselves. To be called within a tokio runtime. `hangup`:
    /// the end of the terminal is one as well.
    ///
    /// # Errors
    /// What the system says.
    pub fn listen(hangup: bool) -> io::Result<Self> {
        system::EndSignals::listen(hangup).map(Self)
    }

    /// The next one, by its name.
    pub async fn next(&mut self) -> &'static str {
        self.0.next().await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn this_program_can_be_started_once_more() {
        let program = program().unwrap();
        let listed = begin(&program, "mediafs-test")
            .args(["this_process", "--list"])
            .output()
            .unwrap();
        assert!(listed.status.success() && !was_killed(listed.status));
        let text = String::from_utf8_lossy(&listed.stdout);
        assert!(
            text.contains("this_program_can_be_started_once_more"),
            "{text}"
        );
    }

    #[test]
    fn priority_can_be_lowered() {
        std::thread::spawn(|| lower_priority().unwrap())
            .join()
            .unwrap();
    }

    #[test]
    fn the_calling_thread_is_known_as_a_requester() {
        let process = crate::process::Process::of_thread(requester()).unwrap();
        assert_eq!(process.id.0, std::process::id());
    }

    /// Waits until its output is lost, having silenced it if asked to. Runs only as a child of the tests below.
    #[test]
    #[ignore = "a part of other tests"]
    fn child_with_an_output() {
        let Some(part) = std::env::var_os(PART) else {
            return;
        };
        if part == "begins" {
            // As the drive is begun in the background: with streams of its own.
            let mut command = child("lives");
            command.stdout(std::process::Stdio::null());
            let lives = command.spawn().unwrap();
            println!("it lives: {}", lives.id());
            std::process::exit(7);
        }
        if part == "lives" {
            std::thread::sleep(std::time::Duration::from_secs(20));
            std::process::exit(7);
        }
        if part == "silent" {
            silence_output().unwrap();
            println!("nobody reads this");
            // Under Wine the output is kept open by its side of Unix, so that its end can't be waited for.
            if cfg!(unix) {
                std::thread::sleep(std::time::Duration::from_secs(20));
            }
            std::process::exit(7);
        }
        let since = std::time::Instant::now();
        while !output_is_lost() {
            if since.elapsed().as_secs() > 20 {
                std::process::exit(9);
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        std::process::exit(7);
    }

    const PART: &str = "MEDIAFS_TEST_PART";

    fn child(part: &str) -> Command {
        let mut command = begin(&program().unwrap(), "mediafs-test");
        command
            .args(["--ignored", "--exact", "--nocapture", "--test-threads=1"])
            .arg("this_process::tests::child_with_an_output")
            .env(PART, part)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null());
        command
    }

    #[test]
    fn a_reader_that_left_is_noticed() {
        let mut child = child("waits").spawn().unwrap();
        // Until it is there.
        let mut output = child.stdout.take().unwrap();
        let mut first = [0];
        std::io::Read::read_exact(&mut output, &mut first).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert!(child.try_wait().unwrap().is_none(), "it is read still");
        drop(output);
        assert_eq!(child.wait().unwrap().code(), Some(7));
    }

    #[test]
    fn a_silenced_output_has_come_to_its_end() {
        let mut child = child("silent").spawn().unwrap();
        let mut text = String::new();
        let mut output = child.stdout.take().unwrap();
        std::io::Read::read_to_string(&mut output, &mut text).unwrap();
        assert!(!text.contains("nobody reads this"), "{text}");
        if cfg!(unix) {
            assert!(child.try_wait().unwrap().is_none(), "it lives on");
            child.kill().unwrap();
            assert!(was_killed(child.wait().unwrap()));
        } else {
            assert_eq!(child.wait().unwrap().code(), Some(7));
        }
    }

    /// As a program that starts the drive reads what `mediafs ensure` says, and waits for the end of that.
    #[test]
    fn what_this_process_says_ends_with_it_though_what_it_began_lives_on() {
        use crate::process::{Process, ProcessId};
        // Not by `begin`: this is somebody else's program.
        let mut command = Command::new(program().unwrap());
        command
            .args(["--ignored", "--exact", "--nocapture", "--test-threads=1"])
            .arg("this_process::tests::child_with_an_output")
            .env(PART, "begins");
        let since = std::time::Instant::now();
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(7), "{output:?}");
        let text = String::from_utf8_lossy(&output.stdout);
        let number = text.split("it lives: ").nth(1).unwrap().trim();
        let lives = ProcessId(number.parse().unwrap());
        assert!(Process::of(lives).is_some(), "it lives on");
        assert!(since.elapsed().as_secs() < 15, "{:?}", since.elapsed());
    }
}
