//! Names and paths as Windows has them: UTF-16, without a difference between `A` and `a`, and with characters that no file
//! may have in its name.
//!
//! The drive's computed names suit every system. Those below `library/` are whatever a disk has, so what Windows refuses is
//! shown as a character of the private range (U+F000 and up), as its subsystem for Linux shows it too, and led back.

use std::ffi::{OsStr, OsString};

pub(super) use super::super::cases::folded;

/// What Windows separates folders by.
pub(super) const SEPARATOR: u16 = b'\\' as u16;
/// The longest name, in units.
pub(super) const LONGEST_NAME: usize = 255;
/// Characters that no name may have, beside those below a space.
const RESERVED: &[u8] = b"\"*/:<>?\\|";
/// Where the private range begins that stands for what is below 128.
const PRIVATE: u16 = 0xf000;
/// Names that programs take for devices, whatever extension follows.
const DEVICES: [&str; 4] = ["CON", "PRN", "AUX", "NUL"];
/// The same with a digit behind them.
const NUMBERED_DEVICES: [&str; 2] = ["COM", "LPT"];
/// Names that file managers ask every folder for. Where they are not there, they are not there in another case either.
const PROBED: [&str; 5] = [
    "desktop.ini",
    "thumbs.db",
    "autorun.inf",
    "folder.jpg",
    "folder.gif",
];

/// The names that lead from the root to what `path` (`\by-id\…`) names.
pub(super) fn components(path: &[u16]) -> impl Iterator<Item = &[u16]> {
    path.split(|unit| *unit == SEPARATOR)
        .filter(|name| !name.is_empty())
}

/// The folder that holds what `path` names, and its name in there; `None` for the root.
pub(super) fn split(path: &[u16]) -> Option<(&[u16], &[u16])> {
    let end = path.len() - path.iter().rev().take_while(|u| **u == SEPARATOR).count();
    let path = path.get(..end)?;
    let at = path.iter().rposition(|unit| *unit == SEPARATOR)?;
    let (folder, name) = path.split_at(at);
    Some((folder, name.get(1..).filter(|name| !name.is_empty())?))
}

/// A name of the drive as it is shown; `None` if Windows cannot show it.
pub(super) fn shown(name: &OsStr) -> Option<Vec<u16>> {
    let mut units = units(name)?;
    if units.is_empty() || units.len() > LONGEST_NAME {
        return None;
    }
    for unit in &mut units {
        if is_refused(*unit) {
            *unit += PRIVATE;
        }
    }
    // Programs' paths lose a dot or a space at the end.
    if let Some(last) = units.last_mut()
        && is_refused_at_end(*last)
    {
        *last += PRIVATE;
    }
    if is_device(&units) {
        units[0] += PRIVATE;
    }
    Some(units)
}

fn is_refused(unit: u16) -> bool {
    unit < 0x20 || u8::try_from(unit).is_ok_and(|byte| RESERVED.contains(&byte))
}

fn is_refused_at_end(unit: u16) -> bool {
    unit == u16::from(b'.') || unit == u16::from(b' ')
}

/// The names that may be meant by one that is shown so: itself before what else is shown so.
pub(super) fn meant(name: &[u16]) -> impl Iterator<Item = OsString> {
    [verbatim(name), from_shown(name)].into_iter().flatten()
}

/// The name that is shown so, where showing has changed it; `None` if there is no such name, or it is no text. Disks have such
/// characters in names of their own as well: macOS and Samba put there what Windows refuses, a space at the end as U+F028 and a
/// dot as U+F029, which stand for something else here. So what leads back is only what [`shown`] would have put there.
pub(super) fn from_shown(name: &[u16]) -> Option<OsString> {
    let stood_for = |unit: u16| unit.checked_sub(PRIVATE).filter(|u| (1..0x80).contains(u));
    let mut units = name.to_vec();
    for unit in &mut units {
        if let Some(refused) = stood_for(*unit).filter(|u| is_refused(*u)) {
            *unit = refused;
        }
    }
    if let Some(last) = units.last_mut()
        && let Some(refused) = stood_for(*last).filter(|u| is_refused_at_end(*u))
    {
        *last = refused;
    }
    if let Some(first) = units.first().copied().and_then(stood_for) {
        let masked = std::mem::replace(&mut units[0], first);
        if !is_device(&units) {
            units[0] = masked;
        }
    }
    if units == name {
        return None;
    }
    text(&units).filter(|led_back| shown(led_back).as_deref() == Some(name))
}

