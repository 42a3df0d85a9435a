//! Import by copy and by reference: idempotent, and nothing is lost by a crash, a full disk or a change of mind.

use std::collections::{BTreeMap, HashSet};
#[cfg(unix)]
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use mediafs::catalog::{BaseRow, Catalog};
#[cfg(unix)]
use mediafs::library::LibraryConfig;
use mediafs::library::{
    ImportMode, ImportOptions, Imported, Library, LibraryError, Outcome, Progress, Reconciled,
};
use mediafs::model::{MediaId, Playable, Storage};

#[cfg(unix)]
use crate::support::os;
use crate::support::{House, SLACK, hydrogen, put, scan, wav};

fn import(library: &Library, paths: &[&Path], options: &ImportOptions) -> Vec<Imported> {
    let paths: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
    let never = AtomicBool::new(false);
    library
        .import(&paths, options, &Progress::default(), &never)
        .unwrap()
}

fn copying() -> ImportOptions {
    ImportOptions {
        mode: ImportMode::Copy,
        ..ImportOptions::default()
    }
}

fn into(project: &BaseRow) -> ImportOptions {
    ImportOptions {
        project: Some(project.row),
        ..ImportOptions::default()
    }
}

fn project(house: &House, library: &Library, name: &str) -> BaseRow {
    let folder = house.folder.path().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    mediafs::project::open(library, &folder, true).unwrap()
}

fn id(imported: &Imported) -> MediaId {
    imported.media_id.clone().unwrap()
}

fn failed(imported: &Imported) -> &str {
    match &imported.outcome {
        Outcome::Failed(reason) => reason,
        other => panic!("{other:?}"),
    }
}

fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_copy_is_true_and_the_same_place_is_the_same_item() {
    let house = House::new();
    let library = house.quiet();
    let song = project(&house, &library, "Song");
    let source = house.sounds().join("kick.wav");
    put(&source, &wav(1, 5000));
    // Windows counts times in units of 100 ns.
    let past = std::time::SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_700);
    let file = std::fs::File::options().write(true).open(&source).unwrap();
    file.set_modified(past).unwrap();
    drop(file);
    #[cfg(unix)]
    std::fs::set_permissions(&source, std::fs::Permissions::from_mode(0o440)).unwrap();

    let first = import(&library, &[&source], &into(&song));
    assert_eq!(first[0].outcome, Outcome::Imported);
    let copy = song.path.join("Media/kick.wav");
    assert_eq!(
        std::fs::read(&copy).unwrap(),
        std::fs::read(&source).unwrap()
    );
    let found = std::fs::metadata(&copy).unwrap();
    assert_eq!(found.modified().unwrap(), past);
    #[cfg(unix)]
    assert_eq!(found.permissions().mode() & 0o777, 0o640);
    let item = house.item(&id(&first[0]));
    assert_eq!(item.project, Some(song.row));
    let whole = house.reader().media_item(item.row).unwrap().unwrap();
    assert_eq!(whole.origin.as_str(), "imported");
    assert_eq!(whole.path, first[0].path.clone().unwrap());
    let hash = blake3::hash(&std::fs::read(&source).unwrap());
    assert_eq!(whole.blake3.unwrap().to_string(), hash.to_hex().to_string());
    assert!(
        matches!(whole.storage, Storage::Project { .. }),
        "{:?}",
        whole.storage
    );

    let again = import(&library, &[&source], &into(&song));
    assert_eq!(
        (id(&again[0]), &again[0].outcome),
        (id(&first[0]), &Outcome::Already)
    );
    // Touched, but with the same bytes.
    #[cfg(unix)]
    std::fs::set_permissions(&source, std::fs::Permissions::from_mode(0o640)).unwrap();
    put(&source, &wav(1, 5000));
    let touched = import(&library, &[&source], &into(&song));
    assert_eq!(
        (id(&touched[0]), &touched[0].outcome),
        (id(&first[0]), &Outcome::Already)
    );
    assert_eq!(files(&song.path.join("Media")), ["kick.wav"]);
    scan(&library);
    assert_eq!(
        house.item(&id(&first[0])).generation,
        1,
        "the scan finds what the import said"
    );
}

