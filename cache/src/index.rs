//! The SQLite index of the cache: how large each object is, when it was last used, whether it is pinned, what partial
//! objects have reserved, and the sums of all that.
//!
//! Nothing in it is known here alone: sizes come from the files, pins from `pins.sqlite`, so it can be made anew by
//! counting (`reconcile.rs`). Only the order of last uses is lost then. Each change of a row changes the ledger too.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, Row, params};
use rusqlite_migration::{M, Migrations};

use crate::database::{Database, Found};
use crate::disk::Disk;
use crate::error::CacheError;
use crate::id::ObjectId;
use crate::ledger::{Account, Ledger, Reservation};
use crate::pins::shard_bounds;
use crate::space::FreeSpace;

/// `totals.counted`: the sums agreed with the disk when the cache was closed.
/// `totals.clock`: the latest of all last uses there ever were.
/// `objects.last_use`: see [`crate::Store::open_object`].
const SCHEMA: &[M<'static>] = &[M::up(
    "CREATE TABLE objects (
        id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 32),
        size INTEGER NOT NULL CHECK (size >= 0),
        last_use INTEGER NOT NULL,
        pinned INTEGER NOT NULL) WITHOUT ROWID, STRICT;
     CREATE INDEX evictable ON objects (last_use, id, size) WHERE pinned = 0;
     CREATE TABLE partials (
        name BLOB NOT NULL PRIMARY KEY CHECK (length(name) = 32),
        size INTEGER NOT NULL CHECK (size >= 0),
        last_use INTEGER NOT NULL) WITHOUT ROWID, STRICT;
     CREATE TABLE totals (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        objects INTEGER NOT NULL, object_bytes INTEGER NOT NULL, pinned_bytes INTEGER NOT NULL,
        partial_bytes INTEGER NOT NULL, damaged_bytes INTEGER NOT NULL,
        clock INTEGER NOT NULL, counted INTEGER NOT NULL) STRICT;
     INSERT INTO totals VALUES (1, 0, 0, 0, 0, 0, 0, 0);
     CREATE TRIGGER object_came AFTER INSERT ON objects BEGIN
        UPDATE totals SET objects = objects + 1, object_bytes = object_bytes + new.size,
            pinned_bytes = pinned_bytes + new.size * new.pinned, clock = max(clock, new.last_use); END;
     CREATE TRIGGER object_went AFTER DELETE ON objects BEGIN
        UPDATE totals SET objects = objects - 1, object_bytes = object_bytes - old.size,
            pinned_bytes = pinned_bytes - old.size * old.pinned; END;
     CREATE TRIGGER object_pinned AFTER UPDATE OF pinned ON objects BEGIN
        UPDATE totals SET pinned_bytes = pinned_bytes + new.size * (new.pinned - old.pinned); END;
     CREATE TRIGGER partial_came AFTER INSERT ON partials BEGIN
        UPDATE totals SET partial_bytes = partial_bytes + new.size, clock = max(clock, new.last_use); END;
     CREATE TRIGGER partial_went AFTER DELETE ON partials BEGIN
        UPDATE totals SET partial_bytes = partial_bytes - old.size; END;",
)];

/// When an object was last used: milliseconds since 1970, but always later than the use before, whatever the clock does.
pub(crate) type LastUse = i64;

/// What the index knows of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its name.
    pub id: ObjectId,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last opened or put: milliseconds since 1970. Uses since the last flush are not in it yet.
    pub last_use: i64,
    /// True if at least one owner pins it.
    pub pinned: bool,
}

/// Sums in bytes, and the number of objects.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) objects: u64,
    pub(crate) object_bytes: u64,
    pub(crate) pinned_bytes: u64,
    pub(crate) partial_bytes: u64,
    pub(crate) damaged_bytes: u64,
    pub(crate) clock: LastUse,
    pub(crate) counted: bool,
}

