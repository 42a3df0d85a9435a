//! Storage that hangs from the start: the drive is there all the same, and what is known of it is shown.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::bench::*;
use crate::support::sounds::wav;
use crate::support::volumes::{Kind, Volume};
use crate::support::{Home, Mounted, path_of, wait_until};

/// What a dead share may cost at the start: a second, and slack for a loaded machine.
const MORE: Duration = Duration::from_millis(2500);

/// The first look at a large share.
const LONGEST_SCAN: Duration = Duration::from_secs(900);

/// A folder shown by bindfs, a program that can be stopped so that all who ask it hang.
pub(crate) struct Share {
    program: Child,
    pub(crate) at: std::path::PathBuf,
}

impl Share {
    pub(crate) fn new(home: &Home) -> Self {
        let (from, at) = (home.path("behind"), home.path("share"));
        std::fs::create_dir_all(&from).unwrap();
        std::fs::create_dir_all(&at).unwrap();
        let program = Command::new("bindfs")
            .args(["-f", "-o", "fsname=nas:/sounds"])
            .args([&from, &at])
            .stdout(Stdio::null())
            .spawn()
            .expect("bindfs is needed for this test; scripts/test installs it");
        let share = Self { program, at };
        let mounted = || {
            let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
            table.contains(share.at.to_str().unwrap())
        };
        wait_until(DONE, "the share", mounted);
        share
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.program), signal).unwrap();
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.program), Signal::CONT);
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// Mounts, and says how long it took until `ready`.
fn timed<'h>(home: &'h Home, words: &[&std::ffi::OsStr]) -> (Mounted<'h>, Duration) {
    let begun = Instant::now();
    let mounted = home.mount_with(words);
    (mounted, begun.elapsed())
}

