//! Tests of who asks on Windows, where a request names a process.
#![allow(clippy::unwrap_used)]

use std::process::{Child, Command, Stdio};

use super::*;

/// A child that waits for its input, and is ended whatever the test does.
struct Kept(Child);

impl Kept {
    fn start() -> Self {
        let mut waiting = Command::new("cmd");
        waiting.args(["/c", "set /p line="]).stdin(Stdio::piped());
        Self(waiting.stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_number_leads_to_its_process() {
    let here = Process::of_thread(std::process::id()).unwrap();
    assert_eq!(here.id.0, std::process::id());
    let path = std::env::current_exe().unwrap();
    assert_eq!(here.executable.as_ref(), Some(&path));
    assert_eq!(Some(&*here.name), path.file_name());
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
fn a_child_has_its_parent() {
    let child = Kept::start();
    let child = Process::of(ProcessId(child.0.id())).unwrap();
    assert_eq!(child.name.to_ascii_lowercase(), "cmd.exe");
    assert_eq!(child.parent, Some(ProcessId(std::process::id())));
    assert_eq!(
        child.ancestors().next().map(|parent| parent.id.0),
        Some(std::process::id())
    );
    // A parent that is younger than its child is somebody else.
    let old = Process {
        started: StartTime(0),
        ..child
    };
    assert_eq!(old.ancestors().next(), None);
}

#[test]
fn who_is_gone_is_dying_and_not_known() {
    let processes = Processes::new();
    assert!(processes.of_thread(None).is_none());
    assert!(processes.of_thread(Some(0)).is_none());
    let mut child = Kept::start();
    let id = child.0.id();
    let known = processes.of_thread(Some(id)).unwrap();
    assert!(
        Arc::ptr_eq(&known, &processes.of_thread(Some(id)).unwrap()),
        "remembered"
    );
    assert!(!is_dying(id) && !is_being_killed(id));
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    // As long as the child is kept its number is not used again.
    assert!(is_dying(id) && is_being_killed(id));
    drop(child);
    assert!(!known.is_running() || Process::of(known.id).is_some());
}

#[test]
fn who_was_cut_off_is_told_by_its_status() {
    let ended_with = |status: &str| {
        let mut child = Command::new("cmd");
        let mut child = child.args(["/c", "exit", status]).spawn().unwrap();
        child.wait().unwrap();
        assert!(is_dying(child.id()), "{status}");
        is_being_killed(child.id())
    };
    assert!(
        ended_with("-1073741510"),
        "Ctrl+C, a closed console: 0xC000013A"
    );
    assert!(ended_with("1"), "as Task Manager does it");
    assert!(!ended_with("0"), "by itself");
}
