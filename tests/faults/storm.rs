//! Everything goes wrong at once, in an order that nobody chose: sources hang, fail, become slow, lie and go, while players,
//! copiers and people are at work. Nobody is given anything wrong meanwhile; afterwards all is as it was.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::io::Errno;

use crate::holds::Holds;
use crate::requests::is_clean;
use crate::scene::{Sound, cloud, configure, in_root, mount};
use crate::support::chance::Chance;
use crate::support::cloud::{Cloud, Fault, Op};
use crate::support::players::{Content, compare};
use crate::support::volumes::{Kind, Volume};
use crate::support::{Home, wait_until};

/// How long it lasts, in seconds; more where `MEDIAFS_FAULTS_STORM` says so.
const SECONDS: u64 = 20;
const SOUNDS: u32 = 12;
/// What `status` promises, and what a debug build on a busy machine adds.
const TRUE_AGAIN: Duration = Duration::from_secs(2);
const SLACK: Duration = Duration::from_secs(4);
/// How long the daemon may take to be as it was.
const AS_BEFORE: Duration = Duration::from_secs(60);
/// The second cloud's folder on the drive.
const LIAR: &str = "/library/two/";
/// What a daemon may hold more in memory, in KiB: caches of a fixed size that were not full before.
const MORE_MEMORY: u64 = 24 << 10;

fn make_trouble(cloud: &Cloud, lies: bool, chance: &mut Chance) {
    let faults = [
        Fault::Hung,
        Fault::Hung,
        Fault::Error(5),
        Fault::Offline,
        Fault::Short,
        // `LIAR` alone lies: there a player hears what arrives before all of it is known to be wrong.
        if lies { Fault::WrongBytes } else { Fault::Hung },
        Fault::Slow {
            latency: Duration::from_millis(30),
            bytes_per_second: 200_000,
        },
    ];
    let ops: [&[Op]; 5] = [Op::READ, Op::READ, Op::OPEN, Op::STAT, Op::ALL];
    let ops = *chance.one_of::<&[Op]>(&ops);
    let fault = *chance.one_of(&faults);
    cloud.inject(fault.on(ops));
}

fn kib_in_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let words = line.and_then(|line| line.split_whitespace().nth(1));
    words.and_then(|kib| kib.parse().ok()).unwrap()
}

fn states(home: &Home) -> Vec<(String, String)> {
    let volumes = home.json(["volumes"]);
    let known = volumes["volumes"].as_array().unwrap().iter();
    known
        .filter(|volume| volume["known"] == true)
        .map(|volume| {
            let word = |key: &str| volume[key].as_str().unwrap().to_owned();
            (word("name"), word("state"))
        })
        .collect()
}

fn warnings(home: &Home) -> BTreeSet<String> {
    let status = home.json(["status"]);
    let warnings = status["warnings"].as_array().unwrap().iter();
    warnings
        .map(|warning| warning.as_str().unwrap().to_owned())
        .collect()
}

/// Sounds that a copier does not get, and what the catalog says of them.
fn not_true(home: &Home, sounds: &[(PathBuf, Sound)]) -> Vec<String> {
    let look = |(path, sound): &(PathBuf, Sound)| {
        let whole = home.on_drive(path);
        let found = std::fs::read(&whole).map(|bytes| bytes == *sound.bytes);
        let known = home
            .command(["show", "--json"])
            .arg(&whole)
            .output()
            .unwrap();
        let known = String::from_utf8_lossy(&known.stdout).into_owned();
        (!matches!(found, Ok(true))).then(|| format!("{}: {found:?}, {known}", path.display()))
    };
    sounds.iter().filter_map(look).collect()
}

/// What requesters saw.
#[derive(Default)]
struct Tally {
    copies: AtomicU64,
    refused: AtomicU64,
    played: AtomicU64,
    silent: AtomicU64,
    /// Other bytes than a sound's, or an error once they are known to be other ones.
    lies: AtomicU64,
}

