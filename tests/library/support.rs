//! A home with a catalog, a folder of sounds, and ways to ask the catalog what it knows.

use std::collections::BTreeMap;
#[cfg(unix)]
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use mediafs::catalog::{BaseRow, Catalog, ItemRow, PlaceRow, Reader};
use mediafs::library::{Library, LibraryConfig, Progress, Which};
use mediafs::model::{MediaId, Playable};

/// What the design promises for trusted local roots.
pub(crate) const PROMISED: Duration = Duration::from_secs(2);
/// Above the promise, for machines that are busy with other tests. Wine asks a server of its own for everything.
pub(crate) const SLACK: Duration = Duration::from_secs(if cfg!(windows) { 240 } else { 4 });

pub(crate) struct House {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) catalog: Arc<Catalog>,
}

impl House {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("home")).unwrap();
        std::fs::create_dir(folder.path().join("sounds")).unwrap();
        let catalog = Catalog::open(&folder.path().join("home")).unwrap();
        Self { folder, catalog }
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    pub(crate) fn sounds(&self) -> PathBuf {
        self.folder.path().join("sounds")
    }

    pub(crate) fn config() -> LibraryConfig {
        LibraryConfig {
            hash: false,
            courier_program: Some(env!("CARGO_BIN_EXE_mediafs").into()),
            ..LibraryConfig::default()
        }
    }

    pub(crate) fn quiet(&self) -> Library {
        Library::open(Arc::clone(&self.catalog), &self.home(), Self::config())
    }

    pub(crate) fn watched(&self) -> Library {
        Library::start(Arc::clone(&self.catalog), &self.home(), Self::config()).unwrap()
    }

    pub(crate) fn reader(&self) -> Reader {
        self.catalog.reader().unwrap()
    }

    /// The root `sounds`, scanned.
    pub(crate) fn scanned(&self) -> (Library, BaseRow) {
        let library = self.quiet();
        let base = library.add_root(&self.sounds()).unwrap();
        scan(&library);
        (library, base)
    }

    /// The root `sounds`, scanned and watched.
    pub(crate) fn watching(&self) -> (Library, BaseRow) {
        let library = self.watched();
        let base = library.add_root(&self.sounds()).unwrap();
        // Watches are set as folders are listed, before their files are known.
        let marker = self.sounds().join("marker.wav");
        std::fs::write(&marker, wav(1, 4)).unwrap();
        self.wait(|house| house.items(&base).contains_key("marker.wav"));
        std::fs::remove_file(&marker).unwrap();
        self.wait(|house| !house.items(&base).contains_key("marker.wav"));
        (library, base)
    }

    /// Present items of a base, by the path of their file in it.
    pub(crate) fn items(&self, base: &BaseRow) -> BTreeMap<String, ItemRow> {
        let mut items = BTreeMap::new();
        for (path, (_, item)) in self.places(base) {
            if let Some(item) = item {
                items.insert(path, item);
            }
        }
        items
    }

    pub(crate) fn places(&self, base: &BaseRow) -> BTreeMap<String, (PlaceRow, Option<ItemRow>)> {
        let reader = self.reader();
        let mut found = BTreeMap::new();
        let mut folders = vec![(base.top, String::new())];
        while let Some((folder, path)) = folders.pop() {
            for row in reader.list_folders(folder, 0, u32::MAX).unwrap() {
                let name = row.name.to_string_lossy().into_owned();
                folders.push((row.row, format!("{path}{name}/")));
            }
            for (row, item) in reader.list_places(folder, 0, u32::MAX).unwrap() {
                let name = row.name.to_string_lossy().into_owned();
                found.insert(format!("{path}{name}"), (row, item));
            }
        }
        found
    }

    pub(crate) fn item(&self, id: &MediaId) -> ItemRow {
        self.reader().item_by_id(id).unwrap().unwrap()
    }

    pub(crate) fn playable(&self, id: &MediaId) -> Playable {
        self.item(id).playable
    }

    /// Waits until `done`; fails when it is not within what is promised.
    #[track_caller]
    pub(crate) fn wait(&self, done: impl Fn(&Self) -> bool) {
        self.wait_for(PROMISED, done);
    }

    /// Waits until `done`, for something that may take longer than what is promised.
    #[track_caller]
    pub(crate) fn wait_for(&self, limit: Duration, done: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        loop {
            let look = Instant::now();
            if done(self) {
                return;
            }
            assert!(
                start.elapsed() < limit + SLACK,
                "not within the promised time"
            );
            // Looks at many items take long: half of the time is for what is waited for.
            std::thread::sleep(look.elapsed().max(Duration::from_millis(20)));
        }
    }
}

pub(crate) fn scan(library: &Library) -> Progress {
    let progress = Progress::default();
    library
        .scan_now(&Which::All, &progress, &AtomicBool::new(false))
        .unwrap();
    progress
}

/// A WAV file, 16 bits, mono, 44.1 kHz, of `frames` frames that hold `value`.
pub(crate) fn wav(value: i16, frames: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let data = frames * 2;
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(36 + data).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16_u32.to_le_bytes());
    for word in [1_u16, 1] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for word in [44_100_u32, 88_200] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for word in [2_u16, 16] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    file.extend_from_slice(b"data");
    file.extend_from_slice(&data.to_le_bytes());
    for _ in 0..frames {
        file.extend_from_slice(&value.to_le_bytes());
    }
    file
}

/// Windows has no names of any bytes.
#[cfg(unix)]
pub(crate) fn os(bytes: &[u8]) -> &OsStr {
    mediafs_platform::names::of(bytes).unwrap()
}

pub(crate) fn put(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// Real sounds, of the Debian package hydrogen-data.
pub(crate) fn hydrogen() -> PathBuf {
    let folder = PathBuf::from("/usr/share/hydrogen/data");
    assert!(
        folder.is_dir(),
        "these tests need the package hydrogen-data"
    );
    folder
}
