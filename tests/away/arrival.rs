//! When the bytes have come, and when they go again.

use mediafs::model::{Playable, SourceKind, SourceState};
use mediafs::tree::class::Class;
use mediafs::tree::node::Face;
use mediafs_cache::Eviction;
use mediafs_platform::drive::DriveError;

use super::courier::Manner;
use super::noise::{silent_wav, wav};
use super::programs::{NOBODY, Program};
use super::world::{Known, World};

const ALL: [Class; 4] = [Class::Player, Class::Loader, Class::Copier, Class::Indexer];

#[test]
fn new_opens_get_the_bytes_and_old_handles_read_on() {
    let world = World::new();
    let at = world.source(SourceKind::Volume);
    let file = world.put(at, "a.wav", &wav(16, 1 << 20, 1), Known::Facts);
    world.be(at, Manner::Hangs);
    let player = world.open(&file, Class::Player).unwrap();
    let copier = world.open(&file, Class::Copier).unwrap();
    let late = world.read(&player, 1000, 1000).unwrap();
    assert!(late.iter().all(|byte| *byte == 0));
    world.be(at, Manner::Answers);
    assert!(world.read_all_by(&copier, 10_000).unwrap() == file.bytes);
    world.settle(|| world.is_known_to_be_cached(&file));
    assert_eq!(world.row(&file).playable, Playable::Bytes);
    for class in ALL {
        let handle = world.open(&file, class).unwrap();
        assert_eq!(handle.face(), Some(Face::Bytes));
        assert!(world.read_all(&handle).unwrap() == file.bytes);
        world.close(handle);
    }
    let mut mixed = file.bytes.clone();
    mixed[1000..2000].fill(0);
    assert!(world.read_all(&player).unwrap() == mixed);
    world.close(player);
    world.close(copier);
    world.nothing_is_left();
}

#[test]
fn programs_see_one_inode_whatever_the_face() {
    let world = World::new();
    let at = world.source(SourceKind::Volume);
    let file = world.put(at, "a.wav", &wav(16, 60_000, 1), Known::Facts);
    let mut seen = Vec::new();
    let look = |seen: &mut Vec<_>| {
        for class in ALL {
            let entry = world.lookup_as(&file, class).unwrap();
            let (attributes, _) = {
                use mediafs_platform::drive::Drive as _;
                world.drive.attributes(entry.node).unwrap()
            };
            assert_eq!(attributes, entry.attributes);
            seen.push((class, attributes));
        }
    };
    look(&mut seen);
    world.set_state(at, SourceState::Absent);
    look(&mut seen);
    world.set_state(at, SourceState::Online);
    look(&mut seen);
    world.bring(&file);
    look(&mut seen);
    world.gone(&file);
    look(&mut seen);
    for class in ALL {
        let mut of_class = seen.iter().filter(|(of, _)| *of == class);
        let (_, first) = of_class.next().unwrap();
        assert!(of_class.all(|(_, other)| other == first), "{class:?}");
    }
}

#[test]
fn what_is_evicted_streams_again() {
    let world = World::new();
    let at = world.source(SourceKind::Volume);
    let file = world.put(at, "a.wav", &wav(16, 60_000, 1), Known::Facts);
    world.bring(&file);
    let open = world.open(&file, Class::Player).unwrap();
    assert_eq!(world.evict(file.hash()), Eviction::InUse);
    assert!(world.read_all(&open).unwrap() == file.bytes);
    let looked_up = open.entry;
    world.close(open);
    assert_eq!(world.evict_soon(file.hash()), Eviction::Evicted);
    assert_eq!(
        world.open_node(looked_up, &NOBODY).unwrap_err(),
        DriveError::Stale
    );
    world.be(at, Manner::Hangs);
    let stream = world.open(&file, Class::Player).unwrap();
    assert_eq!(stream.face(), Some(Face::Stream));
    assert_eq!(world.read_all(&stream).unwrap(), world.silence(&file));
    world.be(at, Manner::Answers);
    world.settle(|| world.is_known_to_be_cached(&file));
    let bytes = world.open(&file, Class::Player).unwrap();
    assert!(world.read_all(&bytes).unwrap() == file.bytes);
    world.close(stream);
    world.close(bytes);
    world.nothing_is_left();
}

