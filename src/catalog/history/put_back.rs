//! Putting back what cells held before: a name, the bytes, a tag, or a whole item that was removed.
//!
//! The steps of an operation that is reverted come one by one, each with the value that its cell is to hold. Where that
//! can't be had any more, as where the file was changed since, it is a conflict. What others are to be told of (files to be
//! probed, pins, libraries) goes into what was reverted.

use super::Writer;
use super::cell::{Bytes, Cell, Label, Record, Value, is_source};
use super::revert::{Conflict, RevertError, Reverted, Step};
use crate::catalog::convert::{Coded, stored};
use crate::catalog::error::Result;
use crate::catalog::labels::LabelRow;
use crate::catalog::rows::{BaseNo, ItemNo, OperationRow, PlaceNo, PlaceRow};
use crate::model::{
    Availability, Kind, MediaId, ObjectHash, Origin, Playable, TagSource, display_name,
};

impl Writer {
    /// A step's cell holds this from now on.
    pub(super) fn apply(
        &mut self,
        root: &OperationRow,
        step: &Step,
        to: &Value,
        done: &mut Reverted,
    ) -> std::result::Result<(), RevertError> {
        let item = step.item;
        match (&step.cell, to) {
            (Cell::Library(base), to) => {
                let active = !to.is_none();
                self.set_active(BaseNo(*base), active, false)?;
                done.libraries.push((BaseNo(*base), active));
            }
            (Cell::Exists, Value::Record(record)) => self.restore(root, item, record)?,
            (Cell::Exists, Value::None) => self.remove(item)?,
            (Cell::Name, Value::Text(name)) => {
                let row = self.known_item(item)?;
                self.set_name(&row, name)?;
            }
            (Cell::Bytes, Value::Bytes(bytes)) => {
                done.probe.extend(self.put_bytes(root, item, bytes)?);
            }
            (Cell::Tag(key), Value::Label(label)) => self.put_tag(item, key, &row_of(label))?,
            (Cell::Tag(key), Value::None) => {
                self.drop_label("DELETE FROM tag WHERE item = ?1 AND key = ?2", item, key)?
            }
            (Cell::Attribute(key), Value::Label(label)) => {
                self.put_attribute_row(item, key, &label.value, &row_of(label))?;
            }
            (Cell::Attribute(key), Value::None) => self.drop_label(
                "DELETE FROM attribute WHERE item = ?1 AND key = ?2",
                item,
                key,
            )?,
            (Cell::Pin(owner), Value::There) => {
                self.pin(item, owner)?;
                done.pins.push((item, owner.clone(), true));
            }
            (Cell::Pin(owner), Value::None) => {
                self.unpin(item, owner)?;
                done.pins.push((item, owner.clone(), false));
            }
            (Cell::Usage(project, role, target), Value::Time(at)) => {
                self.put_usage(item, project, role, target, *at)?;
            }
            (Cell::Usage(project, role, target), Value::None) => {
                self.drop_usage(item, project, role, target)?;
            }
            _ => {
                return Err(RevertError::Conflict(vec![Conflict {
                    media_id: None,
                    what: format!("what {} was before is not known", step.name),
                    by: Some(root.clone()),
                }]));
            }
        }
        let changed = self.reader().item(item)?;
        if let Some(row) = changed {
            self.changes.item(item, &row.media_id, false);
        }
        Ok(())
    }

    fn drop_label(&mut self, sql: &str, item: ItemNo, key: &str) -> Result<()> {
        self.run("removing a tag or attribute", sql, (item.0, key))
            .map(|_| ())
    }

