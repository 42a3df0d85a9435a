//! The bytes of a project's items, brought into the folder of another project, as copies that were read again after they were
//! written; what is not there stays a reference and is told.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use super::document::{Item, Where};
use super::{MEDIA, ProjectError, check, export, files};
use crate::catalog::{BaseRow, ItemRow, relative_text};
use crate::library::{Library, Progress, Recorded, Taken, numbered};
use crate::model::{MediaId, ObjectHash, Storage, path_text, safe_name};

/// How often an item whose file changes while it is copied is tried, and how soon again at first: twice as late each time.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(250);
const BUFFER: usize = 1 << 20;

/// Opens the bytes of an item that are at hand elsewhere than in its file.
pub(super) type OpenBytes<'o> = &'o dyn Fn(&ItemRow) -> Option<File>;

/// Brings the items of one project into the folder of another.
pub(super) struct Collecting<'c> {
    library: &'c Library,
    base: &'c BaseRow,
    target: &'c Path,
    bytes_of: OpenBytes<'c>,
    progress: &'c Progress,
    cancel: &'c AtomicBool,
    /// What was copied, by bytes: the path in the new project.
    made: HashMap<ObjectHash, String>,
    /// The same paths.
    paths: HashSet<String>,
    /// The names in the new project's folders.
    names: HashMap<PathBuf, Taken>,
    pub(super) copied: usize,
    pub(super) bytes: u64,
    pub(super) left: Vec<(MediaId, String, String)>,
}

/// A copy that was made.
struct Made {
    path: String,
    hash: ObjectHash,
    size: u64,
}

/// Where bytes are copied from.
enum Source {
    /// The item's own file, which programs may write to.
    File(Recorded),
    /// A copy that the drive keeps, which nobody writes to.
    Kept(File),
}

impl Source {
    fn modified(&self) -> io::Result<SystemTime> {
        match self {
            Self::File(file) => Ok(file.evidence().modified.into()),
            Self::Kept(file) => file.metadata()?.modified(),
        }
    }

    /// One that goes on beyond this has changed, or never ends.
    fn longest(&self) -> u64 {
        match self {
            Self::File(file) => file.evidence().size,
            Self::Kept(_) => u64::MAX,
        }
    }

    fn is_wanted(&self) -> bool {
        matches!(self, Self::File(file) if file.is_wanted())
    }

    fn is_unchanged(&self) -> bool {
        match self {
            Self::File(file) => file.is_unchanged(),
            Self::Kept(_) => true,
        }
    }
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(into),
            Self::Kept(file) => file.read(into),
        }
    }
}

/// What copying gave.
enum Copied<T> {
    /// All of it was copied.
    Whole(T),
    /// It changed meanwhile, or is about to: what was copied is none of its states.
    Changed,
    /// The user said stop.
    Stopped,
}

impl<'c> Collecting<'c> {
    pub(super) fn new(
        library: &'c Library,
        base: &'c BaseRow,
        target: &'c Path,
        bytes_of: OpenBytes<'c>,
        progress: &'c Progress,
        cancel: &'c AtomicBool,
    ) -> Self {
        Self {
            library,
            base,
            target,
            bytes_of,
            progress,
            cancel,
            made: HashMap::new(),
            paths: HashSet::new(),
            names: HashMap::new(),
            copied: 0,
            bytes: 0,
            left: Vec::new(),
        }
    }

    /// The item's bytes are in the new project's folder from now on, if they are anywhere at hand.
    pub(super) fn collect(&mut self, item: &mut Item) -> Result<(), ProjectError> {
        for tried in 0..TRIES {
            if tried > 0 {
                // By then the library has seen what became of it.
                std::thread::sleep(PAUSE * 2_u32.pow(tried - 1));
            }
            match self.attempt(item, tried > 0)? {
                Copied::Whole(()) => return Ok(()),
                Copied::Stopped => return Err(ProjectError::Cancelled),
                Copied::Changed => {}
            }
        }
        Err(ProjectError::Copy {
            name: item.name.clone(),
            path: self.target.join(MEDIA),
            reason: "it changed while it was copied; save again when nothing writes to it"
                .to_owned(),
        })
    }

