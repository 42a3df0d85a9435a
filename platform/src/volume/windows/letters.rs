//! Paths of shares that have a drive letter here.
//!
//! A share has as many names as there are paths to it, `\\nas\sounds\kits` and `Z:\kits`, and Windows gives the first when it is
//! asked for the real path of the second. The mount table knows shares by their letters, as it does disks, so that is
//! the one that counts here.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf, Prefix};

use windows_sys::Win32::System::WindowsProgramming::DRIVE_REMOTE;

use super::{drive_type, share_of};

/// The path by which the mount table knows what is at `path`. Touches no storage.
pub(crate) fn by_its_letter(path: PathBuf) -> PathBuf {
    if names_on_share(&path).is_none() {
        return path;
    }
    let shares = ('A'..='Z').filter_map(|letter| {
        let is_share = drive_type(Path::new(&format!("{letter}:\\"))) == DRIVE_REMOTE;
        Some((letter, share_of(letter).filter(|_| is_share)?))
    });
    lettered(&path, shares).unwrap_or(path)
}

/// By the letter of the deepest of these shares that holds it.
fn lettered(path: &Path, shares: impl Iterator<Item = (char, OsString)>) -> Option<PathBuf> {
    let names = names_on_share(path)?;
    let folded = |name: &OsString| name.to_string_lossy().to_lowercase();
    let holding = shares.filter_map(|(letter, share)| {
        let above = names_on_share(Path::new(&share))?;
        let front = names.get(..above.len())?;
        let is_it = front.iter().map(folded).eq(above.iter().map(folded));
        is_it.then_some((above.len(), letter))
    });
    // Of two letters of one share the first.
    let (depth, letter) = holding.reduce(|best, next| if next.0 > best.0 { next } else { best })?;
    let mut path = PathBuf::from(format!("{letter}:\\"));
    path.extend(names.get(depth..)?);
    Some(path)
}

/// Server, share, and what is below; `None` of all other paths, and of those in the long form, which may have names that
/// others cannot.
fn names_on_share(path: &Path) -> Option<Vec<OsString>> {
    let mut parts = path.components();
    let mut names = match parts.next()? {
        Component::Prefix(prefix) => match prefix.kind() {
            Prefix::UNC(server, share) => vec![server.to_owned(), share.to_owned()],
            _ => return None,
        },
        _ => return None,
    };
    for part in parts {
        match part {
            Component::RootDir => {}
            Component::Normal(name) => names.push(name.to_owned()),
            _ => return None,
        }
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_with_a_letter_is_known_by_it() {
        let shares = || {
            [
                ('X', r"\\nas\music"),
                ('Y', r"\\nas\Sounds\"),
                ('Z', r"\\nas\sounds\kits"),
                ('W', r"\\nas\sounds"),
            ]
            .into_iter()
            .map(|(letter, share)| (letter, OsString::from(share)))
        };
        let of = |path: &str| lettered(Path::new(path), shares());
        assert_eq!(of(r"\\NAS\sounds\a.wav"), Some(r"Y:\a.wav".into()));
        assert_eq!(of(r"\\nas\sounds"), Some(r"Y:\".into()));
        assert_eq!(of(r"\\nas\sounds\Kits\b\c.wav"), Some(r"Z:\b\c.wav".into()));
        for none in [
            r"\\nas\sounds2\a.wav",
            r"\\nas2\sounds\a.wav",
            r"C:\sounds\a.wav",
            r"\\?\UNC\nas\sounds\a.",
            r"sounds\a.wav",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
        let here = PathBuf::from(r"C:\sounds");
        assert_eq!(by_its_letter(here.clone()), here);
        let elsewhere = PathBuf::from(r"\\nobody-has-this\sounds\a.wav");
        assert_eq!(by_its_letter(elsewhere.clone()), elsewhere);
    }
}
