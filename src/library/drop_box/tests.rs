//! What is due, and what is not whole.

#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use mediafs_platform::drive::Replacing;

use super::due::QUIET;
use super::*;

fn at(name: &str) -> At<'_> {
    At {
        folder: None,
        name: OsStr::new(name),
    }
}

fn open_box() -> (tempfile::TempDir, Arc<DropBox>) {
    let home = tempfile::tempdir().unwrap();
    let there = DropBox::open(home.path()).unwrap();
    (home, there)
}

/// Makes a file of some bytes, and closes it.
fn put(there: &Arc<DropBox>, name: &str) {
    let (number, writer) = BoxHandle::create(there, at(name), 0o644, false, true).unwrap();
    std::io::Write::write_all(&mut &**writer.file(), b"some bytes").unwrap();
    drop(writer);
    there.forget(number, 1);
}

fn writer(there: &Arc<DropBox>, name: &str, truncate: bool) -> BoxHandle {
    let number = there.number(Path::new(name), false);
    BoxHandle::open(there, number, true, truncate).unwrap()
}

/// Why the file that is due next is not whole.
fn cut(there: &Arc<DropBox>, name: &str) -> Option<Cut> {
    std::thread::sleep(QUIET);
    assert_eq!(there.quiet(), [Path::new(name)]);
    let seal = there.seal(Path::new(name)).unwrap();
    seal.cut()
}

#[test]
fn no_name_leads_out_of_it() {
    let (home, there) = open_box();
    let outside = home.path().join("outside");
    std::fs::write(&outside, "outside").unwrap();
    put(&there, "inside");
    let mut names = vec!["../outside", "..", "", "a/b"];
    if cfg!(windows) {
        names.extend([r"..\outside", "inside:stream"]);
    }
    for name in names {
        let refused = [
            there.rename(at("inside"), at(name), Replacing::Replace),
            there.rename(at(name), at("new"), Replacing::Keep),
            there.remove(at(name), false),
            there.make_folder(at(name), 0o755).map(drop),
            BoxHandle::create(&there, at(name), 0o644, false, true).map(drop),
        ];
        for refused in refused {
            let error = refused.unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{name:?}");
        }
    }
    assert_eq!(std::fs::read(&outside).unwrap(), b"outside");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 2);
}

#[test]
fn numbers_follow_renames_and_are_forgotten() {
    let (_home, there) = open_box();
    let number = |path: &str| there.number(Path::new(path), true);
    let rename = |from, to, how| there.rename(at(from), at(to), how).unwrap();
    let (folder, _) = there.make_folder(at("a"), 0o755).unwrap();
    there.make_folder(at("ab"), 0o755).unwrap();
    std::fs::write(there.absolute(Path::new("a/x.wav")), "x").unwrap();
    let (file, other) = (number("a/x.wav"), number("ab"));
    rename("a", "b", Replacing::Replace);
    assert_eq!(there.path_of(file), Some("b/x.wav".into()));
    assert_eq!(there.path_of(other), Some("ab".into()));
    assert_eq!(number("b"), folder);
    if cfg!(windows) {
        // Names can't be exchanged there.
        rename("ab", "c", Replacing::Keep);
        rename("b", "ab", Replacing::Keep);
        rename("c", "b", Replacing::Keep);
    } else {
        rename("b", "ab", Replacing::Exchange);
    }
    assert_eq!(there.path_of(folder), Some("ab".into()));
    assert_eq!(there.path_of(file), Some("ab/x.wav".into()));
    assert_eq!(there.path_of(other), Some("b".into()));
    let inside = At {
        folder: Some(folder),
        name: OsStr::new("x.wav"),
    };
    there.remove(inside, false).unwrap();
    assert_eq!(there.path_of(file), None);
    assert_ne!(number("ab/x.wav"), file, "another file is another node");
    there.forget(folder, 2);
    assert_eq!(there.path_of(folder), None);
}

#[test]
fn only_what_is_left_alone_is_due() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(FOLDER)).unwrap();
    for name in ["x.wav", ".x.wav.AbC123", "y.part"] {
        std::fs::write(home.path().join(FOLDER).join(name), "x").unwrap();
    }
    let there = DropBox::open(home.path()).unwrap();
    assert!(there.quiet().is_empty());
    std::thread::sleep(QUIET);
    assert_eq!(there.quiet(), [Path::new("x.wav")]);
    let path = Path::new("x.wav");
    let writing = writer(&there, "x.wav", false);
    assert!(there.quiet().is_empty() && there.seal(path).is_none());
    drop(writing);
    std::thread::sleep(QUIET);
    let number = there.number(path, true);
    let seal = there.seal(path).unwrap();
    assert!(seal.cut().is_none());
    assert!(BoxHandle::open(&there, number, true, false).is_err());
    assert!(BoxHandle::open(&there, number, false, false).is_ok());
    assert!(there.remove(at("x.wav"), false).is_err());
    let renamed = |from, to| there.rename(at(from), at(to), Replacing::Replace);
    assert!(renamed("x.wav", "z.wav").is_err());
    assert!(renamed("y.part", "x.wav").is_err());
    renamed("y.part", "x.wa").unwrap();
    drop(seal);
    assert_eq!(there.quiet(), [] as [&Path; 0]);
    renamed("x.wav", "z.wav").unwrap();
}

