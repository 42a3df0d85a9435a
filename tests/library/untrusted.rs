//! Roots on storage that is not trusted: a file system of another process (bindfs), which is stopped, killed and mounted
//! again at will, and which nothing in this process may ever touch.

use std::collections::BTreeMap;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use mediafs::catalog::{BaseRow, ItemRow, PlaceKind};
use mediafs::hydrate::Wanted;
use mediafs::library::{
    ImportMode, ImportOptions, Library, LibraryConfig, LibraryError, Outcome, Progress, Reconciled,
    Which, take_in,
};
use mediafs::model::{Availability, Format, ObjectHash};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{House, hydrogen, put, scan, wav};

/// How long a source may be silent, and a little more.
pub(crate) const SILENT: Duration = Duration::from_secs(20);

/// A disk that may hang: what is in `own` is shown at `mount`.
pub(crate) struct Disk {
    folder: tempfile::TempDir,
    server: Option<Child>,
}

impl Disk {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("mediafs-test-disk-")
            .tempdir()
            .unwrap();
        std::fs::create_dir(folder.path().join("own")).unwrap();
        std::fs::create_dir(folder.path().join("mount")).unwrap();
        let mut disk = Self {
            folder,
            server: None,
        };
        disk.mount();
        disk
    }

    pub(crate) fn own(&self) -> PathBuf {
        self.folder.path().join("own")
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("mount")
    }

    pub(crate) fn mount(&mut self) {
        self.mount_other(&self.own(), &[]);
    }

    /// Another one at its path: what is in `folder` is shown there.
    pub(crate) fn mount_other(&mut self, folder: &Path, options: &[&str]) {
        assert!(self.server.is_none());
        let server = Command::new("bindfs")
            .arg("-f")
            .args(options)
            .args([folder, &self.path()])
            .stdin(Stdio::null())
            .spawn()
            .expect("bindfs is needed for these tests; scripts/test installs it");
        self.server = Some(server);
        wait("a mounted disk", Duration::from_secs(10), || {
            is_mounted(&self.path())
        });
    }

    fn pid(&self) -> Pid {
        Pid::from_child(self.server.as_ref().unwrap())
    }

    /// Whoever asks it something hangs until what this gives is dropped.
    fn hang(&self) -> Hung {
        kill_process(self.pid(), Signal::STOP).unwrap();
        Hung(self.pid())
    }

    /// Its process is gone, and the mount is not.
    pub(crate) fn die(&mut self) {
        let mut server = self.server.take().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
    }

    pub(crate) fn detach(&self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }

    pub(crate) fn unmount(&mut self) {
        self.detach();
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
        assert!(!is_mounted(&self.path()));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
        if is_mounted(&self.path()) {
            self.detach();
        }
    }
}

/// A server that is stopped until this is dropped.
struct Hung(Pid);

