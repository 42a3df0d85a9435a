//! Tests of open folders, on every system the same.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read as _, Write as _};

use super::*;

fn name(text: &str) -> &OsStr {
    OsStr::new(text)
}

#[test]
fn files_are_made_named_and_removed() {
    let home = tempfile::tempdir().unwrap();
    let folder = Folder::open(home.path()).unwrap();
    let mut made = folder.create(name("größe.new"), true).unwrap();
    made.write_all(b"kick").unwrap();
    made.sync_all().unwrap();
    // While it is open.
    let (new, whole) = (name("größe.new"), name("größe"));
    folder.rename(new, &folder, whole, Over::Nothing).unwrap();
    drop(made);
    folder.sync().unwrap();
    assert_eq!(fs::read(home.path().join("größe")).unwrap(), b"kick");
    assert_eq!(folder.entries().unwrap(), [("größe".into(), Kind::File)]);
    let mut text = String::new();
    folder
        .file(whole, false)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "kick");
    folder.file(whole, true).unwrap().write_all(b"K").unwrap();
    assert_eq!(fs::read(home.path().join("größe")).unwrap(), b"Kick");
    folder.remove(whole).unwrap();
    assert!(folder.entries().unwrap().is_empty());
    for gone in [
        folder.remove(whole).unwrap_err(),
        folder.file(whole, false).unwrap_err(),
        folder
            .rename(whole, &folder, new, Over::Anything)
            .unwrap_err(),
    ] {
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    }
}

#[test]
fn nothing_is_lost_to_a_name_that_is_taken() {
    let home = tempfile::tempdir().unwrap();
    let folder = Folder::open(home.path()).unwrap();
    let put = |at: &str, text: &str| fs::write(home.path().join(at), text).unwrap();
    let text = |at: &str| fs::read_to_string(home.path().join(at)).unwrap();
    put("a", "1");
    put("b", "2");
    for refused in [
        folder.create(name("a"), false).map(drop),
        folder.rename(name("b"), &folder, name("a"), Over::Nothing),
        folder.link(name("b"), name("a")),
    ] {
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
    assert_eq!((text("a"), text("b")), ("1".to_owned(), "2".to_owned()));
    // Also while somebody reads what goes. Where Windows (or Wine) can't, nothing is lost, and it can be tried again.
    let replace = || folder.rename(name("b"), &folder, name("a"), Over::Anything);
    let reader = File::open(home.path().join("a")).unwrap();
    let replaced = replace();
    drop(reader);
    match replaced {
        Err(error) if cfg!(windows) && error.kind() == io::ErrorKind::PermissionDenied => {
            assert_eq!((text("a"), text("b")), ("1".to_owned(), "2".to_owned()));
            replace().unwrap();
        }
        replaced => replaced.unwrap(),
    }
    assert_eq!(text("a"), "2");
    assert_eq!(folder.entries().unwrap().len(), 1);
}

#[test]
fn a_second_name_is_the_same_file() {
    let home = tempfile::tempdir().unwrap();
    let folder = Folder::open(home.path()).unwrap();
    fs::write(home.path().join("a"), "1").unwrap();
    folder.link(name("a"), name("b")).unwrap();
    fs::write(home.path().join("a"), "2").unwrap();
    assert_eq!(fs::read(home.path().join("b")).unwrap(), b"2");
}

#[test]
fn a_file_is_moved_to_another_folder() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("sub")).unwrap();
    fs::write(home.path().join("a"), "1").unwrap();
    let folder = Folder::open(home.path()).unwrap();
    let sub = folder.folder(name("sub")).unwrap();
    folder
        .rename(name("a"), &sub, name("b"), Over::Nothing)
        .unwrap();
    assert_eq!(fs::read(home.path().join("sub/b")).unwrap(), b"1");
    assert_eq!(folder.entries().unwrap(), [("sub".into(), Kind::Folder)]);
    assert_eq!(
        folder.file(name("sub"), false).unwrap_err().kind(),
        io::ErrorKind::InvalidInput
    );
    assert_eq!(
        sub.folder(name("b")).unwrap_err().kind(),
        io::ErrorKind::NotADirectory
    );
    assert_eq!(
        folder.folder(name("none")).unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
    assert!(Folder::open(&home.path().join("sub/b")).is_err());
}

#[test]
fn a_name_that_leads_elsewhere_is_none() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("sub")).unwrap();
    fs::write(home.path().join("secret"), "s").unwrap();
    let folder = Folder::open(&home.path().join("sub")).unwrap();
    let mut names = vec!["", ".", "..", "../secret", "/etc/passwd", "a/b", "a/"];
    if cfg!(windows) {
        names.extend([r"..\secret", r"a\b", r"C:\x", "C:x", "secret:stream"]);
    }
    for bad in names {
        let error = folder.file(name(bad), false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{bad}");
        assert!(folder.create(name(bad), false).is_err());
        assert!(folder.remove(name(bad)).is_err());
    }
    assert!(home.path().join("secret").exists());
}

#[cfg(unix)]
#[test]
fn no_link_is_followed() {
    use std::os::unix::fs::symlink;
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("sub")).unwrap();
    symlink("/etc/passwd", home.path().join("file")).unwrap();
    symlink("sub", home.path().join("folder")).unwrap();
    let folder = Folder::open(home.path()).unwrap();
    assert_eq!(
        folder.file(name("file"), false).unwrap_err().kind(),
        io::ErrorKind::InvalidInput
    );
    assert_eq!(
        folder.folder(name("folder")).unwrap_err().kind(),
        io::ErrorKind::NotADirectory
    );
    assert!(Folder::open(&home.path().join("folder")).is_ok());
    let refused = Folder::open_itself(&home.path().join("folder"));
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::NotADirectory);
    assert!(Folder::open_itself(&home.path().join("sub")).is_ok());
    // The link itself goes, not what it leads to.
    folder.remove(name("file")).unwrap();
    assert!(Path::new("/etc/passwd").exists());
    assert_eq!(folder.entries().unwrap().len(), 2);
}
