//! A disk that takes no change, while programs change things in `import/` and `record/`: they wait for it, and players of
//! what lies elsewhere do not wait for them.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use serde_json::Value;

use crate::scene::Scene;
use crate::support::sounds::wav;
use crate::support::volumes::{Kind, Volume};
use crate::support::{modes, path_of};

/// The player deadline, and what a machine that compiles something beside the tests may take on top.
const DEADLINE: Duration = Duration::from_millis(20);
const SLACK: Duration = Duration::from_millis(480);
/// Programs that change something at a time: twice as many as there are threads that answer the kernel.
const PROGRAMS: usize = 8;
/// Who has not come back for so long is held up.
const HELD_UP: Duration = Duration::from_millis(150);
/// A disk that was let go answers within this.
const GOES_ON: Duration = Duration::from_secs(30);

/// Does it, and tells how that ended.
type Doing = Box<dyn FnOnce() -> std::io::Result<()> + Send>;

/// What a program does, and whether it has to wait for the disk for that.
struct Deed {
    name: &'static str,
    waits: bool,
    /// Gets all ready for it, and gives what does it.
    prepare: fn(&Place) -> Doing,
}

/// Where one program works.
struct Place {
    /// A folder of `import/`, of its own.
    folder: PathBuf,
    /// A take of its own.
    take: PathBuf,
}

impl Place {
    /// A file of some bytes in the folder, that does not become a sound.
    fn file(&self, name: &str) -> PathBuf {
        let path = self.folder.join(name).with_extension("part");
        fs::write(&path, [7; 5000]).unwrap();
        path
    }

    fn open_take(&self) -> File {
        let mut take = File::options().write(true).open(&self.take).unwrap();
        take.write_all(&[7; 5000]).unwrap();
        take
    }
}

const DEEDS: &[Deed] = &[
    Deed {
        name: "create",
        waits: true,
        prepare: |place| {
            let path = place.folder.join("new.part");
            Box::new(move || File::create(path).map(drop))
        },
    },
    Deed {
        name: "mkdir",
        waits: true,
        prepare: |place| {
            let path = place.folder.join("folder");
            Box::new(move || fs::create_dir(path))
        },
    },
    Deed {
        name: "unlink",
        waits: true,
        prepare: |place| {
            let path = place.file("old");
            Box::new(move || fs::remove_file(path))
        },
    },
    Deed {
        name: "rmdir",
        waits: true,
        prepare: |place| {
            let path = place.folder.join("empty");
            fs::create_dir(&path).unwrap();
            Box::new(move || fs::remove_dir(path))
        },
    },
    Deed {
        name: "rename",
        waits: true,
        prepare: |place| {
            let path = place.file("before");
            Box::new(move || fs::rename(&path, path.with_file_name("after.part")))
        },
    },
    Deed {
        name: "open to empty",
        waits: true,
        prepare: |place| {
            let path = place.file("full");
            Box::new(move || File::create(path).map(drop))
        },
    },
    Deed {
        name: "set the length by the path",
        waits: true,
        prepare: |place| {
            let path = place.file("long");
            Box::new(move || {
                let cut = File::options().write(true).open(path)?;
                cut.set_len(10)
            })
        },
    },
    Deed {
        name: "set the length of what is open",
        waits: true,
        prepare: |place| {
            let path = place.file("open");
            let open = File::options().write(true).open(path).unwrap();
            Box::new(move || open.set_len(0))
        },
    },
    Deed {
        name: "write",
        waits: true,
        prepare: |place| {
            let mut open = File::create(place.folder.join("written.part")).unwrap();
            Box::new(move || open.write_all(b"more"))
        },
    },
    Deed {
        name: "change the mode",
        waits: true,
        prepare: |place| {
            let path = place.file("mode");
            let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600);
            Box::new(move || fs::set_permissions(path, mode))
        },
    },
    Deed {
        name: "close",
        waits: false,
        prepare: |place| {
            let open = File::create(place.folder.join("closed.part")).unwrap();
            Box::new(move || {
                drop(open);
                Ok(())
            })
        },
    },
    Deed {
        name: "close what has no name any more",
        waits: false,
        prepare: |place| {
            let path = place.folder.join("nameless.part");
            let mut open = File::create(&path).unwrap();
            open.write_all(&[7; 5000]).unwrap();
            fs::remove_file(path).unwrap();
            Box::new(move || {
                drop(open);
                Ok(())
            })
        },
    },
    Deed {
        name: "open a take to empty it",
        waits: true,
        prepare: |place| {
            place.open_take();
            let path = place.take.clone();
            Box::new(move || {
                let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::TRUNC;
                rustix::fs::open(path, flags, rustix::fs::Mode::empty())?;
                Ok(())
            })
        },
    },
    Deed {
        name: "set the length of a take by its path",
        waits: true,
        prepare: |place| {
            place.open_take();
            let path = place.take.clone();
            Box::new(move || File::options().write(true).open(path)?.set_len(10))
        },
    },
    Deed {
        name: "set the length of an open take",
        waits: true,
        prepare: |place| {
            let open = place.open_take();
            Box::new(move || open.set_len(100))
        },
    },
    Deed {
        name: "write to a take",
        waits: true,
        prepare: |place| {
            let mut open = place.open_take();
            Box::new(move || open.write_all(b"more"))
        },
    },
    Deed {
        name: "make room in a take",
        waits: true,
        prepare: |place| {
            let open = place.open_take();
            Box::new(move || {
                let flags = rustix::fs::FallocateFlags::empty();
                Ok(rustix::fs::fallocate(&open, flags, 0, 100_000)?)
            })
        },
    },
    Deed {
        name: "close a take",
        waits: false,
        prepare: |place| {
            let open = place.open_take();
            Box::new(move || {
                drop(open);
                Ok(())
            })
        },
    },
    Deed {
        name: "what is refused in record/",
        waits: false,
        prepare: |place| {
            let path = place.take.with_file_name(format!(
                "no {}",
                place.take.file_name().unwrap().to_string_lossy()
            ));
            let take = place.take.clone();
            Box::new(move || {
                let refused = [
                    File::create(&path).map(drop),
                    fs::create_dir(&path),
                    fs::remove_file(&take),
                    fs::rename(&take, &path),
                ];
                for answer in refused {
                    let error = answer.expect_err("nothing else can be made in record/");
                    assert_eq!(Errno::from_io_error(&error), Some(Errno::ROFS));
                }
                Ok(())
            })
        },
    },
];