#[test]
fn equal_bytes_from_another_place_are_another_item() {
    let house = House::new();
    let library = house.quiet();
    let song = project(&house, &library, "Song");
    let (one, two) = (
        house.sounds().join("a/kick.wav"),
        house.sounds().join("b/kick.wav"),
    );
    put(&one, &wav(1, 50));
    put(&two, &wav(1, 50));
    let first = import(&library, &[&one, &two, &one], &into(&song));
    assert_eq!(first.len(), 2, "named twice is once");
    assert_ne!(id(&first[0]), id(&first[1]));
    assert_eq!(
        files(&song.path.join("Media")),
        ["kick (2).wav", "kick.wav"]
    );
    let again = import(&library, &[&two, &one], &into(&song));
    assert_eq!(
        (id(&again[0]), id(&again[1])),
        (id(&first[1]), id(&first[0]))
    );
    assert!(again.iter().all(|i| i.outcome == Outcome::Already));
}

#[test]
fn a_changed_source_is_a_new_copy_and_the_old_one_stays() {
    let house = House::new();
    let library = house.quiet();
    let source = house.sounds().join("kick.wav");
    put(&source, &wav(1, 50));
    let first = import(&library, &[&source], &copying());
    put(&source, &wav(2, 60));
    let second = import(&library, &[&source], &copying());
    assert_ne!(id(&first[0]), id(&second[0]));
    let copies = house.home().join("Library");
    assert_eq!(std::fs::read(copies.join("kick.wav")).unwrap(), wav(1, 50));
    assert_eq!(
        std::fs::read(copies.join("kick (2).wav")).unwrap(),
        wav(2, 60)
    );
    let third = import(&library, &[&source], &copying());
    assert_eq!(
        (id(&third[0]), &third[0].outcome),
        (id(&second[0]), &Outcome::Already)
    );
}

#[test]
fn a_copy_that_was_lost_is_made_again_for_the_same_item() {
    let house = House::new();
    let library = house.quiet();
    let song = project(&house, &library, "Song");
    let source = house.sounds().join("kick.wav");
    put(&source, &wav(1, 50));
    let first = import(&library, &[&source], &into(&song));
    let copy = song.path.join("Media/kick.wav");
    std::fs::remove_file(&copy).unwrap();
    scan(&library);
    assert_eq!(house.playable(&id(&first[0])), Playable::Silence);
    // Meanwhile its name is not given to another one.
    let other = house.sounds().join("other/kick.wav");
    put(&other, &wav(3, 70));
    let second = import(&library, &[&other], &into(&song));
    assert_eq!(files(&song.path.join("Media")), ["kick (2).wav"]);
    let again = import(&library, &[&source], &into(&song));
    assert_eq!(
        (id(&again[0]), &again[0].outcome),
        (id(&first[0]), &Outcome::Imported)
    );
    assert_eq!(std::fs::read(&copy).unwrap(), wav(1, 50));
    assert_eq!(house.playable(&id(&first[0])), Playable::Bytes);
    assert_ne!(id(&second[0]), id(&first[0]));
}

#[cfg(unix)]
#[test]
fn folders_keep_their_shape_and_leave_out_what_is_no_media() {
    let house = House::new();
    let library = house.quiet();
    let song = project(&house, &library, "Song");
    let kit = house.sounds().join("kit");
    put(&kit.join("a/kick.wav"), &wav(1, 50));
    put(&kit.join("b/kick.wav"), &wav(2, 50));
    put(&kit.join(os(b"odd\n\xff.wav")), &wav(3, 50));
    put(&kit.join("notes.txt"), b"hello");
    put(&kit.join("broken.flac"), b"fLaC but not");
    symlink("a/kick.wav", kit.join("link.wav")).unwrap();
    let made = Command::new("mkfifo")
        .arg(kit.join("pipe.wav"))
        .status()
        .unwrap();
    assert!(made.success());
    let done = import(&library, &[&kit], &into(&song));
    let of = |name: &str| {
        let found = done
            .iter()
            .find(|i| i.source.to_string_lossy().contains(name));
        found.unwrap().outcome.clone()
    };
    assert_eq!(of("a/kick.wav"), Outcome::Imported);
    assert_eq!(of("b/kick.wav"), Outcome::Imported);
    assert_eq!(of("odd"), Outcome::Imported);
    assert!(matches!(of("notes.txt"), Outcome::Skipped(_)));
    assert!(matches!(of("broken.flac"), Outcome::Failed(_)));
    assert!(matches!(of("link.wav"), Outcome::Skipped(_)));
    assert!(matches!(of("pipe.wav"), Outcome::Skipped(_)));
    assert_eq!(done.len(), 7);
    let media = song.path.join("Media/kit");
    assert_eq!(std::fs::read(media.join("b/kick.wav")).unwrap(), wav(2, 50));
    assert!(!media.join("notes.txt").exists() && !media.join("broken.flac").exists());
}

