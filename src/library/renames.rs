//! What the system's word on a rename means for the items: a move keeps them, a program's way of saving does too.
//!
//! Renames come from the watch loop in the order in which they happened, and go to the catalog before anything is
//! looked at. Programs save in three ways: over the file; beside it, and then over it by a rename (the catalog knows that
//! case by itself: `Writer::move_place`); or by a rename of the file out of the way, and then anew under its name, be it
//! written there or renamed to it. The last is seen in full only when the new file is there, so such renames are
//! remembered for a while; after a crash the names alone tell (`undo_lost`).

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::catalog::{BaseKind, BaseRow, CatalogError, Durability, FolderNo, PlaceNo};

use super::dirty::Rename;
use super::disk::Entry;
use super::engine::{Engine, exact_child};
use super::watching::base_of;

/// A file that was set aside is waited for so long, from the rename until the new one is whole.
const PATIENCE: Duration = Duration::from_secs(600);
/// A program renames the new file to the name of the one that it has set aside at once; a person who gives it to another
/// known sound takes longer.
const AT_ONCE: Duration = Duration::from_secs(5);
/// What programs put into the names of files that they set aside.
const MARKS: [&str; 9] = [
    "bak", "backup", "old", "orig", "original", "save", "sav", "tmp", "temp",
];
/// More than these are not remembered: no program saves so many files at once.
const MOST: usize = 10_000;

/// The renames that set files aside.
#[derive(Debug, Default)]
pub(super) struct Renames {
    /// By the name that was left.
    aside: HashMap<(FolderNo, OsString), Aside>,
}

#[derive(Debug)]
struct Aside {
    place: PlaceNo,
    since: Instant,
}

/// What a rename turned out to be.
#[derive(Default)]
struct Applied {
    /// Files that are to be read.
    probe: Vec<PlaceNo>,
    /// A file with items left this name.
    left: Option<((FolderNo, OsString), PlaceNo)>,
}

impl Renames {
    /// Writes one rename to the catalog; gives the files that are to be read.
    pub(super) fn apply(
        &mut self,
        engine: &Engine,
        bases: &[BaseRow],
        rename: &Rename,
    ) -> Result<Vec<PlaceNo>, CatalogError> {
        let applied = self.apply_one(engine, bases, rename)?;
        if let Some((name, place)) = applied.left
            && self.aside.len() < MOST
            && is_set_aside(&rename.from, &rename.to)
        {
            let since = Instant::now();
            self.aside.insert(name, Aside { place, since });
        }
        Ok(applied.probe)
    }

    /// Where a new file has the name that another one left when it was set aside, the items of that one stand for the
    /// new one. To be called when what came is in the catalog and before it is read; gives files that are to be read.
    pub(super) fn undo_set_aside(&mut self, engine: &Engine) -> Result<Vec<PlaceNo>, CatalogError> {
        self.aside
            .retain(|_, aside| aside.since.elapsed() < PATIENCE);
        if self.aside.is_empty() {
            return Ok(Vec::new());
        }
        let reader = engine.catalog.reader()?;
        let mut back = Vec::new();
        for (key, aside) in &self.aside {
            if let Some((new, _)) = reader.child_place(key.0, &key.1)?
                && new.name == key.1
                && new.is_here()
            {
                back.push((key.clone(), aside.place, new.row));
            }
        }
        drop(reader);
        let mut probe = Vec::new();
        for (key, place, new) in back {
            probe.append(
                &mut engine.write(Durability::Normal, |writer| writer.move_back(place, new))?,
            );
            self.aside.remove(&key);
        }
        Ok(probe)
    }

