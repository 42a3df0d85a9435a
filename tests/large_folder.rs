//! A folder of very many files: whatever comes and goes in it while it is listed, what stays is listed, and nothing twice.

// It mounts real drives.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::{Home, slowness, wait_until};

/// On a machine of usual speed.
const FILES: u32 = 10_000;

/// Ends what goes on beside a test, however that ends.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn it_is_listed_whole_and_once_while_it_changes() {
    let home = Home::new();
    let folder = home.library().join("many");
    fs::create_dir(&folder).unwrap();
    let files = FILES / slowness();
    let kept: BTreeSet<OsString> = (0..files)
        .map(|number| format!("{number:05} stays.txt").into())
        .collect();
    for name in &kept {
        fs::write(folder.join(name), "").unwrap();
    }
    let _drive = home.mount();
    let shown = home.on_drive("library/library/many");
    let list = || -> Vec<OsString> {
        fs::read_dir(&shown)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect()
    };
    wait_until(Duration::from_secs(60), "all of them", || {
        shown.exists() && list().len() == kept.len()
    });
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _ending = Ending(&ends);
        scope.spawn(|| {
            // Between those that stay, all over the folder.
            let name = |number: u32| folder.join(format!("{:05} goes.txt", number * 37 % files));
            for number in 0.. {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                fs::write(name(number), "").unwrap();
                if number >= 200 {
                    fs::remove_file(name(number - 200)).unwrap();
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let mut seen = BTreeSet::new();
        wait_until(Duration::from_secs(120), "listings of other files", || {
            let listed = list();
            let once: BTreeSet<_> = listed.iter().cloned().collect();
            assert_eq!(once.len(), listed.len(), "a name is listed twice");
            let missing: Vec<_> = kept.difference(&once).take(5).collect();
            assert!(missing.is_empty(), "{missing:?} and others are not listed");
            seen.insert(once.difference(&kept).cloned().collect::<Vec<_>>());
            seen.len() >= 4
        });
    });
}
