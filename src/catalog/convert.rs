//! Between SQLite's values and ours: columns, numbers, closed lists of words, names as bytes, folded text.

use std::ffi::{OsStr, OsString};

use rusqlite::Row;
use rusqlite::types::Type;
use unicode_normalization::UnicodeNormalization;

use super::rows::{
    BaseKind, BaseNo, BaseRow, Evidence, FolderNo, FolderRow, ItemNo, ItemRow, Nanoseconds,
    PlaceKind, PlaceNo, PlaceRow, Section,
};
use crate::model::{
    Availability, Container, Kind, Lifecycle, MediaId, ObjectHash, Playable, ProjectId, SourceKind,
    SourceNo, TagSource,
};

/// Columns of [`base_row`].
macro_rules! base_columns {
    () => {
        "b.number, b.kind, b.name, b.path, b.top, b.project_id, b.active, b.focused, b.source, b.inside"
    };
}
/// Columns of [`folder_row`].
macro_rules! folder_columns {
    () => {
        "f.number, f.base, f.parent, f.name, f.modified"
    };
}
/// Columns of [`place_row`].
macro_rules! place_columns {
    () => {
        "p.number, p.base, p.folder, p.name, p.link, p.device, p.inode, p.size, p.modified, p.changed, p.born, \
         p.permissions, p.generation, p.present, p.problem, p.away, p.online_only"
    };
}
/// How many columns [`place_columns`] are.
pub(super) const PLACE_WIDTH: usize = 17;
/// Columns of [`item_row`]; how many they are: [`ITEM_WIDTH`].
macro_rules! item_columns {
    () => {
        "i.number, i.media_id, i.scope, i.kind, i.name, i.generation, i.size, i.modified, i.born, i.permissions, \
         i.availability, i.playable, i.place, i.home, i.lifecycle"
    };
}
/// How many columns [`item_columns`] are.
pub(super) const ITEM_WIDTH: usize = 15;
pub(super) use {base_columns, folder_columns, item_columns, place_columns};

type Read<T> = rusqlite::Result<T>;

/// A word of a closed list, as a number in the database.
pub(super) trait Coded: Sized + Copy + PartialEq + 'static {
    /// In the order of their numbers, from 0. Never reordered.
    const WORDS: &'static [Self];

    /// The number.
    fn code(self) -> i64 {
        let at = Self::WORDS.iter().position(|word| *word == self);
        // Every list below is complete (tested), so there is a position.
        at.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1)
    }

    /// The word of a column.
    fn column(row: &Row<'_>, column: usize) -> Read<Self> {
        let code: i64 = row.get(column)?;
        usize::try_from(code)
            .ok()
            .and_then(|code| Self::WORDS.get(code).copied())
            .ok_or(rusqlite::Error::IntegralValueOutOfRange(column, code))
    }
}

impl Coded for BaseKind {
    const WORDS: &'static [Self] = &[Self::Library, Self::Project, Self::Computer, Self::Source];
}
impl Coded for SourceKind {
    const WORDS: &'static [Self] = &[Self::Volume, Self::Network, Self::Cloud];
}
impl Coded for Section {
    const WORDS: &'static [Self] = &[Self::Audio, Self::Midi, Self::Video, Self::Analysis];
}
impl Coded for Availability {
    const WORDS: &'static [Self] = &[
        Self::Local,
        Self::RemoteFetching,
        Self::RemoteOffline,
        Self::ExternalOnline,
        Self::ExternalOffline,
        Self::Missing,
    ];
}
impl Coded for Playable {
    const WORDS: &'static [Self] = &[Self::Bytes, Self::Partial, Self::Silence, Self::Error];
}
impl Coded for Lifecycle {
    const WORDS: &'static [Self] = &[Self::Pending, Self::Final, Self::Abandoned];
}
impl Coded for TagSource {
    const WORDS: &'static [Self] = &[
        Self::User,
        Self::File,
        Self::Name,
        Self::Analysis,
        Self::Composer,
    ];
}

