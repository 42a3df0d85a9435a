//! Copying one file beside its new name: hashed on the way, brought to the disk, and only then named.
//!
//! Temporary files are locked while they are written, so that those of an import that died are told from those of one
//! that lives, and removed by the next one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mediafs_platform::failure::Failure;
use mediafs_platform::wanted::GivesWay;
use mediafs_platform::{files, names};
use parking_lot::Mutex;

use crate::catalog::{BaseRow, CatalogError, Durability, Evidence, ItemRow, PlaceNo, ProbeRecord};
use crate::library::disk::{LocalFolder, LocalRoot};
use crate::library::engine::{Engine, MEDIA_FOLDER, TEMPORARY};
use crate::library::error::LibraryError;
use crate::library::hash::capsule_of_whole;
use crate::library::identity::hash_of;
use crate::library::progress::Progress;
use crate::library::taken::Taken;
use crate::model::ObjectHash;

use super::gather::Source;
use super::reading::{Reading, tries};
use super::record::{Prepared, Way};
use super::sources::{Origin, Sources};
use super::{ImportOptions, Outcome};

/// The name that the folder of copies has in the library.
pub(super) const COPIES_NAME: &str = "Imported";
const BUFFER: usize = 1 << 20;
static NEXT: AtomicU64 = AtomicU64::new(0);

/// What preparing a copy gave.
pub(super) enum Copied {
    /// Bytes are on the disk, to be named and entered.
    Ready(Box<Prepared>),
    /// It is an item, and nothing is to be done.
    Known(ItemRow),
}

/// Why a copy was not made.
pub(super) enum Halt {
    /// The user said stop.
    Cancelled,
    /// This file.
    This(Outcome),
    /// Nothing more can be copied.
    All(String),
}

/// A copy on the disk that has no name yet; removed unless it gets one.
pub(super) struct Temporary {
    pub(super) folder: LocalFolder,
    /// Below the base.
    pub(super) folder_path: PathBuf,
    pub(super) name: OsString,
    pub(super) origin: Origin,
    /// The missing item whose copy this is again.
    pub(super) restores: Option<PlaceNo>,
    /// The names in the folder.
    taken: Arc<Mutex<Taken>>,
    file: File,
    named: std::cell::Cell<bool>,
}

impl Temporary {
    /// It has its name now.
    pub(super) fn keep(&self, name: &OsStr) {
        self.named.set(true);
        self.taken.lock().add(name);
    }

    /// A file of the folder has this name, in upper or lower case.
    pub(super) fn is_taken(&self, name: &OsStr) -> bool {
        self.taken.lock().has(name)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.named.get()
            && let Err(error) = self.folder.remove(&self.name)
        {
            // The next import into this folder removes it.
            tracing::debug!(%error, "a temporary file is left");
        }
    }
}

/// Copies files into the folder of copies of one scope.
pub(super) struct Copier<'e> {
    engine: &'e Engine,
    options: &'e ImportOptions,
    pub(super) base: BaseRow,
    root: LocalRoot,
    top: PathBuf,
    sources: Sources,
    /// Folders that were cleaned, and the names in them.
    cleaned: HashMap<PathBuf, Arc<Mutex<Taken>>>,
    /// The base was not known before.
    pub(super) is_new: bool,
}

/// The library that copies are in which belong to no project, made where it is not there; and whether nobody knew it yet.
pub(super) fn library_of_copies(engine: &Engine) -> Result<(BaseRow, bool), LibraryError> {
    let path = engine.copies();
    let failed = |source| LibraryError::Folder {
        path: path.clone(),
        source,
    };
    std::fs::create_dir_all(&path).map_err(failed)?;
    let bases = engine.catalog.reader()?.bases()?;
    let is_new = !bases.iter().any(|base| base.path == path && base.active);
    let base = engine.write(Durability::Full, |writer| {
        writer.add_library(COPIES_NAME, &path)
    })?;
    Ok((base, is_new))
}

impl<'e> Copier<'e> {
    pub(super) fn new(
        engine: &'e Engine,
        project: Option<&BaseRow>,
        options: &'e ImportOptions,
        sources: Sources,
    ) -> Result<Self, LibraryError> {
        let (base, top, is_new) = match project {
            Some(base) => (base.clone(), PathBuf::from(MEDIA_FOLDER), false),
            None => {
                let (base, is_new) = library_of_copies(engine)?;
                (base, PathBuf::new(), is_new)
            }
        };
        if let Some(reason) = engine.untrusted(&base.path) {
            let path = base.path;
            return Err(LibraryError::Untrusted { path, reason });
        }
        let root = engine
            .root_here(&base.path)
            .map_err(|source| LibraryError::Folder {
                path: base.path.clone(),
                source,
            })?;
        Ok(Self {
            engine,
            options,
            base,
            root,
            top,
            sources,
            cleaned: HashMap::new(),
            is_new,
        })
    }