impl Drop for Hung {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

fn is_mounted(path: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let path = path.to_str().unwrap();
    mounts
        .lines()
        .any(|line| line.split(' ').nth(1) == Some(path))
}

#[track_caller]
pub(crate) fn wait(what: &str, time: Duration, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < time, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Where a process or thread waits in the kernel.
fn waits_for_fuse(task: &Path) -> bool {
    let at = std::fs::read_to_string(task.join("wchan")).unwrap_or_default();
    at.contains("fuse") || at.contains("request_wait_answer")
}

/// Threads of this process that wait for a file system of another process.
fn hanging_threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    tasks
        .filter(|task| waits_for_fuse(&task.path()))
        .map(|task| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default())
        .collect()
}

fn couriers() -> Vec<Pid> {
    let own = std::process::id().to_string();
    let found = Command::new("pgrep")
        .args(["-P", &own, "-f", "mediafs-courier"])
        .output()
        .unwrap();
    String::from_utf8(found.stdout)
        .unwrap()
        .lines()
        .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
        .collect()
}

/// Facts of all items, by their paths.
pub(crate) fn facts(
    house: &House,
    base: &BaseRow,
) -> BTreeMap<String, (ItemFacts, Option<Format>)> {
    let reader = house.reader();
    let items = house.items(base).into_iter();
    items
        .map(|(path, item)| {
            let format = reader.format(item.row).unwrap();
            let place = item.place.unwrap();
            let facts = ItemFacts {
                name: item.name.clone(),
                size: item.size,
                kind: item.kind.to_string(),
                fingerprint: reader.fingerprint(place).unwrap(),
                capsule: reader.has_capsule(item.row).unwrap(),
            };
            (path, (facts, format))
        })
        .collect()
}

#[derive(PartialEq, Debug)]
pub(crate) struct ItemFacts {
    name: String,
    size: u64,
    kind: String,
    fingerprint: Option<[u8; 32]>,
    capsule: bool,
}

/// Nothing of them is missing, whatever their source is like.
fn generations(items: &BTreeMap<String, ItemRow>) -> Vec<(&String, u32)> {
    let missing = |item: &&ItemRow| item.availability == Availability::Missing;
    assert_eq!(items.values().find(missing), None);
    items
        .iter()
        .map(|(path, item)| (path, item.generation))
        .collect()
}

/// As `mediafs` in a daemon, but polling every three seconds: a courier that is not asked anything for one ends.
fn watched(house: &House) -> Library {
    let config = LibraryConfig {
        poll_interval: Duration::from_secs(3),
        ..House::config()
    };
    let catalog = std::sync::Arc::clone(&house.catalog);
    Library::start(catalog, &house.home(), config).unwrap()
}

#[test]
fn an_untrusted_scan_finds_what_a_trusted_one_finds() {
    let disk = Disk::new();
    let status = Command::new("cp")
        .arg("-rL")
        .arg(hydrogen())
        .arg(disk.own().join("drums"))
        .status();
    assert!(status.unwrap().success());
    put(&disk.own().join("broken.wav"), b"RIFF....WAVEnonsense");
    put(&disk.own().join("notes.txt"), b"by hand");
    std::os::unix::fs::symlink("broken.wav", disk.own().join("inside.wav")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", disk.own().join("outside.wav")).unwrap();
    let pipe = Command::new("mkfifo")
        .arg(disk.own().join("pipe.wav"))
        .status();
    assert!(pipe.unwrap().success());

    let (trusted, untrusted) = (House::new(), House::new());
    let here = trusted.quiet();
    let own = here.add_root(&disk.own()).unwrap();
    scan(&here);
    let there = untrusted.quiet();
    // By way of a link.
    let link = untrusted.folder.path().join("link");
    std::os::unix::fs::symlink(disk.path(), &link).unwrap();
    let mounted = there.add_root(&link).unwrap();
    assert_eq!(mounted.path, disk.path());
    assert_eq!(there.add_root(&disk.path()).unwrap().row, mounted.row);
    let first = scan(&there).snapshot();

    let expected = facts(&trusted, &own);
    assert!(expected.len() > 40);
    let found = facts(&untrusted, &mounted);
    assert_eq!(found.len(), expected.len());
    for (path, facts) in &expected {
        assert_eq!(&found[path], facts, "{path}");
    }
    let names = |house: &House, base| house.places(base).into_keys().collect::<Vec<_>>();
    assert_eq!(names(&untrusted, &mounted), names(&trusted, &own));
    let problems = |library: &Library| -> Vec<String> {
        let all = library.problems(0, 100).into_iter();
        all.map(|(path, why)| format!("{}: {why}", path.file_name().unwrap().display()))
            .collect()
    };
    assert_eq!(problems(&there), problems(&here));
    assert_eq!(problems(&there).len(), 2);

    let second = scan(&there).snapshot();
    assert_eq!(second.seen, first.seen);
    assert_eq!(second.expected, 0, "nothing is read twice");
    wait("no courier", SILENT, || couriers().is_empty());
}

#[test]
fn a_link_that_took_the_name_of_a_file_is_one() {
    let disk = Disk::new();
    for (n, name) in ["inside.wav", "absolute.wav"].into_iter().enumerate() {
        put(
            &disk.own().join(name),
            &wav(1, 80 + u32::try_from(n).unwrap()),
        );
    }
    std::fs::create_dir(disk.own().join("kit")).unwrap();
    let house = House::new();
    let library = house.quiet();
    let base = library.add_root(&disk.path()).unwrap();
    scan(&library);
    let before = house.items(&base);
    assert_eq!(before.len(), 2);
    // By way of the mount, as the kernel would know the old names for a while.
    for name in before.keys() {
        let real = disk.path().join("kit").join(name);
        std::fs::rename(disk.path().join(name), &real).unwrap();
    }
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(target, disk.path().join(name)).unwrap();
    };
    link("kit/inside.wav", "inside.wav");
    link("/etc/passwd", "absolute.wav");
    scan(&library);
    let places = house.places(&base);
    let names: Vec<_> = places.keys().map(String::as_str).collect();
    assert_eq!(names, ["inside.wav", "kit/absolute.wav", "kit/inside.wav"]);
    let (place, item) = &places["inside.wav"];
    assert_eq!(place.kind, PlaceKind::Link("kit/inside.wav".into()));
    assert_eq!(*item, None);
    for (name, old) in &before {
        let moved = places[&format!("kit/{name}")].1.as_ref().unwrap();
        assert_eq!(moved.size, old.size, "{name}");
        assert_eq!(moved.availability, Availability::ExternalOnline);
        // What stood for the file is still known.
        assert_eq!(house.item(&old.media_id).size, old.size, "{name}");
    }
    let problems = library.problems(0, 100);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].1.contains("absolute link"), "{problems:?}");

    scan(&library);
    assert_eq!(house.places(&base).len(), 3, "it stays so");
}

