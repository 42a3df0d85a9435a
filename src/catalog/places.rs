//! Writing what is on disk: folders and files seen, changed, gone and back. This is where a generation rises.
//!
//! A file is another content when its size, modification time, inode, or inode-change time is another than
//! recorded; the last two count only where the file system keeps them both times: a disk may be mounted by another
//! driver. A file that was not there and is back with the same size and modification time is believed to be as it was.

use std::collections::HashSet;
use std::ffi::OsStr;

use super::capsules::Content;
use super::convert::{Coded, bytes_of, stored};
use super::error::{CatalogError, Result};
use super::rows::{
    Evidence, FolderNo, Nanoseconds, Observation, Observed, PlaceKind, PlaceNo, PlaceRow,
    same_second,
};
use super::writer::Writer;
use crate::model::{Availability, Format, Playable, Status, compared};
use crate::silence::placeholder;

/// How a file came to be looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// By a scan or the watcher.
    Scan,
    /// It was moved by name: that changes the inode's time, and nothing of the content.
    Move,
}

/// What is known of a file or folder that was looked for and not found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Absence {
    /// There is nothing of that name.
    Gone,
    /// Its storage is not there, so nobody can say.
    Away,
}

/// What a player gets of an item whose bytes are nowhere: silence where it can be made, by a capsule or by facts.
pub(super) fn playable_when_missing(format: Option<&Format>, size: u64, capsule: bool) -> Playable {
    let silent = capsule || format.is_some_and(|format| placeholder(format, size, None).is_ok());
    Status::missing(silent).playable()
}

impl Writer {
    /// A folder was seen: made, or marked present. Gives its number.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`] parent; when SQLite fails.
    pub fn folder(
        &mut self,
        parent: FolderNo,
        name: &OsStr,
        modified: Nanoseconds,
    ) -> Result<FolderNo> {
        if let Some((row, present)) = self.reader().folder_named(parent, name)? {
            if !present || row.modified != modified {
                self.run(
                    "recording a folder",
                    "UPDATE folder SET modified = ?2, present = 1 WHERE number = ?1",
                    (row.row.0, modified.0),
                )?;
            }
            if !present {
                self.changes.name(parent, name);
            }
            return Ok(row.row);
        }
        let base = self.base_of(parent)?;
        let bytes = bytes_of(name);
        self.run(
            "adding a folder",
            "INSERT INTO folder (base, parent, name, key, modified, present) VALUES (?1, ?2, ?3, ?4, ?5, 1)",
            (base, parent.0, bytes, compared(bytes), modified.0),
        )?;
        let folder = FolderNo(self.inserted()?);
        self.changes.name(parent, name);
        Ok(folder)
    }

    /// A file was seen. Says what that means, and whether to probe it: a place that was never probed is `New` until
    /// it is, one whose present content was not probed yet is `Changed`.
    ///
    /// A link is no other content of a file: where one has taken a file's name, the file is gone, and its items wait for
    /// it to be found under another name.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`] folder; when SQLite fails.
    pub fn observe(
        &mut self,
        folder: FolderNo,
        name: &OsStr,
        seen: &Observation,
    ) -> Result<Observed> {
        if let Some(row) = self.reader().place_named(folder, name)? {
            if !row.is_replaced_by_link(&seen.kind) {
                return self.see(&row, seen, Look::Scan);
            }
            self.displace(&row)?;
        }
        let base = self.base_of(folder)?;
        let bytes = bytes_of(name);
        let Evidence {
            device,
            inode,
            size,
            modified,
            changed,
            born,
            permissions,
        } = seen.evidence;
        self.run(
            "adding a file",
            "INSERT INTO place (base, folder, name, key, link, device, inode, size, modified, changed, born, \
             permissions, generation, present) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 1, 1)",
            (
                base,
                folder.0,
                bytes,
                compared(bytes),
                link_target(&seen.kind),
                stored(device),
                stored(inode),
                stored(size),
                modified.0,
                changed.0,
                born.map(|born| born.0),
                permissions,
            ),
        )?;
        let place = PlaceNo(self.inserted()?);
        self.changes.name(folder, name);
        Ok(Observed::New(place))
    }