    fn attempt(&mut self, item: &mut Item, again: bool) -> Result<Copied<()>, ProjectError> {
        let reader = self.library.catalog().reader()?;
        // Where this machine's library has it not, the library's was adopted by the project.
        let mut found = reader.item_in_scope(&item.media_id, Some(self.base.row))?;
        if found.is_none() && item.of_library {
            found = reader.item_in_scope(&item.media_id, None)?;
        }
        let Some(row) = found else {
            let why = "it is no sound that is known on this machine".to_owned();
            self.left
                .push((item.media_id.clone(), item.name.clone(), why));
            return Ok(Copied::Whole(()));
        };
        let file = match self.library.open_recorded(&row)? {
            Some(file) => Some(Source::File(file)),
            None => (self.bytes_of)(&row).map(Source::Kept),
        };
        let Some(file) = file else {
            if again {
                // The library has not seen yet what it is now.
                return Ok(Copied::Changed);
            }
            let cause = reader.cause_of(&row)?;
            let why = cause.unwrap_or_else(|| "its bytes are not on this machine".to_owned());
            self.left
                .push((item.media_id.clone(), item.name.clone(), why));
            return Ok(Copied::Whole(()));
        };
        // What is known of its bytes, if they are those that are looked at.
        let (expected, fingerprint) = match row.place {
            Some(place) => (reader.hash_of_place(place)?, reader.fingerprint(place)?),
            None => (None, None),
        };
        drop(reader);
        let other_than = |known: ObjectHash| fingerprint.is_some_and(|seen| seen != known.0);
        if again || item.size != row.size || item.fingerprint.is_some_and(other_than) {
            self.describe(item)?;
        }
        let made = match expected.and_then(|hash| self.made.get(&hash).map(|path| (hash, path))) {
            Some((hash, path)) => Made {
                path: path.clone(),
                hash,
                size: row.size,
            },
            None => {
                let made = match self.copy(item, file, expected)? {
                    Copied::Whole(made) => made,
                    Copied::Changed => return Ok(Copied::Changed),
                    Copied::Stopped => return Ok(Copied::Stopped),
                };
                self.made.insert(made.hash, made.path.clone());
                self.paths.insert(made.path.clone());
                made
            }
        };
        if let Where::Known(kept) = &item.storage
            && let Some(elsewhere) = self.elsewhere(&kept.value)
            && !item
                .alternatives
                .known
                .iter()
                .any(|known| known.value == elsewhere)
        {
            item.alternatives.known.push(elsewhere.into());
        }
        item.storage = Where::Known(Storage::Project { path: made.path }.into());
        item.blake3 = Some(made.hash);
        item.size = made.size;
        item.of_library = false;
        Ok(Copied::Whole(()))
    }

    /// What is said of an item that became another sound since the project was read is to be true of the one that is copied.
    fn describe(&self, item: &mut Item) -> Result<(), ProjectError> {
        if let Some(now) = export(self.library, self.base)?.item(&item.media_id) {
            *item = now.clone();
        }
        Ok(())
    }