#[test]
fn nothing_changes_by_mounting_again() {
    let mut disk = Disk::new();
    for n in 0..30 {
        // All of one size and time: they are told apart by their names alone.
        let path = disk.own().join(format!("kit/{n}.wav"));
        put(&path, &wav(n, 50));
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_000_000))
            .unwrap();
    }
    let house = House::new();
    let library = house.quiet();
    let base = library.add_root(&disk.path()).unwrap();
    scan(&library);
    let known = house.items(&base);
    assert_eq!(known.len(), 30);

    disk.unmount();
    // The mount point that is left is an empty folder on trusted storage.
    scan(&library);
    let away = house.items(&base);
    assert_eq!(away.len(), 30, "nothing is lost");
    assert!(
        away.values()
            .all(|item| item.availability == Availability::ExternalOffline)
    );
    // In another order, so that other numbers are given to its files.
    std::fs::rename(disk.own().join("kit"), disk.own().join("old")).unwrap();
    std::fs::create_dir(disk.own().join("kit")).unwrap();
    for n in (0..30).rev() {
        let name = format!("{n}.wav");
        let (old, new) = (disk.own().join("old"), disk.own().join("kit"));
        Command::new("cp")
            .arg("-p")
            .args([old.join(&name), new.join(&name)])
            .status()
            .unwrap();
    }
    std::fs::remove_dir_all(disk.own().join("old")).unwrap();
    disk.mount();
    let again = scan(&library).snapshot();
    assert_eq!(again.expected, 0, "nothing is read again");
    assert_eq!(generations(&house.items(&base)), generations(&known));
    let ids = |items: &BTreeMap<String, ItemRow>| -> Vec<_> {
        items.values().map(|item| item.media_id.clone()).collect()
    };
    assert_eq!(ids(&house.items(&base)), ids(&known));

    // What is really gone is.
    std::fs::remove_file(disk.own().join("kit/7.wav")).unwrap();
    scan(&library);
    assert_eq!(house.items(&base).len(), 29);
    // And another content is one.
    put(&disk.own().join("kit/8.wav"), &wav(8, 60));
    wait("the new content", SILENT, || {
        scan(&library);
        house.items(&base)["kit/8.wav"].generation > known["kit/8.wav"].generation
    });
}

