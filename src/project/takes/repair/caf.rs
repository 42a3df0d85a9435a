//! CAF: the length of `data`. -1 says "up to the end", which is right where it is the last chunk, but tells nobody more
//! than the length itself.

use std::fs::File;
use std::io;

use mediafs_platform::files::Positioned as _;

use super::{MOST_CHUNKS, is_id, read, told};

/// In front of the sound: how often it was edited.
const SOUND_HEAD: u64 = 4;

pub(super) fn repair(file: &File, size: u64) -> io::Result<Vec<String>> {
    let mut at = 8;
    for _ in 0..MOST_CHUNKS {
        let Some((id, announced)) = head(file, at)? else {
            return Ok(Vec::new());
        };
        let body = at + 12;
        if &id != b"data" {
            match u64::try_from(announced)
                .ok()
                .and_then(|n| body.checked_add(n))
            {
                Some(next) => at = next,
                None => return Ok(Vec::new()),
            }
            continue;
        }
        let there = size.saturating_sub(body);
        let length = match u64::try_from(announced) {
            Ok(length)
                if length > SOUND_HEAD && length < there && chunks(file, body + length, size)? =>
            {
                length
            }
            _ => there,
        };
        if u64::try_from(announced) == Ok(length) {
            return Ok(Vec::new());
        }
        // No file has 2^63 bytes.
        let signed = i64::try_from(length).unwrap_or(-1);
        file.write_all_at(&signed.to_be_bytes(), at + 4)?;
        return Ok(told(length.saturating_sub(SOUND_HEAD)));
    }
    Ok(Vec::new())
}

fn head(file: &File, at: u64) -> io::Result<Option<([u8; 4], i64)>> {
    let mut bytes = [0; 12];
    if read(file, at, &mut bytes)? < 12 {
        return Ok(None);
    }
    let [a, b, c, d, length @ ..] = bytes;
    let id = [a, b, c, d];
    Ok(is_id(&id).then(|| (id, i64::from_be_bytes(length))))
}

/// Whether whole chunks fill the file from `at` to its end.
fn chunks(file: &File, mut at: u64, size: u64) -> io::Result<bool> {
    for _ in 0..MOST_CHUNKS {
        if at == size {
            return Ok(true);
        }
        let next = match head(file, at)? {
            Some((_, length)) => u64::try_from(length)
                .ok()
                .and_then(|length| (at + 12).checked_add(length)),
            None => None,
        };
        match next {
            Some(next) if next <= size => at = next,
            _ => return Ok(false),
        }
    }
    Ok(false)
}
