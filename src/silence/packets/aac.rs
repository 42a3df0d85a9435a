//! Silent AAC packets of any length (ISO/IEC 14496-3, 4.4.2): for each element a long block without bands, then
//! fill elements, then the end.

use super::bits::Bits;

/// A single channel, a pair, and the channel of low frequencies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    Single,
    Pair,
    Low,
}

use Element::{Low, Pair, Single};

/// The elements of a layout (1.6.3.5): 1 to 7.
fn elements(layout: u8) -> &'static [Element] {
    match layout {
        1 => &[Single],
        2 => &[Pair],
        3 => &[Single, Pair],
        4 => &[Single, Pair, Single],
        5 => &[Single, Pair, Pair],
        6 => &[Single, Pair, Pair, Low],
        7 => &[Single, Pair, Pair, Pair, Low],
        _ => &[],
    }
}

/// Bits of a channel by itself, and of a pair.
const SINGLE_BITS: usize = 29;
const PAIR_BITS: usize = 43;

/// The mark of the end.
const END_BITS: usize = 3;

/// Bytes of the shortest silent packet of a layout.
pub(in crate::silence) fn shortest(layout: u8) -> usize {
    let bits: usize = elements(layout)
        .iter()
        .map(|element| {
            if *element == Pair {
                PAIR_BITS
            } else {
                SINGLE_BITS
            }
        })
        .sum();
    (bits + END_BITS).div_ceil(8)
}

/// The silent packet of `length` bytes; zeros where the length is below [`shortest`].
pub(in crate::silence) fn silent(layout: u8, length: usize) -> Vec<u8> {
    if length < shortest(layout) {
        return vec![0; length];
    }
    let mut bits = Bits::default();
    let (mut singles, mut pairs) = (0, 0);
    for element in elements(layout) {
        match element {
            Single | Low => {
                let (id, tag) = if *element == Low {
                    (3, 0)
                } else {
                    (0, singles)
                };
                singles += u32::from(*element == Single);
                bits.put(id, 3);
                bits.put(tag, 4);
                // Gain; a long block of no bands; no pulses, noise shaping, gain control.
                bits.zeros(8 + 11 + 3);
            }
            Pair => {
                bits.put(1, 3);
                bits.put(pairs, 4);
                pairs += 1;
                // One window for both; a long block of no bands; no mask; then gain and tools for each.
                bits.put(1, 1);
                bits.zeros(11 + 2 + 2 * (8 + 3));
            }
        }
    }
    // Fill elements of up to 269 bytes; what is left is less than the shortest of them, seven bits.
    let end = length * 8 - END_BITS;
    loop {
        let left = end - bits.count();
        if left >= 15 + 8 * 14 {
            let count = ((left - 15) / 8).min(269);
            bits.put(6, 3);
            bits.put(15, 4);
            bits.put(count as u32 - 14, 8);
            bits.zeros(count * 8);
        } else if left >= 7 {
            let count = ((left - 7) / 8).min(14);
            bits.put(6, 3);
            bits.put(count as u32, 4);
            bits.zeros(count * 8);
        } else {
            break;
        }
    }
    bits.put(7, END_BITS);
    let mut bytes = bits.into_bytes();
    bytes.resize(length, 0);
    bytes
}
