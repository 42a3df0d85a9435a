//! Names of sidecars: files that programs write beside sounds, such as peaks and markers.
//!
//! A sidecar is kept by what its name has behind the sound's: `kick.wav.reapeaks` is `.reapeaks` behind the whole name,
//! `kick.asd` is `.asd` behind the stem. So it is found beside the sound under whatever name a view shows that by.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest name of a file, in bytes.
const LONGEST: usize = 255;

/// What programs put behind the name, or the stem, of a sound: Live; REAPER; WaveLab; Sound Forge and Vegas; Audition and
/// Cool Edit; Ardour.
const KNOWN: [&[u8]; 11] = [
    b".asd",
    b".reapeaks",
    b".reapindex",
    b".gpk",
    b".mrk",
    b".sfk",
    b".sfl",
    b".sfap0",
    b".pkf",
    b".pk",
    b".peak",
];

/// Behind what of a sound's name the suffix of a sidecar stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Behind {
    /// The whole of it.
    Name,
    /// What is before its extension.
    Stem,
}

/// The name of a sidecar, without the sound's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SidecarName {
    /// Behind what.
    pub behind: Behind,
    /// As the program wrote it; never empty.
    pub suffix: Box<[u8]>,
}

impl SidecarName {
    /// A suffix behind the whole name.
    #[must_use]
    pub fn behind_name(suffix: &[u8]) -> Self {
        Self {
            behind: Behind::Name,
            suffix: suffix.into(),
        }
    }

    /// A suffix behind the stem.
    #[must_use]
    pub fn behind_stem(suffix: &[u8]) -> Self {
        Self {
            behind: Behind::Stem,
            suffix: suffix.into(),
        }
    }

    /// The name beside a sound that is shown as `sound`; `None` where that is too long for a name.
    #[must_use]
    pub fn beside(&self, sound: &[u8]) -> Option<Vec<u8>> {
        let before = match self.behind {
            Behind::Name => sound,
            Behind::Stem => stem_of(sound),
        };
        let name = [before, &self.suffix].concat();
        (name.len() <= LONGEST).then_some(name)
    }

    /// What `name` is beside a sound of the name `sound`, if it is one of the known sidecars.
    #[must_use]
    pub fn known_beside(name: &[u8], sound: &[u8]) -> Option<Self> {
        let behind = |before: &[u8]| name.strip_prefix(before).filter(|rest| is_known(rest));
        match behind(sound) {
            Some(suffix) => Some(Self::behind_name(suffix)),
            None => behind(stem_of(sound)).map(Self::behind_stem),
        }
    }

    /// It is one that a program is known to write.
    #[must_use]
    pub fn is_known(&self) -> bool {
        is_known(&self.suffix)
    }
}

fn is_known(suffix: &[u8]) -> bool {
    KNOWN.iter().any(|known| known.eq_ignore_ascii_case(suffix))
}

/// The name ends as those of sidecars do, with something before that.
#[must_use]
pub fn is_sidecar(name: &[u8]) -> bool {
    KNOWN.iter().any(|known| {
        name.len() > known.len() && name[name.len() - known.len()..].eq_ignore_ascii_case(known)
    })
}

/// The suffix begins as a known one does, and goes on otherwise or not at all: `.asd`, `.asd.tmp`, `.pkf~`.
#[must_use]
pub fn begins_as_sidecar(suffix: &[u8]) -> bool {
    KNOWN.iter().any(|known| {
        let (Some(begin), rest) = (suffix.get(..known.len()), suffix.get(known.len())) else {
            return false;
        };
        begin.eq_ignore_ascii_case(known) && !rest.is_some_and(u8::is_ascii_alphanumeric)
    })
}

/// What is before the extension of a name in bytes.
#[must_use]
pub fn stem_of(name: &[u8]) -> &[u8] {
    match name.iter().rposition(|byte| *byte == b'.') {
        Some(dot) if dot > 0 && dot + 1 < name.len() => &name[..dot],
        _ => name,
    }
}

/// A sidecar of an item.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sidecar {
    /// Its name beside the item's own, as text.
    pub name: String,
    /// What that has behind the item's name, or behind its stem where `behindStem` is set.
    pub suffix: String,
    /// The suffix takes the place of the extension.
    pub behind_stem: bool,
    /// In bytes.
    pub size: u64,
    /// Last change of its content, nanoseconds since 1970.
    pub modified_nanoseconds: i64,
    /// Where it is.
    pub kept: SidecarKept,
    /// The file that holds it.
    pub file: String,
}

/// Where a sidecar is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SidecarKept {
    /// A program wrote it through the drive: in the home.
    Home,
    /// Beside the item's file, as it was found there.
    Disk,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_is_named_after_its_sound() {
        let whole = SidecarName::behind_name(b".reapeaks");
        let stem = SidecarName::behind_stem(b".asd");
        assert_eq!(
            whole.beside(b"kick (2).wav").as_deref(),
            Some(&b"kick (2).wav.reapeaks"[..])
        );
        assert_eq!(
            stem.beside(b"kick (2).wav").as_deref(),
            Some(&b"kick (2).asd"[..])
        );
        assert_eq!(stem.beside(b"take").as_deref(), Some(&b"take.asd"[..]));
        assert_eq!(whole.beside(&[b'x'; 250]), None);
        for (name, found) in [
            (
                &b"kick.wav.ASD"[..],
                Some(SidecarName::behind_name(b".ASD")),
            ),
            (b"kick.pkf", Some(SidecarName::behind_stem(b".pkf"))),
            (b"kick.wav.txt", None),
            (b"kick.wav", None),
            (b"snare.asd", None),
        ] {
            assert_eq!(SidecarName::known_beside(name, b"kick.wav"), found);
        }
    }

    #[test]
    fn known_endings_are_told_from_others() {
        for name in [&b"x.asd"[..], b"x.wav.REAPEAKS", b"\xff.pk"] {
            assert!(is_sidecar(name));
        }
        for name in [&b".asd"[..], b"asd", b"x.wav", b"x.asd.txt", b""] {
            assert!(!is_sidecar(name));
        }
        for suffix in [&b".asd"[..], b".asd.tmp", b".pkf~", b".PK-1"] {
            assert!(begins_as_sidecar(suffix));
        }
        for suffix in [&b".asdf"[..], b".as", b".pkx", b"", b"asd"] {
            assert!(!begins_as_sidecar(suffix));
        }
    }
}
