//! Being told of mounts as they come and go.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use mediafs_platform::volume::{MountEntry, MountWatch};
use support::disks::{Bench, Mount};
use support::{eventually, root_available};

#[test]
fn mounts_are_told_soon_and_once_until_the_watch_is_dropped() {
    if !root_available() {
        return;
    }
    let bench = Bench::new();
    let at = fs::canonicalize(bench.folder.path())
        .unwrap()
        .join("memory");
    let (send, told) = std::sync::mpsc::channel();
    let place = at.clone();
    let watch = MountWatch::start(move |table| {
        let _ = send.send((table.at(&place).is_some(), Instant::now()));
    })
    .unwrap();
    // Others may mount things while this runs, so calls that tell of nothing new are passed over.
    let next = |expected: bool| {
        let since = Instant::now();
        loop {
            let (there, when) = told.recv_timeout(Duration::from_secs(5)).unwrap();
            if there == expected {
                let late = when.saturating_duration_since(since);
                assert!(late < Duration::from_secs(2), "told after {late:?}");
                return;
            }
        }
    };
    let mount = Mount::new("tmpfs", "rw", Path::new("none"), &at);
    next(true);
    drop(mount);
    next(false);
    let before = Instant::now();
    drop(watch);
    assert!(before.elapsed() < Duration::from_secs(2), "ends promptly");
    let _again = Mount::new("tmpfs", "rw", Path::new("none"), &at);
    std::thread::sleep(Duration::from_millis(300));
    assert!(
        !told.try_iter().any(|(there, _)| there),
        "told after its end"
    );
}

#[test]
fn changes_that_follow_each_other_are_told_together() {
    if !root_available() {
        return;
    }
    let bench = Bench::new();
    let home = fs::canonicalize(bench.folder.path()).unwrap();
    let (send, told) = std::sync::mpsc::channel();
    let watch = MountWatch::start(move |table| {
        let here = |entry: &&MountEntry| entry.mount_point.starts_with(&home);
        let _ = send.send(table.entries().iter().filter(here).count());
    })
    .unwrap();
    let begun = Instant::now();
    let mounts: Vec<Mount> = (0..20)
        .map(|number| {
            let at = bench.path(&number.to_string());
            fs::create_dir_all(&at).unwrap();
            let flags = rustix::mount::MountFlags::empty();
            rustix::mount::mount(c"none", &at, c"tmpfs", flags, None).unwrap();
            Mount { at }
        })
        .collect();
    let took = begun.elapsed();
    let mut calls = 0;
    while told.recv_timeout(Duration::from_secs(5)).unwrap() != mounts.len() {
        calls += 1;
    }
    // One call for each 150 ms at most, and some for what others mount meanwhile.
    let most = took.as_millis() / 25 + 10;
    assert!(calls < most.min(15), "{calls} calls in {took:?}");
    drop(watch);
}

#[test]
fn a_watch_can_be_dropped_by_its_own_call() {
    if !root_available() {
        return;
    }
    let bench = Bench::new();
    let kept: std::sync::Arc<parking_lot::Mutex<Option<MountWatch>>> = std::sync::Arc::default();
    let (send, ended) = std::sync::mpsc::channel();
    let inner = std::sync::Arc::clone(&kept);
    let mut slot = kept.lock();
    *slot = Some(
        MountWatch::start(move |_| {
            drop(inner.lock().take());
            let _ = send.send(());
        })
        .unwrap(),
    );
    drop(slot);
    let _mount = Mount::new("tmpfs", "rw", Path::new("none"), &bench.path("memory"));
    ended.recv_timeout(Duration::from_secs(5)).unwrap();
    // Nothing holds the other end any more once the thread has ended.
    eventually("the thread ends", || {
        matches!(
            ended.try_recv(),
            Err(std::sync::mpsc::TryRecvError::Disconnected)
        )
    });
    assert!(kept.lock().is_none());
}