/// No thread of the daemon waits for a disk.
fn nobody_hangs(mounted: &Mounted<'_>) {
    for thread in std::fs::read_dir(format!("/proc/{}/task", mounted.pid())).unwrap() {
        let path = thread.unwrap().path();
        let state = || {
            let status = std::fs::read_to_string(path.join("status")).unwrap_or_default();
            let line = status.lines().find(|line| line.starts_with("State:"));
            line.unwrap_or("").contains('D')
        };
        // Its own disk may be waited for a moment.
        let begun = Instant::now();
        while state() {
            assert!(
                begun.elapsed() < Duration::from_secs(3),
                "{}",
                path.display()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn memory(mounted: &Mounted<'_>) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", mounted.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<u64>().unwrap() * 1024
}

fn a_dead_share_of(count: u32) {
    let home = Home::new();
    let share = Share::new(&home);
    for number in 0..count {
        let folder = home.path("behind").join(format!("{}", number / 1000));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(
            folder.join(format!("{number}.wav")),
            wav(20 + number % 7, number),
        )
        .unwrap();
    }
    let words = ["--library".as_ref(), share.at.as_os_str()];
    let mounted = home.mount_with(&words);
    let begun = Instant::now();
    let found = || home.json(["ls"]).as_array().unwrap().len();
    while found() != count as usize {
        assert!(begun.elapsed() < LONGEST_SCAN, "{}", found());
        std::thread::sleep(Duration::from_secs(1 + u64::from(count / 10_000)));
    }
    mounted.stop();
    let (mounted, well) = timed(&home, &words);
    mounted.stop();

    share.signal(Signal::STOP);
    let (mounted, dead) = timed(&home, &words);
    let begun = Instant::now();
    let shown = std::fs::read_dir(home.on_drive("library/share/0"))
        .unwrap()
        .count();
    let listed = begun.elapsed();
    assert_eq!(shown, count.min(1000) as usize);
    let begun = Instant::now();
    let entry = std::fs::metadata(home.on_drive("library/share/0/7.wav")).unwrap();
    let looked_up = begun.elapsed();
    assert_eq!(entry.len(), wav(20, 7).len() as u64);
    let begun = Instant::now();
    let bytes = std::fs::read(home.on_drive(".as/player/library/share/0/7.wav")).unwrap();
    let silence = begun.elapsed();
    assert!(is_silent(&bytes));
    nobody_hangs(&mounted);
    eprintln!(
        "{count} items: ready after {well:?}, with the share dead after {dead:?}; listed in {listed:?}, looked up in \
         {looked_up:?}, silence after {silence:?}; memory {} MB",
        memory(&mounted) >> 20
    );
    assert!(dead < well + MORE, "{well:?} {dead:?}");
    assert!(listed < Duration::from_secs(3), "{listed:?}");
    assert!(looked_up < Duration::from_secs(1), "{looked_up:?}");
    assert!(silence < Duration::from_secs(2), "{silence:?}");
    wait_until(Duration::from_secs(40), "it is told", || {
        known(&home)[0]["state"] == "suspended"
    });
    let begun = Instant::now();
    home.run(["status"]);
    assert!(begun.elapsed() < Duration::from_secs(3));
    nobody_hangs(&mounted);
    share.signal(Signal::CONT);
    wait_until(Duration::from_secs(90), "it answers again", || {
        known(&home)[0]["state"] == "online"
    });
    let bytes = std::fs::read(home.on_drive(".as/copier/library/share/0/7.wav")).unwrap();
    assert_eq!(bytes, wav(20, 7));
    mounted.stop();
}

#[test]
fn a_share_that_is_dead_at_the_start_holds_nobody_up() {
    a_dead_share_of(300);
}

/// Takes minutes: `cargo nextest run --run-ignored all --test volumes large_share`.
#[test]
#[ignore = "takes minutes"]
fn a_large_share_that_is_dead_at_the_start_holds_nobody_up() {
    a_dead_share_of(100_000);
}

#[test]
fn a_new_library_on_a_dead_share_is_added_when_that_answers() {
    let home = Home::new();
    let share = Share::new(&home);
    std::fs::write(home.path("behind/a.wav"), wav(500, 1)).unwrap();
    std::fs::write(home.library().join("b.wav"), wav(500, 2)).unwrap();
    share.signal(Signal::STOP);
    let library = home.library();
    let words = [
        "--library".as_ref(),
        share.at.as_os_str(),
        "--library".as_ref(),
        library.as_os_str(),
    ];
    let (mounted, took) = timed(&home, &words);
    assert!(took < MORE + Duration::from_secs(3), "{took:?}");
    home.wait_for_items(1);
    let warnings = || home.json(["warnings"]).to_string();
    assert!(warnings().contains("was not added yet"), "{}", warnings());
    nobody_hangs(&mounted);
    share.signal(Signal::CONT);
    wait_until(DONE, "it is added", || home.items().len() == 2);
    assert!(!warnings().contains("was not added"), "{}", warnings());
    let a = home.item("a.wav");
    assert_eq!(copied(&home, &a).unwrap(), wav(500, 1));
    assert!(path_of(&a).starts_with("by-id/"));
    mounted.stop();
}

#[test]
fn a_disk_that_hangs_at_the_start_holds_nobody_up() {
    let home = Home::new();
    let mut red = Volume::on_failing_disk(Kind::Ext4);
    let at = home.path("red");
    red.mount(&at);
    fill(&at, 3, 500);
    let mounted = mount(&home, &at);
    home.wait_for_items(3);
    let before = ids(&home);
    mounted.stop();
    let there = samples(&at);
    let words = ["--library".as_ref(), there.as_os_str()];
    let (mounted, well) = timed(&home, &words);
    mounted.stop();
    red.forget(&samples(&at).join("1.wav"));
    red.hang();
    let (mounted, dead) = timed(&home, &words);
    assert!(dead < well + MORE, "{well:?} {dead:?}");
    assert_eq!(ids(&home), before);
    let one = home.json(["show", &before["1.wav"]]);
    let begun = Instant::now();
    assert!(is_silent(&played(&home, &one).unwrap()));
    assert!(begun.elapsed() < Duration::from_secs(2));
    nobody_hangs(&mounted);
    red.heal();
    wait_until(Duration::from_secs(90), "it answers again", || {
        known(&home)[0]["state"] == "online"
            && copied(&home, &one).is_ok_and(|bytes| bytes == wav(501, 1))
    });
    mounted.stop();
}