#[test]
fn what_was_named_itself_and_is_none_fails() {
    let house = House::new();
    let library = house.quiet();
    put(&house.sounds().join("notes.txt"), b"hello");
    let done = import(
        &library,
        &[&house.sounds().join("notes.txt")],
        &ImportOptions::default(),
    );
    assert!(failed(&done[0]).contains("not a media file"));
    let done = import(
        &library,
        &[&house.sounds().join("none.wav")],
        &ImportOptions::default(),
    );
    assert!(failed(&done[0]).contains("no such file"));
    let nothing = if cfg!(windows) { "NUL" } else { "/dev/null" };
    let done = import(&library, &[Path::new(nothing)], &ImportOptions::default());
    failed(&done[0]);
}

#[test]
fn files_stay_where_they_are_by_reference() {
    let house = House::new();
    let library = house.quiet();
    let source = house.folder.path().join("elsewhere").join("kick.wav");
    put(&source, &wav(1, 50));
    let first = import(&library, &[&source], &ImportOptions::default());
    assert_eq!(first[0].outcome, Outcome::Imported);
    let item = house.item(&id(&first[0]));
    let whole = house.reader().media_item(item.row).unwrap().unwrap();
    assert_eq!(whole.origin.as_str(), "reference");
    assert_eq!(whole.resolved_path.as_deref(), source.to_str());
    let again = import(&library, &[&source], &ImportOptions::default());
    assert_eq!(
        (id(&again[0]), &again[0].outcome),
        (id(&first[0]), &Outcome::Already)
    );
    // By a link it is the same place. (On Windows links take rights that a test can't count on.)
    #[cfg(unix)]
    {
        let link = house.folder.path().join("link.wav");
        symlink(&source, &link).unwrap();
        let linked = import(&library, &[&link], &ImportOptions::default());
        assert_eq!(id(&linked[0]), id(&first[0]));
    }

    std::fs::rename(&source, house.folder.path().join("aside.wav")).unwrap();
    scan(&library);
    assert_eq!(house.playable(&id(&first[0])), Playable::Silence);
    std::fs::rename(house.folder.path().join("aside.wav"), &source).unwrap();
    scan(&library);
    assert_eq!(house.playable(&id(&first[0])), Playable::Bytes);
    assert_eq!(
        library.reconcile_place(item.place.unwrap()).unwrap(),
        Reconciled::Same
    );
}

#[test]
fn a_reference_into_a_root_is_the_librarys_item() {
    let house = House::new();
    let source = house.sounds().join("kit/kick.wav");
    put(&source, &wav(1, 50));
    let (library, base) = house.scanned();
    let known = house.items(&base)["kit/kick.wav"].clone();
    let done = import(&library, &[&source], &ImportOptions::default());
    assert_eq!(
        (id(&done[0]), &done[0].outcome),
        (known.media_id.clone(), &Outcome::Already)
    );
    // A project has an item of its own at that place.
    let song = project(&house, &library, "Song");
    let options = ImportOptions {
        mode: ImportMode::Reference,
        id: Some("kick-01".parse().unwrap()),
        ..into(&song)
    };
    let done = import(&library, &[&source], &options);
    assert_eq!(
        (id(&done[0]).as_str(), &done[0].outcome),
        ("kick-01", &Outcome::Imported)
    );
    assert_eq!(house.item(&id(&done[0])).place, known.place);
    assert!(files(&song.path.join("Media")).is_empty());
}

