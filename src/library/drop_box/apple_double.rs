//! AppleDouble files (RFC 1740): `._Kick.wav`, which macOS writes beside a `Kick.wav` where a file system keeps no extended
//! attributes.
//!
//! One holds what the system knows of the file: Finder info, and attributes behind it. It may also hold a resource fork, in
//! which old programs kept what belongs to the sound itself (Sound Designer II, its rate and channels), and nobody else has
//! that. All that macOS writes have room for a fork, 286 bytes with nothing in them that say so.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

const MAGIC: [u8; 4] = [0, 5, 0x16, 7];
const VERSIONS: [[u8; 4]; 2] = [[0, 1, 0, 0], [0, 2, 0, 0]];
/// Magic, version, filler, and the number of entries.
const HEADER: usize = 26;
/// Of one entry: what it is, where it begins, and its length.
const ENTRY: usize = 12;
const DATA_FORK: u32 = 1;
const RESOURCE_FORK: u32 = 2;

/// The length of a fork with nothing in it, as macOS writes it.
const BLANK: usize = 286;
/// Where its (empty) data and its map begin, and how long they are.
const BLANK_HEADER: [u8; 16] = [0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x1e];
const BLANK_TAG: &[u8] = b"This resource fork intentionally left blank";
/// How its map ends: where types and names are, and that there is none.
const BLANK_END: [u8; 6] = [0, 0x1c, 0, 0x1e, 0xff, 0xff];

/// Whether this is an AppleDouble file, whole, and without a fork that has anything in it: so all that it says is of the file
/// that it belongs to.
pub(super) fn is_without_forks(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    match look(file) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        looked => looked,
    }
}

fn look(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    let size = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let mut reader = BufReader::new(&mut *file);
    let mut header = [0; HEADER];
    reader.read_exact(&mut header)?;
    let [magic, version] = [word(&header, 0), word(&header, 4)];
    if magic != MAGIC || !VERSIONS.contains(&version) {
        return Ok(false);
    }
    let entries = u16::from_be_bytes([header[HEADER - 2], header[HEADER - 1]]);
    let mut fork = None;
    for _ in 0..entries {
        let mut entry = [0; ENTRY];
        reader.read_exact(&mut entry)?;
        let [id, offset, length] = [0, 4, 8].map(|at| u32::from_be_bytes(word(&entry, at)));
        let is_there = u64::from(offset) + u64::from(length) <= size;
        let is_empty = length == 0 || !matches!(id, DATA_FORK | RESOURCE_FORK);
        if !is_there || (id == DATA_FORK && !is_empty) {
            return Ok(false);
        }
        // Of two nobody knows which counts.
        if !is_empty && fork.replace((offset, length)).is_some() {
            return Ok(false);
        }
    }
    match fork {
        None => Ok(true),
        Some((offset, length)) if usize::try_from(length).is_ok_and(|n| n == BLANK) => {
            let mut fork = [0; BLANK];
            file.seek(SeekFrom::Start(offset.into()))?;
            file.read_exact(&mut fork)?;
            Ok(is_blank(&fork))
        }
        Some(_) => Ok(false),
    }
}

fn word<const N: usize>(bytes: &[u8; N], at: usize) -> [u8; 4] {
    [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]
}

