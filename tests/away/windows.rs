//! The same as Windows meets it: through WinFsp's own DLL, asked by a stand-in for its driver.

use std::time::{Duration, Instant};

use mediafs::config::Deadlines;
use mediafs::model::{SourceKind, SourceState};
use mediafs::tree::class::Class;
use mediafs_cache::StoreOptions;
use mediafs_platform::mount::{MountOptions, Unmounted};

use super::courier::Manner;
use super::host::{GENERIC_READ, Host, OPEN, Opened, Wish};
use super::noise::wav;
use super::programs::Program;
use super::world::{DEADLINES, File, Known, World};

const OFFLINE: u32 = 0x1000;
const STATUS_END_OF_FILE: u32 = 0xc000_0011;
const STATUS_IO_TIMEOUT: u32 = 0xc000_00b5;
const STATUS_IO_DEVICE_ERROR: u32 = 0xc000_0185;
const STATUS_FILE_IS_OFFLINE: u32 = 0xc000_0267;

fn host(world: &World) -> Host {
    let options = MountOptions::new(world.folder.path().join("Loophole"));
    Host::start(world.drive.clone(), &options)
}

fn at_door(file: &File, door: &str) -> String {
    let (_, id) = file.item.as_ref().unwrap();
    format!(r"\.as\{door}\by-id\{}\{}", id.as_str(), file.name)
}

fn read_whole(host: &Host, file: &Opened) -> Result<Vec<u8>, u32> {
    let mut all = Vec::new();
    loop {
        match host.read(file, all.len() as u64, 65_536) {
            Ok(part) => all.extend(part),
            Err(STATUS_END_OF_FILE) => return Ok(all),
            Err(status) => return Err(status),
        }
    }
}

/// Opened by a program, by the path that all share.
fn open_by(host: &Host, file: &File, program: &Program) -> Opened {
    let (_, id) = file.item.as_ref().unwrap();
    let path = format!(r"\by-id\{}\{}", id.as_str(), file.name);
    let wish = Wish {
        process: program.asks().thread.unwrap(),
        ..Wish::new(GENERIC_READ, OPEN)
    };
    host.create(&path, wish).unwrap()
}

#[test]
fn each_gets_its_deal() {
    let world = World::new();
    let at = world.source(SourceKind::Network);
    let file = world.put(at, "a.wav", &wav(16, 60_000, 1), Known::Facts);
    world.set_state(at, SourceState::Absent);
    let host = host(&world);
    let silence = world.silence(&file);
    for (door, expected) in [
        ("player", Ok(silence.clone())),
        ("loader", Ok(silence)),
        ("copier", Err(STATUS_FILE_IS_OFFLINE)),
        ("indexer", Err(STATUS_FILE_IS_OFFLINE)),
    ] {
        let open = host.open(&at_door(&file, door), GENERIC_READ);
        let told = open.and_then(|open| {
            let info = open.info;
            let told = (info.FileAttributes, info.FileSize);
            assert_eq!(told, (OFFLINE, file.bytes.len() as u64), "{door}");
            let read = read_whole(&host, &open);
            host.close(open);
            read
        });
        assert!(
            told == expected,
            "{door} {:?}",
            told.map(|bytes| bytes.len())
        );
    }
    host.mounted.unmount(Duration::ZERO);
    world.nothing_is_left();
}

#[test]
fn a_copier_waits_for_its_bytes_and_no_longer_than_its_deadline() {
    let world = World::new();
    let at = world.source(SourceKind::Cloud);
    let file = world.put(at, "a.wav", &wav(16, 1 << 20, 1), Known::Facts);
    world.set_online_only(&file);
    let host = host(&world);
    world.be(at, Manner::Hangs);
    let open = host.open(&at_door(&file, "copier"), GENERIC_READ).unwrap();
    assert_eq!(open.info.FileAttributes, OFFLINE);
    let begun = Instant::now();
    assert_eq!(host.read(&open, 4099, 4097), Err(STATUS_IO_TIMEOUT));
    assert!(begun.elapsed() >= DEADLINES.copier);
    // It reads on when they come.
    world.be(at, Manner::Slow(Duration::from_millis(20)));
    assert!(read_whole(&host, &open).as_ref() == Ok(&file.bytes));
    host.close(open);
    let by_player = || host.open(&at_door(&file, "player"), GENERIC_READ).unwrap();
    world.settle(|| {
        let again = by_player();
        host.close(again);
        again.info.FileAttributes == 0x80
    });
    let again = by_player();
    assert!(read_whole(&host, &again).as_ref() == Ok(&file.bytes));
    host.close(again);
    host.mounted.unmount(Duration::ZERO);
    world.nothing_is_left();
}

/// Of one path, which every program of Windows has in common.
#[test]
fn who_waits_keeps_nobody_and_is_answered_when_it_ends() {
    const COPIERS: usize = 40;
    let deadlines = Deadlines {
        copier: Duration::from_secs(60),
        ..DEADLINES
    };
    let world = World::with(deadlines, StoreOptions::default());
    let at = world.source(SourceKind::Network);
    let file = world.put(at, "a.wav", &wav(16, 60_000, 1), Known::Facts);
    world.be(at, Manner::Hangs);
    let host = host(&world);
    let copier = Program::registered(&world, Class::Copier);
    let player = Program::registered(&world, Class::Player);
    let copies: Vec<Opened> = (0..COPIERS)
        .map(|_| open_by(&host, &file, &copier))
        .collect();
    std::thread::scope(|scope| {
        let reads: Vec<_> = copies
            .iter()
            .map(|copy| scope.spawn(|| host.read(copy, 0, 4096)))
            .collect();
        std::thread::sleep(Duration::from_millis(300));
        assert!(reads.iter().all(|read| !read.is_finished()));
        let begun = Instant::now();
        let open = open_by(&host, &file, &player);
        assert!(read_whole(&host, &open) == Ok(world.silence(&file)));
        host.close(open);
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "{:?}",
            begun.elapsed()
        );
        assert!(reads.iter().all(|read| !read.is_finished()));
        let begun = Instant::now();
        let unmounted = host.mounted.unmount(Duration::from_millis(200));
        assert_eq!(unmounted, Unmounted::Aborted);
        for read in reads {
            assert_eq!(read.join().unwrap(), Err(STATUS_IO_DEVICE_ERROR));
        }
        assert!(
            begun.elapsed() < Duration::from_secs(4),
            "{:?}",
            begun.elapsed()
        );
    });
    assert!(host.was_taken_apart());
    world.be(at, Manner::Answers);
    world.nothing_is_left();
}
