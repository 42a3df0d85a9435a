//! What only a project's manifest knows of an item: fields of a newer host, entries of lists that are not understood.
//!
//! Kept beside the item, as the text of an entry, so that it goes with the item where the manifest does not: into history
//! when the item is removed, into the library or another project when it becomes an item there.

use std::collections::HashMap;

use super::error::Result;
use super::reader::Reader;
use super::rows::{BaseNo, ItemNo};
use super::writer::Writer;

impl Reader {
    /// What is kept of a project's items; of the library's (`None`), what they brought along from a project.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn entries(&self, project: Option<BaseNo>) -> Result<HashMap<ItemNo, String>> {
        let found = self.db().many(
            "reading what only manifests know",
            "SELECT item, entry FROM entry WHERE base = ?1",
            [number(project)],
            |row| Ok((ItemNo(row.get(0)?), row.get(1)?)),
        )?;
        Ok(found.into_iter().collect())
    }

    /// What is kept of one item of a project's manifest.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn entry(&self, item: ItemNo, project: Option<BaseNo>) -> Result<Option<String>> {
        self.db().one(
            "reading what only a manifest knows",
            "SELECT entry FROM entry WHERE item = ?1 AND base = ?2",
            (item.0, number(project)),
            |row| row.get(0),
        )
    }
}

impl Writer {
    /// Keeps what only a project's manifest knows of an item; `None`: there is nothing.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn keep_entry(
        &mut self,
        item: ItemNo,
        project: Option<BaseNo>,
        entry: Option<&str>,
    ) -> Result<()> {
        if self.reader().entry(item, project)?.as_deref() == entry {
            return Ok(());
        }
        let base = number(project);
        match entry {
            Some(entry) => self.run(
                "keeping what only a manifest knows",
                "INSERT OR REPLACE INTO entry (item, base, entry) VALUES (?1, ?2, ?3)",
                (item.0, base, entry),
            )?,
            None => self.run(
                "keeping what only a manifest knows",
                "DELETE FROM entry WHERE item = ?1 AND base = ?2",
                (item.0, base),
            )?,
        };
        self.durable = true;
        Ok(())
    }
}

/// In the column `base`.
fn number(project: Option<BaseNo>) -> u32 {
    project.map_or(0, |base| base.0)
}
