//! Streams: what has arrived, and silence where it came too late.

use std::time::{Duration, Instant};

use mediafs::config::Deadlines;
use mediafs::model::SourceKind;
use mediafs::tree::class::Class;
use mediafs::tree::node::Face;
use mediafs_cache::StoreOptions;
use mediafs_platform::drive::{Answer, Drive, DriveError};

use super::courier::Manner;
use super::noise::{silent_wav, wav};
use super::programs::Program;
use super::world::{DEADLINES, File, Known, Place, World};

/// A source reads from its files in such pieces at first, where nobody waits for more.
const PIECE: u64 = 256 << 10;
const SOUND: u32 = 1 << 20;

fn large(world: &World, bits: u16) -> (Place, File) {
    let at = world.source(SourceKind::Volume);
    let bytes = wav(bits, SOUND, u64::from(bits));
    let file = world.put(at, "large.wav", &bytes, Known::Facts);
    (at, file)
}

/// The first piece has arrived, and no more comes.
fn in_part(world: &World, at: Place, file: &File) {
    world.be(at, Manner::AnswersTo(PIECE));
    let handle = world.open(file, Class::Player).unwrap();
    world.settle(|| {
        let tasks = world.hydrator.tasks();
        tasks.iter().any(|task| task.arrived >= PIECE)
    });
    world.close(handle);
}

fn arrived(world: &World, file: &File) -> usize {
    let tasks = world.hydrator.tasks();
    let task = tasks.iter().rev().find(|t| t.wanted.place == file.place);
    usize::try_from(task.unwrap().arrived).unwrap()
}

#[test]
fn late_ranges_are_what_the_placeholder_has_there() {
    for bits in [8, 16, 24] {
        let world = World::new();
        let at = world.source(SourceKind::Volume);
        let bytes = wav(bits, 6 << 16, 3);
        let file = world.put(at, "kick.wav", &bytes, Known::Facts);
        world.be(at, Manner::Hangs);
        let handle = world.open(&file, Class::Player).unwrap();
        assert_eq!(handle.face(), Some(Face::Stream));
        let read = world.read_all_by(&handle, 10_007).unwrap();
        assert_eq!(read, silent_wav(bits, &bytes), "{bits} bits");
        assert_eq!(read, world.silence(&file));
        world.close(handle);
        world.nothing_is_left();
    }
}

#[test]
fn what_was_silence_stays_silence_and_what_was_sound_stays_sound() {
    let world = World::new();
    let (at, file) = large(&world, 8);
    let silence = silent_wav(8, &file.bytes);
    in_part(&world, at, &file);
    let here = arrived(&world, &file);

    let one = world.open(&file, Class::Player).unwrap();
    let other = world.open(&file, Class::Player).unwrap();
    assert_eq!(one.entry.node, other.entry.node);
    let start = here - 1000;
    let mixed = world.read(&one, start as u64, 2000).unwrap();
    assert!(
        mixed[..1000] == file.bytes[start..here],
        "what has arrived is heard"
    );
    assert!(mixed[1000..] == silence[here..here + 1000]);

    world.be(at, Manner::Answers);
    world.settle(|| world.is_known_to_be_cached(&file));
    for handle in [&one, &other] {
        let all = world.read_all_by(handle, 77_777).unwrap();
        assert!(all[..here] == file.bytes[..here]);
        assert!(all[here..here + 1000] == silence[here..here + 1000]);
        assert!(
            all[here + 1000..] == file.bytes[here + 1000..],
            "it reads on"
        );
    }
    world.close(one);
    world.close(other);
    world.nothing_is_left();
}