/// What has arrived is kept when everybody leaves: it is not brought twice.
#[test]
fn what_arrived_in_part_is_gone_on_with() {
    let world = World::new();
    let at = world.source(SourceKind::Volume);
    let file = world.put(at, "a.wav", &wav(16, 1 << 20, 1), Known::Facts);
    world.be(at, Manner::AnswersTo(1));
    let first = world.open(&file, Class::Player).unwrap();
    let arrived = || world.hydrator.tasks().last().unwrap().arrived;
    world.settle(|| arrived() > 0);
    world.close(first);
    let task = world.hydrator.tasks().last().unwrap().id;
    assert!(world.hydrator.cancel(task));
    let again = world.open(&file, Class::Player).unwrap();
    world.settle(|| arrived() > 0);
    assert!(world.read(&again, 0, 1000).unwrap()[..] == file.bytes[..1000]);
    world.close(again);
    world.nothing_is_left();
}

#[test]
fn who_was_given_silence_is_named_when_the_sound_is_back() {
    let world = World::new();
    let at = world.source(SourceKind::Volume);
    let file = world.put(at, "a.wav", &wav(16, 60_000, 1), Known::Facts);
    world.be(at, Manner::Hangs);
    let player = Program::registered(&world, Class::Player);
    let other = Program::registered(&world, Class::Player);
    let ended = Program::registered(&world, Class::Player);

    let handle = world.open_by_id(&file, &player.asks()).unwrap();
    world.read(&handle, 0, 4096).unwrap();
    world.read(&handle, 8192, 4096).unwrap();
    let closed = world.open_by_id(&file, &other.asks()).unwrap();
    world.read(&closed, 100, 1000).unwrap();
    world.close(closed);
    let gone = world.open_by_id(&file, &ended.asks()).unwrap();
    world.read(&gone, 100, 1000).unwrap();
    world.close(gone);
    drop(ended);
    let copier = world.open(&file, Class::Copier).unwrap();
    world.read(&copier, 0, 100).unwrap_err();

    let silences = world.drive.silenced();
    assert_eq!(silences.len(), 1);
    let heard: Vec<_> = silences[0]
        .listeners
        .iter()
        .map(|listener| listener.bytes)
        .collect();
    assert_eq!(heard, [8192, 1000, 1000]);
    assert_eq!(world.ears.silenced.lock()[0].1.process, player.process().id);

    world.be(at, Manner::Answers);
    world.settle(|| !world.ears.restored.lock().is_empty());
    let restored = world.ears.restored.lock().clone();
    assert_eq!(restored.len(), 1);
    assert_eq!(restored[0].item, file.item());
    let named: Vec<_> = restored[0].listeners.iter().map(|l| l.process).collect();
    assert_eq!(named, [player.process().id, other.process().id]);
    assert!(world.drive.silenced().is_empty());

    // Whoever goes on with the old handle was told, and is not accounted for ever.
    let told = world.ears.silenced.lock().len();
    let again = world.read(&handle, 0, 4096).unwrap();
    assert!(again[..] == silent_wav(16, &file.bytes)[..4096]);
    assert!(world.drive.silenced().is_empty());
    assert_eq!(world.ears.silenced.lock().len(), told);
    world.close(handle);
    world.close(copier);
    world.nothing_is_left();
}

#[test]
fn a_sound_is_back_when_its_source_is() {
    let world = World::new();
    let at = world.source(SourceKind::Volume);
    let file = world.put(at, "a.wav", &wav(16, 60_000, 1), Known::Facts);
    world.set_state(at, SourceState::Absent);
    let player = Program::registered(&world, Class::Player);
    let handle = world.open_by_id(&file, &player.asks()).unwrap();
    assert_eq!(handle.face(), Some(Face::Silence));
    let read = world.read_all(&handle).unwrap();
    assert_eq!(read, world.silence(&file));
    let heard = world.drive.silenced()[0].listeners[0].bytes;
    assert_eq!(heard, file.bytes.len() as u64);
    world.set_state(at, SourceState::Online);
    let restored = world.ears.restored.lock().clone();
    assert_eq!(restored.len(), 1);
    assert_eq!(restored[0].listeners[0].process, player.process().id);
    assert_eq!(
        world.read_all(&handle).unwrap(),
        read,
        "silence stays silence"
    );
    assert!(world.drive.silenced().is_empty());
    world.close(handle);
    world.nothing_is_left();
}

