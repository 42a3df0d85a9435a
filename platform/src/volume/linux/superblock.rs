//! What a file system has written about itself at the beginning of its device.
//!
//! The bytes are foreign: every number is checked before it is used as a place, and what makes no sense is left out.
//! UUIDs are written as `blkid` writes them, so that this way and udev's give one text.

use std::io;
use std::os::unix::fs::FileExt;

/// What is read of the beginning: up to the end of what btrfs writes at 64 KiB.
const BEGINNING: usize = 68 * 1024;
/// How much of a root directory is looked through for the label.
const MOST_DIRECTORY: u64 = 32 * 1024;
/// Records of NTFS and directories of FAT lie within the first bytes of a device this large.
const FARTHEST: u64 = 1 << 50;

/// Name and label of a file system. The label is `None` if there is none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Superblock {
    pub(super) uuid: Option<String>,
    pub(super) label: Option<String>,
}

/// Reads at a place of a device.
pub(super) trait ReadAt {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for std::fs::File {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, bytes, offset)
    }
}

/// Reads and parses what is at the beginning of `device`, which is mounted as `fs_type`; `Ok(None)` if that is not
/// there. Of a program's file system the kind is found by what is there.
pub(super) fn read(device: &impl ReadAt, fs_type: &str) -> io::Result<Option<Superblock>> {
    let parsers: &[Parser] = match fs_type {
        "ext2" | "ext3" | "ext4" => &[ext],
        "xfs" => &[xfs],
        "btrfs" => &[btrfs],
        "f2fs" => &[f2fs],
        "ntfs" | "ntfs3" => &[ntfs],
        "vfat" | "msdos" => &[fat],
        "exfat" => &[exfat],
        "hfs" | "hfsplus" => &[hfsplus],
        "iso9660" => &[iso9660],
        "fuseblk" => &[ntfs, exfat, fat, ext, hfsplus, iso9660],
        _ => return Ok(None),
    };
    let beginning = Bytes(read_up_to(device, 0, BEGINNING)?);
    let more = |offset: u64, length: u64| {
        let length = usize::try_from(length.min(MOST_DIRECTORY)).unwrap_or(0);
        if offset > FARTHEST {
            return Bytes(Vec::new());
        }
        // What can't be read is as if it were not there: only labels are looked for this way.
        Bytes(read_up_to(device, offset, length).unwrap_or_default())
    };
    Ok(parsers.iter().find_map(|parse| parse(&beginning, &more)))
}

