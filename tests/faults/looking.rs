//! Promise 5, counted at the source: whoever lists, asks for attributes, searches or indexes opens and reads nothing
//! there, whether or not the source says which of its files are not here.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::scene::{Sound, cloud, in_root, mount};
use crate::support::cloud::{Cloud, Mark};
use crate::support::players::{Class, How, Outcome, Use};
use crate::support::{Home, path_of, program, show, succeed, wait_until};

const SOUNDS: u32 = 12;

/// A cloud of sounds that are not here, with such names as make file managers read files to know what they are.
fn sounds_of(home: &Home, mark: Option<Mark>) -> Cloud {
    let cloud = cloud(home, "cloud");
    for n in 0..SOUNDS {
        let end = ["wav", "ogg", "caf", "opus"][n as usize % 4];
        let bytes = (*Sound::new(20_000, n).bytes).clone();
        cloud.put(format!("kit/{n}.{end}"), bytes);
    }
    cloud.put("kit/notes", "by hand");
    if let Some(mark) = mark {
        for n in 0..SOUNDS {
            let end = ["wav", "ogg", "caf", "opus"][n as usize % 4];
            cloud.dehydrate(format!("kit/{n}.{end}"), mark);
        }
    }
    cloud
}

/// Waits until nothing is asked of a cloud any more.
fn quiet(cloud: &Cloud) {
    let mut before = cloud.counts();
    let mut since = std::time::Instant::now();
    wait_until(Duration::from_secs(60), "the scan to be over", || {
        let now = cloud.counts();
        if now != before {
            before = now;
            since = std::time::Instant::now();
        }
        since.elapsed() > Duration::from_secs(3)
    });
}

fn words<'w>(words: &[&'w str], last: &'w Path) -> Vec<&'w OsStr> {
    let words = words.iter().map(|word| OsStr::new(*word));
    words.chain([last.as_os_str()]).collect()
}

/// Everything that looks.
fn look(home: &Home, cloud: &Cloud) {
    let root = home.on_drive(in_root("cloud", "kit"));
    let items = home.items();
    assert_eq!(items.len(), SOUNDS as usize);
    let item = home.on_drive(path_of(&items[0]));
    let looked = |what: &str, look: &dyn Fn()| {
        let before = cloud.counts();
        look();
        // What it starts may go on.
        std::thread::sleep(Duration::from_millis(100));
        let asked = cloud.since(before);
        assert!(asked.untouched(), "{what} touched the source: {asked:?}");
    };
    looked("ls -lR", &|| {
        let listed = succeed("ls", words(&["-lR"], &home.mount_point()));
        assert!(listed.contains("notes"));
    });
    looked("find -size", &|| {
        let found = succeed("find", [root.as_os_str(), "-size".as_ref(), "+1k".as_ref()]);
        assert!(found.lines().count() >= SOUNDS as usize, "{found}");
    });
    looked("stat", &|| drop(succeed("stat", [item.as_os_str()])));
    looked("mediafs ls", &|| drop(home.run(["ls"])));
    looked("mediafs ls WORD", &|| drop(home.run(["ls", "1"])));
    looked("mediafs show", &|| {
        let id = items[0]["mediaId"].as_str().unwrap();
        home.run(["show", id]);
    });
    looked("mediafs status", &|| drop(home.run(["status"])));
    looked("getfattr", &|| {
        let shown = succeed("getfattr", words(&["-d"], &item));
        assert!(shown.contains("user.mediafs.id"), "{shown}");
    });
    looked("gio list", &|| {
        for folder in [&root, &item.parent().unwrap().to_owned()] {
            let asked = words(&["list", "-l", "-a", "standard::*"], folder);
            let listed = succeed("gio", asked);
            assert!(!listed.is_empty());
        }
    });
    looked("gio info", &|| {
        drop(succeed("gio", words(&["info"], &item)))
    });
    looked("cp --attributes-only", &|| {
        let copies = home.path("copies");
        std::fs::create_dir_all(&copies).unwrap();
        let mut copy = words(&["--attributes-only", "-r"], &root);
        copy.push(copies.as_os_str());
        succeed("cp", copy);
        assert_eq!(std::fs::read_dir(copies.join("kit")).unwrap().count(), 13);
    });
    for name in ["tracker-miner-fs-3", "baloo_file", "tumblerd", "restic"] {
        looked(name, &|| {
            for how in [How::List, How::Stat, How::Read] {
                let path = if how == How::List {
                    root.clone()
                } else {
                    root.join("1.ogg")
                };
                let seen = Use::of(how, path).by_program(name).try_it();
                let refused = rustix::io::Errno::AGAIN.raw_os_error();
                match how {
                    How::Read => assert_eq!(seen.outcome, Outcome::Errno(refused), "{name}"),
                    _ => assert_eq!(seen.outcome, Outcome::Done, "{name} {how:?}"),
                }
            }
        });
    }
    looked("a file manager that sniffs", &|| {
        // As GIO does.
        let seen = Class::Browser
            .uses(
                How::Read,
                &home.mount_point(),
                in_root("cloud", "kit/1.ogg"),
            )
            .length(4096)
            .try_it();
        assert!(
            matches!(seen.outcome, Outcome::Errno(_) | Outcome::Wrong),
            "{seen:?}"
        );
    });
    looked("thunar", &|| thunar(home, &root));
}

/// Thunar shows a folder for some seconds.
fn thunar(home: &Home, folder: &Path) {
    let own = home.path("thunar");
    std::fs::create_dir_all(&own).unwrap();
    // With a bus of its own, so that no thumbnailer of this machine is asked, and gone with it.
    let ended = Command::new("timeout")
        .args(["-k", "2", "20", "xvfb-run", "-a", "dbus-run-session", "--"])
        .args([
            "sh",
            "-c",
            "thunar \"$1\" & sleep 6; kill $! && echo showed it",
            "sh",
        ])
        .arg(folder)
        .env("HOME", &own)
        .env("XDG_RUNTIME_DIR", &own)
        .env("XDG_CONFIG_HOME", own.join("config"))
        .output()
        .unwrap_or_else(|error| panic!("timeout is needed for this test: {error}"));
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(
        said.contains("showed it"),
        "thunar did not run: {}",
        show(&ended)
    );
}

fn looking_touches_nothing(mark: Option<Mark>) {
    let home = Home::new();
    let cloud = sounds_of(&home, mark);
    let _drive = mount(&home, &[cloud.mount_point()]);
    wait_until(Duration::from_secs(60), "all items", || {
        home.items().len() == SOUNDS as usize
    });
    quiet(&cloud);
    if mark.is_some() {
        let counts = cloud.counts();
        assert_eq!(counts.downloads, 0, "the scan downloaded: {counts:?}");
    }
    look(&home, &cloud);
    // The counter counts.
    let before = cloud.counts();
    let read = program(
        "cat",
        [home.on_drive(in_root("cloud", "kit/0.wav")).as_os_str()],
    );
    let asked = cloud.since(before);
    assert!(read.status.success() && asked.reads > 0, "{asked:?}");
    assert_eq!(read.stdout, *Sound::new(20_000, 0).bytes);
}

#[test]
fn looking_at_a_source_touches_nothing() {
    looking_touches_nothing(None);
}

#[test]
fn looking_at_files_that_are_marked_as_not_here_touches_nothing() {
    looking_touches_nothing(Some(Mark::OpenVfs));
}