#[test]
fn after_a_storm_all_is_as_it_was() {
    let seconds = std::env::var("MEDIAFS_FAULTS_STORM");
    let seconds = seconds.map_or(SECONDS, |seconds| seconds.parse().expect("a number"));
    let seed =
        std::env::var("MEDIAFS_FAULTS_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    eprintln!("{seconds} seconds, MEDIAFS_FAULTS_SEED={seed}");
    let home = Home::new();
    configure(
        &home,
        "[deadlines]\nloader_seconds = 1\ncopier_seconds = 3\n",
    );
    let clouds = [cloud(&home, "one"), cloud(&home, "two")];
    let mut red = Volume::new(Kind::Ext4);
    let at = home.path("red");
    red.mount(&at);
    let mut sounds: Vec<(PathBuf, Sound)> = Vec::new();
    for n in 0..SOUNDS {
        let name = format!("{n}.wav");
        for (seed, (root, cloud)) in ["one", "two"].into_iter().zip(&clouds).enumerate() {
            let sound = Sound::new(60_000, n + 1000 * u32::try_from(seed).unwrap());
            cloud.put(&name, (*sound.bytes).clone());
            sounds.push((in_root(root, &name), sound));
        }
        let (disk, own) = (Sound::new(60_000, n + 5000), Sound::new(20_000, n + 7000));
        std::fs::write(at.join(&name), &*disk.bytes).unwrap();
        std::fs::write(home.library().join(&name), &*own.bytes).unwrap();
        sounds.push((in_root("red", &name), disk));
        sounds.push((in_root("library", &name), own));
    }
    let roots = [
        clouds[0].mount_point(),
        clouds[1].mount_point(),
        &at,
        &home.library(),
    ];
    let drive = mount(&home, &roots);
    home.wait_for_items(sounds.len());
    // All of it once: from now on it is known what the bytes are.
    let all_true = || {
        sounds.iter().all(|(path, sound)| {
            std::fs::read(home.on_drive(path)).is_ok_and(|bytes| bytes == *sound.bytes)
        })
    };
    wait_until(AS_BEFORE, "all sounds to come", all_true);
    // It will bring more than anybody's programs do.
    home.run(["allow", &std::process::id().to_string()]);
    std::thread::sleep(Duration::from_secs(6));
    let warned_before = warnings(&home);
    let (before, kib_before) = (Holds::now(drive.pid()), kib_in_memory(drive.pid()));

    let ended = AtomicBool::new(false);
    let tally = Tally::default();
    let red = Mutex::new(red);
    std::thread::scope(|scope| {
        let copy = |mut chance: Chance| {
            while !ended.load(Ordering::Relaxed) {
                let (path, sound) = chance.one_of(&sounds);
                match std::fs::read(home.on_drive(path)) {
                    Ok(bytes) => {
                        assert!(
                            bytes == *sound.bytes,
                            "a copy of {} is false",
                            path.display()
                        );
                        tally.copies.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(_) if !path.starts_with("library/library") => {
                        tally.refused.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) => panic!("{}: {error}", path.display()),
                }
            }
        };
        let play = |mut chance: Chance| {
            while !ended.load(Ordering::Relaxed) {
                let (path, sound) = chance.one_of(&sounds);
                let path = home.on_drive(".as/player").join(path);
                let of_a_liar = path.to_string_lossy().contains(LIAR);
                let bytes = match std::fs::read(&path) {
                    Ok(bytes) => bytes,
                    // What this open had shown was found to be false, and is thrown away.
                    Err(error) if of_a_liar && Errno::from_io_error(&error) == Some(Errno::IO) => {
                        tally.lies.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    Err(error) => panic!("{}: {error}", path.display()),
                };
                assert_eq!(bytes.len(), sound.bytes.len());
                match compare(&bytes, 0, sound.truth()) {
                    Content::Bytes => tally.played.fetch_add(1, Ordering::Relaxed),
                    Content::Silence | Content::Mixed => {
                        assert!(!path.to_string_lossy().contains("library/library/"));
                        tally.silent.fetch_add(1, Ordering::Relaxed)
                    }
                    Content::Wrong if of_a_liar => tally.lies.fetch_add(1, Ordering::Relaxed),
                    wrong => panic!("{}: {wrong:?}", path.display()),
                };
            }
        };
        for number in 0..4 {
            scope.spawn(move || copy(Chance(seed * 1000 + number)));
            scope.spawn(move || play(Chance(seed * 1000 + 500 + number)));
        }
        scope.spawn(|| {
            // People, and the cache's quota.
            let mut chance = Chance(seed * 1000 + 900);
            while !ended.load(Ordering::Relaxed) {
                let path = home.on_drive(&chance.one_of(&sounds).0);
                let path = path.to_string_lossy().into_owned();
                let arguments: &[&str] = match chance.below(6) {
                    0 => &["pin", &path],
                    1 => &["unpin", &path],
                    2 => &["hydrate", &path],
                    3 => &["status"],
                    _ => &["cache", "evict"],
                };
                // Whether it can be done now is another question.
                let _ = home.command(arguments).output().unwrap();
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut chance = Chance(seed);
        while Instant::now() < until {
            std::thread::sleep(Duration::from_millis(50 + chance.below(400)));
            match chance.below(8) {
                0..=2 => {
                    let lies = chance.below(2) == 1;
                    make_trouble(&clouds[usize::from(lies)], lies, &mut chance);
                }
                3..=5 => chance.one_of(&clouds).heal(),
                6 if red.lock().mounts().is_empty() => red.lock().mount(&at),
                6 => red.lock().detach(),
                _ => {}
            }
        }
        clouds.iter().for_each(Cloud::heal);
        if red.lock().mounts().is_empty() {
            red.lock().mount(&at);
        }
        let healed = Instant::now();
        let online = || states(&home).iter().all(|(_, state)| state == "online");
        while !online() && healed.elapsed() < TRUE_AGAIN + SLACK {
            std::thread::sleep(Duration::from_millis(20));
        }
        let took = healed.elapsed();
        eprintln!("status is true after {took:?}");
        ended.store(true, Ordering::Relaxed);
        assert!(online(), "{:#?}", states(&home));
    });
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    eprintln!(
        "copies: {}, refused {}; played: {}, wholly or partly silent {}, lies {}",
        of(&tally.copies),
        of(&tally.refused),
        of(&tally.played),
        of(&tally.silent),
        of(&tally.lies)
    );
    assert!(of(&tally.refused) > 0 && of(&tally.silent) > 0, "no storm");

    let begun = Instant::now();
    while !all_true() {
        if begun.elapsed() > AS_BEFORE {
            panic!("these do not come: {:#?}", not_true(&home, &sounds));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    eprintln!("all sounds are there after {:?}", begun.elapsed());
    let begun = Instant::now();
    let mut more = vec!["not looked at yet".to_owned()];
    while !more.is_empty() && begun.elapsed() < AS_BEFORE {
        std::thread::sleep(Duration::from_millis(500));
        more = Holds::now(drive.pid()).more_than(&before);
    }
    assert!(more.is_empty(), "the daemon holds more: {more:#?}");
    let kib = kib_in_memory(drive.pid());
    eprintln!(
        "as before after {:?}; {kib_before} KiB, now {kib}",
        begun.elapsed()
    );
    assert!(
        kib <= kib_before + MORE_MEMORY,
        "{kib} KiB, before {kib_before}"
    );
    assert_eq!(warnings(&home), warned_before);
    is_clean(&home);
}
