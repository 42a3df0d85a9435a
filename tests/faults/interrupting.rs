//! A program that waits for bytes of a source that hangs ends when it is told to, and at once.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::scene::{Sound, cloud, in_root, mount};
use crate::support::cloud::{Fault, Op};
use crate::support::{Home, wait_until};

/// A waiting request is looked after every 100 ms.
const ENDS_WITHIN: Duration = Duration::from_millis(300);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_millis(200);
/// How long rsync sleeps by itself after Ctrl-C, so that others can tidy up.
const RSYNC: Duration = Duration::from_millis(400);

/// A program with all its children, ended whatever the test does.
struct Group(Child);

impl Group {
    fn start(words: &[&str], from: &Path, to: &Path) -> Self {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(from);
        if words[0] != "cat" {
            command.arg(to);
        }
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(command.spawn().unwrap_or_else(|error| {
            panic!("{words:?} is needed for this test ({error}); scripts/test installs it")
        }))
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    /// Some process of it waits for an answer of the drive.
    fn waits(&self) -> bool {
        let pids = crate::support::program("pgrep", ["-g", &self.0.id().to_string()]);
        let pids = String::from_utf8(pids.stdout).unwrap();
        pids.lines().any(|pid| {
            let at = std::fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
            // The second is how `sendfile` waits: by way of the page cache, whatever the handle says.
            at.contains("request_wait_answer") || at.contains("folio_wait")
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = kill_process_group(self.pid(), Signal::KILL);
        let _ = self.0.wait();
    }
}

const SHUTIL: &str = "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])";

#[test]
fn whoever_waits_ends_when_told_to() {
    let programs: [(&[&str], Signal); 7] = [
        (&["cp"], Signal::INT),
        (&["rsync", "-a"], Signal::INT),
        (&["/usr/bin/python3", "-c", SHUTIL], Signal::INT),
        (&["cp", "-a"], Signal::KILL),
        (&["rsync", "-a"], Signal::KILL),
        (&["/usr/bin/python3", "-c", SHUTIL], Signal::KILL),
        (&["cat"], Signal::TERM),
    ];
    let home = Home::new();
    let hangs = cloud(&home, "hangs");
    for n in 0..programs.len() {
        let sound = Sound::new(50_000, u32::try_from(n).unwrap());
        hangs.put(format!("{n}.wav"), (*sound.bytes).clone());
    }
    let _drive = mount(&home, &[hangs.mount_point()]);
    home.wait_for_items(programs.len());
    let hung = hangs.inject(Fault::Hung.on(Op::READ));
    let copies = home.path("copies");
    std::fs::create_dir(&copies).unwrap();
    let mut running: Vec<Group> = Vec::new();
    for (n, (words, _)) in programs.iter().enumerate() {
        let from = home.on_drive(in_root("hangs", format!("{n}.wav")));
        running.push(Group::start(words, &from, &copies.join(format!("{n}.wav"))));
    }
    for (group, (words, _)) in running.iter().zip(programs) {
        let what = format!("{words:?} to wait");
        wait_until(Duration::from_secs(8), &what, || group.waits());
    }
    hangs.wait_for_hit(hung);
    for (group, (words, signal)) in running.iter_mut().zip(programs) {
        let own = match (words[0], signal) {
            ("rsync", Signal::INT) => RSYNC,
            _ => Duration::ZERO,
        };
        let told = Instant::now();
        kill_process_group(group.pid(), signal).unwrap();
        let ended = loop {
            if let Some(status) = group.0.try_wait().unwrap() {
                break status;
            }
            assert!(
                told.elapsed() < ENDS_WITHIN + SLACK + own,
                "{words:?} goes on after {signal:?}"
            );
            std::thread::sleep(Duration::from_millis(1));
        };
        let took = told.elapsed();
        eprintln!("{words:?} ended {took:?} after {signal:?}: {ended}");
        assert!(!ended.success());
        assert!(ended.signal().is_some() || ended.code().is_some());
    }
    // Nothing that was given up holds any bytes.
    for left in files_of(&copies) {
        let bytes = std::fs::read(&left).unwrap();
        assert!(bytes.is_empty(), "{} has bytes", left.display());
    }
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries.map(|entry| entry.path()).collect()
}
