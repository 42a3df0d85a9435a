//! The test equipment itself: each fault shows, counts are true, and nothing stays behind.

// The equipment is made of file systems of Linux.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::{File, read_dir};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use support::cloud::{Cloud, Fault, Mark, Op};
use support::matrix::{Stage, Trouble, cells};
use support::players::{Class, Content, How, Outcome, Running, Seen, Truth, Use, compare};
use support::rclone::mounted_kind;
use support::sounds::wav;
use support::{Home, SHOWN_WITHIN, path_of, wait_until};

/// So long is a program waited for that is to hang: longer than any that is only slow here.
const HANGS: Duration = Duration::from_millis(700);

/// A cloud with one sound, and the sound.
fn with_a_kick() -> (Cloud, Vec<u8>) {
    let cloud = Cloud::new();
    let kick = wav(50_000, 1);
    cloud.put("kit/kick.wav", kick.clone());
    cloud.put("kit/snare.wav", wav(10, 2));
    (cloud, kick)
}

fn truth(bytes: &[u8]) -> Truth<'_> {
    Truth {
        bytes,
        placeholder: &[],
    }
}

fn use_of(cloud: &Cloud, how: How) -> Use {
    let path = if how == How::List {
        "kit"
    } else {
        "kit/kick.wav"
    };
    Use::of(how, cloud.path(path))
}

const EVERY_WAY: [How; 6] = [
    How::Open,
    How::Read,
    How::MapPrivate,
    How::MapShared,
    How::Stat,
    How::List,
];

#[test]
fn a_cloud_shows_what_was_put_there_and_counts_who_asks() {
    let (cloud, kick) = with_a_kick();
    let path = cloud.path("kit/kick.wav");
    for how in How::BYTES {
        let seen = Use::of(how, &path).see(truth(&kick));
        assert_eq!(seen.outcome, Outcome::Bytes, "{how:?} {seen:?}");
        assert_eq!(seen.bytes, kick);
    }
    let listed = use_of(&cloud, How::List).try_it();
    assert_eq!(listed.names, ["kick.wav", "snare.wav"]);
    let told = use_of(&cloud, How::Stat).try_it().stat.unwrap();
    assert_eq!(told.size, kick.len() as u64);
    let time = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000);
    cloud.set_modified("kit/kick.wav", time);
    assert_eq!(path.metadata().unwrap().modified().unwrap(), time);

    let (all, one) = (cloud.counts(), cloud.counts_of("kit/kick.wav"));
    std::fs::read(&path).unwrap();
    let asked = cloud.since(all);
    assert_eq!((asked.opens, asked.bytes), (1, kick.len() as u64));
    assert!(asked.reads >= 1 && asked.lookups >= 2, "{asked:?}");
    assert_eq!((cloud.counts_of("kit/kick.wav") - one).opens, 1);
    assert_eq!(cloud.counts_of("kit/snare.wav").opens, 0);
    // Nothing is kept by the kernel: the same again asks the same again.
    let before = cloud.counts();
    std::fs::read(&path).unwrap();
    assert_eq!(cloud.since(before), asked);

    // Looking is no touching; reading is, and is found out.
    cloud.untouched_during(|| {
        path.metadata().unwrap();
        assert_eq!(read_dir(cloud.path("kit")).unwrap().count(), 2);
    });
    let touched = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        cloud.untouched_during(|| File::open(&path).unwrap());
    }));
    assert!(touched.is_err());

    cloud.overwrite("kit/kick.wav", b"other".to_vec());
    assert_eq!(std::fs::read(&path).unwrap(), b"other");
    let number = path.metadata().unwrap().ino();
    cloud.rename("kit/kick.wav", "drums/kick 2.wav");
    let moved = cloud.path("drums/kick 2.wav");
    assert_eq!(moved.metadata().unwrap().ino(), number);
    assert!(!path.exists());
    cloud.remove("drums/kick 2.wav");
    assert!(!moved.exists());
}