    /// Copies bytes, reads the copy again, and gives it its name.
    fn copy(
        &mut self,
        item: &Item,
        file: Source,
        expected: Option<ObjectHash>,
    ) -> Result<Copied<Made>, ProjectError> {
        let name = item.name.clone();
        let failed = |path: &Path| {
            let (name, path) = (name.clone(), path.to_owned());
            move |error: io::Error| ProjectError::Copy {
                name,
                path,
                reason: error.to_string(),
            }
        };
        let (below, wanted) = place_of(item);
        let folder = self.target.join(MEDIA).join(&below);
        std::fs::create_dir_all(&folder).map_err(failed(&folder))?;
        let temporary = OsString::from(files::temporary("copy"));
        let path = folder.join(&temporary);
        let copied = self.copy_bytes(file, &path);
        let (hash, size) = match copied {
            Ok(Copied::Whole(copied)) => copied,
            Ok(Copied::Changed) => {
                let _ = files::remove(&folder, &temporary);
                return Ok(Copied::Changed);
            }
            Ok(Copied::Stopped) => {
                let _ = files::remove(&folder, &temporary);
                return Ok(Copied::Stopped);
            }
            Err(error) => {
                let _ = files::remove(&folder, &temporary);
                return Err(failed(&folder)(error));
            }
        };
        if expected.is_some_and(|expected| expected != hash) {
            let _ = files::remove(&folder, &temporary);
            let other = io::Error::other("its bytes are not those that it had; scan and try again");
            return Err(failed(&folder)(other));
        }
        let taken = match self.names.entry(folder.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(names_in(&folder).map_err(failed(&folder))?),
        };
        let mut number = 1;
        let named = loop {
            let name = numbered(&wanted, number);
            number += 1;
            let naming = files::Naming {
                from: &temporary,
                to: &name,
                replace: false,
                previous: None,
            };
            if taken.has(&name) {
                // A copy of an earlier try.
                if is_same(&folder.join(&name), hash, size) {
                    let _ = files::remove(&folder, &temporary);
                    break name;
                }
                continue;
            }
            match files::name_it(&folder, &naming) {
                Ok(()) => break name,
                Err(error) => return Err(failed(&folder)(error)),
            }
        };
        taken.add(&named);
        self.copied += 1;
        self.bytes += size;
        let path = Path::new(MEDIA).join(below).join(named);
        Ok(Copied::Whole(Made {
            path: relative_text(&path),
            hash,
            size,
        }))
    }

    /// Copies all bytes to a new file; hash and length of what can be read of it then.
    fn copy_bytes(&self, mut from: Source, to: &Path) -> io::Result<Copied<(ObjectHash, u64)>> {
        if let Source::Kept(file) = &mut from {
            // It may have been read before.
            file.seek(SeekFrom::Start(0))?;
        }
        let modified = from.modified();
        let mut options = std::fs::OpenOptions::new();
        let mut target = options.read(true).write(true).create_new(true).open(to)?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; BUFFER];
        let mut size = 0_u64;
        loop {
            if self.cancel.load(Ordering::Relaxed) {
                return Ok(Copied::Stopped);
            }
            let read = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) if from.is_wanted() => return Ok(Copied::Changed),
                Err(error) => return Err(error),
            };
            io::Write::write_all(&mut target, &buffer[..read])?;
            hasher.update(&buffer[..read]);
            size += u64::try_from(read).unwrap_or(0);
            if size > from.longest() {
                return Ok(Copied::Changed);
            }
        }
        if !from.is_unchanged() {
            return Ok(Copied::Changed);
        }
        // Bringing all to the disk takes long, and it is in nobody's way meanwhile.
        drop(from);
        if let Ok(modified) = modified {
            target.set_times(std::fs::FileTimes::new().set_modified(modified))?;
        }
        target.sync_all()?;
        let hash = *hasher.finalize().as_bytes();
        target.seek(SeekFrom::Start(0))?;
        let mut again = blake3::Hasher::new();
        again.update_reader(&mut target)?;
        if *again.finalize().as_bytes() != hash {
            return Err(io::Error::other(
                "the copy is not what was written; check the disk",
            ));
        }
        self.progress.add_bytes(size);
        Ok(Copied::Whole((ObjectHash(hash), size)))
    }

    /// What is in the old project's folder is, from the new one, elsewhere.
    fn elsewhere(&self, storage: &Storage) -> Option<Storage> {
        match storage {
            Storage::Project { path } => Some(Storage::Reference {
                root: None,
                path: path_text(&self.base.path.join(check::path_of(path))),
            }),
            other => Some(other.clone()),
        }
    }

    /// What was not copied is referenced where it is.
    pub(super) fn refer(&self, item: &mut Item) {
        let copied = |path: &str| self.paths.contains(path);
        if let Where::Known(kept) = &mut item.storage
            && let Storage::Project { path } = &kept.value
            && !copied(path)
            && let Some(elsewhere) = self.elsewhere(&kept.value)
        {
            kept.value = elsewhere;
        }
        for kept in &mut item.alternatives.known {
            if let Storage::Project { .. } = &kept.value
                && let Some(elsewhere) = self.elsewhere(&kept.value)
            {
                kept.value = elsewhere;
            }
        }
    }
}