    /// As [`Writer::observe`], where not the file was seen but one that stands for it while its bytes are with a cloud
    /// provider only: of a file that is known nothing has changed, if that says so. Of one that is not known, or is
    /// another content now, the size is not known; what is recorded is that of what stands for it.
    ///
    /// # Errors
    /// As there.
    pub fn observe_stand_in(
        &mut self,
        folder: FolderNo,
        name: &OsStr,
        seen: &Observation,
    ) -> Result<Observed> {
        match self.reader().place_named(folder, name)? {
            Some(row) if row.is_stood_for_by(&seen.evidence) => {
                let known = Observation {
                    kind: PlaceKind::File,
                    evidence: row.evidence,
                };
                self.see(&row, &known, Look::Scan)
            }
            _ => self.observe(folder, name, seen),
        }
    }

    /// Compares what is seen at a known place with what is recorded, and records it.
    pub(super) fn see(
        &mut self,
        row: &PlaceRow,
        seen: &Observation,
        look: Look,
    ) -> Result<Observed> {
        let (old, new) = (&row.evidence, &seen.evidence);
        let was_here = row.is_here();
        // Through a driver that makes up the numbers of inodes there is none, nor a time of its own. And whatever a
        // cloud provider has brought is a new file.
        let numbered = old.inode != 0 && new.inode != 0 && !row.online_only;
        let same_time = old.modified == new.modified
            || (row.online_only && same_second(old.modified, new.modified));
        if !was_here {
            self.bring_home(row.row)?;
        }
        // Nobody has seen what is known from a project's manifest alone; the copy here may have another time.
        let told = row.is_told_of();
        let same_content = row.kind == seen.kind
            && old.size == new.size
            && (same_time || told)
            // What was gone may be back from a backup, or from another disk.
            && (!was_here || !numbered || old.inode == new.inode);
        if !same_content {
            self.record_change(row, seen)?;
            return Ok(Observed::Changed(row.row));
        }
        if !was_here || old != new {
            self.record_evidence(row, seen, row.generation)?;
        }
        // Links, attributes and moves change the inode's time, and hardly anything else does. Whether it was one of
        // those is for the hash to say: see `put_hash`.
        let doubtful = numbered && (old.changed != new.changed || old.inode != new.inode);
        if look == Look::Scan && (doubtful || told) {
            let doubted = self.run(
                "doubting a hash",
                "UPDATE item SET hashed = 0 WHERE place = ?1",
                [row.row.0],
            )?;
            if doubted == 0 {
                // There is nobody for whom it would be computed again.
                self.run(
                    "forgetting a hash",
                    "UPDATE content SET blake3 = NULL WHERE place = ?1 AND blake3 IS NOT NULL",
                    [row.row.0],
                )?;
            }
        }
        if told {
            self.run(
                "recording the time of an item",
                "UPDATE item SET modified = ?2 WHERE place = ?1",
                (row.row.0, new.modified.0),
            )?;
        }
        if !was_here || old.permissions != new.permissions || old.born != new.born {
            self.record_attributes(row.row, new)?;
        }
        if !was_here {
            self.items_are_back(row.row)?;
            if let Some(folder) = row.folder {
                self.changes.name(folder, &row.name);
            }
        }
        Ok(match self.probed(row.row)? {
            0 => Observed::New(row.row),
            probed if probed != row.generation => Observed::Changed(row.row),
            _ if was_here => Observed::Unchanged(row.row),
            _ => Observed::Returned(row.row),
        })
    }

    fn record_evidence(
        &mut self,
        row: &PlaceRow,
        seen: &Observation,
        generation: u32,
    ) -> Result<()> {
        let evidence = &seen.evidence;
        self.run(
            "recording a file",
            "UPDATE place SET link = ?2, device = ?3, inode = ?4, size = ?5, modified = ?6, changed = ?7, born = ?8, \
             permissions = ?9, generation = ?10, present = 1, away = 0 WHERE number = ?1",
            (
                row.row.0,
                link_target(&seen.kind),
                stored(evidence.device),
                stored(evidence.inode),
                stored(evidence.size),
                evidence.modified.0,
                evidence.changed.0,
                evidence.born.map(|born| born.0),
                evidence.permissions,
                generation,
            ),
        )
        .map(|_| ())
    }

