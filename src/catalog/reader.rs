//! Reading the catalog: the reader itself, and bases. What it reads of places is in `places_read`, of items in
//! `items_read`, whole media items in `assembled`, lists and counts in `search`.

use std::sync::Arc;

use super::convert::{Coded, base_columns, base_row, folded};
use super::db::Db;
use super::error::Result;
use super::pool::Shared;
use super::rows::{BaseKind, BaseNo, BaseRow};

/// A read-only connection with prepared statements, from the pool; given back when dropped. One snapshot per call.
pub struct Reader {
    /// `None` only while it is dropped.
    db: Option<Db>,
    shared: Arc<Shared>,
    /// Goes back to the pool, and sees only what is committed.
    pooled: bool,
}

impl Reader {
    /// A reader from the pool.
    pub(super) fn pooled(shared: &Arc<Shared>) -> Result<Self> {
        Ok(Self {
            db: Some(shared.take()?),
            shared: Arc::clone(shared),
            pooled: true,
        })
    }

    /// The writer's own eyes, which see what it has written already.
    pub(super) fn of_writer(db: Db, shared: &Arc<Shared>) -> Self {
        Self {
            db: Some(db),
            shared: Arc::clone(shared),
            pooled: false,
        }
    }

    /// The connection.
    #[allow(clippy::expect_used)] // `db` is taken only in `drop`, after which there is no reader.
    pub(super) fn db(&self) -> &Db {
        self.db.as_ref().expect("a reader has a connection")
    }

    /// What readers share.
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What it sees is committed, so it may be remembered.
    pub(super) fn sees_commits_only(&self) -> bool {
        self.pooled
    }

    /// Several statements that see the same state.
    pub(crate) fn snapshot<T>(&self, work: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        if !self.db().idle() {
            return work(self);
        }
        self.db().command("beginning to read", "BEGIN")?;
        let result = work(self);
        self.db().command("ending to read", "COMMIT")?;
        result
    }

    /// All bases, in the order they came.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn bases(&self) -> Result<Vec<BaseRow>> {
        self.db().many(
            "listing bases",
            concat!("SELECT ", base_columns!(), " FROM base b ORDER BY b.number"),
            [],
            base_row,
        )
    }

    /// A base.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn base(&self, base: BaseNo) -> Result<Option<BaseRow>> {
        self.db().one(
            "reading a base",
            concat!(
                "SELECT ",
                base_columns!(),
                " FROM base b WHERE b.number = ?1"
            ),
            [base.0],
            base_row,
        )
    }

    /// By kind and any name it was ever shown by, without regard to case.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn base_named(&self, kind: BaseKind, name: &str) -> Result<Option<BaseRow>> {
        self.db().one(
            "looking for a base",
            concat!(
                "SELECT ",
                base_columns!(),
                " FROM base_name n JOIN base b ON b.number = n.base WHERE n.kind = ?1 AND n.key = ?2"
            ),
            (kind.code(), folded(name)),
            base_row,
        )
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(db) = self.db.take()
            && self.pooled
        {
            self.shared.give_back(db);
        }
    }
}
