//! A small SQLite database that may be found missing or corrupt: it is set aside then, made anew, and whoever
//! uses it is told.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode};
use rusqlite_migration::{MigrationDefinitionError, Migrations};

use crate::disk;
use crate::error::{CacheError, IoContext};

/// How a database was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Whole,
    Missing,
    /// It was corrupt, and lies here now.
    Corrupt(PathBuf),
}

pub(crate) struct Database {
    path: PathBuf,
    damaged: PathBuf,
    migrations: Migrations<'static>,
    /// A query that fails on a database which is not whole.
    probe: &'static str,
    /// `FULL`: a commit survives a power cut. `NORMAL`: it survives the end of the process.
    synchronous: &'static str,
    /// `None` after a corrupt database was set aside and no new one could be made.
    connection: Mutex<Option<Connection>>,
    replaced: AtomicBool,
}

impl Database {
    pub(crate) fn open(
        path: PathBuf,
        damaged: PathBuf,
        migrations: Migrations<'static>,
        probe: &'static str,
        synchronous: &'static str,
    ) -> Result<(Self, Found), CacheError> {
        let connection = Mutex::new(None);
        let this = Self {
            path,
            damaged,
            migrations,
            probe,
            synchronous,
            connection,
            replaced: AtomicBool::new(false),
        };
        let existed = fs::symlink_metadata(&this.path).is_ok();
        let mut found = if existed {
            Found::Whole
        } else {
            Found::Missing
        };
        let connection = match this.connect() {
            Err(CacheError::Database { source, .. }) if existed && is_corrupt(&source) => {
                found = Found::Corrupt(this.set_aside()?);
                this.connect()?
            }
            answer => answer?,
        };
        *this.connection.lock() = Some(connection);
        Ok((this, found))
    }

    fn connect(&self) -> Result<Connection, CacheError> {
        let wrap = |source| self.error("open the database", source);
        let mut connection = Connection::open(&self.path).map_err(wrap)?;
        // The lock on the cache's folder keeps others out. Knowing that, SQLite needs no shared memory, whose file could
        // not be made on a full disk.
        connection
            .pragma_update_and_check(None, "locking_mode", "exclusive", |_| Ok(()))
            .map_err(wrap)?;
        connection
            .pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))
            .map_err(wrap)?;
        connection
            .pragma_update(None, "synchronous", self.synchronous)
            .map_err(wrap)?;
        self.migrations
            .to_latest(&mut connection)
            .map_err(|error| match error {
                rusqlite_migration::Error::MigrationDefinition(
                    MigrationDefinitionError::DatabaseTooFarAhead,
                ) => CacheError::Newer {
                    path: self.path.clone(),
                },
                rusqlite_migration::Error::RusqliteError { err, .. } => wrap(err),
                // Our own migrations are tested; what is left are user_version values that we never write.
                other => wrap(rusqlite::Error::SqliteFailure(
                    rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
                    Some(other.to_string()),
                )),
            })?;
        connection
            .query_row(self.probe, [], |_| Ok(()))
            .map_err(wrap)?;
        Ok(connection)
    }

    /// Runs `work`. On a database that turns out to be corrupt, once more on a new one: see [`Self::was_replaced`].
    pub(crate) fn run<T>(
        &self,
        action: &'static str,
        mut work: impl FnMut(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, CacheError> {
        let mut slot = self.connection.lock();
        if let Some(connection) = slot.as_mut() {
            match work(connection) {
                Err(error) if is_corrupt(&error) => {}
                answer => return answer.map_err(|source| self.error(action, source)),
            }
            *slot = None;
            self.replaced.store(true, Ordering::SeqCst);
            let aside = self.set_aside()?;
            tracing::error!(database = %self.path.display(), aside = %aside.display(), "a database of the cache is corrupt; it was set aside and is made anew");
        }
        let connection = slot.insert(self.connect()?);
        work(connection).map_err(|source| self.error(action, source))
    }

    /// True once after the database was found corrupt while in use: it was empty since, and may be no more.
    pub(crate) fn was_replaced(&self) -> bool {
        self.replaced.swap(false, Ordering::SeqCst)
    }

    fn set_aside(&self) -> Result<PathBuf, CacheError> {
        let label = self
            .path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or("database");
        let target = disk::free_name(&self.damaged, label)?;
        for suffix in ["-wal", "-shm", ""] {
            let (from, to) = (
                with_suffix(&self.path, suffix),
                with_suffix(&target, suffix),
            );
            match fs::rename(&from, &to) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                answer => answer.at("set aside", &from)?,
            }
        }
        Ok(target)
    }

    fn error(&self, action: &'static str, source: rusqlite::Error) -> CacheError {
        CacheError::Database {
            action,
            path: self.path.clone(),
            source,
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// True if the file is not a whole database of ours. Errors of the disk, a full disk and the like are none of it.
fn is_corrupt(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(code, message) => match code.code {
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => true,
            // A table or column that must be there is not.
            ErrorCode::Unknown => message
                .as_ref()
                .is_some_and(|text| text.contains("no such ") || text.contains("malformed")),
            _ => false,
        },
        rusqlite::Error::SqlInputError { msg, .. } => {
            msg.contains("no such ") || msg.contains("malformed")
        }
        // The probe found no row, or a value of a type that we never write.
        rusqlite::Error::QueryReturnedNoRows
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..) => true,
        _ => false,
    }
}
