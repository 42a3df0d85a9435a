//! How whole objects come into the cache: written by us, or adopted from a file of somebody else.
//!
//! All ways end in [`Inner::install`]: a file that only this process ever owned, synced, is renamed to its name.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use crate::disk::{self, AtPlace};
use crate::error::{CacheError, IoContext};
use crate::handles::{Hold, OpenObject, Temp};
use crate::id::ObjectId;
use crate::index::ObjectInfo;
use crate::ledger::Reservation;
use crate::store::{Inner, Store};

/// How much of a reader is taken at once, in bytes.
const CHUNK: usize = 1 << 18;

impl Store {
    /// Reads an object to its end and stores it. `size` in bytes, if known, is reserved at once; otherwise space is
    /// reserved as it comes. If `expected` is given, other bytes are thrown away.
    ///
    /// When this returns the object survives a power cut.
    ///
    /// # Errors
    /// [`CacheError::is_full`], [`CacheError::WrongBytes`], the reader or the disk fails. Nothing is left then.
    pub fn put(
        &self,
        mut reader: impl Read,
        size: Option<u64>,
        expected: Option<&ObjectId>,
    ) -> Result<OpenObject, CacheError> {
        let mut staged = self.stage(size)?;
        let mut buffer = vec![0; CHUNK];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return staged.commit(expected),
                Ok(count) => staged.append(buffer.get(..count).unwrap_or_default())?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).at("read the source of", &staged.temp.path),
            }
        }
    }

    /// A file in which an object can be written bit by bit. `size` in bytes, if known, is reserved at once.
    ///
    /// # Errors
    /// [`CacheError::is_full`], or the disk fails.
    pub fn stage(&self, size: Option<u64>) -> Result<Staged, CacheError> {
        let reservation = self.inner.reserve(size.unwrap_or(0))?;
        let temp = self.inner.new_temp()?;
        Ok(Staged {
            temp,
            reservation,
            hasher: blake3::Hasher::new(),
            size: 0,
        })
    }

    /// Stores the bytes of an open file that others may own and write. Where the file system can, both share the bytes
    /// on the disk until one of them changes (a reflink); otherwise they are copied. It is never a hard link. What is
    /// stored is what was copied, hashed afterwards, so a writer at work can spoil the copy but not its name.
    ///
    /// # Errors
    /// [`CacheError::is_full`], [`CacheError::WrongBytes`] if it is not what was expected, or the disk fails. Nothing is
    /// left then.
    pub fn adopt(
        &self,
        source: &File,
        expected: Option<&ObjectId>,
    ) -> Result<OpenObject, CacheError> {
        let temp = self.inner.new_temp()?;
        let meta = source.metadata().at("look at the source of", &temp.path)?;
        if !meta.is_file() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput))
                .at("adopt a source that is no regular file as", &temp.path);
        }
        let mut reservation = self.inner.reserve(meta.len())?;
        if disk::reflink(source, &temp.file).is_err() {
            let mut staged = Staged {
                temp,
                reservation,
                hasher: blake3::Hasher::new(),
                size: 0,
            };
            staged.append_file(source)?;
            return staged.commit(expected);
        }
        let size = temp.file.metadata().at("look at", &temp.path)?.len();
        if size > reservation.bytes() {
            // It grew between our look and the link.
            reservation.absorb(self.inner.reserve(size - reservation.bytes())?);
        }
        reservation.wrote(size);
        let id = disk::hash_file(&temp.file).at("read", &temp.path)?;
        self.inner.commit(temp, id, size, reservation, expected)
    }
}

/// An object that is being written. Only this process ever owned its file, so it becomes the object by a rename.
/// Dropped before [`Self::commit`], it leaves nothing.
pub struct Staged {
    temp: Temp,
    reservation: Reservation,
    hasher: blake3::Hasher,
    size: u64,
}

