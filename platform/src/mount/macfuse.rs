//! What macFUSE is told of a mount beside what all FUSEs are.
//!
//! Not `noappledouble`: where the drive can be written to, copies of the Finder put what it keeps of a file into `._NAME`
//! beside it, and would fail if they could not; elsewhere the drive refuses it as it refuses all. Nor `local`, as a drive that
//! the Finder takes for a disk is offered to be erased, indexed and backed up.

use std::ffi::{CString, NulError};
use std::path::Path;

use super::{MountOptions, SUBTYPE};

/// When it gives the whole mount up whose daemon owes an answer: the longest that it takes. Its own minute could pass while
/// the machine sleeps, or is held up.
const DAEMON_TIMEOUT: &str = "daemon_timeout=600";

/// The options of a mount at `point`.
fn options(point: &Path, wanted: &MountOptions) -> Vec<String> {
    let mut options = ["nosuid", "nodev", "noexec", "noatime", DAEMON_TIMEOUT]
        .map(str::to_owned)
        .to_vec();
    let source = Some(plain(&wanted.name)).filter(|name| !name.trim().is_empty());
    options.push(format!("fsname={}", source.as_deref().unwrap_or(SUBTYPE)));
    if wanted.allow_other {
        options.push("allow_other".to_owned());
    }
    let name = point.file_name().map(|name| plain(&name.to_string_lossy()));
    if let Some(name) = name.filter(|name| !name.trim().is_empty()) {
        options.push(format!("volname={name}"));
    }
    options
}

/// As an option can hold it: a comma ends it, and a backslash is for what follows.
fn plain(text: &str) -> String {
    text.replace(|c: char| matches!(c, ',' | '\\') || c.is_control(), " ")
}

/// The words that libfuse is called with: one for the program, which it passes over, then `-o` before each option.
pub(super) fn words(point: &Path, wanted: &MountOptions) -> Result<Vec<CString>, NulError> {
    let options = options(point, wanted).into_iter();
    let options = options.flat_map(|option| ["-o".to_owned(), option]);
    std::iter::once(SUBTYPE.to_owned())
        .chain(options)
        .map(CString::new)
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_volume_is_called_as_its_folder() {
        let named = |point: &str| {
            let options = options(Path::new(point), &MountOptions::new(point));
            let mut names = options.into_iter();
            names.find(|option| option.starts_with("volname="))
        };
        let name = |name: &str| Some(format!("volname={name}"));
        assert_eq!(named("/Volumes/Loophole"), name("Loophole"));
        assert_eq!(named("/Volumes/My, \u{7}Drive\\"), name("My   Drive "));
        assert_eq!(named("/"), None);
        assert_eq!(named("/,"), None);
    }

    #[test]
    fn each_option_has_a_word_of_its_own() {
        let mut wanted = MountOptions::new("/Volumes/Loophole");
        let words = |wanted: &MountOptions| -> Vec<String> {
            let words = words(&wanted.mountpoint, wanted).unwrap();
            let words = words.into_iter().map(|word| word.into_string().unwrap());
            words.collect()
        };
        let given = words(&wanted);
        assert_eq!(given[..3], ["mediafs", "-o", "nosuid"]);
        assert!(given.contains(&"fsname=mediafs".to_owned()));
        assert!(given.contains(&"daemon_timeout=600".to_owned()));
        assert!(!given.contains(&"allow_other".to_owned()));
        wanted.name = "a,allow_root".to_owned();
        wanted.allow_other = true;
        let given = words(&wanted);
        assert!(given.contains(&"fsname=a allow_root".to_owned()));
        assert!(given.contains(&"allow_other".to_owned()));
        assert!(given.iter().skip(1).step_by(2).all(|word| word == "-o"));
        wanted.name = " ".to_owned();
        assert!(words(&wanted).contains(&"fsname=mediafs".to_owned()));
    }
}
