//! The map file of a partial object: which ranges of it are safely on the disk.
//!
//! Ours alone; all numbers little-endian:
//!
//! ```text
//! "mediafsP" | version u32 = 1 | size u64 | has expected u8 | expected [u8; 32]
//! | key length u32 | key | number of ranges u32 | (start u64, end u64)… | BLAKE3 of all before [u8; 32]
//! ```

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use crate::disk;
use crate::error::{CacheError, IoContext};
use crate::id::ObjectId;
use crate::partial::KEY_LIMIT;
use crate::ranges::RangeSet;

const MAGIC: &[u8; 8] = b"mediafsP";
const VERSION: u32 = 1;
/// At most so many ranges are kept; what is beyond is fetched again after a crash.
const RANGES_LIMIT: usize = 1 << 16;
/// No map of ours is larger, in bytes.
const FILE_LIMIT: u64 = 64 * 1024 + RANGES_LIMIT as u64 * 16;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartialMap {
    pub(crate) key: String,
    /// Of the whole object, in bytes.
    pub(crate) size: u64,
    pub(crate) expected: Option<ObjectId>,
    pub(crate) arrived: RangeSet,
}

pub(crate) fn encode(map: &PartialMap) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&map.size.to_le_bytes());
    out.push(u8::from(map.expected.is_some()));
    out.extend_from_slice(map.expected.map_or([0; 32], |id| *id.as_bytes()).as_slice());
    // Keys are shorter than KEY_LIMIT and ranges fewer than RANGES_LIMIT, so both fit.
    out.extend_from_slice(
        &u32::try_from(map.key.len())
            .unwrap_or(u32::MAX)
            .to_le_bytes(),
    );
    out.extend_from_slice(map.key.as_bytes());
    let count = map.arrived.len().min(RANGES_LIMIT);
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
    for range in map.arrived.iter().take(count) {
        out.extend_from_slice(&range.start.to_le_bytes());
        out.extend_from_slice(&range.end.to_le_bytes());
    }
    let sum = blake3::hash(&out);
    out.extend_from_slice(sum.as_bytes());
    out
}

/// `None` for anything but what [`encode`] writes.
pub(crate) fn decode(bytes: &[u8]) -> Option<PartialMap> {
    let (body, sum) = bytes.split_last_chunk::<32>()?;
    if blake3::hash(body).as_bytes() != sum {
        return None;
    }
    let mut rest = body;
    if &take(&mut rest)? != MAGIC || u32::from_le_bytes(take(&mut rest)?) != VERSION {
        return None;
    }
    let size = u64::from_le_bytes(take(&mut rest)?);
    let [has_expected] = take(&mut rest)?;
    let expected: [u8; 32] = take(&mut rest)?;
    let key_length = usize::try_from(u32::from_le_bytes(take(&mut rest)?)).ok()?;
    if key_length > KEY_LIMIT {
        return None;
    }
    let key = String::from_utf8(rest.split_off(..key_length)?.to_vec()).ok()?;
    let count = usize::try_from(u32::from_le_bytes(take(&mut rest)?)).ok()?;
    if count > RANGES_LIMIT {
        return None;
    }
    let (mut arrived, mut last) = (RangeSet::new(), None);
    for _ in 0..count {
        let (start, end) = (
            u64::from_le_bytes(take(&mut rest)?),
            u64::from_le_bytes(take(&mut rest)?),
        );
        if start >= end || end > size || last.is_some_and(|last| start <= last) {
            return None;
        }
        last = Some(end);
        arrived.insert(start..end);
    }
    let expected = (has_expected != 0).then(|| ObjectId::from_bytes(expected));
    rest.is_empty().then_some(PartialMap {
        key,
        size,
        expected,
        arrived,
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

/// `None` if there is none, or it is damaged.
pub(crate) fn load(path: &Path) -> Result<Option<PartialMap>, CacheError> {
    let Some(file) = disk::open_own_file(path, false)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(FILE_LIMIT + 1)
        .read_to_end(&mut bytes)
        .at("read", path)?;
    Ok(decode(&bytes))
}

/// Writes the map to `file`, which is empty and lies elsewhere, and renames it from `temp` to `path`.
pub(crate) fn save(
    map: &PartialMap,
    mut file: &File,
    temp: &Path,
    path: &Path,
) -> Result<(), CacheError> {
    file.write_all(&encode(map)).at("write", temp)?;
    file.sync_all().at("sync", temp)?;
    std::fs::rename(temp, path).at("rename into place", path)?;
    path.parent().map_or(Ok(()), disk::sync_folder)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map() -> PartialMap {
        let mut arrived = RangeSet::new();
        arrived.insert(0..10);
        arrived.insert(90..100);
        PartialMap {
            key: "item/ä".into(),
            size: 100,
            expected: Some(ObjectId::of(b"x")),
            arrived,
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for expected in [None, Some(ObjectId::of(b"y"))] {
            let map = PartialMap { expected, ..map() };
            assert_eq!(decode(&encode(&map)), Some(map));
        }
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_is_noticed() {
        let bytes = encode(&map());
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), None, "cut at {end}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bytes), None, "bit {bit}");
        }
    }

    /// Claims that are well-formed, with a good sum, but can not be true.
    #[test]
    fn impossible_claims_are_refused() {
        let seal = |mut body: Vec<u8>| {
            let sum = blake3::hash(&body);
            body.extend_from_slice(sum.as_bytes());
            body
        };
        let good = encode(&map());
        let body = &good[..good.len() - 32];
        assert!(
            decode(&seal(body.to_vec())).is_some(),
            "the seal itself is right"
        );
        let first = body.len() - 32;
        for (what, at, value) in [
            ("beyond the end", first + 24, 101u64),
            ("backwards", first + 16, 99 + 2),
            ("empty", first + 8, 0),
            ("overlapping", first + 16, 5),
            ("touching", first + 16, 10),
            ("huge", first + 24, u64::MAX),
        ] {
            let mut body = body.to_vec();
            body[at..at + 8].copy_from_slice(&value.to_le_bytes());
            assert_eq!(decode(&seal(body)), None, "{what}");
        }
        let mut many = body.to_vec();
        many[first - 4..first].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(
            decode(&seal(many)),
            None,
            "more ranges than there are bytes"
        );
        let mut long = body.to_vec();
        long.push(0);
        assert_eq!(decode(&seal(long)), None, "bytes behind the end");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut body in proptest::collection::vec(any::<u8>(), 0..400), magic: bool, seal: bool) {
            if magic && body.len() >= 12 {
                body[..8].copy_from_slice(MAGIC);
                body[8..12].copy_from_slice(&VERSION.to_le_bytes());
            }
            if seal {
                let sum = blake3::hash(&body);
                body.extend_from_slice(sum.as_bytes());
            }
            if let Some(map) = decode(&body) {
                prop_assert_eq!(decode(&encode(&map)), Some(map));
            }
        }
    }
}
