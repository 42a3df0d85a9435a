//! Who waits for the true bytes: copiers, file managers, and whoever opens what no silence is known of.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mediafs::config::Deadlines;
use mediafs::hydrate::Why;
use mediafs::model::{ObjectHash, SourceKind};
use mediafs::tree::class::Class;
use mediafs::tree::node::Face;
use mediafs_cache::StoreOptions;
use mediafs_platform::drive::{Answer, Content, Drive, DriveError, Requester};

use super::courier::Manner;
use super::noise::wav;
use super::programs::Program;
use super::world::{DEADLINES, Known, World};

const PATIENT: Deadlines = Deadlines {
    copier: Duration::from_secs(30),
    ..DEADLINES
};

fn patient() -> World {
    World::with(PATIENT, StoreOptions::default())
}

#[test]
fn a_copier_waits_while_it_comes() {
    let world = patient();
    let at = world.source(SourceKind::Network);
    let file = world.put(at, "a.wav", &wav(16, 1 << 20, 1), Known::Facts);
    world.be(at, Manner::Slow(Duration::from_millis(50)));
    let handle = world.open(&file, Class::Copier).unwrap();
    assert!(world.read_all(&handle).unwrap() == file.bytes);
    world.close(handle);
    world.nothing_is_left();
}

#[test]
fn a_copier_waits_no_longer_than_its_deadline() {
    for known_hash in [false, true] {
        let world = World::new();
        let at = world.source(SourceKind::Network);
        let file = world.put(at, "a.wav", &wav(16, 60_000, 1), Known::Facts);
        if known_hash {
            world.know_hash(&file);
        }
        world.be(at, Manner::Hangs);
        let handle = world.open(&file, Class::Copier).unwrap();
        for offset in [0, 59_000] {
            let begun = Instant::now();
            assert_eq!(world.read(&handle, offset, 4096), Err(DriveError::TimedOut));
            let took = begun.elapsed();
            assert!(took >= DEADLINES.copier, "{took:?}");
            assert!(
                took < DEADLINES.copier + Duration::from_millis(300),
                "{took:?}"
            );
        }
        // Nothing is lost by that: it reads on when it comes.
        world.be(at, Manner::Answers);
        assert!(world.read_all(&handle).unwrap() == file.bytes);
        world.close(handle);
        world.nothing_is_left();
    }
}

/// What was cancelled, or failed, is brought anew for who goes on reading.
#[test]
fn a_copier_that_reads_on_begins_anew() {
    let world = patient();
    let at = world.source(SourceKind::Network);
    let file = world.put(at, "a.wav", &wav(16, 1 << 20, 1), Known::Facts);
    world.be(at, Manner::AnswersTo(1));
    let handle = world.open(&file, Class::Copier).unwrap();
    assert!(world.read(&handle, 0, 1000).unwrap()[..] == file.bytes[..1000]);
    let task = world.hydrator.tasks().last().unwrap().id;
    assert!(world.hydrator.cancel(task));
    world.be(at, Manner::Answers);
    assert!(world.read_all(&handle).unwrap() == file.bytes);
    world.close(handle);
    world.nothing_is_left();
}

#[test]
fn who_is_told_to_end_is_not_held() {
    let world = patient();
    let at = world.source(SourceKind::Network);
    let sound = world.put(at, "a.wav", &wav(16, 60_000, 1), Known::Facts);
    let unread = world.put(at, "b.wav", &wav(16, 60_000, 2), Known::Name);
    world.be(at, Manner::Hangs);
    for file in [&sound, &unread] {
        // It ignores nothing and blocks nothing, so the signal ends it.
        let (program, arguments) = if cfg!(windows) {
            ("cmd", ["/c", "set /p line="])
        } else {
            ("sh", ["-c", "read line"])
        };
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let by = Requester {
            thread: Some(child.id()),
            ..super::programs::NOBODY
        };
        let handle = world
            .open_path(
                &[".as", "copier", "library", &file.library, &file.name],
                &by,
            )
            .unwrap();
        let Answer::Later(read) = world.drive.read(handle.handle, 0, 100, &by) else {
            panic!("nothing has come");
        };
        let read = world.runtime.spawn(read);
        std::thread::sleep(Duration::from_millis(50));
        assert!(!read.is_finished());
        if cfg!(windows) {
            child.kill().unwrap();
        } else {
            mediafs_platform::this_process::ask_to_end(child.id()).unwrap();
        }
        child.wait().unwrap();
        let begun = Instant::now();
        assert_eq!(
            world.runtime.block_on(read).unwrap(),
            Err(DriveError::Interrupted)
        );
        assert!(begun.elapsed() < Duration::from_secs(2));
        world.close(handle);
    }
    world.nothing_is_left();
}

