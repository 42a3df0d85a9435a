//! Making a take final: its header is put right, it is read for its facts, and moved to where it stays.
//!
//! Nobody writes to it any more by then (see `project::takes`). It becomes final in one durable transaction, in which the
//! file gets its name, under the writer's lock: so the watcher never sees a file that is no item yet. Where it is about to
//! go is on the disk before it goes, so that a crash between the two is undone at the next start. Nothing is copied where
//! a rename does. Where none does, a copy is made beside the name, brought to the disk and read again before it counts;
//! the first file stays until the copy is in the catalog, and the note until the first file is gone (see
//! `project::takes::recover`).

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mediafs_platform::names;

use crate::catalog::{
    BaseNo, BaseRow, CatalogError, Durability, Evidence, ItemRow, Observation, Observed, PlaceKind,
    PlaceNo, ProbeRecord, TakeRow, Writer,
};
use crate::library::disk::{LocalFolder, LocalRoot, evidence_of};
use crate::library::engine::{Engine, MEDIA_FOLDER, TEMPORARY};
use crate::library::error::LibraryError;
use crate::library::identity::hash_of;
use crate::library::owner::{Library, Which};
use crate::library::probing::read_facts;
use crate::library::taken::Taken;
use crate::model::{ObjectHash, shown_name};
use crate::project::takes::{self, Takes};

use super::copy::{finish, library_of_copies, numbered, whole_capsule};

/// How long writers that were just closed may take to be gone.
const WRITERS_GO: Duration = Duration::from_secs(2);
/// Longer takes are hashed in the background, in bytes: whoever waits for the answer has others to answer.
const HASHED_AT_ONCE: u64 = 64 << 20;

/// Why a take did not become final. It is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TakeError {
    /// A program has it open for writing.
    #[error(
        "{name:?} is still being written; close it in the program that records, then finalise it"
    )]
    Written {
        /// Its name.
        name: String,
    },
    /// Nothing was written.
    #[error("{name:?} is empty: nothing was written to it; record, or abandon it")]
    Empty {
        /// Its name.
        name: String,
    },
    /// Its file is not there.
    #[error("the file of {name:?} is gone: {} is not there; put it back, or abandon the take", path.display())]
    Gone {
        /// Its name.
        name: String,
        /// The file.
        path: PathBuf,
    },
    /// Its project is not on trusted storage any more.
    #[error(
        "the disk of {name:?} cannot be used now; finalise it when its project is back where it was"
    )]
    Away {
        /// Its name.
        name: String,
    },
    /// It is no media file, or a broken one.
    #[error("{name:?} cannot be read as a sound: {reason}; its bytes are in {}", path.display())]
    NotMedia {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
        /// The file.
        path: PathBuf,
    },
    /// The storage says no.
    #[error("{name:?} cannot be made final: {doing} failed; its bytes are in {}", path.display())]
    Io {
        /// Its name.
        name: String,
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The library says no.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The catalog says no.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// A file that is whole.
pub(super) struct Whole {
    file: File,
    evidence: Evidence,
    pub(super) record: ProbeRecord,
    hash: Option<ObjectHash>,
}

/// A file that is about to get a name in a library or project, and an item.
pub(super) struct Entering<'a> {
    /// The item's name, for people.
    pub(super) name: &'a str,
    /// The name that it is to have on disk, if that is free.
    pub(super) wanted: OsString,
    /// What its copy is called until it has its name, behind what all temporary files are called.
    pub(super) temporary: String,
    /// Notes where the file, of this inode, is or is about to be; `None`: nowhere but where it was first.
    pub(super) before: &'a Note<'a>,
    /// It is at this place.
    pub(super) enter: &'a Enter<'a>,
}

/// Notes where a file is about to be, and its inode.
pub(super) type Note<'a> =
    dyn Fn(&mut Writer, Option<(&Path, u64)>) -> Result<(), CatalogError> + 'a;

/// Enters a file that is at a place; with its hash, where that is known, and whether its first file is still to go.
pub(super) type Enter<'a> =
    dyn Fn(&mut Writer, PlaceNo, Option<ObjectHash>, bool) -> Result<(), CatalogError> + 'a;

/// Where a file is to stay.
pub(super) struct Goal {
    pub(super) base: BaseRow,
    /// The library of copies, which was not known before.
    pub(super) is_new: bool,
    root: LocalRoot,
    folder: LocalFolder,
    /// Below the base.
    path: PathBuf,
}

