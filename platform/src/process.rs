//! Who asks: from the number of a thread, as the kernel gives it with a request, to the process behind it.
//!
//! Facts come from `/proc` (format: proc(5)) and may be gone, or belong to another process, at any moment;
//! what can't be read is unknown, never an error. A process is named by its number *and* its start, as numbers
//! are used again; and a program that starts another in its place (`exec`) is somebody else under the same
//! number. Outside Linux everything is unknown for now.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

/// The number of a process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct ProcessId(pub u32);

/// When a process started, in clock ticks since the machine did. With the number it is the process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct StartTime(pub u64);

/// What is known of a process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Process {
    /// Its number in the daemon's pid namespace.
    pub id: ProcessId,
    /// When it started.
    pub started: StartTime,
    /// The process that started it, or adopted it; `None` for the first one.
    pub parent: Option<ProcessId>,
    /// What it calls itself: at most 15 bytes, the file name of the program unless it was changed.
    pub name: OsString,
    /// The program; `None` where it can't be read, as for programs with file capabilities or of other users.
    pub executable: Option<PathBuf>,
    /// The command line, at most its first 64 words within its first 64 KiB; empty where it can't be read.
    pub arguments: Vec<OsString>,
}

impl Process {
    /// The process of this number now.
    #[must_use]
    pub fn of(id: ProcessId) -> Option<Self> {
        system::process(id)
    }

    /// The process that a thread belongs to now.
    #[must_use]
    pub fn of_thread(thread: u32) -> Option<Self> {
        system::process(system::process_of_thread(thread)?)
    }

    /// Its parent, the parent of that, and so on: at most 64, each started no later than the one before.
    #[must_use]
    pub fn ancestors(&self) -> Ancestors {
        Ancestors {
            next: self.parent,
            youngest: self.started,
            left: MOST_ANCESTORS,
        }
    }

    /// Does it still run, and is it still the same?
    #[must_use]
    pub fn is_running(&self) -> bool {
        Self::of(self.id).is_some_and(|now| now.started == self.started)
    }
}

const MOST_ANCESTORS: usize = 64;

/// The ancestors of a process, nearest first.
#[derive(Clone, Debug)]
pub struct Ancestors {
    next: Option<ProcessId>,
    youngest: StartTime,
    left: usize,
}

impl Iterator for Ancestors {
    type Item = Process;

    fn next(&mut self) -> Option<Process> {
        self.left = self.left.checked_sub(1)?;
        let process = Process::of(self.next.take()?)?;
        // A parent that is younger than its child is another process under a number used again.
        if process.started > self.youngest {
            return None;
        }
        self.youngest = process.started;
        self.next = process.parent.filter(|parent| *parent != process.id);
        Some(process)
    }
}

/// Is this thread dying, or asked to: is it gone, or does a signal wait for it that ends programs (INT, TERM, HUP,
/// QUIT, KILL) and is neither blocked nor ignored? Such a thread is to be answered, not kept waiting.
#[must_use]
pub fn is_dying(thread: u32) -> bool {
    system::is_dying(thread)
}

/// Is this thread, which waits until it is told that a file is closed, closing it because a signal ends its program?
///
/// Asked before it is answered, as it may be gone right after. A program that ends closes its files when its memory is
/// gone. By then the signal that ended it is pending no more, and what the system notes of a single thread misleads: where
/// a program of several threads ends by itself, all but one are ended by a signal. The status with which the program ends
/// tells. It is in `/proc/TID/stat`, which must not be read while a program starts another in its place, as reading waits
/// for that, and that for the answer; such a program has memory, so it is not read of one that has.
///
/// A program whose privileges are hidden from this one (it has file capabilities, say) seems to end by itself.
#[must_use]
pub fn is_being_killed(thread: u32) -> bool {
    system::is_being_killed(thread)
}

/// Remembers processes by thread, so that a request costs one small read of `/proc` instead of four.
pub struct Processes {
    known: parking_lot::Mutex<lru::LruCache<u32, Known>>,
}

