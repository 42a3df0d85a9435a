//! Bounded reading of foreign bytes, for all probes.

use std::io::{self, Read, SeekFrom};

use super::Source;

/// Fills `buffer` from `offset`; returns how many bytes there were.
pub(super) fn read_at(
    source: &mut dyn Source,
    offset: u64,
    buffer: &mut [u8],
) -> io::Result<usize> {
    source.seek(SeekFrom::Start(offset))?;
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Up to `length` bytes from `offset`: fewer at the end of the file. Memory is taken only for bytes that are there.
pub(super) fn read_up_to(source: &mut dyn Source, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    source.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    source.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The size of the source, in bytes.
pub(super) fn size(source: &mut dyn Source) -> io::Result<u64> {
    source.seek(SeekFrom::End(0))
}

/// `COUNT` bytes at `at`, where there are as many.
pub(super) fn array<const COUNT: usize>(bytes: &[u8], at: usize) -> Option<[u8; COUNT]> {
    bytes
        .get(at..at.checked_add(COUNT)?)
        .and_then(|part| part.try_into().ok())
}

/// Little-endian, where there are enough bytes.
pub(super) fn u16_le(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

/// Little-endian, where there are enough bytes.
pub(super) fn u32_le(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

/// Little-endian, where there are enough bytes.
pub(super) fn u64_le(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

/// Big-endian, where there are enough bytes.
pub(super) fn u16_be(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}

/// Big-endian, where there are enough bytes.
pub(super) fn u32_be(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_be_bytes)
}

/// Big-endian, where there are enough bytes.
pub(super) fn u64_be(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_be_bytes)
}
