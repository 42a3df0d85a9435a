//! Writing what was read from the bytes: probes and hashes.

use super::capsules::{CapsuleChange, Content};
use super::convert::{bytes_of, container_word, kind_of};
use super::error::{CatalogError, Result};
use super::items::Fresh;
use super::rows::{BaseKind, BaseNo, BaseRow, ItemNo, Observation, PlaceNo, PlaceRow, ProbeRecord};
use super::writer::Writer;
use crate::model::{
    Attribute, Confidence, Format, Kind, MediaId, ObjectHash, Origin, TagSource, display_name,
};
use crate::silence::Capsule;

/// The scope of items that files of a base become by themselves.
fn scope_of(base: &BaseRow) -> Option<BaseNo> {
    match base.kind {
        BaseKind::Project => Some(base.row),
        BaseKind::Library | BaseKind::Computer | BaseKind::Source => None,
    }
}

impl Writer {
    /// What probing a place gave, if it still has the content (`generation` of the place) that was probed; else
    /// nothing is recorded. A media file of a library becomes an item at its first record, unless the user has
    /// removed its item; gives the item of the library's scope (of a project's base: of the project's scope).
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn record_probe(
        &mut self,
        place: PlaceNo,
        generation: u32,
        record: &ProbeRecord,
    ) -> Result<Option<ItemNo>> {
        let Some((row, base)) = self.record_content(place, generation, record)? else {
            return Ok(None);
        };
        if let ProbeRecord::Media { kind, .. } = record {
            return self.item_of(&row, &base, kind);
        }
        let scope = scope_of(&base);
        Ok(self.reader().item_at(place, scope)?.map(|item| item.row))
    }

