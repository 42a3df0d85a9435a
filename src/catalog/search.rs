//! Questions over many items: search, problems, what was not hashed yet, counts.
//!
//! A search goes through the items in the order of their numbers and stops when a page is full; it keeps no index
//! of words, so that scanning stays cheap. Words are compared without regard to case.

use std::collections::HashMap;
use std::path::PathBuf;

use super::capsules::Content;
use super::convert::{folded, item_columns, item_row, place_columns, place_row};
use super::error::Result;
use super::reader::Reader;
use super::rows::{BaseNo, Counts, FolderNo, ItemNo, ItemRow, LostCapsules, PlaceNo};
use crate::model::{MediaItem, display_name};

/// What no row may be, and how such rows are counted.
const DANGLING: &[(&str, &str)] = &[
    (
        "items of places that are not known",
        "SELECT count(*) FROM item i WHERE i.place IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM place p WHERE p.number = i.place)",
    ),
    (
        "items whose place of record is not known",
        "SELECT count(*) FROM item i WHERE i.home IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM place p WHERE p.number = i.home)",
    ),
    (
        "files of folders that are not known",
        "SELECT count(*) FROM place p WHERE p.folder IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM folder f WHERE f.number = p.folder AND f.base = p.base)",
    ),
    (
        "folders without a base or parent",
        "SELECT count(*) FROM folder f WHERE NOT EXISTS (SELECT 1 FROM base b WHERE b.number = f.base) \
         OR (f.parent IS NOT NULL AND NOT EXISTS (SELECT 1 FROM folder o WHERE o.number = f.parent))",
    ),
    (
        "items that are local, though their file is gone",
        "SELECT count(*) FROM item i JOIN place p ON p.number = i.place \
         WHERE i.availability = 0 AND (p.present = 0 OR p.away = 1)",
    ),
];

impl Reader {
    /// Items whose name, tags, path or id hold every word of `query` (empty: all), with numbers above `after`, in
    /// order of their numbers. To go on after a page use [`Reader::search_numbers`].
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn search(&self, query: &str, after: u32, limit: u32) -> Result<Vec<MediaItem>> {
        self.snapshot(|reader| {
            let mut found = Vec::new();
            for number in reader.search_numbers(query, after, limit)? {
                found.extend(reader.media_item(number)?);
            }
            Ok(found)
        })
    }