/// What could be evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) last_use: LastUse,
    pub(crate) id: ObjectId,
    pub(crate) size: u64,
}

/// A row of a partial object: its name, size in bytes, and last use.
pub(crate) type PartialRow = ([u8; 32], u64, LastUse);

pub(crate) struct Index {
    database: Database,
    pub(crate) ledger: Arc<Ledger>,
    /// Held while a row and the ledger change together.
    books: Mutex<()>,
}

impl Index {
    pub(crate) fn open(
        disk: &Disk,
        quota: u64,
        floor: u64,
        space: Arc<dyn FreeSpace>,
    ) -> Result<(Self, Found, Totals), CacheError> {
        let (database, found) = Database::open(
            disk.folder("index.sqlite"),
            disk.folder("damaged"),
            Migrations::from_slice(SCHEMA),
            "SELECT objects, object_bytes, pinned_bytes, partial_bytes, damaged_bytes, clock, counted FROM totals,
                (SELECT count(id) FROM (SELECT id FROM objects LIMIT 1)), (SELECT count(name) FROM (SELECT name FROM partials LIMIT 1))",
            "NORMAL",
        )?;
        let ledger = Arc::new(Ledger::new(
            Account {
                quota,
                floor,
                ..Account::default()
            },
            true,
            space,
        ));
        let this = Self {
            database,
            ledger,
            books: Mutex::new(()),
        };
        let totals = this.totals()?;
        this.ledger.change(|account| {
            account.objects = totals.object_bytes;
            account.dormant = totals.partial_bytes;
            account.damaged = totals.damaged_bytes;
        });
        if totals.counted {
            this.ledger.dispel(this.ledger.doubts());
        }
        // Until the cache is closed in order, the sums on disk are not to be believed. Where that can't be noted (the
        // disk is full) objects can be opened all the same; nothing is reserved until it could.
        if let Err(error) = this.set_counted(false) {
            this.ledger.doubt();
            tracing::warn!(%error, "the index of the cache can't be written");
        }
        Ok((this, found, totals))
    }

