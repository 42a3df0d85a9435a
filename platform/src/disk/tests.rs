#![allow(clippy::unwrap_used)]

use std::io::Write as _;

use super::*;

fn name(name: &str) -> &OsStr {
    OsStr::new(name)
}

fn kind(look: Option<Look>) -> Option<Kind> {
    match look? {
        Look::Seen(kind, _) => Some(kind),
        Look::OtherFileSystem => None,
    }
}

#[test]
fn what_is_there_is_seen_and_opened() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join("a").join("b")).unwrap();
    std::fs::write(home.path().join("a").join("b").join("file"), b"12345").unwrap();
    let root = Folder::open(home.path()).unwrap();
    assert_eq!(root.seen().unwrap().0, Kind::Folder);
    let folder = root.below(Path::new("a/b"), Mounts::Refused).unwrap();
    let Some(Look::Seen(Kind::File, seen)) = folder.look(name("file")).unwrap() else {
        panic!("it is not seen");
    };
    assert_eq!(seen.size, 5);
    let (_, opened) = root.file(Path::new("a/b/file")).unwrap();
    assert_eq!(opened, seen);
    assert!(folder.look(name("none")).unwrap().is_none());
    assert_eq!(kind(root.look(name("a")).unwrap()), Some(Kind::Folder));
    assert_eq!(root.entries().unwrap(), [("a".into(), Some(Kind::Folder))]);
    let again = root.below(Path::new(""), Mounts::Crossed).unwrap();
    assert_eq!(again.seen().unwrap().1.inode, root.seen().unwrap().1.inode);
    for nothing in ["none", "a/none", "none/b"] {
        let found = root.below(Path::new(nothing), Mounts::Crossed);
        assert!(matches!(found, Err(NoFolder::Absent)), "{nothing}");
    }
    let found = root.below(Path::new("a/b/file"), Mounts::Crossed);
    assert!(matches!(found, Err(NoFolder::NotAFolder)));
    assert!(root.file(Path::new("a")).is_err());
    assert!(root.below(Path::new(".."), Mounts::Crossed).is_err());
    assert!(root.file(Path::new("../x")).is_err());
    let missing = Folder::open(&home.path().join("none")).unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
}

#[test]
fn files_are_made_locked_named_and_removed() {
    let home = tempfile::tempdir().unwrap();
    let root = Folder::open(home.path()).unwrap();
    assert!(root.make(name("folder")).unwrap());
    assert!(!root.make(name("folder")).unwrap());
    let folder = root.below(Path::new("folder"), Mounts::Refused).unwrap();
    let mut file = folder.create_locked(name("new")).unwrap();
    file.write_all(b"x").unwrap();
    let taken = folder.create_locked(name("new")).unwrap_err();
    assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
    let held = folder.remove_abandoned(name("new")).unwrap_err();
    assert_eq!(held.kind(), io::ErrorKind::WouldBlock);
    // Who reads it meanwhile is not kept from it.
    let read = std::fs::read(home.path().join("folder").join("new")).unwrap();
    assert_eq!(read, b"x");
    std::fs::write(home.path().join("other"), "y").unwrap();
    let taken = folder.move_file(name("new"), &root, name("other"));
    assert_eq!(taken.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    folder.move_file(name("new"), &root, name("moved")).unwrap();
    assert_eq!(std::fs::read(home.path().join("moved")).unwrap(), b"x");
    root.sync().unwrap();
    drop(file);
    root.remove_abandoned(name("moved")).unwrap();
    assert!(root.look(name("moved")).unwrap().is_none());
    root.remove(name("other")).unwrap();
}

#[cfg(unix)]
#[test]
fn links_are_seen_and_not_followed() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("root")).unwrap();
    std::fs::write(home.path().join("secret"), b"x").unwrap();
    std::os::unix::fs::symlink("../secret", home.path().join("root/link")).unwrap();
    std::os::unix::fs::symlink("..", home.path().join("root/out")).unwrap();
    let root = Folder::open(&home.path().join("root")).unwrap();
    assert_eq!(kind(root.look(name("link")).unwrap()), Some(Kind::Symlink));
    assert_eq!(root.target(name("link")).unwrap(), "../secret");
    assert!(root.file(Path::new("link")).is_err());
    let found = root.below(Path::new("out"), Mounts::Crossed);
    assert!(matches!(found, Err(NoFolder::NotAFolder)));
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_is_asked_of_what_is_mounted() {
    let top = Folder::open(Path::new("/")).unwrap();
    let look = top.look(name("proc")).unwrap();
    assert_eq!(look, Some(Look::OtherFileSystem));
    let refused = top.below(Path::new("proc"), Mounts::Refused);
    assert!(matches!(refused, Err(NoFolder::OtherFileSystem)));
    assert!(top.below(Path::new("proc/sys"), Mounts::Crossed).is_ok());
}

/// The way of other Unix systems, tried here.
#[cfg(target_os = "linux")]
#[test]
fn walking_comes_to_the_same() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join("a/b")).unwrap();
    std::fs::write(home.path().join("a/b/file"), b"12345").unwrap();
    std::os::unix::fs::symlink("a", home.path().join("link")).unwrap();
    let ours = Folder::open(home.path()).unwrap();
    let walked = walked::Folder::open(home.path()).unwrap();
    assert_eq!(walked.seen().unwrap(), ours.seen().unwrap());
    let below = |path| walked.below(Path::new(path), Mounts::Refused);
    let folder = below("a/./b").unwrap();
    // Neither birth nor mount can be asked for so on Linux.
    let known = |look: Option<Look>| match look {
        Some(Look::Seen(kind, seen)) => Some((kind, seen.device, seen.inode, seen.modified)),
        _ => None,
    };
    for path in ["a", "link", "none"] {
        let (one, other) = (walked.look(name(path)), ours.look(name(path)));
        assert_eq!(known(one.unwrap()), known(other.unwrap()), "{path}");
    }
    assert!(matches!(below("link/b"), Err(NoFolder::NotAFolder)));
    assert!(matches!(below("a/b/file"), Err(NoFolder::NotAFolder)));
    assert!(matches!(below("a/none"), Err(NoFolder::Absent)));
    assert!(matches!(below(".."), Err(NoFolder::OtherFileSystem)));
    assert!(walked.file(Path::new("a/b/file")).is_ok());
    let through = walked.file(Path::new("link/b/file")).unwrap_err();
    assert_eq!(through.kind(), io::ErrorKind::NotADirectory);
    assert_eq!(walked.target(name("link")).unwrap(), "a");
    walked.make(name("new")).unwrap();
    folder.create(name("x")).unwrap();
    folder.move_file(name("x"), &walked, name("y")).unwrap();
    walked.remove(name("y")).unwrap();
    assert_eq!(walked.entries().unwrap().len(), 3);
    walked.sync().unwrap();
    assert!(
        walked
            .attribute(name("a"), "user.none")
            .is_ok_and(|value| value.is_none())
    );
    let top = walked::Folder::open(Path::new("/")).unwrap();
    assert_eq!(top.look(name("proc")).unwrap(), Some(Look::OtherFileSystem));
    let proc = top.below(Path::new("proc"), Mounts::Refused);
    assert!(matches!(proc, Err(NoFolder::OtherFileSystem)));
}