    /// As [`Reader::search`], but only the numbers.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn search_numbers(&self, query: &str, after: u32, limit: u32) -> Result<Vec<ItemNo>> {
        let words: Vec<String> = folded(query)
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        if words.is_empty() {
            return self.db().many(
                "listing items",
                "SELECT number FROM item WHERE number > ?1 ORDER BY number LIMIT ?2",
                (after, limit),
                |row| row.get(0).map(ItemNo),
            );
        }
        self.snapshot(|reader| reader.matching(&words, after, limit))
    }

    fn matching(&self, words: &[String], after: u32, limit: u32) -> Result<Vec<ItemNo>> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        let mut folders: HashMap<u32, Vec<bool>> = HashMap::new();
        let mut missing = Vec::with_capacity(words.len());
        self.db().each(
            "searching",
            "SELECT i.number, i.name, i.media_id, p.name, p.folder, \
             (SELECT group_concat(t.key, char(10)) FROM tag t WHERE t.item = i.number AND t.removed = 0) \
             FROM item i LEFT JOIN place p ON p.number = i.place WHERE i.number > ?1 ORDER BY i.number",
            [after],
            |row| {
                let read = |e| self.db().failed("searching", e);
                missing.clear();
                missing.extend(0..words.len());
                let mut look = |text: &str| missing.retain(|&word| !holds(text, &words[word]));
                for column in [1, 2, 5] {
                    let value = row.get_ref(column).map_err(read)?;
                    if let Ok(text) = value.as_str() {
                        look(text);
                    }
                }
                if !missing.is_empty()
                    && let Ok(name) = row.get_ref(3).map_err(read)?.as_bytes()
                {
                    match std::str::from_utf8(name) {
                        Ok(text) => missing.retain(|&word| !holds(text, &words[word])),
                        Err(_) => {
                            let text = display_name(name);
                            missing.retain(|&word| !holds(&text, &words[word]));
                        }
                    }
                }
                if !missing.is_empty()
                    && let Some(folder) = row.get::<_, Option<u32>>(4).map_err(read)?
                {
                    let held = match folders.get(&folder) {
                        Some(held) => held,
                        None => {
                            let held = self.folder_holds(FolderNo(folder), words)?;
                            folders.entry(folder).or_insert(held)
                        }
                    };
                    missing.retain(|&word| !held[word]);
                }
                if missing.is_empty() {
                    found.push(ItemNo(row.get(0).map_err(read)?));
                }
                Ok(found.len() < limit)
            },
        )?;
        Ok(found)
    }

    /// Which of the words the path of a folder holds, with the name and path of its base.
    fn folder_holds(&self, folder: FolderNo, words: &[String]) -> Result<Vec<bool>> {
        let mut text = String::new();
        if let Some((base, path)) = self.folder_path(folder)? {
            if let Some(base) = self.base(base)? {
                text = format!(
                    "{}\n{}\n",
                    base.name,
                    display_name(base.path.as_os_str().as_encoded_bytes())
                );
            }
            text.push_str(&display_name(path.as_os_str().as_encoded_bytes()));
        }
        Ok(words.iter().map(|word| holds(&text, word)).collect())
    }

    /// Files that could not be read, with numbers of their places above `after`: (place, absolute path, reason).
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn problems(&self, after: u32, limit: u32) -> Result<Vec<(PlaceNo, PathBuf, String)>> {
        self.snapshot(|reader| {
            let places = reader.db().many(
                "listing problems",
                concat!(
                    "SELECT ",
                    place_columns!(),
                    " FROM place p WHERE p.problem IS NOT NULL AND p.present = 1 AND p.number > ?1 \
                     ORDER BY p.number LIMIT ?2"
                ),
                (after, limit),
                place_row,
            )?;
            let mut problems = Vec::with_capacity(places.len());
            for place in places {
                let Some((base, relative)) = reader.path_of(&place)? else {
                    continue;
                };
                let Some(base) = reader.base(base)? else {
                    continue;
                };
                problems.push((
                    place.row,
                    base.path.join(relative),
                    place.problem.unwrap_or_default(),
                ));
            }
            Ok(problems)
        })
    }

    /// Items on trusted storage whose content was not hashed yet and whose place is present, with numbers above `after`.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn unhashed(&self, after: u32, limit: u32) -> Result<Vec<ItemRow>> {
        let found = self.db().many(
            "listing what is to be hashed",
            concat!(
                "SELECT ",
                item_columns!(),
                " FROM item i JOIN place p ON p.number = i.place JOIN base b ON b.number = p.base \
                 WHERE i.hashed = 0 AND i.number > ?1 AND p.present = 1 AND p.away = 0 AND b.source IS NULL \
                 ORDER BY i.number LIMIT ?2"
            ),
            (after, limit),
            item_row,
        )?;
        self.all_as_they_are(found)
    }

    /// Looks at up to `limit` present places with numbers above `after` whose capsule was made: which of them are not
    /// in its file any more, lost with it or by a power cut? They are to be made anew.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn lost_capsules(&self, after: u32, limit: u32) -> Result<LostCapsules> {
        let mut found = LostCapsules::default();
        self.db().each(
            "looking for lost capsules",
            concat!(
                "SELECT ",
                place_columns!(),
                " FROM content c JOIN place p ON p.number = c.place \
                 JOIN base b ON b.number = p.base AND b.source IS NULL \
                 WHERE c.place > ?1 AND c.capsule = 1 AND c.generation = p.generation AND p.present = 1 \
                 ORDER BY c.place LIMIT ?2"
            ),
            (after, limit),
            |row| {
                let place = place_row(row)
                    .map_err(|e| self.db().failed("looking for lost capsules", e))?;
                found.last = Some(place.row);
                if !self.shared().capsules.has(Content::of(&place)) {
                    found.lost.push(place);
                }
                Ok(true)
            },
        )?;
        Ok(found)
    }

    /// What an integrity check says of the catalog, and rows that lead nowhere; empty when all is well.
    pub(super) fn inconsistencies(&self) -> Result<Vec<String>> {
        self.snapshot(|reader| {
            let mut lines = reader.db().many(
                "checking its integrity",
                "PRAGMA integrity_check(20)",
                [],
                |row| row.get::<_, String>(0),
            )?;
            lines.retain(|line| line != "ok");
            for (what, sql) in DANGLING {
                let found = reader.db().one("checking its rows", sql, [], |row| {
                    super::convert::unsigned(row, 0)
                })?;
                match found {
                    None | Some(0) => {}
                    Some(count) => lines.push(format!("{count} {what}")),
                }
            }
            Ok(lines)
        })
    }

    /// Files of a base whose present content was not probed yet, with numbers above `after`.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn unprobed(&self, base: BaseNo, after: u32, limit: u32) -> Result<Vec<PlaceNo>> {
        self.db().many(
            "listing what is to be probed",
            "SELECT number FROM place WHERE base = ?1 AND number > ?2 AND present = 1 AND away = 0 AND link IS NULL \
             AND folder IS NOT NULL AND probed <> generation ORDER BY number LIMIT ?3",
            (base.0, after, limit),
            |row| row.get(0).map(PlaceNo),
        )
    }

    /// Every item that has an attribute of this name, with its value. Goes through all attributes.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn items_with_attribute(&self, name: &str) -> Result<Vec<(ItemNo, serde_json::Value)>> {
        self.db().many(
            "looking for items with an attribute",
            "SELECT item, value FROM attribute WHERE key = ?1 AND removed = 0 ORDER BY item",
            [folded(name)],
            |row| {
                let text = row.get_ref(1)?.as_str()?;
                let value =
                    serde_json::from_str(text).map_err(|e| super::convert::odd_column(1, e))?;
                Ok((ItemNo(row.get(0)?), value))
            },
        )
    }

    /// How many there are of what, for `status`. Goes through all rows.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn counts(&self) -> Result<Counts> {
        self.snapshot(|reader| {
            let states = reader.states()?;
            let number = |sql: &str| -> Result<u64> {
                let found = reader
                    .db()
                    .one("counting", sql, [], |row| super::convert::unsigned(row, 0))?;
                Ok(found.unwrap_or(0))
            };
            Ok(Counts {
                items: states.iter().map(|(_, _, count)| count).sum(),
                states,
                places: number("SELECT count(*) FROM place WHERE present = 1")?,
                problems: number(
                    "SELECT count(*) FROM place WHERE problem IS NOT NULL AND present = 1",
                )?,
                unhashed: number(
                    "SELECT count(*) FROM item i WHERE i.hashed = 0 AND NOT EXISTS (SELECT 1 FROM place p \
                     JOIN base b ON b.number = p.base WHERE p.number = i.place AND b.source IS NOT NULL)",
                )?,
            })
        })
    }
}

/// `text` holds `word`, which is folded. Plain text is compared without a copy.
fn holds(text: &str, word: &str) -> bool {
    if !text.is_ascii() {
        return folded(text).contains(word);
    }
    let (text, word) = (text.as_bytes(), word.as_bytes());
    text.len() >= word.len()
        && text
            .windows(word.len())
            .any(|part| part.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::holds;

    #[test]
    fn words_are_found_without_regard_to_case() {
        assert!(holds("Kick 01.WAV", "wav"));
        assert!(holds("ÄRGER.wav", "ärger"));
        assert!(holds("a\u{308}rger.wav", "ärger"));
        assert!(!holds("Kick", "kicks"));
        assert!(!holds("", "a"));
    }
}