#[test]
fn a_folder_by_reference_becomes_a_root() {
    let house = House::new();
    let library = house.quiet();
    let done = import(&library, &[&hydrogen()], &ImportOptions::default());
    let imported = done
        .iter()
        .filter(|i| i.outcome == Outcome::Imported)
        .count();
    assert!(imported > 40);
    let again = import(
        &library,
        &[&hydrogen().join("drumkits")],
        &ImportOptions::default(),
    );
    assert!(again.len() > 30 && again.iter().all(|i| i.outcome == Outcome::Already));
    let roots = house.reader().bases().unwrap();
    let folder = mediafs_platform::files::canonical(&hydrogen()).unwrap();
    assert_eq!(roots.iter().filter(|base| base.path == folder).count(), 1);
    assert_eq!(roots.len(), 1, "a folder in a root is no root of its own");
}

#[test]
fn ids_are_given_once() {
    let house = House::new();
    let library = house.quiet();
    let (one, two) = (
        house.sounds().join("one.wav"),
        house.sounds().join("two.wav"),
    );
    put(&one, &wav(1, 50));
    put(&two, &wav(2, 50));
    for mode in [ImportMode::Copy, ImportMode::Reference] {
        let options = ImportOptions {
            mode,
            id: Some(format!("my-{mode:?}").parse().unwrap()),
            name: Some("My Kick.wav".to_owned()),
            ..ImportOptions::default()
        };
        let done = import(&library, &[&one], &options);
        assert_eq!(id(&done[0]), options.id.clone().unwrap(), "{:?}", done[0]);
        assert_eq!(house.item(&id(&done[0])).name, "My Kick.wav");
        let taken = import(&library, &[&two], &options);
        assert!(failed(&taken[0]).contains("taken"), "{:?}", taken[0]);
        let many = [one.clone(), two.clone()];
        let error = library.import(
            &many,
            &options,
            &Progress::default(),
            &AtomicBool::new(false),
        );
        assert!(matches!(error, Err(LibraryError::OneForMany { count: 2 })));
    }
    assert_eq!(
        files(&house.home().join("Library")),
        ["one.wav"],
        "what was refused left nothing"
    );
}

/// Windows has no such names.
#[cfg(unix)]
#[test]
fn a_path_on_the_drive_means_its_item() {
    let house = House::new();
    put(&house.sounds().join("kit/kick: 1.wav"), &wav(1, 50));
    let mount = house.folder.path().join("drive");
    let library = Library::open(
        Arc::clone(&house.catalog),
        &house.home(),
        LibraryConfig {
            mount_point: Some(mount.clone()),
            ..House::config()
        },
    );
    let base = library.add_root(&house.sounds()).unwrap();
    scan(&library);
    let known = house.items(&base)["kit/kick: 1.wav"].media_id.clone();
    // Nothing is mounted there, so nothing can be touched.
    let by_id = mount.join(format!("by-id/{known}/whatever.wav"));
    let as_player = mount.join(format!(".as/player/by-id/{known}/x.wav"));
    let by_name = mount.join("library/sounds/kit/kick: 1.wav");
    for path in [by_id, as_player, by_name] {
        let done = import(&library, &[&path], &copying());
        assert_eq!(
            (id(&done[0]), &done[0].outcome),
            (known.clone(), &Outcome::Already)
        );
    }
    let none = import(&library, &[&mount.join("by-id/none/x.wav")], &copying());
    assert!(failed(&none[0]).contains("no media item"));
}

#[test]
fn a_cancelled_import_keeps_what_it_has_and_leaves_no_pieces() {
    let house = House::new();
    let library = house.quiet();
    for n in 0..400_i16 {
        put(&house.sounds().join(format!("{n:03}.wav")), &wav(n, 400));
    }
    let cancel = AtomicBool::new(false);
    let progress = Progress::default();
    let sources = [house.sounds()];
    let done = std::thread::scope(|scope| {
        let running = scope.spawn(|| library.import(&sources, &copying(), &progress, &cancel));
        while progress.snapshot().done == 0 {
            std::thread::yield_now();
        }
        cancel.store(true, std::sync::atomic::Ordering::Relaxed);
        running.join().unwrap().unwrap()
    });
    assert!(!done.is_empty() && done.len() < 400, "{}", done.len());
    let copies = house.home().join("Library/sounds");
    assert_eq!(files(&copies).len(), done.len());
    assert!(files(&copies).iter().all(|name| !name.starts_with('.')));
    let all = import(&library, &[&house.sounds()], &copying());
    assert_eq!(all.len(), 400);
    let ids: HashSet<MediaId> = all.iter().map(id).collect();
    assert_eq!(ids.len(), 400);
    assert!(done.iter().all(|one| ids.contains(&id(one))));
    assert_eq!(files(&copies).len(), 400);
}

