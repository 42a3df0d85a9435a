//! `capsules.db`: the non-payload bytes of media files, compressed, by place.
//!
//! Written just before the probe or hash that made them is committed to the catalog; read when a placeholder is
//! opened. A capsule says of which content it is (the place's generation, size and modification time), and is believed
//! only where all three agree; so the two files need not be committed together. Losing this file loses nothing
//! else: it is made anew, with a note, and the facts in the catalog still give placeholders.

use std::io::Read;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, OptionalExtension};

use super::convert::stored;
use super::rows::{Nanoseconds, PlaceNo, PlaceRow};
use crate::silence::Capsule;

/// Version of the table below.
const VERSION: i32 = 1;
/// Page cache of each of the two connections, in KiB.
const CACHE_KIB: i64 = 512;
/// Level of compression: capsules are small, and written in bulk at scans.
const LEVEL: i32 = 3;

const TABLE: &str = "
CREATE TABLE IF NOT EXISTS capsule (
    place INTEGER PRIMARY KEY,
    generation INTEGER NOT NULL,
    size INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
";

/// Which content of a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Content {
    pub(super) place: PlaceNo,
    pub(super) generation: u32,
    pub(super) size: u64,
    pub(super) modified: Nanoseconds,
}

impl Content {
    /// The present content of a place.
    pub(super) fn of(place: &PlaceRow) -> Self {
        Self {
            place: place.row,
            generation: place.generation,
            size: place.evidence.size,
            modified: place.evidence.modified,
        }
    }
}

/// What is to become of the capsule of a place.
pub(super) enum CapsuleChange {
    /// This one instead of any other.
    Put(Content, Capsule),
    /// None.
    Drop(PlaceNo),
}

/// The file.
pub(super) struct Capsules {
    path: PathBuf,
    /// `None`: it can't be used at present.
    reading: Mutex<Option<Connection>>,
    writing: Mutex<Option<Connection>>,
    notes: Mutex<Vec<String>>,
    /// Counts replacements, so that one damage that two threads meet replaces the file once.
    replaced: Mutex<u64>,
}

impl Capsules {
    /// Opens or makes the file; one that can't be used is set aside as `capsules.db.damaged`. Never fails: without
    /// a file there are no capsules, which is noted.
    pub(super) fn open(path: PathBuf) -> Self {
        let capsules = Self {
            path,
            reading: Mutex::new(None),
            writing: Mutex::new(None),
            notes: Mutex::new(Vec::new()),
            replaced: Mutex::new(0),
        };
        if let Err(error) = capsules.connect() {
            capsules.replace(0, &error);
        }
        capsules
    }

    /// What had to be done to the file since it was opened, for people.
    pub(super) fn notes(&self) -> Vec<String> {
        self.notes.lock().clone()
    }

    /// The capsule of this very content.
    pub(super) fn get(&self, content: Content) -> Option<Capsule> {
        let packed: Option<Vec<u8>> = self.with(&self.reading, |connection| {
            connection
                .prepare_cached(
                    "SELECT bytes FROM capsule WHERE place = ?1 AND generation = ?2 AND size = ?3 AND modified = ?4",
                )?
                .query_row(
                    (
                        content.place.0,
                        content.generation,
                        stored(content.size),
                        content.modified.0,
                    ),
                    |row| row.get(0),
                )
                .optional()
        })?;
        match unpack(&packed?, content.size) {
            Ok(bytes) => Some(Capsule { bytes }),
            Err(error) => {
                tracing::warn!(path = %self.path.display(), place = content.place.0, %error, "a capsule is damaged");
                None
            }
        }
    }

    /// There is a capsule of this very content.
    pub(super) fn has(&self, content: Content) -> bool {
        self.with(&self.reading, |connection| {
            connection
                .prepare_cached(
                    "SELECT 1 FROM capsule WHERE place = ?1 AND generation = ?2 AND size = ?3 AND modified = ?4",
                )?
                .exists((
                    content.place.0,
                    content.generation,
                    stored(content.size),
                    content.modified.0,
                ))
        })
        .unwrap_or(false)
    }

    /// Writes what a commit of the catalog decided. A failure is logged: a capsule is a convenience.
    pub(super) fn apply(&self, changes: &[CapsuleChange]) {
        if changes.is_empty() {
            return;
        }
        let packed: Vec<Option<Vec<u8>>> = changes
            .iter()
            .map(|change| match change {
                CapsuleChange::Put(_, capsule) => zstd::bulk::compress(&capsule.bytes, LEVEL).ok(),
                CapsuleChange::Drop(_) => None,
            })
            .collect();
        self.with(&self.writing, |connection| {
            let transaction = connection.transaction()?;
            for (change, packed) in changes.iter().zip(&packed) {
                match (change, packed) {
                    (CapsuleChange::Put(content, _), Some(packed)) => {
                        transaction
                            .prepare_cached(
                                "INSERT OR REPLACE INTO capsule (place, generation, size, modified, bytes) \
                                 VALUES (?1, ?2, ?3, ?4, ?5)",
                            )?
                            .execute((
                                content.place.0,
                                content.generation,
                                stored(content.size),
                                content.modified.0,
                                packed,
                            ))?;
                    }
                    (CapsuleChange::Put(Content { place, .. }, _), None)
                    | (CapsuleChange::Drop(place), _) => {
                        transaction
                            .prepare_cached("DELETE FROM capsule WHERE place = ?1")?
                            .execute([place.0])?;
                    }
                }
            }
            transaction.commit()
        });
    }

