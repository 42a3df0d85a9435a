//! WAVE: the lengths of the whole, of `data`, and of the sound in `fact`; in `ds64` those beyond 32 bits.

use std::fs::File;
use std::io;

use mediafs_platform::files::Positioned as _;

use super::{Chunk, MOST_CHUNKS, Order, chunk, read, real_length, told, word};

/// A `ds64` chunk without a table.
const DS64: u64 = 28;

/// What was found before the sound.
#[derive(Default)]
struct Found {
    /// Bytes of one frame, of codings that have such.
    block: Option<u16>,
    fact: Option<Chunk>,
    ds64: Option<Chunk>,
    /// Room for a `ds64`, right behind the head.
    spare: Option<Chunk>,
}

pub(super) fn repair(file: &File, size: u64, head: &[u8; 12]) -> io::Result<Vec<String>> {
    let order = if head.starts_with(b"RIFX") {
        Order::Big
    } else {
        Order::Little
    };
    let is_long = head.starts_with(b"RF64") || head.starts_with(b"BW64");
    let mut found = Found::default();
    let mut at = 12;
    for _ in 0..MOST_CHUNKS {
        let Some(next) = chunk(file, at, order)? else {
            return Ok(Vec::new());
        };
        match &next.id {
            b"data" => return lengths(file, size, order, is_long, &found, next),
            b"fmt " => found.block = block(file, &next, order)?,
            b"fact" if next.announced >= 4 => found.fact = Some(next),
            b"ds64" if u64::from(next.announced) >= DS64 => found.ds64 = Some(next),
            b"JUNK" | b"junk" if at == 12 && u64::from(next.announced) >= DS64 => {
                found.spare = Some(next);
            }
            _ => {}
        }
        at = next.end();
    }
    Ok(Vec::new())
}

/// The size of a frame of linear samples, whole numbers or floating point.
fn block(file: &File, fmt: &Chunk, order: Order) -> io::Result<Option<u16>> {
    const LINEAR: [u16; 3] = [1, 3, 0xfffe];
    let mut bytes = [0; 16];
    if fmt.announced < 16 || read(file, fmt.body(), &mut bytes)? < 16 {
        return Ok(None);
    }
    let short = |at: usize| match order {
        Order::Little => u16::from_le_bytes([bytes[at], bytes[at + 1]]),
        Order::Big => u16::from_be_bytes([bytes[at], bytes[at + 1]]),
    };
    Ok((LINEAR.contains(&short(0)) && short(12) > 0).then(|| short(12)))
}

fn lengths(
    file: &File,
    size: u64,
    order: Order,
    is_long: bool,
    found: &Found,
    data: Chunk,
) -> io::Result<Vec<String>> {
    const UNKNOWN: u64 = u32::MAX as u64;
    let mut announced = u64::from(data.announced);
    let ds64 = found.ds64.filter(|_| is_long);
    if let Some(ds64) = ds64.filter(|_| announced == UNKNOWN) {
        announced = long(file, ds64.body() + 8)?;
    }
    let length = real_length(file, data.body(), announced, size, order)?;
    let mut end = data.body() + length;
    let is_last = end >= size;
    // Padded where it is the last one, and odd.
    let pads = is_last && length % 2 == 1;
    let whole = size.max(end + u64::from(pads)) - 8;
    let mut repaired = length != announced;
    if let Some(ds64) = ds64 {
        repaired |= put_long(file, ds64.body() + 8, length)?;
        repaired |= put_long(file, ds64.body(), whole)?;
        if let Some(block) = found.block {
            repaired |= put_long(file, ds64.body() + 16, length / u64::from(block))?;
        }
        order.put(file, data.start + 4, u32::MAX)?;
        order.put(file, 4, u32::MAX)?;
    } else if let (Ok(short), Ok(short_whole)) = (u32::try_from(length), u32::try_from(whole)) {
        repaired |= order.put(file, data.start + 4, short)?;
        if let (Some(fact), Some(block)) = (found.fact, found.block) {
            repaired |= order.put(file, fact.body(), short / u32::from(block))?;
        }
        repaired |= order.put(file, 4, short_whole)?;
    } else if let Some(spare) = found.spare.filter(|_| order == Order::Little) {
        let frames = found.block.map_or(0, |block| length / u64::from(block));
        let mut body = Vec::new();
        for number in [whole, length, frames] {
            body.extend_from_slice(&number.to_le_bytes());
        }
        body.extend_from_slice(&0_u32.to_le_bytes());
        file.write_all_at(&body, spare.body())?;
        file.write_all_at(b"ds64", spare.start)?;
        order.put(file, data.start + 4, u32::MAX)?;
        file.write_all_at(b"RF64\xff\xff\xff\xff", 0)?;
        repaired = true;
    } else {
        // Longer than it can say: readers take that for "up to the end".
        repaired |= order.put(file, data.start + 4, u32::MAX)?;
        repaired |= order.put(file, 4, u32::MAX)?;
    }
    if pads {
        file.write_all_at(&[0], end)?;
        end += 1;
        repaired = true;
    }
    debug_assert!(!is_last || end == size.max(end));
    Ok(if repaired { told(length) } else { Vec::new() })
}

fn long(file: &File, at: u64) -> io::Result<u64> {
    match (word(file, at)?, word(file, at + 4)?) {
        (Some(low), Some(high)) => {
            let high = u64::from(u32::from_le_bytes(high));
            Ok(high << 32 | u64::from(u32::from_le_bytes(low)))
        }
        _ => Ok(0),
    }
}

fn put_long(file: &File, at: u64, number: u64) -> io::Result<bool> {
    if long(file, at)? == number {
        return Ok(false);
    }
    file.write_all_at(&number.to_le_bytes(), at)?;
    Ok(true)
}
