//! What is to be brought, and how its partial object in the cache is known.

use mediafs_cache::{ObjectId, PartialSpec};

use crate::catalog::{CatalogError, PlaceNo, PlaceRow, Reader};
use crate::model::{ObjectHash, SourceNo};

/// How the keys of our partial objects begin; the number changes if what a key says does.
const KEY_PREFIX: &str = "hydrate/1";

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
        }))
    }

    /// All of it is in the key: what arrived for another generation, size or hash is never gone on with.
    pub(super) fn spec(&self) -> PartialSpec {
        let expected = self
            .expected
            .map_or_else(|| "-".to_owned(), |hash| hash.to_string());
        PartialSpec {
            key: format!(
                "{KEY_PREFIX}/{}/{}/{}/{}/{expected}",
                self.place.0, self.generation, self.source.0, self.size
            ),
            size: self.size,
            expected: self.expected.map(|hash| ObjectId::from_bytes(hash.0)),
        }
    }

    /// What a partial object of the cache is for, if it is one of ours.
    pub(super) fn of_spec(spec: &PartialSpec) -> Option<Self> {
        let mut parts = spec.key.strip_prefix(KEY_PREFIX)?.split('/').skip(1);
        let mut number = || parts.next()?.parse().ok();
        let wanted = Self {
            place: PlaceNo(number()?),
            generation: number()?,
            source: SourceNo(number()?),
            size: spec.size,
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
            };
            assert_eq!(Wanted::of_spec(&wanted.spec()), Some(wanted));
        }
    }

    #[test]
    fn keys_of_others_are_not_ours() {
        for key in [
            "",
            "take/1",
            "hydrate/1",
            "hydrate/1/2/3",
            "hydrate/1/2/3/4/9/-/x",
            "hydrate/10/2/3/4/8/-",
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
        ] {
            assert_ne!(other.spec().key, wanted.spec().key);
        }
    }
}