    /// What an integrity check says; empty when all is well.
    pub(super) fn check(&self) -> Vec<String> {
        let found = self.with(&self.reading, |connection| {
            connection
                .prepare("PRAGMA integrity_check(20)")?
                .query_map([], |row| row.get::<_, String>(0))?
                .collect::<rusqlite::Result<Vec<_>>>()
        });
        match found {
            Some(lines) => lines.into_iter().filter(|line| line != "ok").collect(),
            None => vec!["it could not be read, and was made anew".to_owned()],
        }
    }

    fn with<T>(
        &self,
        which: &Mutex<Option<Connection>>,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Option<T> {
        let turn = *self.replaced.lock();
        let result = {
            let mut connection = which.lock();
            work(connection.as_mut()?)
        };
        match result {
            Ok(value) => Some(value),
            Err(error) if damaged(&error) => {
                self.replace(turn, &error);
                None
            }
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "capsules can't be read or written");
                None
            }
        }
    }

    fn connect(&self) -> rusqlite::Result<()> {
        let mut reading = self.reading.lock();
        let mut writing = self.writing.lock();
        // Dropped first, so that the old file is closed before the new one is opened.
        *reading = None;
        *writing = None;
        let writer = open(&self.path)?;
        let version: i32 = writer.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        writer.pragma_update(None, "journal_mode", "WAL")?;
        match version {
            VERSION => {}
            0 => {
                writer.execute_batch(TABLE)?;
                writer.pragma_update(None, "user_version", VERSION)?;
            }
            other => return Err(rusqlite::Error::IntegralValueOutOfRange(0, other.into())),
        }
        // Any other table of this name would fail here, not at the first use.
        writer.prepare("SELECT place, generation, size, modified, bytes FROM capsule LIMIT 1")?;
        let reader = open(&self.path)?;
        reader.pragma_update(None, "query_only", true)?;
        *writing = Some(writer);
        *reading = Some(reader);
        Ok(())
    }

    /// Sets the file aside and begins anew, unless that was done since `turn`.
    fn replace(&self, turn: u64, because: &rusqlite::Error) {
        let mut replaced = self.replaced.lock();
        if *replaced != turn {
            return;
        }
        *replaced += 1;
        *self.reading.lock() = None;
        *self.writing.lock() = None;
        let aside = with_suffix(&self.path, ".damaged");
        let moved = std::fs::rename(&self.path, &aside);
        for suffix in ["-wal", "-shm"] {
            // They belong to the file that was set aside, and usually are not there.
            let _ = std::fs::remove_file(with_suffix(&self.path, suffix));
        }
        let outcome = moved.map_err(|e| e.to_string()).and_then(|()| {
            self.connect()
                .map_err(|e| format!("it could not be made anew: {e}"))
        });
        let note = match outcome {
            Ok(()) => format!(
                "{} could not be used ({because}); it was set aside as {} and made anew. Placeholders are made from \
                 facts until the sounds are read again.",
                self.path.display(),
                aside.display()
            ),
            Err(error) => format!(
                "{} can't be used ({because}; {error}). Placeholders are made from facts.",
                self.path.display()
            ),
        };
        tracing::warn!("{note}");
        self.notes.lock().push(note);
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    Ok(connection)
}

fn damaged(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt)
    )
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut text = path.as_os_str().to_owned();
    text.push(suffix);
    text.into()
}

fn unpack(packed: &[u8], file_size: u64) -> std::io::Result<Vec<u8>> {
    let largest = Capsule::most_bytes(file_size);
    let mut bytes = Vec::new();
    zstd::stream::read::Decoder::new(packed)?
        .take(largest + 1)
        .read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > largest) {
        return Err(std::io::Error::other(
            "it unpacks to more than a capsule can be",
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_capsule_unpacks_and_no_larger_one() {
        let most = usize::try_from(Capsule::most_bytes(1000)).unwrap();
        let packed = |length: usize| zstd::bulk::compress(&vec![7; length], LEVEL).unwrap();
        assert_eq!(unpack(&packed(most), 1000).unwrap().len(), most);
        assert!(unpack(&packed(most + 1), 1000).is_err());
    }
}
