//! Puts right the header of a take whose writer died, or never came back to it: WAVE (RIFF, RIFX, RF64, BW64), AIFF and
//! CAF say at their beginning how long they are, and that is written last.
//!
//! What counts is what is there: a length of nothing, of everything, beyond the end of the file, or one behind which no
//! further chunks follow up to the end, is one that was never written, or not for the last time. Only lengths are
//! written, and at most one byte of padding behind the end; no byte of the sound is moved, changed or cut, also where the
//! last frame is not whole. Each step may be the last one before a crash: another repair goes on from there.

mod aiff;
mod caf;
mod riff;

use std::fs::File;
use std::io;

use mediafs_platform::files::Positioned as _;

/// No file has more chunks than this.
const MOST_CHUNKS: usize = 16 * 1024;

/// Puts the lengths in a file's header right; gives what was done, for people, empty where nothing was to be.
///
/// # Errors
/// When the file can't be read or written.
pub(crate) fn repair(file: &File) -> io::Result<Vec<String>> {
    let size = file.metadata()?.len();
    let mut head = [0; 12];
    if read(file, 0, &mut head)? < head.len() {
        return Ok(Vec::new());
    }
    match (&head[..4], &head[8..]) {
        (b"RIFF" | b"RF64" | b"BW64" | b"RIFX", b"WAVE") => riff::repair(file, size, &head),
        (b"FORM", b"AIFF" | b"AIFC") => aiff::repair(file, size),
        (b"caff", _) => caf::repair(file, size),
        _ => Ok(Vec::new()),
    }
}

/// Reads as much of `buffer` as there is at `at`.
fn read(file: &File, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        let Some(from) = at.checked_add(filled as u64) else {
            break;
        };
        match file.read_at(&mut buffer[filled..], from) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Four bytes, if they are there.
fn word(file: &File, at: u64) -> io::Result<Option<[u8; 4]>> {
    let mut bytes = [0; 4];
    Ok((read(file, at, &mut bytes)? == 4).then_some(bytes))
}

/// How lengths of 32 bits are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn read(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    fn bytes(self, number: u32) -> [u8; 4] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }

    /// Writes a number where it is another one now; says whether it was.
    fn put(self, file: &File, at: u64, number: u32) -> io::Result<bool> {
        if word(file, at)?.map(|bytes| self.read(bytes)) == Some(number) {
            return Ok(false);
        }
        file.write_all_at(&self.bytes(number), at)?;
        Ok(true)
    }
}

/// A chunk of RIFF or IFF: id, length of 32 bits, body, padded to even.
#[derive(Clone, Copy)]
struct Chunk {
    id: [u8; 4],
    start: u64,
    announced: u32,
}

impl Chunk {
    fn body(&self) -> u64 {
        self.start + 8
    }

    /// Behind it and its padding.
    fn end(&self) -> u64 {
        let length = u64::from(self.announced);
        self.body() + length + length % 2
    }
}

fn is_id(id: &[u8; 4]) -> bool {
    id.iter().all(|byte| (0x20..0x7f).contains(byte))
}

/// The chunk at `at`, if what is there can be one.
fn chunk(file: &File, at: u64, order: Order) -> io::Result<Option<Chunk>> {
    let mut bytes = [0; 8];
    if read(file, at, &mut bytes)? < 8 {
        return Ok(None);
    }
    let [a, b, c, d, e, f, g, h] = bytes;
    let id = [a, b, c, d];
    Ok(is_id(&id).then(|| Chunk {
        id,
        start: at,
        announced: order.read([e, f, g, h]),
    }))
}

/// Whether whole chunks fill the file from `at` to its end. The last one's padding may be left out.
fn chunks_to_the_end(file: &File, mut at: u64, size: u64, order: Order) -> io::Result<bool> {
    for _ in 0..MOST_CHUNKS {
        if at >= size {
            // One beyond: the padding that is not there.
            return Ok(at <= size + 1);
        }
        match chunk(file, at, order)? {
            Some(next) => at = next.end(),
            None => return Ok(false),
        }
    }
    Ok(false)
}

/// How long the body of the sound is, that begins at `body` and is announced to be `announced` bytes long: that, if it is
/// believable, else all there is.
fn real_length(file: &File, body: u64, announced: u64, size: u64, order: Order) -> io::Result<u64> {
    let there = size.saturating_sub(body);
    if announced >= there || announced == u64::from(u32::MAX) {
        return Ok(there);
    }
    // Without, with and in spite of padding.
    let end = body + announced;
    let whole = chunks_to_the_end(file, end + announced % 2, size, order)?
        || announced % 2 == 1 && chunks_to_the_end(file, end, size, order)?;
    Ok(if whole { announced } else { there })
}

/// For people: the sound is so long as it was written.
fn told(length: u64) -> Vec<String> {
    vec![format!(
        "its header did not say how long it is: {length} bytes of sound were found"
    )]
}

#[cfg(test)]
mod tests;