    /// An item that was removed is there again, with everything that was known of it.
    fn restore(
        &mut self,
        root: &OperationRow,
        item: ItemNo,
        record: &Record,
    ) -> std::result::Result<(), RevertError> {
        let odd = |what: String| {
            RevertError::Conflict(vec![Conflict {
                media_id: record.media_id.parse().ok(),
                what,
                by: None,
            }])
        };
        let id: MediaId = record
            .media_id
            .parse()
            .map_err(|_| odd(format!("{:?} is no id", record.media_id)))?;
        let project = (record.scope != 0).then_some(BaseNo(record.scope));
        if let Some(other) = self.reader().item_in_scope(&id, project)? {
            return Err(odd(format!("the id {id} is that of {} now", other.name)));
        }
        let place = match record.bytes.place {
            Some(place) => self.reader().place(PlaceNo(place))?,
            None => None,
        };
        if let Some(place) = &place {
            for other in self.reader().items_of(place.row)? {
                if other.project != project || self.drop_if_found(other.row)? {
                    continue;
                }
                // Made of the file since. Whoever was only pointed to it may stay.
                if self.was_made_since(other.row, root)? {
                    return Err(odd(format!(
                        "the file of {} is that of the sound {} ({}) now",
                        record.name, other.name, other.media_id
                    )));
                }
            }
        }
        let kind = Kind::from(record.bytes.kind.clone());
        let evidence = place.as_ref().map(|place| place.evidence);
        let (availability, playable) = match &place {
            Some(place) => self.recorded_here(place)?,
            None => (Availability::Missing, Playable::Error),
        };
        let hash = match &place {
            Some(place) => self.reader().hash_at(place.row)?,
            None => None,
        };
        self.run(
            "restoring an item",
            "INSERT INTO item (number, media_id, scope, kind, name, origin, lifecycle, generation, size, modified, born, \
             permissions, availability, playable, place, hashed) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
            rusqlite::params![
                item.0,
                id.as_str(),
                record.scope,
                kind.as_str(),
                &record.name,
                Origin::from(record.origin.clone()).as_str(),
                record.lifecycle,
                // What its old nodes showed may have changed since.
                record.generation.saturating_add(1),
                stored(evidence.map_or(record.bytes.size, |evidence| evidence.size)),
                evidence.map_or(record.bytes.modified, |evidence| evidence.modified.0),
                evidence.map_or(record.born, |evidence| evidence.born.map(|born| born.0)),
                evidence.map_or(record.permissions, |evidence| evidence.permissions),
                availability.code(),
                playable.code(),
                place.as_ref().map(|place| place.row.0),
                hash.is_some(),
            ],
        )?;
        if let Some(recorded) = record.bytes.to_record(place.as_ref()) {
            self.set_recorded(item, recorded)?;
        }
        self.restore_labels(item, record)?;
        if let Some(place) = &place {
            if project.is_none() {
                self.run(
                    "restoring an item",
                    "UPDATE place SET forgotten = 0 WHERE number = ?1 AND forgotten = 1",
                    [place.row.0],
                )?;
            }
            if !place.is_here() {
                self.items_are_missing(place)?;
            }
            if let Some(folder) = place.folder {
                self.changes.name(folder, &place.name);
            }
        }
        if let Some(project) = project {
            self.own_names(project, &id, Some(item))?;
            self.show(project, item, &id, &kind, &record.name)?;
        }
        self.own_used_names(item, &id, project)?;
        self.changes.item(item, &id, true);
        self.tell_twins(&id)?;
        Ok(())
    }

    fn was_made_since(&self, item: ItemNo, root: &OperationRow) -> Result<bool> {
        let found = self.reader().db().one(
            "looking for what stands in the way",
            "SELECT 1 FROM operation_step s JOIN operation o ON o.number = s.operation \
             WHERE s.item = ?1 AND s.cell = ?2 AND o.root IS NULL AND o.reverted IS NULL AND o.applied > ?3 LIMIT 1",
            (item.0, Cell::Exists.text(), root.applied.0),
            |_| Ok(()),
        )?;
        Ok(found.is_some())
    }

    fn restore_labels(&mut self, item: ItemNo, record: &Record) -> Result<()> {
        for (key, label) in &record.tags {
            self.put_tag(item, key, &row_of(label))?;
        }
        for (key, label) in &record.attributes {
            self.put_attribute_row(item, key, &label.value, &row_of(label))?;
        }
        for storage in &record.alternatives {
            self.put_alternative(item, storage)?;
        }
        for owner in &record.pins {
            self.run(
                "restoring an item",
                "INSERT OR IGNORE INTO pin (item, owner) VALUES (?1, ?2)",
                (item.0, owner),
            )?;
        }
        for (name, turn) in &record.former {
            self.run(
                "restoring an item",
                "INSERT OR IGNORE INTO former_name (item, name, turn) VALUES (?1, ?2, ?3)",
                (item.0, name, turn),
            )?;
        }
        for (base, entry) in &record.entries {
            let project = (*base != 0).then_some(BaseNo(*base));
            self.keep_entry(item, project, Some(entry))?;
        }
        for (project, role, target, at) in &record.usages {
            self.put_usage(item, project, role, target, *at)?;
        }
        for (project, role, target, at) in &record.removed_usages {
            self.mark_removed(item, project, role, target, *at)?;
        }
        Ok(())
    }