#[test]
fn a_root_that_hangs_keeps_what_is_known_and_holds_up_nobody() {
    let disk = Disk::new();
    for n in 0..20 {
        put(&disk.own().join(format!("kit/{n}.wav")), &wav(n, 50));
    }
    let house = House::new();
    put(&house.sounds().join("own.wav"), &wav(99, 50));
    let library = watched(&house);
    let here = library.add_root(&house.sounds()).unwrap();
    let there = library.add_root(&disk.path()).unwrap();
    wait("all sounds", SILENT, || {
        house.items(&here).len() + house.items(&there).len() == 21
    });
    let known = house.items(&there);
    let place = known["kit/1.wav"].place.unwrap();

    let hung = disk.hang();
    // That a thread which hangs can be seen as one is shown by another process.
    let mut lister = Command::new("ls")
        .arg(disk.path().join("kit"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let task = PathBuf::from(format!("/proc/{}", lister.id()));
    wait("a process that hangs", SILENT, || waits_for_fuse(&task));
    put(&disk.own().join("kit/new.wav"), &wav(100, 50));
    let begun = Instant::now();
    for n in 0_i16.. {
        let name = format!("more {n}.wav");
        put(&house.sounds().join(&name), &wav(200 + n, 50));
        library.scan(&Which::All);
        let asked = Instant::now();
        assert_eq!(
            library.reconcile_place(place).unwrap(),
            Reconciled::Later,
            "nobody waits"
        );
        assert!(asked.elapsed() < Duration::from_millis(500));
        house.wait(|house| house.items(&here).contains_key(&name));
        assert_eq!(hanging_threads(), Vec::<String>::new());
        assert_eq!(generations(&house.items(&there)), generations(&known));
        if begun.elapsed() > Duration::from_secs(14) {
            break;
        }
    }
    let noted = library.problem_at(&disk.path());
    assert!(
        noted.as_ref().is_some_and(|why| why.contains("answer")),
        "{noted:?}"
    );
    // Who asks for it is told so, at once.
    let asked = Instant::now();
    let progress = Progress::default();
    library
        .scan_now(&Which::One(there.row), &progress, &AtomicBool::new(false))
        .unwrap();
    assert!(asked.elapsed() < SILENT);
    assert_eq!(generations(&house.items(&there)), generations(&known));

    drop(hung);
    lister.wait().unwrap();
    // Nobody need ask.
    wait("the source to be tried again", SILENT * 2, || {
        house.items(&there).contains_key("kit/new.wav")
    });
    for (path, item) in &known {
        assert_eq!(house.items(&there)[path], *item);
    }
    wait("no problem", SILENT, || {
        library.problem_at(&disk.path()).is_none()
    });
}

#[test]
fn a_library_ends_while_its_storage_hangs() {
    let disk = Disk::new();
    put(&disk.own().join("a.wav"), &wav(1, 50));
    let house = House::new();
    let library = watched(&house);
    let base = library.add_root(&disk.path()).unwrap();
    wait("a sound", SILENT, || house.items(&base).len() == 1);
    let _hung = disk.hang();
    library.scan(&Which::All);
    std::thread::sleep(Duration::from_millis(500));
    let begun = Instant::now();
    drop(library);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_file_system_whose_process_died_keeps_what_is_known() {
    let mut disk = Disk::new();
    put(&disk.own().join("kit/a.wav"), &wav(1, 50));
    let house = House::new();
    let library = house.quiet();
    let base = library.add_root(&disk.path().join("kit")).unwrap();
    scan(&library);
    let known = house.items(&base);
    assert_eq!(known.len(), 1);
    disk.die();
    scan(&library);
    assert_eq!(house.items(&base), known);
    assert!(library.problem_at(&base.path).is_some());
    disk.detach();
    scan(&library);
    assert_eq!(house.items(&base).len(), 1);
    disk.mount();
    scan(&library);
    assert_eq!(house.items(&base), known);
    assert!(library.problem_at(&base.path).is_none());
}

#[test]
fn what_is_added_is_found_by_polling_and_what_changes_too() {
    let disk = Disk::new();
    put(&disk.own().join("a.wav"), &wav(1, 50));
    let house = House::new();
    let library = watched(&house);
    let base = library.add_root(&disk.path()).unwrap();
    wait("a sound", SILENT, || house.items(&base).len() == 1);
    let notes = library.unwatched().unwrap();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].1.contains("scanned every 3 seconds"), "{notes:?}");
    let id = house.items(&base)["a.wav"].media_id.clone();
    put(&disk.own().join("deep/b.wav"), &wav(2, 50));
    std::fs::remove_file(disk.own().join("a.wav")).unwrap();
    wait("both changes", SILENT, || {
        let items = house.items(&base);
        items.contains_key("deep/b.wav") && !items.contains_key("a.wav")
    });
    assert_eq!(house.item(&id).availability, Availability::Missing);
    // Between two looks nobody holds the disk.
    wait("no courier", SILENT, || couriers().is_empty());
    assert_eq!(hanging_threads(), Vec::<String>::new());
}

#[test]
fn couriers_that_are_killed_cost_time_and_nothing_else() {
    let disk = Disk::new();
    for n in 0..300 {
        put(&disk.own().join(format!("{}/{n}.wav", n % 20)), &wav(n, 50));
    }
    let house = House::new();
    let library = house.quiet();
    let base = library.add_root(&disk.path()).unwrap();
    let ended = AtomicBool::new(false);
    let killed = std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            let mut killed = 0;
            while !ended.load(std::sync::atomic::Ordering::Relaxed) && killed < 2 {
                std::thread::sleep(Duration::from_millis(60));
                for pid in couriers() {
                    killed += usize::from(kill_process(pid, Signal::KILL).is_ok());
                }
            }
            killed
        });
        scan(&library);
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        killer.join().unwrap()
    });
    assert!(killed > 0, "nothing was interrupted");
    // What was cut short is taken up.
    scan(&library);
    assert_eq!(house.items(&base).len(), 300);
    assert_eq!(library.problem_count(), 0);
    assert_eq!(house.reader().problems(0, 10).unwrap(), []);
}