#[test]
fn a_cloud_is_mounted_as_whatever_it_is_to_be() {
    let cloud = Cloud::options()
        .kind("rclone")
        .source("remote:music")
        .kept_by_kernel()
        .mount();
    assert_eq!(
        mounted_kind(cloud.mount_point()).as_deref(),
        Some("fuse.rclone")
    );
    let table = std::fs::read_to_string("/proc/mounts").unwrap();
    let line = format!(
        "remote:music {} fuse.rclone ",
        cloud.mount_point().display()
    );
    assert!(table.contains(&line), "{table}");
    // What the kernel keeps is asked for once.
    cloud.put("kick.wav", wav(100, 1));
    std::fs::read(cloud.path("kick.wav")).unwrap();
    let before = cloud.counts();
    std::fs::read(cloud.path("kick.wav")).unwrap();
    let asked = cloud.since(before);
    assert_eq!((asked.lookups, asked.reads), (0, 0), "{asked:?}");
}

#[test]
fn errors_come_on_the_chosen_requests_alone() {
    let (cloud, kick) = with_a_kick();
    let chosen = [
        (Op::OPEN, &[How::Open, How::Read, How::MapPrivate][..]),
        (Op::READ, &[How::Read]),
        (Op::READDIR, &[How::List]),
        (Op::STAT, &EVERY_WAY),
    ];
    for (ops, failing) in chosen {
        let rule = Fault::Error(5).on(ops).of("kit");
        let fault = cloud.inject(rule);
        for how in [How::Open, How::Read, How::Stat, How::List] {
            let before = cloud.hits(fault);
            let seen = use_of(&cloud, how).see(truth(&kick));
            // A listing opens the folder.
            let fails = failing.contains(&how) || (ops == Op::OPEN && how == How::List);
            let failed = seen.outcome == Outcome::Errno(5);
            assert_eq!(failed, fails, "{ops:?} {how:?} {seen:?}");
            assert_eq!(cloud.hits(fault) > before, fails, "{ops:?} {how:?}");
        }
        cloud.lift(fault);
        assert_eq!(
            use_of(&cloud, How::Read).see(truth(&kick)).outcome,
            Outcome::Bytes
        );
    }
    // A page that can't be filled ends who maps it.
    cloud.inject(Fault::Error(5).on(Op::READ));
    for how in [How::MapPrivate, How::MapShared] {
        let seen = use_of(&cloud, how).see(truth(&kick));
        assert_eq!(seen.outcome, Outcome::Signal(7), "{how:?} {seen:?}");
    }
    cloud.heal();
    cloud.inject(Fault::Offline);
    let offline = Outcome::Errno(Errno::NETUNREACH.raw_os_error());
    for how in EVERY_WAY {
        assert_eq!(use_of(&cloud, how).try_it().outcome, offline, "{how:?}");
    }
}

#[test]
fn faults_begin_and_end_where_they_are_told_to() {
    let (cloud, kick) = with_a_kick();
    let read = || use_of(&cloud, How::Read).chunk(4096).see(truth(&kick));
    let good = |seen: &Seen| seen.requests.iter().filter(|r| r.errno == 0).count();

    cloud.inject(Fault::Error(5).on(Op::READ).after(3));
    let seen = read();
    assert_eq!(seen.outcome, Outcome::Errno(5));
    assert_eq!((seen.content, seen.bytes.len()), (Content::Bytes, 3 * 4096));
    cloud.heal();

    cloud.inject(Fault::Error(5).on(Op::READ).beyond(8192));
    let seen = read();
    assert_eq!((seen.outcome, seen.bytes.len()), (Outcome::Errno(5), 8192));
    cloud.heal();

    let fault = cloud.inject(Fault::Error(5).on(Op::READ).times(1));
    assert_eq!(read().outcome, Outcome::Errno(5));
    assert_eq!(read().outcome, Outcome::Bytes);
    assert_eq!(cloud.hits(fault), 1);
    cloud.heal();

    // Of another file it is none of this one's.
    let fault = cloud.inject(Fault::Hung.of("kit/snare.wav"));
    let seen = read();
    assert_eq!(seen.outcome, Outcome::Bytes);
    assert!(good(&seen) > 3);
    assert_eq!(cloud.hits(fault), 0);
}