impl Staged {
    /// Appends bytes. Space for them is reserved first.
    ///
    /// # Errors
    /// [`CacheError::is_full`], or the disk fails. The bytes are not in it then; it can be tried again.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), CacheError> {
        let length = bytes.len() as u64;
        let missing = length.saturating_sub(self.reservation.rest());
        if missing > 0 {
            self.reservation.absorb(self.inner().reserve(missing)?);
        }
        if let Err(error) = disk::write_all_at(&self.temp.file, bytes, self.size) {
            // What came to the disk of a piece that failed must not stay behind the end.
            self.temp
                .file
                .set_len(self.size)
                .at("shorten", &self.temp.path)?;
            return Err(error).at("write", &self.temp.path);
        }
        self.reservation.wrote(length);
        self.hasher.update(bytes);
        self.size += length;
        Ok(())
    }

    fn append_file(&mut self, source: &File) -> Result<(), CacheError> {
        let mut buffer = vec![0; CHUNK];
        loop {
            match disk::read_at(source, &mut buffer, self.size) {
                Ok(0) => return Ok(()),
                Ok(count) => self.append(buffer.get(..count).unwrap_or_default())?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).at("read the source of", &self.temp.path),
            }
        }
    }

    /// How many bytes were appended.
    pub fn size(&self) -> u64 {
        self.size
    }

    fn inner(&self) -> &Arc<Inner> {
        self.temp.owner()
    }

    /// Makes it an object, which survives a power cut when this returns. If it is in the cache already, that one is
    /// opened and nothing is stored twice.
    ///
    /// # Errors
    /// [`CacheError::WrongBytes`] if it is not what was expected, or the disk fails. Nothing is left then.
    pub fn commit(self, expected: Option<&ObjectId>) -> Result<OpenObject, CacheError> {
        let Self {
            temp,
            reservation,
            hasher,
            size,
        } = self;
        let inner = Arc::clone(temp.owner());
        inner.commit(temp, hasher.finalize().into(), size, reservation, expected)
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes)?;
        Ok(bytes.len())
    }

    /// Does nothing: what counts is [`Staged::commit`].
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for Staged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Staged")
            .field("path", &self.temp.path)
            .field("size", &self.size)
            .finish()
    }
}

impl Inner {
    fn commit(
        self: &Arc<Self>,
        temp: Temp,
        id: ObjectId,
        size: u64,
        reservation: Reservation,
        expected: Option<&ObjectId>,
    ) -> Result<OpenObject, CacheError> {
        if let Some(expected) = expected.filter(|expected| **expected != id) {
            return Err(CacheError::WrongBytes {
                expected: *expected,
                actual: id,
            });
        }
        let hold = self.install(&temp.file, &temp.path, &id, size, &mut Some(reservation))?;
        // Removes the file if another had put the same object before.
        drop(temp);
        self.open_held(hold)
    }

    pub(crate) fn open_held(self: &Arc<Self>, hold: Hold) -> Result<OpenObject, CacheError> {
        let id = hold.id;
        match self.open_object(&id)? {
            Some(object) => Ok(object),
            // Only verify removes what is held, or somebody outside.
            None => Err(io::Error::from(io::ErrorKind::NotFound))
                .at("open", &self.disk.object_path(&id)),
        }
    }

    /// Makes the file at `path`, which this process alone owns and whose hash is known, the object `id`. The reservation
    /// becomes the object; it stays with the caller if it fails, or if the object was there already: then `path` stays too.
    pub(crate) fn install(
        self: &Arc<Self>,
        file: &File,
        path: &Path,
        id: &ObjectId,
        size: u64,
        reservation: &mut Option<Reservation>,
    ) -> Result<Hold, CacheError> {
        let exclusive = self.holds.coming(id);
        let info = || -> Result<ObjectInfo, CacheError> {
            Ok(ObjectInfo {
                id: *id,
                size,
                last_use: self.tick(),
                pinned: self.pins.is_pinned(id)?,
            })
        };
        let place = self.disk.at_place(id)?;
        if place == AtPlace::File(size) {
            // There already; in the index too, unless that was lost.
            self.index.add_object(&info()?, None)?;
        } else {
            let shard = self.disk.prepare_shard(id)?;
            if place != AtPlace::Nothing {
                self.set_aside_object(id, &exclusive)?;
            } else if let Some(vanished) = self.index.remove_object(id)? {
                self.index
                    .ledger
                    .change(|account| account.objects = account.objects.saturating_sub(vanished));
            }
            let target = self.disk.object_path(id);
            let info = info()?;
            disk::make_read_only(file).at("protect", path)?;
            file.sync_all().at("sync", path)?;
            fs::rename(path, &target).at("rename into place", &target)?;
            if let Err(error) = disk::sync_folder(&shard) {
                // Nobody was told of it yet.
                disk::remove_file(&target)?;
                return Err(error);
            }
            if let Err(error) = self.index.add_object(&info, reservation.take()) {
                // It is safe and it is counted; the next reconcile adds its row.
                tracing::warn!(object = %id, %error, "an object is stored but not yet in the index");
            }
        }
        exclusive.enter();
        Ok(Hold {
            inner: Arc::clone(self),
            id: *id,
        })
    }
}
