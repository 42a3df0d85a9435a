//! The daemon dies while takes are written: every write that was acknowledged is there, and under passthrough the program
//! writes on. After the restart the take is found, offered, and made final.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::scene::{Reserved, Scene, python};
use crate::support::{by_nfs, modes, wait_until};

const BLOCK: usize = 3000;

/// Writes blocks, each brought to the disk and then told of. When nobody brings any more to the disk, it writes on until it
/// is told to end, and tells of what `write` has taken.
const WRITER: &str = r"
import os, select, sys
fd = os.open(sys.argv[1], os.O_WRONLY)
header = bytes.fromhex(sys.argv[2])
os.pwrite(fd, header, 0)
number, syncs = 0, True
while not select.select([sys.stdin], [], [], 0)[0]:
    block = (number.to_bytes(4, 'little') * 750)
    try:
        if os.pwrite(fd, block, len(header) + number * len(block)) != len(block):
            break
        if syncs:
            os.fsync(fd)
    except OSError:
        if not syncs:
            break
        syncs = False
        if sys.argv[3] == 'ends':
            break
        # Written, but not brought to the disk: tell no more than that.
    print('synced' if syncs else 'written', number, flush=True)
    number += 1
try:
    os.close(fd)
    print('closed', 0, flush=True)
except OSError:
    print('not closed', 0, flush=True)
";

struct Told {
    synced: usize,
    written: usize,
    closed: bool,
}

fn header() -> Vec<u8> {
    let mut header = crate::support::sounds::wav(0, 1);
    // A program that streams.
    header[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    header[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    header
}

/// Lets a program write, kills the daemon meanwhile, mounts again, and lets it write on.
fn kill_while_writing(scene: &Scene, mode: &[&str], after: Duration) -> (Reserved, Told) {
    let drive = scene.mount(mode);
    let take = scene.reserve("Lead");
    let header: String = header().iter().map(|byte| format!("{byte:02x}")).collect();
    let goes_on = mode.is_empty();
    let arguments: [&OsStr; 3] = [
        take.file.as_ref(),
        header.as_ref(),
        if goes_on { "goes on" } else { "ends" }.as_ref(),
    ];
    let mut writer = python(WRITER, &arguments);
    let output = writer.stdout.take().unwrap();
    let told = std::thread::spawn(move || {
        let mut told = Told {
            synced: 0,
            written: 0,
            closed: false,
        };
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let (word, number) = line.rsplit_once(' ').unwrap();
            let number: usize = number.parse().unwrap();
            match word {
                "synced" => told.synced = number + 1,
                "written" => told.written = number + 1,
                "closed" => told.closed = true,
                _ => {}
            }
        }
        told
    });
    let begun = Instant::now();
    wait_until(Duration::from_secs(10), "a beginning", || {
        std::fs::metadata(&take.staging).unwrap().len() > 44
    });
    std::thread::sleep(after.saturating_sub(begun.elapsed()));
    drive.kill();
    let drive = scene.mount(mode);
    let take = Reserved { ..take };
    let offered = offered(scene, &take);
    assert_eq!(offered["recovered"], true);
    if goes_on {
        assert_eq!(
            offered["writing"], true,
            "it is seen that a program still writes"
        );
        let why = scene.refused(&["finalise", &take.id]);
        assert!(why.contains("still being written"), "{why}");
        let size = || std::fs::metadata(&take.file).unwrap().len();
        let before = size();
        wait_until(Duration::from_secs(10), "more of it", || {
            size() > before + 100_000
        });
    }
    let _ = writer.stdin.take().unwrap().write_all(b"\n");
    writer.wait().unwrap();
    let told = told.join().unwrap();
    let warnings = scene.home.run(["warnings"]);
    assert!(warnings.contains("not made final"), "{warnings}");
    // Ended, so that the caller may mount again.
    drop(drive);
    (take, told)
}

fn offered(scene: &Scene, take: &Reserved) -> Value {
    let takes = scene.takes();
    let found = takes.iter().find(|found| found["mediaId"] == *take.id);
    found.expect("the take is offered").clone()
}

/// What is there has all that was told of, and nothing else.
fn check(scene: &Scene, take: &Reserved, told: &Told) {
    let bytes = std::fs::read(&take.staging).unwrap();
    let blocks = told.synced.max(told.written);
    let sound = &bytes[44..];
    assert!(
        sound.len() >= blocks * BLOCK,
        "{} of {blocks} blocks",
        sound.len() / BLOCK
    );
    for (number, block) in sound.chunks(BLOCK).enumerate() {
        let expected = u32::try_from(number).unwrap().to_le_bytes();
        assert!(
            block.chunks(4).all(|word| expected.starts_with(word)),
            "block {number}"
        );
    }
    let item = scene.finalise(take);
    assert_eq!(item["format"]["frames"], sound.len() / 4);
    let file = std::fs::read(Scene::resolved(&item)).unwrap();
    assert_eq!(file[44..44 + sound.len()], *sound);
    assert_eq!(
        file[40..44],
        u32::try_from(sound.len()).unwrap().to_le_bytes()
    );
}

#[test]
fn every_acknowledged_write_is_there_after_the_daemon_was_killed() {
    let mut synced = 0;
    let mut on = 0;
    for mode in modes() {
        let scene = Scene::new();
        for round in 1..=3 {
            let after = Duration::from_millis(37 * round * round);
            let (take, told) = kill_while_writing(&scene, mode, after);
            if mode.is_empty() {
                assert!(told.closed, "a program closes its file well");
                assert!(
                    told.written > told.synced,
                    "and wrote on without the daemon"
                );
                on += told.written - told.synced;
            }
            synced += told.synced;
            // With or without a daemon.
            let drive = (round % 2 == 0).then(|| scene.mount(mode));
            check(&scene, &take, &told);
            drop(drive);
            assert!(scene.takes().is_empty());
        }
    }
    assert!(
        // By NFS nobody writes on, and the machine that has it is slow.
        by_nfs() && synced > 0 || synced > 20 && on > 20,
        "{synced} {on}: nothing was exercised"
    );
}