#[test]
fn new_opens_get_another_node_once_one_is_spoiled() {
    let world = World::new();
    let (at, file) = large(&world, 16);
    in_part(&world, at, &file);
    let here = arrived(&world, &file);
    let spoiled = world.open(&file, Class::Player).unwrap();
    let before = world.lookup_as(&file, Class::Player).unwrap();
    assert_eq!(before.node, spoiled.entry.node);
    world.read(&spoiled, here as u64, 1000).unwrap();

    let fresh = world.open(&file, Class::Player).unwrap();
    assert_ne!(fresh.entry.node, spoiled.entry.node);
    assert_eq!(
        fresh.entry.attributes.inode, spoiled.entry.attributes.inode,
        "programs see one inode"
    );
    // Who looked it up just before it was spoiled opens what the others have open.
    let late = world.open_node(before, &spoiled.by).unwrap();
    assert_eq!(
        world.read(&late, here as u64, 1000).unwrap(),
        world.read(&spoiled, here as u64, 1000).unwrap()
    );

    // It begins with what has arrived by then.
    assert_eq!(world.read(&fresh, 0, 4096).unwrap()[..], file.bytes[..4096]);
    world.be(at, Manner::Answers);
    world.settle(|| arrived(&world, &file) == file.bytes.len());
    assert!(world.read_all(&fresh).unwrap() == file.bytes);
    let silence = world.read(&spoiled, here as u64, 1000).unwrap();
    assert!(silence.iter().all(|byte| *byte == 0));
    for handle in [spoiled, fresh, late] {
        world.close(handle);
    }
    world.nothing_is_left();
}

/// However often it is spoiled, an open handle's node is given to no other content.
#[test]
fn numbers_of_open_nodes_are_not_used_again() {
    let world = World::new();
    let at = world.source(SourceKind::Volume);
    let file = world.put(at, "kick.wav", &wav(16, 600, 3), Known::Facts);
    world.be(at, Manner::Hangs);
    let first = world.open(&file, Class::Player).unwrap();
    world.read(&first, 0, 100).unwrap();
    for _ in 0..300 {
        let handle = world.open(&file, Class::Player).unwrap();
        assert_ne!(handle.entry.node, first.entry.node);
        world.read(&handle, 0, 100).unwrap();
        world.close(handle);
    }
    world.close(first);
    world.nothing_is_left();
}

/// Many players that open one sound of a source that hangs spoil its nodes under each other's hands.
#[test]
fn no_player_gets_an_error_however_many_there_are() {
    let world = World::new();
    let at = world.source(SourceKind::Volume);
    let file = world.put(at, "kick.wav", &wav(16, 600, 3), Known::Facts);
    world.be(at, Manner::Hangs);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let handle = world.open(&file, Class::Player).unwrap();
                    let read = world.read(&handle, 44, 100).unwrap();
                    assert!(read.iter().all(|byte| *byte == 0));
                    world.close(handle);
                }
            });
        }
    });
    world.nothing_is_left();
}

/// So long that who does not wait is told from who does on any machine.
const LONG: Duration = Duration::from_millis(250);

fn long() -> World {
    let deadlines = Deadlines {
        player: LONG,
        ..DEADLINES
    };
    World::with(deadlines, StoreOptions::default())
}

#[test]
fn a_player_waits_its_deadline_and_no_longer() {
    let slack = Duration::from_millis(30);
    let world = World::new();
    let at = world.source(SourceKind::Volume);
    world.be(at, Manner::Hangs);
    let file = world.put(at, "a.wav", &wav(16, 60_000, 1), Known::Facts);
    // On a machine that is busy with other tests any one of them may take longer.
    let shortest = (0..5).map(|_| {
        world.bringing.answered(at.source);
        let handle = world.open(&file, Class::Player).unwrap();
        let begun = Instant::now();
        world.read(&handle, 44, 4096).unwrap();
        let took = begun.elapsed();
        world.close(handle);
        took
    });
    let shortest = shortest.min().unwrap();
    let deadline = DEADLINES.player;
    assert!(
        shortest >= deadline && shortest < deadline + slack,
        "{shortest:?}"
    );
}

