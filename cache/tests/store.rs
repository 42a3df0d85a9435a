//! Objects: put, adopt, many threads at once; opening the store, its lock, other folders and newer versions.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{self, File};
use std::io::{self, Read};
use std::sync::Barrier;

use mediafs_cache::{CacheError, ObjectId, Store};
use support::*;

#[test]
fn what_is_put_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("deep/cache");
    let sounds: Vec<_> = [0, 1, 4095, 4096, 300_000]
        .iter()
        .map(|&n| sound(n as u64, n))
        .collect();
    {
        let store = Store::open(&cache, options(1 << 20)).unwrap();
        assert!(store.opening().created && !store.opening().needs_reconcile);
        for bytes in &sounds {
            assert_eq!(put(&store, bytes), ObjectId::of(bytes));
        }
        assert_books_agree(&store);
    }
    let store = Store::open(&cache, options(1 << 20)).unwrap();
    assert_eq!(store.opening(), &{
        let mut as_left = store.opening().clone();
        (
            as_left.created,
            as_left.index_lost,
            as_left.pins_lost,
            as_left.needs_reconcile,
        ) = (false, false, false, false);
        as_left
    });
    for bytes in &sounds {
        assert_eq!(read(&store, &ObjectId::of(bytes)).as_ref(), Some(bytes));
    }
    assert_eq!(store.usage().unwrap().objects, 5);
    assert_books_agree(&store);
}

#[cfg(unix)]
#[test]
fn objects_are_read_only_files_that_no_other_name_leads_to() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let (folder, store) = new_store(1 << 20);
    let source = folder.path().join("kick.wav");
    fs::write(&source, b"kick").unwrap();
    let adopted = store.adopt(&File::open(&source).unwrap(), None).unwrap();
    let meta = adopted.file().metadata().unwrap();
    assert_eq!(
        (meta.permissions().mode() & 0o777, meta.nlink()),
        (0o444, 1)
    );
    assert_ne!(
        meta.ino(),
        fs::metadata(&source).unwrap().ino(),
        "not the file of another program"
    );
    assert_eq!(
        fs::metadata(store.folder()).unwrap().permissions().mode() & 0o777,
        0o700
    );
    // The source changes; the object does not.
    fs::write(&source, b"kack").unwrap();
    assert_eq!(read(&store, &adopted.id()).unwrap(), b"kick");
}

#[test]
fn adopting_something_else_than_expected_leaves_nothing() {
    let (folder, store) = new_store(1 << 20);
    let source = folder.path().join("kick.wav");
    fs::write(&source, b"kack").unwrap();
    let expected = ObjectId::of(b"kick");
    let error = store
        .adopt(&File::open(&source).unwrap(), Some(&expected))
        .unwrap_err();
    assert!(
        matches!(error, CacheError::WrongBytes { expected: e, actual } if e == expected && actual == ObjectId::of(b"kack"))
    );
    assert_eq!(store.usage().unwrap().used(), 0);
    assert_books_agree(&store);
}

// On Windows a folder is not opened as a file.
#[cfg(unix)]
#[test]
fn a_folder_is_not_adopted() {
    let (folder, store) = new_store(1 << 20);
    let folder_itself = File::open(folder.path()).unwrap();
    assert!(matches!(
        store.adopt(&folder_itself, None),
        Err(CacheError::Io { .. })
    ));
    assert_books_agree(&store);
}

#[cfg(windows)]
#[test]
fn objects_are_read_only_files() {
    let (folder, store) = new_store(1 << 20);
    let source = folder.path().join("kick.wav");
    fs::write(&source, b"kick").unwrap();
    let adopted = store.adopt(&File::open(&source).unwrap(), None).unwrap();
    let path = store.object_path(&adopted.id());
    assert!(fs::metadata(&path).unwrap().permissions().readonly());
    // The source changes; the object does not.
    fs::write(&source, b"kack").unwrap();
    assert_eq!(read(&store, &adopted.id()).unwrap(), b"kick");
    // And what is read-only can be evicted.
    let id = adopted.id();
    drop(adopted);
    assert!(store.evict_bytes(u64::MAX).unwrap() > 0);
    assert!(!path.exists() && !store.contains(&id).unwrap());
}

/// Gives some bytes, then fails.
struct Breaks(usize);

impl Read for Breaks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::other("the cable was pulled"));
        }
        let count = self.0.min(buffer.len());
        self.0 -= count;
        Ok(count)
    }
}

#[test]
fn a_source_that_breaks_leaves_nothing() {
    let (_folder, store) = new_store(1 << 20);
    for size in [None, Some(500_000), Some(10)] {
        let error = store.put(Breaks(400_000), size, None).unwrap_err();
        assert!(
            std::error::Error::source(&error)
                .unwrap()
                .to_string()
                .contains("cable"),
            "{error}"
        );
        assert_eq!(store.usage().unwrap().used(), 0);
        assert_books_agree(&store);
    }
}