fn read_up_to(device: &impl ReadAt, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match device.read_at(rest, offset.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Bytes that are only ever looked at where there are some.
struct Bytes(Vec<u8>);

impl Bytes {
    fn at(&self, offset: usize, length: usize) -> Option<&[u8]> {
        self.0.get(offset..offset.checked_add(length)?)
    }

    fn array<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.at(offset, N)?.try_into().ok()
    }

    fn has(&self, offset: usize, magic: &[u8]) -> Option<()> {
        (self.at(offset, magic.len())? == magic).then_some(())
    }

    fn u8(&self, offset: usize) -> Option<u8> {
        self.0.get(offset).copied()
    }

    fn u16(&self, offset: usize) -> Option<u16> {
        Some(u16::from_le_bytes(self.array(offset)?))
    }

    fn u32(&self, offset: usize) -> Option<u32> {
        Some(u32::from_le_bytes(self.array(offset)?))
    }

    fn u64(&self, offset: usize) -> Option<u64> {
        Some(u64::from_le_bytes(self.array(offset)?))
    }

    fn text(&self, offset: usize, length: usize) -> Option<String> {
        text(self.at(offset, length)?)
    }
}

/// A text that ends at a zero or with its field, if anything is in it.
pub(super) fn text(field: &[u8]) -> Option<String> {
    let end = field.iter().position(|byte| *byte == 0);
    let field = field.get(..end.unwrap_or(field.len()))?;
    let text = String::from_utf8_lossy(field);
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn text_utf16(field: &[u8]) -> Option<String> {
    let units: Vec<u16> = field
        .chunks_exact(2)
        .filter_map(|pair| Some(u16::from_le_bytes(pair.try_into().ok()?)))
        .take_while(|unit| *unit != 0)
        .collect();
    text(String::from_utf16_lossy(&units).as_bytes())
}

/// `None` for one of zeros, which nobody has given.
pub(super) fn uuid(bytes: [u8; 16]) -> Option<String> {
    if bytes == [0; 16] {
        return None;
    }
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    Some(text)
}

/// The serial number of FAT and exFAT.
fn serial(number: u32) -> Option<String> {
    (number != 0).then(|| format!("{:04X}-{:04X}", number >> 16, number & 0xffff))
}

type More<'a> = &'a dyn Fn(u64, u64) -> Bytes;
type Parser = fn(&Bytes, More<'_>) -> Option<Superblock>;

fn xfs(bytes: &Bytes, _: More<'_>) -> Option<Superblock> {
    bytes.has(0, b"XFSB")?;
    Some(Superblock {
        uuid: uuid(bytes.array(32)?),
        label: bytes.text(108, 12),
    })
}

fn ext(bytes: &Bytes, _: More<'_>) -> Option<Superblock> {
    bytes.has(1024 + 0x38, &[0x53, 0xef])?;
    Some(Superblock {
        uuid: uuid(bytes.array(1024 + 0x68)?),
        label: bytes.text(1024 + 0x78, 16),
    })
}

fn f2fs(bytes: &Bytes, _: More<'_>) -> Option<Superblock> {
    bytes.has(1024, &[0x10, 0x20, 0xf5, 0xf2])?;
    Some(Superblock {
        uuid: uuid(bytes.array(1024 + 108)?),
        label: text_utf16(bytes.at(1024 + 124, 1024)?),
    })
}

fn btrfs(bytes: &Bytes, _: More<'_>) -> Option<Superblock> {
    const AT: usize = 64 * 1024;
    bytes.has(AT + 0x40, b"_BHRfS_M")?;
    Some(Superblock {
        uuid: uuid(bytes.array(AT + 0x20)?),
        label: bytes.text(AT + 0x12b, 256),
    })
}

/// The UUID of HFS+ is made of its number by a hash where `blkid` tells it; here it is the number itself. So udev is
/// asked first where it runs.
fn hfsplus(bytes: &Bytes, _: More<'_>) -> Option<Superblock> {
    bytes.has(1024, b"H+").or_else(|| bytes.has(1024, b"HX"))?;
    let number = u64::from_be_bytes(bytes.array(1024 + 104)?);
    Some(Superblock {
        uuid: (number != 0).then(|| format!("{number:016x}")),
        label: None,
    })
}

fn iso9660(bytes: &Bytes, _: More<'_>) -> Option<Superblock> {
    const AT: usize = 32 * 1024;
    bytes.has(AT, b"\x01CD001")?;
    // When it was modified, else made: sixteen digits.
    let date = |offset: usize| {
        let digits = bytes.at(AT + offset, 16)?;
        let digits = digits.iter().all(u8::is_ascii_digit).then_some(digits)?;
        digits.iter().any(|digit| *digit != b'0').then_some(())?;
        let digits = std::str::from_utf8(digits).ok()?;
        let parts = [0..4, 4..6, 6..8, 8..10, 10..12, 12..14, 14..16];
        let parts: Option<Vec<&str>> = parts.into_iter().map(|part| digits.get(part)).collect();
        Some(parts?.join("-"))
    };
    Some(Superblock {
        uuid: date(830).or_else(|| date(813)),
        label: bytes.text(AT + 40, 32),
    })
}

/// Sector and cluster of NTFS and FAT, in bytes.
fn geometry(bytes: &Bytes) -> Option<(u64, u64)> {
    let sector = u64::from(bytes.u16(11)?);
    let per_cluster = bytes.u8(13)?;
    // NTFS writes large ones as a negative power of two.
    let per_cluster = if per_cluster > 0x80 {
        1_u64.checked_shl(u32::from(0_u8.wrapping_sub(per_cluster)))?
    } else {
        u64::from(per_cluster)
    };
    let fits = sector.is_power_of_two() && (256..=4096).contains(&sector);
    let fits = fits && per_cluster.is_power_of_two();
    let cluster = sector.checked_mul(per_cluster)?;
    (fits && cluster <= 1 << 26).then_some((sector, cluster))
}

fn ntfs(bytes: &Bytes, more: More<'_>) -> Option<Superblock> {
    bytes.has(3, b"NTFS    ")?;
    let number = bytes.u64(0x48)?;
    Some(Superblock {
        uuid: (number != 0).then(|| format!("{number:016X}")),
        label: ntfs_label(bytes, more),
    })
}

/// From record 3 of the table of files, `$Volume`: its attribute 0x60.
fn ntfs_label(bytes: &Bytes, more: More<'_>) -> Option<String> {
    const VOLUME: u64 = 3;
    const LABEL: u32 = 0x60;
    const END: u32 = u32::MAX;
    let (_, cluster) = geometry(bytes)?;
    let record_size = match bytes.u8(0x40)? {
        clusters @ 1..=0x7f => cluster.checked_mul(u64::from(clusters))?,
        power => 1_u64.checked_shl(u32::from(0_u8.wrapping_sub(power)))?,
    };
    if !(512..=MOST_DIRECTORY).contains(&record_size) {
        return None;
    }
    let table = bytes.u64(0x30)?.checked_mul(cluster)?;
    let place = table.checked_add(VOLUME.checked_mul(record_size)?)?;
    let record = more(place, record_size);
    record.has(0, b"FILE")?;
    let mut at = usize::from(record.u16(0x14)?);
    loop {
        let kind = record.u32(at)?;
        let length = usize::try_from(record.u32(at + 4)?).ok()?;
        if kind == END || length < 24 {
            return None;
        }
        if kind == LABEL {
            // Kept in the record itself.
            (record.u8(at + 8)? == 0).then_some(())?;
            let size = usize::try_from(record.u32(at + 0x10)?).ok()?;
            let value = at.checked_add(usize::from(record.u16(at + 0x14)?))?;
            return text_utf16(record.at(value, size)?);
        }
        at = at.checked_add(length)?;
    }
}

fn exfat(bytes: &Bytes, more: More<'_>) -> Option<Superblock> {
    bytes.has(3, b"EXFAT   ")?;
    Some(Superblock {
        uuid: serial(bytes.u32(0x64)?),
        label: exfat_label(bytes, more),
    })
}

fn exfat_label(bytes: &Bytes, more: More<'_>) -> Option<String> {
    const LABEL: u8 = 0x83;
    let sector = 1_u64.checked_shl(u32::from(bytes.u8(0x6c)?))?;
    let cluster = sector.checked_mul(1_u64.checked_shl(u32::from(bytes.u8(0x6d)?))?)?;
    let heap = u64::from(bytes.u32(0x58)?).checked_mul(sector)?;
    let root = u64::from(bytes.u32(0x60)?.checked_sub(2)?);
    let root = heap.checked_add(root.checked_mul(cluster)?)?;
    let directory = more(root, cluster);
    let entry = directory
        .0
        .chunks_exact(32)
        .take_while(|entry| entry.first() != Some(&0))
        .find(|entry| entry.first() == Some(&LABEL))?;
    let length = usize::from(*entry.get(1)?).min(11);
    text_utf16(entry.get(2..2 + 2 * length)?)
}

fn fat(bytes: &Bytes, more: More<'_>) -> Option<Superblock> {
    bytes.has(510, &[0x55, 0xaa])?;
    let (sector, cluster) = geometry(bytes)?;
    let reserved = u64::from(bytes.u16(14)?);
    let tables = u64::from(bytes.u8(16)?);
    // FAT32 has its root directory among the files, the others before them.
    let (number, label, directory, length) = if bytes.has(0x52, b"FAT32   ").is_some() {
        let sectors = u64::from(bytes.u32(36)?);
        let root = u64::from(bytes.u32(44)?.checked_sub(2)?);
        let files = reserved.checked_add(tables.checked_mul(sectors)?)?;
        let files = files.checked_mul(sector)?;
        let root = files.checked_add(root.checked_mul(cluster)?)?;
        (bytes.u32(0x43)?, bytes.text(0x47, 11), root, cluster)
    } else {
        bytes.has(0x36, b"FAT1")?;
        let sectors = u64::from(bytes.u16(22)?);
        let root = reserved.checked_add(tables.checked_mul(sectors)?)?;
        let entries = u64::from(bytes.u16(17)?);
        let root = root.checked_mul(sector)?;
        (bytes.u32(0x27)?, bytes.text(0x2b, 11), root, entries * 32)
    };
    // Most systems write a label into the directory alone.
    let label = fat_label(&more(directory, length)).or(label);
    Some(Superblock {
        uuid: serial(number),
        label: label.filter(|label| label != "NO NAME"),
    })
}

fn fat_label(directory: &Bytes) -> Option<String> {
    const VOLUME: u8 = 0x08;
    const PART_OF_LONG_NAME: u8 = 0x0f;
    const DELETED: u8 = 0xe5;
    let entry = directory
        .0
        .chunks_exact(32)
        .take_while(|entry| entry.first() != Some(&0))
        .filter(|entry| entry.first() != Some(&DELETED))
        .find(|entry| {
            let attributes = entry.get(11).copied().unwrap_or(0);
            attributes & VOLUME != 0 && attributes & 0x3f != PART_OF_LONG_NAME
        })?;
    text(entry.get(..11)?)
}

#[cfg(test)]
#[path = "superblock_tests.rs"]
mod tests;
