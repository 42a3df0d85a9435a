//! A whole media item, put together from all tables in the shape of the protocol.

use std::path::Path;

use super::convert::{Coded, hash_column};
use super::error::Result;
use super::items_read::{format_columns, format_row};
use super::reader::Reader;
use super::rows::{AnalysisKey, BaseKind, ItemNo, ItemRow, PlaceRow};
use crate::model::{
    Attribute, Availability, Confidence, Format, Lifecycle, MediaItem, ObjectHash, Origin, Scope,
    SourceKind, Storage, Tag, TagSource, Usage, display_name, path_text, shown_name,
};

/// What only the row itself says.
struct Rest {
    origin: Origin,
    lifecycle: Lifecycle,
    recorded: Option<String>,
}

/// What the last probe and hash said.
#[derive(Default)]
struct Facts {
    format: Option<Format>,
    notes: Vec<String>,
    blake3: Option<ObjectHash>,
}

impl Reader {
    /// Everything known, in the protocol's shape (`resolved_path` filled when present).
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn media_item(&self, item: ItemNo) -> Result<Option<MediaItem>> {
        self.snapshot(|reader| match reader.item(item)? {
            None => Ok(None),
            Some(row) => reader.assemble(row).map(Some),
        })
    }

    /// As [`Reader::media_item`], of a row that was read already.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn assemble(&self, item: ItemRow) -> Result<MediaItem> {
        self.snapshot(|reader| {
            let row = item.row;
            let alternatives = reader.alternatives(&item)?;
            let bare = reader.put_together(item)?;
            Ok(MediaItem {
                alternatives,
                tags: reader.tags(row)?,
                attributes: reader.attributes(row)?,
                usages: reader.usages(row)?,
                ..bare
            })
        })
    }

    /// As [`Reader::assemble`], without alternatives, tags, attributes and usages: for who reads them otherwise.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn assemble_bare(&self, item: ItemRow) -> Result<MediaItem> {
        self.snapshot(|reader| reader.put_together(item))
    }

    /// The path of an item on the drive, relative to it. Where `by-id/` leads to an item of another scope, it is that in its
    /// project's folder.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn path_of_item(&self, item: &ItemRow) -> Result<String> {
        let below = format!("by-id/{}/{}", item.media_id, shown_name(&item.name));
        let Some(project) = item.project else {
            return Ok(below);
        };
        let by_id = self.item_by_id(&item.media_id)?;
        if by_id.is_none_or(|by_id| by_id.row == item.row) {
            return Ok(below);
        }
        Ok(match self.base(project)? {
            Some(base) => format!("projects/{}/{below}", base.name),
            None => below,
        })
    }

    fn put_together(&self, item: ItemRow) -> Result<MediaItem> {
        let scope = match item.project {
            None => Scope::Library,
            Some(base) => match self.base(base)?.and_then(|row| row.project) {
                Some(project) => Scope::Project(project),
                None => Scope::Library,
            },
        };
        let rest = self
            .db()
            .one(
                "reading an item",
                "SELECT origin, lifecycle, recorded FROM item WHERE number = ?1",
                [item.row.0],
                |row| {
                    Ok(Rest {
                        origin: Origin::from(row.get::<_, String>(0)?),
                        lifecycle: Lifecycle::column(row, 1)?,
                        recorded: row.get(2)?,
                    })
                },
            )?
            .unwrap_or(Rest {
                origin: Origin::Reference,
                lifecycle: Lifecycle::Final,
                recorded: None,
            });
        let place = match item.place {
            None => None,
            Some(place) => self.place(place)?,
        };
        let mut facts = match item.place {
            None => Facts::default(),
            Some(place) => self.facts(place.0)?,
        };
        if let Some(problem) = place.as_ref().and_then(|place| place.problem.clone()) {
            facts.notes.push(problem);
        }
        let (storage, resolved_path) = self.whereabouts(&item, place.as_ref(), rest.recorded)?;
        let path = self.path_of_item(&item)?;
        Ok(MediaItem {
            scope,
            kind: item.kind,
            origin: rest.origin,
            storage,
            alternatives: Vec::new(),
            resolved_path,
            candidates: Vec::new(),
            sidecars: Vec::new(),
            format: facts.format,
            size: item.size,
            modified_nanoseconds: item.modified.0,
            born_nanoseconds: item.born.map(|born| born.0),
            blake3: facts.blake3,
            lifecycle: rest.lifecycle,
            availability: item.availability,
            playable: item.playable,
            notes: facts.notes,
            tags: Vec::new(),
            attributes: Vec::new(),
            usages: Vec::new(),
            path,
            media_id: item.media_id,
            name: item.name,
        })
    }

    /// The facts of the last probe, even where the content has changed since.
    fn facts(&self, place: u32) -> Result<Facts> {
        let found = self.db().one(
            "reading the facts of an item",
            concat!(
                "SELECT ",
                format_columns!(),
                ", c.notes, c.blake3 FROM content c WHERE c.place = ?1"
            ),
            [place],
            |row| {
                let notes = row.get_ref(8)?.as_str_or_null()?;
                Ok(Facts {
                    format: format_row(row)?,
                    // Written by us; a text that is no list says as much to a reader as it can.
                    notes: notes
                        .map(|text| {
                            serde_json::from_str(text).unwrap_or_else(|_| vec![text.to_owned()])
                        })
                        .unwrap_or_default(),
                    blake3: hash_column(row, 9)?,
                })
            },
        )?;
        Ok(found.unwrap_or_default())
    }

    /// The storage of record, and where the bytes are now (at `place`).
    fn whereabouts(
        &self,
        item: &ItemRow,
        place: Option<&PlaceRow>,
        recorded: Option<String>,
    ) -> Result<(Storage, Option<String>)> {
        let recorded = recorded.and_then(|text| serde_json::from_str::<Storage>(&text).ok());
        let unknown = || Storage::Reference {
            root: None,
            path: place.map_or_else(
                || item.name.clone(),
                |place| display_name(place.name.as_encoded_bytes()),
            ),
        };
        let Some(place) = place else {
            return Ok((recorded.unwrap_or_else(unknown), None));
        };
        let derived = self.storage_of(item, place)?;
        let here = place.is_here()
            && matches!(
                item.availability,
                Availability::Local | Availability::ExternalOnline
            );
        let resolved = derived
            .as_ref()
            .filter(|_| here)
            .map(|(_, absolute)| absolute.clone());
        let of_record = match item.home {
            None => derived,
            Some(home) => match self.place(home)? {
                Some(home) => self.storage_of(item, &home)?,
                None => None,
            },
        };
        let storage = recorded.or(of_record.map(|(storage, _)| storage));
        Ok((storage.unwrap_or_else(unknown), resolved))
    }

    /// The storage that follows from an item's place, and the absolute path; `None` where the place has lost its
    /// name to another file.
    pub(super) fn storage_of(
        &self,
        item: &ItemRow,
        place: &PlaceRow,
    ) -> Result<Option<(Storage, String)>> {
        let Some((base, relative)) = self.path_of(place)? else {
            return Ok(None);
        };
        let Some(base) = self.base(base)? else {
            return Ok(None);
        };
        let absolute = path_text(&base.path.join(&relative));
        // What is in a project's own folder goes wherever that goes.
        let is_projects = base.kind == BaseKind::Project && item.project == Some(base.row);
        if let Some(source) = base.source.filter(|_| !is_projects)
            && let Some(source) = self.source(source)?
        {
            let path = relative_text(&base.inside.join(&relative));
            let storage = match source.kind {
                SourceKind::Cloud => Storage::Cloud {
                    root: source.name,
                    path,
                    remote_id: None,
                    remote_url: None,
                },
                SourceKind::Volume | SourceKind::Network => Storage::Volume {
                    volume: source.identity,
                    path,
                },
            };
            return Ok(Some((storage, absolute)));
        }
        let storage = match base.kind {
            BaseKind::Library => Storage::Reference {
                root: Some(base.name),
                path: relative_text(&relative),
            },
            BaseKind::Project if is_projects => Storage::Project {
                path: relative_text(&relative),
            },
            BaseKind::Project | BaseKind::Computer | BaseKind::Source => Storage::Reference {
                root: None,
                path: absolute.clone(),
            },
        };
        Ok(Some((storage, absolute)))
    }

    /// The same bytes elsewhere: as recorded, and as files that are there now.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn alternatives(&self, item: &ItemRow) -> Result<Vec<Storage>> {
        let mut alternatives = self.recorded_alternatives(item.row)?;
        for twin in self.twins_of(item)? {
            if let Some((storage, _)) = self.storage_of(item, &twin)?
                && !alternatives.contains(&storage)
            {
                alternatives.push(storage);
            }
        }
        Ok(alternatives)
    }

    /// The words of an item, without those that the user removed.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn tags(&self, item: ItemNo) -> Result<Vec<Tag>> {
        self.db().many(
            "reading the tags of an item",
            "SELECT name, source, confidence FROM tag WHERE item = ?1 AND removed = 0 ORDER BY key",
            [item.0],
            |row| {
                Ok(Tag {
                    name: row.get(0)?,
                    source: TagSource::column(row, 1)?,
                    confidence: Confidence::new(row.get(2)?),
                })
            },
        )
    }

    /// The values of an item, without those that the user removed.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn attributes(&self, item: ItemNo) -> Result<Vec<Attribute>> {
        self.db().many(
            "reading the attributes of an item",
            "SELECT name, value, source, confidence FROM attribute WHERE item = ?1 AND removed = 0 ORDER BY key",
            [item.0],
            |row| {
                Ok(Attribute {
                    name: row.get(0)?,
                    value: serde_json::from_str(row.get_ref(1)?.as_str()?)
                        .map_err(|e| super::convert::odd_column(1, e))?,
                    source: TagSource::column(row, 2)?,
                    confidence: Confidence::new(row.get(3)?),
                })
            },
        )
    }

    /// Who uses an item.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn usages(&self, item: ItemNo) -> Result<Vec<Usage>> {
        self.db().many(
            "reading the usages of an item",
            "SELECT project, role, target FROM usage WHERE item = ?1 ORDER BY project, role, target",
            [item.0],
            |row| {
                Ok(Usage {
                    project: row.get(0)?,
                    role: row.get::<_, String>(1)?.into(),
                    target: row.get(2)?,
                })
            },
        )
    }

    /// What this analysis made of these bytes.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn analysis(&self, key: &AnalysisKey) -> Result<Option<ObjectHash>> {
        let found = self.db().one(
            "looking for an analysis",
            "SELECT artefact FROM analysis WHERE object = ?1 AND type = ?2 AND parameters = ?3 AND producer = ?4",
            (key.object.0, &key.kind, &key.parameters, &key.producer),
            |row| hash_column(row, 0),
        )?;
        Ok(found.flatten())
    }

    /// Everything that analyses made of these bytes.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn analyses_of(&self, object: ObjectHash) -> Result<Vec<(AnalysisKey, ObjectHash)>> {
        self.db().many(
            "listing analyses",
            "SELECT type, parameters, producer, artefact FROM analysis WHERE object = ?1 \
             ORDER BY type, parameters, producer",
            [object.0],
            |row| {
                Ok((
                    AnalysisKey {
                        object,
                        kind: row.get(0)?,
                        parameters: row.get(1)?,
                        producer: row.get(2)?,
                    },
                    ObjectHash(row.get(3)?),
                ))
            },
        )
    }
}

/// A path below a base for people and for the protocol: `/` between parts.
pub(crate) fn relative_text(path: &Path) -> String {
    let text = display_name(path.as_os_str().as_encoded_bytes());
    if std::path::MAIN_SEPARATOR == '/' {
        text
    } else {
        text.replace(std::path::MAIN_SEPARATOR, "/")
    }
}
