//! What the tests of the cache share: a store in a folder of its own, a disk that is as free as a test says, and the
//! count of what really lies on the disk.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

pub mod reference;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mediafs_cache::{FreeSpace, ObjectId, PartialSpec, Space, Store, StoreOptions};
use tempfile::TempDir;

/// A disk with as many free bytes as the test says.
#[derive(Clone, Debug)]
pub struct FakeDisk(pub Arc<AtomicU64>);

impl FakeDisk {
    pub fn with(available: u64) -> Self {
        Self(Arc::new(AtomicU64::new(available)))
    }

    pub fn set(&self, available: u64) {
        self.0.store(available, Ordering::SeqCst);
    }
}

impl FreeSpace for FakeDisk {
    fn space(&self, _: &Path) -> io::Result<Space> {
        Ok(Space {
            total: 1 << 40,
            available: self.0.load(Ordering::SeqCst),
        })
    }
}

pub fn options(quota: u64) -> StoreOptions {
    StoreOptions {
        quota: Some(quota),
        floor: Some(0),
        free_space: Arc::new(FakeDisk::with(1 << 40)),
        ..StoreOptions::default()
    }
}

pub fn new_store(quota: u64) -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("cache"), options(quota)).unwrap();
    (folder, store)
}

/// Bytes that no other seed has, of this length.
pub fn sound(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

pub fn put(store: &Store, bytes: &[u8]) -> ObjectId {
    store
        .put(bytes, Some(bytes.len() as u64), None)
        .unwrap()
        .id()
}

pub fn spec(key: &str, bytes: &[u8]) -> PartialSpec {
    PartialSpec {
        key: key.to_owned(),
        size: bytes.len() as u64,
        expected: Some(ObjectId::of(bytes)),
    }
}

/// The whole of an object, as a reader sees it.
pub fn read(store: &Store, id: &ObjectId) -> Option<Vec<u8>> {
    let object = store.open_object(id).unwrap()?;
    let mut bytes = vec![0; usize::try_from(object.size()).unwrap()];
    let mut at = 0;
    while at < bytes.len() {
        let count = object.read_at(&mut bytes[at..], at as u64).unwrap();
        assert!(count > 0, "the object is shorter than it says");
        at += count;
    }
    Some(bytes)
}

/// Removes a file, an object too: on Windows not every file system removes what is read-only.
pub fn remove_file(path: impl AsRef<Path>) {
    make_removable(path.as_ref());
    fs::remove_file(path).unwrap();
}

/// Puts another file in the place of an object that somebody may have open, who goes on seeing the old one.
pub fn replace_object(path: &Path, bytes: &[u8]) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // Out of the cache, as on Windows the name is taken until nobody has it open.
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let beside_the_cache = path.ancestors().nth(4).unwrap();
    let aside = beside_the_cache.join(format!("replaced-{}-{number}", std::process::id()));
    fs::rename(path, &aside).unwrap();
    fs::write(path, bytes).unwrap();
    remove_file(aside);
}

/// Removes a folder with all that is in it, objects too.
pub fn remove_all(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            remove_all(&path);
        } else {
            remove_file(path);
        }
    }
    fs::remove_dir(folder).unwrap();
}

#[cfg(unix)]
fn make_removable(_path: &Path) {}

#[cfg(windows)]
fn make_removable(path: &Path) {
    let mut permissions = fs::symlink_metadata(path).unwrap().permissions();
    #[expect(
        clippy::permissions_set_readonly_false,
        reason = "here it is an attribute of the file, and the file goes"
    )]
    permissions.set_readonly(false);
    fs::set_permissions(path, permissions).unwrap();
}

/// Apparent sizes of all regular files beneath a folder.
pub fn bytes_beneath(folder: &Path) -> u64 {
    let mut sum = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let meta = match fs::symlink_metadata(&path) {
            // Removed, but on Windows still to be seen until whoever has it open closes it.
            Err(error) if cfg!(windows) && error.kind() == io::ErrorKind::PermissionDenied => {
                continue;
            }
            meta => meta.unwrap(),
        };
        sum += if meta.is_dir() {
            bytes_beneath(&path)
        } else {
            meta.len()
        };
    }
    sum
}

/// The data of partial objects, without the small maps beside them.
pub fn partial_bytes(cache: &Path) -> u64 {
    fs::read_dir(cache.join("partial"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "data")
        })
        .map(|entry| entry.metadata().unwrap().len())
        .sum()
}

/// What the ledger says must be what lies on the disk; valid while nothing is staged.
pub fn assert_books_agree(store: &Store) {
    let usage = store.usage().unwrap();
    let cache = store.folder();
    assert_eq!(
        usage.object_bytes,
        bytes_beneath(&cache.join("objects")),
        "objects: {usage:?}"
    );
    assert_eq!(
        usage.reserved_bytes,
        partial_bytes(cache),
        "partials: {usage:?}"
    );
    assert_eq!(
        bytes_beneath(&cache.join("temp")),
        0,
        "temporary files are left"
    );
    assert!(usage.used() <= usage.quota, "above the quota: {usage:?}");
}
