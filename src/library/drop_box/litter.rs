//! What macOS leaves in the drop box: beside `Kick.wav` a `._Kick.wav` (where a file system keeps no extended attributes, as
//! ours does not), and a `.DS_Store` in folders that somebody has looked into.
//!
//! None of it becomes an item. A `._Kick.wav` goes once `Kick.wav` has become one, before or after it was written itself:
//! else the next `Kick.wav` would have a stranger's Finder info, and its folder could not be removed. It stays where it holds
//! more than that (see `apple_double`), while it is open, and as long as there is a `Kick.wav`.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::apple_double;
use super::due::{QUIET, Touched};
use super::names::{companion_of, is_of_finder};
use super::{DropBox, Table};

/// How long it is known that something was taken from the drop box.
const KNOWN: Duration = Duration::from_secs(600);
/// A `._Kick.wav` without a `Kick.wav`, of which it is not known whether there was one, as another daemon may have taken it:
/// after so long none comes any more.
const ORPHANED: Duration = Duration::from_secs(3600);

impl DropBox {
    /// Removes what belongs to files that have become items.
    pub(crate) fn remove_litter(&self) {
        let due = {
            let mut table = self.table.lock();
            table.taken.retain(|_, at| at.elapsed() < KNOWN);
            table.left_alone()
        };
        for (path, owner, touch) in due {
            self.remove_left_alone(&path, &owner, touch);
        }
    }

    fn remove_left_alone(&self, path: &Path, owner: &Path, touch: u64) {
        let _alone = self.changing.write();
        // It may have been opened, written to, or given another name since it was looked at.
        let is_due = |table: &Table| {
            table.touched.get(path).is_some_and(|t| t.touch == touch)
                && table.is_untouched(path, QUIET)
        };
        if !is_due(&self.table.lock()) {
            return;
        }
        let has_owner = match self.absolute(owner).symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            // A folder, or one that came by another way; and what is not known.
            Ok(_) | Err(_) => true,
        };
        if has_owner {
            return;
        }
        if self.is_litter(path, QUIET) && self.remove_file(path).is_ok() {
            tracing::debug!(path = %path.display(), "its file has become an item");
        } else if let Some(state) = self.table.lock().touched.get_mut(path) {
            state.settled = true;
        }
    }

    /// Removes all that is in a folder, where that is but litter nobody has open and has touched for so long; else nothing,
    /// and `DirectoryNotEmpty`. With `changing` held alone.
    pub(super) fn clear(&self, folder: &Path, untouched: Duration) -> io::Result<()> {
        let mut litter = Vec::new();
        for entry in std::fs::read_dir(self.absolute(folder))? {
            let path = folder.join(entry?.file_name());
            if !self.is_litter(&path, untouched) {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            litter.push(path);
        }
        litter.iter().try_for_each(|path| self.remove_file(path))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(self.absolute(path))?;
        let mut table = self.table.lock();
        table.touched.remove(path);
        table.unname(path);
        Ok(())
    }

    /// Whether a file may go with what it belongs to.
    fn is_litter(&self, path: &Path, untouched: Duration) -> bool {
        let is_of_finder = path.file_name().is_some_and(is_of_finder);
        if (!is_of_finder && companion_of(path).is_none())
            || !self.table.lock().is_untouched(path, untouched)
        {
            return false;
        }
        let absolute = self.absolute(path);
        // No link is followed, and nothing is opened that could hang.
        if !absolute
            .symlink_metadata()
            .is_ok_and(|found| found.is_file())
        {
            return false;
        }
        let is_without_forks = || {
            let mut file = File::open(&absolute)?;
            apple_double::is_without_forks(&mut file)
        };
        is_of_finder || is_without_forks().unwrap_or(false)
    }
}

impl Table {
    /// Something has become an item, or was a folder that went.
    pub(super) fn took(&mut self, path: &Path) {
        self.taken.insert(path.to_owned(), Instant::now());
    }

    /// Files that belong to others which have gone, with those, and their last touches.
    fn left_alone(&self) -> Vec<(PathBuf, PathBuf, u64)> {
        let each = self.touched.iter().filter_map(|(path, state)| {
            let owner = companion_of(path)?;
            let is_left = self.taken.contains_key(&owner) || state.at.elapsed() >= ORPHANED;
            let is_due = is_left
                && !state.settled
                && !self.touched.contains_key(&owner)
                && self.is_untouched(path, QUIET);
            is_due.then(|| (path.clone(), owner, state.touch))
        });
        each.collect()
    }

