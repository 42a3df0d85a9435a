//! Promise 1 in numbers: thousands of requests of players while the source hangs, and 64 streams that hang beside one
//! that does not.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::holds::Holds;
use crate::scene::{
    Control, Latencies, PLAYER_BOUND, Sound, cloud, configure, in_root, mount, read_timed,
};
use crate::support::cloud::{Fault, Op};
use crate::support::players::{Class, Content, How, Outcome, Running, compare};
use crate::support::{Home, wait_until};

/// Requests that are measured; more where `MEDIAFS_FAULTS_REQUESTS` says so.
const REQUESTS: usize = 10_000;
const STREAMS: u32 = 64;
const COPIERS: u32 = 8;
/// How long the daemon may take to be as it was.
const AS_BEFORE: Duration = Duration::from_secs(60);

fn requests() -> usize {
    let wanted = std::env::var("MEDIAFS_FAULTS_REQUESTS");
    wanted.map_or(REQUESTS, |wanted| wanted.parse().expect("a number"))
}

/// Players that open and read all sounds of a cloud again and again while `fault` is on its reads.
fn players_are_answered_in_time(fault: Fault) {
    const PLAYERS: usize = 2;
    const SOUNDS: u32 = 40;
    let home = Home::new();
    let wrong = cloud(&home, "wrong");
    let sounds: Vec<Sound> = (0..SOUNDS).map(|n| Sound::new(50_000, n)).collect();
    for (n, sound) in sounds.iter().enumerate() {
        wrong.put(format!("{n}.wav"), (*sound.bytes).clone());
    }
    let _drive = mount(&home, &[wrong.mount_point()]);
    home.wait_for_items(sounds.len());

    let injected = wrong.inject(fault.on(Op::READ));
    let folder = home.on_drive(".as/player").join(in_root("wrong", ""));
    let wanted = requests();
    let control = Control::start();
    let done = AtomicUsize::new(0);
    let mut latencies = Latencies::default();
    std::thread::scope(|scope| {
        let play = |player: usize| {
            let mut latencies = Latencies::default();
            let mut n = player;
            while done.load(Ordering::Relaxed) < wanted {
                let sound = &sounds[n % sounds.len()];
                let path = folder.join(format!("{}.wav", n % sounds.len()));
                let before = latencies.count();
                let read = read_timed(&path, &mut latencies).unwrap();
                assert_eq!(read.len(), sound.bytes.len());
                assert_ne!(compare(&read, 0, sound.truth()), Content::Wrong);
                done.fetch_add(latencies.count() - before, Ordering::Relaxed);
                n += PLAYERS;
                // As one who plays; a loop without rest would measure itself.
                std::thread::sleep(Duration::from_millis(1));
            }
            latencies
        };
        let players: Vec<_> = (0..PLAYERS)
            .map(|player| scope.spawn(move || play(player)))
            .collect();
        for player in players {
            latencies.extend(&player.join().unwrap());
        }
    });
    let late = control.stop();
    eprintln!("{fault:?}: {latencies}; the machine was late by up to {late:?}");
    assert!(wrong.hits(injected) > 0, "nobody met the fault");
    assert!(latencies.count() >= wanted);
    let (most, worst) = (latencies.permille(999), latencies.worst());
    assert!(most <= PLAYER_BOUND, "p99.9 is {most:?}");
    assert!(worst <= PLAYER_BOUND + late, "the worst is {worst:?}");
}

#[test]
fn players_are_answered_in_time_while_a_source_hangs() {
    players_are_answered_in_time(Fault::Hung);
}

/// Who has waited in vain waits no more before the source has answered; this one always does, and always too late.
#[test]
fn players_are_answered_in_time_while_a_source_is_slow() {
    players_are_answered_in_time(Fault::Slow {
        latency: Duration::from_millis(60),
        bytes_per_second: 100_000,
    });
}