#[test]
fn a_process_waits_for_a_source_once_until_that_answers() {
    let world = long();
    let (at, other) = (
        world.source(SourceKind::Volume),
        world.source(SourceKind::Volume),
    );
    world.be(at, Manner::Hangs);
    world.be(other, Manner::Hangs);
    let put = |at, seed| {
        let name = format!("{seed}.wav");
        world.put(at, &name, &wav(16, 60_000, seed), Known::Facts)
    };
    let (one, two, elsewhere) = (put(at, 1), put(at, 2), put(other, 3));
    let us = Program::registered(&world, Class::Player);
    let them = Program::registered(&world, Class::Player);
    let waits = |file: &File, program: &Program| {
        let handle = world.open_by_id(file, &program.asks()).unwrap();
        let begun = Instant::now();
        let read = world.read(&handle, 44, 4096).unwrap();
        let took = begun.elapsed();
        assert!(read.iter().all(|byte| *byte == 0));
        world.close(handle);
        took >= LONG
    };
    assert!(waits(&one, &us));
    // The budget is this process's, on this source, of whatever sound.
    assert!(!waits(&two, &us));
    assert!(!waits(&one, &us));
    assert!(waits(&one, &them));
    assert!(waits(&elsewhere, &us));
    world.bringing.answered(at.source);
    assert!(waits(&one, &us));
    assert!(!waits(&elsewhere, &us));
    world.nothing_is_left();
}

#[test]
fn a_source_that_answers_again_gives_the_budget_back() {
    let world = long();
    let at = world.source(SourceKind::Volume);
    // So large that one more read is far from all of it.
    let bytes = wav(16, 4 * SOUND, 5);
    let file = world.put(at, "large.wav", &bytes, Known::Facts);
    in_part(&world, at, &file);
    let handle = world.open(&file, Class::Player).unwrap();
    let late = arrived(&world, &file) as u64;
    let took = |offset| {
        let begun = Instant::now();
        world.read(&handle, offset, 100).unwrap();
        begun.elapsed()
    };
    assert!(took(late) >= LONG);
    assert!(took(late + 1000) < LONG);
    // One more piece.
    world.be(at, Manner::AnswersTo(late + 1));
    world.settle(|| arrived(&world, &file) as u64 > late);
    std::thread::sleep(Duration::from_millis(50));
    assert!(took(u64::from(4 * SOUND) - 1000) >= LONG);
    world.close(handle);
}

#[test]
fn a_loader_has_one_patience_for_a_sound() {
    let world = World::new();
    let (at, file) = large(&world, 16);
    world.be(at, Manner::Hangs);
    let handle = world.open(&file, Class::Loader).unwrap();
    let begun = Instant::now();
    let read = world.read_all_by(&handle, 64 << 10).unwrap();
    let took = begun.elapsed();
    assert!(read == world.silence(&file));
    assert!(took >= DEADLINES.loader, "{took:?}");
    assert!(took < DEADLINES.loader * 2, "{took:?}");
    world.close(handle);
}

#[test]
fn a_loader_gets_what_comes_slowly() {
    let deadlines = Deadlines {
        loader: Duration::from_secs(20),
        ..DEADLINES
    };
    let world = World::with(deadlines, StoreOptions::default());
    let (at, file) = large(&world, 16);
    world.be(at, Manner::Slow(Duration::from_millis(60)));
    let handle = world.open(&file, Class::Loader).unwrap();
    assert!(world.read_all(&handle).unwrap() == file.bytes);
    world.close(handle);
}

