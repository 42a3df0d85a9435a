//! Processes of Linux, from `/proc` (format: proc(5)).

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