/// Plays a sound of a healthy source and one of trusted storage for a while, in small pieces and from the beginning again
/// and again: what its requests took, of both.
fn play_beside(paths: &[(PathBuf, Sound)], time: Duration) -> Vec<Latencies> {
    const PIECE: usize = 4096;
    let begun = Instant::now();
    let mut all = vec![Latencies::default(); paths.len()];
    let mut piece = vec![0; PIECE];
    while begun.elapsed() < time {
        for ((path, sound), latencies) in paths.iter().zip(&mut all) {
            let opening = Instant::now();
            let file = std::fs::File::open(path).unwrap();
            latencies.add(opening.elapsed());
            for at in (0..sound.bytes.len()).step_by(PIECE).take(16) {
                let reading = Instant::now();
                let read = file.read_at(&mut piece, at as u64).unwrap();
                latencies.add(reading.elapsed());
                assert_eq!(piece[..read], sound.bytes[at..at + read]);
                std::thread::sleep(Duration::from_micros(500));
            }
        }
    }
    all
}

#[test]
fn streams_that_hang_hold_up_nobody_and_leave_nothing_behind() {
    const QUIET: Duration = Duration::from_secs(4);
    let home = Home::new();
    configure(&home, "[deadlines]\ncopier_seconds = 6\n");
    let (hangs, well) = (cloud(&home, "hangs"), cloud(&home, "well"));
    let sounds: Vec<Sound> = (0..STREAMS + COPIERS)
        .map(|n| Sound::new(30_000, n))
        .collect();
    for (n, sound) in sounds.iter().enumerate() {
        hangs.put(format!("{n}.wav"), (*sound.bytes).clone());
    }
    let (healthy, trusted) = (Sound::new(2_000_000, 1000), Sound::new(50_000, 1001));
    well.put("kick.wav", (*healthy.bytes).clone());
    std::fs::write(home.library().join("own.wav"), &*trusted.bytes).unwrap();
    let roots = [hangs.mount_point(), well.mount_point(), &home.library()];
    let drive = mount(&home, &roots);
    home.wait_for_items(sounds.len() + 2);
    let player = home.on_drive(".as/player");
    let beside = [
        (player.join(in_root("well", "kick.wav")), healthy.clone()),
        (player.join(in_root("library", "own.wav")), trusted),
    ];
    // A stream as long as it is not whole, which takes half a minute.
    let slow = Fault::Slow {
        latency: Duration::from_millis(2),
        bytes_per_second: 300_000,
    };
    let rest = well.inject(slow.on(Op::READ).beyond(512 << 10));
    wait_until(Duration::from_secs(10), "the beginning of a stream", || {
        let mut beginning = vec![0; 64 << 10];
        let file = std::fs::File::open(&beside[0].0);
        file.and_then(|mut file| file.read_exact(&mut beginning))
            .unwrap();
        beginning == healthy.bytes[..64 << 10]
    });
    let quiet = play_beside(&beside, QUIET);
    // What was started for the first sounds goes when nobody needs it.
    std::thread::sleep(Duration::from_secs(6));
    let before = Holds::now(drive.pid());

    let hung = hangs.inject(Fault::Hung.on(Op::READ));
    let begin = |class: Class, n: u32| -> Running {
        let path = in_root("hangs", format!("{n}.wav"));
        class
            .uses(How::Read, &home.mount_point(), path)
            .chunk(32 << 10)
            // They are held open all the while.
            .pause(Duration::from_millis(1500))
            .within(Duration::from_secs(30))
            .start()
    };
    let control = Control::start();
    // One after the other, or they would measure each other's start.
    let start = |class: Class, n: u32| {
        let mut running = begin(class, n);
        running.wait_for_request();
        (n, running)
    };
    let players: Vec<_> = (0..STREAMS).map(|n| start(Class::Player, n)).collect();
    let copiers: Vec<_> = (STREAMS..STREAMS + COPIERS)
        .map(|n| start(Class::Copier, n))
        .collect();
    hangs.wait_for_hit(hung);
    let busy = play_beside(&beside, QUIET);
    let mut seen_by_players = Latencies::default();
    for (n, running) in players {
        let seen = running.see(sounds[n as usize].truth());
        assert_eq!(seen.outcome, Outcome::Silence, "{:?}", seen.requests);
        seen.requests
            .iter()
            .for_each(|r| seen_by_players.add(r.took));
    }
    let mut errors = BTreeSet::new();
    for (n, running) in copiers {
        let seen = running.see(sounds[n as usize].truth());
        assert!(
            seen.bytes.is_empty(),
            "a copier was given {:?}",
            seen.content
        );
        let Outcome::Errno(errno) = seen.outcome else {
            panic!("a copier saw {:?}", seen.outcome);
        };
        errors.insert(errno);
    }
    let naps = control.all();
    let late = naps.worst();
    eprintln!("players of what hangs: {seen_by_players}; copiers: errno {errors:?}");
    let most = seen_by_players.permille(990);
    assert!(
        most <= PLAYER_BOUND + late,
        "p99 is {most:?}, late {late:?}"
    );
    for (name, quiet, busy) in [
        ("source", &quiet[0], &busy[0]),
        ("disk", &quiet[1], &busy[1]),
    ] {
        eprintln!("a {name} beside it, quiet: {quiet}\n  with 64 hung streams: {busy}");
    }
    eprintln!("the machine was late by up to {late:?}; before: {before:?}");
    for (quiet, busy) in quiet.iter().zip(&busy) {
        // What the machine is late by it is late by twice: when who asks wakes, and when who answers does.
        let most = (quiet.permille(990) + naps.permille(990)) * 2;
        let now = busy.permille(990);
        assert!(now <= most, "p99 {now:?}, quiet {:?}", quiet.permille(990));
        assert!(busy.worst() <= PLAYER_BOUND + late, "{busy}");
    }

    hangs.heal();
    well.lift(rest);
    let copied = |n: usize| std::fs::read(home.on_drive(in_root("hangs", format!("{n}.wav"))));
    wait_until(AS_BEFORE, "all sounds to come", || {
        (0..sounds.len()).all(|n| copied(n).is_ok_and(|bytes| bytes == *sounds[n].bytes))
    });
    let begun = Instant::now();
    let mut more = vec!["not looked at yet".to_owned()];
    while !more.is_empty() && begun.elapsed() < AS_BEFORE {
        std::thread::sleep(Duration::from_millis(500));
        more = Holds::now(drive.pid()).more_than(&before);
    }
    assert!(more.is_empty(), "the daemon holds more: {more:#?}");
    eprintln!("as before after {:?}", begun.elapsed());
    is_clean(&home);
}