    /// Nobody has it open, nor has touched it for so long.
    fn is_untouched(&self, path: &Path, time: Duration) -> bool {
        let node = self.numbers.get(path).and_then(|n| self.nodes.get(n));
        let at = self.touched.get(path).map(|Touched { at, .. }| at);
        node.is_none_or(|node| node.handles == 0) && at.is_none_or(|at| at.elapsed() >= time)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::ffi::OsStr;
    use std::io::Write as _;
    use std::sync::Arc;

    use mediafs_platform::drive::Replacing;

    use super::super::apple_double::tests::{apple_double, blank};
    use super::super::{At, BoxHandle};
    use super::*;

    fn open_box() -> (tempfile::TempDir, Arc<DropBox>) {
        let home = tempfile::tempdir().unwrap();
        let there = DropBox::open(home.path()).unwrap();
        (home, there)
    }

    fn at(name: &str) -> At<'_> {
        At {
            folder: None,
            name: OsStr::new(name),
        }
    }

    fn create(there: &Arc<DropBox>, at: At<'_>, content: &[u8]) -> BoxHandle {
        let (number, writer) = BoxHandle::create(there, at, 0o644, false, true).unwrap();
        (&**writer.file()).write_all(content).unwrap();
        there.forget(number, 1);
        writer
    }

    fn put(there: &Arc<DropBox>, name: &str, content: &[u8]) {
        drop(create(there, at(name), content));
    }

    /// As macOS writes it.
    fn info() -> Vec<u8> {
        apple_double(&[(9, &[7; 3810]), (2, &blank())])
    }

    /// Waits until all is due, and makes an item of a file.
    fn take(there: &DropBox, name: &str) {
        std::thread::sleep(QUIET);
        std::fs::remove_file(there.absolute(Path::new(name))).unwrap();
        there.seal(Path::new(name)).unwrap().taken();
        there.remove_litter();
    }

