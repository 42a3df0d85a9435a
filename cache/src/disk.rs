//! The folder of a cache: where everything lies, and the few operations on files that must be done just so
//! (beneath the root, never through a symlink, synced before they count).
//!
//! ```text
//! CACHEDIR.TAG     says that this is a cache of ours; backup programs skip it
//! lock             held by the process that has the cache open
//! index.sqlite     sizes, last uses, the ledger: can be made again from the files
//! pins.sqlite      what must stay: the user's intent, can not be made again
//! objects/ab/abcd… one file for each object, in 256 folders by the first two digits of its name
//! partial/KEY.data what has arrived of an object, KEY.map which ranges that are
//! temp/            files that are being written; worthless after a crash
//! damaged/         what was set aside
//! ```

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::error::{CacheError, IoContext};
use crate::id::{ObjectId, hex};
use crate::os::{self, Beneath};
pub(crate) use crate::os::{make_read_only, read_at, reflink};

/// First line as the Cache Directory Tagging Specification (bford.info/cachedir) has it.
const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # This folder is a cache of mediafs. Everything in it can be fetched again.\n\
    # mediafs-cache 1\n";
const TAG_MARK: &str = "# mediafs-cache ";
const TAG_NAME: &str = "CACHEDIR.TAG";
const TAG_NEW: &str = "CACHEDIR.TAG.new";
const LOCK_NAME: &str = "lock";
const FOLDERS: [&str; 4] = ["objects", "partial", "temp", "damaged"];

/// What lies at the place of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtPlace {
    Nothing,
    /// A regular file of this size in bytes.
    File(u64),
    /// A folder, symlink, pipe …: nothing that we wrote.
    Stranger,
}

/// The folder of a cache, locked for this process.
pub(crate) struct Disk {
    root: PathBuf,
    /// The folder itself, so that objects are opened beneath it without walking a path.
    beneath: Beneath,
    /// Held until the cache is closed; the system releases it when the process ends, however it ends.
    _lock: File,
}

impl Disk {
    /// Opens or makes the folder and locks it. The second value is true if it was made, or had never been
    /// finished. Its cost does not depend on what is in it.
    pub(crate) fn open(root: &Path) -> Result<(Self, bool), CacheError> {
        // Here, and only here, a symlink to a folder is as good as a folder: it is how people move a cache.
        if !root.is_dir() {
            create_private_folder(root).at("create the cache folder", root)?;
        }
        let root = fs::canonicalize(root).at("find the cache folder", root)?;
        if !is_tagged(&root)? && !is_blank(&root)? {
            return Err(CacheError::NotACache { path: root });
        }
        let lock = lock(&root)?;
        // Asked again under the lock: another process may have made the cache meanwhile.
        let created = !is_tagged(&root)?;
        for folder in FOLDERS {
            let path = root.join(folder);
            create_private_folder(&path).at("create the folder", &path)?;
        }
        let beneath = Beneath::new(&root).at("open the cache folder", &root)?;
        Ok((
            Self {
                root,
                beneath,
                _lock: lock,
            },
            created,
        ))
    }

    /// Says that the cache is wholly made. Until then the folder counts as new.
    pub(crate) fn finish_creation(&self) -> Result<(), CacheError> {
        let new = self.root.join(TAG_NEW);
        let mut file = File::create(&new).at("create", &new)?;
        file.write_all(TAG.as_bytes()).at("write", &new)?;
        file.sync_all().at("sync", &new)?;
        let tag = self.root.join(TAG_NAME);
        fs::rename(&new, &tag).at("rename into place", &tag)?;
        sync_folder(&self.root)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The folder of the objects whose names begin with this byte.
    pub(crate) fn shard(&self, first: u8) -> PathBuf {
        self.root.join("objects").join(format!("{first:02x}"))
    }

    pub(crate) fn object_path(&self, id: &ObjectId) -> PathBuf {
        self.shard(id.as_bytes()[0]).join(id.to_string())
    }

    pub(crate) fn partial_data(&self, name: &[u8; 32]) -> PathBuf {
        self.root
            .join("partial")
            .join(format!("{}.data", hex(name)))
    }

    pub(crate) fn partial_map(&self, name: &[u8; 32]) -> PathBuf {
        self.root.join("partial").join(format!("{}.map", hex(name)))
    }

    /// Looks, without opening or following anything: behind a symlink in place of the object's folder there is nothing.
    pub(crate) fn at_place(&self, id: &ObjectId) -> Result<AtPlace, CacheError> {
        let shard = self.shard(id.as_bytes()[0]);
        match fs::symlink_metadata(&shard) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => return Ok(AtPlace::Nothing),
            Err(error) if is_absence(&error) => return Ok(AtPlace::Nothing),
            Err(error) => return Err(error).at("look at", &shard),
        }
        let path = self.object_path(id);
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_file() => Ok(AtPlace::File(meta.len())),
            Ok(_) => Ok(AtPlace::Stranger),
            Err(error) if is_absence(&error) => Ok(AtPlace::Nothing),
            Err(error) => Err(error).at("look at", &path),
        }
    }

    /// Opens an object for reading; `None` if there is no regular file at its place. Never waits for a pipe,
    /// never follows a symlink, not even one in place of a folder.
    pub(crate) fn open_object(&self, id: &ObjectId) -> Result<Option<(File, u64)>, CacheError> {
        let path = self.object_path(id);
        let relative = path.strip_prefix(&self.root);
        let opened = relative
            .map_err(io::Error::other)
            .and_then(|relative| self.beneath.open(relative));
        let file = match opened {
            Ok(file) => file,
            Err(error) if is_absence(&error) => return Ok(None),
            Err(error) => return Err(error).at("open", &path),
        };
        let meta = file.metadata().at("look at", &path)?;
        Ok(meta.is_file().then_some((file, meta.len())))
    }

    /// Makes the folder in which the object will lie, if it is not there. Refuses a symlink in its place.
    pub(crate) fn prepare_shard(&self, id: &ObjectId) -> Result<PathBuf, CacheError> {
        let shard = self.shard(id.as_bytes()[0]);
        match create_private_folder(&shard) {
            Ok(true) => sync_folder(&self.root.join("objects"))?,
            Ok(false) => {}
            Err(error) => return Err(error).at("create the folder", &shard),
        }
        Ok(shard)
    }

    /// Moves something into `damaged/` under a name that is free. Returns where it lies now.
    pub(crate) fn set_aside(&self, path: &Path, label: &str) -> Result<PathBuf, CacheError> {
        let target = free_name(&self.folder("damaged"), label)?;
        fs::rename(path, &target).at("set aside", path)?;
        sync_folder(&self.folder("damaged"))?;
        Ok(target)
    }
}