/// `cache verify` and `doctor` find nothing wrong.
pub fn is_clean(home: &Home) {
    let verified = home.json(["cache", "verify"]);
    assert_eq!(
        verified["damaged"].as_array().map_or(0, Vec::len),
        0,
        "{verified}"
    );
    let found = home.command(["doctor", "--json"]).output().unwrap();
    let found: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    let bad: Vec<_> = found
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["state"] == "fail")
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn a_source_that_has_become_slow_brings_all_the_same() {
    let home = Home::new();
    let cloud = cloud(&home, "slow");
    let sounds = [Sound::new(1_500_000, 1), Sound::new(400_000, 2)];
    for (n, sound) in sounds.iter().enumerate() {
        cloud.put(format!("{n}.wav"), (*sound.bytes).clone());
    }
    let _drive = mount(&home, &[cloud.mount_point()]);
    home.wait_for_items(sounds.len());
    let path = |n: usize| home.on_drive(in_root("slow", format!("{n}.wav")));
    // So fast at first that much is asked for at a time.
    assert_eq!(std::fs::read(path(0)).unwrap(), *sounds[0].bytes);
    let slow = Fault::Slow {
        latency: Duration::from_millis(50),
        bytes_per_second: 50_000,
    };
    let slow = cloud.inject(slow.on(Op::READ));
    home.run([Path::new("hydrate"), &path(1)]);
    let begun = Instant::now();
    wait_until(Duration::from_secs(75), "all of it", || {
        home.item("1.wav")["playable"] == "bytes"
    });
    assert!(cloud.hits(slow) > 0);
    eprintln!("1.6 MB at 50 kB/s came in {:?}", begun.elapsed());
    assert_eq!(std::fs::read(path(1)).unwrap(), *sounds[1].bytes);
}

