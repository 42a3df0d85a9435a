//! Values that files state about themselves, under one set of names.
//!
//! | name | value |
//! | --- | --- |
//! | `bpm`, `beats` | numbers |
//! | `timeSignature` | `"6/8"` |
//! | `rootNote` | MIDI note, 0–127 |
//! | `loopStart`, `loopEnd` | frames, the last one included |
//! | `oneShot` | true |
//! | `key`, `title`, `artist`, `album`, `genre`, `comment`, `date`, `description`, `originator`, `software` | text |
//!
//! The first source that states a name wins; sources are asked in the order of their trustworthiness.

use serde_json::Value;

use super::bytes::u32_le;

/// Longer texts are cut, in characters.
const LONGEST_TEXT: usize = 4096;

/// No file has more comments than this.
const MOST_COMMENTS: u32 = 4096;

/// Attributes of one file, each name once.
#[derive(Default, Debug)]
pub(super) struct Tags(Vec<(String, Value)>);

impl Tags {
    /// The first value of a name stays.
    pub(super) fn set(&mut self, name: &str, value: impl Into<Value>) {
        if !self.0.iter().any(|(known, _)| known == name) {
            self.0.push((name.to_owned(), value.into()));
        }
    }

    /// Text without surrounding blanks and zeros; empty text is none.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        let value = value.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        if !value.is_empty() {
            self.set(name, value.chars().take(LONGEST_TEXT).collect::<String>());
        }
    }

    /// Beats a minute, where it is a tempo at all.
    pub(super) fn bpm(&mut self, value: f64) {
        if value.is_finite() && (1.0..1000.0).contains(&value) {
            self.set("bpm", (value * 10_000.0).round() / 10_000.0);
        }
    }

    /// A MIDI note.
    pub(super) fn root_note(&mut self, note: u32) {
        if note < 128 {
            self.set("rootNote", note);
        }
    }

    /// A field by the name that its own format gives it (Vorbis comment, ID3v2 text frame, LIST INFO, CAF info …).
    pub(super) fn foreign(&mut self, name: &str, value: &str) {
        let known = match name.to_ascii_uppercase().as_str() {
            "TITLE" | "TIT2" | "TT2" | "INAM" | "NAME" | "©NAM" => "title",
            "ARTIST" | "TPE1" | "TP1" | "IART" | "AUTH" | "AUTHOR" | "©ART" => "artist",
            "ALBUM" | "TALB" | "TAL" | "IPRD" | "©ALB" => "album",
            "GENRE" | "TCON" | "TCO" | "IGNR" | "©GEN" => "genre",
            "COMMENT" | "COMMENTS" | "COMM" | "COM" | "ICMT" | "ANNO" | "©CMT" => "comment",
            "DESCRIPTION" => "description",
            "DATE" | "YEAR" | "TDRC" | "TYER" | "TYE" | "ICRD" | "RECORDED DATE" | "©DAY" => {
                "date"
            }
            "KEY" | "INITIALKEY" | "INITIAL KEY" | "TKEY" | "TKE" | "KEY SIGNATURE" => "key",
            "ENCODER" | "TSSE" | "ISFT" | "ENCODING APPLICATION" | "©TOO" => "software",
            "TIME SIGNATURE" => "timeSignature",
            "BPM" | "TBPM" | "TBP" | "TEMPO" | "IBPM" => {
                if let Ok(tempo) = value.trim_matches(['\0', ' ']).parse() {
                    self.bpm(tempo);
                }
                return;
            }
            _ => return,
        };
        self.text(known, value);
    }

    /// A Vorbis comment block without framing bit: vendor, count, `NAME=value` (Vorbis I specification, 5.2.1).
    pub(super) fn vorbis_comments(&mut self, block: &[u8]) {
        let Some(vendor) = u32_le(block, 0) else {
            return;
        };
        let mut at = 4_usize.saturating_add(vendor as usize);
        let count = u32_le(block, at).unwrap_or(0);
        at = at.saturating_add(4);
        for _ in 0..count.min(MOST_COMMENTS) {
            let Some(length) = u32_le(block, at) else {
                return;
            };
            let start = at + 4;
            let end = start.saturating_add(length as usize);
            let Some(comment) = block.get(start..end) else {
                return;
            };
            if let Some((name, value)) = text(comment).split_once('=') {
                self.foreign(name, value);
            }
            at = end;
        }
    }

    /// For [`super::Probe`].
    pub(super) fn into_attributes(self) -> Vec<(String, Value)> {
        self.0
    }
}

/// Foreign text up to its first zero: UTF-8 where it is valid, else Latin-1.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    match std::str::from_utf8(&bytes[..end]) {
        Ok(text) => text.to_owned(),
        Err(_) => latin1(&bytes[..end]),
    }
}

/// ISO 8859-1.
pub(super) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