/// Of a sound whose hash nobody knew, the catalog learns of its arrival later than the cache.
#[test]
fn what_comes_whole_in_time_is_opened_at_once() {
    for n in 0..20 {
        let deadlines = mediafs::config::Deadlines {
            player: std::time::Duration::from_secs(20),
            ..super::world::DEADLINES
        };
        let world = World::with(deadlines, mediafs_cache::StoreOptions::default());
        let at = world.source(SourceKind::Cloud);
        let file = world.put(at, "a.wav", &wav(16, 60_000, n), Known::Facts);
        if n % 2 == 0 {
            world.know_hash(&file);
        }
        world.set_online_only(&file);
        let handle = world.open(&file, Class::Player).unwrap();
        assert_eq!(handle.face(), Some(Face::Bytes));
        assert!(world.read_all(&handle).unwrap() == file.bytes);
        assert_eq!(world.couriers.reads(file.place), 1, "it is brought once");
        world.close(handle);
        world.nothing_is_left();
    }
}

#[test]
fn an_open_that_is_given_up_leaves_no_handle() {
    use mediafs_platform::drive::{Answer, Drive as _, OpenMode};
    let world = World::new();
    let at = world.source(SourceKind::Cloud);
    let file = world.put(at, "a.wav", &wav(16, 60_000, 1), Known::Facts);
    world.set_online_only(&file);
    world.be(at, Manner::Hangs);
    let entry = world.lookup_as(&file, Class::Loader).unwrap();
    let mode = OpenMode {
        read: true,
        ..OpenMode::default()
    };
    let Answer::Later(open) = world.drive.open(entry.node, mode, &NOBODY) else {
        panic!("it may come");
    };
    let open = world.runtime.spawn(open);
    std::thread::sleep(std::time::Duration::from_millis(20));
    open.abort();
    world.runtime.block_on(open).unwrap_err();
    world.nothing_is_left();
}

#[test]
fn what_arrives_between_look_up_and_open_is_stale_to_nobody() {
    let world = World::new();
    let at = world.source(SourceKind::Volume);
    let file = world.put(at, "a.wav", &wav(16, 60_000, 1), Known::Facts);
    let [player, copier] =
        [Class::Player, Class::Copier].map(|class| world.lookup_as(&file, class).unwrap());
    world.bring(&file);
    world.set_state(at, SourceState::Absent);
    let [player, copier] = [player, copier].map(|entry| world.open_node(entry, &NOBODY).unwrap());
    assert_eq!(player.face(), Some(Face::Stream));
    assert_eq!(copier.face(), Some(Face::Withheld));
    // The cache opens it meanwhile.
    std::thread::sleep(std::time::Duration::from_millis(300));
    for open in [player, copier] {
        assert!(world.read_all(&open).unwrap() == file.bytes);
        world.close(open);
    }
    world.nothing_is_left();
}

#[test]
fn another_content_is_another_node() {
    let world = World::new();
    let at = world.source(SourceKind::Volume);
    let mut file = world.put(at, "a.wav", &wav(16, 60_000, 1), Known::Facts);
    world.be(at, Manner::Hangs);
    let old = world.open(&file, Class::Player).unwrap();
    let old_copier = world.open(&file, Class::Copier).unwrap();
    let silence = world.read_all(&old).unwrap();
    world.replace(&mut file, &wav(16, 80_000, 2));
    world.be(at, Manner::Answers);
    assert_eq!(
        world.open_node(old.entry, &NOBODY).unwrap_err(),
        DriveError::Stale
    );
    let new = world.open(&file, Class::Copier).unwrap();
    assert_ne!(
        new.entry.attributes.inode,
        old_copier.entry.attributes.inode
    );
    assert!(world.read_all(&new).unwrap() == file.bytes);
    assert!(world.read_all(&old).unwrap() == silence);
    assert_eq!(
        world.read_all(&old_copier),
        Err(DriveError::Io),
        "the old bytes are nowhere"
    );
    for handle in [old, old_copier, new] {
        world.close(handle);
    }
    world.nothing_is_left();
}
