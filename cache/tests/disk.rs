//! Real file systems: a disk that is really full, and one that can share bytes (reflink). Both are mounted for the test,
//! which needs root; where that can't be, the tests say so.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use mediafs_cache::{CacheError, ObjectId, PinOwner, Store, StoreOptions, SystemSpace};
use support::*;

/// A file system that is unmounted when the test ends, however it ends.
struct Mounted {
    point: PathBuf,
    _folder: tempfile::TempDir,
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.point).status();
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!(
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        ))
    }
}

/// `None` if it can't be mounted here, and then it is said why.
fn mount(how: impl FnOnce(&Path, &Path) -> Result<(), String>) -> Option<Mounted> {
    let folder = tempfile::tempdir().unwrap();
    let point = folder.path().join("mnt");
    fs::create_dir(&point).unwrap();
    match how(folder.path(), &point) {
        Ok(()) => Some(Mounted {
            point,
            _folder: folder,
        }),
        Err(reason) => {
            eprintln!("SKIPPED: this test needs root and a file system to mount: {reason}");
            None
        }
    }
}

fn tmpfs(megabytes: u32) -> Option<Mounted> {
    mount(|_, point| {
        run(Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={megabytes}m"),
                "mediafs-test",
            ])
            .arg(point))
    })
}

/// Fills a disk to the last byte.
fn fill(point: &Path) -> PathBuf {
    let path = point.join("somebody-else");
    let file = File::create(&path).unwrap();
    for size in [65536, 4096, 1] {
        while std::io::Write::write(&mut &file, &vec![1; size]).is_ok_and(|count| count > 0) {}
    }
    path
}

#[test]
fn the_real_free_space_counts() {
    let Some(disk) = tmpfs(8) else { return };
    let options = StoreOptions {
        quota: Some(1 << 40),
        floor: Some(2 << 20),
        free_space: Arc::new(SystemSpace),
        ..StoreOptions::default()
    };
    let store = Store::open(disk.point.join("cache"), options).unwrap();
    let id = put(&store, &sound(1, 3 << 20));
    let _open = store.open_object(&id).unwrap().unwrap();
    let error = store
        .put(&sound(2, 4 << 20)[..], Some(4 << 20), None)
        .unwrap_err();
    assert!(
        matches!(
            error,
            CacheError::DiskFull {
                floor: 2_097_152,
                ..
            }
        ),
        "{error}"
    );
    put(&store, &sound(3, 1 << 20));
    assert_books_agree(&store);
}

#[test]
fn a_disk_that_is_full_behind_our_back_harms_nothing_that_is_in() {
    let Some(disk) = tmpfs(8) else { return };
    let cache = disk.point.join("cache");
    let open = || {
        let options = StoreOptions {
            free_space: Arc::new(FakeDisk::with(1 << 40)),
            ..options(1 << 40)
        };
        Store::open(&cache, options)
    };
    let store = open().unwrap();
    let bytes = sound(1, 1 << 20);
    let id = put(&store, &bytes);
    let arriving = sound(2, 2 << 20);
    let partial = store.begin_partial(spec("a", &arriving)).unwrap();
    partial.write_at(0, &arriving[..1000]).unwrap();
    partial.checkpoint().unwrap();
    let other = fill(&disk.point);

    let error = store.put(&sound(3, 1 << 20)[..], None, None).unwrap_err();
    assert!(error.is_full(), "the disk is full: {error:?}");
    let error = partial.write_at(1000, &arriving[1000..]).unwrap_err();
    assert!(error.is_full(), "{error:?}");
    let source = disk.point.join("somebody-else");
    assert!(
        store
            .adopt(&File::open(source).unwrap(), None)
            .unwrap_err()
            .is_full()
    );
    assert_eq!(read(&store, &id).unwrap(), bytes);
    let mut buffer = [0; 1000];
    assert_eq!(partial.read_at(&mut buffer, 0).unwrap(), Some(1000));
    assert_eq!(buffer, arriving[..1000]);
    assert_eq!(partial.arrived_bytes(), 1000, "what failed has not arrived");
    let before = store.usage().unwrap();
    assert_eq!(
        (before.object_bytes, before.reserved_bytes),
        (1 << 20, 2 << 20)
    );
    partial.keep();
    drop(partial);
    drop(store);

    // The disk is still full: what is cached plays.
    let store = open().unwrap();
    assert_eq!(read(&store, &id).unwrap(), bytes);
    let pinned = store.pin(&PinOwner::new("user").unwrap(), &[id]);
    if let Err(error) = pinned {
        assert!(matches!(error, CacheError::Database { .. }), "{error:?}");
    }
    assert!(store.put(&sound(3, 1 << 20)[..], None, None).is_err());

    // There is room again: everything goes on, without opening it anew.
    fs::remove_file(other).unwrap();
    put(&store, &sound(3, 1 << 20));
    let partial = store.begin_partial(spec("a", &arriving)).unwrap();
    assert!(partial.arrived_bytes() == 1000, "what was safe still is");
    partial.write_at(1000, &arriving[1000..]).unwrap();
    partial.complete().unwrap();
    drop(partial);
    assert_books_agree(&store);
}

/// With mkfs.btrfs or mkfs.xfs installed.
#[test]
fn adopting_shares_the_bytes_where_the_file_system_can() {
    let disk = mount(|folder, point| {
        let image = folder.join("image");
        File::create(&image).unwrap().set_len(512 << 20).unwrap();
        run(Command::new("mkfs.btrfs").arg("-q").arg(&image)).or_else(|_| {
            run(Command::new("mkfs.xfs")
                .args(["-q", "-m", "reflink=1"])
                .arg(&image))
        })?;
        run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(&image)
            .arg(point))
    });
    let Some(disk) = disk else { return };
    let source = disk.point.join("kick.wav");
    let bytes = sound(1, 100 << 20);
    fs::write(&source, &bytes).unwrap();
    File::open(&source).unwrap().sync_all().unwrap();
    let store = Store::open(disk.point.join("cache"), options(1 << 30)).unwrap();
    let free = || {
        let stat = rustix::fs::statvfs(&disk.point).unwrap();
        stat.f_bavail * stat.f_frsize
    };
    let before = free();
    let object = store
        .adopt(&File::open(&source).unwrap(), Some(&ObjectId::of(&bytes)))
        .unwrap();
    assert!(
        before.saturating_sub(free()) < 50 << 20,
        "100 MiB were copied, not shared"
    );
    assert_ne!(
        object.file().metadata().unwrap().ino(),
        fs::metadata(&source).unwrap().ino()
    );
    std::os::unix::fs::FileExt::write_all_at(
        &File::options().write(true).open(&source).unwrap(),
        &[0; 4096],
        0,
    )
    .unwrap();
    assert!(
        read(&store, &object.id()).unwrap() == bytes,
        "a change of the source does not reach the object"
    );
    assert_eq!(
        store.usage().unwrap().object_bytes,
        100 << 20,
        "it counts whole"
    );
}