    /// A file whose bytes are online only, so that nobody reads it: by its name it is media of this kind, and becomes an
    /// item as by [`Writer::record_probe`], of which nothing else is known. It is probed when its bytes are here.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn record_unread(&mut self, place: PlaceNo, kind: &Kind) -> Result<Option<ItemNo>> {
        let Some(row) = self.reader().place(place)? else {
            return Ok(None);
        };
        let Some(base) = self.reader().base(row.base)? else {
            return Ok(None);
        };
        self.run(
            "recording that a file was not read",
            "UPDATE place SET problem = NULL, probed = generation WHERE number = ?1",
            [place.0],
        )?;
        self.look_again_at_missing(&row)?;
        self.item_of(&row, &base, kind)
    }

    /// The item of a media file; of a library it is made at the first call, unless the user has removed it.
    fn item_of(&mut self, row: &PlaceRow, base: &BaseRow, kind: &Kind) -> Result<Option<ItemNo>> {
        let known = self.reader().item_at(row.row, scope_of(base))?;
        let makes = base.kind == BaseKind::Library && row.folder.is_some();
        if known.is_some() || !makes || self.forgotten(row.row)? {
            return Ok(known.map(|item| item.row));
        }
        let name = display_name(bytes_of(&row.name));
        self.insert_item(
            row,
            &Fresh {
                media_id: MediaId::new(),
                project: None,
                kind: kind.clone(),
                name,
                origin: Origin::Reference,
            },
        )
        .map(Some)
    }

    /// As [`Writer::record_probe`], but makes no item: for an import, which makes its own, with an id that may have
    /// been wished for. Gives the place and its base, if something was recorded.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn record_content(
        &mut self,
        place: PlaceNo,
        generation: u32,
        record: &ProbeRecord,
    ) -> Result<Option<(PlaceRow, BaseRow)>> {
        let Some(row) = self.reader().place(place)? else {
            return Ok(None);
        };
        if row.generation != generation {
            return Ok(None);
        }
        let Some(base) = self.reader().base(row.base)? else {
            return Ok(None);
        };
        let problem = match record {
            ProbeRecord::Problem(reason) => Some(reason.as_str()),
            ProbeRecord::Media { .. } | ProbeRecord::NotMedia => None,
        };
        self.run(
            "recording a probe",
            "UPDATE place SET probed = generation, problem = ?2 WHERE number = ?1",
            (place.0, problem),
        )?;
        match record {
            ProbeRecord::NotMedia => self.record_no_media(&row, Some("no media file any more"))?,
            ProbeRecord::Problem(_) => self.record_no_media(&row, None)?,
            ProbeRecord::Media {
                kind,
                format,
                attributes,
                notes,
                capsule,
                fingerprint,
            } => {
                self.record_facts(&row, kind, format, attributes, notes, *fingerprint)?;
                self.keep_capsule(&row, capsule.as_ref())?;
                self.record_kind(place, kind)?;
                for item in self.reader().items_at(place)? {
                    self.sync_file_attributes(item.row, attributes)?;
                }
                self.look_again_at_missing(&row)?;
                self.tell_items_at(place, false)?;
            }
        }
        Ok(Some((row, base)))
    }

    /// The content is no media: no facts. Items that were made of an earlier content stay.
    fn record_no_media(&mut self, row: &PlaceRow, note: Option<&str>) -> Result<()> {
        let known = self.reader().db().one(
            "reading the facts of a file",
            "SELECT 1 FROM content WHERE place = ?1",
            [row.row.0],
            |_| Ok(()),
        )?;
        if known.is_none() {
            return Ok(());
        }
        let notes = note.map(|note| serde_json::json!([note]).to_string());
        self.run(
            "forgetting facts",
            "UPDATE content SET generation = ?2, kind = NULL, container = NULL, codec = NULL, sample_rate = NULL, \
             channels = NULL, bit_depth = NULL, float = NULL, frames = NULL, duration = NULL, attributes = NULL, \
             notes = ?3, fingerprint = NULL WHERE place = ?1",
            (row.row.0, row.generation, notes),
        )?;
        self.keep_capsule(row, None)?;
        self.look_again_at_missing(row)?;
        self.tell_items_at(row.row, false)
    }

    fn record_facts(
        &mut self,
        row: &PlaceRow,
        kind: &Kind,
        format: &Format,
        attributes: &[(String, serde_json::Value)],
        notes: &[String],
        fingerprint: [u8; 32],
    ) -> Result<()> {
        let notes = (!notes.is_empty()).then(|| serde_json::json!(notes).to_string());
        let attributes =
            (!attributes.is_empty()).then(|| serde_json::json!(attributes).to_string());
        self.run(
            "recording facts",
            "INSERT INTO content (place, generation, kind, container, codec, sample_rate, channels, bit_depth, \
             float, frames, duration, attributes, notes, fingerprint) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) \
             ON CONFLICT (place) DO UPDATE SET generation = ?2, kind = ?3, container = ?4, codec = ?5, \
             sample_rate = ?6, channels = ?7, bit_depth = ?8, float = ?9, frames = ?10, duration = ?11, \
             attributes = ?12, notes = ?13, fingerprint = ?14",
            (
                row.row.0,
                row.generation,
                kind.as_str(),
                container_word(format.container),
                format.codec.as_ref().map(|codec| &codec.0),
                format.sample_rate,
                format.channels,
                format.bit_depth,
                format.float,
                format.frames.map(super::convert::stored),
                format.duration_seconds,
                attributes,
                notes,
                fingerprint,
            ),
        )
        .map(|_| ())
    }

    /// Items are of the kind that their content is.
    fn record_kind(&mut self, place: PlaceNo, kind: &Kind) -> Result<()> {
        for item in self.reader().items_at(place)? {
            // A newer host's word for it stays.
            if item.kind == *kind || matches!(item.kind, Kind::Other(_)) {
                continue;
            }
            self.run(
                "recording the kind of an item",
                "UPDATE item SET kind = ?2 WHERE number = ?1",
                (item.row.0, kind.as_str()),
            )?;
            if let Some(project) = item.project {
                self.show(project, item.row, &item.media_id, kind, &item.name)?;
            }
        }
        Ok(())
    }

    /// Of items whose place is gone already, or not on trusted storage, what a player gets depends on what is known now.
    fn look_again_at_missing(&mut self, row: &PlaceRow) -> Result<()> {
        if row.is_here() {
            self.items_are_here(row)
        } else {
            self.items_are_missing(row)
        }
    }

    /// The hash of an item's content, if it still has the content (`generation` of the item) that was hashed; and
    /// the capsule, where making it needed the whole file.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn record_hash(
        &mut self,
        item: ItemNo,
        generation: u32,
        hash: ObjectHash,
        capsule: Option<&Capsule>,
    ) -> Result<()> {
        let Some(row) = self.reader().item(item)? else {
            return Ok(());
        };
        let Some(place) = row.place.filter(|_| row.generation == generation) else {
            return Ok(());
        };
        let Some(place) = self.reader().place(place)? else {
            return Ok(());
        };
        self.put_hash(place.row, hash)?;
        let Some(place) = self.reader().place(place.row)? else {
            return Ok(());
        };
        if capsule.is_some() {
            self.keep_capsule(&place, capsule)?;
            self.look_again_at_missing(&place)?;
        }
        self.tell_items_at(place.row, false)
    }

    /// The bytes of a place's content (of generation `generation` of the place) have come into the cache: their hash, and
    /// the capsule, where making it needed the whole file. False if the place has another content by now.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn record_arrival(
        &mut self,
        place: PlaceNo,
        generation: u32,
        hash: ObjectHash,
        capsule: Option<&Capsule>,
    ) -> Result<bool> {
        let current = |row: &PlaceRow| row.generation == generation;
        let Some(row) = self.reader().place(place)?.filter(current) else {
            return Ok(false);
        };
        self.put_hash(place, hash)?;
        // Other bytes than its hash promised are another generation.
        if self.reader().place(place)?.filter(current).is_none() {
            return Ok(false);
        }
        if capsule.is_some() {
            self.keep_capsule(&row, capsule)?;
            self.look_again_at_missing(&row)?;
        }
        self.tell_items_at(place, true)?;
        Ok(true)
    }

    /// The content of a place was changed though all that the system says of the file is as it was: that is another
    /// generation, of which nothing is known yet. Nothing if it is another by now.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn record_other_content(&mut self, place: PlaceNo, generation: u32) -> Result<()> {
        let current = |row: &PlaceRow| row.generation == generation;
        let Some(row) = self.reader().place(place)?.filter(current) else {
            return Ok(());
        };
        let seen = Observation {
            kind: row.kind.clone(),
            evidence: row.evidence,
        };
        self.record_change(&row, &seen)
    }

    /// The hash of the present content of a place, for all its items. Where it differs from what it was, the content
    /// was changed and its time put back: that is another generation.
    pub(super) fn put_hash(&mut self, place: PlaceNo, hash: ObjectHash) -> Result<()> {
        let before = self.reader().db().one(
            "reading a hash",
            "SELECT blake3 FROM content WHERE place = ?1 AND blake3 IS NOT NULL",
            [place.0],
            |row| row.get::<_, [u8; 32]>(0),
        )?;
        if before.is_some_and(|before| before != hash.0)
            && let Some(row) = self.reader().place(place)?
        {
            self.record_other_content(place, row.generation)?;
        }
        self.run(
            "recording a hash",
            "INSERT INTO content (place, generation, blake3) VALUES (?1, 0, ?2) \
             ON CONFLICT (place) DO UPDATE SET blake3 = ?2",
            (place.0, hash.0),
        )?;
        self.run(
            "recording a hash",
            "UPDATE item SET hashed = 1 WHERE place = ?1",
            [place.0],
        )?;
        self.heal(place, hash)
    }

    /// The kind of a place's present content, and the values that it states.
    pub(super) fn media_at(
        &self,
        place: &PlaceRow,
    ) -> Result<(Kind, Vec<(String, serde_json::Value)>)> {
        let found = self.reader().db().one(
            "reading the facts of a file",
            "SELECT kind, attributes FROM content WHERE place = ?1 AND generation = ?2 AND kind IS NOT NULL",
            (place.row.0, place.generation),
            |row| {
                let kind = kind_of(row.get_ref(0)?.as_str()?);
                let attributes = match row.get_ref(1)?.as_str_or_null()? {
                    None => Vec::new(),
                    Some(text) => serde_json::from_str(text)
                        .map_err(|e| super::convert::odd_column(1, e))?,
                };
                Ok((kind, attributes))
            },
        )?;
        found.ok_or_else(|| CatalogError::NotMedia {
            name: display_name(bytes_of(&place.name)),
        })
    }

    /// The file's own values become attributes; those that it states no more go.
    pub(super) fn sync_file_attributes(
        &mut self,
        item: ItemNo,
        stated: &[(String, serde_json::Value)],
    ) -> Result<()> {
        let had = self.reader().attributes(item)?;
        for old in had {
            let still = stated
                .iter()
                .any(|(name, _)| super::convert::folded(name) == super::convert::folded(&old.name));
            if old.source == TagSource::File && !still {
                self.run(
                    "removing an attribute",
                    "DELETE FROM attribute WHERE item = ?1 AND key = ?2",
                    (item.0, super::convert::folded(&old.name)),
                )?;
            }
        }
        for (name, value) in stated {
            let attribute = Attribute {
                name: name.clone(),
                value: value.clone(),
                source: TagSource::File,
                confidence: Confidence::CERTAIN,
            };
            match self.put_attribute(item, &attribute) {
                // A file may state odd things; they are not worth a failed scan.
                Ok(_) | Err(CatalogError::InvalidLabel { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The capsule that was made anew of a place's content, if it still has the content (`generation` of the place)
    /// that it was made of; `None` where that gives none any more.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn record_capsule(
        &mut self,
        place: PlaceNo,
        generation: u32,
        capsule: Option<&Capsule>,
    ) -> Result<()> {
        match self.reader().place(place)? {
            Some(row) if row.generation == generation => self.keep_capsule(&row, capsule),
            _ => Ok(()),
        }
    }

    fn keep_capsule(&mut self, row: &PlaceRow, capsule: Option<&Capsule>) -> Result<()> {
        self.run(
            "recording a capsule",
            "UPDATE content SET capsule = ?2 WHERE place = ?1 AND capsule <> ?2",
            (row.row.0, capsule.is_some()),
        )?;
        match capsule {
            // There was no other content, so there is nothing to drop.
            None if row.generation == 1 => {}
            None => self.capsules.push(CapsuleChange::Drop(row.row)),
            Some(capsule) => self
                .capsules
                .push(CapsuleChange::Put(Content::of(row), capsule.clone())),
        }
        Ok(())
    }

    /// There is a capsule of this content, or there will be when this transaction is committed.
    pub(super) fn will_have_capsule(&self, content: Content) -> bool {
        let decided = self.capsules.iter().rev().find_map(|change| match change {
            CapsuleChange::Put(of, _) if of.place == content.place => Some(*of == content),
            CapsuleChange::Drop(place) if *place == content.place => Some(false),
            CapsuleChange::Put(..) | CapsuleChange::Drop(_) => None,
        });
        decided.unwrap_or_else(|| self.reader().shared().capsules.has(content))
    }

    fn forgotten(&self, place: PlaceNo) -> Result<bool> {
        let found = self.reader().db().one(
            "reading a file",
            "SELECT forgotten FROM place WHERE number = ?1",
            [place.0],
            |row| row.get(0),
        )?;
        Ok(found.unwrap_or(false))
    }
}