    fn set_recorded(&mut self, item: ItemNo, recorded: &str) -> Result<()> {
        self.run(
            "recording where an item is",
            "UPDATE item SET recorded = ?2 WHERE number = ?1",
            (item.0, recorded),
        )
        .map(|_| ())
    }

    /// An item has the bytes again that it had. Gives the place that was left, if there is a file without an item now.
    fn put_bytes(
        &mut self,
        root: &OperationRow,
        item: ItemNo,
        bytes: &Bytes,
    ) -> std::result::Result<Option<PlaceNo>, RevertError> {
        let row = self.known_item(item)?;
        let conflict = |what: String, by: Option<OperationRow>| {
            RevertError::Conflict(vec![Conflict {
                media_id: Some(row.media_id.clone()),
                what,
                by,
            }])
        };
        let place = match bytes.place {
            Some(place) => self.reader().place(PlaceNo(place))?,
            None => None,
        };
        let Some(place) = place else {
            let what = format!("the file that {} had is not known any more", row.name);
            return Err(conflict(what, Some(root.clone())));
        };
        if place.is_here() && !self.has_bytes(&place, bytes)? {
            let file = display_name(place.name.as_encoded_bytes());
            let what = format!("the file {file} that {} had was changed since", row.name);
            return Err(conflict(what, None));
        }
        // What a look at the folder made of the file meanwhile gives way.
        for other in self.reader().items_of(place.row)? {
            if other.project == row.project && other.row != item {
                self.drop_if_found(other.row)?;
            }
        }
        let left = self.point_to(item, &place)?;
        if let Some(recorded) = bytes.to_record(Some(&place)) {
            self.set_recorded(item, recorded)?;
        }
        Ok(left)
    }

    fn has_bytes(&self, place: &PlaceRow, bytes: &Bytes) -> Result<bool> {
        let now: Option<ObjectHash> = self.reader().hash_at(place.row)?;
        Ok(match (&now, &bytes.blake3) {
            (Some(now), Some(then)) => now.to_string() == *then,
            _ => place.evidence.size == bytes.size && place.evidence.modified.0 == bytes.modified,
        })
    }

    /// Removes an item of the library that a look at a folder has made, and nobody has touched since; gives whether it was
    /// one.
    fn drop_if_found(&mut self, item: ItemNo) -> Result<bool> {
        let is_untouched = self
            .reader()
            .db()
            .one(
                "asking whether an item was touched",
                "SELECT 1 FROM item i WHERE i.number = ?1 AND i.scope = 0 AND i.origin = 'reference' \
                 AND NOT EXISTS (SELECT 1 FROM tag t WHERE t.item = i.number AND (t.source = ?2 OR t.removed = 1)) \
                 AND NOT EXISTS (SELECT 1 FROM attribute a WHERE a.item = i.number AND (a.source = ?2 OR a.removed = 1)) \
                 AND NOT EXISTS (SELECT 1 FROM usage u WHERE u.item = i.number) \
                 AND NOT EXISTS (SELECT 1 FROM pin n WHERE n.item = i.number) \
                 AND NOT EXISTS (SELECT 1 FROM operation_step s WHERE s.item = i.number)",
                (item.0, TagSource::User.code()),
                |_| Ok(()),
            )?
            .is_some();
        if !is_untouched {
            return Ok(false);
        }
        let place = self.known_item(item)?.place_of_record();
        self.remove(item)?;
        if let Some(place) = place {
            self.run(
                "restoring an item",
                "UPDATE place SET forgotten = 0 WHERE number = ?1",
                [place.0],
            )?;
        }
        Ok(true)
    }
}

fn row_of(label: &Label) -> LabelRow<'_> {
    LabelRow {
        name: &label.name,
        source: match is_source(label.source) {
            true => label.source,
            false => TagSource::User.code(),
        },
        confidence: f32::from_bits(label.confidence),
        removed: label.removed,
    }
}