/// A file as it is to get its name.
struct Moved {
    from: LocalFolder,
    name: OsString,
    inode: u64,
}

/// A file on another file system than its goal: the copy beside the goal gets the name. Locked, so that nobody takes it
/// for one that an import left behind; it goes unless it gets its name.
struct Copied {
    moved: Moved,
    _lock: File,
    named: Cell<bool>,
}

impl Drop for Copied {
    fn drop(&mut self) {
        if !self.named.get()
            && let Err(error) = self.moved.from.remove(&self.moved.name)
        {
            tracing::warn!(%error, "the copy of a take goes at the next start");
        }
    }
}

impl Library {
    /// Makes a take final. Gives what was put right in it, for people. One that is final already stays as it is.
    pub(crate) fn finalise_take(
        &self,
        takes: &Arc<Takes>,
        item: &ItemRow,
        take: &TakeRow,
    ) -> Result<Vec<String>, TakeError> {
        let engine = &*self.engine;
        let name = || item.name.clone();
        let path = takes.path_of(&engine.catalog.reader()?, take)?;
        let path = path.filter(|path| engine.untrusted_file(path).is_none());
        let path = path.ok_or_else(|| TakeError::Away { name: name() })?;
        let failed = |doing| {
            let path = path.clone();
            move |source: io::Error| TakeError::Io {
                name: name(),
                doing,
                path,
                source,
            }
        };
        let seal = match takes.seal(item.row, &path, WRITERS_GO) {
            Ok(Some(seal)) => seal,
            Ok(None) => return Err(TakeError::Written { name: name() }),
            // Another request may have made it final meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return match engine.catalog.reader()?.item(item.row)? {
                    Some(now) if now.is_final() => Ok(Vec::new()),
                    _ => Err(TakeError::Gone { name: name(), path }),
                };
            }
            Err(error) => return Err(failed("opening it")(error)),
        };
        let now = engine.catalog.reader()?.item(item.row)?;
        let now = now.ok_or(CatalogError::Unknown {
            what: "item",
            number: item.row.0,
        })?;
        if now.is_final() {
            return Ok(Vec::new());
        }
        let _busy = engine.busy();
        let (mut whole, notes) = complete(&now, &path, &failed)?;
        let below = take.base.map_or("", |_| MEDIA_FOLDER);
        let goal = goal(engine, take.base, Path::new(below))?;
        if goal.is_new {
            self.scan(&Which::One(goal.base.row));
        }
        let entering = Entering {
            name: &now.name,
            wanted: own_name(&shown_name(&now.name)).into(),
            temporary: takes::copy_name(&now.media_id),
            before: &|writer, target| writer.set_take_target(now.row, target),
            enter: &|writer, place, hash, is_copy| {
                writer.finalise_take(now.row, place, hash, is_copy)
            },
        };
        self.move_there(&entering, &path, &mut whole, &goal, &failed)?;
        drop(seal);
        Ok(notes)
    }

    /// Moves the file at `path` to where it stays, and enters it.
    pub(super) fn move_there<F: FnOnce(io::Error) -> TakeError>(
        &self,
        entering: &Entering<'_>,
        path: &Path,
        whole: &mut Whole,
        goal: &Goal,
        failed: &impl Fn(&'static str) -> F,
    ) -> Result<(), TakeError> {
        let engine = &*self.engine;
        let moving = "moving it";
        let (Some(parent), Some(own)) = (path.parent(), path.file_name()) else {
            return Err(failed(moving)(io::ErrorKind::NotFound.into()));
        };
        let from = engine
            .root_here(parent)
            .and_then(|root| {
                root.folder(Path::new(""))
                    .map_err(|_| io::ErrorKind::NotFound.into())
            })
            .map_err(failed(moving))?;
        let first = Moved {
            from,
            name: own.to_owned(),
            inode: whole.evidence.inode,
        };
        let mut copied: Option<Copied> = None;
        let note = |target: Option<(&Path, u64)>| {
            engine.write(Durability::Full, |writer| (entering.before)(writer, target))
        };
        let names = goal.folder.entries().map_err(failed(moving))?;
        let taken = Taken::of(names.into_iter().map(|(name, _)| name));
        let mut n = 1;
        while n < u32::MAX {
            let name = numbered(&entering.wanted, n);
            if taken.has(&name) || matches!(goal.folder.look(&name), Ok(Some(_))) {
                n += 1;
                continue;
            }
            let moved = copied.as_ref().map_or(&first, |copied| &copied.moved);
            note(Some((&goal.absolute(&name), moved.inode)))?;
            let is_copy = copied.is_some();
            let mut named = false;
            let entered = engine.write(Durability::Full, |writer| {
                let name = Naming {
                    moved,
                    is_copy,
                    name: &name,
                };
                enter(writer, entering, whole, goal, &name, &mut named)
            });
            let refused = match entered {
                Ok(None) => {
                    if let Some(copied) = copied {
                        copied.named.set(true);
                        if first.remove_first(whole) {
                            // Else the next start sees to it.
                            note(None)?;
                        }
                    }
                    return Ok(());
                }
                Ok(Some(refused)) => refused,
                Err(error) => {
                    // Undone, so the file goes back, too.
                    if named && let Err(error) = moved.take_back(goal, &name) {
                        tracing::error!(%error, "a take goes back at the next start");
                        copied.iter().for_each(|copied| copied.named.set(true));
                    }
                    return Err(error.into());
                }
            };
            match refused.kind() {
                io::ErrorKind::AlreadyExists => n += 1,
                io::ErrorKind::CrossesDevices if !is_copy => {
                    let made = copy_there(engine, entering, whole, goal)?;
                    copied = Some(made.map_err(failed("copying it"))?);
                }
                _ => {
                    drop(copied);
                    note(None)?;
                    return Err(failed(moving)(refused));
                }
            }
        }
        Err(failed(moving)(io::ErrorKind::AlreadyExists.into()))
    }
}

