//! A machine: a home with a catalog, a library without threads, folders of sounds.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mediafs::catalog::{BaseRow, Catalog, Durability, ItemRow, Reader};
use mediafs::library::{ImportMode, ImportOptions, Library, LibraryConfig, Progress, Which};
use mediafs::model::{Confidence, MediaId, MediaItem, Tag, TagSource, Usage, UsageRole};
use mediafs::project::{self, Opening, ProjectError, Revision, Saved, Wish};

/// Not hidden, as what is hidden is held back.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("mediafs-projects-")
        .tempdir()
        .unwrap()
}

pub(crate) struct Machine {
    home: PathBuf,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) library: Library,
}

impl Machine {
    pub(crate) fn new(home: &Path) -> Self {
        std::fs::create_dir_all(home).unwrap();
        let catalog = Catalog::open(home).unwrap();
        let library = Library::open(Arc::clone(&catalog), home, config());
        Self {
            home: home.to_owned(),
            catalog,
            library,
        }
    }

    /// As after a crash: nothing that was in memory is left.
    pub(crate) fn again(self) -> Self {
        let home = self.home.clone();
        drop(self);
        Self::new(&home)
    }

    pub(crate) fn reader(&self) -> Reader {
        self.catalog.reader().unwrap()
    }

    pub(crate) fn scan(&self) {
        let never = AtomicBool::new(false);
        self.library
            .scan_now(&Which::All, &Progress::default(), &never)
            .unwrap();
    }

    pub(crate) fn hash(&self) {
        self.library.hash_now(&AtomicBool::new(false)).unwrap();
    }

    pub(crate) fn open(&self, folder: &Path) -> Opening {
        self.try_open(folder, &Wish::default()).unwrap()
    }

    pub(crate) fn try_open(&self, folder: &Path, wish: &Wish) -> Result<Opening, ProjectError> {
        project::open_as(&self.library, folder, wish)
    }

    pub(crate) fn save(&self, base: &BaseRow, revision: &str) -> Saved {
        let host = Revision {
            revision: Some(revision.to_owned()),
            document: None,
        };
        project::save(&self.library, base, &host).unwrap()
    }

    pub(crate) fn import(
        &self,
        base: Option<&BaseRow>,
        file: &Path,
        mode: ImportMode,
        id: Option<&str>,
    ) -> MediaId {
        let options = ImportOptions {
            project: base.map(|base| base.row),
            mode,
            id: id.map(|id| id.parse().unwrap()),
            name: None,
        };
        let never = AtomicBool::new(false);
        let done = self
            .library
            .import(&[file.to_owned()], &options, &Progress::default(), &never)
            .unwrap();
        done[0]
            .media_id
            .clone()
            .unwrap_or_else(|| panic!("{done:?}"))
    }

    pub(crate) fn item(&self, base: &BaseRow, id: &MediaId) -> Option<ItemRow> {
        self.reader().item_in_scope(id, Some(base.row)).unwrap()
    }

    pub(crate) fn whole(&self, base: &BaseRow, id: &MediaId) -> MediaItem {
        let item = self.item(base, id).unwrap();
        self.reader().media_item(item.row).unwrap().unwrap()
    }

    pub(crate) fn tag(&self, base: &BaseRow, id: &MediaId, word: &str) {
        let item = self.item(base, id).unwrap().row;
        let tag = Tag {
            name: word.to_owned(),
            source: TagSource::User,
            confidence: Confidence::CERTAIN,
        };
        self.catalog
            .write(Durability::Full, |writer| writer.tag(item, &tag))
            .unwrap();
    }

    pub(crate) fn untag(&self, base: &BaseRow, id: &MediaId, word: &str) {
        let item = self.item(base, id).unwrap().row;
        self.catalog
            .write(Durability::Full, |writer| writer.untag(item, word))
            .unwrap();
    }

    pub(crate) fn rename(&self, base: &BaseRow, id: &MediaId, name: &str) {
        let item = self.item(base, id).unwrap().row;
        self.catalog
            .write(Durability::Full, |writer| writer.rename(item, name))
            .unwrap();
    }

    pub(crate) fn use_as(&self, base: &BaseRow, item: &ItemRow, role: &str, target: &str) {
        let usage = Usage {
            project: base.project.clone().unwrap().0,
            role: UsageRole::from(role.to_owned()),
            target: target.to_owned(),
        };
        self.catalog
            .write(Durability::Full, |writer| {
                writer.add_usage(item.row, &usage)
            })
            .unwrap();
    }
}

pub(crate) fn config() -> LibraryConfig {
    LibraryConfig {
        hash: false,
        courier_program: Some(env!("CARGO_BIN_EXE_mediafs").into()),
        ..LibraryConfig::default()
    }
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

/// As Unix writes it, so that what is expected is the same on every system.
pub(crate) fn slashes(path: &str) -> String {
    if cfg!(windows) {
        path.replace('\\', "/")
    } else {
        path.to_owned()
    }
}

pub(crate) fn put(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

pub(crate) fn manifest(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("media.json")).unwrap()
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            // It may have gone meanwhile.
            let _ = std::fs::copy(entry.path(), target);
        }
    }
}
