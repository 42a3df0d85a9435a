//! Processes of macOS, from libproc.

use std::ffi::{OsStr, OsString, c_int};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::{Process, ProcessId, StartTime};

/// What changes when a process ends and its number is used again, or when its program is replaced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    started: StartTime,
    executable: Option<PathBuf>,
}

/// A request names its process.
#[allow(clippy::unnecessary_wraps, reason = "as on the other systems")]
pub(super) fn process_of_thread(thread: u32) -> Option<ProcessId> {
    Some(ProcessId(thread))
}

pub(super) fn stamp(process: ProcessId, _thread: u32) -> Option<Stamp> {
    Some(Stamp {
        started: started(&facts(process.0)?),
        executable: executable(process.0),
    })
}

pub(super) fn process(id: ProcessId) -> Option<Process> {
    let facts = facts(id.0)?;
    // The longer of both names is empty where the program has none.
    let name = text(&facts.pbi_name).or_else(|| text(&facts.pbi_comm))?;
    Some(Process {
        id,
        started: started(&facts),
        parent: (facts.pbi_ppid != 0).then_some(ProcessId(facts.pbi_ppid)),
        name,
        executable: executable(id.0),
        arguments: Vec::new(),
    })
}

pub(super) fn is_dying(thread: u32) -> bool {
    match facts(thread) {
        Some(facts) => facts.pbi_status == libc::SZOMB,
        None => is_gone(thread),
    }
}

pub(super) fn is_being_killed(thread: u32) -> bool {
    is_gone(thread)
}

fn is_gone(process: u32) -> bool {
    let Some(process) = c_int::try_from(process)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    else {
        return true;
    };
    rustix::process::test_kill_process(process) == Err(rustix::io::Errno::SRCH)
}

/// Microseconds since 1970.
fn started(facts: &libc::proc_bsdinfo) -> StartTime {
    StartTime(
        facts
            .pbi_start_tvsec
            .saturating_mul(1_000_000)
            .saturating_add(facts.pbi_start_tvusec),
    )
}

fn facts(process: u32) -> Option<libc::proc_bsdinfo> {
    let mut facts = MaybeUninit::<libc::proc_bsdinfo>::uninit();
    let size = c_int::try_from(size_of::<libc::proc_bsdinfo>()).ok()?;
    // SAFETY: the buffer has `size` bytes, and the call writes no more.
    let written = unsafe {
        libc::proc_pidinfo(
            c_int::try_from(process).ok()?,
            libc::PROC_PIDTBSDINFO,
            0,
            facts.as_mut_ptr().cast(),
            size,
        )
    };
    // SAFETY: all of it was written, and it is made of numbers, for which every value is valid.
    (written == size).then(|| unsafe { facts.assume_init() })
}

fn executable(process: u32) -> Option<PathBuf> {
    let mut path = vec![0_u8; usize::try_from(libc::PROC_PIDPATHINFO_MAXSIZE).ok()?];
    // SAFETY: the buffer is as long as is said, and the call writes no more.
    let length = unsafe {
        libc::proc_pidpath(
            c_int::try_from(process).ok()?,
            path.as_mut_ptr().cast(),
            u32::try_from(path.len()).ok()?,
        )
    };
    let path = path.get(..usize::try_from(length).ok()?)?;
    (!path.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(path)))
}

/// Up to the first zero.
fn text(field: &[libc::c_char]) -> Option<OsString> {
    let bytes: Vec<u8> = field
        .iter()
        .map(|unit| unit.cast_unsigned())
        .take_while(|unit| *unit != 0)
        .collect();
    (!bytes.is_empty()).then(|| OsStr::from_bytes(&bytes).to_owned())
}