#[test]
fn a_copier_never_gets_the_end_of_other_bytes() {
    let world = patient();
    let at = world.source(SourceKind::Cloud);
    let size = 600_000;
    for length in [4096, 128 << 10, 1 << 20] {
        let name = format!("{length}.wav");
        let file = world.put(at, &name, &wav(16, size, u64::from(length)), Known::Facts);
        world.know_hash(&file);
        world.be(at, Manner::Lies);
        let handle = world.open(&file, Class::Copier).unwrap();
        let copied = world.read_all_by(&handle, length);
        assert_eq!(copied, Err(DriveError::Io));
        let end = world.read(&handle, u64::from(size) - 10, 100);
        assert_eq!(end, Err(DriveError::Io));
        world.close(handle);
        // The bytes that were recorded are there again.
        world.be(at, Manner::Answers);
        let handle = world.open(&file, Class::Copier).unwrap();
        assert!(world.read_all_by(&handle, length).unwrap() == file.bytes);
        world.close(handle);
    }
    world.nothing_is_left();
}

#[test]
fn the_end_comes_once_all_is_known_to_be_right() {
    let world = patient();
    let at = world.source(SourceKind::Cloud);
    let file = world.put(at, "a.wav", &wav(16, 1 << 20, 1), Known::Facts);
    world.know_hash(&file);
    let handle = world.open(&file, Class::Copier).unwrap();
    let end = world.read(&handle, (1 << 20) - 1000, 10_000).unwrap();
    assert!(end[..] == file.bytes[(1 << 20) - 1000..]);
    world.close(handle);
    world.nothing_is_left();
}

#[test]
fn a_file_of_another_size_is_an_error() {
    for manner in [Manner::Short, Manner::Gone] {
        let world = patient();
        let at = world.source(SourceKind::Volume);
        let file = world.put(at, "a.wav", &wav(16, 60_000, 1), Known::Facts);
        world.be(at, manner.clone());
        let handle = world.open(&file, Class::Copier).unwrap();
        let expected = if manner == Manner::Gone {
            DriveError::Missing
        } else {
            DriveError::Io
        };
        assert_eq!(world.read_all(&handle), Err(expected));
        world.close(handle);
    }
    let world = patient();
    let at = world.source(SourceKind::Volume);
    let file = world.put(at, "a.wav", &wav(16, 60_000, 1), Known::Facts);
    world.has(file.place, &wav(16, 70_000, 1));
    let handle = world.open(&file, Class::Copier).unwrap();
    assert_eq!(world.read_all(&handle), Err(DriveError::Io));
    world.close(handle);
    world.nothing_is_left();
}

#[test]
fn a_full_cache_is_an_error_for_copiers_and_none_to_players() {
    let options = StoreOptions {
        quota: Some(100_000),
        ..StoreOptions::default()
    };
    let deadlines = Deadlines {
        player: Duration::from_secs(10),
        ..PATIENT
    };
    let world = World::with(deadlines, options);
    let at = world.source(SourceKind::Volume);
    let file = world.put(at, "a.wav", &wav(16, 600_000, 1), Known::Facts);
    let copier = world.open(&file, Class::Copier).unwrap();
    assert_eq!(world.read(&copier, 0, 100), Err(DriveError::NoSpace));
    let player = world.open(&file, Class::Player).unwrap();
    assert!(world.read_all(&player).unwrap() == file.bytes);
    world.close(copier);
    world.close(player);
    world.nothing_is_left();
}