#[test]
fn what_hangs_hangs_until_it_is_let_go() {
    let (cloud, kick) = with_a_kick();
    let ways = [
        (Op::OPEN, How::Open, "open"),
        (Op::READ, How::Read, "read"),
        (Op::READ, How::MapPrivate, "touch"),
        (Op::READ, How::MapShared, "touch"),
        (Op::STAT, How::Stat, "stat"),
        (Op::READDIR, How::List, "list"),
    ];
    for (ops, how, pending) in ways {
        let fault = cloud.inject(Fault::Hung.on(ops));
        let mut waiting = use_of(&cloud, how).start();
        waiting.wait_for_pending(pending);
        wait_until(Duration::from_secs(5), "a held request", || {
            cloud.hits(fault) > 0 && cloud.waiting() > 0
        });
        // While a page of a mapping is waited for, the kernel lets nobody else even open the file.
        let seen = use_of(&cloud, how).within(HANGS).see(truth(&kick));
        assert_eq!(seen.outcome, Outcome::Hang, "{how:?} {seen:?}");
        let pending = if pending == "touch" { "open" } else { pending };
        assert_eq!(seen.pending.as_deref(), Some(pending), "{how:?}");
        // Who waits when it is let go gets what it asked for.
        cloud.lift(fault);
        let seen = waiting.see(truth(&kick));
        let well = [Outcome::Bytes, Outcome::Done].contains(&seen.outcome);
        assert!(well, "{how:?} {seen:?}");
        wait_until(Duration::from_secs(5), "nobody to wait", || {
            cloud.waiting() == 0
        });
    }
}

#[test]
fn a_slow_cloud_takes_its_time() {
    let (cloud, kick) = with_a_kick();
    let latency = Duration::from_millis(50);
    let slow = |bytes_per_second| Fault::Slow {
        latency,
        bytes_per_second,
    };
    cloud.inject(slow(0).on(&[Op::Open, Op::Read]));
    let seen = use_of(&cloud, How::Read).see(truth(&kick));
    assert_eq!(seen.outcome, Outcome::Bytes);
    assert!(seen.longest_of("open") >= latency && seen.longest_of("read") >= latency);
    cloud.heal();
    // 200 KB at 400 KB a second, through as many handles as one likes.
    cloud.inject(slow(400_000).on(Op::READ));
    let begun = Instant::now();
    let both: Vec<Running> = (0..2).map(|_| use_of(&cloud, How::Read).start()).collect();
    for one in both {
        assert_eq!(one.see(truth(&kick)).outcome, Outcome::Bytes);
    }
    assert!(begun.elapsed() >= Duration::from_millis(900));
}

#[test]
fn a_file_vanishes_midway_and_comes_back() {
    let (cloud, kick) = with_a_kick();
    let fault = cloud.inject(Fault::VanishesAfter(8192).of("kit/kick.wav"));
    let seen = use_of(&cloud, How::Read).chunk(4096).see(truth(&kick));
    let stale = Outcome::Errno(Errno::STALE.raw_os_error());
    assert_eq!((seen.outcome, seen.bytes.len()), (stale, 8192));
    assert_eq!(use_of(&cloud, How::List).try_it().names, ["snare.wav"]);
    let gone = Outcome::Errno(Errno::NOENT.raw_os_error());
    assert_eq!(use_of(&cloud, How::Stat).try_it().outcome, gone);
    cloud.lift(fault);
    assert_eq!(
        use_of(&cloud, How::Read).see(truth(&kick)).outcome,
        Outcome::Bytes
    );
}

#[test]
fn sizes_and_bytes_are_wrong_on_command() {
    let (cloud, kick) = with_a_kick();
    for more in [1000, -1000] {
        cloud.inject(Fault::WrongSize(more));
        let told = use_of(&cloud, How::Stat).try_it().stat.unwrap().size;
        assert_eq!(Some(told), (kick.len() as u64).checked_add_signed(more));
        let seen = use_of(&cloud, How::Read).see(truth(&kick));
        assert_eq!(seen.outcome, Outcome::Bytes, "reads go by what is there");
        cloud.heal();
    }
    cloud.inject(Fault::WrongBytes.on(Op::READ).beyond(8192));
    let seen = use_of(&cloud, How::Read).chunk(4096).see(truth(&kick));
    assert_eq!(
        (seen.outcome, seen.bytes.len()),
        (Outcome::Wrong, kick.len())
    );
    assert_eq!(seen.bytes[..8192], kick[..8192]);
    assert!(
        seen.bytes[8192..]
            .iter()
            .zip(&kick[8192..])
            .all(|(a, b)| a != b)
    );
    cloud.heal();
    cloud.inject(Fault::Short);
    let mut block = [0; 1000];
    let file = File::open(cloud.path("kit/kick.wav")).unwrap();
    assert_eq!(file.read_at(&mut block, 0).unwrap(), 500);
}