/// The name of exactly these units; `None` if they are no text.
pub(super) fn verbatim(name: &[u16]) -> Option<OsString> {
    text(name)
}

// On Windows a name need not be text: half of a character is one as well.

#[cfg(windows)]
#[allow(clippy::unnecessary_wraps, reason = "as on the other systems")]
fn text(units: &[u16]) -> Option<OsString> {
    Some(std::os::windows::ffi::OsStringExt::from_wide(units))
}

#[cfg(windows)]
#[allow(clippy::unnecessary_wraps, reason = "as on the other systems")]
fn units(name: &OsStr) -> Option<Vec<u16>> {
    Some(std::os::windows::ffi::OsStrExt::encode_wide(name).collect())
}

#[cfg(not(windows))]
fn text(units: &[u16]) -> Option<OsString> {
    String::from_utf16(units).ok().map(OsString::from)
}

#[cfg(not(windows))]
fn units(name: &OsStr) -> Option<Vec<u16>> {
    Some(name.to_str()?.encode_utf16().collect())
}

fn is_device(name: &[u16]) -> bool {
    let stem: Vec<u16> = name
        .iter()
        .copied()
        .take_while(|unit| *unit != u16::from(b'.'))
        .collect();
    let Ok(stem) = String::from_utf16(&stem) else {
        return false;
    };
    let stem = stem.trim_end_matches(' ').to_ascii_uppercase();
    DEVICES.contains(&stem.as_str())
        || NUMBERED_DEVICES.iter().any(|device| {
            stem.strip_prefix(device).is_some_and(|number| {
                matches!(number, "¹" | "²" | "³")
                    || (number.len() == 1 && number.bytes().all(|byte| byte.is_ascii_digit()))
            })
        })
}

/// Is it a name that is asked for everywhere and hardly ever there?
pub(super) fn is_probed(name: &[u16]) -> bool {
    PROBED.iter().any(|probed| {
        name.len() == probed.len()
            && name.iter().zip(probed.bytes()).all(|(unit, byte)| {
                u8::try_from(*unit).is_ok_and(|u| u.eq_ignore_ascii_case(&byte))
            })
    })
}

