//! `kill -9` at random points of a process that puts, pins and fills: whatever it acknowledged is there afterwards, and
//! the quota was never exceeded, not even at the moment of the kill.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mediafs_cache::{ObjectId, PinOwner, Store, Verified};
use support::*;

const FOLDER: &str = "MEDIAFS_CACHE_CRASH_FOLDER";
const ROUND: &str = "MEDIAFS_CACHE_CRASH_ROUND";
const QUOTA: u64 = 4_000_000;
/// A process that does nothing for so long is killed where it is.
const LONG: Duration = Duration::from_secs(20);
/// At least so many kills, and more until one fell on each of the moments that matter; if none does in so many, that is
/// a failure. In Wine it takes seconds to look at all that is there after each.
const ROUNDS: std::ops::Range<u64> = if cfg!(windows) { 12..200 } else { 30..200 };

/// The process that is killed. Says on its standard output what was acknowledged to it, and goes on until it is killed.
#[test]
#[ignore = "run by the tests of this file, as a process of its own"]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else {
        println!("nothing to do without {FOLDER}");
        return;
    };
    let round: u64 = std::env::var(ROUND).unwrap().parse().unwrap();
    let store = Store::open(folder, options(QUOTA)).unwrap();
    println!("\nOPEN");
    std::thread::scope(|scope| {
        for worker in 0..3u64 {
            let store = &store;
            scope.spawn(move || {
                for step in 0.. {
                    let seed = round * 1_000_000 + worker * 100_000 + step;
                    if worker == 2 {
                        fill(store, seed)
                    } else {
                        put_one(store, seed, step % 4 == 0)
                    }
                }
            });
        }
    });
}

fn put_one(store: &Store, seed: u64, pinned: bool) {
    let bytes = sound(seed, usize::try_from(seed * 7919 % 60_000).unwrap());
    let id = put(store, &bytes);
    println!("\nPUT {id}");
    // Few, so that the pins never fill the cache.
    if pinned && seed % 100_000 < 8 && seed / 1_000_000 < 30 {
        let absent = store.pin(&PinOwner::new("user").unwrap(), &[id]).unwrap();
        if absent.is_empty() {
            println!("\nPIN {id}");
        }
    }
}

fn fill(store: &Store, seed: u64) {
    let bytes = sound(seed, 100_000 + usize::try_from(seed % 7).unwrap());
    let key = format!("key-{seed}");
    let partial = store.begin_partial(spec(&key, &bytes)).unwrap();
    for half in [50_000..bytes.len(), 0..50_000] {
        partial
            .write_at(half.start as u64, &bytes[half.clone()])
            .unwrap();
        partial.checkpoint().unwrap();
        println!("\nPART {key} {seed} {} {}", half.start, half.end);
    }
    let object = partial.complete().unwrap();
    println!("\nDONE {key} {}", object.id());
}

/// Kills the process it holds, whatever happens to the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a process said before it was killed, line by line. A line that was cut is not among them.
fn run_and_kill(folder: &Path, round: u64) -> Vec<String> {
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "child",
            "--ignored",
            "--nocapture",
            "--test-threads",
            "1",
        ])
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let mut output = BufReader::new(child.0.stdout.take().unwrap());
    let mut said = Vec::new();
    let mut line = String::new();
    while !line.starts_with("OPEN") {
        line.clear();
        assert!(
            output.read_line(&mut line).unwrap() > 0,
            "the child ended before it opened the cache"
        );
    }
    let heard = Arc::new(AtomicU64::new(0));
    let hears = Arc::clone(&heard);
    let reader = std::thread::spawn(move || {
        loop {
            let mut line = String::new();
            if output.read_line(&mut line).unwrap() == 0 || !line.ends_with('\n') {
                return said;
            }
            said.push(line.trim_end().to_owned());
            hears.fetch_add(1, Ordering::Relaxed);
        }
    });
    // Random in the sense that the process is anywhere: mostly not far from the beginning, in every other round so far that it has
    // filled the cache and lost what it put first, however long that takes on this machine; and from there on somewhere between
    // two things that it says.
    let far = (round * 7919 % 1000).pow(2) / 1000;
    let begun = Instant::now();
    while heard.load(Ordering::Relaxed) < far && begun.elapsed() < LONG {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_micros(round * 6007 % 1000 * 20));
    child.0.kill().unwrap();
    let status = child.0.wait().unwrap();
    assert!(
        was_killed(status),
        "it was killed while it worked, not before: {status}"
    );
    reader.join().unwrap()
}

#[cfg(unix)]
fn was_killed(status: ExitStatus) -> bool {
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(9)
}

/// It never ends by itself, unless with 101 by a panic, or with 0.
#[cfg(windows)]
fn was_killed(status: ExitStatus) -> bool {
    status.code() == Some(1)
}