#[test]
fn a_source_that_hangs_holds_up_no_other() {
    let world = World::new();
    let (bad, good) = (
        world.source(SourceKind::Network),
        world.source(SourceKind::Volume),
    );
    world.be(bad, Manner::Hangs);
    let stuck: Vec<_> = (0..40)
        .map(|seed| {
            let name = format!("{seed}.wav");
            let file = world.put(bad, &name, &wav(16, 600, seed), Known::Facts);
            world.open(&file, Class::Copier).unwrap()
        })
        .collect();
    let waiting: Vec<_> = stuck
        .iter()
        .map(|handle| {
            let answer = world.drive.read(handle.handle, 0, 100, &handle.by);
            match answer {
                Answer::Later(later) => world.runtime.spawn(later),
                other => panic!("{other:?}"),
            }
        })
        .collect();
    for seed in 100..120 {
        let name = format!("{seed}.wav");
        let file = world.put(good, &name, &wav(16, 600, seed), Known::Facts);
        let copier = world.open(&file, Class::Copier).unwrap();
        let begun = Instant::now();
        assert_eq!(world.read_all(&copier).unwrap(), file.bytes);
        assert!(begun.elapsed() < DEADLINES.copier);
        world.close(copier);
    }
    for waits in waiting {
        let late = world.runtime.block_on(waits).unwrap();
        assert_eq!(late, Err(DriveError::TimedOut));
    }
    for handle in stuck {
        world.close(handle);
    }
    world.nothing_is_left();
}

/// It is on its way, and silence meanwhile, whatever the failure is.
#[test]
fn a_player_gets_silence_for_every_failure() {
    for manner in [
        Manner::Offline,
        Manner::Hung,
        Manner::Short,
        Manner::Gone,
        Manner::Hangs,
    ] {
        let world = World::new();
        let at = world.source(SourceKind::Volume);
        let file = world.put(at, "kick.wav", &wav(16, 60_000, 4), Known::Facts);
        world.be(at, manner.clone());
        for class in [Class::Player, Class::Loader] {
            let handle = world.open(&file, class).unwrap();
            assert_eq!(
                world.read_all(&handle).unwrap(),
                world.silence(&file),
                "{manner:?}"
            );
            world.close(handle);
        }
        world.nothing_is_left();
    }
}

/// Who plays on after what brought it had ended gets sound again, without opening it anew.
#[test]
fn a_stream_that_ended_begins_anew_for_who_reads_on() {
    let world = World::new();
    let at = world.source(SourceKind::Volume);
    let file = world.put(at, "a.wav", &wav(16, 1 << 20, 1), Known::Facts);
    world.be(at, Manner::AnswersTo(1));
    let handle = world.open(&file, Class::Player).unwrap();
    world.settle(|| arrived(&world, &file) > 0);
    let task = world.hydrator.tasks().last().unwrap().id;
    assert!(world.hydrator.cancel(task));
    world.be(at, Manner::Answers);
    std::thread::sleep(Duration::from_millis(1100));
    world.read(&handle, 500_000, 1000).unwrap();
    world.settle(|| world.is_known_to_be_cached(&file));
    assert!(world.read(&handle, 600_000, 1000).unwrap()[..] == file.bytes[600_000..601_000]);
    world.close(handle);
    world.nothing_is_left();
}

/// Bytes that turned out to be others are thrown away. Who has heard them is told so; who opens the sound then is not.
#[test]
fn what_was_shown_and_is_lost_is_an_error_to_nobody_who_comes_later() {
    let deadlines = Deadlines {
        player: Duration::from_secs(2),
        ..DEADLINES
    };
    let world = World::with(deadlines, StoreOptions::default());
    let at = world.source(SourceKind::Volume);
    let file = world.put(at, "a.wav", &wav(16, 1 << 20, 1), Known::Facts);
    world.know_hash(&file);
    world.be(at, Manner::Lies);
    let first = world.open(&file, Class::Player).unwrap();
    let heard = world.read(&first, 0, 1000).unwrap();
    assert!(heard[44..] != world.silence(&file)[44..1000]);
    world.settle(|| world.hydrator.task_of(&world.wanted(&file)).is_none());
    world.be(at, Manner::Hangs);
    assert_eq!(world.read(&first, 0, 1000), Err(DriveError::Io));
    let later = world.open(&file, Class::Player).unwrap();
    assert_ne!(first.entry.node, later.entry.node);
    assert!(world.read(&later, 0, 1000).is_ok());
    world.close(first);
    world.close(later);
    world.nothing_is_left();
}