    /// Another content: the generation of the place and of its items rises, and its hash is not known any more.
    /// Facts stay until the new content is probed, but count for no placeholder.
    pub(super) fn record_change(&mut self, row: &PlaceRow, seen: &Observation) -> Result<()> {
        let evidence = &seen.evidence;
        self.record_evidence(row, seen, row.generation.saturating_add(1))?;
        if row.problem.is_some() {
            self.run(
                "recording a changed file",
                "UPDATE place SET problem = NULL WHERE number = ?1",
                [row.row.0],
            )?;
        }
        self.run(
            "forgetting the hash of a changed file",
            "UPDATE content SET blake3 = NULL WHERE place = ?1 AND blake3 IS NOT NULL",
            [row.row.0],
        )?;
        self.send_home(row.row)?;
        // Facts of the new content are not known yet, so there is no silence of its shape either.
        let changed = PlaceRow {
            generation: row.generation.saturating_add(1),
            evidence: *evidence,
            ..row.clone()
        };
        let (availability, playable) = self.recorded_here(&changed)?;
        self.run(
            "recording a changed item",
            "UPDATE item SET generation = generation + 1, size = ?2, modified = ?3, born = ?4, permissions = ?5, \
             availability = ?6, playable = ?7, hashed = 0 WHERE place = ?1",
            (
                row.row.0,
                stored(evidence.size),
                evidence.modified.0,
                evidence.born.map(|born| born.0),
                evidence.permissions,
                availability.code(),
                playable.code(),
            ),
        )?;
        self.tell_items_at(row.row, true)?;
        if let Some(folder) = row.folder {
            self.changes.name(folder, &row.name);
        }
        Ok(())
    }

    fn record_attributes(&mut self, place: PlaceNo, evidence: &Evidence) -> Result<()> {
        let changed = self.run(
            "recording the attributes of an item",
            "UPDATE item SET born = ?2, permissions = ?3 WHERE place = ?1",
            (
                place.0,
                evidence.born.map(|born| born.0),
                evidence.permissions,
            ),
        )?;
        if changed > 0 {
            self.tell_items_at(place, true)?;
        }
        Ok(())
    }

    /// The bytes of a place's items are on this machine, and so are those of missing ones with the same bytes.
    pub(super) fn items_are_back(&mut self, place: PlaceNo) -> Result<()> {
        let Some(row) = self.reader().place(place)? else {
            return Ok(());
        };
        let (availability, playable) = self.recorded_here(&row)?;
        self.run(
            "recording that an item is back",
            "UPDATE item SET availability = ?2, playable = ?3 WHERE place = ?1",
            (place.0, availability.code(), playable.code()),
        )?;
        self.tell_items_at(place, true)?;
        match self.reader().hash_at(place)? {
            Some(hash) => self.heal(place, hash),
            None => Ok(()),
        }
    }

