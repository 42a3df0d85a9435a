//! What is handed out of the store: open objects, the holds that keep objects from eviction, and temporary files.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::disk;
use crate::error::{CacheError, IoContext};
use crate::id::ObjectId;
use crate::os;
use crate::store::Inner;

/// How the names of our temporary files begin; nothing else in `temp/` is touched.
pub(crate) const TEMP_PREFIX: &str = "t-";

impl Inner {
    pub(crate) fn open_object(
        self: &Arc<Self>,
        id: &ObjectId,
    ) -> Result<Option<OpenObject>, CacheError> {
        if !self.holds.enter(id) {
            return Ok(None);
        }
        match self.disk.open_object(id) {
            Ok(Some((file, size))) => {
                self.used(id);
                Ok(Some(OpenObject {
                    file,
                    size,
                    hold: Hold {
                        inner: Arc::clone(self),
                        id: *id,
                    },
                }))
            }
            absent_or_failed => {
                self.holds.leave(id);
                absent_or_failed.map(|_| None)
            }
        }
    }

    /// Removes a file, if it is there, that somebody may have open here: its name is free at once.
    pub(crate) fn remove_open_file(&self, path: &Path) -> Result<(), CacheError> {
        if os::NAMES_OUTLIVE_REMOVAL {
            let aside = self.temp_path();
            // Known as ours as long as the store is open, as nobody here learns when it is closed and gone.
            self.temps.lock().insert(aside.clone());
            if fs::rename(path, &aside).is_ok() {
                return disk::remove_file(&aside);
            }
            self.temps.lock().remove(&aside);
        }
        disk::remove_file(path)
    }

    fn temp_path(&self) -> PathBuf {
        let number = self.next_temp.fetch_add(1, Ordering::Relaxed);
        self.disk
            .folder("temp")
            .join(format!("{TEMP_PREFIX}{number}"))
    }

    /// A new file in `temp/` that is removed when it is dropped, unless it was renamed.
    pub(crate) fn new_temp(self: &Arc<Self>) -> Result<Temp, CacheError> {
        loop {
            let path = self.temp_path();
            self.temps.lock().insert(path.clone());
            match disk::create_file(&path) {
                Ok(file) => {
                    return Ok(Temp {
                        inner: Arc::clone(self),
                        path,
                        file,
                    });
                }
                Err(error) => {
                    self.temps.lock().remove(&path);
                    // A crash left it; another number will do.
                    if error.kind() != io::ErrorKind::AlreadyExists {
                        return Err(error).at("create", &path);
                    }
                }
            }
        }
    }
}

/// A file in `temp/` of this process. Nobody else knows of it.
pub(crate) struct Temp {
    inner: Arc<Inner>,
    pub(crate) path: PathBuf,
    pub(crate) file: File,
}

impl Temp {
    pub(crate) fn owner(&self) -> &Arc<Inner> {
        &self.inner
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if let Err(error) = disk::remove_file(&self.path) {
            tracing::warn!(%error, "a temporary file is left until the cache is reconciled");
        }
        self.inner.temps.lock().remove(&self.path);
    }
}

/// Keeps an object from being evicted, and notes its use when it ends.
pub(crate) struct Hold {
    pub(crate) inner: Arc<Inner>,
    pub(crate) id: ObjectId,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.inner.used(&self.id);
        self.inner.holds.leave(&self.id);
    }
}

/// An open object: its bytes never change, and it is not evicted while this lives.
pub struct OpenObject {
    file: File,
    size: u64,
    hold: Hold,
}

impl OpenObject {
    /// Its name.
    pub fn id(&self) -> ObjectId {
        self.hold.id
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The file, open for reading: for passthrough or a mapping. A duplicate of it does not keep the object.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Reads at `offset` (bytes); 0 at the end. Many threads may do so at once.
    ///
    /// # Errors
    /// The disk fails.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, CacheError> {
        disk::read_at(&self.file, buffer, offset)
            .at("read", &self.hold.inner.disk.object_path(&self.hold.id))
    }
}

impl std::fmt::Debug for OpenObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenObject")
            .field("id", &self.id())
            .field("size", &self.size)
            .finish()
    }
}
