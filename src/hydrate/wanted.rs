//! What is to be brought, and how its partial object in the cache is known.

use mediafs_cache::{ObjectId, PartialSpec};

use crate::catalog::{CatalogError, Evidence, PlaceNo, PlaceRow, Reader};
use crate::model::{ObjectHash, SourceNo};

/// How the keys of our partial objects begin; the number changes if what a key says does.
const KEY_PREFIX: &str = "hydrate/2";

/// What is to be brought: one generation of the file at a place, on a source.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Wanted {
    /// Whose file.
    pub place: PlaceNo,
    /// Which version of its content.
    pub generation: u32,
    /// Where it lies.
    pub source: SourceNo,
    /// How large it was when it was seen, in bytes. Another size is another file.
    pub size: u64,
    /// The hash of its bytes, if that is known. Other bytes are thrown away in the end.
    pub expected: Option<ObjectHash>,
    /// What else the disk said of the file when it was seen. Where any of it differs, its bytes may be others.
    pub seen: Seen,
}

/// What the disk says of a file, beside its size: a program that changes it may keep its size and time, but not all
/// of these.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Seen {
    /// Last change of the content, nanoseconds since 1970.
    pub modified: i64,
    /// Last change of the inode, nanoseconds since 1970.
    pub changed: i64,
    /// Its number.
    pub inode: u64,
}

impl From<&Evidence> for Seen {
    fn from(evidence: &Evidence) -> Self {
        Self {
            modified: evidence.modified.0,
            changed: evidence.changed.0,
            inode: evidence.inode,
        }
    }
}

impl Wanted {
    /// What is to be brought for a place as it is now; `None` where that is on trusted storage.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn of(reader: &Reader, place: &PlaceRow) -> Result<Option<Self>, CatalogError> {
        let Some(source) = reader.source_of(place.base) else {
            return Ok(None);
        };
        Ok(Some(Self {
            place: place.row,
            generation: place.generation,
            source,
            size: place.evidence.size,
            expected: reader.hash_of_place(place.row)?,
            seen: Seen::from(&place.evidence),
        }))
    }

    /// Whether a place has the content still that is wanted, as far as the catalog knows.
    #[must_use]
    pub fn is_of(&self, place: &PlaceRow) -> bool {
        place.row == self.place
            && place.generation == self.generation
            && place.evidence.size == self.size
            && Seen::from(&place.evidence) == self.seen
    }

    /// All of it is in the key: what arrived for another generation, size, hash or look is never gone on with.
    pub(super) fn spec(&self) -> PartialSpec {
        let expected = self
            .expected
            .map_or_else(|| "-".to_owned(), |hash| hash.to_string());
        PartialSpec {
            key: format!(
                "{KEY_PREFIX}/{}/{}/{}/{}/{}/{}/{}/{expected}",
                self.place.0,
                self.generation,
                self.source.0,
                self.size,
                self.seen.modified,
                self.seen.changed,
                self.seen.inode
            ),
            size: self.size,
            expected: self.expected.map(|hash| ObjectId::from_bytes(hash.0)),
        }
    }

    /// What a partial object of the cache is for, if it is one of ours.
    pub(super) fn of_spec(spec: &PartialSpec) -> Option<Self> {
        let mut parts = spec.key.strip_prefix(KEY_PREFIX)?.split('/').skip(1);
        let (place, generation, source) = (
            parts.next()?.parse().ok()?,
            parts.next()?.parse().ok()?,
            parts.next()?.parse().ok()?,
        );
        let wanted = Self {
            place: PlaceNo(place),
            generation,
            source: SourceNo(source),
            size: parts.next()?.parse().ok()?,
            seen: Seen {
                modified: parts.next()?.parse().ok()?,
                changed: parts.next()?.parse().ok()?,
                inode: parts.next()?.parse().ok()?,
            },
            expected: spec.expected.map(|id| ObjectHash(*id.as_bytes())),
        };
        (wanted.spec() == *spec).then_some(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_object_says_what_it_is_for() {
        for expected in [None, Some(ObjectHash([7; 32]))] {
            let wanted = Wanted {
                place: PlaceNo(3),
                generation: 2,
                source: SourceNo(1),
                size: 1 << 40,
                expected,
                seen: Seen {
                    modified: -7,
                    changed: i64::MAX,
                    inode: u64::MAX,
                },
            };
            assert_eq!(Wanted::of_spec(&wanted.spec()), Some(wanted));
        }
    }

    #[test]
    fn keys_of_others_are_not_ours() {
        for key in [
            "",
            "take/1",
            "hydrate/2",
            "hydrate/2/2/3",
            "hydrate/2/2/3/4/8/1/2/3/-/x",
            "hydrate/2/2/3/4/9/1/2/3/-",
            "hydrate/1/2/3/4/8/-",
            "hydrate/20/2/3/4/8/1/2/3/-",
        ] {
            let spec = PartialSpec {
                key: key.to_owned(),
                size: 8,
                expected: None,
            };
            assert_eq!(Wanted::of_spec(&spec), None, "{key}");
        }
    }

    #[test]
    fn what_differs_has_another_key() {
        let wanted = Wanted {
            place: PlaceNo(3),
            generation: 2,
            source: SourceNo(1),
            size: 9,
            expected: None,
            seen: Seen::default(),
        };
        let seen = |change: fn(&mut Seen)| {
            let mut other = wanted.clone();
            change(&mut other.seen);
            other
        };
        for other in [
            Wanted {
                place: PlaceNo(4),
                ..wanted.clone()
            },
            Wanted {
                generation: 3,
                ..wanted.clone()
            },
            Wanted {
                source: SourceNo(2),
                ..wanted.clone()
            },
            Wanted {
                size: 10,
                ..wanted.clone()
            },
            Wanted {
                expected: Some(ObjectHash([0; 32])),
                ..wanted.clone()
            },
            seen(|seen| seen.modified = 1),
            seen(|seen| seen.changed = 1),
            seen(|seen| seen.inode = 1),
        ] {
            assert_ne!(other.spec().key, wanted.spec().key);
        }
    }
}