/// 200 hydrations in ten minutes that nobody asked for, then it is enough.
#[test]
fn who_brings_too_much_is_braked() {
    let world = patient();
    let at = world.source(SourceKind::Cloud);
    let greedy = Program::named(&world, "cp");
    let player = Program::named(&world, "unknown");
    let known = Program::registered(&world, Class::Player);
    let files: Vec<_> = (0..201)
        .map(|n| world.put(at, &format!("{n}.wav"), &wav(16, 600, n), Known::Facts))
        .collect();
    for (n, file) in files.iter().enumerate() {
        let handle = world.open_by_id(file, &greedy.asks()).unwrap();
        let read = world.read(&handle, 0, 1000);
        if n < 200 {
            assert!(read.unwrap() == file.bytes);
        } else {
            assert_eq!(read, Err(DriveError::Busy));
        }
        world.close(handle);
    }
    assert_eq!(*world.braked.lock(), [greedy.process().id]);
    // Nobody else is.
    let last = files.last().unwrap();
    let handle = world.open(last, Class::Copier).unwrap();
    assert!(world.read_all(&handle).unwrap() == last.bytes);
    world.close(handle);

    world.bringing.allow(&greedy.process());
    let more = world.put(at, "more.wav", &wav(16, 600, 1000), Known::Facts);
    let handle = world.open_by_id(&more, &greedy.asks()).unwrap();
    assert!(world.read_all(&handle).unwrap() == more.bytes);
    world.close(handle);

    world.be(at, Manner::Hangs);
    let files: Vec<_> = (2000..2201)
        .map(|n| world.put(at, &format!("{n}.wav"), &wav(16, 600, n), Known::Facts))
        .collect();
    for file in &files {
        let handle = world.open_by_id(file, &player.asks()).unwrap();
        assert_eq!(handle.face(), Some(Face::Stream));
        assert_eq!(world.read_all(&handle).unwrap(), world.silence(file));
        world.close(handle);
    }
    assert_eq!(world.braked.lock().len(), 2);
    let last = files.last().unwrap();
    assert_eq!(world.couriers.reads(last.place), 0);
    // Of whom somebody said that it plays, it is asked for: an instrument may have a thousand sounds.
    for file in &files {
        let handle = world.open_by_id(file, &known.asks()).unwrap();
        world.read(&handle, 0, 100).unwrap();
        world.close(handle);
    }
    assert_eq!(world.braked.lock().len(), 2);
    // What it can't bring itself it hears when another brings it.
    let braked = world.open_by_id(last, &player.asks()).unwrap();
    world.be(at, Manner::Answers);
    let other = world.open(last, Class::Player).unwrap();
    assert_eq!(other.face(), Some(Face::Stream));
    world.settle(|| world.is_known_to_be_cached(last));
    assert!(world.read_all(&braked).unwrap() == last.bytes);
    world.close(braked);
    world.close(other);
    world.nothing_is_left();
}

/// What is opened again and again is brought once.
#[test]
fn who_joins_causes_nothing() {
    let world = World::new();
    let at = world.source(SourceKind::Cloud);
    world.be(at, Manner::Hangs);
    let file = world.put(at, "a.wav", &wav(16, 600, 1), Known::Facts);
    let player = Program::registered(&world, Class::Player);
    for _ in 0..300 {
        let handle = world.open_by_id(&file, &player.asks()).unwrap();
        world.read(&handle, 0, 100).unwrap();
        world.close(handle);
    }
    assert!(world.braked.lock().is_empty());
    assert_eq!(world.hydrator.tasks().len(), 1);
}

#[test]
fn sniffing_starts_nothing() {
    let world = patient();
    let at = world.source(SourceKind::Cloud);
    let browser = Program::named(&world, "Thunar");
    for (n, size) in [(1, 20_000), (2, 600_000)] {
        let file = world.put(at, &format!("{n}.wav"), &wav(16, size, n), Known::Facts);
        let handle = world.open_in_library(&file, &browser.asks()).unwrap();
        for _ in 0..3 {
            assert_eq!(world.read(&handle, 0, 4096), Err(DriveError::Busy));
        }
        assert_eq!(world.couriers.reads(file.place), 0);
        assert!(world.hydrator.task_of(&world.wanted(&file)).is_none());
        // A copy by the same program reads more at once.
        let begin = world.read(&handle, 0, 64 << 10).unwrap();
        assert!(begin == file.bytes[..file.bytes.len().min(64 << 10)]);
        assert!(world.read_all_by(&handle, 4096).unwrap() == file.bytes);
        world.close(handle);
    }
    world.nothing_is_left();
}

/// What is no larger than what a file manager reads to know its type may be copied by that read.
#[test]
fn a_file_manager_copies_small_files() {
    let world = patient();
    let at = world.source(SourceKind::Volume);
    let browser = Program::named(&world, "Thunar");
    let sound = world.put(at, "1.wav", &wav(16, 600, 1), Known::Facts);
    let text = world.put(at, "kit.sfz", b"<region> sample=1.wav", Known::NoMedia);
    for file in [&sound, &text] {
        let handle = world.open_in_library(file, &browser.asks()).unwrap();
        assert!(world.read(&handle, 0, 4096).unwrap() == file.bytes);
        world.close(handle);
    }
    world.nothing_is_left();
}