#[test]
fn a_file_that_hangs_does_not_take_its_source_away() {
    let home = Home::new();
    configure(&home, "[deadlines]\ncopier_seconds = 4\n");
    let cloud = cloud(&home, "cloud");
    let sounds = [Sound::new(50_000, 1), Sound::new(50_000, 2)];
    for (n, sound) in sounds.iter().enumerate() {
        cloud.put(format!("{n}.wav"), (*sound.bytes).clone());
    }
    let drive = mount(&home, &[cloud.mount_point()]);
    home.wait_for_items(sounds.len());
    let hung = cloud.inject(Fault::Hung.on(Op::READ).of("0.wav"));
    let path = |n: usize| home.on_drive(in_root("cloud", format!("{n}.wav")));
    home.run([Path::new("hydrate"), &path(0)]);
    cloud.wait_for_hit(hung);
    // It is tried again once; then only the file is given up. All the while its source is there.
    wait_until(
        Duration::from_secs(2 * 12 + 5 + 10),
        "the file to be given up",
        || {
            assert_eq!(home.item("1.wav")["availability"], "external-online");
            let tasks = home.json(["tasks"]);
            tasks.as_array().is_some_and(|tasks| {
                tasks
                    .iter()
                    .all(|task| task["state"] != "running" && task["state"] != "waiting")
            })
        },
    );
    let met = cloud.hits(hung);
    wait_until(Duration::from_secs(15), "its neighbour", || {
        std::fs::read(path(1)).is_ok_and(|bytes| bytes == *sounds[1].bytes)
    });
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(15) {
        assert!(std::fs::read(path(0)).is_err());
        assert_eq!(home.item("0.wav")["availability"], "external-online");
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(cloud.hits(hung), met, "it is asked no more");
    let children = Holds::now(drive.pid()).children;
    assert!(children <= 4, "{children} processes are left");
}

#[test]
fn a_cloud_without_its_network_is_there_again_when_that_is() {
    /// What `status` promises, and what a debug build on a busy machine adds.
    const TRUE_AGAIN: Duration = Duration::from_secs(2 + 2);
    let home = Home::new();
    configure(&home, "[deadlines]\ncopier_seconds = 4\n");
    let cloud = cloud(&home, "cloud");
    let sounds = [Sound::new(50_000, 1), Sound::new(50_000, 2)];
    for (n, sound) in sounds.iter().enumerate() {
        cloud.put(format!("{n}.wav"), (*sound.bytes).clone());
    }
    let _drive = mount(&home, &[cloud.mount_point()]);
    home.wait_for_items(sounds.len());
    let state = || home.json(["volumes"])["volumes"][0]["state"].clone();
    let path = |n: usize| home.on_drive(in_root("cloud", format!("{n}.wav")));
    for (n, seconds) in [(0, 17), (1, 4)] {
        // What it lists is there as ever; only reads tell.
        let down = cloud.inject(Fault::Offline.on(Op::READ));
        let refused = std::fs::read(path(n)).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(Errno::NOMEDIUM.raw_os_error()));
        // What the kernel and the daemon had asked for by then still comes to its end.
        std::thread::sleep(Duration::from_secs(1));
        let met = cloud.hits(down);
        let begun = Instant::now();
        assert_eq!(state(), "suspended");
        // Nobody wants anything of it, for longer than anybody waits.
        std::thread::sleep(Duration::from_secs(seconds));
        assert_eq!(state(), "suspended");
        let tries = cloud.hits(down) - met;
        let took = begun.elapsed();
        let expected = seconds / 2..=took.as_secs() + 2;
        assert!(expected.contains(&tries), "{tries} in {took:?}");
        cloud.heal();
        let begun = Instant::now();
        wait_until(TRUE_AGAIN, "status to be true", || state() == "online");
        eprintln!("online {:?} after it was", begun.elapsed());
        std::thread::sleep(Duration::from_secs(2));
        let reads = cloud.counts().reads;
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(cloud.counts().reads, reads, "it is tried no more");
        assert_eq!(std::fs::read(path(n)).unwrap(), *sounds[n].bytes);
    }
}