#[test]
fn many_threads_putting_the_same_bytes_make_one_object() {
    let (_folder, store) = new_store(1 << 20);
    let bytes = sound(1, 50_000);
    let barrier = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..5 {
                    let object = store.put(&bytes[..], None, None).unwrap();
                    let mut first = [0; 16];
                    object.read_at(&mut first, 0).unwrap();
                    assert_eq!(first, bytes[..16]);
                }
            });
        }
    });
    assert_eq!(store.usage().unwrap().objects, 1);
    assert_eq!(store.usage().unwrap().used(), 50_000);
    assert_books_agree(&store);
}

/// Puts, opens and evictions of few objects at once: what is open can always be read to its end, and the books agree
/// when all is done.
#[test]
fn threads_that_put_open_and_evict_never_see_half_an_object() {
    let (_folder, store) = new_store(5 * 10_000);
    let sounds: Vec<_> = (0..8).map(|seed| sound(seed, 10_000)).collect();
    let seen = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for worker in 0..4usize {
            let (store, sounds, seen) = (&store, &sounds, &seen);
            scope.spawn(move || {
                for round in 0..60 {
                    let bytes = &sounds[(round * 3 + worker * 5) % sounds.len()];
                    match worker {
                        0 | 1 => {
                            _ = store
                                .put(&bytes[..], Some(10_000), None)
                                .map_err(|error| assert!(error.is_full(), "{error}"))
                        }
                        2 => _ = store.evict(&ObjectId::of(bytes)).unwrap(),
                        _ => {}
                    }
                    if let Some(found) = read(store, &ObjectId::of(bytes)) {
                        assert!(&found == bytes);
                        seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                    assert!(store.usage().unwrap().used() <= 50_000);
                }
            });
        }
    });
    assert!(
        seen.load(std::sync::atomic::Ordering::Relaxed) > 0,
        "nothing was ever there to read"
    );
    assert_books_agree(&store);
}

#[test]
fn a_second_opener_is_told_who_has_it() {
    let (_folder, store) = new_store(100);
    let error = Store::open(store.folder(), options(100)).unwrap_err();
    assert!(
        matches!(error, CacheError::Locked { holder: Some(pid), .. } if pid == std::process::id()),
        "{error:?}"
    );
    assert!(
        error.to_string().contains(&std::process::id().to_string()),
        "{error}"
    );
    // An open object keeps the store open; with it the lock goes.
    let object = store.put(&b"x"[..], None, None).unwrap();
    let folder = store.folder().to_owned();
    drop(store);
    assert!(matches!(
        Store::open(&folder, options(100)),
        Err(CacheError::Locked { .. })
    ));
    drop(object);
    Store::open(&folder, options(100)).unwrap();
}

#[test]
fn a_folder_with_other_things_in_it_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("temp")).unwrap();
    fs::write(folder.path().join("temp/song.wav"), b"mine").unwrap();
    assert!(matches!(
        Store::open(folder.path(), options(100)),
        Err(CacheError::NotACache { .. })
    ));
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing was added"
    );
    assert_eq!(
        fs::read(folder.path().join("temp/song.wav")).unwrap(),
        b"mine"
    );
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    assert!(matches!(
        Store::open(&file, options(100)),
        Err(CacheError::Io { .. })
    ));
}

#[test]
fn a_creation_that_was_interrupted_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["objects", "temp"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    for name in ["lock", "CACHEDIR.TAG.new", "pins.sqlite"] {
        fs::write(folder.path().join(name), b"").unwrap();
    }
    let store = Store::open(folder.path(), options(100)).unwrap();
    assert!(
        store.opening().created && !store.opening().pins_lost && !store.opening().needs_reconcile
    );
    put(&store, b"x");
}

#[test]
fn a_newer_version_is_refused_and_nothing_changed() {
    for name in ["index.sqlite", "pins.sqlite"] {
        let (folder, store) = new_store(100);
        let cache = store.folder().to_owned();
        drop(store);
        let db = rusqlite::Connection::open(cache.join(name)).unwrap();
        db.pragma_update(None, "user_version", 99).unwrap();
        drop(db);
        let before = fs::read(cache.join(name)).unwrap();
        let error = Store::open(&cache, options(100)).unwrap_err();
        assert!(
            matches!(&error, CacheError::Newer { path } if path.ends_with(name)),
            "{error:?}"
        );
        assert!(error.to_string().contains("update mediafs"));
        assert_eq!(fs::read(cache.join(name)).unwrap(), before);
        drop(folder);
    }
}