#[derive(Clone)]
struct Known {
    process: Arc<Process>,
    stamp: system::Stamp,
}

impl Processes {
    /// Remembers at most 512 threads.
    #[must_use]
    pub fn new() -> Self {
        const MOST: std::num::NonZeroUsize = std::num::NonZeroUsize::new(512).unwrap();
        Self {
            known: parking_lot::Mutex::new(lru::LruCache::new(MOST)),
        }
    }

    /// The process behind a thread. `None` if the thread is not visible here, or gone.
    #[must_use]
    pub fn of_thread(&self, thread: Option<u32>) -> Option<Arc<Process>> {
        let thread = thread.filter(|thread| *thread != 0)?;
        let known = self.known.lock().get(&thread).cloned();
        if let Some(known) = known
            && system::stamp(known.process.id, thread).as_ref() == Some(&known.stamp)
        {
            return Some(known.process);
        }
        // A program may start another in its place between two reads; then the stamps before and after differ.
        for _ in 0..3 {
            let id = system::process_of_thread(thread)?;
            let stamp = system::stamp(id, thread)?;
            let process = Arc::new(system::process(id)?);
            if system::stamp(id, thread).as_ref() == Some(&stamp) {
                self.known.lock().put(
                    thread,
                    Known {
                        process: Arc::clone(&process),
                        stamp,
                    },
                );
                return Some(process);
            }
        }
        None
    }
}

impl Default for Processes {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Processes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Processes")
            .field("known", &self.known.lock().len())
            .finish()
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::ffi::{OsStr, OsString};
    use std::fs::File;
    use std::io::Read;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::path::PathBuf;

    use super::{Process, ProcessId, StartTime};

    /// The most that is read of any file of `/proc`.
    const MOST: u64 = 64 * 1024;
    /// Words of a command line that are kept: processes are remembered, and some are given thousands of files.
    const MOST_ARGUMENTS: usize = 64;

