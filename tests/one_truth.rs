//! Promise 3: one handle, one truth. What was opened goes on as it was, by `read` and by `mmap`, whatever happens to the
//! item meanwhile; copies that were begun end well.

// It mounts real drives, with FUSE.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::{Command, Stdio};

use support::sounds::wav;
use support::{Home, SHOWN_WITHIN, by_nfs, path_of, succeed, wait_until};

/// 40 s of noise: more than any readahead brings in at once.
const FRAMES: u32 = 44_100 * 40;

fn read_all(file: &File, size: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(size).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn handles_across_a_swap(extra: &[&str]) {
    let home = Home::new();
    let sound = wav(FRAMES, 1);
    let source = home.library().join("a.wav");
    std::fs::write(&source, &sound).unwrap();
    let size = sound.len() as u64;
    let library = home.library();
    let mut arguments: Vec<&std::ffi::OsStr> = vec!["--library".as_ref(), library.as_os_str()];
    arguments.extend(extra.iter().map(|e| std::ffi::OsStr::new(*e)));
    let _drive = home.mount_with(&arguments);
    let item = home.wait_for_items(1)[0].clone();
    let path = home.on_drive(".as/player").join(path_of(&item));

    let sounding = File::open(&path).unwrap();
    let mut first = vec![0; 4096];
    sounding.read_exact_at(&mut first, 0).unwrap();

    let away = home.path("away.wav");
    std::fs::rename(&source, &away).unwrap();
    wait_until(SHOWN_WITHIN, "the sound to be missing", || {
        home.item("a.wav")["availability"] == "missing"
    });
    let silent = File::open(&path).unwrap();
    let silence = read_all(&silent, size);
    assert_eq!(silence[..44], sound[..44], "the header is the original's");
    assert!(silence[44..].iter().all(|byte| *byte == 0));
    assert_eq!(
        read_all(&sounding, size),
        sound,
        "the handle from before goes on with sound"
    );
    assert_eq!(
        sounding.metadata().unwrap().len(),
        size,
        "fstat goes on too"
    );

    std::fs::rename(&away, &source).unwrap();
    wait_until(SHOWN_WITHIN, "the sound to be back", || {
        home.item("a.wav")["availability"] == "local"
    });
    assert_eq!(std::fs::read(&path).unwrap(), sound);
    assert_eq!(
        read_all(&silent, size),
        silence,
        "the handle that was given silence goes on with silence"
    );
    assert_eq!(read_all(&sounding, size), sound);

    // Another content is another generation: nobody who holds the old one sees it.
    let other = wav(FRAMES, 2);
    let fresh = home.path("fresh.wav");
    std::fs::write(&fresh, &other).unwrap();
    std::fs::rename(&fresh, &source).unwrap();
    assert_eq!(
        std::fs::read(&path).unwrap(),
        other,
        "a new open gets the new bytes, even before the watcher"
    );
    assert_eq!(read_all(&sounding, size), sound);
    assert_eq!(read_all(&silent, size), silence);
    assert_ne!(
        std::fs::metadata(&path).unwrap().ino(),
        sounding.metadata().unwrap().ino(),
        "as when a file is replaced"
    );
}

#[test]
fn handles_across_a_swap_with_passthrough() {
    handles_across_a_swap(&[]);
}

#[test]
fn handles_across_a_swap_with_the_page_cache() {
    handles_across_a_swap(&["--no-passthrough"]);
}

/// Maps a file in a process of its own (Python's standard library, as tests have no `unsafe`), prints the hash of the
/// mapping each time a line comes.
const MAPPER: &str = "
import hashlib, mmap, sys
kind, path = sys.argv[1:]
with open(path, 'rb') as f:
    flags = mmap.MAP_SHARED if kind == 'shared' else mmap.MAP_PRIVATE
    m = mmap.mmap(f.fileno(), 0, flags=flags, prot=mmap.PROT_READ)
    print(m[:16].hex(), flush=True)
    for line in sys.stdin:
        print(hashlib.blake2b(m[:]).hexdigest(), flush=True)
";

fn mappings_across_a_swap(extra: &[&str]) {
    use std::io::{BufRead, BufReader, Write};
    let home = Home::new();
    let sound = wav(FRAMES, 1);
    let source = home.library().join("a.wav");
    std::fs::write(&source, &sound).unwrap();
    let library = home.library();
    let mut arguments: Vec<&std::ffi::OsStr> = vec!["--library".as_ref(), library.as_os_str()];
    arguments.extend(extra.iter().map(|e| std::ffi::OsStr::new(*e)));
    let _drive = home.mount_with(&arguments);
    let item = home.wait_for_items(1)[0].clone();
    let path = home.on_drive(".as/player").join(path_of(&item));
    let map = |kind: &str| {
        let mut child = Command::new("python3")
            .args(["-c", MAPPER, kind])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        lines.next().unwrap().unwrap();
        (child, lines)
    };
    let hash = |mapping: &mut (
        std::process::Child,
        std::io::Lines<BufReader<std::process::ChildStdout>>,
    )| {
        mapping.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        mapping.1.next().unwrap().unwrap()
    };
    let mut sounding = [map("private"), map("shared")];
    let away = home.path("away.wav");
    std::fs::rename(&source, &away).unwrap();
    wait_until(SHOWN_WITHIN, "the sound to be missing", || {
        home.item("a.wav")["availability"] == "missing"
    });
    let mut silent = [map("private"), map("shared")];
    let of_silence: Vec<_> = silent.iter_mut().map(&hash).collect();
    assert_eq!(of_silence[0], of_silence[1]);
    std::fs::rename(&away, &source).unwrap();
    wait_until(SHOWN_WITHIN, "the sound to be back", || {
        home.item("a.wav")["availability"] == "local"
    });
    let mut returned = map("shared");
    let of_sound = hash(&mut returned);
    for mapping in &mut sounding {
        assert_eq!(hash(mapping), of_sound, "a mapping of sound stays sound");
    }
    for mapping in &mut silent {
        assert_eq!(
            hash(mapping),
            of_silence[0],
            "a mapping of silence stays silence"
        );
    }
    assert_ne!(of_sound, of_silence[0]);
    for (mut child, _) in sounding.into_iter().chain(silent).chain([returned]) {
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn mappings_across_a_swap_with_passthrough() {
    mappings_across_a_swap(&[]);
}

#[test]
fn mappings_across_a_swap_with_the_page_cache() {
    mappings_across_a_swap(&["--no-passthrough"]);
}

/// A copy that reads slowly, so that swaps fall into it: `dd`-like through a pipe that is drained step by step.
fn slowly(program: &str, arguments: &[&str], mut meanwhile: impl FnMut()) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut bytes = Vec::new();
    let mut block = vec![0; 256 * 1024];
    let mut swapped = false;
    loop {
        let got = out.read(&mut block).unwrap();
        if got == 0 {
            break;
        }
        bytes.extend(&block[..got]);
        if !swapped {
            swapped = true;
            meanwhile();
        }
    }
    assert!(child.wait().unwrap().success(), "{program} failed");
    assert!(swapped);
    bytes
}

#[test]
fn copies_that_were_begun_end_well() {
    let home = Home::new();
    let sound = wav(FRAMES, 1);
    let source = home.library().join("a.wav");
    std::fs::write(&source, &sound).unwrap();
    let _drive = home.mount();
    let item = home.wait_for_items(1)[0].clone();
    let path = home.on_drive(path_of(&item));
    let folder = path.parent().unwrap();
    let away = home.path("away.wav");

    // tar and cp begun while it was there, ended after it is gone.
    let archive = slowly(
        "tar",
        &["-C", folder.to_str().unwrap(), "-cf", "-", "a.wav"],
        || {
            std::fs::rename(&source, &away).unwrap();
            wait_until(SHOWN_WITHIN, "the sound to be missing", || {
                home.item("a.wav")["availability"] == "missing"
            });
        },
    );
    let unpacked = home.path("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    std::fs::write(unpacked.join("a.tar"), archive).unwrap();
    succeed(
        "tar",
        [
            "-C",
            unpacked.to_str().unwrap(),
            "-xf",
            unpacked.join("a.tar").to_str().unwrap(),
        ],
    );
    assert_eq!(std::fs::read(unpacked.join("a.wav")).unwrap(), sound);

    let copied =
        |arguments: &[&str]| slowly("cp", arguments, || std::fs::rename(&away, &source).unwrap());
    // Begun through the player's door while it is silence, ended after it is back: silence to the end.
    let player = home.on_drive(".as/player").join(path_of(&item));
    let silence = copied(&["-a", player.to_str().unwrap(), "/dev/stdout"]);
    assert_eq!(silence.len(), sound.len());
    assert!(
        silence[44..].iter().all(|byte| *byte == 0),
        "never a mixture"
    );
}

/// `cp` and `cp -a` over and over while the sound comes and goes: each gives the true bytes or fails, and none fails
/// with "replaced while being copied".
#[test]
fn copies_of_what_comes_and_goes_are_whole_or_refused() {
    let home = Home::new();
    let sound = wav(FRAMES, 1);
    let source = home.library().join("a.wav");
    std::fs::write(&source, &sound).unwrap();
    let _drive = home.mount();
    let item = home.wait_for_items(1)[0].clone();
    let path = home.on_drive(path_of(&item));
    // By NFS, where nobody opens, it may also be the first read that finds it gone.
    let refusals: &[&str] = match by_nfs() {
        true => &["Input/output error", "Stale file handle"],
        false => &["No data available"],
    };
    let copy = home.path("copy.wav");
    let away = home.path("away.wav");
    let (mut whole, mut refused) = (0, 0);
    for round in 0..60 {
        let swapper = std::thread::spawn({
            let (source, away) = (source.clone(), away.clone());
            move || {
                std::thread::sleep(std::time::Duration::from_micros(700 * (round % 20)));
                let (from, to) = if source.exists() {
                    (&source, &away)
                } else {
                    (&away, &source)
                };
                std::fs::rename(from, to).unwrap();
            }
        });
        let mut command = Command::new("cp");
        if round % 2 == 0 {
            command.arg("-a");
        }
        let output = command.arg(&path).arg(&copy).output().unwrap();
        swapper.join().unwrap();
        if output.status.success() {
            assert_eq!(std::fs::read(&copy).unwrap(), sound, "round {round}");
            whole += 1;
        } else {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let is_known = refusals.iter().any(|refusal| text.contains(refusal));
            assert!(is_known, "round {round}: {text}");
            refused += 1;
        }
        std::thread::sleep(std::time::Duration::from_millis(if round % 3 == 0 {
            700
        } else {
            5
        }));
    }
    assert!(
        whole > 0 && refused > 0,
        "{whole} whole, {refused} refused: both must have happened"
    );
}

#[test]
fn seeking_anywhere_in_silence_gives_what_reading_gave() {
    let home = Home::new();
    let sound = wav(FRAMES, 1);
    std::fs::write(home.library().join("a.wav"), &sound).unwrap();
    let _drive = home.mount();
    let item = home.wait_for_items(1)[0].clone();
    std::fs::remove_file(home.library().join("a.wav")).unwrap();
    let path = home.on_drive(".as/player").join(path_of(&item));
    wait_until(SHOWN_WITHIN, "the sound to be missing", || {
        home.item("a.wav")["availability"] == "missing"
    });
    let whole = std::fs::read(&path).unwrap();
    assert_eq!(whole.len(), sound.len());
    let mut file = File::open(&path).unwrap();
    for at in [
        0u64,
        1,
        43,
        44,
        45,
        4095,
        4097,
        whole.len() as u64 - 3,
        whole.len() as u64,
        whole.len() as u64 + 9,
    ] {
        file.seek(SeekFrom::Start(at)).unwrap();
        let mut part = vec![1; 100];
        let got = file.read(&mut part).unwrap();
        let expected = whole.get(usize::try_from(at).unwrap()..).unwrap_or(&[]);
        assert_eq!(part[..got], expected[..got.min(expected.len())], "at {at}");
        assert_eq!(got, expected.len().min(100), "at {at}");
    }
}
