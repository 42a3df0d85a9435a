//! Copying into buffers and capsules.

use std::io;

use super::CapsuleBuilder;
use crate::container::window::Window;

/// Copies what of `bytes`, which lie at `at`, falls into `buffer`, which lies at `position`.
pub(super) fn copy_part(bytes: &[u8], at: u64, position: u64, buffer: &mut [u8]) {
    let from = at.max(position);
    let to = (at + bytes.len() as u64).min(position + buffer.len() as u64);
    if from < to {
        let source = &bytes[(from - at) as usize..(to - at) as usize];
        buffer[(from - position) as usize..(to - position) as usize].copy_from_slice(source);
    }
}

/// Copies what lies between two places of a file into its capsule; of the `large` parts (start, length) in it
/// only the first `kept` bytes.
///
/// # Errors
/// Where reading fails.
pub(super) fn copy_verbatim(
    window: &mut Window<'_>,
    builder: &mut CapsuleBuilder,
    (from, to): (u64, u64),
    large: &[(u64, u64)],
    kept: u64,
) -> io::Result<()> {
    let mut at = from;
    let parts = large
        .iter()
        .filter(|(start, length)| *start >= from && start.saturating_add(*length) <= to)
        .filter(|(_, length)| *length > kept)
        .map(|(start, length)| (start + kept, start + length));
    for (stop, resume) in parts.chain([(to, to)]) {
        while at < stop {
            let wanted = usize::try_from(stop - at).unwrap_or(usize::MAX);
            let bytes = window.at(at, wanted)?;
            if bytes.is_empty() {
                return Ok(());
            }
            builder.verbatim(at, bytes);
            at += bytes.len() as u64;
        }
        at = at.max(resume);
    }
    Ok(())
}