#[test]
fn sniffing_is_answered_from_what_comes_for_another() {
    let world = patient();
    let at = world.source(SourceKind::Cloud);
    let browser = Program::named(&world, "Thunar");
    let file = world.put(at, "a.wav", &wav(16, 1 << 20, 1), Known::Facts);
    world.be(at, Manner::AnswersTo(1));
    let task = world.hydrator.ask(&world.wanted(&file), Why::ByHand);
    world.settle(|| world.hydrator.task(task).unwrap().arrived > 0);
    let handle = world.open_in_library(&file, &browser.asks()).unwrap();
    assert!(world.read(&handle, 0, 4096).unwrap() == file.bytes[..4096]);
    world.close(handle);
    let streams = || world.hydrator.task(task).unwrap().streams;
    world.settle(|| streams() == 0);
    assert!(world.hydrator.cancel(task));
    world.nothing_is_left();
}

#[test]
fn a_sound_without_facts_is_a_wait_for_a_loader_and_never_a_guess_for_a_player() {
    let world = patient();
    let at = world.source(SourceKind::Volume);
    let file = world.put(at, "a.wav", &wav(16, 60_000, 1), Known::Name);
    world.be(at, Manner::Hangs);
    assert_eq!(
        world.open(&file, Class::Player).unwrap_err(),
        DriveError::Missing
    );
    let loader = world.open(&file, Class::Loader).unwrap();
    let begun = Instant::now();
    assert_eq!(world.read(&loader, 0, 100), Err(DriveError::TimedOut));
    assert!(begun.elapsed() < DEADLINES.loader + Duration::from_millis(300));
    world.be(at, Manner::Answers);
    assert!(world.read_all(&loader).unwrap() == file.bytes);
    world.close(loader);
    world.nothing_is_left();
}

/// Whoever plays waits its deadline for what there is no silence of, and not once for each read.
#[test]
fn a_player_is_not_held_by_a_file_that_is_no_media() {
    let world = World::new();
    let at = world.source(SourceKind::Network);
    world.be(at, Manner::Hangs);
    let player = Program::registered(&world, Class::Player);
    let file = world.put(at, "kit.sfz", &[b'x'; 5000], Known::NoMedia);
    let handle = world.open_in_library(&file, &player.asks()).unwrap();
    let took = || {
        let begun = Instant::now();
        assert_eq!(world.read(&handle, 0, 100), Err(DriveError::TimedOut));
        begun.elapsed()
    };
    assert!(took() >= DEADLINES.player);
    assert!((0..5).any(|_| took() < DEADLINES.player / 2));
    world.close(handle);
}

#[test]
fn a_file_that_is_no_media_is_kept_once_it_was_read() {
    let world = patient();
    let at = world.source(SourceKind::Network);
    let file = world.put(at, "kit.sfz", &[b'x'; 5000], Known::NoMedia);
    let handle = world.open(&file, Class::Copier).unwrap();
    assert!(world.read_all(&handle).unwrap() == file.bytes);
    world.settle(|| world.is_known_to_be_cached(&file));
    world.set_state(at, mediafs::model::SourceState::Absent);
    let again = world.open(&file, Class::Indexer).unwrap();
    assert!(world.read_all(&again).unwrap() == file.bytes);
    world.close(handle);
    world.close(again);
    assert_eq!(
        world.evict_soon(ObjectHash(*blake3::hash(&file.bytes).as_bytes())),
        mediafs_cache::Eviction::Evicted
    );
    assert_eq!(
        world.open(&file, Class::Indexer).unwrap_err(),
        DriveError::NotNow
    );
    world.nothing_is_left();
}

/// The kernel refuses a second way of reading a node that is open: so a file that is no media has one, whether it is being
/// waited for, has come, or was evicted.
#[test]
fn a_file_that_is_no_media_is_read_in_one_way() {
    let world = patient();
    let at = world.source(SourceKind::Network);
    let file = world.put(at, "kit.sfz", &[b'x'; 5000], Known::NoMedia);
    let waits = world.open(&file, Class::Copier).unwrap();
    assert!(world.read_all(&waits).unwrap() == file.bytes);
    world.settle(|| world.is_known_to_be_cached(&file));
    let has_come = world.open(&file, Class::Copier).unwrap();
    assert!(world.read_all(&has_come).unwrap() == file.bytes);
    assert_eq!(waits.entry.node, has_come.entry.node);
    for handle in [&waits, &has_come] {
        assert!(matches!(handle.content, Content::Direct { .. }));
    }
    world.close(waits);
    world.close(has_come);
    world.nothing_is_left();
}