    fn left(there: &DropBox, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(there.absolute(Path::new(folder))).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_belongs_to_a_sound_goes_when_that_is_an_item() {
        let (_home, there) = open_box();
        put(&there, "Kick.wav", b"sound");
        put(&there, "Snare.wav", b"sound");
        put(&there, "._Kick.wav", &info());
        put(&there, "._Snare.wav", &info());
        put(&there, "._Hat.wav", &info());
        put(&there, ".DS_Store", b"");
        std::thread::sleep(QUIET);
        there.remove_litter();
        assert_eq!(left(&there, "").len(), 6, "nothing was taken yet");
        let number = there.number(Path::new("._Kick.wav"), true);
        take(&there, "Kick.wav");
        let still = [".DS_Store", "._Hat.wav", "._Snare.wav", "Snare.wav"];
        assert_eq!(left(&there, ""), still);
        assert_eq!(there.path_of(number), None);
    }

    #[test]
    fn what_holds_more_or_is_none_stays() {
        let (_home, there) = open_box();
        let fork = apple_double(&[(9, &[7; 32]), (2, b"sample-rate 44100")]);
        let whole = info();
        for (name, content) in [
            ("fork.sd2", &fork[..]),
            ("other.wav", b"RIFF, whatever it is"),
            ("half.wav", &whole[..100]),
        ] {
            put(&there, name, b"sound");
            put(&there, &format!("._{name}"), content);
            take(&there, name);
        }
        there.make_folder(at("._folder.wav"), 0o755).unwrap();
        assert_eq!(
            left(&there, ""),
            ["._folder.wav", "._fork.sd2", "._half.wav", "._other.wav"]
        );
        assert!(there.table.lock().left_alone().is_empty(), "it is settled");
        // Its end comes later.
        put(&there, "._half.wav", &whole);
        std::thread::sleep(QUIET);
        there.remove_litter();
        assert!(!left(&there, "").contains(&"._half.wav".to_owned()));
    }

    #[test]
    fn what_comes_after_its_sound_was_taken_goes_when_it_is_closed() {
        let (_home, there) = open_box();
        put(&there, "Kick.wav", b"sound");
        take(&there, "Kick.wav");
        let late = create(&there, at("._Kick.wav"), &info());
        std::thread::sleep(QUIET);
        there.remove_litter();
        assert_eq!(left(&there, ""), ["._Kick.wav"], "it is open");
        drop(late);
        there.remove_litter();
        assert_eq!(left(&there, ""), ["._Kick.wav"], "it was just written to");
        std::thread::sleep(QUIET);
        // Who only reads it has it open, too.
        let number = there.number(Path::new("._Kick.wav"), false);
        let reader = BoxHandle::open(&there, number, false, false).unwrap();
        there.remove_litter();
        assert_eq!(left(&there, ""), ["._Kick.wav"]);
        drop(reader);
        there.remove_litter();
        assert!(left(&there, "").is_empty());
    }

    #[test]
    fn what_belongs_to_a_sound_that_is_written_anew_stays() {
        let (_home, there) = open_box();
        put(&there, "Kick.wav", b"sound");
        take(&there, "Kick.wav");
        put(&there, "._Kick.wav", &info());
        let again = create(&there, at("Kick.wav"), b"another");
        std::thread::sleep(QUIET);
        there.remove_litter();
        assert_eq!(left(&there, ""), ["._Kick.wav", "Kick.wav"]);
        drop(again);
        // And one that nobody has written through the drive.
        put(&there, "._Snare.wav", &info());
        there.table.lock().took(Path::new("Snare.wav"));
        std::fs::write(there.absolute(Path::new("Snare.wav")), "x").unwrap();
        std::thread::sleep(QUIET);
        there.remove_litter();
        assert!(left(&there, "").contains(&"._Snare.wav".to_owned()));
    }

    #[test]
    fn a_folder_of_litter_is_an_empty_one() {
        let (_home, there) = open_box();
        let in_folder = |name| At {
            folder: Some(there.number(Path::new("Pack"), false)),
            name: OsStr::new(name),
        };
        let remove = || there.remove(at("Pack"), true);
        let (folder, _) = there.make_folder(at("Pack"), 0o755).unwrap();
        let open = create(&there, in_folder(".DS_Store"), b"Bud1");
        drop(create(&there, in_folder("._Kick.wav"), &info()));
        drop(create(&there, in_folder("notes.txt"), b"text"));
        let not_empty = |removed: io::Result<()>| {
            assert_eq!(
                removed.unwrap_err().kind(),
                io::ErrorKind::DirectoryNotEmpty
            );
        };
        not_empty(remove());
        assert_eq!(left(&there, "Pack").len(), 3);
        there.remove(in_folder("notes.txt"), false).unwrap();
        not_empty(remove());
        assert_eq!(left(&there, "Pack"), [".DS_Store", "._Kick.wav"], "open");
        drop(open);
        drop(create(
            &there,
            in_folder("._fork"),
            &apple_double(&[(2, b"data")]),
        ));
        not_empty(remove());
        assert_eq!(left(&there, "Pack").len(), 3);
        there.remove(in_folder("._fork"), false).unwrap();
        remove().unwrap();
        assert!(left(&there, "").is_empty());
        there.forget(folder, 1);
        // As one that another is named over.
        there.make_folder(at("Pack"), 0o755).unwrap();
        drop(create(&there, in_folder("._Kick.wav"), &info()));
        there.make_folder(at("New"), 0o755).unwrap();
        let renamed = there.rename(at("New"), at("Pack"), Replacing::Replace);
        // Windows names no folder over another.
        if cfg!(unix) {
            renamed.unwrap();
            assert_eq!(left(&there, ""), ["Pack"]);
            assert!(left(&there, "Pack").is_empty());
        }
    }

    #[cfg(unix)]
    #[test]
    fn folders_in_which_litter_was_left_go() {
        let (_home, there) = open_box();
        there.make_folder(at("Pack"), 0o755).unwrap();
        let pack = there.number(Path::new("Pack"), false);
        let inside = |name| At {
            folder: Some(pack),
            name: OsStr::new(name),
        };
        drop(create(&there, inside(".DS_Store"), b"Bud1"));
        drop(create(&there, inside("._Kick.wav"), &info()));
        put(&there, "._Pack", &info());
        let long_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
        let is_left = || {
            let folder = File::open(there.absolute(Path::new("Pack"))).unwrap();
            folder.set_modified(long_ago).unwrap();
            there.remove_empty_folders();
            there.absolute(Path::new("Pack")).exists()
        };
        assert!(is_left(), "what is in it was just written");
        for state in there.table.lock().touched.values_mut() {
            state.at = state.at.checked_sub(Duration::from_secs(61)).unwrap();
        }
        assert!(!is_left());
        there.remove_litter();
        assert!(left(&there, "").is_empty());
    }

    #[test]
    fn what_another_daemon_has_left_goes_after_a_while() {
        let (_home, there) = open_box();
        put(&there, "._Kick.wav", &info());
        put(&there, "._notes.txt", &info());
        put(&there, "notes.txt", b"text");
        let passes = |time| {
            for state in there.table.lock().touched.values_mut() {
                state.at = state.at.checked_sub(time).unwrap();
            }
            there.remove_litter();
        };
        passes(ORPHANED - Duration::from_secs(30));
        assert_eq!(left(&there, "").len(), 3);
        passes(Duration::from_secs(31));
        assert_eq!(left(&there, ""), ["._notes.txt", "notes.txt"]);
    }
}