#[test]
fn files_that_are_not_here_show_it_and_come_when_read() {
    let cloud = Cloud::new();
    let kick = wav(5_000, 1);
    let marks = [
        ("plain.wav", Mark::Unmarked),
        ("open.wav", Mark::OpenVfs),
        ("text.wav", Mark::OpenVfsText),
    ];
    for (name, mark) in marks {
        cloud.put_online(name, kick.clone(), mark);
        let path = cloud.path(name);
        let told = path.metadata().unwrap();
        assert_eq!(told.len(), kick.len() as u64);
        assert_eq!(told.blocks() == 0, mark != Mark::Unmarked, "{name}");
        let attributes = |name: &str| {
            let mut value = [0; 200];
            let size = rustix::fs::getxattr(&path, name, &mut value);
            size.map(|size| value[..size].to_vec())
        };
        let data = attributes("user.openvfs.data");
        assert_eq!(data.is_ok(), mark == Mark::OpenVfs);
        if let Ok(data) = data {
            assert_eq!(data[0], 0x85, "a map of five");
            assert!(data.ends_with(b"\xa5state\x01"));
        }
        let state = attributes("user.openvfs.state");
        assert_eq!(
            state.as_deref() == Ok(b"virtual"),
            mark == Mark::OpenVfsText
        );
        assert!(!cloud.is_resident(name));

        let before = cloud.counts();
        assert_eq!(std::fs::read(&path).unwrap(), kick);
        assert!(cloud.is_resident(name));
        std::fs::read(&path).unwrap();
        assert_eq!(cloud.since(before).downloads, 1, "{name}");
        assert_eq!(attributes("user.openvfs.data"), Err(Errno::NODATA));
        assert_ne!(path.metadata().unwrap().blocks(), 0);
    }

    cloud.put_online("kick.wav", kick.clone(), Mark::Suffix(".nextcloud"));
    let stand_in = cloud.path("kick.wav.nextcloud");
    assert!(!cloud.path("kick.wav").exists());
    assert_eq!(std::fs::read(&stand_in).unwrap(), b" ");
    assert!(!cloud.is_resident("kick.wav"));
    assert_eq!(cloud.counts_of("kick.wav").downloads, 0);
    cloud.hydrate("kick.wav");
    assert!(!stand_in.exists());
    assert_eq!(std::fs::read(cloud.path("kick.wav")).unwrap(), kick);
    assert!(cloud.residency().values().all(|here| *here));
}

#[test]
fn each_trouble_comes_at_each_stage_and_goes() {
    let (cloud, kick) = with_a_kick();
    let size = kick.len() as u64;
    let mut met = 0;
    for (trouble, stage) in cells() {
        let path = if stage == Stage::Readdir {
            "kit"
        } else {
            "kit/kick.wav"
        };
        let fault = cloud.inject(stage.rule(trouble, path, size).unwrap());
        let seen = stage
            .use_of(cloud.path(path))
            .within(HANGS)
            .see(truth(&kick));
        let case = format!(
            "{trouble:?} {stage:?} {:?} {:?}",
            seen.outcome, seen.requests
        );
        assert!(cloud.hits(fault) > 0, "{case}");
        let bytes = [Stage::FirstRead, Stage::Midway, Stage::Map].contains(&stage);
        let error = |errno: Errno| match stage {
            Stage::Map => Outcome::Signal(7),
            _ => Outcome::Errno(errno.raw_os_error()),
        };
        let expected = match trouble {
            // As long as it is allowed to be slow.
            Trouble::Slow => seen.outcome,
            Trouble::Hung => Outcome::Hang,
            Trouble::Error => error(Errno::IO),
            Trouble::Offline => error(Errno::NETUNREACH),
            Trouble::Full => error(Errno::NOSPC),
            Trouble::Vanishes if bytes => error(Errno::STALE),
            Trouble::Vanishes => error(Errno::NOENT),
            Trouble::WrongSize => Outcome::Done,
            Trouble::WrongBytes => Outcome::Wrong,
        };
        assert_eq!(seen.outcome, expected, "{case}");
        if trouble == Trouble::Slow {
            let latency = Duration::from_millis(100);
            assert!(
                seen.longest() >= latency || seen.outcome == Outcome::Hang,
                "{case}"
            );
        }
        if stage == Stage::Midway {
            assert!(seen.bytes.len() >= kick.len() / 2 - 4096, "{case}");
        }
        cloud.heal();
        wait_until(Duration::from_secs(5), "nobody to wait", || {
            cloud.waiting() == 0
        });
        let after = use_of(&cloud, How::Read).see(truth(&kick));
        assert_eq!(after.outcome, Outcome::Bytes, "after {case}");
        met += 1;
    }
    // 5 at all 6 stages, going away at 5, wrong sizes at 1, wrong bytes at 3.
    assert_eq!(met, 39);
}