fn is_blank(fork: &[u8; BLANK]) -> bool {
    const MAP: usize = 256;
    let (first, map) = fork.split_at(MAP);
    let Some(padding) = first
        .strip_prefix(&BLANK_HEADER)
        .and_then(|rest| rest.strip_prefix(BLANK_TAG))
    else {
        return false;
    };
    let Some(between) = map.strip_suffix(&BLANK_END) else {
        return false;
    };
    // The map begins with the same as the fork, or has nothing there.
    let between = between.strip_prefix(&BLANK_HEADER).unwrap_or(between);
    padding.iter().all(|byte| matches!(byte, 0 | b' ')) && between.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Cursor;

    use super::*;

    /// A file of these entries.
    pub(in crate::library::drop_box) fn apple_double(entries: &[(u32, &[u8])]) -> Vec<u8> {
        let mut file = [&MAGIC[..], &VERSIONS[1], b"Mac OS X        "].concat();
        file.extend(u16::try_from(entries.len()).unwrap().to_be_bytes());
        let mut offset = HEADER + ENTRY * entries.len();
        for (id, content) in entries {
            for number in [
                *id,
                u32::try_from(offset).unwrap(),
                u32::try_from(content.len()).unwrap(),
            ] {
                file.extend(number.to_be_bytes());
            }
            offset += content.len();
        }
        for (_, content) in entries {
            file.extend_from_slice(content);
        }
        file
    }

    /// The fork that macOS writes where there is none.
    pub(in crate::library::drop_box) fn blank() -> Vec<u8> {
        let mut fork = vec![0; BLANK];
        fork[..16].copy_from_slice(&BLANK_HEADER);
        fork[16..62].copy_from_slice(b"This resource fork intentionally left blank   ");
        fork[256..272].copy_from_slice(&BLANK_HEADER);
        fork[280..].copy_from_slice(&BLANK_END);
        fork
    }

    fn is_spare(file: &[u8]) -> bool {
        is_without_forks(&mut Cursor::new(file)).unwrap()
    }

    #[test]
    fn what_only_tells_of_its_file_is_told_from_what_holds_a_fork() {
        let info = [7; 32];
        let blank = blank();
        assert!(is_spare(&apple_double(&[(9, &info)])));
        assert!(is_spare(&apple_double(&[(9, &info), (2, &[])])));
        assert!(is_spare(&apple_double(&[(9, &[7; 3810]), (2, &blank)])));
        let mut old = apple_double(&[(9, &info), (8, &[1; 16])]);
        old[5] = 1;
        assert!(is_spare(&old));
        assert!(!is_spare(&apple_double(&[(9, &info), (2, b"x")])));
        assert!(!is_spare(&apple_double(&[(1, b"x"), (9, &info)])));
        assert!(!is_spare(&apple_double(&[(2, &blank), (2, &blank)])));
        // Who keeps data in one, or in the reserved parts of a blank one.
        for at in [0, 11, 20, 100, 255, 260, 285] {
            let mut other = blank.clone();
            other[at] ^= 1;
            assert!(!is_spare(&apple_double(&[(2, &other)])), "{at}");
        }
        let longer = [&blank[..], b"x"].concat();
        assert!(!is_spare(&apple_double(&[(2, &longer)])));
        assert!(!is_spare(&apple_double(&[(2, &[0; BLANK])])));
    }

    #[test]
    fn what_is_cut_off_or_another_file_is_none() {
        let whole = apple_double(&[(9, &[7; 32]), (2, &blank())]);
        assert!(is_spare(&whole));
        for length in 0..whole.len() {
            assert!(!is_spare(&whole[..length]), "{length}");
        }
        for at in (0..8).chain([25]) {
            let mut other = whole.clone();
            other[at] ^= 0x40;
            assert!(!is_spare(&other), "{at}");
        }
        assert!(!is_spare(b"RIFF\x24\0\0\0WAVEfmt and what not, all of it"));
    }

    #[test]
    fn lengths_that_lie_lead_nowhere() {
        let huge = u32::MAX.to_be_bytes();
        for at in [
            HEADER + 4,
            HEADER + 8,
            HEADER + ENTRY + 4,
            HEADER + ENTRY + 8,
        ] {
            let mut file = apple_double(&[(9, &[7; 32]), (2, &blank())]);
            file[at..at + 4].copy_from_slice(&huge);
            assert!(!is_spare(&file), "{at}");
        }
        // More entries than there are bytes.
        let mut file = apple_double(&[(9, &[7; 32])]);
        file[HEADER - 2..HEADER].copy_from_slice(&[0xff; 2]);
        assert!(!is_spare(&file));
        // As many as there can be.
        let many = vec![(9, &[][..]); u16::MAX.into()];
        assert!(is_spare(&apple_double(&many)));
    }
}