const CONTAINERS: &[(Container, &str)] = &[
    (Container::Wav, "wav"),
    (Container::Aiff, "aiff"),
    (Container::Caf, "caf"),
    (Container::Flac, "flac"),
    (Container::Mp3, "mp3"),
    (Container::Ogg, "ogg"),
    (Container::Mp4, "mp4"),
    (Container::Aac, "aac"),
    (Container::Midi, "midi"),
    (Container::Matroska, "matroska"),
    (Container::Avi, "avi"),
];

/// The word of a container.
pub(super) fn container_word(container: Container) -> &'static str {
    CONTAINERS
        .iter()
        .find(|(known, _)| *known == container)
        .map_or("", |(_, word)| word)
}

/// The container of a word.
pub(super) fn container_of(word: &str) -> Option<Container> {
    CONTAINERS
        .iter()
        .find(|(_, known)| *known == word)
        .map(|(container, _)| *container)
}

/// Any 64 bits as SQLite keeps them.
pub(super) fn stored(number: u64) -> i64 {
    i64::from_ne_bytes(number.to_ne_bytes())
}

/// The 64 bits of a column.
pub(super) fn unsigned(row: &Row<'_>, column: usize) -> Read<u64> {
    Ok(u64::from_ne_bytes(row.get::<_, i64>(column)?.to_ne_bytes()))
}

/// A name on disk as bytes.
pub(super) fn bytes_of(name: &OsStr) -> &[u8] {
    name.as_encoded_bytes()
}

/// Bytes as a name on disk.
pub(super) fn name_of(bytes: Vec<u8>) -> OsString {
    mediafs_platform::names::lossy(bytes)
}

/// The form in which words are compared without regard to case: NFC, lower case.
pub(super) fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let lower = text.nfc().collect::<String>().to_lowercase();
    lower.nfc().collect()
}