/// `path` with one name more.
pub(super) fn joined(path: &[u16], name: &[u16]) -> Vec<u16> {
    let mut joined = Vec::with_capacity(path.len() + 1 + name.len());
    joined.extend_from_slice(path);
    joined.push(SEPARATOR);
    joined.extend_from_slice(name);
    joined
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn wide(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    fn as_shown(name: &str) -> String {
        String::from_utf16(&shown(OsStr::new(name)).unwrap()).unwrap()
    }

    #[test]
    fn what_windows_refuses_is_shown_otherwise_and_led_back() {
        for (name, told) in [
            ("kick.wav", "kick.wav"),
            ("größe 東京 🥁.wav", "größe 東京 🥁.wav"),
            ("what?.wav", "what\u{f03f}.wav"),
            (
                "a:b|c<d>e\"f*g\\h/i",
                "a\u{f03a}b\u{f07c}c\u{f03c}d\u{f03e}e\u{f022}f\u{f02a}g\u{f05c}h\u{f02f}i",
            ),
            ("tail.", "tail\u{f02e}"),
            ("tail ", "tail\u{f020}"),
            ("tab\there", "tab\u{f009}here"),
            ("CON", "\u{f043}ON"),
            ("con.wav", "\u{f063}on.wav"),
            ("Lpt1.tar.gz", "\u{f04c}pt1.tar.gz"),
            ("com².wav", "\u{f063}om².wav"),
            ("console.wav", "console.wav"),
            ("COM10", "COM10"),
        ] {
            assert_eq!(as_shown(name), told);
            let changed = (told != name).then(|| name.into());
            assert_eq!(from_shown(&wide(told)), changed);
        }
        assert_eq!(shown(OsStr::new("")), None);
        assert!(shown(OsStr::new(&"x".repeat(255))).is_some());
        assert_eq!(shown(OsStr::new(&"x".repeat(256))), None);
        // Half a character.
        let half = verbatim(&[0xd800]);
        if cfg!(windows) {
            assert_eq!(shown(&half.unwrap()).unwrap(), [0xd800]);
        } else {
            assert_eq!(half, None);
        }
    }

    #[test]
    fn what_other_systems_put_there_stays() {
        for own in [
            "Pad\u{f029}.wav",
            "Pad.wav\u{f028}",
            "tail\u{f02e}.wav",
            "\u{f061}udio.wav",
            "\u{f000}",
        ] {
            assert_eq!(from_shown(&wide(own)), None, "{own:?}");
            let meant: Vec<OsString> = meant(&wide(own)).collect();
            assert_eq!(meant, [own]);
        }
        // A disk may have both; then it is the name itself.
        let meant: Vec<OsString> = meant(&wide("odd\u{f03f}")).collect();
        assert_eq!(meant, ["odd\u{f03f}", "odd?"]);
        assert_eq!(from_shown(&wide("\u{f029}\u{f03f}")).unwrap(), "\u{f029}?");
    }

    #[test]
    fn paths_are_taken_apart() {
        let names = |path: &str| -> Vec<String> {
            components(&wide(path))
                .map(|name| String::from_utf16(name).unwrap())
                .collect()
        };
        assert_eq!(names("\\"), Vec::<String>::new());
        assert_eq!(names("\\by-id\\x\\kick.wav"), ["by-id", "x", "kick.wav"]);
        assert_eq!(names("\\folder\\"), ["folder"]);
        let path = wide("\\a\\b\\c\\");
        let (folder, name) = split(&path).unwrap();
        assert_eq!((folder, name), (&wide("\\a\\b")[..], &wide("c")[..]));
        let top = wide("\\a");
        assert_eq!(split(&top).unwrap(), (&[][..], &wide("a")[..]));
        assert_eq!(split(&wide("\\")), None);
        assert_eq!(split(&[]), None);
        assert_eq!(joined(&wide("\\a"), &wide("b")), wide("\\a\\b"));
        assert_eq!(joined(&[], &wide("b")), wide("\\b"));
    }

    #[test]
    fn case_is_folded_where_that_is_beyond_doubt() {
        let same = |a: &str, b: &str| folded(&wide(a)) == folded(&wide(b));
        assert!(same("Kick Größe.wav", "KICK GRÖßE.WAV"));
        assert!(same("ДОМ", "дом"));
        // Half a sign, and letters whose capital leads elsewhere.
        for apart in ["ı", "ſ", "µ", "ς"] {
            assert_eq!(folded(&wide(apart)), wide(apart));
        }
        assert_eq!(folded(&[0xd83e, 0xdd41]), [0xd83e, 0xdd41]);
    }

    #[test]
    fn names_that_file_managers_probe_for_are_known() {
        assert!(is_probed(&wide("Desktop.INI")));
        assert!(is_probed(&wide("Thumbs.db")));
        assert!(!is_probed(&wide("desktop.wav")));
    }

    proptest! {
        #[test]
        fn every_name_without_private_characters_comes_back(name in "[^\u{0}\u{f000}-\u{f07f}]{1,80}") {
            if let Some(told) = shown(OsStr::new(&name)) {
                prop_assert!(told.iter().all(|u| *u >= 0x20 && !RESERVED.iter().any(|r| u16::from(*r) == *u)));
                let back = from_shown(&told).or_else(|| verbatim(&told));
                prop_assert_eq!(back.unwrap(), OsString::from(&name));
            }
        }

        /// What leads back is what is shown so, whatever characters a disk has in its names.
        #[test]
        fn no_name_leads_to_one_that_is_shown_otherwise(
            name in "[a-cCON\u{f000}-\u{f07f}.? ]{1,8}",
        ) {
            if let Some(back) = from_shown(&wide(&name)) {
                prop_assert_eq!(as_shown(back.to_str().unwrap()), name);
            }
        }

        #[test]
        fn folding_keeps_the_length_and_folds_once(units in proptest::collection::vec(any::<u16>(), 0..40)) {
            let once = folded(&units);
            prop_assert_eq!(once.len(), units.len());
            prop_assert_eq!(folded(&once), once);
        }
    }
}