#[test]
fn a_copy_that_is_begun_anew_after_the_look_is_not_taken() {
    let (_home, there) = open_box();
    put(&there, "x.wav");
    std::thread::sleep(QUIET);
    let due = there.quiet();
    assert_eq!(due, [Path::new("x.wav")]);
    // Its turn comes late: meanwhile somebody begins it anew, and is killed.
    let anew = writer(&there, "x.wav", true);
    assert!(there.seal(&due[0]).is_none(), "it is being written");
    anew.cut(Cut::Ended);
    drop(anew);
    assert!(there.seal(&due[0]).is_none(), "it was just touched");
    assert_eq!(cut(&there, "x.wav"), Some(Cut::Ended));
}

#[test]
fn a_file_stays_cut_off_until_it_is_begun_anew() {
    let (_home, there) = open_box();
    put(&there, "x.wav");
    let killed = writer(&there, "x.wav", false);
    killed.cut(Cut::Ended);
    drop(killed);
    // On Windows nothing is noted on files.
    assert_eq!(is_marked(&there.absolute(Path::new("x.wav"))), cfg!(unix));
    // Others look into it, append to it, give it another name.
    drop(writer(&there, "x.wav", false));
    assert_eq!(cut(&there, "x.wav"), Some(Cut::Ended));
    there
        .rename(at("x.wav"), at("y.wav"), Replacing::Replace)
        .unwrap();
    assert_eq!(cut(&there, "y.wav"), Some(Cut::Ended));
    assert_eq!(is_marked(&there.absolute(Path::new("y.wav"))), cfg!(unix));
    drop(writer(&there, "y.wav", true));
    assert_eq!(cut(&there, "y.wav"), None);
    assert!(!is_marked(&there.absolute(Path::new("y.wav"))));
}

/// On Windows nothing is noted on files.
#[cfg(unix)]
#[test]
fn what_is_noted_on_a_file_does_not_show_in_the_time_of_its_change() {
    let (_home, there) = open_box();
    put(&there, "x.wav");
    let number = there.number(Path::new("x.wav"), true);
    let absolute = there.absolute(Path::new("x.wav"));
    let told = || there.changed_at(number, &absolute.metadata().unwrap());
    let on_disk = || changed_at(&absolute.metadata().unwrap());
    let (first, first_on_disk) = (told(), on_disk());
    std::thread::sleep(Duration::from_millis(20));
    let open = writer(&there, "x.wav", false);
    assert_eq!(told(), first);
    std::thread::sleep(Duration::from_millis(20));
    drop(open);
    assert_eq!(told(), first);
    assert_ne!(on_disk(), first_on_disk, "nothing was noted on it");
    // What others change shows.
    std::thread::sleep(Duration::from_millis(20));
    let file = File::options().write(true).open(&absolute).unwrap();
    files::set_permissions(&file, 0o600).unwrap();
    assert_eq!(told(), on_disk());
    assert_ne!(told(), first);
}

#[test]
fn who_is_killed_cuts_off_no_copy_that_was_begun_since() {
    let (_home, there) = open_box();
    put(&there, "x.wav");
    let killed = writer(&there, "x.wav", false);
    let anew = writer(&there, "x.wav", true);
    // It is told late.
    killed.cut(Cut::Ended);
    drop(killed);
    drop(anew);
    assert_eq!(cut(&there, "x.wav"), None);
    // One that empties the file itself writes the new one.
    let emptied = writer(&there, "x.wav", false);
    emptied.empty().unwrap();
    emptied.cut(Cut::NoSpace);
    drop(emptied);
    assert_eq!(cut(&there, "x.wav"), Some(Cut::NoSpace));
}

#[test]
fn a_file_that_was_removed_and_made_anew_is_whole() {
    let (_home, there) = open_box();
    put(&there, "x.wav");
    let killed = writer(&there, "x.wav", false);
    there.remove(at("x.wav"), false).unwrap();
    put(&there, "x.wav");
    killed.cut(Cut::Ended);
    drop(killed);
    assert_eq!(cut(&there, "x.wav"), None);
}

#[test]
fn what_was_dealt_with_is_due_when_it_is_touched_again() {
    let (_home, there) = open_box();
    put(&there, "x.wav");
    assert_eq!(cut(&there, "x.wav"), None);
    assert!(there.quiet().is_empty());
    drop(writer(&there, "x.wav", false));
    assert_eq!(cut(&there, "x.wav"), None);
    put(&there, "y.wav");
    std::thread::sleep(QUIET);
    there.seal(Path::new("y.wav")).unwrap().gone();
    std::fs::remove_file(there.absolute(Path::new("y.wav"))).unwrap();
    assert!(there.quiet().is_empty());
    put(&there, "y.wav");
    assert_eq!(cut(&there, "y.wav"), None);
}

#[test]
fn what_was_being_written_when_the_daemon_died_is_cut_off() {
    let home = tempfile::tempdir().unwrap();
    let there = DropBox::open(home.path()).unwrap();
    std::fs::write(there.absolute(Path::new("x.wav")), "x").unwrap();
    let number = there.number(Path::new("x.wav"), true);
    let writer = BoxHandle::open(&there, number, true, false).unwrap();
    if !is_marked(&there.absolute(Path::new("x.wav"))) {
        // A file system without such attributes.
        return;
    }
    // It is never dropped.
    std::mem::forget(writer);
    let again = DropBox::open(home.path()).unwrap();
    std::thread::sleep(QUIET);
    let seal = again.seal(Path::new("x.wav")).unwrap();
    assert_eq!(seal.cut(), Some(Cut::Ended));
}
