//! From where copies came: so that the same file again gives the same item.
//!
//! Kept as the attribute `importedFrom` of the item: the path for people, a hash of its bytes for comparing, and the
//! size and times that the source had. Read once per import. It says something on this machine alone, and may tell more of
//! it than strangers should know: so it stays in the catalog, and no manifest has it.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::catalog::{
    BaseNo, BaseRow, Catalog, CatalogError, Durability, Evidence, ItemNo, Writer,
};
use crate::library::engine::Engine;
use crate::model::{Attribute, Confidence, ObjectHash, TagSource, path_text};

/// The attribute's name.
const IMPORTED_FROM: &str = "importedFrom";

/// What is remembered of a source.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Origin {
    path: String,
    path_hash: String,
    size: u64,
    modified_nanoseconds: i64,
    blake3: ObjectHash,
}

impl Origin {
    pub(super) fn new(source: &Path, evidence: &Evidence, hash: ObjectHash) -> Self {
        Self {
            path: path_text(source),
            path_hash: key(source),
            size: evidence.size,
            modified_nanoseconds: evidence.modified.0,
            blake3: hash,
        }
    }

    /// The source is as it was when it was copied.
    pub(super) fn unchanged(&self, evidence: &Evidence) -> bool {
        self.size == evidence.size && self.modified_nanoseconds == evidence.modified.0
    }

    pub(super) fn hash(&self) -> ObjectHash {
        self.blake3
    }

    pub(super) fn remember(&self, writer: &mut Writer, item: ItemNo) -> Result<(), CatalogError> {
        let Ok(value) = serde_json::to_value(self) else {
            return Ok(());
        };
        let attribute = Attribute {
            name: IMPORTED_FROM.to_owned(),
            value,
            source: TagSource::User,
            confidence: Confidence::CERTAIN,
        };
        writer.set_attribute(item, &attribute)
    }
}

/// Whether a value says from where a copy came, which is so on this machine alone.
pub(crate) fn is_of_this_machine(name: &str, value: &serde_json::Value) -> bool {
    name.eq_ignore_ascii_case(IMPORTED_FROM) && Origin::deserialize(value).is_ok()
}

/// A project was saved as another one: of its items it is known, too, from where they came.
pub(crate) fn carry_sources(
    catalog: &Catalog,
    from: BaseNo,
    to: BaseNo,
) -> Result<(), CatalogError> {
    let known = catalog.reader()?.items_with_attribute(IMPORTED_FROM)?;
    catalog.write(Durability::Full, |writer| {
        for (item, value) in &known {
            let Ok(origin) = Origin::deserialize(value) else {
                continue;
            };
            let Some(row) = writer.reader().item(*item)? else {
                continue;
            };
            if row.project == Some(from)
                && let Some(copy) = writer.reader().item_in_scope(&row.media_id, Some(to))?
            {
                origin.remember(writer, copy.row)?;
            }
        }
        Ok(())
    })
}

fn key(source: &Path) -> String {
    let bytes = source.as_os_str().as_encoded_bytes();
    blake3::hash(bytes).to_hex().to_string()
}

/// The copies of one scope, by their sources.
pub(super) struct Sources {
    by_path: HashMap<String, (ItemNo, Origin)>,
    known: HashMap<ItemNo, ObjectHash>,
}

impl Sources {
    pub(super) fn read(engine: &Engine, project: Option<&BaseRow>) -> Result<Self, CatalogError> {
        let reader = engine.catalog.reader()?;
        let scope = project.map(|base| base.row);
        let mut sources = Self {
            by_path: HashMap::new(),
            known: HashMap::new(),
        };
        for (item, value) in reader.items_with_attribute(IMPORTED_FROM)? {
            let in_scope = reader.item(item)?.is_some_and(|row| row.project == scope);
            // A value that somebody else wrote under this name says nothing.
            if let Ok(origin) = serde_json::from_value::<Origin>(value)
                && in_scope
            {
                sources.known.insert(item, origin.blake3);
                sources
                    .by_path
                    .insert(origin.path_hash.clone(), (item, origin));
            }
        }
        Ok(sources)
    }

    /// The latest copy of this source.
    pub(super) fn of(&self, source: &Path) -> Option<&(ItemNo, Origin)> {
        self.by_path.get(&key(source))
    }

    /// Whether it is known where an item was copied from.
    pub(super) fn knows(&self, item: ItemNo) -> bool {
        self.known.contains_key(&item)
    }
}
