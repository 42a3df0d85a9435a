//! Names in the sections of a project: once shown, a name belongs to its item for good.
//!
//! The ` (2)` of a twin is stored here, not computed. Names are kept by the item's id, so an item that was removed
//! and comes back under its own id has its names again, and nobody else ever gets them.

use super::convert::{Coded, folded, id_column};
use super::error::Result;
use super::rows::{BaseNo, ItemNo, Section};
use super::writer::Writer;
use crate::model::{Kind, MediaId, shown_name, split_extension};

/// A name beyond this may have been shortened, in bytes (a character may be four, and count as two units of 255).
const LONG: usize = 240;
/// How many numbers are tried for such a one.
const MOST_TRIED: u64 = 200;

/// The section that shows a kind.
#[must_use]
pub fn section_of(kind: &Kind) -> Section {
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
    numbered_or_own(name, taken, &mut || Ok(Vec::new()))
}

/// As [`numbered`], for who may have had one of these names before: then it has that again.
pub(super) fn numbered_or_own(
    name: &str,
    taken: &mut dyn FnMut(&str) -> Result<bool>,
    own: &mut dyn FnMut() -> Result<Vec<String>>,
) -> Result<String> {
    let plain = shown_name(name);
    if !taken(&plain)? {
        return Ok(plain);
    }
    let mut own = own()?.into_iter().filter(|own| is_form_of(own, name));
    if let Some(own) = own.next() {
        return Ok(own);
    }
    let candidate = |number: u64| with_number(name, number);
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

/// Whether `numbered` may give this for what is called `name`.
pub(super) fn is_form_of(shown: &str, name: &str) -> bool {
    if shown == shown_name(name) {
        return true;
    }
    let (stem, _) = split_extension(shown);
    let number = stem
        .strip_suffix(')')
        .and_then(|stem| stem.rsplit_once(" ("))
        .and_then(|(_, number)| number.parse::<u64>().ok());
    match number {
        Some(number) => shown == with_number(name, number),
        // Of a long name the number is in what is not shown.
        None if shown.len() > LONG => {
            (2..=MOST_TRIED).any(|number| shown == with_number(name, number))
        }
        None => false,
    }
}

/// The safe form of `name (number)`.
fn with_number(name: &str, number: u64) -> String {
    let (stem, extension) = split_extension(name);
    let dot = if extension.is_empty() { "" } else { "." };
    shown_name(&format!("{stem} ({number}){dot}{extension}"))
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
            let mut own = || {
                reader.db().many(
                    "looking for the names of an item in a project",
                    "SELECT name FROM shown WHERE project = ?1 AND media_id = ?2 AND section = ?3 \
                     ORDER BY present DESC, number",
                    (project.0, id.as_str(), section.code()),
                    |row| row.get(0),
                )
            };
            numbered_or_own(name, &mut taken, &mut own)?
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
    fn a_numbered_name_is_known_for_what_it_is() {
        for name in ["Kick.wav", "Kick", "a (2).wav", &"ä".repeat(200)] {
            let mut given = HashSet::new();
            for _ in 0..5 {
                let shown = numbered(name, &mut |name| Ok(given.contains(name))).unwrap();
                assert!(is_form_of(&shown, name), "{shown} of {name}");
                given.insert(shown);
            }
        }
        for (shown, name) in [
            ("Kick (2).wav", "Boom.wav"),
            ("Kick.wav", "Boom.wav"),
            ("Kick (2).aif", "Kick.wav"),
            ("Kick ().wav", "Kick.wav"),
            ("Kick (02).wav", "Kick.wav"),
        ] {
            assert!(!is_form_of(shown, name), "{shown} of {name}");
        }
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