#[test]
fn a_source_is_let_go_at_once() {
    let mut disk = Disk::new();
    put(&disk.own().join("a.wav"), &wav(1, 50));
    let house = House::new();
    let library = house.quiet();
    let base = library.add_root(&disk.path()).unwrap();
    scan(&library);
    assert!(!library.release_source(&house.sounds()));
    assert!(library.release_source(&disk.path()));
    let plain = Command::new("umount").arg(disk.path()).status().unwrap();
    assert!(plain.success(), "something holds the disk");
    if let Some(mut server) = disk.server.take() {
        server.wait().unwrap();
    }
    disk.mount();
    scan(&library);
    assert_eq!(
        house.items(&base)["a.wav"].availability,
        Availability::ExternalOnline
    );
}

#[test]
fn files_are_referenced_where_they_are_by_couriers() {
    let disk = Disk::new();
    put(&disk.own().join("one/a.wav"), &wav(1, 50));
    put(&disk.own().join("two/b.wav"), &wav(2, 50));
    put(&disk.own().join("two/notes.txt"), b"by hand");
    let house = House::new();
    let library = house.quiet();
    let (progress, cancel) = (Progress::default(), AtomicBool::new(false));
    let options = ImportOptions {
        mode: ImportMode::Reference,
        ..ImportOptions::default()
    };
    let file = disk.path().join("one/a.wav");
    let done = library.import(std::slice::from_ref(&file), &options, &progress, &cancel);
    let done = done.unwrap();
    assert_eq!(done[0].outcome, Outcome::Imported, "{done:?}");
    let id = done[0].media_id.clone().unwrap();
    assert!(
        house
            .reader()
            .format(house.item(&id).row)
            .unwrap()
            .is_some()
    );
    let again = library.import(&[file], &options, &progress, &cancel);
    assert_eq!(again.unwrap()[0].media_id.as_ref(), Some(&id));
    // Scanning does not lose it, finds another content, and believes that it is gone.
    scan(&library);
    let online = Availability::ExternalOnline;
    assert_eq!(house.item(&id).availability, online);
    assert_eq!(library.problem_count(), 0, "{:?}", library.problems(0, 9));
    let generation = house.item(&id).generation;
    put(&disk.own().join("one/a.wav"), &wav(3, 70));
    wait("another content", SILENT, || {
        scan(&library);
        house.item(&id).generation > generation
    });
    let hung = disk.hang();
    let asked = Instant::now();
    scan(&library);
    assert!(asked.elapsed() < SILENT);
    let offline = Availability::ExternalOffline;
    assert!([online, offline].contains(&house.item(&id).availability));
    drop(hung);
    std::fs::remove_file(disk.own().join("one/a.wav")).unwrap();
    wait("its absence", SILENT, || {
        scan(&library);
        house.item(&id).availability == Availability::Missing
    });

    // A folder becomes a root.
    let folder = disk.path().join("two");
    let done = library.import(std::slice::from_ref(&folder), &options, &progress, &cancel);
    let outcomes: Vec<_> = done.unwrap().into_iter().map(|one| one.outcome).collect();
    assert_eq!(outcomes, [Outcome::Imported]);
    assert!(library.base_at(&folder).unwrap().is_some());
    let odd = library.add_root(&disk.path().join("nothing"));
    assert!(matches!(odd, Err(LibraryError::Folder { .. })), "{odd:?}");
    let odd = library.add_root(&folder.join("notes.txt"));
    assert!(
        matches!(odd, Err(LibraryError::NotAFolder { .. })),
        "{odd:?}"
    );
}