    /// Copies `file`, unless it is known.
    pub(super) fn prepare(
        &mut self,
        file: &Source,
        progress: &Progress,
        cancel: &AtomicBool,
    ) -> Result<Result<Copied, Halt>, CatalogError> {
        until_unchanged(|| self.attempt(file, progress, cancel))
    }

    fn attempt(
        &mut self,
        file: &Source,
        progress: &Progress,
        cancel: &AtomicBool,
    ) -> Result<Result<Copied, Halt>, CatalogError> {
        let (mut source, evidence) = match Reading::open(self.engine, file, cancel) {
            Ok(opened) => opened,
            Err(_) if cancel.load(Ordering::Relaxed) => return Ok(Err(Halt::Cancelled)),
            Err(outcome) => return Ok(Err(Halt::This(outcome))),
        };
        let mut restores = None;
        if let Some((item, origin)) = self.sources.of(&file.source)
            && let Some(item) = self.engine.catalog.reader()?.item(*item)?
        {
            let missing = self.missing(&item)?;
            if origin.unchanged(&evidence) {
                match missing {
                    // Its lost copy would come back, under an id that was not wished for.
                    Some(_) if self.options.conflict(&item).is_some() => {
                        return Ok(Ok(Copied::Known(item)));
                    }
                    None => return Ok(Ok(Copied::Known(item))),
                    Some(place) => restores = place,
                }
            }
        }
        let (folder, folder_path, taken) = match self.folder(&file.below) {
            Ok(folder) => folder,
            Err(error) => return Ok(Err(halt(&error, &self.base.path))),
        };
        let (name, target) = match self.temporary(&folder) {
            Ok(made) => made,
            Err(error) => return Ok(Err(halt(&error, &self.base.path))),
        };
        // From here on the temporary file goes unless it is kept.
        let mut temporary = Temporary {
            folder,
            folder_path,
            name,
            origin: Origin::new(&file.source, &evidence, ObjectHash([0; 32])),
            restores,
            taken,
            file: target,
            named: std::cell::Cell::new(false),
        };
        // One that goes on beyond its own size has changed, or never ends.
        let mut whole = source.by_ref().take(evidence.size.saturating_add(1));
        let copied = copy_bytes(&mut whole, &mut temporary.file, progress, cancel);
        let hash = match copied {
            Ok(Some((hash, length))) if length == evidence.size => hash,
            Ok(Some(_)) => return Ok(Err(changed())),
            Ok(None) => return Ok(Err(Halt::Cancelled)),
            // It is about to be another.
            Err(_) if source.is_wanted() => return Ok(Err(changed())),
            Err(_) if cancel.load(Ordering::Relaxed) => return Ok(Err(Halt::Cancelled)),
            Err(error) => return Ok(Err(halt(&error, &self.base.path))),
        };
        if !source.is_unchanged(&evidence) {
            return Ok(Err(changed()));
        }
        let mut record = match source.record(file, &mut temporary.file) {
            Ok(record) => record,
            Err(outcome) => return Ok(Err(Halt::This(outcome))),
        };
        temporary.origin = Origin::new(&file.source, &evidence, hash);
        if let Err(error) = finish(&temporary.file, &evidence) {
            return Ok(Err(halt(&error, &self.base.path)));
        }
        if let Some(known) = self.same_bytes_copied(file, hash)? {
            return Ok(Ok(Copied::Known(known)));
        }
        whole_capsule(&mut record, &mut temporary.file);
        let unclaimed = self.unclaimed(file, &temporary, evidence.size, cancel)?;
        Ok(Ok(Copied::Ready(Box::new(Prepared {
            source: file.source.clone(),
            evidence,
            record,
            base: self.base.clone(),
            way: Way::Copy {
                temporary,
                unclaimed,
            },
        }))))
    }