/// A small disk, unmounted whatever happens.
#[cfg(target_os = "linux")]
struct SmallDisk(tempfile::TempDir);

#[cfg(target_os = "linux")]
impl SmallDisk {
    fn new(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .status();
        mounted.unwrap().success().then(|| Self(folder))
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// A small disk is mounted as Linux does it.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_nothing_half_is_left() {
    let Some(disk) = SmallDisk::new("2m") else {
        eprintln!("not run: mounting a small disk needs root");
        return;
    };
    let house = House::new();
    let library = house.quiet();
    let folder = disk.0.path().join("Song");
    std::fs::create_dir(&folder).unwrap();
    let song = mediafs::project::open(&library, &folder, true).unwrap();
    for n in 0..10_i16 {
        put(&house.sounds().join(format!("{n}.wav")), &wav(n, 200_000));
    }
    let done = import(&library, &[&house.sounds()], &into(&song));
    assert_eq!(done.len(), 10);
    let imported: Vec<_> = done
        .iter()
        .filter(|i| i.outcome == Outcome::Imported)
        .collect();
    assert!((3..=5).contains(&imported.len()), "{}", imported.len());
    for other in &done[imported.len()..] {
        assert!(failed(other).contains("full"), "{other:?}");
    }
    let media = song.path.join("Media/sounds");
    assert_eq!(files(&media).len(), imported.len());
    for one in &imported {
        assert_eq!(house.playable(&id(one)), Playable::Bytes);
        let copy = media.join(one.source.file_name().unwrap());
        assert_eq!(
            std::fs::read(copy).unwrap(),
            std::fs::read(&one.source).unwrap()
        );
    }
}

#[test]
fn a_source_that_is_written_to_is_never_imported_half() {
    let house = House::new();
    let library = house.quiet();
    let source = house.sounds().join("take.wav");
    put(&source, &wav(0, 20_000_000));
    let (stop, writes) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            use mediafs_platform::files::Positioned as _;
            let file = std::fs::File::options().write(true).open(&source).unwrap();
            let mut value = 0_u8;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                value = value.wrapping_add(1);
                file.write_all_at(&[value; 64], 1000).unwrap();
                file.write_all_at(&[value; 64], 3_000_000).unwrap();
                writes.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        });
        while !writes.load(std::sync::atomic::Ordering::Relaxed) {
            std::thread::yield_now();
        }
        // A writer that gets no time while the file is copied does no harm: then it is imported whole.
        let refused = (0..30).any(|_| {
            let done = import(&library, &[&source], &copying());
            match &done[0].outcome {
                Outcome::Failed(reason) => {
                    assert!(reason.contains("changed while"), "{reason}");
                    true
                }
                outcome => {
                    assert!(matches!(outcome, Outcome::Imported | Outcome::Already));
                    for copy in files(&house.home().join("Library")) {
                        let bytes = std::fs::read(house.home().join("Library").join(copy)).unwrap();
                        let (first, second) = (bytes[1000], bytes[3_000_000]);
                        assert!(first == second || first == second.wrapping_add(1));
                    }
                    false
                }
            }
        });
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(refused, "nothing was written while it was copied");
    });
    let left = files(&house.home().join("Library"));
    let done = import(&library, &[&source], &copying());
    if left.is_empty() {
        assert_eq!(done[0].outcome, Outcome::Imported);
    } else {
        assert!(matches!(
            done[0].outcome,
            Outcome::Imported | Outcome::Already
        ));
    }
}

