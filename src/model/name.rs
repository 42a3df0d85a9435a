//! Names as text, names that are safe on every system, and the form in which names are compared. On Unix a name is any
//! bytes; none of these forms makes two different names one.
//!
//! The *text* of a name ([`display_name`]) is what catalog, protocol and people are given: the name itself where it is
//! UTF-8, else with `%XX` for each byte that is not. (So that this can be taken back, every `%` that would read as an
//! escape becomes `%25` in it; and so it does in a UTF-8 name that would read as the text of another one, as the seven
//! characters `x%E9.wav` do.) [`name_bytes`] takes it back. The text of a path is a `file://` URI instead, for it is to
//! be given back to commands: see [`path_text`](fn@super::path_text).
//!
//! A *safe* name ([`safe_name`]), by which `by-id/`, `projects/` and library roots are shown, escapes what some system
//! cannot keep as `%XX` (two upper-case hexadecimal digits of a byte): control characters, `< > : " / \ | ? *`, bytes
//! that are not UTF-8, a trailing dot or space, the first letter of a reserved device name, and a `%` that would read as
//! an escape. [`unsafe_name`] takes it back. Only a name that is too long (255 bytes or 255 UTF-16 units) loses its
//! middle to a hash.

use unicode_normalization::UnicodeNormalization;

/// Longest name in bytes and in UTF-16 units.
const LONGEST: usize = 255;

/// Device names that Windows keeps for itself, whatever the extension.
const RESERVED: [&str; 22] = [
    "CON", "PRN", "AUX", "NUL", "COM1", "COM2", "COM3", "COM4", "COM5", "COM6", "COM7", "COM8",
    "COM9", "LPT1", "LPT2", "LPT3", "LPT4", "LPT5", "LPT6", "LPT7", "LPT8", "LPT9",
];

fn escape(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

fn is_escape(rest: &[u8]) -> bool {
    let upper_hex = |b: &u8| b.is_ascii_digit() || (b'A'..=b'F').contains(b);
    rest.len() >= 3 && rest[0] == b'%' && upper_hex(&rest[1]) && upper_hex(&rest[2])
}

/// The name made safe for every system. `.` and `..` and the empty name are escaped too.
#[must_use]
pub fn safe_name(name: &[u8]) -> String {
    if name.is_empty() {
        return "%00".to_owned();
    }
    let mut out = String::with_capacity(name.len());
    let mut at = 0;
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            let width = c.len_utf8();
            let last = at + width == name.len();
            let unsafe_here = match c {
                '<' | '>' | ':' | '"' | '/' | '\\' | '|' | '?' | '*' => true,
                '.' | ' ' => last,
                '%' => is_escape(&name[at..]),
                // Control characters, and the line separators that some programs take for line ends.
                c => c.is_control(),
            };
            if unsafe_here {
                for byte in &name[at..at + width] {
                    escape(&mut out, *byte);
                }
            } else {
                out.push(c);
            }
            at += width;
        }
        for byte in chunk.invalid() {
            escape(&mut out, *byte);
            at += 1;
        }
    }
    let stem = out
        .split('.')
        .next()
        .unwrap_or("")
        .trim_end()
        .to_ascii_uppercase();
    if RESERVED.contains(&stem.as_str()) {
        let first = out.remove(0);
        let mut escaped = String::new();
        escape(&mut escaped, u8::try_from(first).unwrap_or(b'_'));
        out.insert_str(0, &escaped);
    }
    shorten(out, name)
}

fn fits(name: &str) -> bool {
    name.len() <= LONGEST && name.encode_utf16().count() <= LONGEST
}

fn shorten(name: String, original: &[u8]) -> String {
    if fits(&name) {
        return name;
    }
    let hash = blake3::hash(original).to_hex();
    let (stem, extension) = split_extension(&name);
    let extension = if extension.len() <= 16 { extension } else { "" };
    let mut stem = stem.to_owned();
    loop {
        let dot = if extension.is_empty() { "" } else { "." };
        let candidate = format!("{stem}~{}{dot}{extension}", &hash[..12]);
        if fits(&candidate) || stem.is_empty() {
            return candidate;
        }
        stem.pop();
    }
}

/// The name that [`safe_name`] was made from (unless it had to be shortened).
#[must_use]
pub fn unsafe_name(name: &str) -> Vec<u8> {
    if name == "%00" {
        return Vec::new();
    }
    unescaped(name.as_bytes())
}