    fn run<T>(
        &self,
        action: &'static str,
        work: impl FnMut(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, CacheError> {
        let answer = self.database.run(action, work);
        if self.database.was_replaced() {
            self.ledger.doubt();
        }
        answer
    }

    pub(crate) fn totals(&self) -> Result<Totals, CacheError> {
        self.run("read the totals", |db| {
            let mut query = db.prepare_cached(
                "SELECT objects, object_bytes, pinned_bytes, partial_bytes, damaged_bytes, clock, counted FROM totals")?;
            query.query_row([], |row| {
                Ok(Totals {
                    objects: bytes(row, 0)?,
                    object_bytes: bytes(row, 1)?,
                    pinned_bytes: bytes(row, 2)?,
                    partial_bytes: bytes(row, 3)?,
                    damaged_bytes: bytes(row, 4)?,
                    clock: row.get(5)?,
                    counted: row.get(6)?,
                })
            })
        })
    }

    /// Notes whether the sums agree with the disk. Survives a power cut.
    pub(crate) fn set_counted(&self, counted: bool) -> Result<(), CacheError> {
        self.run("note that the cache is open or closed", |db| {
            db.pragma_update(None, "synchronous", "FULL")?;
            let answer = db.execute("UPDATE totals SET counted = ?1", [counted]);
            db.pragma_update(None, "synchronous", "NORMAL")?;
            answer
        })?;
        Ok(())
    }

    /// Adds an object whose file is in place, and turns its reservation, if it has one, into it.
    /// False if it is in the index already.
    pub(crate) fn add_object(
        &self,
        info: &ObjectInfo,
        reservation: Option<Reservation>,
    ) -> Result<bool, CacheError> {
        let _books = self.books.lock();
        let answer = self.run("add an object", |db| {
            let mut insert =
                db.prepare_cached("INSERT OR IGNORE INTO objects VALUES (?1, ?2, ?3, ?4)")?;
            insert.execute(params![
                info.id.as_bytes(),
                signed(info.size),
                info.last_use,
                info.pinned
            ])
        });
        match (answer, reservation) {
            (Ok(0), reservation) => {
                drop(reservation);
                Ok(false)
            }
            (Ok(_), Some(reservation)) => {
                reservation.into_object(info.size);
                Ok(true)
            }
            (Ok(_), None) => {
                self.ledger
                    .change(|account| account.objects = account.objects.saturating_add(info.size));
                Ok(true)
            }
            (Err(error), reservation) => {
                // The file is there all the same, so it counts; the next count adds its row.
                if let Some(reservation) = reservation {
                    reservation.into_object(info.size);
                }
                self.ledger.doubt();
                Err(error)
            }
        }
    }

    /// Takes an object out. Returns its size, if it was in. The ledger is told by the caller when the file is gone.
    pub(crate) fn remove_object(&self, id: &ObjectId) -> Result<Option<u64>, CacheError> {
        self.run("remove an object", |db| {
            let mut delete =
                db.prepare_cached("DELETE FROM objects WHERE id = ?1 RETURNING size")?;
            delete
                .query_row([id.as_bytes()], |row| bytes(row, 0))
                .optional()
        })
    }

    pub(crate) fn object(&self, id: &ObjectId) -> Result<Option<ObjectInfo>, CacheError> {
        self.run("look for an object", |db| {
            let mut query =
                db.prepare_cached("SELECT id, size, last_use, pinned FROM objects WHERE id = ?1")?;
            query.query_row([id.as_bytes()], object_info).optional()
        })
    }

    /// Up to `limit` objects in the order of their names, after this one.
    pub(crate) fn objects_after(
        &self,
        after: Option<&ObjectId>,
        limit: u32,
    ) -> Result<Vec<ObjectInfo>, CacheError> {
        self.run("list the objects", |db| {
            let mut query = db.prepare_cached(
                "SELECT id, size, last_use, pinned FROM objects WHERE id > ?1 ORDER BY id LIMIT ?2",
            )?;
            let after = after.map_or(&[][..], |id| id.as_bytes());
            query
                .query_map(params![after, limit], object_info)?
                .collect()
        })
    }

    /// All objects whose names begin with this byte.
    pub(crate) fn shard(&self, first: u8) -> Result<BTreeMap<ObjectId, ObjectInfo>, CacheError> {
        let (low, high) = shard_bounds(first);
        self.run("list the objects", |db| {
            let mut query = db.prepare_cached(
                "SELECT id, size, last_use, pinned FROM objects WHERE id BETWEEN ?1 AND ?2",
            )?;
            query
                .query_map([low, high], object_info)?
                .map(|row| row.map(|info| (info.id, info)))
                .collect()
        })
    }

    pub(crate) fn set_pinned(&self, objects: &[(ObjectId, bool)]) -> Result<(), CacheError> {
        self.run("note pins", |db| {
            let transaction = db.transaction()?;
            {
                let mut update = transaction.prepare_cached(
                    "UPDATE objects SET pinned = ?2 WHERE id = ?1 AND pinned <> ?2",
                )?;
                for (id, pinned) in objects {
                    update.execute(params![id.as_bytes(), pinned])?;
                }
            }
            transaction.commit()
        })
    }

    /// Notes when objects were used.
    pub(crate) fn touch(&self, uses: &[(ObjectId, LastUse)]) -> Result<(), CacheError> {
        self.run("note last uses", |db| {
            let transaction = db.transaction()?;
            {
                let mut update = transaction.prepare_cached(
                    "UPDATE objects SET last_use = ?2 WHERE id = ?1 AND last_use < ?2",
                )?;
                let mut clock = LastUse::MIN;
                for (id, last_use) in uses {
                    update.execute(params![id.as_bytes(), last_use])?;
                    clock = clock.max(*last_use);
                }
                transaction.execute("UPDATE totals SET clock = max(clock, ?1)", [clock])?;
            }
            transaction.commit()
        })
    }

    /// Up to `limit` objects that nobody pins, least recently used first, after this one.
    pub(crate) fn evictable_after(
        &self,
        after: Option<Candidate>,
        limit: u32,
    ) -> Result<Vec<Candidate>, CacheError> {
        self.run("look for what to evict", |db| {
            let mut query = db.prepare_cached(
                "SELECT last_use, id, size FROM objects WHERE pinned = 0 AND (last_use, id) > (?1, ?2)
                 ORDER BY last_use, id LIMIT ?3")?;
            let (last_use, id) = after.map_or((LastUse::MIN, Vec::new()), |last| (last.last_use, last.id.as_bytes().to_vec()));
            query
                .query_map(params![last_use, id, limit], |row| {
                    Ok(Candidate { last_use: row.get(0)?, id: ObjectId::from_bytes(row.get(1)?), size: bytes(row, 2)? })
                })?
                .collect()
        })
    }

    pub(crate) fn add_partial(&self, (name, size, last_use): PartialRow) -> Result<(), CacheError> {
        self.run("add a partial object", |db| {
            let transaction = db.transaction()?;
            transaction.execute("DELETE FROM partials WHERE name = ?1", [name])?;
            transaction.execute(
                "INSERT INTO partials VALUES (?1, ?2, ?3)",
                params![name, signed(size), last_use],
            )?;
            transaction.commit()
        })
    }

    pub(crate) fn remove_partial(&self, name: &[u8; 32]) -> Result<(), CacheError> {
        self.run("remove a partial object", |db| {
            db.execute("DELETE FROM partials WHERE name = ?1", [name])
        })?;
        Ok(())
    }

    /// All partial objects, least recently used first. There are as many as hydrations that were begun.
    pub(crate) fn partials(&self) -> Result<Vec<PartialRow>, CacheError> {
        self.run("list the partial objects", |db| {
            let mut query = db.prepare_cached(
                "SELECT name, size, last_use FROM partials ORDER BY last_use, name",
            )?;
            query
                .query_map([], |row| Ok((row.get(0)?, bytes(row, 1)?, row.get(2)?)))?
                .collect()
        })
    }

    /// The size in bytes of a partial object.
    pub(crate) fn partial(&self, name: &[u8; 32]) -> Result<Option<u64>, CacheError> {
        self.run("look for a partial object", |db| {
            let mut query = db.prepare_cached("SELECT size FROM partials WHERE name = ?1")?;
            query.query_row([name], |row| bytes(row, 0)).optional()
        })
    }

    /// Changes the sum of what lies in `damaged/`, in the ledger and on disk.
    pub(crate) fn change_damaged(&self, change: impl FnOnce(u64) -> u64) -> Result<(), CacheError> {
        let _books = self.books.lock();
        let damaged = change(self.ledger.account().damaged);
        self.ledger.change(|account| account.damaged = damaged);
        self.run("note the size of what is set aside", |db| {
            db.execute("UPDATE totals SET damaged_bytes = ?1", [signed(damaged)])
        })?;
        Ok(())
    }

    /// Before a count in doubt: the ledger has what the index has, and the count corrects both.
    pub(crate) fn reset_ledger(&self) -> Result<(), CacheError> {
        let _books = self.books.lock();
        let totals = self.totals()?;
        self.ledger
            .change(|account| account.objects = totals.object_bytes);
        Ok(())
    }
}

fn object_info(row: &Row<'_>) -> rusqlite::Result<ObjectInfo> {
    Ok(ObjectInfo {
        id: ObjectId::from_bytes(row.get(0)?),
        size: bytes(row, 1)?,
        last_use: row.get(2)?,
        pinned: row.get(3)?,
    })
}

fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

/// SQLite has signed integers only. No file system holds a larger file, so nothing is lost.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