/// Why a column could not be understood.
pub(super) fn odd_column(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

/// A hash, where there is one.
pub(super) fn hash_column(row: &Row<'_>, column: usize) -> Read<Option<ObjectHash>> {
    Ok(row.get::<_, Option<[u8; 32]>>(column)?.map(ObjectHash))
}

/// An id.
pub(super) fn id_column(row: &Row<'_>, column: usize) -> Read<MediaId> {
    let text: String = row.get(column)?;
    MediaId::try_from(text).map_err(|e| odd_column(column, e))
}

/// Nanoseconds, where there are some.
fn times(row: &Row<'_>, column: usize) -> Read<Option<Nanoseconds>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Nanoseconds))
}

/// Reads [`base_columns`].
pub(super) fn base_row(row: &Row<'_>) -> Read<BaseRow> {
    Ok(BaseRow {
        row: BaseNo(row.get(0)?),
        kind: BaseKind::column(row, 1)?,
        name: row.get(2)?,
        path: name_of(row.get(3)?).into(),
        top: FolderNo(row.get(4)?),
        project: row.get::<_, Option<String>>(5)?.map(ProjectId),
        active: row.get(6)?,
        focused: row.get(7)?,
        source: row.get::<_, Option<u32>>(8)?.map(SourceNo),
        inside: row
            .get::<_, Option<Vec<u8>>>(9)?
            .map(|inside| name_of(inside).into())
            .unwrap_or_default(),
    })
}

/// Reads [`folder_columns`].
pub(super) fn folder_row(row: &Row<'_>) -> Read<FolderRow> {
    Ok(FolderRow {
        row: FolderNo(row.get(0)?),
        base: BaseNo(row.get(1)?),
        parent: row.get::<_, Option<u32>>(2)?.map(FolderNo),
        name: name_of(row.get(3)?),
        modified: Nanoseconds(row.get(4)?),
    })
}

/// Reads [`place_columns`] that begin at column 0.
pub(super) fn place_row(row: &Row<'_>) -> Read<PlaceRow> {
    Ok(PlaceRow {
        row: PlaceNo(row.get(0)?),
        base: BaseNo(row.get(1)?),
        folder: row.get::<_, Option<u32>>(2)?.map(FolderNo),
        name: name_of(row.get(3)?),
        kind: match row.get::<_, Option<Vec<u8>>>(4)? {
            None => PlaceKind::File,
            Some(target) => PlaceKind::Link(name_of(target)),
        },
        evidence: Evidence {
            device: unsigned(row, 5)?,
            inode: unsigned(row, 6)?,
            size: unsigned(row, 7)?,
            modified: Nanoseconds(row.get(8)?),
            changed: Nanoseconds(row.get(9)?),
            born: times(row, 10)?,
            permissions: row.get(11)?,
        },
        generation: row.get(12)?,
        present: row.get(13)?,
        problem: row.get(14)?,
        away: row.get(15)?,
        online_only: row.get(16)?,
    })
}

/// Reads [`item_columns`] that begin at column `at`.
pub(super) fn item_row_at(row: &Row<'_>, at: usize) -> Read<ItemRow> {
    Ok(ItemRow {
        row: ItemNo(row.get(at)?),
        media_id: id_column(row, at + 1)?,
        project: match row.get(at + 2)? {
            0 => None,
            base => Some(BaseNo(base)),
        },
        kind: kind_column(row, at + 3)?,
        name: row.get(at + 4)?,
        generation: row.get(at + 5)?,
        size: unsigned(row, at + 6)?,
        modified: Nanoseconds(row.get(at + 7)?),
        born: times(row, at + 8)?,
        permissions: row.get(at + 9)?,
        availability: Availability::column(row, at + 10)?,
        playable: Playable::column(row, at + 11)?,
        place: row.get::<_, Option<u32>>(at + 12)?.map(PlaceNo),
        home: row.get::<_, Option<u32>>(at + 13)?.map(PlaceNo),
        lifecycle: Lifecycle::column(row, at + 14)?,
    })
}

/// Reads [`item_columns`] that begin at column 0.
pub(super) fn item_row(row: &Row<'_>) -> Read<ItemRow> {
    item_row_at(row, 0)
}

/// Reads [`place_columns`], then [`item_columns`] that may all be NULL.
pub(super) fn place_with_item(row: &Row<'_>) -> Read<(PlaceRow, Option<ItemRow>)> {
    let place = place_row(row)?;
    let item = match row.get::<_, Option<u32>>(PLACE_WIDTH)? {
        None => None,
        Some(_) => Some(item_row_at(row, PLACE_WIDTH)?),
    };
    Ok((place, item))
}

fn kind_column(row: &Row<'_>, column: usize) -> Read<Kind> {
    let word = row.get_ref(column)?.as_str()?;
    Ok(kind_of(word))
}

/// The kind of a word, without a copy of the usual ones.
pub(super) fn kind_of(word: &str) -> Kind {
    match word {
        "audio" => Kind::Audio,
        "midi" => Kind::Midi,
        "video" => Kind::Video,
        "analysis" => Kind::Analysis,
        other => Kind::from(other.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_container_has_the_word_of_the_protocol() {
        for (container, word) in CONTAINERS {
            let json = serde_json::to_value(container).unwrap();
            assert_eq!(json, *word);
            assert_eq!(container_of(word), Some(*container));
            assert_eq!(container_word(*container), *word);
        }
        for word in ["Wav", "riff", ""] {
            assert_eq!(container_of(word), None);
        }
    }

    #[test]
    fn closed_lists_are_complete() {
        fn check<T: Coded + std::fmt::Debug>() {
            for word in T::WORDS {
                assert!(word.code() >= 0, "{word:?}");
            }
        }
        check::<BaseKind>();
        check::<Section>();
        check::<Availability>();
        check::<Playable>();
        check::<Lifecycle>();
        check::<TagSource>();
        assert_eq!(Availability::WORDS.len(), 6);
        assert_eq!(Playable::WORDS.len(), 4);
        assert_eq!(TagSource::WORDS.len(), 5);
    }

    #[test]
    fn case_and_composition_fold_away() {
        assert_eq!(folded("KICK"), "kick");
        assert_eq!(folded("Ä"), folded("a\u{308}"));
        assert_ne!(folded("a"), folded("ä"));
    }

    #[test]
    fn all_64_bits_survive() {
        for number in [0, 1, u64::MAX, 1 << 63] {
            assert_eq!(u64::from_ne_bytes(stored(number).to_ne_bytes()), number);
        }
    }
}
