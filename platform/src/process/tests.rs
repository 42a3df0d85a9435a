//! Tests of who asks on Linux, where a request names a thread.
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
        std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| stat.contains(") T "))
    });
    assert!(!is_dying(id), "stopped is not dying");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    eventually("the signal is seen", || is_dying(id));
    drop(child);
    assert!(is_dying(id), "gone");
}