#[test]
fn a_drive_imports_from_a_cloud_and_each_class_has_its_door() {
    let (cloud, kick) = with_a_kick();
    let home = Home::new();
    let drive = home.mount_with(&[]);
    let before = cloud.counts_of("kit/kick.wav");
    let source = cloud.path("kit/kick.wav");
    home.run(["import".as_ref(), "--copy".as_ref(), source.as_os_str()]);
    let asked = cloud.counts_of("kit/kick.wav") - before;
    assert!(asked.opens > 0 && asked.bytes >= kick.len() as u64);

    let item = home.wait_for_items(1)[0].clone();
    let mut silence = kick.clone();
    silence[44..].fill(0);
    let truth = Truth {
        bytes: &kick,
        placeholder: &silence,
    };
    let used = |class: Class, how| class.uses(how, &home.mount_point(), path_of(&item));
    cloud.untouched_during(|| {
        for class in Class::ALL {
            for how in How::BYTES {
                let seen = used(class, how).see(truth);
                assert_eq!(seen.outcome, Outcome::Bytes, "{class:?} {how:?}");
            }
        }
    });

    let copy = PathBuf::from(item["resolvedPath"].as_str().unwrap());
    std::fs::remove_file(copy).unwrap();
    wait_until(SHOWN_WITHIN, "the sound to be missing", || {
        home.items()[0]["availability"] == "missing"
    });
    for class in Class::ALL {
        let seen = used(class, How::Read).see(truth);
        let expected = match class {
            Class::Player | Class::Loader => Outcome::Silence,
            _ => Outcome::Errno(Errno::NODATA.raw_os_error()),
        };
        assert_eq!(seen.outcome, expected, "{class:?} {seen:?}");
    }
    drive.stop();
}

#[test]
fn bytes_are_told_from_silence_and_from_lies() {
    let truth = Truth {
        bytes: &[1, 2, 3, 4],
        placeholder: &[1, 0, 0, 0],
    };
    for (bytes, start, content) in [
        (&[][..], 0, Content::Nothing),
        (&[1, 2, 3, 4], 0, Content::Bytes),
        (&[3, 4], 2, Content::Bytes),
        (&[1, 0, 0, 0], 0, Content::Silence),
        (&[0, 0], 2, Content::Silence),
        (&[1, 2, 0, 0], 0, Content::Mixed),
        (&[1, 2, 3, 5], 0, Content::Wrong),
        (&[1, 2, 3, 4, 0], 0, Content::Wrong),
        (&[2, 1], 0, Content::Wrong),
    ] {
        assert_eq!(
            compare(bytes, start, truth),
            content,
            "{bytes:?} at {start}"
        );
    }
    // A file that ends early is no file that was read well.
    let (cloud, kick) = with_a_kick();
    cloud.overwrite("kit/kick.wav", kick[..5000].to_vec());
    let seen = use_of(&cloud, How::Read).see(self::truth(&kick));
    assert_eq!(
        (seen.outcome, seen.content),
        (Outcome::Short, Content::Bytes)
    );
    let part = use_of(&cloud, How::Read).from(100).length(200);
    let seen = part.see(self::truth(&kick));
    assert_eq!((seen.outcome, seen.bytes.len()), (Outcome::Bytes, 200));
}
