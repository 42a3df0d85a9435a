//! AIFF and AIFF-C: the lengths of the whole and of `SSND`, and the number of frames in `COMM`.

use std::fs::File;
use std::io;

use mediafs_platform::files::Positioned as _;

use super::{Chunk, MOST_CHUNKS, Order, chunk, read, real_length, told};

/// What is in front of the sound in `SSND`: offset and block size.
const SOUND_HEAD: u64 = 8;
/// Codings of linear samples.
const LINEAR: [&[u8; 4]; 10] = [
    b"NONE", b"sowt", b"twos", b"in24", b"in32", b"42ni", b"23ni", b"fl32", b"FL32", b"fl64",
];

pub(super) fn repair(file: &File, size: u64) -> io::Result<Vec<String>> {
    let order = Order::Big;
    let mut comm = None;
    let mut at = 12;
    for _ in 0..MOST_CHUNKS {
        let Some(next) = chunk(file, at, order)? else {
            return Ok(Vec::new());
        };
        match &next.id {
            b"COMM" => comm = Some(next),
            b"SSND" => return lengths(file, size, comm, next),
            _ => {}
        }
        at = next.end();
    }
    Ok(Vec::new())
}

fn lengths(file: &File, size: u64, comm: Option<Chunk>, sound: Chunk) -> io::Result<Vec<String>> {
    let order = Order::Big;
    // Some write the head's length, or nothing, until the end.
    let announced = match u64::from(sound.announced) {
        length if length <= SOUND_HEAD && size > sound.body() + SOUND_HEAD => u64::from(u32::MAX),
        length => length,
    };
    let length = real_length(file, sound.body(), announced, size, order)?;
    let end = sound.body() + length;
    let pads = end >= size && length % 2 == 1;
    let whole = size.max(end + u64::from(pads)) - 8;
    let mut repaired = length != u64::from(sound.announced);
    if let (Ok(short), Ok(short_whole)) = (u32::try_from(length), u32::try_from(whole)) {
        repaired |= order.put(file, sound.start + 4, short)?;
        repaired |= order.put(file, 4, short_whole)?;
    }
    // Codings that are not linear count packets, and behind the sound other chunks may correct what is counted.
    if let Some(comm) = comm
        && let Some(block) = block(file, &comm)?
    {
        let frames = length.saturating_sub(SOUND_HEAD) / block;
        if let Ok(frames) = u32::try_from(frames) {
            repaired |= order.put(file, comm.body() + 2, frames)?;
        }
    }
    if pads {
        file.write_all_at(&[0], end)?;
        repaired = true;
    }
    Ok(if repaired {
        told(length.saturating_sub(SOUND_HEAD))
    } else {
        Vec::new()
    })
}

/// Bytes of a frame, of linear samples.
fn block(file: &File, comm: &Chunk) -> io::Result<Option<u64>> {
    let mut bytes = [0; 22];
    let there = read(file, comm.body(), &mut bytes)?;
    if comm.announced < 18 || there < 18 {
        return Ok(None);
    }
    if comm.announced >= 22 && there == 22 && !LINEAR.iter().any(|known| known[..] == bytes[18..]) {
        return Ok(None);
    }
    let channels = u64::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    let bits = u64::from(u16::from_be_bytes([bytes[6], bytes[7]]));
    Ok(Some(channels * bits.div_ceil(8)).filter(|block| *block > 0))
}