fn unescaped(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |b: u8| {
            char::from(b)
                .to_digit(16)
                .and_then(|d| u8::try_from(d).ok())
                .unwrap_or(0)
        };
        if is_escape(&bytes[at..]) {
            out.push(digit(bytes[at + 1]) << 4 | digit(bytes[at + 2]));
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    out
}

/// The form in which names are compared: NFC where it is UTF-8, else the bytes.
#[must_use]
pub fn compared(name: &[u8]) -> Vec<u8> {
    if name.is_ascii() {
        return name.to_vec();
    }
    match std::str::from_utf8(name) {
        Ok(text) => text.nfc().collect::<String>().into_bytes(),
        Err(_) => name.to_vec(),
    }
}

/// The form in which names are the same on disks that do not tell upper case from lower: without regard to case and
/// composition where it is UTF-8, else the bytes.
#[must_use]
pub fn caseless(name: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(name) {
        Ok(text) if text.is_ascii() => name.to_ascii_lowercase(),
        Ok(text) => {
            let lower = text.nfc().collect::<String>().to_lowercase();
            lower.nfc().collect::<String>().into_bytes()
        }
        Err(_) => name.to_vec(),
    }
}

/// A name of a file as text (or a relative path, whose separators stay).
#[must_use]
pub fn display_name(name: &[u8]) -> String {
    if !is_foreign(name) {
        // It is UTF-8.
        return String::from_utf8_lossy(name).into_owned();
    }
    let mut out = String::with_capacity(name.len());
    let mut at = 0;
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '%' && is_escape(&name[at..]) {
                escape(&mut out, b'%');
            } else {
                out.push(c);
            }
            at += c.len_utf8();
        }
        for byte in chunk.invalid() {
            escape(&mut out, *byte);
            at += 1;
        }
    }
    out
}

/// The name that [`display_name`] was made from.
#[must_use]
pub fn name_bytes(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    if is_foreign(bytes) {
        unescaped(bytes)
    } else {
        bytes.to_vec()
    }
}

/// The safe name of a name that is given as text.
#[must_use]
pub fn shown_name(text: &str) -> String {
    safe_name(&name_bytes(text))
}

/// The name is not UTF-8, or would read as the text of one that is not, or as the text of that one, and so on.
fn is_foreign(name: &[u8]) -> bool {
    let mut name = std::borrow::Cow::Borrowed(name);
    loop {
        if std::str::from_utf8(&name).is_err() {
            return true;
        }
        if !name.contains(&b'%') {
            return false;
        }
        let inner = unescaped(&name);
        if inner.len() == name.len() {
            return false;
        }
        name = inner.into();
    }
}

/// Stem and extension (without the dot; empty where there is none; a leading dot begins no extension).
#[must_use]
pub fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 && dot + 1 < name.len() => (&name[..dot], &name[dot + 1..]),
        _ => (name, ""),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_names_stay() {
        for name in [
            "Kick 01.wav",
            "100% Snare.flac",
            "ä ö ü.aiff",
            "x",
            ".hidden",
            "a%2g.wav",
        ] {
            assert_eq!(safe_name(name.as_bytes()), name);
        }
    }

    #[test]
    fn names_that_some_system_cannot_keep_are_escaped() {
        assert_eq!(safe_name(b"a:b?.wav"), "a%3Ab%3F.wav");
        assert_eq!(safe_name(b"con.wav"), "%63on.wav");
        assert_eq!(safe_name(b"COM1"), "%43OM1");
        assert_eq!(safe_name(b"trailing."), "trailing%2E");
        assert_eq!(safe_name(b".."), ".%2E");
        assert_eq!(safe_name(b"."), "%2E");
        assert_eq!(safe_name(b"line\nbreak\t.wav"), "line%0Abreak%09.wav");
        assert_eq!(safe_name(b"latin\xe9.wav"), "latin%E9.wav");
        assert_eq!(safe_name(b"100%41.wav"), "100%2541.wav");
    }

    #[test]
    fn long_names_fit_and_differ() {
        let one = safe_name(format!("{}1.wav", "ä".repeat(300)).as_bytes());
        let two = safe_name(format!("{}2.wav", "ä".repeat(300)).as_bytes());
        assert!(fits(&one) && one.ends_with(".wav"));
        assert_ne!(one, two);
    }

    #[test]
    fn the_text_of_a_name_is_the_name_wherever_it_can_be() {
        for name in ["Kick%20Loud.wav", "100%.wav", "ä%C3%A4.wav", "%41%42", "%"] {
            assert_eq!(display_name(name.as_bytes()), name);
            assert_eq!(shown_name(name), safe_name(name.as_bytes()));
        }
        assert_eq!(display_name(b"x\xe9.wav"), "x%E9.wav");
        assert_eq!(display_name(b"x%E9.wav"), "x%25E9.wav");
        assert_eq!(display_name(b"x%25E9.wav"), "x%2525E9.wav");
        assert_eq!(display_name(b"x\xe8%20.wav"), "x%E8%2520.wav");
        assert_eq!(shown_name("x%E9.wav"), safe_name(b"x\xe9.wav"));
    }

    /// Names that are likely to be taken for one another.
    fn confusable() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(
            prop::sample::select(b"%%%25E9Fa\xe9\xff\xc3\xa9".to_vec()),
            0..12,
        )
    }

    proptest! {
        #[test]
        fn names_as_text_are_reversible(
            any in prop::collection::vec(any::<u8>(), 0..80),
            confusable in confusable(),
        ) {
            prop_assert_eq!(name_bytes(&display_name(&any)), any);
            prop_assert_eq!(name_bytes(&display_name(&confusable)), confusable);
        }

        #[test]
        fn safe_names_are_reversible(name in prop::collection::vec(any::<u8>(), 1..80)) {
            let safe = safe_name(&name);
            prop_assert!(fits(&safe));
            prop_assert!(!safe.chars().any(|c| c.is_control() || "<>:\"/\\|?*".contains(c)));
            prop_assert!(!safe.ends_with(['.', ' ']));
            prop_assert_eq!(unsafe_name(&safe), name);
        }
    }
}