/// A file system that tells times in two seconds shows a file that was written twice meanwhile as what it was.
#[test]
fn what_arrives_is_what_was_looked_at_or_is_another_generation() {
    let disk = Disk::new();
    let (seen, written) = (wav(1, 50), wav(2, 50));
    assert_eq!(seen.len(), written.len());
    put(&disk.own().join("a.wav"), &seen);
    let house = House::new();
    let library = watched(&house);
    let base = library.add_root(&disk.path()).unwrap();
    let looked_at = |house: &House| {
        let items = house.items(&base);
        let place = items.get("a.wav").and_then(|item| item.place);
        place.is_some_and(|place| house.reader().fingerprint(place).unwrap().is_some())
    };
    wait("a sound", SILENT, || looked_at(&house));
    let item = house.items(&base)["a.wav"].clone();
    let reader = house.reader();
    let place = reader.place(item.place.unwrap()).unwrap().unwrap();
    let wanted = Wanted::of(&reader, &place).unwrap().unwrap();
    drop(reader);
    let arrived = |bytes: &[u8]| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        let hash = ObjectHash(*blake3::hash(bytes).as_bytes());
        take_in(&house.catalog, &wanted, hash, file).unwrap()
    };
    assert!(!arrived(&written));
    let changed = house.item(&item.media_id);
    assert_eq!(changed.generation, item.generation + 1);
    assert_eq!(house.reader().blake3(item.row).unwrap(), None);
    // Of the generation that nobody wants any more.
    assert!(!arrived(&seen));
    library.scan(&Which::All);
    wait("another look", SILENT, || looked_at(&house));
    assert_eq!(house.item(&item.media_id).generation, changed.generation);
}