    fn apply_one(
        &mut self,
        engine: &Engine,
        bases: &[BaseRow],
        rename: &Rename,
    ) -> Result<Applied, CatalogError> {
        let nothing = Applied::default;
        let (Some((base, from)), Some((other, to))) =
            (base_of(bases, &rename.from), base_of(bases, &rename.to))
        else {
            return Ok(nothing());
        };
        // Between two bases the general rules of identity decide.
        let ours = base.kind == BaseKind::Computer || Engine::takes_new(base, &to);
        if base.row != other.row || !ours {
            return Ok(nothing());
        }
        let (Some(parent), Some(name)) = (from.parent(), from.file_name()) else {
            return Ok(nothing());
        };
        let (Some(new_parent), Some(new_name)) = (to.parent(), to.file_name()) else {
            return Ok(nothing());
        };
        let Ok(root) = engine.root_above(&base.path, &to) else {
            return Ok(nothing());
        };
        engine.write(Durability::Normal, |writer| {
            let from_parent = parent;
            let Some(parent) = Engine::find_folder(writer.reader(), base, parent)? else {
                return Ok(nothing());
            };
            let folder = exact_child(writer.reader(), parent, name)?;
            let place = writer
                .reader()
                .child_place(parent, name)?
                .map(|(row, _)| row);
            let place = place.filter(|row| row.name == name);
            if folder.is_none() && place.is_none() {
                return Ok(nothing());
            }
            let Some(target) = Engine::ensure_folder(writer, &root, base, new_parent)? else {
                return Ok(nothing());
            };
            let seen = match root.folder(new_parent).map(|folder| folder.look(new_name)) {
                Ok(Ok(seen)) => seen,
                _ => None,
            };
            let is_folder = seen.as_ref().map(|seen| seen.entry == Entry::Folder);
            if let Some(folder) = folder
                && is_folder.unwrap_or_else(|| place.as_ref().is_none_or(|row| !row.present))
            {
                let probe = writer.move_folder(folder, target, new_name)?;
                return Ok(Applied { probe, left: None });
            }
            let Some(place) = place.filter(|_| is_folder != Some(true)) else {
                return Ok(nothing());
            };
            // What the catalog has under the old name is still there: it knows of this already, as of the second half of an
            // exchange of two names.
            let left_behind = root.folder(from_parent).map(|folder| folder.look(name));
            let left_behind = match left_behind {
                Ok(Ok(Some(left))) if left.entry == Entry::File => Some(left.evidence),
                _ => None,
            };
            if left_behind.is_some_and(|left| left.same_bytes(&place.evidence)) {
                return Ok(nothing());
            }
            // A new file comes to the name that another one left when it was set aside.
            let mut probe = Vec::new();
            let has_items = !writer.reader().items_of(place.row)?.is_empty();
            if let Some(aside) = self.aside.remove(&(target, new_name.to_owned()))
                && aside.place != place.row
                && (!has_items || aside.since.elapsed() < AT_ONCE)
            {
                probe = writer.undo_set_aside(aside.place, target, new_name)?;
            }
            // A rename changes the inode's time and nothing else; anything more is a new content, which the look at
            // the path finds.
            let evidence = seen
                .filter(|seen| place.evidence.same_bytes(&seen.evidence))
                .map(|seen| seen.evidence);
            let known = writer
                .reader()
                .child_place(target, new_name)?
                .map(|(row, _)| row)
                .filter(|row| row.name == new_name && row.row != place.row);
            let known = match known {
                Some(row) if !writer.reader().items_of(row.row)?.is_empty() => Some(row),
                _ => None,
            };
            // Both files are there, each under the other's name.
            if let (Some(known), Some(evidence), Some(left)) = (&known, evidence, left_behind)
                && left.same_bytes(&known.evidence)
            {
                writer.exchange(place.row, &evidence, known.row, &left)?;
                return Ok(nothing());
            }
            let known = known.is_some();
            // What came is not what is there now: it is for the look at the path to say what that is.
            if known && evidence.is_none() {
                return Ok(Applied { probe, left: None });
            }
            let evidence = evidence.unwrap_or(place.evidence);
            probe.extend(
                writer
                    .move_place(place.row, target, new_name, &evidence)?
                    .to_probe(),
            );
            let left = (has_items && !known).then(|| ((parent, name.to_owned()), place.row));
            Ok(Applied { probe, left })
        })
    }
}

/// Whether a name may be one that [`is_set_aside`] knows, whatever it was before.
pub(super) fn may_be_set_aside(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_lowercase();
    name.starts_with(['.', '_'])
        || name.contains(['~', '#'])
        || MARKS.iter().any(|mark| name.contains(mark))
}

/// Whether a rename looks as programs set a file aside before they write it anew, or delete it: `a.wav~`, `a.wav.bak`,
/// `a.bak`, `a-old1.wav`, `.a.wav.tmp`, …, in the same folder.
pub(super) fn is_set_aside(from: &Path, to: &Path) -> bool {
    if from.parent() != to.parent() {
        return false;
    }
    let text = |name: Option<&OsStr>| name.map(|name| name.to_string_lossy().to_lowercase());
    let (Some(old), Some(stem), Some(new)) = (
        text(from.file_name()),
        text(from.file_stem()),
        text(to.file_name()),
    ) else {
        return false;
    };
    let extension = text(from.extension()).unwrap_or_default();
    let plain = new.trim_start_matches(['.', '~', '#', '_']);
    let Some(rest) = plain.strip_prefix(stem.as_str()) else {
        return false;
    };
    // What the stem of the old name has been lengthened by, without its extension at either side.
    let rest = rest
        .strip_prefix(&format!(".{extension}"))
        .filter(|_| !extension.is_empty())
        .unwrap_or(rest);
    let rest = rest
        .strip_suffix(&format!(".{extension}"))
        .filter(|_| !extension.is_empty())
        .unwrap_or(rest);
    if rest.is_empty() {
        // `~a.wav`, `.a.wav`
        return plain.len() < new.len() && plain == old;
    }
    let word = rest.trim_matches(|c: char| !c.is_alphanumeric());
    let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
    let separated = rest.starts_with(|c: char| !c.is_alphanumeric());
    let marked = rest
        .chars()
        .all(|c| c == '~' || c == '.' || c == '#' || c.is_ascii_digit())
        && rest.contains(['~', '#']);
    separated && (MARKS.contains(&word) || marked)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::is_set_aside;

    #[test]
    fn names_of_files_that_are_set_aside_are_known() {
        for to in [
            "kick.wav~",
            "kick.wav.bak",
            "kick.bak",
            "Kick.BAK",
            "kick.wav.~1~",
            "kick.wav.orig",
            "kick-old1.wav",
            "kick.old.wav",
            "kick_old.wav",
            "~kick.wav",
            "#kick.wav#",
            ".kick.wav.tmp",
            "kick.bak2",
        ] {
            assert!(
                is_set_aside(Path::new("/a/kick.wav"), &Path::new("/a").join(to)),
                "{to}"
            );
        }
        for to in [
            "kick 2.wav",
            "kick2.wav",
            "kickold.wav",
            "kick.aiff",
            "snare.wav",
            "kick-golden.wav",
            "bak.wav",
            "kick-take3.wav",
        ] {
            assert!(
                !is_set_aside(Path::new("/a/kick.wav"), &Path::new("/a").join(to)),
                "{to}"
            );
        }
        assert!(!is_set_aside(
            Path::new("/a/kick.wav"),
            Path::new("/b/kick.wav~")
        ));
        assert!(is_set_aside(Path::new("/a/kick"), Path::new("/a/kick~")));
    }
}
