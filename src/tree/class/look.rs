//! JOINT: replaced by mediafs_platform::process.
use super::names::Program;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct ProcessKey {
    pub(super) pid: u32,
    pub(super) start_time: u64,
}

fn stat(pid: u32) -> Option<(u32, u64, OsString)> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let open = text.iter().position(|&b| b == b'(')?;
    let close = text.iter().rposition(|&b| b == b')')?;
    let comm = OsString::from_vec(text.get(open + 1..close)?.to_vec());
    let rest = std::str::from_utf8(text.get(close + 2..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some((
        fields.get(1)?.parse().ok()?,
        fields.get(19)?.parse().ok()?,
        comm,
    ))
}

pub(super) fn key(pid: u32) -> Option<ProcessKey> {
    stat(pid).map(|(_, start_time, _)| ProcessKey { pid, start_time })
}

pub(super) fn of_thread(thread: u32) -> Option<ProcessKey> {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let pid = status
        .lines()
        .find_map(|line| line.strip_prefix("Tgid:"))?
        .trim()
        .parse()
        .ok()?;
    key(pid)
}

pub(super) fn parent(process: ProcessKey) -> Option<ProcessKey> {
    let (parent, start_time, _) = stat(process.pid)?;
    if start_time != process.start_time || parent == 0 {
        return None;
    }
    key(parent)
}

pub(super) fn program(process: ProcessKey) -> Option<Program> {
    let (_, start_time, comm) = stat(process.pid)?;
    if start_time != process.start_time {
        return None;
    }
    let arguments = std::fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
    Some(Program {
        executable: std::fs::read_link(format!("/proc/{}/exe", process.pid))
            .ok()
            .map(Into::into),
        arguments: arguments
            .split(|&b| b == 0)
            .filter(|a| !a.is_empty())
            .take(16)
            .map(|a| OsString::from_vec(a.to_vec()))
            .collect(),
        kernel_name: comm,
    })
}