/// The names in a folder.
fn names_in(folder: &Path) -> io::Result<Taken> {
    let names = std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name()));
    Ok(Taken::of(names.collect::<io::Result<Vec<_>>>()?))
}

fn is_same(path: &Path, hash: ObjectHash, size: u64) -> bool {
    let read = || -> io::Result<bool> {
        let mut file = File::open(path)?;
        let found = file.metadata()?;
        if !found.is_file() || found.len() != size {
            return Ok(false);
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&mut file)?;
        Ok(*hasher.finalize().as_bytes() == hash.0)
    };
    read().unwrap_or(false)
}

/// Below `Media/`, and by which name: where it is now, if it is in the project's `Media/`.
fn place_of(item: &Item) -> (PathBuf, OsString) {
    if let Where::Known(kept) = &item.storage
        && let Storage::Project { path } = &kept.value
        && let Some(parts) = check::parts(path)
        && let [first, folders @ .., name] = parts.as_slice()
        && first == MEDIA
    {
        return (folders.iter().collect(), name.clone());
    }
    (PathBuf::new(), safe_name(item.name.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::catalog::{Catalog, Durability};
    use crate::library::{ImportMode, ImportOptions, LibraryConfig, Which, wav};
    use crate::model::{Usage, UsageRole};
    use crate::project::document::Document;
    use crate::project::{MANIFEST, Revision, SaveAs, SavedAs, Wish, new, open_as, save, save_as};

    fn library(home: &Path, samples: &Path) -> Library {
        std::fs::create_dir_all(home).unwrap();
        let config = LibraryConfig {
            hash: false,
            ..LibraryConfig::default()
        };
        let library = Library::open(Catalog::open(home).unwrap(), home, config);
        library.add_root(samples).unwrap();
        let never = AtomicBool::new(false);
        library
            .scan_now(&Which::All, &Progress::default(), &never)
            .unwrap();
        library
    }

    #[test]
    fn what_was_the_librarys_where_it_was_made_is_copied_or_told() {
        let place = tempfile::Builder::new()
            .prefix("mediafs-collect-")
            .tempdir()
            .unwrap();
        let at = place.path();
        let (samples, song) = (at.join("Samples"), at.join("Song"));
        std::fs::create_dir(&samples).unwrap();
        for name in ["kick.wav", "gone.wav"] {
            std::fs::write(samples.join(name), wav()).unwrap();
        }
        let one = library(&at.join("home"), &samples);
        let base = new(&one, &song, true).unwrap().base;
        let usage = Usage {
            project: base.project.clone().unwrap().0,
            role: UsageRole::Track,
            target: "Drums".to_owned(),
        };
        let (progress, never) = (Progress::default(), AtomicBool::new(false));
        let options = ImportOptions {
            project: None,
            mode: ImportMode::Reference,
            id: None,
            name: None,
        };
        for name in ["kick.wav", "gone.wav"] {
            let files = [samples.join(name)];
            let done = one.import(&files, &options, &progress, &never).unwrap();
            let id = done[0].media_id.clone().unwrap();
            let reader = one.catalog().reader().unwrap();
            let item = reader.item_in_scope(&id, None).unwrap().unwrap().row;
            one.catalog()
                .write(Durability::Full, |writer| writer.add_usage(item, &usage))
                .unwrap();
        }
        save(&one, &base, &Revision::default()).unwrap();
        drop(one);
        std::fs::remove_file(samples.join("gone.wav")).unwrap();
        // Another machine, whose library gave the same file another id.
        let two = library(&at.join("other home"), &samples);
        let base = open_as(&two, &song, &Wish::default()).unwrap().base;
        let wish = SaveAs {
            to: at.join("Collected"),
            name: None,
            collect: true,
            host: Revision::default(),
            focused: false,
        };
        let done = save_as(&two, &base, &wish, &|_| None, &progress, &never).unwrap();
        assert_eq!(done.copied, 1);
        let left: Vec<&str> = done.left.iter().map(|left| left.1.as_str()).collect();
        assert_eq!(left, ["gone.wav"]);
    }

    /// Collects a project with one long file, to which `write` is called as soon as its copy has begun.
    fn collect_while(
        write: impl FnOnce(&Library, &Path) + Send,
    ) -> (tempfile::TempDir, Document, Result<SavedAs, ProjectError>) {
        let place = tempfile::Builder::new()
            .prefix("mediafs-collect-")
            .tempdir()
            .unwrap();
        let at = place.path();
        let samples = at.join("Samples");
        std::fs::create_dir(&samples).unwrap();
        let long = samples.join("long.wav");
        std::fs::write(&long, wav()).unwrap();
        let file = File::options().write(true).open(&long).unwrap();
        file.set_len(LONG).unwrap();
        let library = library(&at.join("home"), &samples);
        let base = new(&library, &at.join("Song"), true).unwrap().base;
        let (progress, never) = (Progress::default(), AtomicBool::new(false));
        let options = ImportOptions {
            project: Some(base.row),
            mode: ImportMode::Reference,
            id: None,
            name: None,
        };
        let files = [long.clone()];
        let done = library.import(&files, &options, &progress, &never).unwrap();
        assert!(done[0].media_id.is_some());
        let wish = SaveAs {
            to: at.join("Collected"),
            name: None,
            collect: true,
            host: Revision::default(),
            focused: false,
        };
        let media = wish.to.join(MEDIA);
        let done = std::thread::scope(|scope| {
            let (library, long) = (&library, &long);
            scope.spawn(move || {
                let began = std::time::Instant::now();
                let is_begun =
                    || std::fs::read_dir(&media).is_ok_and(|mut files| files.next().is_some());
                while !is_begun() {
                    assert!(began.elapsed() < Duration::from_secs(30), "no copy is made");
                    std::thread::yield_now();
                }
                write(library, long);
            });
            save_as(library, &base, &wish, &|_| None, &progress, &never)
        });
        let now = export(&library, &base).unwrap();
        (place, now, done)
    }

    /// So that the copy takes long.
    const LONG: u64 = 96 << 20;

    fn write_at_the_end(file: &Path) {
        let mut file = File::options().write(true).open(file).unwrap();
        file.seek(SeekFrom::End(-1)).unwrap();
        io::Write::write_all(&mut file, b"!").unwrap();
    }

    #[test]
    fn what_changes_while_it_is_copied_is_not_kept() {
        let (place, _, done) = collect_while(|_, file| write_at_the_end(file));
        let error = done.unwrap_err().to_string();
        assert!(error.contains("it changed while it was copied"), "{error}");
        let media = place.path().join("Collected").join(MEDIA);
        assert_eq!(std::fs::read_dir(media).unwrap().count(), 0);
    }

    #[test]
    fn what_has_changed_while_it_was_copied_is_copied_once_more() {
        let (place, now, done) = collect_while(|library, file| {
            write_at_the_end(file);
            let (progress, never) = (Progress::default(), AtomicBool::new(false));
            library.scan_now(&Which::All, &progress, &never).unwrap();
        });
        assert_eq!(done.unwrap().copied, 1);
        let collected = place.path().join("Collected");
        let copy = std::fs::read(collected.join(MEDIA).join("long.wav")).unwrap();
        assert_eq!(copy.last(), Some(&b'!'));
        // The manifest tells of these bytes and of no others.
        let text = std::fs::read(collected.join(MANIFEST)).unwrap();
        let document = Document::parse(&text).unwrap();
        let item = &document.items[0];
        assert_eq!(
            item.blake3,
            Some(ObjectHash(*blake3::hash(&copy).as_bytes()))
        );
        assert!(item.fingerprint.is_some());
        assert_eq!(item.fingerprint, now.items[0].fingerprint);
    }
}
