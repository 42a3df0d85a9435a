//! Re-hashing objects, and setting aside those whose bytes are not what their name says.

use std::ops::ControlFlow;
use std::path::PathBuf;

use crate::disk::{self, AtPlace};
use crate::error::{CacheError, IoContext};
use crate::holds::Exclusive;
use crate::id::ObjectId;
use crate::store::{Inner, Store};

/// How many objects are asked of the index at once.
const PAGE: u32 = 256;

/// An object that was damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// The name it had. It is no longer in the cache; the bytes are to be fetched again.
    pub id: ObjectId,
    /// Where what was found lies now. It goes first when the cache needs space.
    pub set_aside: PathBuf,
    /// The name that its bytes really have. `None` if they can't be read, or if it was told by the size alone.
    pub actual: Option<ObjectId>,
}

/// What verifying an object said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Its bytes are what its name says.
    Intact {
        /// Its size in bytes.
        size: u64,
    },
    /// They are not; it was set aside.
    Damaged(Damaged),
    /// It is not in the cache.
    Absent,
}

/// What verifying the whole cache said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// How many objects are intact.
    pub intact: u64,
    /// How many bytes these have.
    pub intact_bytes: u64,
    /// Those that are not, and were set aside.
    pub damaged: Vec<Damaged>,
    /// Those that the index had but the disk did not. They were taken out of the index.
    pub vanished: Vec<ObjectId>,
    /// False if it was stopped before the end.
    pub complete: bool,
}

impl Store {
    /// Reads an object wholly and compares its bytes with its name. A damaged one is set aside: it is gone from the
    /// cache, except for handles that are open on it.
    ///
    /// # Errors
    /// The disk or the database fails.
    pub fn verify(&self, id: &ObjectId) -> Result<Verified, CacheError> {
        let inner = &self.inner;
        let damaged = match inner.open_object(id)? {
            Some(object) => {
                let actual = match disk::hash_file(object.file()) {
                    Ok(actual) => Some(actual),
                    Err(error) if is_unreadable(&error) => None,
                    Err(error) => return Err(error).at("read", &inner.disk.object_path(id)),
                };
                if actual == Some(*id) {
                    return Ok(Verified::Intact {
                        size: object.size(),
                    });
                }
                actual
            }
            None if inner.disk.at_place(id)? == AtPlace::Nothing => return Ok(Verified::Absent),
            // A symlink, folder or pipe in place of an object.
            None => None,
        };
        let exclusive = inner.holds.leaving(id);
        match inner.set_aside_object(id, &exclusive)? {
            Some(set_aside) => Ok(Verified::Damaged(Damaged {
                id: *id,
                set_aside,
                actual: damaged,
            })),
            None => Ok(Verified::Absent),
        }
    }

    /// Verifies all objects. After each, `progress` is told how many were verified so far and may stop it, for example
    /// to let playback have the disk.
    ///
    /// # Errors
    /// The disk or the database fails.
    pub fn verify_all(
        &self,
        mut progress: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<VerifyReport, CacheError> {
        self.inner.reconcile_if_doubted()?;
        let mut report = VerifyReport::default();
        let (mut last, mut done) = (None, 0);
        loop {
            let page = self.inner.index.objects_after(last.as_ref(), PAGE)?;
            let Some(end) = page.last() else { break };
            last = Some(end.id);
            for info in page {
                match self.verify(&info.id)? {
                    Verified::Intact { size } => {
                        report.intact += 1;
                        report.intact_bytes += size;
                    }
                    Verified::Damaged(damaged) => report.damaged.push(damaged),
                    Verified::Absent => {
                        if self.inner.forget_vanished(&info.id)? {
                            report.vanished.push(info.id);
                        }
                    }
                }
                done += 1;
                if progress(done).is_break() {
                    return Ok(report);
                }
            }
        }
        report.complete = true;
        Ok(report)
    }

    /// Removes everything that was set aside. Returns how many bytes that were.
    ///
    /// # Errors
    /// The disk or the database fails.
    pub fn discard_damaged(&self) -> Result<u64, CacheError> {
        let upkeep = self.inner.upkeep.lock();
        self.inner.discard_damaged(&upkeep)
    }
}

impl Inner {
    /// Moves what lies at the place of an object to `damaged/`, and takes the object out of the books. Returns where it
    /// lies now; `None` if nothing was there.
    pub(crate) fn set_aside_object(
        &self,
        id: &ObjectId,
        _exclusive: &Exclusive<'_>,
    ) -> Result<Option<PathBuf>, CacheError> {
        let _upkeep = self.upkeep.lock();
        let place = self.disk.at_place(id)?;
        if place == AtPlace::Nothing {
            return Ok(None);
        }
        let counted = self.index.remove_object(id)?.unwrap_or(0);
        let moved = self
            .disk
            .set_aside(&self.disk.object_path(id), &id.to_string());
        let moved = moved.inspect_err(|_| self.index.ledger.doubt())?;
        self.index
            .ledger
            .change(|account| account.objects = account.objects.saturating_sub(counted));
        if let AtPlace::File(size) = place {
            self.index
                .change_damaged(|damaged| damaged.saturating_add(size))?;
        }
        tracing::warn!(object = %id, set_aside = %moved.display(), "an object of the cache is damaged; it was set aside");
        Ok(Some(moved))
    }

    /// Takes an object out of the books whose file is gone. False if it is there after all, or was not in them.
    pub(crate) fn forget_vanished(&self, id: &ObjectId) -> Result<bool, CacheError> {
        let _exclusive = self.holds.coming(id);
        let _upkeep = self.upkeep.lock();
        if self.disk.at_place(id)? != AtPlace::Nothing {
            return Ok(false);
        }
        let Some(size) = self.index.remove_object(id)? else {
            return Ok(false);
        };
        self.index
            .ledger
            .change(|account| account.objects = account.objects.saturating_sub(size));
        Ok(true)
    }
}

/// True if the medium can't give the bytes any more: then the object is as good as damaged.
fn is_unreadable(error: &std::io::Error) -> bool {
    crate::os::is_medium_failing(error)
}