    /// `Some` if the item's file is not there; with its place, where it still has one.
    fn missing(&self, item: &ItemRow) -> Result<Option<Option<PlaceNo>>, CatalogError> {
        let reader = self.engine.catalog.reader()?;
        let Some(place) = item.place_of_record() else {
            return Ok(Some(None));
        };
        let Some((base, path)) = self.engine.locate(&reader, place)? else {
            return Ok(Some(None));
        };
        let there = self
            .engine
            .root_above(&base.path, &path)
            .and_then(|root| root.file(&path));
        Ok(match there {
            Ok(_) => None,
            Err(_) => Some(Some(place)),
        })
    }

    /// The source was touched, but has the bytes that were copied from it before.
    fn same_bytes_copied(
        &self,
        file: &Source,
        hash: ObjectHash,
    ) -> Result<Option<ItemRow>, CatalogError> {
        let Some((item, origin)) = self.sources.of(&file.source) else {
            return Ok(None);
        };
        if origin.hash() != hash {
            return Ok(None);
        }
        let Some(item) = self.engine.catalog.reader()?.item(*item)? else {
            return Ok(None);
        };
        Ok(self.missing(&item)?.is_none().then_some(item))
    }

    /// A copy that an import left behind when it died after naming and before entering it: of the same name and bytes,
    /// and nobody's.
    fn unclaimed(
        &self,
        file: &Source,
        temporary: &Temporary,
        size: u64,
        cancel: &AtomicBool,
    ) -> Result<Option<OsString>, CatalogError> {
        let Some(wanted) = file.source.file_name() else {
            return Ok(None);
        };
        let reader = self.engine.catalog.reader()?;
        let known = Engine::find_folder(&reader, &self.base, &temporary.folder_path)?;
        for n in 1..=u32::MAX {
            let name = numbered(wanted, n);
            let seen = match temporary.folder.look(&name) {
                Ok(Some(seen)) => seen,
                Ok(None) if temporary.is_taken(&name) => continue,
                _ => return Ok(None),
            };
            if seen.evidence.size != size {
                continue;
            }
            let place = known
                .map(|folder| reader.child_place(folder, &name))
                .transpose()?
                .flatten()
                .filter(|(row, _)| row.name == name);
            if let Some((row, _)) = place {
                let items = reader.items_of(row.row)?;
                // In the library a scan makes an item of whatever it finds.
                let found = |item: &ItemRow| {
                    self.base.kind == crate::catalog::BaseKind::Library
                        && !self.sources.knows(item.row)
                };
                if !items.iter().all(found) {
                    continue;
                }
            }
            let Ok((left, _)) = temporary.folder.file(&name) else {
                continue;
            };
            // One that somebody wants is left to them, and copied once more.
            let mut reading = GivesWay::new(left);
            let GivesWay { file, wanted } = &mut reading;
            let hash = hash_of(file, || {
                cancel.load(Ordering::Relaxed) || wanted.is_wanted()
            });
            if hash.ok().flatten() == Some(temporary.origin.hash()) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// The folder `below` of the copies, made where it is not there; without what a dead import left in it.
    fn folder(&mut self, below: &Path) -> io::Result<(LocalFolder, PathBuf, Arc<Mutex<Taken>>)> {
        let path = self.top.join(below);
        let folder = self
            .engine
            .make_folders(&self.root, &self.base.path, &path)?;
        let taken = match self.cleaned.entry(path) {
            Entry::Occupied(known) => Arc::clone(known.get()),
            Entry::Vacant(new) => {
                let _nobody_makes_one = self.engine.temporary.lock();
                let mut names = Vec::new();
                for (name, _) in folder.entries()? {
                    if name.as_encoded_bytes().starts_with(TEMPORARY) {
                        // One that is locked is in use.
                        let _ = folder.remove_abandoned(&name);
                    } else {
                        names.push(name);
                    }
                }
                Arc::clone(new.insert(Arc::new(Mutex::new(Taken::of(names)))))
            }
        };
        let path = self.top.join(below);
        Ok((folder, path.components().collect(), taken))
    }

    fn temporary(&self, folder: &LocalFolder) -> io::Result<(OsString, File)> {
        let _nobody_cleans = self.engine.temporary.lock();
        let mut name = TEMPORARY.to_vec();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        name.extend_from_slice(format!("{}-{number}.part", std::process::id()).as_bytes());
        let name = names::lossy(name);
        let file = folder.create(&name)?;
        Ok((name, file))
    }
}

pub(super) const CHANGED: &str =
    "it changed while it was copied; import it again when nothing writes to it";

fn changed() -> Halt {
    Halt::This(Outcome::Failed(CHANGED.to_owned()))
}

/// Copies a source, and once more where it changed meanwhile.
pub(super) fn until_unchanged(
    mut attempt: impl FnMut() -> Result<Result<Copied, Halt>, CatalogError>,
) -> Result<Result<Copied, Halt>, CatalogError> {
    for () in tries() {
        match attempt()? {
            Err(Halt::This(Outcome::Failed(reason))) if reason == CHANGED => {}
            other => return Ok(other),
        }
    }
    Ok(Err(changed()))
}

fn halt(error: &io::Error, target: &Path) -> Halt {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded => Halt::All(format!(
            "the disk of {} is full; free some space and import again",
            target.display()
        )),
        ReadOnlyFilesystem => Halt::All(format!("{} cannot be written to", target.display())),
        _ => Halt::This(Outcome::Failed(format!("it could not be copied: {error}"))),
    }
}

/// Some containers' placeholders need all of the file, and here all of it is.
pub(super) fn whole_capsule(record: &mut ProbeRecord, copy: &mut File) {
    if let ProbeRecord::Media {
        format,
        capsule: capsule @ None,
        ..
    } = record
        && copy.seek(SeekFrom::Start(0)).is_ok()
    {
        *capsule = capsule_of_whole(format, copy);
    }
}

/// All bytes from `source` to `target`: their hash and number; `None` when cancelled.
fn copy_bytes(
    source: &mut impl Read,
    target: &mut File,
    progress: &Progress,
    cancel: &AtomicBool,
) -> io::Result<Option<(ObjectHash, u64)>> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; BUFFER];
    let mut length = 0_u64;
    loop {
        if cancel.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let read = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..read]);
        target.write_all(&buffer[..read])?;
        let read = u64::try_from(read).unwrap_or(u64::MAX);
        length = length.saturating_add(read);
        progress.add_bytes(read);
    }
    let hash = ObjectHash(*hasher.finalize().as_bytes());
    Ok(Some((hash, length)))
}