#[test]
fn copies_are_watched_and_stay_what_they_are() {
    let house = House::new();
    let library = house.watched();
    for n in 0..50_i16 {
        put(&house.sounds().join(format!("{n}.wav")), &wav(n, 400));
    }
    let done = import(&library, &[&house.sounds()], &copying());
    let ids: BTreeMap<PathBuf, MediaId> = done.iter().map(|i| (i.source.clone(), id(i))).collect();
    let copies = house.reader().bases().unwrap();
    let copies = copies
        .iter()
        .find(|base| base.path.ends_with("home/Library"))
        .unwrap();
    put(&copies.path.join("sounds/added by hand.wav"), &wav(99, 9));
    house.wait(|house| house.items(copies).contains_key("sounds/added by hand.wav"));
    let items = house.items(copies);
    assert_eq!(
        items.len(),
        51,
        "the watcher made no second items of copies"
    );
    for (source, id) in ids {
        let name = source.file_name().unwrap().to_str().unwrap();
        assert_eq!(items[&format!("sounds/{name}")].media_id, id);
    }
}

const CRASH: &str = "MEDIAFS_TEST_CRASH_FOLDER";

/// The child of the next test: imports until it is killed.
#[test]
#[ignore = "run by imports_survive_kills"]
fn child_that_imports() {
    let Some(folder) = std::env::var_os(CRASH).map(PathBuf::from) else {
        return;
    };
    let catalog = Catalog::open(&folder.join("home")).unwrap();
    let library = Library::open(catalog, &folder.join("home"), House::config());
    import(&library, &[&folder.join("sounds")], &copying());
}

#[test]
fn imports_survive_kills() {
    const FILES: usize = 500;
    let house = House::new();
    for n in 0..i16::try_from(FILES).unwrap() {
        put(
            &house.sounds().join(format!("{}/{n}.wav", n % 5)),
            &wav(n, 3000),
        );
    }
    let copies = house.home().join("Library/sounds");
    let count = || -> usize {
        (0..5)
            .map(|n| files(&copies.join(n.to_string())).len())
            .sum()
    };
    let mut acknowledged: BTreeMap<String, MediaId> = BTreeMap::new();
    let mut killed_midway = 0;
    for round in 0..6 {
        let before = count();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "importing::child_that_imports", "--ignored"])
            .env(CRASH, house.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        // At another moment each time: while copying, naming, or entering.
        while count() < (before + 20 + round * 13).min(FILES) {
            assert!(
                start.elapsed() < Duration::from_secs(60) + SLACK,
                "the child imports nothing"
            );
            std::thread::sleep(Duration::from_micros(200));
        }
        child.kill().unwrap();
        child.wait().unwrap();

        let catalog = Catalog::open(&house.home()).unwrap();
        assert!(catalog.check().unwrap().is_empty());
        let library = Library::open(Arc::clone(&catalog), &house.home(), House::config());
        if round % 2 == 1 {
            scan(&library);
        }
        let reader = catalog.reader().unwrap();
        let items = reader.search("", 0, u32::MAX).unwrap();
        let entered: BTreeMap<String, MediaId> = items
            .iter()
            .map(|item| (item.resolved_path.clone().unwrap(), item.media_id.clone()))
            .collect();
        assert_eq!(entered.len(), items.len(), "two items of one file");
        for (path, id) in &acknowledged {
            assert_eq!(entered.get(path), Some(id), "{path} was acknowledged");
        }
        if !entered.is_empty() && entered.len() < FILES {
            killed_midway += 1;
        }
        acknowledged = entered;
    }
    assert!(killed_midway >= 3, "the kills hit nothing: {killed_midway}");

    let library = house.quiet();
    let done = import(&library, &[&house.sounds()], &copying());
    assert_eq!(done.len(), FILES);
    let mut ids = HashSet::new();
    for one in &done {
        assert!(ids.insert(id(one)), "two files of one item");
        let item = house.item(&id(one));
        let whole = house.reader().media_item(item.row).unwrap().unwrap();
        let copy = PathBuf::from(whole.resolved_path.unwrap());
        assert_eq!(
            std::fs::read(&copy).unwrap(),
            std::fs::read(&one.source).unwrap()
        );
    }
    assert_eq!(count(), FILES, "no duplicate and no temporary file is left");
    for (path, id) in acknowledged {
        assert!(ids.contains(&id), "{path} is another item now");
    }
}