/// Puts the header right, brings all to the disk, and reads it.
fn complete<F: FnOnce(io::Error) -> TakeError>(
    item: &ItemRow,
    path: &Path,
    failed: &impl Fn(&'static str) -> F,
) -> Result<(Whole, Vec<String>), TakeError> {
    let file = takes::open_file(path, true).map_err(failed("opening it"))?;
    let length = file.metadata().map_err(failed("looking at it"))?.len();
    if length == 0 {
        return Err(TakeError::Empty {
            name: item.name.clone(),
        });
    }
    let notes = takes::repair::repair(&file).map_err(failed("putting its header right"))?;
    let whole = read_whole(file, &item.name, item.name.as_bytes(), path, failed)?;
    Ok((whole, notes))
}

/// Brings a file to the disk, and reads what it is.
pub(super) fn read_whole<F: FnOnce(io::Error) -> TakeError>(
    mut file: File,
    name: &str,
    own_name: &[u8],
    path: &Path,
    failed: &impl Fn(&'static str) -> F,
) -> Result<Whole, TakeError> {
    mediafs_platform::files::sync(&file).map_err(failed("bringing it to the disk"))?;
    let length = file.metadata().map_err(failed("looking at it"))?.len();
    let mut record = read_facts(&mut file, own_name).map_err(failed("reading it"))?;
    let not_media = |reason: &str| TakeError::NotMedia {
        name: name.to_owned(),
        reason: reason.to_owned(),
        path: path.to_owned(),
    };
    match &record {
        ProbeRecord::Media { .. } => {}
        ProbeRecord::Problem(reason) => return Err(not_media(reason)),
        ProbeRecord::NotMedia => return Err(not_media("it is no media file that mediafs knows")),
    }
    let mut hash = None;
    if length <= HASHED_AT_ONCE {
        file.seek(SeekFrom::Start(0))
            .map_err(failed("reading it"))?;
        hash = hash_of(&mut file, || false).map_err(failed("reading it"))?;
        whole_capsule(&mut record, &mut file);
    }
    let evidence = evidence_of(&file).map_err(failed("looking at it"))?;
    Ok(Whole {
        file,
        evidence,
        record,
        hash,
    })
}

/// The folder `below` of a project, or of the library of copies where there is none; made where it is not there.
pub(super) fn goal(
    engine: &Engine,
    project: Option<BaseNo>,
    below: &Path,
) -> Result<Goal, TakeError> {
    let (base, is_new) = match project {
        Some(base) => {
            let row = engine.catalog.reader()?.base(base)?;
            let unknown = CatalogError::Unknown {
                what: "project",
                number: base.0,
            };
            (row.ok_or(unknown)?, false)
        }
        None => library_of_copies(engine)?,
    };
    let failed = |source| LibraryError::Folder {
        path: base.path.clone(),
        source,
    };
    let root = engine.root_here(&base.path).map_err(failed)?;
    let folder = engine
        .make_folders(&root, &base.path, below)
        .map_err(failed)?;
    Ok(Goal {
        base,
        is_new,
        root,
        folder,
        path: below.components().collect(),
    })
}

impl Goal {
    fn absolute(&self, name: &OsStr) -> PathBuf {
        self.base.path.join(&self.path).join(name)
    }
}

impl Moved {
    /// The file of this name is the one that was read, as it was then.
    fn is_still(&self, read: &Evidence) -> bool {
        let what = |evidence: &Evidence| {
            let Evidence {
                device,
                inode,
                size,
                modified,
                ..
            } = *evidence;
            (device, inode, size, modified)
        };
        let found = self.from.look(&self.name);
        found.is_ok_and(|found| found.is_some_and(|now| what(&now.evidence) == what(read)))
    }

    fn give_name(&self, goal: &Goal, name: &OsStr) -> io::Result<()> {
        self.from.move_file(&self.name, &goal.folder, name)
    }

    fn take_back(&self, goal: &Goal, name: &OsStr) -> io::Result<()> {
        goal.folder.move_file(name, &self.from, &self.name)
    }

    /// Removes the file that was copied; whether it is gone for good. Another one that has its name by now stays.
    fn remove_first(&self, whole: &Whole) -> bool {
        if !self.is_still(&whole.evidence) {
            return false;
        }
        let removed = self.from.remove(&self.name);
        removed
            .and_then(|()| self.from.sync())
            .inspect_err(|error| {
                tracing::warn!(%error, "the first file of a take that was copied is left");
            })
            .is_ok()
    }
}

/// What gets which name.
struct Naming<'a> {
    moved: &'a Moved,
    is_copy: bool,
    name: &'a OsStr,
}

/// A name that is not one of those of our temporary files, which are removed.
pub(super) fn own_name(name: &str) -> String {
    match name.as_bytes().starts_with(TEMPORARY) {
        true => format!("_{name}"),
        false => name.to_owned(),
    }
}

/// Names the file and writes what follows; gives why it did not get the name, if so.
fn enter(
    writer: &mut Writer,
    entering: &Entering<'_>,
    whole: &Whole,
    goal: &Goal,
    naming: &Naming<'_>,
    named: &mut bool,
) -> Result<Option<io::Error>, CatalogError> {
    let Naming {
        moved,
        is_copy,
        name,
    } = *naming;
    let gone = || io::Error::from(io::ErrorKind::NotFound);
    let Some(folder) = Engine::ensure_folder(writer, &goal.root, &goal.base, &goal.path)? else {
        return Ok(Some(gone()));
    };
    // An item that is missing keeps its place.
    let known = writer.reader().child_place(folder, name)?;
    if let Some((row, _)) = known.filter(|(row, _)| row.name == name)
        && !writer.reader().items_of(row.row)?.is_empty()
    {
        return Ok(Some(io::ErrorKind::AlreadyExists.into()));
    }
    if !is_copy && !moved.is_still(&whole.evidence) {
        let why = "another file has taken its place meanwhile";
        return Ok(Some(io::Error::other(why)));
    }
    if let Err(error) = moved.give_name(goal, name) {
        return Ok(Some(error));
    }
    *named = true;
    let look = || -> io::Result<Evidence> {
        goal.folder.sync()?;
        moved.from.sync()?;
        let seen = goal.folder.look(name)?.ok_or_else(gone)?;
        Ok(seen.evidence)
    };
    let evidence = look().map_err(|source| CatalogError::File {
        name: entering.name.to_owned(),
        source,
    })?;
    let seen = Observation {
        kind: PlaceKind::File,
        evidence,
    };
    let place = match writer.observe(folder, name, &seen)? {
        Observed::New(place)
        | Observed::Unchanged(place)
        | Observed::Changed(place)
        | Observed::Returned(place) => place,
    };
    let generation = writer
        .reader()
        .place(place)?
        .map_or(0, |row| row.generation);
    writer.record_content(place, generation, &whole.record)?;
    (entering.enter)(writer, place, whole.hash, is_copy)?;
    Ok(None)
}

/// Copies a file into the folder of its goal, on another file system, and reads the copy again. It is noted as soon as
/// there is something of it.
fn copy_there(
    engine: &Engine,
    entering: &Entering<'_>,
    whole: &mut Whole,
    goal: &Goal,
) -> Result<io::Result<Copied>, CatalogError> {
    let mut name = TEMPORARY.to_vec();
    name.extend_from_slice(entering.temporary.as_bytes());
    let name = names::lossy(name);
    let made = || {
        let _nobody_cleans = engine.temporary.lock();
        // That of a daemon that has died: whoever else makes one of this name holds its lock.
        let _ = goal.folder.remove_abandoned(&name);
        let file = goal.folder.create(&name)?;
        let from = goal.root.folder(&goal.path);
        Ok((file, from.map_err(|_| io::ErrorKind::NotFound)?))
    };
    let (mut copy, from) = match made() {
        Ok(made) => made,
        Err(error) => return Ok(Err(error)),
    };
    let lock = copy.try_clone();
    let inode = evidence_of(&copy).map(|evidence| evidence.inode);
    let (lock, inode) = match (lock, inode) {
        (Ok(lock), Ok(inode)) => (lock, inode),
        (Err(error), _) | (_, Err(error)) => {
            let _ = goal.folder.remove(&name);
            return Ok(Err(error));
        }
    };
    let temporary = goal.absolute(&name);
    let copied = Copied {
        moved: Moved { from, name, inode },
        _lock: lock,
        named: Cell::new(false),
    };
    let note = |target: Option<(&Path, u64)>| {
        engine.write(Durability::Full, |writer| (entering.before)(writer, target))
    };
    note(Some((&temporary, inode)))?;
    if let Err(error) = copy_whole(whole, &mut copy) {
        drop(copied);
        note(None)?;
        return Ok(Err(error));
    }
    Ok(Ok(copied))
}

fn copy_whole(whole: &mut Whole, copy: &mut File) -> io::Result<()> {
    whole.file.seek(SeekFrom::Start(0))?;
    io::copy(&mut whole.file, copy)?;
    finish(copy, &whole.evidence)?;
    let hash = |file: &mut File| {
        file.seek(SeekFrom::Start(0))?;
        hash_of(file, || false)
    };
    let (first, second) = (hash(&mut whole.file)?, hash(copy)?);
    if first.is_none() || first != second {
        return Err(io::Error::other("the copy is not what was copied"));
    }
    whole.hash = first;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::library::LibraryConfig;

    /// 16 bits, one channel, silence.
    fn wav(bytes: u32) -> Vec<u8> {
        let mut file = b"RIFF".to_vec();
        file.extend((36 + bytes).to_le_bytes());
        file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\xbb\0\0\0\x77\x01\0\x02\0\x10\0data");
        file.extend(bytes.to_le_bytes());
        file.resize(file.len() + usize::try_from(bytes).unwrap(), 0);
        file
    }

    #[test]
    fn another_file_does_not_become_the_sound_that_was_read() {
        let home = tempfile::tempdir().unwrap();
        let home = mediafs_platform::files::canonical(home.path()).unwrap();
        let config = LibraryConfig {
            trusted: mediafs_platform::volume::DeclaredTrusted {
                paths: vec![home.clone()],
                devices: Vec::new(),
            },
            ..LibraryConfig::default()
        };
        let library = Library::open(Catalog::open(&home).unwrap(), &home, config);
        let path = home.join("take.wav");
        std::fs::write(&path, wav(100)).unwrap();
        let failed = |doing| {
            let path = path.clone();
            move |source| TakeError::Io {
                name: "Take".to_owned(),
                doing,
                path,
                source,
            }
        };
        let file = File::open(&path).unwrap();
        let mut whole = read_whole(file, "Take", b"take.wav", &path, &failed).unwrap();
        let goal = goal(&library.engine, None, Path::new("")).unwrap();
        let other = home.join("other");
        let entered = Cell::new(false);
        let entering = Entering {
            name: "Take",
            wanted: "Take.wav".into(),
            temporary: "take".to_owned(),
            before: &|_, _| {
                std::fs::write(&other, b"another one").unwrap();
                let replace = mediafs_platform::drive::Replacing::Replace;
                mediafs_platform::files::rename(&other, &path, replace).unwrap();
                Ok(())
            },
            enter: &|_, _, _, _| {
                entered.set(true);
                Ok(())
            },
        };
        let moved = library.move_there(&entering, &path, &mut whole, &goal, &failed);
        let why = moved.unwrap_err();
        assert!(matches!(why, TakeError::Io { .. }), "{why}");
        assert!(!entered.get());
        assert_eq!(std::fs::read(&path).unwrap(), b"another one");
        assert!(!goal.absolute("Take.wav".as_ref()).exists());
    }

    #[test]
    fn names_of_temporary_files_are_changed() {
        assert_eq!(own_name(".mediafs-import-7.wav"), "_.mediafs-import-7.wav");
        assert_eq!(own_name("Lead.wav"), "Lead.wav");
    }
}
