//! One connection to `catalog.db`: how it is opened, and the few forms of statements that the rest is written in.
//! Every statement is prepared once and kept.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Params, Row};

use super::error::{CatalogError, Result, failed};
use super::schema;

/// Page cache of the writer, in KiB.
const WRITER_CACHE_KIB: i64 = 4096;
/// Page cache of each reader, in KiB. Small, as there are several, and the system's page cache lies behind it.
const READER_CACHE_KIB: i64 = 1024;
/// More than there are different statements.
const STATEMENTS: usize = 192;
/// Pages in the write-ahead log after which it is copied back (4 MiB).
const CHECKPOINT_PAGES: i64 = 1000;
/// The log is cut to this after it was copied back.
const LOG_LIMIT_BYTES: i64 = 16 << 20;
/// Another process never holds the database for long: the home has a lock.
const BUSY: std::time::Duration = std::time::Duration::from_secs(5);

#[cfg(test)]
std::thread_local! {
    /// Rows of whole-table scans and rows sorted by this thread's statements, so that tests can tell a look-up by
    /// index from one that grows with the catalog.
    #[allow(clippy::missing_const_for_thread_local, reason = "not seen to be const for Windows")]
    pub(super) static LABOUR: std::cell::Cell<i64> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
fn count_labour(statement: &rusqlite::Statement<'_>) {
    use rusqlite::StatementStatus::{FullscanStep, Sort};
    let steps = statement.reset_status(FullscanStep) + statement.reset_status(Sort);
    LABOUR.set(LABOUR.get() + i64::from(steps));
}

#[cfg(not(test))]
fn count_labour(_: &rusqlite::Statement<'_>) {}

/// A connection.
pub(super) struct Db {
    connection: Connection,
    path: Arc<Path>,
}

impl Db {
    /// Opens the catalog for writing; makes it where there is none, brings an old one to the present version.
    pub(super) fn open_writer(path: &Arc<Path>) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection =
            Connection::open_with_flags(path, flags).map_err(|e| failed(path, "opening it", e))?;
        connection
            .busy_timeout(BUSY)
            .map_err(|e| failed(path, "opening it", e))?;
        schema::examine(&connection, path)?;
        Self::configure(&connection, WRITER_CACHE_KIB)
            .and_then(|()| {
                connection.pragma_update(None, "journal_mode", "WAL")?;
                connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
                connection.pragma_update(None, "journal_size_limit", LOG_LIMIT_BYTES)?;
                connection.pragma_update(None, "synchronous", "FULL")
            })
            .map_err(|e| failed(path, "setting it up", e))?;
        schema::migrate(&mut connection, path)?;
        Ok(Self {
            connection,
            path: Arc::clone(path),
        })
    }

    /// Opens the catalog for reading only, while a writer has it open.
    pub(super) fn open_reader(path: &Arc<Path>) -> Result<Self> {
        // Not SQLITE_OPEN_READ_ONLY: readers of a write-ahead log write its shared index.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Connection::open_with_flags(path, flags)
            .and_then(|connection| {
                connection.busy_timeout(BUSY)?;
                Self::configure(&connection, READER_CACHE_KIB)?;
                connection.pragma_update(None, "query_only", true)?;
                Ok(connection)
            })
            .map(|connection| Self {
                connection,
                path: Arc::clone(path),
            })
            .map_err(|e| failed(path, "opening it for reading", e))
    }

    fn configure(connection: &Connection, cache_kib: i64) -> rusqlite::Result<()> {
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.pragma_update(None, "cache_size", -cache_kib)?;
        // Mapped pages would count as memory of the daemon once for each connection.
        connection.pragma_update(None, "mmap_size", 0)?;
        connection.pragma_update(None, "temp_store", "MEMORY")
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// An error of this file.
    pub(super) fn failed(&self, doing: &'static str, error: rusqlite::Error) -> CatalogError {
        failed(&self.path, doing, error)
    }

    /// No transaction is open.
    pub(super) fn idle(&self) -> bool {
        self.connection.is_autocommit()
    }

    /// The first row, if there is one.
    pub(super) fn one<T>(
        &self,
        doing: &'static str,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| {
                let found = statement.query_row(params, read).optional();
                count_labour(&statement);
                found
            })
            .map_err(|e| self.failed(doing, e))
    }

    /// All rows.
    pub(super) fn many<T>(
        &self,
        doing: &'static str,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| {
                let found = statement.query_map(params, read)?.collect();
                count_labour(&statement);
                found
            })
            .map_err(|e| self.failed(doing, e))
    }

    /// Row by row, until `each` says that it is enough (`false`).
    pub(super) fn each(
        &self,
        doing: &'static str,
        sql: &str,
        params: impl Params,
        mut each: impl FnMut(&Row<'_>) -> Result<bool>,
    ) -> Result<()> {
        let mut statement = self
            .connection
            .prepare_cached(sql)
            .map_err(|e| self.failed(doing, e))?;
        let mut rows = statement.query(params).map_err(|e| self.failed(doing, e))?;
        while let Some(row) = rows.next().map_err(|e| self.failed(doing, e))? {
            if !each(row)? {
                break;
            }
        }
        Ok(())
    }

    /// Changes rows; gives how many.
    pub(super) fn run(&self, doing: &'static str, sql: &str, params: impl Params) -> Result<usize> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(params))
            .map_err(|e| self.failed(doing, e))
    }

    /// Number of the row that was inserted last.
    pub(super) fn inserted(&self) -> Result<u32> {
        let number = self.connection.last_insert_rowid();
        u32::try_from(number).map_err(|_| {
            self.failed(
                "giving a number",
                rusqlite::Error::IntegralValueOutOfRange(0, number),
            )
        })
    }

    /// Runs a command that has no parameters and no result.
    pub(super) fn command(&self, doing: &'static str, sql: &str) -> Result<()> {
        self.run(doing, sql, []).map(|_| ())
    }

    /// How a commit is made durable. Only between transactions.
    pub(super) fn set_synchronous(&self, word: &'static str) -> Result<()> {
        self.connection
            .pragma_update(None, "synchronous", word)
            .map_err(|e| self.failed("setting it up", e))
    }
}