/// What a player needs to open a sound and read its beginning. `None` if it does not come back at all.
fn played(path: PathBuf) -> Option<Duration> {
    let (told, heard) = mpsc::channel();
    std::thread::spawn(move || {
        let begun = Instant::now();
        let mut block = [0; 2000];
        let read = File::open(path).and_then(|mut file| file.read_exact(&mut block));
        let _ = told.send(read.map(|()| begun.elapsed()));
    });
    let heard = heard.recv_timeout(Duration::from_secs(5)).ok()?;
    Some(heard.unwrap())
}

/// Lets programs do something while both disks take no change; gives the longest that a player waited meanwhile.
fn stall(
    deed: &Deed,
    places: &[Place],
    disks: &mut [Volume; 2],
    sounds: &mut impl Iterator<Item = PathBuf>,
) -> Duration {
    let ready: Vec<_> = places.iter().map(|place| (deed.prepare)(place)).collect();
    let (told, done) = mpsc::channel();
    let count = ready.len();
    let frozen = disks.each_mut().map(|disk| disk.freeze());
    for work in ready {
        let told = told.clone();
        std::thread::spawn(move || told.send(work()));
    }
    let mut left = count;
    if deed.waits {
        let early = done.recv_timeout(HELD_UP);
        assert!(early.is_err(), "{}: not held up: {early:?}", deed.name);
    } else {
        for _ in 0..count {
            let done = done.recv_timeout(GOES_ON);
            done.unwrap_or_else(|_| panic!("{}: held up", deed.name))
                .unwrap_or_else(|error| panic!("{}: {error}", deed.name));
        }
        left = 0;
    }
    let mut longest = Duration::ZERO;
    for _ in 0..3 {
        let Some(waited) = played(sounds.next().unwrap()) else {
            panic!("{}: a player is held up", deed.name);
        };
        longest = longest.max(waited);
    }
    drop(frozen);
    for _ in 0..left {
        let done = done.recv_timeout(GOES_ON).unwrap();
        done.unwrap_or_else(|error| panic!("{}: {error}", deed.name));
    }
    longest
}

/// The sounds of the library, at the players' door.
fn doors(scene: &Scene, items: &[Value]) -> Vec<PathBuf> {
    let door = |item: &Value| scene.home.on_drive(".as/player").join(path_of(item));
    items.iter().map(door).collect()
}

fn on_a_disk(kind: Kind, at: &Path) -> Volume {
    let mut disk = Volume::new(kind);
    disk.mount(at);
    disk
}

#[test]
fn players_do_not_wait_for_who_changes_something_on_a_stalled_disk() {
    for mode in modes() {
        let scene = Scene::new();
        let takes_at = scene.home.path("Band");
        let mut disks = [
            on_a_disk(Kind::Ext4, &scene.home.home().join("Import")),
            // One with room for a take.
            on_a_disk(Kind::Xfs, &takes_at),
        ];
        let trusted = format!("[storage]\ntrusted = [{takes_at:?}]\n");
        fs::write(scene.home.home().join("config.toml"), trusted).unwrap();
        // Each is opened once, so that nothing of it is known to the kernel.
        let count = DEEDS.len() * 3;
        for seed in 0..count {
            let seed = u32::try_from(seed).unwrap();
            let path = scene.home.library().join(format!("{seed}.wav"));
            fs::write(path, wav(1000, seed)).unwrap();
        }
        let library = scene.home.library();
        let mut arguments = vec!["--project", takes_at.to_str().unwrap(), "--library"];
        arguments.push(library.to_str().unwrap());
        arguments.extend_from_slice(mode);
        let _drive = scene.mount(&arguments);
        let mut sounds = doors(&scene, &scene.home.wait_for_items(count)).into_iter();
        let places: Vec<Place> = (0..PROGRAMS)
            .map(|number| {
                let folder = scene.home.on_drive(format!("import/{number}"));
                fs::create_dir(&folder).unwrap();
                let name = format!("Take {number}");
                let words = ["--name", &name, "--project"].map(AsRef::as_ref);
                let words = words.into_iter().chain([takes_at.as_os_str()]);
                let take = scene.reserve_with(&words.collect::<Vec<_>>());
                assert!(take.staging.starts_with(takes_at.canonicalize().unwrap()));
                Place {
                    folder,
                    take: take.file,
                }
            })
            .collect();
        for deed in DEEDS {
            let longest = stall(deed, &places, &mut disks, &mut sounds);
            assert!(
                longest < DEADLINE + SLACK,
                "{mode:?}, {}: a player waited {longest:?}",
                deed.name
            );
        }
    }
}