    /// A file is gone: it leaves the library's views. Its items become missing (silence, or an error where nothing is
    /// known to make silence from), but for those whose bytes are elsewhere too.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn place_gone(&mut self, place: PlaceNo) -> Result<()> {
        self.place_absent(place, Absence::Gone)
    }

    /// The storage of a file is not there, so nobody can say whether the file is: what was last known goes on being
    /// shown. Its items become missing, as those of [`Writer::place_gone`] do.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn place_away(&mut self, place: PlaceNo) -> Result<()> {
        self.place_absent(place, Absence::Away)
    }

    /// As [`Writer::place_away`], of up to `most` files of a folder; says whether there may be more.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn files_away(&mut self, folder: FolderNo, most: usize) -> Result<bool> {
        let places = self.reader().db().many(
            "listing files that are away",
            "SELECT number FROM place WHERE folder = ?1 AND present = 1 AND away = 0 LIMIT ?2",
            (folder.0, i64::try_from(most).unwrap_or(i64::MAX)),
            |row| row.get(0).map(PlaceNo),
        )?;
        for place in &places {
            self.place_away(*place)?;
        }
        Ok(places.len() == most)
    }

    fn place_absent(&mut self, place: PlaceNo, absence: Absence) -> Result<()> {
        let Some(row) = self.reader().place(place)? else {
            return Ok(());
        };
        let news = match absence {
            Absence::Gone => row.present,
            Absence::Away => row.is_here(),
        };
        if !news {
            return Ok(());
        }
        self.run(
            "recording that a file is not there",
            match absence {
                Absence::Gone => "UPDATE place SET present = 0, away = 0 WHERE number = ?1",
                Absence::Away => "UPDATE place SET away = 1 WHERE number = ?1",
            },
            [place.0],
        )?;
        if let Some(folder) = row.folder {
            self.changes.name(folder, &row.name);
        }
        self.send_home(place)?;
        self.items_are_missing(&row)
    }

    /// The items of a place that is not there, or whose facts have become others since.
    pub(super) fn items_are_missing(&mut self, row: &PlaceRow) -> Result<()> {
        let format = self.reader().format_at(row.row)?;
        let capsule = self.will_have_capsule(Content::of(row));
        let playable = playable_when_missing(format.as_ref(), row.evidence.size, capsule);
        self.run(
            "recording that an item is missing",
            "UPDATE item SET availability = ?2, playable = ?3 WHERE place = ?1",
            (row.row.0, Availability::Missing.code(), playable.code()),
        )?;
        self.tell_items_at(row.row, true)?;
        self.lend(row.row)
    }

    /// A folder is gone, with everything below it.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn folder_gone(&mut self, folder: FolderNo) -> Result<()> {
        self.folder_absent(folder, Absence::Gone)
    }

    /// The storage of a folder and of everything below it is not there: see [`Writer::place_away`].
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn folder_away(&mut self, folder: FolderNo) -> Result<()> {
        self.folder_absent(folder, Absence::Away)
    }

    fn folder_absent(&mut self, folder: FolderNo, absence: Absence) -> Result<()> {
        let (mut waiting, mut seen) = (vec![folder], HashSet::new());
        while let Some(folder) = waiting.pop() {
            let places = self.reader().db().many(
                "listing files that are gone",
                "SELECT number FROM place WHERE folder = ?1 AND present = 1 AND (away = 0 OR ?2) ORDER BY number",
                (folder.0, absence == Absence::Gone),
                |row| row.get(0).map(PlaceNo),
            )?;
            for place in places {
                self.place_absent(place, absence)?;
            }
            let Some(row) = self.reader().folder(folder)? else {
                continue;
            };
            // Marked before its children are read, so that even a damaged catalog has an end.
            let marked = match row.parent {
                None => 1,
                Some(_) if absence == Absence::Away => usize::from(seen.insert(folder)),
                Some(_) => self.run(
                    "recording that a folder is gone",
                    "UPDATE folder SET present = 0 WHERE number = ?1 AND present = 1",
                    [folder.0],
                )?,
            };
            if marked == 0 {
                continue;
            }
            if let Some(parent) = row.parent.filter(|_| absence == Absence::Gone) {
                self.changes.name(parent, &row.name);
            }
            waiting.extend(self.reader().db().many(
                "listing folders that are gone",
                "SELECT number FROM folder WHERE parent = ?1 AND present = 1",
                [folder.0],
                |row| row.get(0).map(FolderNo),
            )?);
        }
        Ok(())
    }

    /// Tells the listeners of all items of a place.
    pub(super) fn tell_items_at(&mut self, place: PlaceNo, swapped: bool) -> Result<()> {
        for item in self.reader().items_at(place)? {
            self.changes.item(item.row, &item.media_id, swapped);
        }
        Ok(())
    }

    /// The number of the base of a folder.
    pub(super) fn base_of(&self, folder: FolderNo) -> Result<u32> {
        match self.reader().folder(folder)? {
            Some(row) => Ok(row.base.0),
            None => Err(CatalogError::Unknown {
                what: "folder",
                number: folder.0,
            }),
        }
    }

    /// The generation of a place that was probed last; 0 before the first time.
    fn probed(&self, place: PlaceNo) -> Result<u32> {
        let found = self.reader().db().one(
            "reading a file",
            "SELECT probed FROM place WHERE number = ?1",
            [place.0],
            |row| row.get(0),
        )?;
        Ok(found.unwrap_or(0))
    }
}

impl PlaceRow {
    /// Whether it is a file, and what has its name now is a link.
    pub(super) fn is_replaced_by_link(&self, now: &PlaceKind) -> bool {
        self.kind == PlaceKind::File && matches!(now, PlaceKind::Link(_))
    }

    /// Whether a file that stands for one of this name, whose bytes are with a cloud provider only, stands for this
    /// content. Clients give it the time of the content, in whole seconds.
    #[must_use]
    pub fn is_stood_for_by(&self, seen: &Evidence) -> bool {
        self.kind == PlaceKind::File && same_second(self.evidence.modified, seen.modified)
    }
}

/// What `place.link` keeps.
fn link_target(kind: &PlaceKind) -> Option<&[u8]> {
    match kind {
        PlaceKind::File => None,
        PlaceKind::Link(target) => Some(bytes_of(target)),
    }
}
