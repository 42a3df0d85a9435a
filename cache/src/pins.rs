//! What must stay in the cache, and for whom.
//!
//! Pins are the user's intent and can not be made again from the objects, so they have a database of their own that
//! is written rarely and synced at each commit. The index mirrors them to find what may go, but what it finds is
//! checked here.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, params};
use rusqlite_migration::{M, Migrations};

use crate::database::{Database, Found};
use crate::disk::Disk;
use crate::error::CacheError;
use crate::id::ObjectId;

const SCHEMA: &[M<'static>] = &[M::up(
    "CREATE TABLE pins (owner TEXT NOT NULL, object BLOB NOT NULL CHECK (length(object) = 32),
        PRIMARY KEY (owner, object)) WITHOUT ROWID, STRICT;
     CREATE INDEX pins_of_object ON pins (object);
     CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), lost INTEGER NOT NULL) STRICT;
     INSERT INTO state VALUES (1, 0);",
)];

/// Who wants objects to stay, for example `project:3f…` or `user`. An object stays while at least one owner pins it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PinOwner(String);

impl PinOwner {
    /// The longest name, in bytes.
    pub const LIMIT: usize = 512;

    /// An owner of this name.
    ///
    /// # Errors
    /// [`CacheError::BadName`] if it is empty or longer than [`Self::LIMIT`] bytes.
    pub fn new(name: impl Into<String>) -> Result<Self, CacheError> {
        let name = name.into();
        if name.is_empty() || name.len() > Self::LIMIT {
            return Err(CacheError::BadName {
                what: "pin owner",
                limit: Self::LIMIT,
                length: name.len(),
            });
        }
        Ok(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

pub(crate) struct Pins {
    database: Database,
}

impl Pins {
    pub(crate) fn open(disk: &Disk) -> Result<(Self, Found), CacheError> {
        let (database, found) = Database::open(
            disk.folder("pins.sqlite"),
            disk.folder("damaged"),
            Migrations::from_slice(SCHEMA),
            "SELECT lost FROM state WHERE one = 1 AND 0 = (SELECT count(*) FROM pins WHERE object = x'')",
            "FULL",
        )?;
        Ok((Self { database }, found))
    }

    fn run<T>(
        &self,
        action: &'static str,
        work: impl FnMut(&mut rusqlite::Connection) -> rusqlite::Result<T>,
    ) -> Result<T, CacheError> {
        let answer = self.database.run(action, work);
        if self.database.was_replaced() {
            self.set_lost(true)?;
        }
        answer
    }

    /// True if the list was lost and nobody has said since that it is restored.
    pub(crate) fn are_lost(&self) -> Result<bool, CacheError> {
        let read = |db: &mut rusqlite::Connection| {
            db.query_row("SELECT lost FROM state", [], |row| row.get(0))
        };
        // Asked twice where the first answer came from a database that was just made anew.
        let lost: bool = self.run("read the state of the pins", read)?;
        if lost {
            Ok(true)
        } else {
            self.run("read the state of the pins", read)
        }
    }

    pub(crate) fn set_lost(&self, lost: bool) -> Result<(), CacheError> {
        self.database.run("note the state of the pins", |db| {
            db.execute("UPDATE state SET lost = ?1", [lost])
        })?;
        Ok(())
    }

    pub(crate) fn add(&self, owner: &PinOwner, objects: &[ObjectId]) -> Result<(), CacheError> {
        self.run("pin objects", |db| {
            let transaction = db.transaction()?;
            {
                let mut insert =
                    transaction.prepare_cached("INSERT OR IGNORE INTO pins VALUES (?1, ?2)")?;
                for object in objects {
                    insert.execute(params![owner.0, object.as_bytes()])?;
                }
            }
            transaction.commit()
        })
    }

    pub(crate) fn remove(&self, owner: &PinOwner, objects: &[ObjectId]) -> Result<(), CacheError> {
        self.run("unpin objects", |db| {
            let transaction = db.transaction()?;
            {
                let mut delete = transaction
                    .prepare_cached("DELETE FROM pins WHERE owner = ?1 AND object = ?2")?;
                for object in objects {
                    delete.execute(params![owner.0, object.as_bytes()])?;
                }
            }
            transaction.commit()
        })
    }

    pub(crate) fn is_pinned(&self, object: &ObjectId) -> Result<bool, CacheError> {
        self.run("look for a pin", |db| {
            let mut query = db.prepare_cached("SELECT 1 FROM pins WHERE object = ?1 LIMIT 1")?;
            query
                .query_row([object.as_bytes()], |_| Ok(()))
                .optional()
                .map(|row| row.is_some())
        })
    }

    pub(crate) fn owners_of(&self, object: &ObjectId) -> Result<Vec<PinOwner>, CacheError> {
        self.run("list the owners of a pin", |db| {
            let mut query =
                db.prepare_cached("SELECT owner FROM pins WHERE object = ?1 ORDER BY owner")?;
            query
                .query_map([object.as_bytes()], |row| row.get(0).map(PinOwner))?
                .collect()
        })
    }

    pub(crate) fn of_owner(&self, owner: &PinOwner) -> Result<Vec<ObjectId>, CacheError> {
        self.run("list the pins of an owner", |db| {
            let mut query =
                db.prepare_cached("SELECT object FROM pins WHERE owner = ?1 ORDER BY object")?;
            query
                .query_map([&owner.0], |row| row.get(0).map(ObjectId::from_bytes))?
                .collect()
        })
    }

    pub(crate) fn owners(&self) -> Result<Vec<PinOwner>, CacheError> {
        self.run("list the owners of pins", |db| {
            let mut query = db.prepare_cached("SELECT DISTINCT owner FROM pins ORDER BY owner")?;
            query
                .query_map([], |row| row.get(0).map(PinOwner))?
                .collect()
        })
    }

    /// All pinned objects whose names begin with this byte.
    pub(crate) fn in_shard(&self, first: u8) -> Result<BTreeSet<ObjectId>, CacheError> {
        let (low, high) = shard_bounds(first);
        self.run("list pins", |db| {
            let mut query = db.prepare_cached(
                "SELECT DISTINCT object FROM pins WHERE object BETWEEN ?1 AND ?2",
            )?;
            query
                .query_map([low, high], |row| row.get(0).map(ObjectId::from_bytes))?
                .collect()
        })
    }
}

/// The lowest and the highest name that begin with this byte.
pub(crate) fn shard_bounds(first: u8) -> ([u8; 32], [u8; 32]) {
    let (mut low, mut high) = ([0; 32], [0xff; 32]);
    low[0] = first;
    high[0] = first;
    (low, high)
}