/// A name in `folder` that is not taken: `label`, or `label.1`, `label.2` …
pub(crate) fn free_name(folder: &Path, label: &str) -> Result<PathBuf, CacheError> {
    let mut target = folder.join(label);
    for number in 1u64.. {
        match fs::symlink_metadata(&target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error).at("look at", &target),
            Ok(_) => target = folder.join(format!("{label}.{number}")),
        }
    }
    Ok(target)
}

/// True if this error says that there is no such file: nothing at the place, or on the way to it nothing or no folder,
/// or a symlink where none belongs.
fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    ) || os::is_link_in_the_way(error)
}

fn is_tagged(root: &Path) -> Result<bool, CacheError> {
    let path = root.join(TAG_NAME);
    let mut text = Vec::new();
    match File::open(&path) {
        Ok(file) => file.take(4096).read_to_end(&mut text).at("read", &path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error).at("open", &path),
    };
    let text = String::from_utf8_lossy(&text);
    Ok(text.starts_with("Signature: 8a477f597d28d172789f06886806bc55") && text.contains(TAG_MARK))
}

/// True if the folder holds nothing but what an unfinished creation of a cache leaves.
fn is_blank(root: &Path) -> Result<bool, CacheError> {
    for entry in fs::read_dir(root).at("list", root)? {
        let entry = entry.at("list", root)?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return Ok(false);
        };
        let harmless = if FOLDERS.contains(&name) {
            let path = entry.path();
            fs::read_dir(&path).at("list", &path)?.next().is_none()
        } else {
            let database = name.starts_with("index.sqlite") || name.starts_with("pins.sqlite");
            database || [LOCK_NAME, TAG_NEW, "lost+found"].contains(&name)
        };
        if !harmless {
            return Ok(false);
        }
    }
    Ok(true)
}

fn lock(root: &Path) -> Result<File, CacheError> {
    let path = root.join(LOCK_NAME);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(&path).at("open", &path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            let mut text = String::new();
            // Only to say who it is; on systems where a locked file can't be read nobody is named.
            let holder = file
                .take(16)
                .read_to_string(&mut text)
                .ok()
                .and_then(|_| text.trim().parse().ok());
            return Err(CacheError::Locked {
                path: root.to_owned(),
                holder,
            });
        }
        Err(fs::TryLockError::Error(error)) => return Err(error).at("lock", &path),
    }
    // Only to say who it is: on a full disk the cache opens all the same.
    let _ = file
        .set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

/// Makes a folder that only its owner can enter, and what is above it. True if it was not there.
/// An error if something else is there, be it a symlink to a folder.
fn create_private_folder(path: &Path) -> io::Result<bool> {
    let mut builder = fs::DirBuilder::new();
    os::make_private_folder(&mut builder);
    match builder.create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if fs::symlink_metadata(path)?.is_dir() {
                Ok(false)
            } else {
                Err(io::ErrorKind::NotADirectory.into())
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            builder.recursive(true).create(path)?;
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

/// Makes names in the folder (new, renamed, removed) survive a power cut.
pub(crate) fn sync_folder(path: &Path) -> Result<(), CacheError> {
    os::sync_folder(path).at("sync the folder", path)
}

/// A new empty file for reading and writing that only its owner may touch.
pub(crate) fn create_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    os::make_private(&mut options);
    options.open(path)
}

/// Opens a regular file that we wrote before. `None` if it is not there or is something else.
pub(crate) fn open_own_file(path: &Path, write: bool) -> Result<Option<File>, CacheError> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => {}
        Ok(_) => return Ok(None),
        Err(error) if is_absence(&error) => return Ok(None),
        Err(error) => return Err(error).at("look at", path),
    }
    OpenOptions::new()
        .read(true)
        .write(write)
        .open(path)
        .at("open", path)
        .map(Some)
}

/// Removes a file if it is there.
pub(crate) fn remove_file(path: &Path) -> Result<(), CacheError> {
    match os::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).at("remove", path),
        _ => Ok(()),
    }
}

/// Writes all of `bytes` at `offset` (bytes) without moving a cursor that others share.
pub(crate) fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match os::write_at(file, bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = bytes.get(count..).unwrap_or_default();
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The name that the bytes of an open file have.
pub(crate) fn hash_file(file: &File) -> io::Result<ObjectId> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 18];
    let mut offset = 0;
    loop {
        match read_at(file, &mut buffer, offset) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(count) => {
                hasher.update(buffer.get(..count).unwrap_or_default());
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The object that a file of this name in the folder of `shard` would be.
pub(crate) fn object_of_name(shard: u8, name: &OsStr) -> Option<ObjectId> {
    let id: ObjectId = name.to_str()?.parse().ok()?;
    (id.as_bytes()[0] == shard).then_some(id)
}