    /// What changes when a thread ends and its number is used again, or when its program is replaced.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub(super) struct Stamp {
        name: Vec<u8>,
        started: u64,
        /// Where code and arguments lie; 0 where that is hidden.
        code: u64,
        arguments: u64,
    }

    #[cfg_attr(test, derive(Clone))]
    struct Stat {
        name: Vec<u8>,
        parent: u32,
        started: u64,
        code: u64,
        arguments: u64,
        /// As `wait` gives it; 0 while it runs, and where it is hidden.
        ends_with: u64,
    }

    impl Stat {
        fn ended_by_signal(&self) -> bool {
            self.ends_with & 0x7f != 0
        }
    }

    fn read(path: &str) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MOST).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// `PID (NAME) STATE PPID …`; the name may hold anything, so the last parenthesis ends it.
    fn parse_stat(text: &[u8]) -> Option<Stat> {
        let open = text.iter().position(|byte| *byte == b'(')?;
        let close = text.iter().rposition(|byte| *byte == b')')?;
        let name = text.get(open + 1..close)?.to_vec();
        let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // The first field here is number 3 of proc_pid_stat(5).
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Stat {
            name,
            parent: u32::try_from(field(4)?).ok()?,
            started: field(22)?,
            code: field(26).unwrap_or(0),
            arguments: field(48).unwrap_or(0),
            ends_with: field(52).unwrap_or(0),
        })
    }

    /// The value of a line `name:\tvalue` of a `status` file.
    fn status_value<'a>(status: &'a [u8], name: &str) -> Option<&'a str> {
        status.split(|byte| *byte == b'\n').find_map(|line| {
            let value = line.strip_prefix(name.as_bytes())?.strip_prefix(b":")?;
            std::str::from_utf8(value).ok().map(str::trim)
        })
    }

    pub(super) fn process_of_thread(thread: u32) -> Option<ProcessId> {
        let status = read(&format!("/proc/{thread}/status")).ok()?;
        status_value(&status, "Tgid")?.parse().ok().map(ProcessId)
    }

    pub(super) fn stamp(process: ProcessId, thread: u32) -> Option<Stamp> {
        // Only there while the thread belongs to that process.
        let stat = parse_stat(&read(&format!("/proc/{}/task/{thread}/stat", process.0)).ok()?)?;
        Some(Stamp {
            name: stat.name,
            started: stat.started,
            code: stat.code,
            arguments: stat.arguments,
        })
    }

    pub(super) fn process(id: ProcessId) -> Option<Process> {
        let stat = parse_stat(&read(&format!("/proc/{}/stat", id.0)).ok()?)?;
        let arguments = read(&format!("/proc/{}/cmdline", id.0)).unwrap_or_default();
        Some(Process {
            id,
            started: StartTime(stat.started),
            parent: (stat.parent != 0).then_some(ProcessId(stat.parent)),
            name: OsString::from_vec(stat.name),
            executable: executable(id),
            arguments: split_arguments(&arguments),
        })
    }

    fn executable(id: ProcessId) -> Option<PathBuf> {
        let link = std::fs::read_link(format!("/proc/{}/exe", id.0)).ok()?;
        // The program was replaced by an update while it runs.
        let bytes = link.as_os_str().as_bytes();
        let bytes = bytes.strip_suffix(b" (deleted)").unwrap_or(bytes);
        Some(PathBuf::from(OsStr::from_bytes(bytes)))
    }

    fn split_arguments(bytes: &[u8]) -> Vec<OsString> {
        let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
        if bytes.is_empty() {
            return Vec::new();
        }
        bytes
            .split(|byte| *byte == 0)
            .take(MOST_ARGUMENTS)
            .map(|part| OsString::from_vec(part.to_vec()))
            .collect()
    }

    pub(super) fn is_dying(thread: u32) -> bool {
        match read(&format!("/proc/{thread}/status")) {
            Ok(status) => wants_to_die(&status),
            Err(error) => is_gone(&error),
        }
    }

    pub(super) fn is_being_killed(thread: u32) -> bool {
        let status = match read(&format!("/proc/{thread}/status")) {
            Ok(status) => status,
            Err(error) => return is_gone(&error),
        };
        if status_value(&status, "VmSize").is_some() {
            return wants_to_die(&status);
        }
        match read(&format!("/proc/{thread}/stat")) {
            Ok(stat) => parse_stat(&stat).is_none_or(|stat| stat.ended_by_signal()),
            Err(error) => is_gone(&error),
        }
    }

    /// Went while we read. Anything else is no reason to believe that.
    fn is_gone(error: &std::io::Error) -> bool {
        error.kind() == std::io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
    }

    fn wants_to_die(status: &[u8]) -> bool {
        if status_value(status, "State").is_some_and(|state| state.starts_with(['Z', 'X', 'x'])) {
            return true;
        }
        let mask = |name| {
            status_value(status, name)
                .and_then(|text| u64::from_str_radix(text, 16).ok())
                .unwrap_or(0)
        };
        let deadly = [
            libc::SIGINT,
            libc::SIGTERM,
            libc::SIGHUP,
            libc::SIGQUIT,
            libc::SIGKILL,
        ]
        .iter()
        .fold(0_u64, |mask, signal| mask | 1 << (signal - 1));
        (mask("SigPnd") | mask("ShdPnd")) & !mask("SigBlk") & !mask("SigIgn") & deadly != 0
    }

    #[cfg(test)]
    mod tests {
        #![allow(clippy::unwrap_used)]

        use super::*;

        #[test]
        fn names_may_hold_anything() {
            let fields = (5..=52)
                .map(|n| n.to_string())
                .collect::<Vec<_>>()
                .join(" ");
            let stat = parse_stat(format!("12 (a) S 1 (b) R 7 {fields}\n").as_bytes()).unwrap();
            assert_eq!(stat.name, b"a) S 1 (b");
            assert_eq!(
                (stat.parent, stat.started, stat.code, stat.arguments),
                (7, 22, 26, 48)
            );
            assert!(stat.ended_by_signal());
            for (ends_with, by_signal) in [(0, false), (256, false), (6, true), (0x8b, true)] {
                let stat = Stat {
                    ends_with,
                    ..stat.clone()
                };
                assert_eq!(stat.ended_by_signal(), by_signal, "{ends_with}");
            }
            for broken in [
                "",
                "12",
                "12 (a",
                "12 (a) S",
                "12 (a) S x y z",
                ") (",
                "12 (a) S -1 5",
            ] {
                assert!(parse_stat(broken.as_bytes()).is_none(), "{broken}");
            }
        }

        #[test]
        fn a_signal_counts_unless_it_is_blocked_or_ignored() {
            let status = |pending: &str, shared: &str, blocked: &str, ignored: &str| {
                format!(
                    "Name:\tx\nState:\tS (sleeping)\nSigPnd:\t{pending}\nShdPnd:\t{shared}\nSigBlk:\t{blocked}\n\
                     SigIgn:\t{ignored}\nSigCgt:\t0000000000000000\n"
                )
                .into_bytes()
            };
            let (none, int, term, kill, user) =
                ("0", "0000000000000002", "0000000000004000", "100", "200");
            assert!(wants_to_die(&status(int, none, none, none)));
            assert!(wants_to_die(&status(none, term, none, none)));
            assert!(wants_to_die(&status(kill, none, none, none)));
            assert!(!wants_to_die(&status(int, none, int, none)));
            assert!(!wants_to_die(&status(none, int, none, int)));
            assert!(!wants_to_die(&status(user, user, none, none)));
            assert!(!wants_to_die(&status(none, none, none, none)));
            assert!(wants_to_die(b"State:\tZ (zombie)\n"));
            assert!(!wants_to_die(b"nonsense"));
        }

        #[test]
        fn arguments_are_split_at_the_zeros() {
            assert!(split_arguments(b"").is_empty());
            assert_eq!(split_arguments(b"a\0\0b c\0"), ["a", "", "b c"]);
            assert_eq!(split_arguments(b"a"), ["a"]);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{Process, ProcessId};

    #[derive(Clone, PartialEq, Eq, Debug)]
    pub(super) struct Stamp;

    pub(super) fn process_of_thread(_thread: u32) -> Option<ProcessId> {
        None
    }

    pub(super) fn stamp(_process: ProcessId, _thread: u32) -> Option<Stamp> {
        None
    }

    pub(super) fn process(_id: ProcessId) -> Option<Process> {
        None
    }

    pub(super) fn is_dying(_thread: u32) -> bool {
        false
    }

    pub(super) fn is_being_killed(_thread: u32) -> bool {
        false
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    fn this_thread() -> u32 {
        rustix::thread::gettid()
            .as_raw_nonzero()
            .get()
            .cast_unsigned()
    }

    /// A child that is ended whatever the test does.
    struct Kept(Child);

    impl Drop for Kept {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn eventually(what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !condition() {
            assert!(Instant::now() < deadline, "never happened: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_thread_leads_to_its_process() {
        let here = std::thread::spawn(|| Process::of_thread(this_thread()))
            .join()
            .unwrap()
            .unwrap();
        assert_eq!(here.id.0, std::process::id());
        assert_eq!(here.executable, std::env::current_exe().ok());
        assert_eq!(here.arguments, std::env::args_os().collect::<Vec<_>>());
        assert!(here.is_running());
        let other = Process {
            started: StartTime(here.started.0 + 1),
            ..here
        };
        assert!(
            !other.is_running(),
            "the same number with another start is another process"
        );
    }

    #[test]
    fn ancestors_end_at_the_first_process() {
        let here = Process::of(ProcessId(std::process::id())).unwrap();
        let ancestors: Vec<Process> = here.ancestors().collect();
        assert!(!ancestors.is_empty() && ancestors.len() <= MOST_ANCESTORS);
        assert_eq!(Some(ancestors[0].id), here.parent);
        assert!(
            ancestors
                .windows(2)
                .all(|pair| pair[0].parent == Some(pair[1].id))
        );
        assert_eq!(ancestors.last().unwrap().parent, None);
        let child = Kept(Command::new("sleep").arg("30").spawn().unwrap());
        let child = Process::of(ProcessId(child.0.id())).unwrap();
        assert_eq!(
            child.ancestors().next().map(|parent| parent.id),
            Some(here.id)
        );
        // A parent that is younger than its child is somebody else.
        let old = Process {
            started: StartTime(0),
            ..child
        };
        assert_eq!(old.ancestors().next(), None);
    }

    #[test]
    fn unknown_threads_are_unknown() {
        let processes = Processes::new();
        assert!(processes.of_thread(None).is_none());
        assert!(processes.of_thread(Some(0)).is_none());
        assert!(processes.of_thread(Some(u32::MAX)).is_none());
        assert!(Process::of_thread(u32::MAX).is_none());
        assert!(
            is_dying(u32::MAX),
            "a thread that is gone waits for nothing"
        );
        assert!(!is_dying(this_thread()));
        assert!(!is_being_killed(this_thread()));
    }

    #[test]
    fn what_is_remembered_changes_with_the_program() {
        let processes = Processes::new();
        let mut child = Command::new("sh");
        child
            .args(["-c", "read line; exec sleep 30"])
            .stdin(Stdio::piped());
        let mut child = Kept(child.spawn().unwrap());
        let id = child.0.id();
        eventually("the shell runs", || {
            processes
                .of_thread(Some(id))
                .is_some_and(|p| p.name == "sh")
        });
        let before = processes.of_thread(Some(id)).unwrap();
        assert!(
            Arc::ptr_eq(&before, &processes.of_thread(Some(id)).unwrap()),
            "remembered"
        );
        drop(child.0.stdin.take());
        eventually("the other program runs", || {
            processes
                .of_thread(Some(id))
                .is_some_and(|p| p.arguments == ["sleep", "30"])
        });
        let after = processes.of_thread(Some(id)).unwrap();
        assert_eq!(
            (before.id, before.started),
            (after.id, after.started),
            "under the same number"
        );
        assert_ne!(before.executable, after.executable);
        drop(child);
        assert!(processes.of_thread(Some(id)).is_none());
    }

    #[test]
    fn the_same_program_with_other_arguments_is_noticed() {
        let processes = Processes::new();
        let mut child = Command::new("sh");
        child
            .args(["-c", "read line; exec sh -c 'sleep 30; true' other"])
            .stdin(Stdio::piped());
        let mut child = Kept(child.spawn().unwrap());
        let id = child.0.id();
        eventually("the shell runs", || {
            processes
                .of_thread(Some(id))
                .is_some_and(|p| p.name == "sh")
        });
        drop(child.0.stdin.take());
        eventually("the other shell is seen", || {
            processes
                .of_thread(Some(id))
                .is_some_and(|p| p.arguments.last().is_some_and(|a| a == "other"))
        });
        // The shell waits for its own child, which must not outlive the test.
        let _ = Command::new("sh")
            .args(["-c", &format!("kill $(cat /proc/{id}/task/{id}/children)")])
            .status();
    }

    #[test]
    fn a_thread_that_waits_to_be_killed_is_dying() {
        // A signal stays pending as long as its process is stopped.
        let child = Kept(Command::new("sleep").arg("30").spawn().unwrap());
        let id = child.0.id();
        let pid = rustix::process::Pid::from_raw(id.cast_signed()).unwrap();
        assert!(!is_dying(id));
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        eventually("it is stopped", || {
            std::fs::read_to_string(format!("/proc/{id}/stat"))
                .is_ok_and(|stat| stat.contains(") T "))
        });
        assert!(!is_dying(id), "stopped is not dying");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        eventually("the signal is seen", || is_dying(id));
        drop(child);
        assert!(is_dying(id), "gone");
    }
}