/// All bytes that count, as they lie on the disk after a kill. The maps of partial objects are outside the quota, also
/// while they are written.
fn counted_bytes(cache: &Path) -> u64 {
    let temps: u64 = fs::read_dir(cache.join("temp"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !fs::read(path).unwrap().starts_with(b"mediafsP"))
        .map(|path| fs::metadata(path).unwrap().len())
        .sum();
    bytes_beneath(&cache.join("objects")) + partial_bytes(cache) + temps
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let mut pinned = BTreeSet::new();
    let (mut puts, mut parts, mut resumed, mut evicted, mut leftovers) =
        (0u64, 0u64, 0u64, 0u64, 0u64);
    let mut round = 0;
    while round < ROUNDS.start
        || (round < ROUNDS.end && [parts, resumed, evicted, leftovers].contains(&0))
    {
        let said = run_and_kill(&cache, round);
        let on_disk = counted_bytes(&cache);
        assert!(
            on_disk <= QUOTA,
            "round {round}: {on_disk} bytes on the disk, {QUOTA} allowed"
        );

        let mut acknowledged = Vec::new();
        let mut arrived: BTreeMap<String, (u64, Vec<std::ops::Range<usize>>)> = BTreeMap::new();
        for line in &said {
            let words: Vec<_> = line.split(' ').collect();
            match words[..] {
                ["PUT", id] => acknowledged.push(id.parse::<ObjectId>().unwrap()),
                ["PIN", id] => _ = pinned.insert(id.parse::<ObjectId>().unwrap()),
                ["PART", key, seed, start, end] => {
                    parts += 1;
                    let entry = arrived
                        .entry(key.to_owned())
                        .or_insert((seed.parse().unwrap(), Vec::new()));
                    entry.1.push(start.parse().unwrap()..end.parse().unwrap());
                }
                ["DONE", key, id] => {
                    arrived.remove(key);
                    acknowledged.push(id.parse().unwrap());
                }
                _ => assert!(line.is_empty(), "{line}"),
            }
        }
        puts += acknowledged.len() as u64;

        let store = Store::open(&cache, options(QUOTA)).unwrap();
        assert!(!store.opening().pins_lost && !store.opening().index_lost);
        assert!(store.opening().needs_reconcile, "a kill is noticed");
        for id in &acknowledged {
            match store.verify(id).unwrap() {
                Verified::Intact { .. } => {}
                // What nobody pins may have gone again for what came later.
                Verified::Absent => evicted += 1,
                Verified::Damaged(damaged) => {
                    panic!("round {round}: an acknowledged object is damaged: {damaged:?}")
                }
            }
        }
        for id in &pinned {
            assert!(
                matches!(store.verify(id).unwrap(), Verified::Intact { .. }),
                "round {round}: the pinned {id} is gone"
            );
        }
        // Of all acknowledged ones the last were surely not evicted: the cache holds far more than they.
        for id in acknowledged.iter().rev().take(5) {
            assert!(
                store.contains(id).unwrap(),
                "round {round}: {id} was acknowledged last and is gone"
            );
        }
        let report = store.reconcile().unwrap();
        assert_eq!(
            (&report.damaged, &report.strangers),
            (&Vec::new(), &Vec::new()),
            "round {round}"
        );
        assert_eq!(report.vanished, [], "round {round}");
        leftovers += report.temps_removed + report.partials_removed + report.found.len() as u64;
        assert_books_agree(&store);
        for (key, (seed, ranges)) in arrived {
            let bytes = sound(seed, 100_000 + usize::try_from(seed % 7).unwrap());
            if store.contains(&ObjectId::of(&bytes)).unwrap() {
                // Completed, but killed before it could say so.
                continue;
            }
            let partial = store.begin_partial(spec(&key, &bytes)).unwrap();
            for range in ranges {
                assert!(
                    partial
                        .arrived()
                        .contains(range.start as u64..range.end as u64),
                    "round {round}: {range:?} of {key} was safe"
                );
            }
            for range in partial.arrived().iter() {
                let range =
                    usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
                let mut buffer = vec![0; range.len()];
                assert_eq!(
                    partial.read_at(&mut buffer, range.start as u64).unwrap(),
                    Some(range.len())
                );
                assert!(
                    buffer == bytes[range],
                    "round {round}: a range that is claimed has other bytes"
                );
                resumed += 1;
            }
        }
        let verified = store
            .verify_all(|_| std::ops::ControlFlow::Continue(()))
            .unwrap();
        assert!(
            verified.complete && verified.damaged.is_empty(),
            "round {round}: {verified:?}"
        );
        round += 1;
    }
    println!(
        "{puts} objects and {parts} ranges acknowledged, {evicted} evicted later, {resumed} ranges resumed, {leftovers} leftovers, {} pins",
        pinned.len()
    );
    assert!(
        puts >= ROUNDS.start,
        "only {puts} objects in {round} rounds: nothing was exercised"
    );
    assert!(
        parts > 0 && !pinned.is_empty(),
        "no ranges or no pins: nothing was exercised"
    );
    assert!(evicted > 0, "the cache never was full");
    assert!(
        resumed > 0,
        "no kill fell between a checkpoint and the end of a partial object"
    );
    assert!(leftovers > 0, "no kill fell into the middle of anything");
}