/// Gives the copy its source's permissions and time, and brings it to the disk.
pub(super) fn finish(copy: &File, evidence: &Evidence) -> io::Result<()> {
    match files::set_permissions(copy, evidence.permissions & 0o777 | 0o600) {
        Ok(()) => {}
        // A file system without permissions.
        Err(error) if is_without_permissions(&error) => {}
        Err(error) => return Err(error),
    }
    copy.set_modified(evidence.modified.into())?;
    copy.sync_all()
}

fn is_without_permissions(error: &io::Error) -> bool {
    matches!(
        Failure::of(error),
        Failure::NotPermitted | Failure::NotSupported
    )
}

/// The `n`th name for a file whose name is taken: `Kick.wav`, `Kick (2).wav`, …; shortened where it gets too long.
pub(crate) fn numbered(name: &OsStr, n: u32) -> OsString {
    const LONGEST: usize = 255;
    if n <= 1 {
        return name.to_owned();
    }
    let bytes = name.as_encoded_bytes();
    let dot = bytes.iter().rposition(|byte| *byte == b'.');
    let (stem, extension) = bytes.split_at(dot.filter(|at| *at > 0).unwrap_or(bytes.len()));
    let ending = [format!(" ({n})").as_bytes(), extension].concat();
    let mut stem = &stem[..stem.len().min(LONGEST.saturating_sub(ending.len()))];
    // Not in the middle of a character, where there are characters.
    if std::str::from_utf8(bytes).is_ok() {
        while std::str::from_utf8(stem).is_err() {
            stem = &stem[..stem.len() - 1];
        }
    }
    names::lossy([stem, &ending].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_taken_get_numbers() {
        let of = |name: &str, n| numbered(OsStr::new(name), n);
        assert_eq!(of("Kick.wav", 1), "Kick.wav");
        assert_eq!(of("Kick.wav", 2), "Kick (2).wav");
        assert_eq!(of("no extension", 12), "no extension (12)");
        assert_eq!(of(".hidden", 2), ".hidden (2)");
        let long = of(&format!("{}.wav", "ä".repeat(125)), 10);
        assert!(long.len() <= 255 && long.to_str().is_some_and(|n| n.ends_with("ä (10).wav")));
        // On Windows names are text.
        #[cfg(unix)]
        {
            let bytes = names::lossy([vec![0xff; 251], b".wav".to_vec()].concat());
            assert_eq!(numbered(&bytes, 2).len(), 255);
        }
    }
}
