//! Names in the sections of a project: once shown, a name belongs to its item for good.
//!
//! The ` (2)` of a twin is stored here, not computed. Names are kept by the item's id, so an item that was removed
//! and comes back under its own id has its names again, and nobody else ever gets them.

use super::convert::{Coded, folded, id_column};
use super::error::Result;
use super::rows::{BaseNo, ItemNo, Section};
use super::writer::Writer;
use crate::model::{Kind, MediaId, shown_name, split_extension};

/// The section that shows a kind.
pub(super) fn section_of(kind: &Kind) -> Section {
    match kind {
        Kind::Audio => Section::Audio,
        Kind::Midi => Section::Midi,
        Kind::Video => Section::Video,
        Kind::Analysis | Kind::Other(_) => Section::Analysis,
    }
}

/// The safe form of `name`, or of `name (2)`, `name (3)`, …: the first free one, roughly. Numbers are tried in
/// doubling steps and then halved, so that ten thousand twins cost few look-ups each; where names were given out of
/// order, a number may be left out.
pub(super) fn numbered(name: &str, taken: &mut dyn FnMut(&str) -> Result<bool>) -> Result<String> {
    let plain = shown_name(name);
    if !taken(&plain)? {
        return Ok(plain);
    }
    let (stem, extension) = split_extension(name);
    let dot = if extension.is_empty() { "" } else { "." };
    let candidate = |number: u64| shown_name(&format!("{stem} ({number}){dot}{extension}"));
    let (mut below, mut free) = (1, 2);
    while taken(&candidate(free))? {
        below = free;
        // Numbers of items end long before.
        free = free.saturating_mul(2);
    }
    while free - below > 1 {
        let middle = below + (free - below) / 2;
        if taken(&candidate(middle))? {
            below = middle;
        } else {
            free = middle;
        }
    }
    Ok(candidate(free))
}

impl Writer {
    /// Shows an item in its project under `name`, or under a numbered form of it where another item has that name.
    pub(super) fn show(
        &mut self,
        project: BaseNo,
        item: ItemNo,
        id: &MediaId,
        kind: &Kind,
        name: &str,
    ) -> Result<()> {
        let section = section_of(kind);
        let chosen = {
            let reader = self.reader();
            let mut taken = |candidate: &str| -> Result<bool> {
                let owner = reader.db().one(
                    "looking for a name in a project",
                    "SELECT media_id FROM shown WHERE project = ?1 AND section = ?2 AND key = ?3",
                    (project.0, section.code(), folded(candidate)),
                    |row| id_column(row, 0),
                )?;
                Ok(owner.is_some_and(|owner| owner != *id))
            };
            numbered(name, &mut taken)?
        };
        self.hide(project, id)?;
        self.run(
            "showing a name in a project",
            "INSERT INTO shown (project, section, key, name, media_id, item, present) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1) \
             ON CONFLICT (project, section, key) DO UPDATE SET name = ?4, item = ?6, present = 1",
            (
                project.0,
                section.code(),
                folded(&chosen),
                &chosen,
                id.as_str(),
                item.0,
            ),
        )?;
        self.changes.shown(project, section, &chosen);
        Ok(())
    }

    /// The names of an item are listed no more, but go on leading to it.
    pub(super) fn hide(&mut self, project: BaseNo, id: &MediaId) -> Result<()> {
        let present = self.reader().db().many(
            "looking for the names of an item in a project",
            "SELECT section, name FROM shown WHERE project = ?1 AND media_id = ?2 AND present = 1",
            (project.0, id.as_str()),
            |row| Ok((Section::column(row, 0)?, row.get::<_, String>(1)?)),
        )?;
        if present.is_empty() {
            return Ok(());
        }
        self.run(
            "taking a name of a project from the list",
            "UPDATE shown SET present = 0 WHERE project = ?1 AND media_id = ?2",
            (project.0, id.as_str()),
        )?;
        for (section, name) in present {
            self.changes.shown(project, section, &name);
        }
        Ok(())
    }

    /// The names that this id ever had in the project lead to this item (or to none).
    pub(super) fn own_names(
        &mut self,
        project: BaseNo,
        id: &MediaId,
        item: Option<ItemNo>,
    ) -> Result<()> {
        let names = self.reader().db().many(
            "looking for the names of an item in a project",
            "SELECT section, name FROM shown WHERE project = ?1 AND media_id = ?2",
            (project.0, id.as_str()),
            |row| Ok((Section::column(row, 0)?, row.get::<_, String>(1)?)),
        )?;
        if names.is_empty() {
            return Ok(());
        }
        self.run(
            "giving an item its names in a project",
            "UPDATE shown SET item = ?3 WHERE project = ?1 AND media_id = ?2",
            (project.0, id.as_str(), item.map(|item| item.0)),
        )?;
        for (section, name) in names {
            self.changes.shown(project, section, &name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashSet;

    use super::*;

    #[test]
    fn twins_are_numbered_one_by_one_in_few_steps() {
        let mut given = HashSet::new();
        let mut asked = 0_u32;
        for expected in 1..=200 {
            let name = numbered("Kick.wav", &mut |name| {
                asked += 1;
                Ok(given.contains(name))
            })
            .unwrap();
            match expected {
                1 => assert_eq!(name, "Kick.wav"),
                n => assert_eq!(name, format!("Kick ({n}).wav")),
            }
            assert!(given.insert(name));
        }
        assert!(asked < 200 * 20, "{asked} questions");
    }

    #[test]
    fn long_names_stay_apart() {
        let long = format!("{}.wav", "ä".repeat(200));
        let first = numbered(&long, &mut |_| Ok(false)).unwrap();
        let second = numbered(&long, &mut |name| Ok(name == first)).unwrap();
        assert_ne!(first, second);
        assert!(second.len() <= 255 && second.ends_with(".wav"));
    }
}
