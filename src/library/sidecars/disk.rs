//! The folder of an item's sidecars on disk.

use std::fs::{File, FileTimes, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use mediafs_platform::files::{self, Make, Opening};
use mediafs_platform::names;

use super::{FOLDER, ItemKey, MOST, MOST_BYTES};
use crate::model::{Behind, SidecarName};

/// Files looked at in one folder: as many as can be there, and what is not ours.
const MOST_FILES: usize = 4 * MOST;
/// Begins the name of a copy that is not whole.
const UNFINISHED: u8 = b't';

/// The folder of an item's sidecars.
pub(super) struct Folder {
    top: PathBuf,
    path: PathBuf,
}

/// What is in it.
#[derive(Default)]
pub(super) struct Found {
    pub(super) kept: Vec<SidecarName>,
    pub(super) hidden: Vec<SidecarName>,
}

/// What the first letter of a name says.
fn letter(behind: Behind, hidden: bool) -> u8 {
    match (behind, hidden) {
        (Behind::Name, false) => b'n',
        (Behind::Stem, false) => b's',
        (Behind::Name, true) => b'x',
        (Behind::Stem, true) => b'y',
    }
}

fn parsed(name: &[u8]) -> Option<(SidecarName, bool)> {
    let (first, suffix) = name.split_first()?;
    let (behind, hidden) = match first {
        b'n' => (Behind::Name, false),
        b's' => (Behind::Stem, false),
        b'x' => (Behind::Name, true),
        b'y' => (Behind::Stem, true),
        _ => return None,
    };
    let suffix: Box<[u8]> = suffix.into();
    (!suffix.is_empty()).then_some((SidecarName { behind, suffix }, hidden))
}

impl Folder {
    pub(super) fn new(top: &Path, below: &str) -> Self {
        Self {
            top: top.to_owned(),
            path: top.join(below),
        }
    }

    fn named(&self, name: &SidecarName, hidden: bool) -> PathBuf {
        let mut bytes = vec![letter(name.behind, hidden)];
        bytes.extend_from_slice(&name.suffix);
        self.path.join(names::lossy(bytes))
    }

    /// The file of a sidecar.
    pub(super) fn path(&self, name: &SidecarName) -> PathBuf {
        self.named(name, false)
    }

    /// What is in it; nothing where there is no such folder.
    pub(super) fn read(&self) -> Found {
        let mut found = self.look();
        found.kept.retain(|name| !found.hidden.contains(name));
        found
    }

    /// As [`Folder::read`]; what was about to go when a daemon ended goes now. Nobody may change anything there meanwhile: a name
    /// that is given anew would seem to be one of those.
    pub(super) fn tidy(&self) -> Found {
        let mut found = self.look();
        found.kept.retain(|name| {
            let goes = found.hidden.contains(name);
            if goes {
                let _ = std::fs::remove_file(self.path(name));
            }
            !goes
        });
        found
    }

    /// All that is there, also what is about to go.
    fn look(&self) -> Found {
        let mut found = Found::default();
        let Ok(entries) = std::fs::read_dir(&self.path) else {
            return found;
        };
        for entry in entries.flatten().take(MOST_FILES) {
            if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                continue;
            }
            match parsed(entry.file_name().as_encoded_bytes()) {
                Some((name, true)) => found.hidden.push(name),
                Some((name, false)) => found.kept.push(name),
                None => {}
            }
        }
        found
    }

    /// Makes the folder if it is not there.
    pub(super) fn make(&self) -> io::Result<()> {
        std::fs::create_dir_all(&self.path)
    }

    /// The names in it are on the disk when this returns, and its own.
    pub(super) fn sync(&self) -> io::Result<()> {
        for folder in self.path.ancestors() {
            files::sync_folder(folder)?;
            if folder == self.top {
                break;
            }
        }
        Ok(())
    }

    /// The one beside the item's file is not shown any more.
    pub(super) fn hide(&self, name: &SidecarName) -> io::Result<()> {
        File::create(self.named(name, true)).map(drop)
    }

    /// It may be shown again.
    pub(super) fn show(&self, name: &SidecarName) -> io::Result<()> {
        match std::fs::remove_file(self.named(name, true)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes a file, or empties one that nobody knows of.
    pub(super) fn create(&self, name: &SidecarName, permissions: u16) -> io::Result<File> {
        self.make()?;
        self.show(name)?;
        let how = Opening {
            write: true,
            make: Make::IfMissing,
            truncate: true,
            permissions: permissions & 0o777 | 0o600,
            ..Opening::default()
        };
        how.open(&self.path(name))
    }

    /// Copies a file, with its times, under a name that nothing has yet.
    pub(super) fn copy_in(&self, name: &SidecarName, file: &File) -> io::Result<()> {
        let from = file.metadata()?;
        if from.len() > MOST_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.make()?;
        let temporary = format!(
            "{}{}",
            char::from(UNFINISHED),
            uuid::Uuid::now_v7().simple()
        );
        let temporary = self.path.join(temporary);
        let copied = self.copy_to(&temporary, file, &from);
        if copied.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        copied?;
        std::fs::rename(&temporary, self.path(name))?;
        self.sync()
    }

    fn copy_to(&self, temporary: &Path, file: &File, from: &Metadata) -> io::Result<()> {
        let mut copy = File::create_new(temporary)?;
        // Another program may go on writing to it.
        let mut reading = file.take(MOST_BYTES.saturating_add(1));
        if io::copy(&mut reading, &mut copy)? > MOST_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if let Ok(modified) = from.modified() {
            copy.set_times(FileTimes::new().set_modified(modified))?;
        }
        copy.sync_all()
    }
}

/// A sidecar as it is on disk.
pub(crate) struct Kept {
    pub(crate) name: SidecarName,
    pub(crate) file: PathBuf,
    pub(crate) found: Metadata,
}

/// The sidecars of an item that programs wrote through the drive, and the names under which there is none any more.
/// Read from the disk, so that it can be asked without a daemon.
pub(crate) fn kept_of(home: &Path, key: &ItemKey) -> (Vec<Kept>, Vec<SidecarName>) {
    let folder = Folder::new(&home.join(FOLDER), &key.0);
    let Found { kept, hidden } = folder.read();
    let kept = kept.into_iter().filter_map(|name| {
        let file = folder.path(&name);
        let found = file.symlink_metadata().ok()?;
        Some(Kept { name, file, found })
    });
    (kept.collect(), hidden)
}

/// The names of the folders in one.
pub(super) fn folders_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let folders = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    // All that are ours are UTF-8.
    folders
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}
